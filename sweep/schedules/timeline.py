"""The time axis of a training, on which schedules are functions, and fractions and points on it as text."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Self, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema, model_validator

from sweep.errors import BadInput
from sweep.model import StrictModel

Numbers: TypeAlias = NDArray[np.float64]


def read_count(given: Any, info: ValidationInfo) -> int:
    """Read an integer of at least 1, of Python, NumPy or an array without axes; `BadInput` for anything else."""
    try:
        count = None if isinstance(given, bool) else operator.index(given)
    except TypeError:
        count = None
    if count is None or count < 1:
        rule = "an integer of at least 1" if count is None else "at least 1"
        divided = info.field_name == "steps_per_epoch" and isinstance(given, float)
        hint = "; `math.ceil(rows / batch_size)` is one" if divided else ""
        raise BadInput(str(info.field_name), f"must be {rule}, got {reprlib.repr(given)}{hint}.")
    return count


Count: TypeAlias = Annotated[int, BeforeValidator(read_count)]


class Timeline(StrictModel):
    """A training of `epochs` epochs with `steps_per_epoch` batches each; both count from 0.

    A part of it, from batch `begin` to before batch `end`, has its own time: 0 before it begins, and its last value
    after it ends. Arrays always have the shape of the whole training, `[epochs, steps_per_epoch]`.

    Raises:
        BadInput: for epochs or steps per epoch that are no integer of at least 1; NumPy's integers are.
    """

    epochs: Count
    steps_per_epoch: Count
    begin: int = Field(default=0, ge=0)
    end: int | None = None

    @classmethod
    def of(cls, epochs: SupportsIndex, steps_per_epoch: SupportsIndex) -> Self:
        """Return the time of a whole training; NumPy's integers count it too."""
        return cls.model_validate({"epochs": epochs, "steps_per_epoch": steps_per_epoch})

    @classmethod
    def over(cls, rows: int, epochs: int, batch_size: int) -> Self:
        """Return the time of a training on so many rows; the last batch of an epoch may be smaller than the others.

        >>> Timeline.over(235, 50, 28).steps_per_epoch
        9
        """
        return cls(epochs=epochs, steps_per_epoch=-(-rows // batch_size))

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


def read_values(given: Any) -> tuple[float, ...]:
    """Read values of at least 0 from text such as `1 0.1 0.01`, or from a list of numbers; `ValueError` for others."""
    values = tuple(_number(entry) for entry in _entries(given, "values such as `1 0.1 0.01`"))
    for value in values:
        if not 0 <= value <= 1e6:
            raise ValueError(f"a value must lie between 0 and 1e6, got {value:g}.")
    return values


def read_boundaries(given: Any) -> tuple[float, ...]:
    """Read ascending times above 0 from text such as `30 60`, or from a list of numbers; `ValueError` for others."""
    boundaries = tuple(_number(entry) for entry in _entries(given, "boundaries such as `30 60`"))
    for before, after in pairwise((0.0, *boundaries)):
        if not before < after <= 1e12:
            raise ValueError(f"boundaries must ascend from above 0, got {after:g} after {before:g}.")
    return boundaries


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
Values: TypeAlias = Annotated[
    tuple[float, ...],
    BeforeValidator(read_values),
    PlainSerializer(write_fractions, return_type=str),
    WithJsonSchema({"type": "string"}),
]
Boundaries: TypeAlias = Annotated[
    tuple[float, ...],
    BeforeValidator(read_boundaries),
    PlainSerializer(write_fractions, return_type=str),
    WithJsonSchema({"type": "string"}),
]
Points: TypeAlias = Annotated[
    tuple[tuple[float, float], ...],
    BeforeValidator(read_points),
    PlainSerializer(write_points, return_type=str),
    WithJsonSchema({"type": "string"}),
]
