"""Rows of a network's inputs, or of its targets: one array, or several by name or in order, all with the same rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweep.errors import BadInput, in_one_line

FEW_PARTS = 8  # as many arrays are no rows, but inputs or outputs

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


def kept(x: NDArray[Any], name: str, field: str) -> NDArray[Any]:
    """Return an array in the type that it is kept in: bytes, int32 for sequences of integers, else float32.

    Raises:
        BadInput: on `field`, for what is not finite, or too large.
    """
    of = f"in `{name}` " if name else ""
    if x.dtype.kind == "b" or (x.dtype == np.uint8 and x.ndim > 2):
        return x.astype(np.uint8, copy=False)
    if x.dtype.kind in "iu" and x.ndim == 2:
        low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
        if x.min() < low or x.max() > high:
            raise BadInput(field, f"must hold whole numbers of 32 bits, got {of}{x.min()} to {x.max()}.")
        return x.astype(np.int32, copy=False)
    with np.errstate(over="ignore"):
        found = x.astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        place = np.argwhere(~np.isfinite(found))[0]
        value = x[tuple(place)]
        raise BadInput(field, f"must be finite as a 32-bit float, got {of}{value} in row {place[0] + 1}.")
    return found


def heads_of(inputs: Any, labels: Any, field: str, called: str) -> Inputs | None:
    """Return targets of several outputs of a model, a dict of arrays or a tuple of them; None for those of one.

    They are a dict, or a list or tuple of arrays of which any has a row for each of the inputs'. A list of as many
    arrays as there are rows holds the rows of one output.

    Raises:
        BadInput: on `field`, for a dict or an array that is none.
    """
    if isinstance(labels, Mapping):
        wrong = next((key for key in labels if not isinstance(key, str) or not key), None)
        if wrong is not None or len(labels) < 2:
            got = repr(wrong) if wrong is not None else f"{len(labels)} of them"
            rule = f"must name two outputs or more in `{called}`, each by a text, or give one array"
            raise BadInput(field, f"{rule}, got {got}.")
        return {name: _head(each, name, field) for name, each in labels.items()}
    if not isinstance(labels, list | tuple) or len(labels) < 2 or not are_arrays(labels):
        return None
    parts = [*inputs.values()] if isinstance(inputs, Mapping) else inputs if isinstance(inputs, list | tuple) else ()
    of_parts = {len(each) for each in parts} if are_arrays(parts) else set[int]()
    is_one = not isinstance(inputs, Mapping) and hasattr(inputs, "__len__") and getattr(inputs, "shape", True)
    in_all = len(inputs) if is_one else 0
    wanted, lengths = of_parts, {len(each) for each in labels}
    if len(labels) != in_all:
        wanted = of_parts | {in_all}
    elif len(labels) > FEW_PARTS and all(len({each.shape for each in group}) == 1 for group in (parts, labels)):
        return None
    if not lengths & wanted or len(labels) in of_parts:
        return None
    return tuple(_head(each, str(place), field) for place, each in enumerate(labels, start=1))


def are_arrays(given: Collection[Any]) -> bool:
    """Say whether all are arrays that have rows."""
    return all(len(getattr(each, "shape", ())) for each in given)


def _head(given: Any, name: str, field: str) -> NDArray[Any]:
    array = with_axis(as_array(given, name, field))
    if array.ndim < 1 or array.dtype.kind not in "iufb":
        rule = "must give numbers for each output, such as the index of a class"
        raise BadInput(field, f"{rule}, got `{name}` {array.shape} of {array.dtype}.")
    if not array.size:
        raise BadInput(field, f"must hold rows of data, got `{name}` {array.shape}.")
    return kept(array, name, field)


def as_array(given: Any, name: str, field: str) -> NDArray[Any]:
    """Return what a user gives as an array.

    Raises:
        BadInput: on `field`, for what is none.
    """
    if isinstance(given, Mapping):
        raise BadInput(field, f"must give one array for `{name}`, got a dict.")
    try:
        return np.asarray(given)
    except Exception as error:  # an array may be of any library
        raise BadInput(field, f"must give arrays, got for `{name}`: {in_one_line(error)}.") from error


def inputs_of(given: Any, rows: int, name: str, field: str) -> Inputs:
    """Return one array, or several by name or in order.

    Raises:
        BadInput: on `field`, for what is none, and for what may be several inputs or the rows of one.
    """
    if isinstance(given, Mapping):
        wrong = next((key for key in given if not isinstance(key, str) or not key), None)
        if wrong is not None or not given:
            got = "an empty dict" if not given else repr(wrong)
            raise BadInput(field, f"must name each input of `{name}` by a text, got {got}.")
        return {key: with_axis(as_array(each, key, field)) for key, each in given.items()}
    listed = given if isinstance(given, list | tuple) else ()
    if not any(len(getattr(each, "shape", ())) for each in listed) or not all(
        hasattr(each, "__len__") for each in listed
    ):
        return as_array(given, name, field)
    lengths = [len(each) for each in given]
    if set(lengths) == {rows} and len(given) == rows:
        either = f"{rows} arrays of {rows} rows, which may be {rows} inputs, or the {rows} rows of one"
        raise BadInput(field, f"must give several inputs by name, as a dict, or one array; got for `{name}` {either}.")
    if len(given) == rows:
        return as_array(given, name, field)
    if len(given) == 1:
        return as_array(given[0], name, field)
    return tuple(with_axis(as_array(each, f"{name}[{place}]", field)) for place, each in enumerate(given))


def with_axis(array: NDArray[Any]) -> NDArray[Any]:
    """Give a number for each row an axis, as `fit` does."""
    return array[:, None] if array.ndim == 1 else array


def check_rows(inputs: Inputs, labels: Inputs, field: str, called: tuple[str, str]) -> None:
    """Check several inputs, or the targets of several outputs: their types, and that they have the same rows.

    Raises:
        BadInput: on `field`.
    """
    given, heads = named(inputs), not isinstance(labels, np.ndarray)
    for name, array in given.items():
        if array.ndim < 1 or array.dtype.kind not in "iufb":
            shown = f"`{name or called[0]}` {array.shape} of {array.dtype}"
            raise BadInput(field, f"must give inputs of numbers, got {shown}.")
    if not heads and (labels.ndim < 1 or labels.dtype.kind == "c"):
        raise BadInput(field, f"must give labels [rows], got `{called[1]}` {labels.shape} of {labels.dtype}.")
    counts = [(len(array), f"`{name or called[0]}`") for name, array in given.items()]
    counts += [(len(array), f"output `{name}`" if heads else f"`{called[1]}`") for name, array in named(labels).items()]
    if len({count for count, _ in counts}) > 1:
        got = ", ".join(f"{count:,} of {name}" for count, name in counts)
        what = "output as inputs" if heads else "input as labels"
        raise BadInput(field, f"must give as many rows of each {what}, got {got}.")
    if not all(array.size for array in given.values()):
        raise BadInput(field, f"must hold rows of data, got {called[0]} {told_shapes(inputs)}.")
