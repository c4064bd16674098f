"""The schedules that are more than a formula of time: two in a row, the user's own function, and those that watch."""

from __future__ import annotations

import inspect
import json
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Annotated, Any, ClassVar, Literal, SupportsIndex, TypeAlias, get_args

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_serializer, field_validator

from sweep.errors import BadInput
from sweep.schedules.base import CATALOGUE, HIGHEST, OpenLoop, Schedule, read_schedule, span
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Space
from sweep.user_code import call, check_name, find_function

Monitor: TypeAlias = Literal["loss", "accuracy", "val_loss", "val_accuracy"]  # what a study records of each epoch
Direction: TypeAlias = Literal["min", "max"]
State: TypeAlias = dict[str, Any]
RateFunction: TypeAlias = Callable[[Timeline], Numbers]
DEEPEST = 3  # each level doubles the text of a join


def join(time: Timeline, first: RateFunction, second: RateFunction, at: float) -> Numbers:
    """Return `first` of the time before the fraction `at`, and `second` of the time from there on."""
    begin = round(at * time.batches)
    if begin == 0:
        return second(time)
    if begin == time.batches:
        return first(time)
    before, after = first(time.part(0, begin)), second(time.part(begin, time.batches))
    return np.where(time.batch < begin, before, after)


def read_nested(given: Any, info: ValidationInfo) -> Schedule:
    """Read a schedule's name, or a whole one as an object, a dict or JSON text; it may leave out `learning_rate`."""
    if _lies_deep(given):
        raise ValueError(f"joins may lie at most {DEEPEST} deep in each other.")
    if isinstance(given, Schedule):
        schedule = given
    else:
        inherited = {key: value for key, value in info.data.items() if key == "learning_rate"}
        try:
            schedule = read_schedule({**inherited, **_document(given)})
        except BadInput as error:
            blamed = "" if error.field == "name" else f"`{error.field}` "
            raise ValueError(f"{blamed}{error.reason}") from error
    if isinstance(schedule, ClosedLoop):
        raise ValueError(f"must be a schedule that depends on time alone, got `{schedule.name}`.")
    return schedule


def _document(given: Any) -> Mapping[str, Any]:
    document = given
    if isinstance(given, str):
        try:
            document = json.loads(given) if given.lstrip().startswith("{") else {"name": given}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"`{given}` is not valid JSON: {error}.") from error
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a schedule's name or a whole schedule, got {given!r}.")
    return document


def _lies_deep(given: Any, levels: int = DEEPEST) -> bool:
    """Say whether more than `levels` joins lie in each other."""
    try:
        document = vars(given) if isinstance(given, Schedule) else _document(given)
    except ValueError:  # it holds no schedule; `read_nested` says why
        return False
    parts = [document[key] for key in ("first", "second") if key in document]
    return bool(parts) and (levels == 0 or any(_lies_deep(part, levels - 1) for part in parts))


Nested: TypeAlias = Annotated[Schedule, BeforeValidator(read_nested), WithJsonSchema({"type": "string"})]


class Join(OpenLoop):
    """`rate: first's before the fraction at, second's from there on; the budget of each is its own part`.

    A schedule given by name has this one's learning rate, and so has a whole one that states none. Momenta join too.

    >>> schedule = Join(learning_rate=1, first="constant", second="linear", at=0.5)
    >>> schedule.by_epoch(8), schedule.used_parameters
    ([1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25], {'first': 'constant', 'second': 'linear', 'at': 0.5})
    """

    name = "join"
    source = "SequentialLR of PyTorch, by fractions"
    default_space: ClassVar[dict[str, Space]] = {
        "first": ("constant", "triangular"),
        "second": ("linear", "cosine", "exponential_by_batch"),
        "at": span(0.1, 0.9),
    }
    function = join

    first: Nested = Field(
        default="constant", validate_default=True, description="schedule of the first part, by name or as JSON"
    )
    second: Nested = Field(
        default="cosine", validate_default=True, description="schedule of the second part, by name or as JSON"
    )
    at: float = Field(default=0.5, gt=0, lt=1, description="fraction of the training at which the second begins")

    @property
    def foreign_functions(self) -> tuple[str, ...]:
        """The functions of both parts."""
        return (*self.first.foreign_functions, *self.second.foreign_functions)

    @property
    def settings(self) -> dict[str, Any]:
        """What `join` takes besides time: the rates of both parts as functions of it, and `at`."""
        return {"first": self.first.rates, "second": self.second.rates, "at": self.at}

    def momenta(self, timeline: Timeline, momentum: float) -> Numbers:
        """Return the joined momenta of both parts."""
        first, second = self.first.momenta, self.second.momenta
        return join(
            self.own_time(timeline), lambda time: first(time, momentum), lambda time: second(time, momentum), self.at
        )

    @field_serializer("first", "second")
    def _text(self, part: Schedule) -> str:
        """Write what `read_nested` reads back: no more than the name, if that says all."""
        stated = {} if part.learning_rate == self.learning_rate else {"learning_rate": part.learning_rate}
        fields = type(part).model_fields
        own = {name: value for name, value in part.parameters.items() if value != fields[name].default}
        return json.dumps({"name": part.name, **stated, **own}) if stated or own else part.name


class Function(Schedule):
    """`rate: what the function returns for the epoch, or for the epoch and the last rate if it takes both`.

    Epochs count from 0, and the last rate of the first is `learning_rate`. It is no `OpenLoop`, because its text
    need not be one that runs anywhere else.

    >>> Function(learning_rate=2, function="math:pow").by_epoch(3)
    [0.0, 1.0, 2.0]
    """

    name = "function"
    source = "Keras' LearningRateScheduler"

    function: str = Field(description="the function, as module:function")

    @field_validator("function")
    @classmethod
    def _is_a_name(cls, function: str) -> str:
        """Check the form alone; the function, which is not our code, is looked for when rates are asked for."""
        check_name(function)
        return function

    @property
    def foreign_functions(self) -> tuple[str, ...]:
        """The function that its rates come from."""
        return (self.function,)

    def rates(self, timeline: Timeline) -> Numbers:
        """Return the rates; `BadInput` for a function that is not found, fails, or returns no rate of at least 0."""
        epochs = self.own_time(timeline).epoch.astype(int)
        function = find_function(self.function, "function")
        with_rate, rates = takes_rate(function), [self.learning_rate]
        for epoch in range(int(epochs.max()) + 1):
            rates.append(self._call(function, epoch, *rates[-1:] * with_rate))
        return self.modify(np.array(rates[1:])[epochs], timeline)

    def _call(self, function: Callable[..., Any], epoch: int, *rate: float) -> float:
        try:
            returned = call(function, epoch, *rate)
        except Exception as error:
            reason = f"`{self.function}` must not fail, but for epoch {epoch} raised {type(error).__name__}: {error}."
            raise BadInput("function", reason) from error
        try:
            number = float(returned) if isinstance(returned, Real) and not isinstance(returned, bool) else np.nan
        except OverflowError:  # a whole number of hundreds of digits
            number = np.nan
        if not 0 <= number <= HIGHEST:
            rule = "a rate of at least 0" if -HIGHEST <= number < 0 else "a finite float"
            got = reprlib.repr(returned)
            raise BadInput("function", f"`{self.function}` must return {rule} for epoch {epoch}, got {got}.")
        return number


def takes_rate(function: Callable[..., Any]) -> bool:
    """Say whether a function can be called with epoch and rate; one that hides its parameters gets the epoch alone."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):
        return False
    return True


class ClosedLoop(Schedule):
    """A schedule that watches the training and decides between epochs.

    Its rate is `learning_rate`, after any warm-up, times a gain. It watches from the epoch in which the warm-up ends;
    the gain is 1 until then. `advance(xp, state, cost, schedule)` returns the state for the next epoch from the state
    of the last and the watched quantity, which counts as better the lower it is. The state is a dict of numbers or
    arrays, `gain` among them; `schedule` has the fields as attributes, numbers or arrays; `xp` is NumPy or
    TensorFlow, of which it uses `where`, `minimum`, `maximum`, `exp` and the `logical_` functions only.

    In Keras code of one's own it may watch any metric of the model; of what a study records, `recorded` names those
    that fit the rule.
    """

    advance: ClassVar[Callable[..., State]]
    initial_state: ClassVar[Mapping[str, float]]
    recorded: ClassVar[tuple[str, ...]] = get_args(Monitor)

    monitor: str = Field(default="val_loss", min_length=1, description="what is watched")
    mode: Literal["auto", "min", "max"] | None = Field(
        default=None, description="whether monitor is better low or high; by default auto, as its metric says"
    )

    @property
    def direction(self) -> Direction | None:
        """The way in which the watched quantity is better; None if the model alone that has the metric can tell."""
        stated: dict[str | None, Direction] = {"min": "min", "max": "max"}
        known: dict[str, Direction] = {"loss": "min", "accuracy": "max"}
        return stated.get(self.mode) or known.get(self.monitor.removeprefix("val_"))

    @property
    def sign(self) -> float:
        """-1 if the watched quantity is better the higher it is, and 1 otherwise."""
        return -1.0 if self.direction == "max" else 1.0

    def require_recorded(self) -> None:
        """Raise `BadInput` for a monitor that a study does not record."""
        if self.monitor not in self.recorded:
            *others, last = (repr(name) for name in self.recorded)
            rule = f"must be {', '.join(others)} or {last}, which a study records"
            elsewhere = "in Keras code of your own, by `to_keras`, it may be any metric"
            raise BadInput("monitor", f"{rule} ({elsewhere}), got {self.monitor!r}.")

    @classmethod
    def numbers(cls) -> tuple[str, ...]:
        """Return the names of the fields that `advance` may read."""
        others = ("learning_rate", "monitor", "mode", "warmup", "warmup_from")
        return tuple(name for name in cls.model_fields if name not in others)

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

    def to_keras(self, *, steps_per_epoch: SupportsIndex, epochs: SupportsIndex) -> Any:
        """Return the `Callback` that sets the rate in any Keras 3 model, and keeps its state in the model."""
        from sweep.schedules.keras import ClosedLoopRates  # noqa: PLC0415 - Keras takes seconds to load

        return ClosedLoopRates(self, Timeline.of(epochs, steps_per_epoch))


def plateau(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Lower the gain by `factor` after `patience` epochs without improvement, then rest for `cooldown` epochs."""
    better = cost + schedule.min_delta < state["best"]
    resting = xp.maximum(state["resting"] - 1.0, 0.0)
    counts = xp.logical_not(xp.logical_or(better, resting > 0.0))
    waited = xp.where(xp.logical_or(better, state["resting"] > 0.0), 0.0, state["waited"])
    waited = xp.where(counts, waited + 1.0, waited)
    enough = xp.logical_and(counts, waited >= schedule.patience)
    lower = xp.logical_and(enough, state["gain"] > schedule.floor)
    return {
        "gain": xp.where(lower, xp.maximum(state["gain"] * schedule.factor, schedule.floor), state["gain"]),
        "best": xp.where(better, cost, state["best"]),
        "waited": xp.where(lower, 0.0, waited),
        "resting": xp.where(lower, schedule.cooldown, resting),
    }


class Plateau(ClosedLoop):
    """`rate: falls by factor after patience epochs in which monitor did not improve by min_delta`.

    >>> Plateau(learning_rate=0.1, factor=0.5, patience=2).gains([0.9, 0.8, 0.8, 0.8, 0.7]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.5]
    """

    name = "plateau"
    source = "Keras' ReduceLROnPlateau"
    default_space: ClassVar[dict[str, Space]] = {"factor": span(0.1, 0.9), "patience": span(1, 20)}
    advance = plateau
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0, "best": math.inf, "waited": 0.0, "resting": 0.0}

    factor: float = Field(default=0.1, gt=0, lt=1, description="factor of the rate at each reduction")
    patience: int = Field(
        default=10, ge=0, le=1_000_000, description="number of epochs without improvement before a reduction; 0 is as 1"
    )
    cooldown: int = Field(
        default=0, ge=0, le=1_000_000, description="number of epochs after a reduction in which none is counted"
    )
    min_delta: float = Field(
        default=1e-4, ge=0, le=HIGHEST, description="least change of monitor that counts as an improvement"
    )


def accuracy_drop(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Lower the gain by `factor` if the cost is higher than an epoch ago; one that is no number changes nothing."""
    fell = cost > state["last"] + schedule.min_delta
    lower = xp.logical_and(fell, state["gain"] > schedule.floor)
    return {
        "gain": xp.where(lower, xp.maximum(state["gain"] * schedule.factor, schedule.floor), state["gain"]),
        "last": xp.where(cost < float("inf"), cost, state["last"]),
    }


class AccuracyDrop(ClosedLoop):
    """`rate: falls by factor after an epoch in which monitor fell by more than min_delta`.

    >>> AccuracyDrop(learning_rate=0.1, factor=0.5).gains([0.7, 0.8, 0.6, 0.6, 0.7]).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    name = "accuracy_drop"
    source = "the braking half of the bold driver, Battiti 1989"
    default_space: ClassVar[dict[str, Space]] = {"factor": span(0.3, 0.95)}
    advance = accuracy_drop
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0, "last": math.inf}

    recorded: ClassVar[tuple[str, ...]] = ("accuracy", "val_accuracy")

    monitor: str = Field(default="val_accuracy", min_length=1, description="what is watched")
    factor: float = Field(default=0.5, gt=0, lt=1, description="factor of the rate at each reduction")
    min_delta: float = Field(default=0.0, ge=0, le=HIGHEST, description="fall of monitor up to which the rate stays")


def plateau_rebound(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Lower the gain as `plateau` does, and after `reductions` of them raise it to `rebound` and start anew.

    The gain is also raised when it can fall no further, but never after a cost that is not finite.
    """
    better = cost + schedule.min_delta < state["best"]
    resting = xp.maximum(state["resting"] - 1.0, 0.0)
    counts = xp.logical_not(xp.logical_or(better, resting > 0.0))
    waited = xp.where(xp.logical_or(better, state["resting"] > 0.0), 0.0, state["waited"])
    waited = xp.where(counts, waited + 1.0, waited)
    enough = xp.logical_and(counts, waited >= schedule.patience)
    last = xp.logical_or(state["reduced"] >= schedule.reductions, state["gain"] <= schedule.floor)
    lower = xp.logical_and(enough, xp.logical_not(last))
    higher = xp.logical_and(xp.logical_and(enough, last), cost < float("inf"))
    lowered = xp.where(lower, xp.maximum(state["gain"] * schedule.factor, schedule.floor), state["gain"])
    moved = xp.logical_or(lower, higher)
    return {
        "gain": xp.where(higher, xp.maximum(state["gain"], schedule.rebound), lowered),
        "best": xp.where(higher, float("inf"), xp.where(better, cost, state["best"])),
        "waited": xp.where(moved, 0.0, waited),
        "resting": xp.where(moved, schedule.cooldown, resting),
        "reduced": xp.where(higher, 0.0, xp.where(lower, state["reduced"] + 1.0, state["reduced"])),
    }


class PlateauRebound(Plateau):
    """`rate: as plateau; after reductions reductions, the next stagnation raises it to rebound * learning_rate`.

    A stagnation raises the rate as well once the floor is reached. Then all counting starts again, and improvement
    is measured from the next epoch on. The rate never falls by a rebound.

    >>> schedule = PlateauRebound(learning_rate=0.1, factor=0.5, patience=1, reductions=2, rebound=0.8)
    >>> schedule.gains([0.5] * 7).tolist()
    [1.0, 1.0, 0.5, 0.25, 0.8, 0.8, 0.4]
    """

    name = "plateau_rebound"
    source = "Keras' ReduceLROnPlateau, with the restarts of Loshchilov and Hutter 2017"
    default_space: ClassVar[dict[str, Space]] = {
        "factor": span(0.1, 0.9),
        "patience": span(1, 10),
        "reductions": span(1, 4),
    }
    advance = plateau_rebound
    initial_state: ClassVar[dict[str, float]] = {**Plateau.initial_state, "reduced": 0.0}

    reductions: int = Field(default=2, ge=1, le=1_000_000, description="number of reductions before a rebound")
    rebound: float = Field(default=1.0, gt=0, le=1e6, description="rate after a rebound, a multiple of learning_rate")


def cost_driven(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Set the gain to `exp(cost)` within its bounds; after a cost that is not finite it stays as it is."""
    finite = cost < float("inf")
    exponent = xp.minimum(xp.where(finite, cost, 0.0), 80.0)  # exp of more overflows in single precision
    gain = xp.minimum(xp.maximum(xp.exp(exponent), schedule.floor), schedule.highest)
    return {"gain": xp.where(finite, gain, state["gain"])}


class CostDriven(ClosedLoop):
    """`rate: learning_rate * exp(monitor) after each epoch, at most highest * learning_rate`.

    The first epoch, before which no cost is known, has `learning_rate`.

    >>> [round(float(gain), 4) for gain in CostDriven(learning_rate=0.1).gains([2.0, 0.5, 0.1, 0.0])]
    [1.0, 7.3891, 1.6487, 1.1052]
    """

    name = "cost_driven"
    source = "the tutorial's readers"
    default_space: ClassVar[dict[str, Space]] = {"highest": span(1.5, 30.0, log=True)}
    advance = cost_driven
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0}

    recorded: ClassVar[tuple[str, ...]] = ("loss", "val_loss")

    monitor: str = Field(default="loss", min_length=1, description="what is watched")
    highest: float = Field(default=10.0, ge=1, le=1e6, description="highest rate, a multiple of learning_rate")


def closed_loop_class(name: str) -> type[ClosedLoop]:
    """Return the closed-loop schedule called `name`, which there must be."""
    kind = CATALOGUE[name]
    assert issubclass(kind, ClosedLoop)
    return kind
