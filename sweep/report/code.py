"""Code to copy from a page: what a verdict recommends as plain Keras code, which needs nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sweep.candidate import KERAS_NAMES, AdaptiveMoments, Candidate
from sweep.config.plan import Plan
from sweep.schedules import ClosedLoop, Timeline
from sweep.schedules.keras_documents import find_keras_form
from sweep.schedules.source import Call, literal, write_code
from sweep.task import DEFAULT_METRICS, Task
from sweep.verdict.record import Contender, SplitFacts

SCHEDULES = "keras.optimizers.schedules"
TABLE = f'''

class Rates({SCHEDULES}.LearningRateSchedule):
    """The rate of each step; after the last one it stays."""

    def __call__(self, step):
        table = keras.ops.convert_to_tensor(RATES.ravel(), "float32")
        return table[keras.ops.minimum(keras.ops.cast(step, "int32"), RATES.size - 1)]

    def get_config(self):
        return {{}}


'''


@dataclass(frozen=True)
class Snippet:
    """Lines of Python, and what must be known of them; without lines, why there are none."""

    text: str
    note: str


def write_snippet(plan: Plan, split: SplitFacts, contender: Contender) -> Snippet:
    """Return what trains a setting: its schedule, the optimizer, and the calls of `compile` and `fit`.

    Steps are those of the study's own training rows. A schedule of Keras' own stands for one of ours if it has its
    rates at every step.
    """
    candidate, training = contender.candidate, plan.training
    timeline = training.timeline(split.train_rows)
    moves = candidate.schedule.momenta(timeline, candidate.momentum).min() < candidate.highest_momentum(timeline)
    if isinstance(candidate.schedule, ClosedLoop) or moves:
        what = "moves the momentum" if moves else "follows what it watches"
        return Snippet("", f"The schedule {what}, which takes a callback and more than a few lines.")
    before, rate = _rate(candidate, timeline)
    fit = [f"epochs={training.epochs}", f"batch_size={training.batch_size}"]
    fit += ["class_weight=..."] * (training.class_weight is not None)
    fit += ["callbacks=[keras.callbacks.EarlyStopping(...)]"] * (training.early_stopping is not None)
    statements = [
        Call(f"keras.optimizers.{KERAS_NAMES[plan.optimizer.name]}", _arguments(plan, candidate, rate)).after(
            "optimizer = "
        ),
        Call("model.compile", ("optimizer=optimizer", f"loss={_loss(plan, split)}")).after(""),
        Call("model.fit", ("x", "y", *fit)).after(""),
    ]
    notes = []
    if rate in ("rate", "Rates()"):
        steps = f"{timeline.steps_per_epoch:,} steps an epoch, as {split.train_rows:,} training rows have in batches of"
        notes.append(f"The schedule counts {steps} {training.batch_size:,}.")
    if plan.model.build is not None:
        notes.append("A model that comes compiled keeps its own optimizer, with this rate and momentum.")
    if plan.optimizer.layered:
        notes.append("The layers' own rates are left out here.")
    return Snippet(before + "\n".join(statements), " ".join(notes))


def _rate(candidate: Candidate, timeline: Timeline) -> tuple[str, str]:
    """Return the statements before the optimizer is made, and its rate."""
    schedule = candidate.schedule
    rates = schedule.rates(timeline)
    if rates.min() == rates.max():
        return "import keras\n\n", literal(float(rates.max()))
    theirs = find_keras_form(schedule, timeline, rates)
    if theirs is not None:
        own = tuple(f"{key}={literal(value)}" for key, value in theirs.arguments.items())
        return f"import keras\n\n{Call(f'{SCHEDULES}.{type(theirs).__name__}', own).after('rate = ')}\n", "rate"
    code = write_code(schedule, timeline, candidate.momentum)
    imports = "\n".join([*code.imports, *([""] if code.imports else []), "import keras", "import numpy as np"])
    modules = "".join(f"\nimport {module}" for module in code.modules)
    sizes = f"EPOCHS, STEPS_PER_EPOCH = {timeline.epochs}, {timeline.steps_per_epoch}"
    gap = "\n\n\n" if code.text.startswith("def ") else "\n"
    return f"{imports}{modules}\n\n{sizes}{gap}{code.text}\n{TABLE}", "Rates()"


def _arguments(plan: Plan, candidate: Candidate, rate: str) -> tuple[str, ...]:
    optimizer = plan.optimizer
    name = "beta_1" if isinstance(optimizer, AdaptiveMoments) else "momentum"
    own: Mapping[str, object] = optimizer.model_dump(
        exclude={"name", "layer_rates", "layer_decay"}, exclude_defaults=True
    )
    given: dict[str, object] = {name: candidate.momentum, **({"nesterov": True} if candidate.nesterov else {}), **own}
    return f"learning_rate={rate}", *(f"{key}={literal(value)}" for key, value in given.items())


def _loss(plan: Plan, split: SplitFacts) -> str:
    """Return the loss of the task; a model of one's own may have another one."""
    if plan.model.build is not None or plan.model.name is not None or plan.metric == DEFAULT_METRICS["heads"]:
        return "..."
    return literal(Task.of(len(split.classes), labels=bool(split.labels)).loss)
