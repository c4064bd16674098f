"""What is tried: a candidate, which is a schedule and a momentum, and the optimizer that all members of a study share.

What may differ between members, or from step to step, is the candidate's: the learning rate, and the momentum, which
is SGD's and RMSprop's `momentum` and Adam's and AdamW's `beta_1`. Ranges and defaults of optimizers are Keras'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, SerializeAsAny, Tag, ValidationError, model_validator

from sweep.errors import BadInput, first_problem, nearest
from sweep.model import StrictModel
from sweep.schedules import ClosedLoop, Schedule, Timeline, build, schedule_class
from sweep.schedules.base import MODIFIERS, explain_parameter
from sweep.schedules.rules import Monitor
from sweep.space import Value


class Candidate(StrictModel):
    """A schedule and a momentum, checked once, when made."""

    schedule: SerializeAsAny[Schedule]
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _watches_what_is_recorded(self) -> Self:
        if isinstance(self.schedule, ClosedLoop):
            self.schedule.require_recorded()
        return self

    @property
    def params(self) -> dict[str, Value]:
        """The flat names and values that an Optuna trial of this candidate holds."""
        name = self.schedule.name
        own = {f"{name}.{key}": value for key, value in self.schedule.parameters.items()}
        return {
            "schedule": name,
            "learning_rate": self.schedule.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            **own,
        }

    def highest_momentum(self, timeline: Timeline) -> float:
        """Return the highest momentum of all steps, which the optimizer is made with."""
        return float(self.schedule.momenta(timeline, self.momentum).max())


class EarlyStopping(StrictModel):
    """When a training ends before its last epoch, as Keras' `EarlyStopping` decides and with its defaults.

    Args:
        monitor: what is watched after each epoch.
        patience: so many epochs without an improvement end the training.
        min_delta: what is better by no more than this is no improvement.
        mode: whether lower (`min`) or higher (`max`) is better; `auto` goes by the monitor.
        baseline: epochs count as without an improvement until this is beaten.
        start_from_epoch: the first epoch that is watched, from 0.
        restore_best_weights: whether the training ends with the weights of its best epoch, or of its last one.
    """

    monitor: Monitor = "val_loss"
    patience: int = Field(default=0, ge=0)
    min_delta: float = Field(default=0.0, ge=0)
    mode: Literal["auto", "min", "max"] = "auto"
    baseline: float | None = None
    start_from_epoch: int = Field(default=0, ge=0)
    restore_best_weights: bool = False

    @property
    def sign(self) -> float:
        """1 if lower is better, and -1 otherwise."""
        rises = "accuracy" in self.monitor if self.mode == "auto" else self.mode == "max"
        return -1.0 if rises else 1.0

    @property
    def arguments(self) -> dict[str, Value]:
        """What Keras' class is made with."""
        mode = "min" if self.sign > 0 else "max"
        return self.model_dump(exclude={"mode", "baseline"} if self.baseline is None else {"mode"}) | {"mode": mode}


def from_params(params: Mapping[str, Value]) -> Candidate:
    """Build the candidate that flat `params` describe.

    Raises:
        BadInput: for an unknown schedule, a missing or unknown parameter, or a value outside its range.

    >>> from_params({"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 10}).momentum
    0.0
    """
    rest = dict(params)
    kind = schedule_class(str(rest.pop("schedule", "")), "schedule")
    chosen = {key: rest.pop(key) for key in ("momentum", "nesterov") if key in rest}
    prefix = f"{kind.name}."
    known = {"learning_rate": "learning_rate"} | {f"{prefix}{key}": key for key in kind.own_parameters()}
    unknown = next((key for key in rest if key not in known), None)

    def written(key: str) -> str:
        return key if key == "learning_rate" else prefix + key

    if unknown is not None:
        key = unknown.removeprefix(prefix)
        raise BadInput(key, f"unknown key{explain_parameter(key, [kind], written)}")
    schedule = build(kind, {known[key]: value for key, value in rest.items()})
    try:
        return Candidate.model_validate({"schedule": schedule, **chosen})
    except ValidationError as error:
        raise first_problem(error) from error


def describe(params: Mapping[str, Value], *, momentum: bool = True) -> str:
    """Return what flat `params` tell in one line, to three digits: schedule, initial rate, own parameters, momentum.

    Modifiers that change nothing are left out.

    >>> describe({"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "momentum": 0.9})
    'step 0.1, drop 0.5, momentum 0.9'
    """
    name, rate = params.get("schedule", ""), params.get("learning_rate")
    prefix = f"{name}."
    own = {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}
    own = {key: value for key, value in own.items() if value or key not in MODIFIERS}
    shared = {"momentum": params["momentum"]} if momentum and "momentum" in params else {}
    first = str(name) if rate is None else f"{name} {rate:.3g}"
    values = (own | shared).items()
    words = [f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values]
    return ", ".join([first, *words])


Factor = Annotated[float, Field(ge=0)]


class LayeredOptimizer(StrictModel):
    """What every optimizer has: a learning rate that layers may take a share of, and what Keras takes by default."""

    usual_rate: ClassVar[float] = 0.001
    usual_momentum: ClassVar[float] = 0.0

    layer_rates: dict[str, Factor] = Field(
        default={}, description="factor of the learning rate by layer name; 1 for a layer that is not named"
    )
    layer_decay: float | None = Field(
        default=None, gt=0, le=1, description="factor of each layer's learning rate to that of the layer above it"
    )

    @property
    def layered(self) -> bool:
        """Whether layers have learning rates of their own."""
        return bool(self.layer_rates) or self.layer_decay is not None

    @model_validator(mode="after")
    def _factors_come_from_one_rule(self) -> Self:
        if self.layer_rates and self.layer_decay is not None:
            raise ValueError("give either layer_rates or layer_decay, not both.")
        return self


class Sgd(LayeredOptimizer):
    """Gradient descent with momentum, and Nesterov's if a candidate says so."""

    usual_rate: ClassVar[float] = 0.01

    name: Literal["sgd"] = "sgd"


class AdaptiveMoments(LayeredOptimizer):
    """What Adam and AdamW have in common; their `beta_1` is the candidate's momentum."""

    usual_momentum: ClassVar[float] = 0.9

    beta_2: float = Field(default=0.999, ge=0, lt=1, description="decay of the squared gradient's moving average")
    epsilon: float = Field(default=1e-7, gt=0, description="added to the root of that average")


class Adam(AdaptiveMoments):
    """Adam, without weight decay."""

    name: Literal["adam"] = "adam"


class AdamW(AdaptiveMoments):
    """Adam with weight decay that is decoupled from the gradient."""

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(
        default=0.004, ge=0, description="share of every weight lost in a step, times the learning rate"
    )


class RMSprop(LayeredOptimizer):
    """RMSprop with momentum, not centred."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: float = Field(default=0.9, ge=0, lt=1, description="decay of the squared gradient's moving average")
    epsilon: float = Field(default=1e-7, gt=0, description="added to that average under the root")


KERAS_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}


Optimizer: TypeAlias = Annotated[
    Annotated[Sgd, Tag("<sgd>")]
    | Annotated[Adam, Tag("<adam>")]
    | Annotated[AdamW, Tag("<adamw>")]
    | Annotated[RMSprop, Tag("<rmsprop>")],
    Discriminator(
        # The brackets keep the tag out of an error's field.
        lambda given: f"<{given.get('name', 'sgd') if isinstance(given, dict) else getattr(given, 'name', '')}>",
        custom_error_type="optimizer_name",
        custom_error_message=f"must be a table with a name, one of {', '.join(KERAS_NAMES)}",
    ),
]


def layer_factors(optimizer: Optimizer, layers: Sequence[str]) -> dict[str, float]:
    """Return the factor of each layer's learning rate; `layers` have weights to train, from input to output.

    Raises:
        BadInput: if `layer_rates` has another layer.

    >>> layer_factors(Sgd(layer_decay=0.5), ["first", "second", "output"])
    {'first': 0.25, 'second': 0.5, 'output': 1.0}
    """
    if optimizer.layer_decay is not None:
        depths = reversed(range(len(layers)))
        return {layer: optimizer.layer_decay**depth for layer, depth in zip(layers, depths, strict=True)}
    for name in optimizer.layer_rates:
        if name not in layers:
            known = f"{nearest(name, layers)}; there are {', '.join(layers)}" if layers else ""
            raise BadInput("optimizer.layer_rates", f"there is no layer `{name}` with weights to train{known}")
    return {layer: optimizer.layer_rates.get(layer, 1.0) for layer in layers}
