"""Two schedules, one after the other, each with a part of the training as its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_serializer

from sweep.errors import BadInput
from sweep.schedules.base import ClosedLoop, OpenLoop, Schedule
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space

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
    if depth(given) > DEEPEST:
        raise ValueError(f"joins may lie at most {DEEPEST} deep in each other.")
    schedule = given if isinstance(given, Schedule) else _read(_document(given), info.data.get("learning_rate"))
    if isinstance(schedule, ClosedLoop):
        raise ValueError(f"must be a schedule that depends on time alone, got `{schedule.name}`.")
    return schedule


def depth(given: Any) -> int:
    """Return how many joins lie in each other, counted no further than one too many."""
    parts, level = [given], 0
    while parts and level <= DEEPEST:
        documents = [_parts(part) for part in parts]
        parts = [document[key] for document in documents for key in ("first", "second") if key in document]
        level += 1 if parts else 0
    return level


def _parts(given: Any) -> Mapping[str, Any]:
    """Return what may hold schedules within a schedule; text that is no JSON holds none."""
    if isinstance(given, Join):
        return {"first": given.first, "second": given.second}
    try:
        document = json.loads(given) if isinstance(given, str) and given.lstrip().startswith("{") else given
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, Mapping) else {}


def _document(given: Any) -> Mapping[str, Any]:
    """Return the keys and values that describe a schedule."""
    if not isinstance(given, str):
        document = given
    elif not given.lstrip().startswith("{"):
        document = {"name": given}
    else:
        try:
            document = json.loads(given)
        except ValueError as error:
            raise ValueError(f"`{given}` is not valid JSON: {error}.") from error
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a schedule's name or a whole schedule, got {given!r}.")
    return document


def _read(document: Mapping[str, Any], learning_rate: float | None) -> Schedule:
    from sweep.schedules import read_schedule  # noqa: PLC0415 - the catalogue knows every subclass

    inherited = {} if learning_rate is None else {"learning_rate": learning_rate}
    try:
        return read_schedule({**inherited, **document})
    except BadInput as error:
        blamed = "" if error.field == "name" else f"`{error.field}` "
        raise ValueError(f"{blamed}{error.reason}") from error


Nested: TypeAlias = Annotated[Schedule, BeforeValidator(read_nested), WithJsonSchema({"type": "string"})]


class Join(OpenLoop):
    """`rate: first's before the fraction at, second's from there on; the budget of each is its own part`.

    A schedule given by name has this one's learning rate, and so has a whole one that states none. Momenta join too.

    >>> schedule = Join(learning_rate=1, first="constant", second="linear", at=0.5)
    >>> schedule.rates(Timeline(epochs=8, steps_per_epoch=1))[:, 0].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    >>> schedule.used_parameters
    {'first': 'constant', 'second': 'linear', 'at': 0.5}
    """

    name = "join"
    formula = "rate: first's before the fraction at, second's from there on; the budget of each is its own part"
    source = "SequentialLR of PyTorch, by fractions"
    default_space: ClassVar[dict[str, Space]] = {
        "first": ("constant", "triangular"),
        "second": ("linear", "cosine", "exponential_by_batch"),
        "at": Range(low=0.1, high=0.9),
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
