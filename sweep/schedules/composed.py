"""The schedules that are made of others: two in a row, and the user's own function of the epoch."""

from __future__ import annotations

import inspect
import json
import reprlib
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_serializer, field_validator

from sweep.errors import BadInput
from sweep.schedules.base import HIGHEST, ClosedLoop, OpenLoop, Schedule, span
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Space
from sweep.user_code import call, check_name, find_function

DEEPEST = 3  # each level doubles the text of a join
RateFunction: TypeAlias = Callable[[Timeline], Numbers]


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
    """Read a schedule's name, or a whole one as an object, a dict or JSON text; it may leave out `learning_rate`.

    Raises:
        ValueError: if there is no such schedule, a parameter is out of range, or it watches the training.
    """
    from sweep.schedules.catalogue import read_schedule  # noqa: PLC0415 - the catalogue knows every subclass

    if _depth(given) > DEEPEST:
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
    """Return the keys and values that describe a schedule."""
    document = given
    if isinstance(given, str):
        try:
            document = json.loads(given) if given.lstrip().startswith("{") else {"name": given}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"`{given}` is not valid JSON: {error}.") from error
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a schedule's name or a whole schedule, got {given!r}.")
    return document


def _depth(given: Any) -> int:
    """Return how many joins lie in each other, counted no further than one too many."""
    parts, level = [given], 0
    while parts and level <= DEEPEST:
        nested = []
        for part in parts:
            try:
                document = vars(part) if isinstance(part, Schedule) else _document(part)
            except ValueError:  # it holds no schedule; `read_nested` says why
                continue
            nested += [document[key] for key in ("first", "second") if key in document]
        parts = nested
        level += 1 if parts else 0
    return level


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
        """Return the momentum of each step, `[epochs, steps_per_epoch]`, where `momentum` is the highest."""
        first, second = self.first.momenta, self.second.momenta
        return join(
            self.own_time(timeline), lambda time: first(time, momentum), lambda time: second(time, momentum), self.at
        )

    @field_serializer("first", "second")
    def _text(self, part: Schedule) -> str:
        """Return the text that `read_nested` reads back: no more than the name, if that says all."""
        stated = {} if part.learning_rate == self.learning_rate else {"learning_rate": part.learning_rate}
        fields = type(part).model_fields
        own = {name: value for name, value in part.used_parameters.items() if value != fields[name].default}
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
        """Check the name's form; the function itself is looked for when rates are asked for, as it is not our code."""
        check_name(function)
        return function

    @property
    def foreign_functions(self) -> tuple[str, ...]:
        """The function that its rates come from."""
        return (self.function,)

    def rates(self, timeline: Timeline) -> Numbers:
        """Return the learning rate of each step, `[epochs, steps_per_epoch]`.

        Raises:
            BadInput: if the function cannot be found, fails, or returns no finite number or one below 0.
        """
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
