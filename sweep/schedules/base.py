"""What a schedule is: a frozen set of parameters, and the rule that turns time into a learning rate.

The rule is a function on arrays, so that one text of it serves a table of rates, a population inside a compiled
program, a Keras callback and exported code.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeAlias, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from sweep.errors import BadInput, first_problem, nearest
from sweep.model import StrictModel
from sweep.schedules.foreign import explain_schedule, explain_word
from sweep.space import Range, Space, Value

Numbers: TypeAlias = NDArray[np.float64]
MODIFIERS = ("warmup", "floor")
HIGHEST = 1e30  # rates, and what is compared with losses, must stay finite in single precision


class Timeline(StrictModel):
    """A training of `epochs` epochs with `steps_per_epoch` batches each; both count from 0.

    A part of it, from batch `begin` to before batch `end`, has its own time: 0 before it begins, and its last value
    after it ends. Arrays always have the shape of the whole training, `[epochs, steps_per_epoch]`.
    """

    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)
    begin: int = Field(default=0, ge=0)
    end: int | None = None

    @model_validator(mode="after")
    def _has_a_batch(self) -> Self:
        if not self.begin < self.last <= self.epochs * self.steps_per_epoch:
            raise ValueError(f"a part must hold at least one batch of the training, got {self.begin} to {self.last}.")
        return self

    def part(self, begin: int, end: int) -> Timeline:
        """Return the time of the batches from `begin` to before `end`, counted within this timeline's own part."""
        return Timeline(
            epochs=self.epochs, steps_per_epoch=self.steps_per_epoch, begin=self.begin + begin, end=self.begin + end
        )

    @property
    def last(self) -> int:
        """The batch at which this part ends, counted in the whole training."""
        return self.epochs * self.steps_per_epoch if self.end is None else self.end

    @property
    def batches(self) -> int:
        """The number of batches."""
        return self.last - self.begin

    @property
    def budget(self) -> float:
        """The number of epochs; a part may hold a fraction of one."""
        return self.batches / self.steps_per_epoch

    @property
    def batch(self) -> Numbers:
        """The number of finished batches at each step."""
        counted = np.arange(self.epochs * self.steps_per_epoch, dtype=np.float64) - self.begin
        return np.clip(counted, 0, self.batches - 1).reshape(self.epochs, self.steps_per_epoch)

    @property
    def epoch(self) -> Numbers:
        """The number of finished epochs at each step."""
        return np.floor(self.batch / self.steps_per_epoch)

    @property
    def fraction(self) -> Numbers:
        """The finished share of the batches at each step, from 0 to just below 1."""
        return self.batch / self.batches


def read_fractions(given: Any) -> tuple[float, ...]:
    """Read ascending fractions from text such as `0.5 0.75`, or from a list of numbers; `ValueError` for others."""
    fractions = tuple(_number(entry) for entry in _entries(given, "fractions such as `0.5 0.75`"))
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise ValueError(f"fractions must lie between 0 and 1, got {fraction:g}.")
    for before, after in pairwise(fractions):
        if not before < after:
            raise ValueError(f"fractions must ascend, got {after:g} after {before:g}.")
    return fractions


def read_points(given: Any) -> tuple[tuple[float, float], ...]:
    """Read points `fraction:share` from text such as `0:1 0.5:0.1 1:0.01`, or from a list of pairs.

    The fractions must ascend from 0 to 1; `ValueError` otherwise.
    """
    points = []
    for entry in _entries(given, "points such as `0:1 0.5:0.1 1:0.01`"):
        pair = entry.split(":") if isinstance(entry, str) else entry
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"a point must be `fraction:share`, got {entry!r}.")
        points.append((_number(pair[0]), _number(pair[1])))
    fractions = read_fractions([fraction for fraction, _share in points])
    if fractions[0] != 0 or fractions[-1] != 1:
        raise ValueError(f"must begin at fraction 0 and end at 1, got {write_points(points)!r}.")
    for _fraction, share in points:
        if not 0 <= share <= 1e6:
            raise ValueError(f"a point's share must lie between 0 and 1e6, got {share:g}.")
    return tuple(points)


def write_fractions(fractions: Sequence[float]) -> str:
    """Return the text that `read_fractions` reads."""
    return " ".join(repr(fraction).removesuffix(".0") for fraction in fractions)


def write_points(points: Sequence[tuple[float, float]]) -> str:
    """Return the text that `read_points` reads."""
    return " ".join(write_fractions(point).replace(" ", ":") for point in points)


def _entries(given: Any, what: str) -> Sequence[Any]:
    """Split text, or take a list as it is; a lone number is refused, as a list of them would mean choices."""
    entries = given.split() if isinstance(given, str) else given
    if not isinstance(entries, list | tuple) or not entries:
        raise ValueError(f"must hold {what}, got {given!r}.")
    return entries


def _number(entry: Any) -> float:
    """Return a finite number; what only Python takes for one, such as True or `1_0`, is refused."""
    refused = isinstance(entry, bool) or not isinstance(entry, str | int | float) or "_" in str(entry)
    try:
        number = math.nan if refused else float(entry)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"must hold finite numbers, got {entry!r}; only spaces go between them.")
    return number


# Numbers to a schedule's formula, and one line of text to study files, command lines and categories of a search.
Fractions: TypeAlias = Annotated[
    tuple[float, ...],
    BeforeValidator(read_fractions),
    PlainSerializer(write_fractions, return_type=str),
    WithJsonSchema({"type": "string"}),
]
Points: TypeAlias = Annotated[
    tuple[tuple[float, float], ...],
    BeforeValidator(read_points),
    PlainSerializer(write_points, return_type=str),
    WithJsonSchema({"type": "string"}),
]


def span(low: float, high: float, *, log: bool = False) -> Range:
    """Return the range that a search draws a parameter from, evenly in its logarithm if `log`."""
    return Range(low=low, high=high, log=log)


Warmup = Annotated[float, Field(ge=0, lt=1, description="share of the batches in which the rate rises from 0")]


class Schedule(StrictModel, ABC):
    """The rule that gives the learning rate of every step of a training.

    A subclass states its `name`, where it comes from (`source`), its own parameters as fields, and a `default_space`
    from which a search draws each of them when a study file does not say. Its docstring begins with its `formula`,
    in backquotes. It is in the catalogue once it is defined.
    """

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
        """Take the formula from the docstring, and enter a schedule that has a name into the catalogue."""
        super().__pydantic_init_subclass__(**kwargs)
        stated = re.match("`(.+?)`", cls.__doc__ or "")
        if stated:
            cls.formula = stated[1]
        if "name" in vars(cls):
            CATALOGUE[cls.name] = cls

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
    def from_json(text: str, timeline: Timeline | None = None) -> Schedule:
        """Read a schedule from JSON: its own document, or one with the schedule under the key `schedule`.

        What `keras.optimizers.schedules.serialize` or a `get_config` of Keras returns is read as well: the schedule
        has the same rates over a training of that `timeline`.

        Raises:
            BadInput: for text that is no JSON, an unknown schedule, a parameter outside its range, or Keras' schedule
                without a `timeline`.
        """
        from sweep.schedules.keras_documents import find_serialised, read_serialised  # noqa: PLC0415 - it needs us

        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:  # a thousand brackets
            raise BadInput("schedule", f"is not valid JSON: {error}.") from error
        if not isinstance(document, dict):
            raise BadInput("schedule", "must be a JSON object.")
        inner = document.get("schedule", document)
        document = inner if isinstance(inner, dict) else document
        found = find_serialised(document)
        return read_schedule(document) if found is None else read_serialised(*found, timeline)

    def to_keras(self, *, steps_per_epoch: int, epochs: int) -> Any:
        """Return the schedule for any Keras 3 model: a `LearningRateSchedule`, or a `Callback` if it is closed-loop."""
        from sweep.schedules.keras import RateTable  # noqa: PLC0415 - Keras takes seconds to load

        timeline = Timeline(epochs=epochs, steps_per_epoch=steps_per_epoch)
        return RateTable(self, timeline, self.rates(timeline))

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


CATALOGUE: dict[str, type[Schedule]] = {}


def schedule_class(name: str, field: str) -> type[Schedule]:
    """Return the schedule called `name`; `field` is what an error should blame."""
    if name not in CATALOGUE:
        if explained := explain_schedule(name):
            raise BadInput(field, explained)
        known = nearest(name, CATALOGUE) or f"; there are {', '.join(CATALOGUE)}"
        raise BadInput(field, f"there is no schedule `{name}`{known}" if name else f"is missing{known}")
    return CATALOGUE[name]


def read_schedule(values: Mapping[str, Any]) -> Schedule:
    """Make the schedule that `values` describe: its `name`, `learning_rate` and own parameters.

    Raises:
        BadInput: for an unknown schedule, a missing or unknown parameter, or a value outside its range.

    >>> read_schedule({"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}).used_parameters
    {'drop': 0.5, 'epochs_drop': 10}
    """
    rest = dict(values)
    kind = schedule_class(str(rest.pop("name", "")), "name")
    unknown = next((key for key in rest if key not in kind.model_fields), None)
    if unknown is not None:
        raise BadInput(unknown, f"unknown key{explain_parameter(unknown, [kind])}")
    return build(kind, rest)


def explain_parameter(
    key: str, kinds: Sequence[type[Schedule]], written: Callable[[str], str] = str, others: Iterable[str] = ()
) -> str:
    """Return the end of a complaint that no schedule of `kinds` has the parameter `key`, from its comma on.

    It says what others mean by the word, which schedules have it, which word it misspells, or what there is instead;
    `written` is how a parameter is written, and `others` are words that could have been meant as well.
    """
    if explained := explain_word(key, [kind.name for kind in kinds]):
        return f"; {explained}"
    having = [name for name, kind in CATALOGUE.items() if key in kind.model_fields]
    if having:
        return f"; it belongs to {', '.join(having)}."
    known = dict.fromkeys(parameter for kind in kinds for parameter in kind.model_fields)
    near = nearest(written(key), [written(name) for name in (*known, *others)])
    return near or f"; there are {', '.join(map(written, known))}."


def build(kind: type[Schedule], values: Mapping[str, Any]) -> Schedule:
    """Make a schedule; raise `BadInput` naming the parameter that breaks a rule."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise first_problem(error) from error


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
    description and default; so do those of `momentum(time, momentum, ...)`. The first paragraph of the docstring stays
    the function's and leaves with exported code; the others are the class's: the formula in backquotes, notes and an
    example. The class takes the function's place in its module, so that it can be pickled. `source` says where the
    schedule comes from, `space` what a search draws parameters from by default, `warmup` the default share of the
    warm-up, and `name` its name if that is not the function's.
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
        CATALOGUE[made.name] = made
        return made

    return make
