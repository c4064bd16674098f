"""Fractions of a training and points of a curve, as numbers and as one line of text.

A schedule's function wants numbers; a study file, a command line and a category of a search hold a plain string.
The types here read either and are written as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema


def read_fractions(given: Any) -> tuple[float, ...]:
    """Read ascending fractions from text such as `0.5 0.75`, or from a list of numbers.

    Raises:
        ValueError: if there is none, one is no number or outside 0 to 1, or they do not ascend.

    >>> read_fractions("0.5 0.75"), read_fractions([0.5, 0.75])
    ((0.5, 0.75), (0.5, 0.75))
    """
    fractions = tuple(_number(entry) for entry in _entries(given, "fractions such as `0.5 0.75`"))
    _check_fractions(fractions)
    return fractions


def read_points(given: Any) -> tuple[tuple[float, float], ...]:
    """Read points `fraction:share` from text such as `0:1 0.5:0.1 1:0.01`, or from a list of pairs.

    Raises:
        ValueError: if fractions do not ascend from 0 to 1, or something is no number, or a share is below 0.

    >>> read_points("0:1 1:0.01")
    ((0.0, 1.0), (1.0, 0.01))
    """
    points = tuple(_point(entry) for entry in _entries(given, "points such as `0:1 0.5:0.1 1:0.01`"))
    _check_fractions([fraction for fraction, _share in points])
    if points[0][0] != 0 or points[-1][0] != 1:
        raise ValueError(f"must begin at fraction 0 and end at 1, got {write_points(points)!r}.")
    for _fraction, share in points:
        if not 0 <= share <= 1e6:
            raise ValueError(f"a point's share must lie between 0 and 1e6, got {share:g}.")
    return points


def write_fractions(fractions: Sequence[float]) -> str:
    """Return the text that `read_fractions` reads."""
    return " ".join(_text(fraction) for fraction in fractions)


def write_points(points: Sequence[tuple[float, float]]) -> str:
    """Return the text that `read_points` reads."""
    return " ".join(f"{_text(fraction)}:{_text(share)}" for fraction, share in points)


TEXT = WithJsonSchema({"type": "string"})
Fractions: TypeAlias = Annotated[
    tuple[float, ...], BeforeValidator(read_fractions), PlainSerializer(write_fractions, return_type=str), TEXT
]
Points: TypeAlias = Annotated[
    tuple[tuple[float, float], ...], BeforeValidator(read_points), PlainSerializer(write_points, return_type=str), TEXT
]


def _entries(given: Any, what: str) -> Sequence[Any]:
    """Split text, or take a list as it is; a lone number is refused, as a list of them would mean choices."""
    entries = given.split() if isinstance(given, str) else given
    if not isinstance(entries, list | tuple) or not entries:
        raise ValueError(f"must hold {what}, got {given!r}.")
    return entries


def _point(entry: Any) -> tuple[float, float]:
    pair = entry.split(":") if isinstance(entry, str) else entry
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(f"a point must be `fraction:share`, got {entry!r}.")
    return _number(pair[0]), _number(pair[1])


def _number(entry: Any) -> float:
    """Return a finite number; what looks like one in Python only, such as True or `1_0`, is none."""
    refused = isinstance(entry, bool) or not isinstance(entry, str | int | float) or "_" in str(entry)
    try:
        number = math.nan if refused else float(entry)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"must hold finite numbers, got {entry!r}; only spaces go between them.")
    return number


def _check_fractions(fractions: Sequence[float]) -> None:
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise ValueError(f"fractions must lie between 0 and 1, got {fraction:g}.")
    for before, after in pairwise(fractions):
        if not before < after:
            raise ValueError(f"fractions must ascend, got {after:g} after {before:g}.")


def _text(number: float) -> str:
    return repr(number).removesuffix(".0")
