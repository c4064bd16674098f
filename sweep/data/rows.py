"""Rows of a network's inputs, or of its targets: one array, or several by name or in order, all with the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# One array, a dict of arrays by name, or a tuple of them in order. As a union of these, whoever has one array would
# have to tell them apart for mypy.
Inputs: TypeAlias = Any
Shape: TypeAlias = tuple[int, ...]
# Of one row, without the axis of rows: as the inputs are, one shape, or several by name or in order.
RowShape: TypeAlias = Shape | dict[str, Shape] | tuple[Shape, ...]


def mapped(function: Callable[[NDArray[Any]], Any], inputs: Inputs) -> Any:
    """Return what a function makes of each array, named or ordered as the arrays are."""
    if isinstance(inputs, dict):
        return {name: function(array) for name, array in inputs.items()}
    return tuple(map(function, inputs)) if isinstance(inputs, tuple) else function(inputs)


def named(inputs: Inputs) -> dict[str, NDArray[Any]]:
    """Return each array by its name: in order they are `1`, `2` and so on, and one alone has none."""
    if isinstance(inputs, dict):
        return inputs
    ordered = {str(place): array for place, array in enumerate(inputs, 1)} if isinstance(inputs, tuple) else {}
    return ordered or {"": inputs}


def shapes_of(inputs: Inputs) -> RowShape:
    """Return the shape of one row, as the inputs are."""
    found: RowShape = mapped(lambda array: array.shape[1:], inputs)
    return found


def row_count(inputs: Inputs) -> int:
    """Return the number of rows."""
    return len(next(iter(named(inputs).values())))


def rows_at(inputs: Inputs, places: Any) -> Any:
    """Return the rows at some places, as the inputs are."""
    return mapped(lambda array: array[places], inputs)


def joined(first: Inputs, second: Inputs) -> Inputs:
    """Return the rows of two inputs of equal names and shapes, one after the other."""
    others = iter(named(second)[name] for name in named(first))
    found: Inputs = mapped(lambda array: np.concatenate([array, next(others)]), first)
    return found


def flat_rows(inputs: Inputs) -> NDArray[Any]:
    """Return rows of numbers, `[rows, values]`, those of several inputs side by side."""
    parts = [array.reshape(len(array), -1) for array in named(inputs).values()]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def value_names(inputs: Inputs) -> list[str]:
    """Return a name for each value of `flat_rows`."""
    return [
        f"{name or 'input'} {place + 1}"
        for name, array in named(inputs).items()
        for place in range(int(np.prod(array.shape[1:])))
    ]


def told_shapes(inputs: Inputs) -> str:
    """Return what the inputs are, in words: 28 x 28 of uint8, or several with their names."""
    return ", ".join(
        f"{f'`{name}` ' if name else ''}{' x '.join(map(str, array.shape[1:]))} of {array.dtype}"
        for name, array in named(inputs).items()
    )


def zero_rows(shape: RowShape) -> Inputs:
    """Return one row of zeros of a shape."""
    if isinstance(shape, dict):
        return {name: np.zeros((1, *each), np.float32) for name, each in shape.items()}
    if shape and isinstance(shape[0], tuple):
        return tuple(np.zeros((1, *each), np.float32) for each in shape if isinstance(each, tuple))
    return np.zeros((1, *shape), np.float32)


def told_shape(shape: RowShape) -> str:
    """Return what a model takes, in words, with None for the rows."""
    whole = mapped(lambda row: (None, *row.shape[1:]), zero_rows(shape))
    return ", ".join(f"{name} {each}" for name, each in whole.items()) if isinstance(whole, dict) else str(whole)
