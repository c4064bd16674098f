"""What a schedule is: a frozen set of parameters, and the rule that turns time into a learning rate.

The rule is a function on arrays, so that one text of it serves a table of rates, a population inside a compiled
program, a Keras callback and exported code.
"""

from __future__ import annotations

import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from sweep.errors import BadInput, first_problem
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space, Value

Monitor: TypeAlias = Literal["loss", "accuracy", "val_loss", "val_accuracy"]
State: TypeAlias = dict[str, Any]
MODIFIERS = ("warmup", "floor")
HIGHEST = 1e30  # rates, and what is compared with losses, must stay finite in single precision


def ratio(description: str) -> Any:
    """Return the range of a parameter from 0 to 1."""
    return Field(ge=0, le=1, description=description)


def positive_ratio(description: str) -> Any:
    """Return the range of a parameter above 0 and up to 1."""
    return Field(gt=0, le=1, description=description)


def count(description: str) -> Any:
    """Return the range of a whole number of epochs or parts."""
    return Field(ge=1, le=1_000_000, description=description)


def span(low: float, high: float, *, log: bool = False) -> Range:
    """Return the range that a search draws a parameter from, evenly in its logarithm if `log`."""
    return Range(low=low, high=high, log=log)


Warmup = Annotated[float, Field(ge=0, lt=1, description="share of the batches in which the rate rises from 0")]


class Schedule(BaseModel, ABC):
    """The rule that gives the learning rate of every step of a training.

    A subclass states its `name`, where it comes from (`source`), its own parameters as fields, and a `default_space`
    from which a search draws each of them when a study file does not say. Its docstring begins with its `formula`,
    in backquotes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    default_space: ClassVar[dict[str, Space]] = {}

    learning_rate: float = Field(
        gt=0, le=HIGHEST, description="the rate of which all others are multiples; the first or highest"
    )
    warmup: Warmup = 0.0
    floor: float = Field(default=0.0, ge=0, le=1, description="lowest rate after the warm-up, a share of learning_rate")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Take the formula from the docstring."""
        super().__pydantic_init_subclass__(**kwargs)
        stated = re.match("`(.+?)`", cls.__doc__ or "")
        if stated:
            cls.formula = stated[1]

    @abstractmethod
    def rates(self, timeline: Timeline) -> Numbers:
        """Return the learning rate of each step, `[epochs, steps_per_epoch]`."""

    def base_rates(self, timeline: Timeline) -> Numbers:
        """Return the rates before the gain of a closed-loop schedule, `[epochs, steps_per_epoch]`."""
        return self.rates(timeline)

    def momenta(self, timeline: Timeline, momentum: float) -> Numbers:
        """Return the momentum of each step, `[epochs, steps_per_epoch]`, where `momentum` is the highest."""
        return np.full_like(timeline.batch, momentum)

    @classmethod
    def own_parameters(cls) -> tuple[str, ...]:
        """Return the names of the parameters that other schedules need not have, the modifiers last."""
        own = [name for name in cls.model_fields if name not in ("learning_rate", *MODIFIERS)]
        return (*own, *MODIFIERS)

    @property
    def parameters(self) -> dict[str, Value]:
        """The values of this schedule's own parameters; one that is None is left out."""
        values = self.model_dump(include=set(self.own_parameters()), exclude_none=True)
        return {name: values[name] for name in self.own_parameters() if name in values}

    @property
    def used_parameters(self) -> dict[str, Value]:
        """The same without modifiers that change nothing, for a person to read."""
        return {name: value for name, value in self.parameters.items() if name not in MODIFIERS or value}

    @property
    def document(self) -> dict[str, Any]:
        """The whole schedule as JSON may hold it, with its defaults, so that later defaults do not change it."""
        return {"name": self.name, "learning_rate": self.learning_rate, **self.parameters}

    @property
    def foreign_functions(self) -> tuple[str, ...]:
        """The user's functions that its rates come from, as `module:function`."""
        return ()

    @property
    def settings(self) -> dict[str, Any]:
        """What the schedule's formula may take besides time: every field but the modifiers."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in MODIFIERS}

    def by_epoch(self, epochs: int, steps_per_epoch: int = 1) -> list[float]:
        """Return the rate at the start of each epoch to ten digits, as `sweep schedule show` prints it."""
        starts = self.rates(Timeline(epochs=epochs, steps_per_epoch=steps_per_epoch))[:, 0]
        return [float(f"{rate:.10g}") for rate in starts]

    def to_json(self) -> str:
        """Return the schedule as one JSON document, which `from_json` reads."""
        return json.dumps(self.document)

    @staticmethod
    def from_json(text: str) -> Schedule:
        """Read a schedule from JSON: its own document, or one with the schedule under the key `schedule`.

        Raises:
            BadInput: for text that is no JSON, an unknown schedule, or a parameter outside its range.
        """
        from sweep.schedules.catalogue import read_schedule  # noqa: PLC0415 - the catalogue knows every subclass

        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:  # a thousand brackets
            raise BadInput("schedule", f"is not valid JSON: {error}.") from error
        if not isinstance(document, dict):
            raise BadInput("schedule", "must be a JSON object.")
        inner = document.get("schedule", document)
        return read_schedule(inner if isinstance(inner, dict) else document)

    def to_keras(self, *, steps_per_epoch: int, epochs: int) -> Any:
        """Return the schedule for any Keras 3 model: a `LearningRateSchedule`, or a `Callback` if it is closed-loop."""
        from sweep.schedules.keras import to_keras  # noqa: PLC0415 - Keras takes seconds to load

        return to_keras(self, Timeline(epochs=epochs, steps_per_epoch=steps_per_epoch))

    def momentum_to_keras(self, *, steps_per_epoch: int, epochs: int, momentum: float) -> Any:
        """Return the `Callback` by which the momentum, or Adam's `beta_1`, follows; `momentum` is the highest."""
        from sweep.schedules.keras import MomentumTable  # noqa: PLC0415 - Keras takes seconds to load

        return MomentumTable(self.momenta(Timeline(epochs=epochs, steps_per_epoch=steps_per_epoch), momentum))

    def ramp(self, timeline: Timeline) -> Numbers:
        """Return the share of the rate that the warm-up lets through, `[epochs, steps_per_epoch]`."""
        batches = self.warmup_batches(timeline)
        return np.minimum(1.0, timeline.batch / batches) if batches else np.ones_like(timeline.batch)

    def warmup_batches(self, timeline: Timeline) -> int:
        """Return the number of batches of the warm-up; at least one batch follows it."""
        return min(round(self.warmup * timeline.batches), timeline.batches - 1)

    def own_time(self, timeline: Timeline) -> Timeline:
        """Return the time that follows the warm-up, which is the schedule's own."""
        return timeline.part(self.warmup_batches(timeline), timeline.batches)

    def modify(self, rates: Numbers, timeline: Timeline) -> Numbers:
        """Return rates of the schedule's own time with floor and warm-up, `[epochs, steps_per_epoch]`."""
        return np.maximum(rates, self.floor * self.learning_rate) * self.ramp(timeline)


class OpenLoop(Schedule):
    """A schedule that depends on time only; `schedule` makes one from its formula.

    `function(time, learning_rate, ...)` gives the rates from a timeline and the schedule's fields. Its text is what
    `sweep export` prints, so it uses nothing but its arguments and NumPy as `np`. If the momentum moves as well,
    `momentum_function(time, momentum, ...)`, of the same kind, gives it.
    """

    function: ClassVar[Callable[..., Numbers]]
    momentum_function: ClassVar[Callable[..., Numbers] | None] = None

    if TYPE_CHECKING:  # the fields of a class that `schedule` makes are known when it runs

        def __init__(self, **values: Any) -> None: ...

    def rates(self, timeline: Timeline) -> Numbers:
        """Return the learning rate of each step, `[epochs, steps_per_epoch]`."""
        function = type(self).function
        return self.modify(function(self.own_time(timeline), **accepted(function, self.settings)), timeline)

    def momenta(self, timeline: Timeline, momentum: float) -> Numbers:
        """Return the momentum of each step, `[epochs, steps_per_epoch]`, where `momentum` is the highest."""
        function = type(self).momentum_function
        if function is None:
            return super().momenta(timeline, momentum)
        return function(self.own_time(timeline), momentum, **accepted(function, self.settings))


def accepted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that are parameters of `function`."""
    return {key: value for key, value in values.items() if key in inspect.signature(function).parameters}


def schedule(
    *,
    source: str,
    space: Mapping[str, Space] | None = None,
    warmup: float = 0.0,
    momentum: Callable[..., Numbers] | None = None,
    name: str = "",
) -> Callable[[Callable[..., Numbers]], type[OpenLoop]]:
    """Make an open-loop schedule's class from its formula, `function(time, learning_rate, ...)`.

    Each parameter that is annotated as `Annotated[type, Field(...)]` becomes a field of the class, with its range,
    description and default. The first paragraph of the docstring stays the function's and leaves with exported code;
    the others are the class's: the formula in backquotes, notes and an example. The class takes the function's place
    in its module, so that it can be pickled.

    Args:
        source: where the schedule comes from.
        space: what a search draws parameters from by default.
        warmup: the default share of the warm-up.
        momentum: the momentum, `momentum(time, momentum, ...)`; its annotated parameters become fields too.
        name: the schedule's name, if it is not the function's.
    """

    def make(function: Callable[..., Numbers]) -> type[OpenLoop]:
        fields: dict[str, Any] = {"warmup": (Warmup, warmup)} if warmup else {}
        for formula in filter(None, (function, momentum)):
            hints = get_type_hints(formula, include_extras=True)
            for key, parameter in inspect.signature(formula).parameters.items():
                if get_origin(hints[key]) is Annotated:
                    given = parameter.default is not parameter.empty
                    fields.setdefault(key, (hints[key], parameter.default) if given else hints[key])
        title = (name or function.__name__).title().replace("_", "")
        function.__doc__, _, about = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        made = create_model(title, __base__=OpenLoop, __module__=function.__module__, __doc__=about, **fields)
        made.__qualname__ = function.__name__
        made.name, made.source, made.default_space = name or function.__name__, source, dict(space or {})
        made.function, made.momentum_function = function, momentum
        return made

    return make


class ClosedLoop(Schedule):
    """A schedule that watches the training and decides between epochs.

    Its rate is `learning_rate`, after any warm-up, times a gain. It watches from the epoch in which the warm-up ends;
    the gain is 1 until then. `advance(xp, state, cost, schedule)` returns the state for the next epoch from the state
    of the last and the watched quantity, which counts as better the lower it is. The state is a dict of numbers or
    arrays, `gain` among them; `schedule` has the fields as attributes, numbers or arrays; `xp` is NumPy or
    TensorFlow, of which it uses `where`, `minimum`, `maximum`, `exp` and the `logical_` functions only.
    """

    advance: ClassVar[Callable[..., State]]
    initial_state: ClassVar[Mapping[str, float]]

    monitor: Monitor = Field(default="val_loss", description="what is watched")

    @property
    def sign(self) -> float:
        """1 if the watched quantity is better the lower it is, and -1 otherwise."""
        return -1.0 if self.monitor.endswith("accuracy") else 1.0

    @classmethod
    def numbers(cls) -> tuple[str, ...]:
        """Return the names of the fields that `advance` may read."""
        return tuple(name for name in cls.model_fields if name not in ("learning_rate", "monitor", "warmup"))

    def next(self, state: State, shown: float) -> State:
        """Return the next epoch's state from the value of `monitor` after the last."""
        after = type(self).advance(np, state, self.sign * shown, self)
        return {name: float(value) for name, value in after.items()}

    def base_rates(self, timeline: Timeline) -> Numbers:
        """Return the rates that the gain multiplies, `[epochs, steps_per_epoch]`."""
        return self.learning_rate * self.ramp(timeline)

    def first_watched(self, timeline: Timeline) -> int:
        """Return the first epoch after which it decides, counted from 0."""
        return self.warmup_batches(timeline) // timeline.steps_per_epoch

    def gains(self, shown: Sequence[float], first_watched: int = 0) -> Numbers:
        """Return the gain of each epoch, given the value of `monitor` after each; the last is not needed."""
        state: State = dict(self.initial_state)
        gains = []
        for epoch, value in enumerate(shown):
            gains.append(state["gain"])
            state = self.next(state, value) if epoch >= first_watched else state
        return np.array(gains)

    def rates(self, timeline: Timeline, shown: Sequence[float] | None = None) -> Numbers:
        """Return the rates that follow from the value of `monitor` after each epoch, `[epochs, steps_per_epoch]`.

        Without values, `monitor` is taken as constant.
        """
        watched = [0.0] * timeline.epochs if shown is None else shown
        return self.base_rates(timeline) * self.gains(watched, self.first_watched(timeline))[:, None]


def build(kind: type[Schedule], values: Mapping[str, Any]) -> Schedule:
    """Make a schedule; raise `BadInput` naming the parameter that breaks a rule."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise first_problem(error) from error
