"""What a schedule is: a frozen set of parameters, and the rule that turns time into a learning rate.

The rule is a function on arrays, so that one text of it serves a table of rates, a population inside a compiled
program, a Keras callback and exported code.
"""

from __future__ import annotations

import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, SupportsIndex, get_origin, get_type_hints

import numpy as np
from pydantic import Field, ValidationError, create_model, model_validator

from sweep.errors import BadInput, first_problem, nearest
from sweep.model import StrictModel
from sweep.schedules.foreign import explain_schedule, explain_word
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space, Value

MODIFIERS = ("warmup", "warmup_from", "floor")
HIGHEST = 1e30  # rates, and what is compared with losses, must stay finite in single precision


def span(low: float, high: float, *, log: bool = False) -> Range:
    """Return the range that a search draws a parameter from, evenly in its logarithm if `log`."""
    return Range(low=low, high=high, log=log)


Warmup = Annotated[
    float, Field(ge=0, lt=1, description="share of the batches in which the rate rises, from 0 or from warmup_from")
]


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

    async_safe: ClassVar[bool] = True  # Keras asks it of a callback, and if it is True nothing before `set_model`

    learning_rate: float = Field(
        gt=0, le=HIGHEST, description="the rate of which all others are multiples; the first or highest"
    )
    warmup: Warmup = 0.0
    warmup_from: float | None = Field(
        default=None, ge=0, le=1, description="rate at which the warm-up begins, a share of learning_rate; default 0"
    )
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

    def __str__(self) -> str:
        """Return what it is and what Keras takes, since Keras says what it got where a learning rate must be."""
        return f"schedule `{self.name}`, for Keras by `to_keras(steps_per_epoch=..., epochs=...)`: {self.document}"

    def set_model(self, model: object) -> None:
        """Raise `BadInput`: Keras calls it if the schedule itself is among `callbacks`."""
        del model
        reason = "is no callback itself; give Keras what its `to_keras(steps_per_epoch=..., epochs=...)` returns"
        raise BadInput("callbacks", f"the schedule `{self.name}` {reason}.")

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

    def by_epoch(self, epochs: SupportsIndex, steps_per_epoch: SupportsIndex = 1) -> list[float]:
        """Return the rate at the start of each epoch to ten digits, as `sweep schedule show` prints it."""
        starts = self.rates(Timeline.of(epochs, steps_per_epoch))[:, 0]
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

    def to_keras(self, *, steps_per_epoch: SupportsIndex, epochs: SupportsIndex) -> Any:
        """Return the schedule for any Keras 3 model: a `LearningRateSchedule`, or a `Callback` if it is closed-loop.

        The `LearningRateSchedule` is of Keras' own class where one has these rates at every step of the training, so
        that a model that is saved with it loads without `sweep`; any other loads after `import sweep.schedules.keras`.

        Raises:
            BadInput: for epochs or steps per epoch that are no integer of at least 1; NumPy's integers are.
        """
        from sweep.schedules.keras import make_keras_schedule  # noqa: PLC0415 - Keras takes seconds to load

        return make_keras_schedule(self, Timeline.of(epochs, steps_per_epoch))

    def momentum_to_keras(self, *, steps_per_epoch: SupportsIndex, epochs: SupportsIndex, momentum: float) -> Any:
        """Return the `Callback` by which the momentum, or Adam's `beta_1`, follows; `momentum` is the highest."""
        from sweep.schedules.keras import MomentumTable  # noqa: PLC0415 - Keras takes seconds to load

        return MomentumTable(self.momenta(Timeline.of(epochs, steps_per_epoch), momentum))

    def ramp(self, timeline: Timeline) -> Numbers:
        """Return the share of the rate that the warm-up lets through, `[epochs, steps_per_epoch]`."""
        batches, first = self.warmup_batches(timeline), self.warmup_from or 0.0
        if not batches:
            return np.ones_like(timeline.batch)
        return np.where(timeline.batch < batches, first + (1.0 - first) * (timeline.batch / batches), 1.0)

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
    check: Callable[[Any], Any] | None = None,
    name: str = "",
) -> Callable[[Callable[..., Numbers]], type[OpenLoop]]:
    """Make an open-loop schedule's class from its formula, `function(time, learning_rate, ...)`.

    Each parameter that is annotated as `Annotated[type, Field(...)]` becomes a field of the class, with its range,
    description and default; so do those of `momentum(time, momentum, ...)`. The first paragraph of the docstring stays
    the function's and leaves with exported code; the others are the class's: the formula in backquotes, notes and an
    example. The class takes the function's place in its module, so that it can be pickled. `source` says where the
    schedule comes from, `space` what a search draws parameters from by default, `warmup` the default share of the
    warm-up, `check` raises `BadInput` for parameters that do not go together, and `name` is the schedule's name if that
    is not the function's.
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
        checks: dict[str, Any] = {"check": model_validator(mode="after")(check)} if check else {}
        made = create_model(
            title, __base__=OpenLoop, __module__=function.__module__, __doc__=about, __validators__=checks, **fields
        )
        made.__qualname__ = function.__name__
        made.name, made.source, made.default_space = name or function.__name__, source, dict(space or {})
        made.function, made.momentum_function = function, momentum
        CATALOGUE[made.name] = made
        return made

    return make
