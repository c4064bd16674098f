"""What a search may draw one parameter from: a range of numbers, a list of choices, or one fixed value.

A study file writes `{low = 0.001, high = 1.0, log = true}`, `["a", "b"]` or `0.9`; `sweep.search.space`
turns each into Optuna's distributions. The parameter, not the range, says whether whole numbers are drawn.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Discriminator, Field, FiniteFloat, Tag, model_validator

from sweep.model import StrictModel

Value: TypeAlias = float | int | bool | str


# As TOML and databases have them.
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Range(StrictModel):
    """Numbers from `low` to `high`, both included; spread evenly in the logarithm if `log`."""

    low: FiniteFloat | Integer
    high: FiniteFloat | Integer
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"`low` must be below `high`, got {self.low} and {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range must lie above 0, got low = {self.low}.")
        return self


def _kind(given: Any) -> str:
    if isinstance(given, dict | Range):
        return "<range>"
    return "<choices>" if isinstance(given, list | tuple) else "<value>"


Choices: TypeAlias = tuple[Value, ...]
# The tags are in angle brackets so that an error message can leave them out of a field's name.
Space: TypeAlias = Annotated[
    Annotated[Range, Tag("<range>")]
    | Annotated[Choices, Tag("<choices>"), Field(min_length=1, strict=False)]
    | Annotated[Value, Tag("<value>")],
    Discriminator(_kind),
]


def extremes(space: Space) -> tuple[Value, ...]:
    """Return the values whose validity implies that of all others: a range's ends, or every choice."""
    if isinstance(space, Range):
        return (space.low, space.high)
    return space if isinstance(space, tuple) else (space,)


def contains(space: Space, value: Value) -> bool:
    """Say whether `value` could have been drawn from `space`.

    >>> contains(Range(low=0.1, high=1.0), 0.5), contains((True, False), True), contains(0.9, 0.8)
    (True, True, False)
    """
    if isinstance(space, Range):
        return not isinstance(value, str) and space.low <= value <= space.high
    return value in extremes(space)


def near_bound(space: Range, value: float, share: float = 0.02) -> bool:
    """Say whether `value` lies in the outer `share` of a range, in the logarithm if that is how it is drawn.

    >>> near_bound(Range(low=0.001, high=1.0, log=True), 0.98), near_bound(Range(low=0.0, high=1.0), 0.9)
    (True, False)
    """
    low, high, place = (math.log(each) if space.log else float(each) for each in (space.low, space.high, value))
    return not share <= (place - low) / (high - low) <= 1 - share
