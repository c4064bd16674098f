"""Words of Keras, PyTorch, optax, timm, transformers and others for what has another name here, each with ours.

In a line of advice our words stand in backquotes, theirs do not. The training steps are epochs times steps per epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

KERAS, TORCH, OPTAX, TIMM, HUGGING = "Keras'", "PyTorch's", "optax'", "timm's", "transformers'"
COMMON = "a common name"
OPTUNA, SKLEARN, TUNER = "Optuna's", "scikit-learn's", "KerasTuner's"


@dataclass(frozen=True)
class Foreign:
    """A word of others: whose it is, and what is ours; for some schedules of ours, by name, something else."""

    owner: str
    advice: str
    by_schedule: Mapping[str, str] = field(default_factory=dict)


def _each(owner: str, advice: Mapping[str, str]) -> dict[str, Foreign]:
    return {name: Foreign(owner, text) for name, text in advice.items()}


RESTARTS = "`cosine_restarts`, with `first_cycle` = {}, `final_ratio` = {}, and the same `t_mul` and `m_mul`"
ONE_CYCLE = (
    "`one_cycle`, with `learning_rate` = {}, `peak_at` = pct_start, `start_ratio` = 1 / div_factor and "
    "`final_ratio` = 1 / (div_factor * final_div_factor)"
)
WARMUP = "`warmup` = num_warmup_steps / num_training_steps"
PLATEAU = "`plateau`, with the same `mode`, `factor`, `patience` and `cooldown`, and `floor` = min_lr / `learning_rate`"
FRACTION = "a share of the training"

SCHEDULES: dict[str, Foreign] = {
    **_each(
        KERAS,
        {
            "ExponentialDecay": "`exponential_by_batch`, with `final_ratio` = decay_rate ** (training steps / "
            "decay_steps); with "
            "staircase `exponential_staircase`, with `stairs` = training steps / decay_steps",
            "InverseTimeDecay": "`time_by_batch`, with `decay` = decay_rate / decay_steps; with staircase and "
            "decay_steps "
            "of one epoch `time`, with `decay` = decay_rate",
            "PolynomialDecay": "`polynomial`, with `final_ratio` = end_learning_rate / initial_learning_rate and the "
            "same `power`; it takes the whole training, as decay_steps = training steps does",
            "CosineDecay": "`cosine`, with `final_ratio` = alpha, `warmup` = warmup_steps / training steps and "
            "`warmup_from` = initial_learning_rate / warmup_target; it takes the whole "
            "training, as decay_steps = training steps - warmup_steps does",
            "CosineDecayRestarts": RESTARTS.format("first_decay_steps / training steps", "alpha"),
            "SGDRDecay": RESTARTS.format("first_decay_steps / training steps", "alpha"),
            "PiecewiseConstantDecay": "`piecewise_constant`, with `values` = each value / `learning_rate`, "
            "`boundaries` = boundary + 1 for each and `unit` = batches",
            "PiecewiseConstant": "`piecewise_constant`, with `values` = each value / `learning_rate`, "
            "`boundaries` = boundary + 1 for each and `unit` = batches",
            "LearningRateScheduler": "`function`, with `function` = module:name; it is called in the same way",
        },
    ),
    "ReduceLROnPlateau": Foreign(f"{KERAS} and {TORCH}", f"{PLATEAU}; PyTorch's waits one epoch more"),
    **_each(
        COMMON,
        {
            "cosine_annealing": "`cosine`",
            "half_cosine": "`cosine`",
            "warmup_cosine": "`cosine`, with `warmup`, the share of the training that it takes",
            "cosine_with_warmup": "`cosine`, with `warmup`, the share of the training that it takes",
            "linear_decay": "`linear`",
            "linear_with_warmup": "`linear`, with `warmup`, the share of the training that it takes",
            "linear_warmup": "`warmup`, the share of the training that it takes, which every schedule has",
            "step_decay": "`step_from_zero`, or `step`, whose first drop comes one epoch early",
            "time_based": "`time` by epoch, or `time_by_batch`",
            "time_decay": "`time` by epoch, or `time_by_batch`",
            "inverse_time": "`time` by epoch, or `time_by_batch`",
            "warm_restarts": "`cosine_restarts`",
            "SGDR": "`cosine_restarts`",
            "cyclic": "`triangular`, in straight lines, or `cosine_restarts`",
            "triangular2": "`triangular`, with `peak_decay` = 0.5",
            "super_convergence": "`one_cycle`",
            "noam": "`inverse_sqrt`, with `warmup`, the share of the training that it takes",
            "reduce_on_plateau": "`plateau`",
            "custom": "`function`, with `function` = module:name",
        },
    ),
    **_each(
        TORCH,
        {
            "StepLR": "`step_from_zero`, with `drop` = gamma and `epochs_drop` = step_size",
            "MultiStepLR": "`milestones`, with `drop` = gamma and `at` = each milestone / epochs",
            "ExponentialLR": "`exponential`, with `final_ratio` = gamma ** epochs",
            "CosineAnnealingLR": "`cosine`, with `final_ratio` = eta_min / lr; it takes the whole training, as "
            "T_max = epochs does",
            "CosineAnnealingWarmRestarts": "`cosine_restarts`, with `first_cycle` = T_0 / epochs, `t_mul` = "
            "T_mult and "
            "`final_ratio` = eta_min / lr",
            "OneCycleLR": ONE_CYCLE.format("max_lr"),
            "CyclicLR": "`triangular`, with `learning_rate` = max_lr, `low_ratio` = base_lr / max_lr and `cycles` = "
            "training steps / (step_size_up + step_size_down); with mode triangular2 `peak_decay` = 0.5",
            "LinearLR": "`constant`, with `warmup` = total_iters / epochs and `warmup_from` = start_factor where "
            "end_factor is 1; `piecewise_linear`, with `points` from 0:start_factor to 1:end_factor, elsewhere",
            "PolynomialLR": "`polynomial`, with the same `power`; it takes the whole training, as total_iters = "
            "epochs "
            "does",
            "ConstantLR": "`join` of two `constant`, the first with `learning_rate` = lr * factor, and `at` = "
            "total_iters / epochs",
            "LambdaLR": "`function`, which returns the rate itself and not a factor of it",
            "MultiplicativeLR": "`function`, which gets the epoch and the last rate and returns the rate itself",
            "SequentialLR": "`join`, with `first`, `second` and `at` = milestone / epochs",
            "ChainedScheduler": "`warmup` and `floor`, which every schedule has, or `join`, which puts two in a row",
        },
    ),
    **_each(
        OPTAX,
        {
            "constant_schedule": "`constant`, with `learning_rate` = value",
            "cosine_decay_schedule": "`cosine`, with `learning_rate` = init_value and `final_ratio` = alpha; it "
            "takes "
            "the whole training, as decay_steps = training steps does",
            "warmup_cosine_decay_schedule": "`cosine`, with `learning_rate` = peak_value, `warmup` = "
            "warmup_steps / training steps "
            "and `final_ratio` = end_value / peak_value",
            "exponential_decay": "`exponential_by_batch`, with `learning_rate` = init_value and `final_ratio` = "
            "decay_rate ** (training steps / transition_steps)",
            "warmup_exponential_decay_schedule": "`exponential_by_batch`, with `learning_rate` = peak_value, "
            "`warmup` = "
            "warmup_steps / training steps and `final_ratio` = decay_rate ** ((training steps - warmup_steps) / "
            "transition_steps)",
            "piecewise_constant_schedule": "`milestones`, with `at` = each boundary / training steps and `drop` "
            "= the scale",
            "piecewise_interpolate_schedule": "`piecewise_linear`, with `points` = boundary / training steps:share",
            "linear_schedule": "`linear`, with `learning_rate` = init_value and `final_ratio` = end_value / init_value",
            "polynomial_schedule": "`polynomial`, with `learning_rate` = init_value, `final_ratio` = end_value / "
            "init_value and the same `power`",
            "linear_onecycle_schedule": "`piecewise_linear`, with `points` = 0:start pct_start:1 1:end",
            "cosine_onecycle_schedule": ONE_CYCLE.format("peak_value"),
            "sgdr_schedule": "`cosine_restarts`, whose cycles come from `first_cycle`, `t_mul` and `m_mul`",
            "warmup_constant_schedule": "`constant`, with `learning_rate` = peak_value and `warmup` = "
            "warmup_steps / training steps",
            "join_schedules": "`join`, with `first`, `second` and `at` = boundary / training steps",
            "inject_hyperparams": "`function`, which returns the rate of each epoch",
        },
    ),
    **_each(
        TIMM,
        {
            "tanh": "`cosine`, the nearest in shape; `function` takes any other curve",
            "multistep": "`milestones`, with `drop` = decay_rate and `at` = each of decay_milestones / epochs",
            "poly": "`polynomial`, with `power` = decay_rate and `final_ratio` = min_lr / lr",
            "CosineLRScheduler": "`cosine`, with `final_ratio` = lr_min / lr and `warmup` = warmup_t / t_initial",
            "TanhLRScheduler": "`cosine`, the nearest in shape; `function` takes any other curve",
            "StepLRScheduler": "`step_from_zero`, with `drop` = decay_rate and `epochs_drop` = decay_t",
            "MultiStepLRScheduler": "`milestones`, with `drop` = decay_rate and `at` = each of decay_t / epochs",
            "PlateauLRScheduler": "`plateau`, with `factor` = decay_rate, `patience` = patience_t and `floor` = "
            "lr_min / lr",
            "PolyLRScheduler": "`polynomial`, with the same `power` and `final_ratio` = lr_min / lr",
        },
    ),
    **_each(
        HUGGING,
        {
            "get_constant_schedule": "`constant`",
            "get_constant_schedule_with_warmup": f"`constant`, with {WARMUP}",
            "constant_with_warmup": f"`constant`, with {WARMUP}",
            "get_linear_schedule_with_warmup": f"`linear`, with {WARMUP}",
            "get_cosine_schedule_with_warmup": f"`cosine`, with {WARMUP}",
            "get_cosine_with_hard_restarts_schedule_with_warmup": "`cosine_restarts`, with `first_cycle` = 1 / "
            f"num_cycles, `t_mul` = 1 and {WARMUP}",
            "cosine_with_restarts": f"`cosine_restarts`, with `first_cycle` = 1 / num_cycles, `t_mul` = 1 and {WARMUP}",
            "cosine_with_min_lr": f"`cosine`, with `final_ratio` = min_lr / `learning_rate` and {WARMUP}",
            "cosine_warmup_with_min_lr": f"`cosine`, with `final_ratio` = min_lr / `learning_rate` and {WARMUP}",
            "get_polynomial_decay_schedule_with_warmup": "`polynomial`, with `final_ratio` = lr_end / "
            "`learning_rate`, "
            f"the same `power` and {WARMUP}",
            "get_inverse_sqrt_schedule": "`inverse_sqrt`, with `timescale` = timescale / (num_training_steps - "
            f"num_warmup_steps) and {WARMUP}",
            "get_reduce_on_plateau_schedule": PLATEAU,
            "reduce_lr_on_plateau": PLATEAU,
            "get_wsd_schedule": f"`warmup_stable_decay`, with {WARMUP}",
            "wsd": f"`warmup_stable_decay`, with {WARMUP}",
        },
    ),
}

BY_EXPONENT = "`final_ratio` = {} ** (training steps / {})"
EXPONENTIALS = ("exponential", "exponential_by_batch", "exponential_staircase")
STEPPED = ("step", "step_from_zero")
OVER_ALL = "`cosine`, `linear` and `polynomial` take all `epochs` by themselves"


def _over(schedules: Collection[str], advice: str) -> dict[str, str]:
    return dict.fromkeys(schedules, advice)


PARAMETERS: dict[str, Foreign] = {
    "decay_steps": Foreign(
        f"{KERAS} and {OPTAX}",
        f"it counts steps: `epochs_drop` counts epochs, decay_steps / steps per epoch, and {OVER_ALL}",
        {
            **_over(STEPPED, "`epochs_drop` counts epochs: decay_steps / steps per epoch"),
            **_over(EXPONENTIALS, BY_EXPONENT.format("decay_rate", "decay_steps")),
            "exponential_staircase": "`stairs` = training steps / decay_steps",
            "time_by_batch": "`decay` = decay_rate / decay_steps",
            "time": "`decay` = decay_rate * steps per epoch / decay_steps",
            "cosine_restarts": "`first_cycle` = first_decay_steps / training steps",
            "milestones": "`at` holds fractions of the training: each step / training steps",
        },
    ),
    "decay_rate": Foreign(
        f"{KERAS}, {OPTAX} and {TIMM}",
        "`drop` of `step_from_zero` and `milestones` is the same factor; of `exponential` it is "
        + BY_EXPONENT.format("decay_rate", "decay_steps"),
        {
            **_over(STEPPED, "`drop` is the same factor"),
            "milestones": "`drop` is the same factor",
            **_over(EXPONENTIALS, BY_EXPONENT.format("decay_rate", "decay_steps")),
            "time_by_batch": "`decay` = decay_rate / decay_steps",
            "time": "`decay` = decay_rate * steps per epoch / decay_steps",
            "plateau": "`factor` is the same factor",
            "polynomial": "`power` is the same number",
        },
    ),
    "first_decay_steps": Foreign(KERAS, "`first_cycle` of `cosine_restarts` = first_decay_steps / training steps"),
    "staircase": Foreign(
        f"{KERAS} and {OPTAX}",
        "`exponential_staircase` has it, with `stairs` = training steps / decay_steps; `time` and "
        "`step_from_zero` change once "
        "an epoch",
    ),
    "alpha": Foreign(f"{KERAS} and {OPTAX}", "`final_ratio` is the same share of `learning_rate`"),
    "end_learning_rate": Foreign(KERAS, "`final_ratio` = end_learning_rate / initial_learning_rate"),
    "initial_learning_rate": Foreign(KERAS, "`learning_rate` is the same number"),
    "boundaries": Foreign(
        f"{KERAS} and {OPTAX}",
        "`piecewise_constant` has them, with `unit` = batches; `at` of `milestones` holds fractions of the training: "
        "(boundary + 1) / training steps",
    ),
    "values": Foreign(KERAS, "`piecewise_constant` has them; `drop` of `milestones` = each value / the one before"),
    "warmup_target": Foreign(KERAS, "`learning_rate` is what the `warmup` reaches"),
    "warmup_steps": Foreign(f"{KERAS} and {OPTAX}", f"`warmup` is {FRACTION}: warmup_steps / training steps"),
    "cycle": Foreign(KERAS, "`cosine_restarts` and `triangular` have cycles; `polynomial` falls once"),
    "min_lr": Foreign(
        f"{KERAS}, {TORCH} and {TIMM}",
        "`floor` = min_lr / `learning_rate`",
        _over(
            ("cosine", "linear", "polynomial", "cosine_restarts"),
            "`final_ratio` = min_lr / `learning_rate`; `floor` cuts the curve off there",
        ),
    ),
    "factor": Foreign(
        f"{KERAS} and {TORCH}", "`drop` is the factor of `step_from_zero` and `milestones`; `plateau` has a `factor`"
    ),
    "threshold": Foreign(TORCH, "`min_delta` is the least change of `monitor`; PyTorch's is a share of it"),
    "lr": Foreign(f"{TORCH} and {KERAS}", "`learning_rate` is the same number"),
    "max_lr": Foreign(TORCH, "`learning_rate` is the highest rate"),
    "base_lr": Foreign(TORCH, "`low_ratio` of `triangular` = base_lr / max_lr, where `learning_rate` is the highest"),
    "base_learning_rate": Foreign("another library's", "`learning_rate` is the rate of which all others are multiples"),
    "T_max": Foreign(TORCH, "here `cosine` takes all `epochs` by itself"),
    "eta_min": Foreign(TORCH, "`final_ratio` = eta_min / `learning_rate`"),
    "gamma": Foreign(
        TORCH,
        "`drop` of `step_from_zero` and `milestones` is the same factor; of `exponential` it is `final_ratio` = "
        "gamma ** "
        "epochs",
        {
            **_over((*STEPPED, "milestones"), "`drop` is the same factor"),
            "exponential": "`final_ratio` = gamma ** epochs",
            "exponential_by_batch": "`final_ratio` = gamma ** epochs",
            "exponential_staircase": "`final_ratio` = gamma ** epochs, with `stairs` = epochs",
            "plateau": "`factor` is the same factor",
            "accuracy_drop": "`factor` is the same factor",
        },
    ),
    "step_size": Foreign(TORCH, "`epochs_drop` of `step_from_zero` is the same number of epochs"),
    "milestones": Foreign(TORCH, "`at` of `milestones` holds fractions of the training: each milestone / epochs"),
    "T_0": Foreign(TORCH, "`first_cycle` of `cosine_restarts` = T_0 / epochs"),
    "T_mult": Foreign(TORCH, "`t_mul` of `cosine_restarts` is the same factor"),
    "pct_start": Foreign(f"{TORCH} and {OPTAX}", "`peak_at` of `one_cycle` is the same fraction"),
    "div_factor": Foreign(f"{TORCH} and {OPTAX}", "`start_ratio` of `one_cycle` = 1 / div_factor"),
    "final_div_factor": Foreign(
        f"{TORCH} and {OPTAX}", "`final_ratio` of `one_cycle` = 1 / (div_factor * final_div_factor)"
    ),
    "cycle_momentum": Foreign(TORCH, "`momentum_dip` of `one_cycle` is 0 where the momentum stays"),
    "base_momentum": Foreign(TORCH, "`momentum_dip` of `one_cycle` = 1 - base_momentum / max_momentum"),
    "max_momentum": Foreign(TORCH, "`momentum` is the highest"),
    "step_size_up": Foreign(TORCH, "`cycles` of `triangular` = training steps / (step_size_up + step_size_down)"),
    "step_size_down": Foreign(TORCH, "`cycles` of `triangular` = training steps / (step_size_up + step_size_down)"),
    "total_steps": Foreign(TORCH, "`epochs` says how long a training is, and a schedule takes all of it"),
    "total_iters": Foreign(TORCH, "`epochs` says how long a training is, and a schedule takes all of it"),
    "start_factor": Foreign(TORCH, "`warmup_from` is the same share, at which the `warmup` begins"),
    "end_factor": Foreign(TORCH, "`points` of `piecewise_linear` = 0:start_factor 1:end_factor"),
    "lr_lambda": Foreign(TORCH, "`function` of `function` is module:name, and returns the rate itself"),
    "schedulers": Foreign(TORCH, "`first` and `second` of `join` are two schedules"),
    "init_value": Foreign(
        OPTAX,
        "`learning_rate` is the first or highest rate; a `warmup` rises from `warmup_from` = init_value / peak_value",
    ),
    "peak_value": Foreign(OPTAX, "`learning_rate` is the highest rate"),
    "end_value": Foreign(OPTAX, "`final_ratio` = end_value / `learning_rate`"),
    "transition_steps": Foreign(
        OPTAX,
        f"{OVER_ALL}; of `exponential_by_batch` it is " + BY_EXPONENT.format("decay_rate", "transition_steps"),
        _over(EXPONENTIALS, BY_EXPONENT.format("decay_rate", "transition_steps")),
    ),
    "transition_begin": Foreign(OPTAX, "`at` of `join`, with `first` = constant, is transition_begin / training steps"),
    "boundaries_and_scales": Foreign(
        OPTAX, "`at` of `milestones` = each boundary / training steps, and `drop` is the scale"
    ),
    "lr_cycle_mul": Foreign(TIMM, "`t_mul` of `cosine_restarts` is the same factor"),
    "lr_cycle_decay": Foreign(TIMM, "`m_mul` of `cosine_restarts` is the same factor, of what lies above the lowest"),
    "lr_cycle_limit": Foreign(TIMM, "`first_cycle` of `cosine_restarts` = 1 / lr_cycle_limit where `t_mul` is 1"),
    "lr_k_decay": Foreign(TIMM, "`power` of `polynomial` bends the curve"),
    "lr_min": Foreign(TIMM, "`final_ratio` = lr_min / `learning_rate`"),
    "warmup_epochs": Foreign(TIMM, f"`warmup` is {FRACTION}: warmup_epochs / epochs"),
    "warmup_t": Foreign(TIMM, f"`warmup` is {FRACTION}: warmup_t / epochs"),
    "warmup_lr": Foreign(TIMM, "`warmup_from` = warmup_lr / lr"),
    "warmup_lr_init": Foreign(TIMM, "`warmup_from` = warmup_lr_init / lr"),
    "decay_epochs": Foreign(TIMM, "`epochs_drop` of `step_from_zero` is the same number of epochs"),
    "decay_milestones": Foreign(TIMM, "`at` of `milestones` holds fractions of the training: each / epochs"),
    "patience_epochs": Foreign(TIMM, "`patience` of `plateau` is the same number of epochs"),
    "cooldown_epochs": Foreign(
        TIMM, "`cooldown` of `plateau` counts epochs after a drop; a last part is one of `join`"
    ),
    "sched": Foreign(TIMM, "`schedule` names a schedule, and `search.schedules` those to try"),
    "num_warmup_steps": Foreign(HUGGING, f"`warmup` is {FRACTION}: num_warmup_steps / num_training_steps"),
    "warmup_ratio": Foreign(HUGGING, "`warmup` is the same share of the training"),
    "warmup_fraction": Foreign("another library's", "`warmup` is the same share of the training"),
    "warmup_proportion": Foreign("another library's", "`warmup` is the same share of the training"),
    "num_training_steps": Foreign(
        HUGGING, "`epochs` says how long a training is: num_training_steps / steps per epoch"
    ),
    "num_cycles": Foreign(HUGGING, "`first_cycle` of `cosine_restarts` = 1 / num_cycles where `t_mul` is 1"),
    "num_decay_steps": Foreign(
        HUGGING, "`decay_from` of `warmup_stable_decay` = 1 - num_decay_steps / (steps without the warm-up)"
    ),
    "lr_end": Foreign(HUGGING, "`final_ratio` = lr_end / `learning_rate`"),
    "min_lr_rate": Foreign(HUGGING, "`final_ratio` is the same share of `learning_rate`"),
    "lr_scheduler_type": Foreign(HUGGING, "`schedule` names a schedule, and `search.schedules` those to try"),
    "lr_scheduler_kwargs": Foreign(HUGGING, "`search.schedules` has a table of parameters for each schedule"),
    "lr_scheduler": Foreign(HUGGING, "`schedule` names a schedule, and `search.schedules` those to try"),
    "scheduler": Foreign("another library's", "`schedule` names a schedule, and `search.schedules` those to try"),
    "num_train_epochs": Foreign(HUGGING, "`training.epochs` is the same number"),
    "num_epochs": Foreign("another library's", "`training.epochs` is the same number"),
    "n_epochs": Foreign("another library's", "`training.epochs` is the same number"),
    "max_iter": Foreign(SKLEARN, "`training.epochs` is the same number"),
    "per_device_train_batch_size": Foreign(HUGGING, "`training.batch_size` is the same number"),
    "train_batch_size": Foreign(HUGGING, "`training.batch_size` is the same number"),
    "beta_1": Foreign(KERAS, "`search.momentum` is Adam's beta_1 as well"),
    "beta1": Foreign("another library's", "`search.momentum` is Adam's beta_1 as well"),
    "beta2": Foreign("another library's", "`optimizer.beta_2` is the same number"),
    "betas": Foreign(TORCH, "`search.momentum` is Adam's first, and `optimizer.beta_2` the second"),
    "eps": Foreign(f"{TORCH} and {OPTAX}", "`optimizer.epsilon` is the same number"),
    "n_trials": Foreign(OPTUNA, "`trials` is the number of candidates"),
    "max_trials": Foreign(TUNER, "`trials` is the number of candidates"),
    "executions_per_trial": Foreign(TUNER, "`replicates` is the number of run seeds for each candidate"),
    "validation_split": Foreign(KERAS, "`split.fraction` is the same share of the rows"),
    "test_size": Foreign(SKLEARN, "`split.fraction` is the same share of the rows"),
    "random_state": Foreign(
        SKLEARN, "`split.split_seed` decides which rows validate, `search.sampler_seed` what is tried"
    ),
    "hidden_layer_sizes": Foreign(SKLEARN, "`model.hidden` holds the same numbers"),
    "learning_rate_init": Foreign(SKLEARN, "`learning_rate` is the same number"),
}


def explain_schedule(name: str) -> str | None:
    """Return a sentence that says what others' schedule is here; None if it is not known.

    >>> explain_schedule("StepLR")
    "`StepLR` is PyTorch's; here it is `step_from_zero`, with `drop` = gamma and `epochs_drop` = step_size."
    """
    found = _find(SCHEDULES, name)
    return None if found is None else f"`{found[0]}` is {found[1].owner}; here it is {found[1].advice}."


def explain_word(word: str, schedules: Collection[str] = ()) -> str | None:
    """Return a sentence that says what others' parameter or setting is here; None if it is not known.

    `schedules` are those of ours that it was given to, by name.

    >>> explain_word("--T-max")
    "`T_max` is PyTorch's; here `cosine` takes all `epochs` by itself."
    """
    found = _find(PARAMETERS, word)
    if found is None:
        return explain_schedule(word)
    name, known = found
    advice = dict.fromkeys(known.by_schedule.get(schedule, known.advice) for schedule in schedules or ("",))
    return f"`{name}` is {known.owner}; {'; '.join(advice)}."


def plain(word: str) -> str:
    """Return a word without what differs between ways to write it: case, underscores and dashes."""
    return word.lower().replace("_", "").replace("-", "")


def _find(table: Mapping[str, Foreign], word: str) -> tuple[str, Foreign] | None:
    if word in table:
        return word, table[word]
    return next(((name, known) for name, known in table.items() if plain(name) == plain(word)), None)
