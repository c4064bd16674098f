"""Inputs and labels as arrays: from NumPy's `.npz`, or from a function of the user's own."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweep.data.rows import (
    Inputs,
    are_arrays,
    as_array,
    check_rows,
    heads_of,
    inputs_of,
    joined,
    kept,
    mapped,
    named,
    row_count,
    shapes_of,
    told_shapes,
    with_axis,
)
from sweep.errors import BadInput, in_one_line, nearest
from sweep.user_code import call, find_function

FILE, FUNCTION = "data.file", "data.function"
PAIRS = "x y, X y, X Y, data target, data labels, features labels, features target, inputs targets, images labels"
ARRAY_NAMES = tuple(tuple(pair.split()) for pair in PAIRS.split(", "))
USUAL_NAMES = ARRAY_NAMES[:2]
ONE_HOT = "labels of one 1 in each row are read as its place"
HELD_OUT = ("_test", "_val", "_valid", "_validation")  # as in `x_test`, in the order of who validates
WEIGHTS = ("w", "sample_weight", "sample_weights")
COLUMN = re.compile(r"x?-?\d+|y")  # of a table that arrays are read as
ONE_WEIGHT = "must give one weight a row for all outputs, since weights by output are not trained by"
THIRD = ""  # the name of what a function returns third, unless it is a dict

SplitKind: TypeAlias = Literal["stratified", "resample", "random", "tail", "given", "group", "time"]
GO_BY: tuple[SplitKind, ...] = ("group", "time")  # something that rows have beside inputs and label


@dataclass(frozen=True)
class Beside:
    """Which columns, or arrays, tell something of the rows beside inputs and label.

    Attributes:
        weight: the name or position of the weights of rows; None if none are stated.
        by: that of what a split goes by: the rows' groups, or their times.
        kind: of the split.
    """

    weight: str | int | None = None
    by: str | int | None = None
    kind: SplitKind = "stratified"

    @property
    def splits(self) -> bool:
        """Whether the split goes by something."""
        return self.kind in GO_BY


NOTHING_BESIDE = Beside()


@dataclass(frozen=True)
class Arrays:
    """Inputs and labels.

    Attributes:
        inputs: numbers, `[rows, ...]`; several by name or in order, each with a row of at least one dimension.
        labels: one a row, `[rows]`, or numbers `[rows, labels]`; targets of several outputs of a model by name or in
            order, as the inputs.
        field: the key of `[data]` that they come from.
        sha256: hexadecimal digest of them or of their file; empty if it is not known yet.
        names: those of inputs and labels in an archive.
        train_rows: so many first rows are given to train on and the others to validate on, None if it is not said.
        notes: what was found rather than stated, one sentence each.
        beside: further values, one a row, by name: weights, groups, times.
    """

    inputs: Inputs
    labels: Inputs
    field: str
    sha256: str = ""
    names: tuple[str, ...] = ()
    train_rows: int | None = None
    notes: tuple[str, ...] = ()
    beside: Mapping[str, NDArray[Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Any, labels: Any, field: str, called: tuple[str, str] = ("x", "y")) -> Arrays:
        """Check inputs and labels.

        Several inputs are a dict of arrays, or a list or tuple of arrays that have a row for each label. A list of
        as many arrays as there are labels holds the rows of one input. Labels of several outputs are given alike.

        Raises:
            BadInput: on `field`, for what cannot be trained on.
        """
        heads = heads_of(inputs, labels, field, called[1])
        if heads is not None:
            given = inputs_of(inputs, row_count(heads), called[0], field)
            given = with_axis(given) if isinstance(given, np.ndarray) else given
            check_rows(given, heads, field, called)
            return cls(given, heads, field)
        y = as_array(labels, called[1], field)
        x = inputs_of(inputs, len(y) if y.ndim else 0, called[0], field)
        told = y.shape if y.dtype.kind in "iufbUSO" else f"{y.shape} of {y.dtype}"
        if not isinstance(x, np.ndarray):
            check_rows(x, y, field, called)
        elif x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or x.dtype.kind not in "iufb" or y.dtype.kind == "c":
            got = f"{called[0]} {x.shape} of {x.dtype}, {called[1]} {told}"
            raise BadInput(field, f"must give inputs [rows, ...] of numbers and labels [rows], got {got}.")
        if not all(array.size for array in named(x).values()):
            raise BadInput(field, f"must hold rows of data, got {called[0]} {told_shapes(x)}.")
        flat = y.reshape(len(y), -1)
        if flat.shape[1] != 1 and (not flat.size or max(y.shape[1:]) < flat.shape[1] or y.dtype.kind not in "iufb"):
            rule = f"must give `{called[1]}` [rows], one label a row, or numbers [rows, labels]"
            raise BadInput(field, f"{rule}, got {y.shape} of {y.dtype}.")
        if flat.shape[1] > 1 and not np.isfinite(flat).all():
            place = np.argwhere(~np.isfinite(flat))[0]
            raise BadInput(field, f"must give finite `{called[1]}`, got {flat[tuple(place)]} in row {place[0] + 1}.")
        y = flat[:, 0] if flat.shape[1] == 1 else flat
        return cls(x, np.char.decode(y) if y.dtype.kind == "S" else y, field)

    @classmethod
    def joined(cls, training: Arrays, held: Arrays) -> Arrays:
        """Return both one after the other; the first are given to train on."""
        first, second = shapes_of(training.inputs), shapes_of(held.inputs)
        if first != second:
            shapes = f"{first} and {second}"
            raise BadInput(training.field, f"must give rows of one shape to train and to validate, got {shapes}.")
        widths, rows = [shapes_of(each.labels) for each in (training, held)], row_count(training.labels)
        if widths[0] != widths[1]:
            got = "{} and {}".format(*(mapped(lambda array: array.shape, each.labels) for each in (training, held)))
            raise BadInput(training.field, f"must give as many labels a row to train and to validate, got {got}.")
        beside = {name: values for name, values in training.beside.items() if name in held.beside}
        beside = {name: np.concatenate([values, held.beside[name]]) for name, values in beside.items()}
        for name in training.beside.keys() & {*WEIGHTS, THIRD} - beside.keys():  # of rows to train on alone
            beside[name] = np.concatenate([training.beside[name], np.ones(row_count(held.labels))])
        told = f"the first {rows:,} rows train and the other {row_count(held.labels):,} validate, as given"
        return replace(
            training,
            inputs=joined(training.inputs, held.inputs),
            labels=joined(training.labels, held.labels),
            train_rows=rows,
            notes=(*training.notes, told),
            beside=beside,
        )

    def with_beside(self, given: Mapping[str, Any]) -> Arrays:
        """Return these with further values, one a row, by name.

        Raises:
            BadInput: for values of another shape.
        """
        found, rows = dict(self.beside), row_count(self.labels)
        for name, values in given.items():
            told = f"`{name}`" if name else "the third value"
            array = as_array(values, name or "the third value", self.field)
            if array.ndim < 1 or (len(array), array.size) != (rows, rows):
                raise BadInput(self.field, f"must give {told} [rows], one value a row, got {array.shape}.")
            found[name] = np.char.decode(array.ravel()) if array.dtype.kind == "S" else array.ravel()
        return replace(self, beside=found)

    def chosen(self, stated: Beside) -> tuple[dict[str, NDArray[Any]], str | None, str | None]:
        """Return the values beside inputs and labels that count, by name, and the names of the weights and of `by`.

        What a function returns third is what the split goes by, or else the weights, as in Keras.

        Raises:
            BadInput: on the function, if its third value would have to be both.
        """
        known, weight, by = dict(self.beside), stated.weight, stated.by if stated.splits else None
        if THIRD in known:
            if stated.splits and weight is not None:
                cure = '(x, y, {"w": weights, "by": groups}) tells them apart'
                raise BadInput(self.field, f"must give weights and what the split goes by, got one array; {cure}.")
            given, usual = (by, stated.kind) if stated.splits else (weight, WEIGHTS[0])
            name = given if isinstance(given, str) else usual
            known[name] = known.pop(THIRD)
            weight, by = (weight, name) if stated.splits else (name, by)
        elif weight is None:
            weight = next((name for name in WEIGHTS if name in known and name != by), None)
        for key, which in (("data.weight", weight), ("split.by", by)):
            if isinstance(which, str) and which not in known and not COLUMN.fullmatch(which):
                near = nearest(which, known) or f"; there {'are ' + ', '.join(known) if known else 'is none'}."
                raise BadInput(key, f"must name an array with one value a row, got {which!r}{near}")
        found = {str(name): known[str(name)] for name in (weight, by) if name in known}
        return found, str(weight) if weight in found else None, str(by) if by in found else None

    def as_given(self) -> Inputs:
        """Return inputs in the type that they are kept in: bytes, int32 for sequences of integers, else float32.

        Raises:
            BadInput: for what is not finite, or too large.
        """
        names = iter(named(self.inputs))
        found: Inputs = mapped(lambda array: kept(array, next(names), self.field), self.inputs)
        return found


def is_one_hot(labels: NDArray[Any]) -> bool:
    """Say whether each row `[rows, labels]` has one 1, and 0 elsewhere."""
    return bool(np.isin(labels, (0, 1)).all() and ((labels != 0).sum(axis=1) == 1).all())


def read_archive(path: Path, stated: Beside = NOTHING_BESIDE) -> Arrays:
    """Read inputs and labels from an archive: `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`.

    Several inputs are `x_image`, `x_age` and so on beside `y`, or `x_train_image` and so on; the targets of several
    outputs are `y_kind`, `y_size`, or `y_train_kind`.

    Further arrays with one value a row stand beside them; those of four are `w_train` and `w_test`.

    Raises:
        BadInput: on `data.file`.
        OSError: if the file cannot be read; `BadZipFile`, if it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, KeyError) as error:
        raise BadInput(FILE, f"must be an .npz archive of plain arrays, got: {error}.") from error
    got = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
    pair = next((found for names in ARRAY_NAMES if (found := _names_of(arrays, *names))), None)
    for x, y in ARRAY_NAMES if pair is None else ():
        first = _names_of(arrays, x, y, "_train")
        both = ((found, part) for part in HELD_OUT if (found := _names_of(arrays, x, y, part)))
        second, part = next(both, (None, ""))
        if first and second:
            training, held = _of_archive(arrays, *first, "_train"), _of_archive(arrays, *second, part)
            listed = [name for names in second for name in names.values()]
            note = f"{', '.join(map(repr, listed[:-1]))} and {listed[-1]!r} have the rows to validate on"
            single = [names[""] for names in (*first, *second) if "" in names]
            names = tuple(single) if len(single) == 4 else ()
            return replace(Arrays.joined(training, held), names=names, notes=(*training.notes, note))
    rest = [name for name in arrays if name not in (*WEIGHTS, stated.weight, stated.by)]
    if pair is None and len(rest) == 2:  # the one with one number a row is the label
        larger, smaller = sorted(rest, key=lambda name: arrays[name].size, reverse=True)
        pair = {"": larger}, {"": smaller}
    if pair is None:
        raise BadInput(FILE, f"must hold `x` [rows, ...] and `y` [rows], or several as `x_image`, `x_age`, got {got}.")
    inputs, labels = pair
    whole, x, y = _of_archive(arrays, *pair), inputs.get("", ""), labels.get("", "")
    told = f"{_told(inputs)}, {', '.join(map(repr, labels.values()))} the {'label' if y else 'outputs'}"
    return replace(whole, names=(x, y) if x and y else (), notes=() if (x, y) in USUAL_NAMES else (told,))


# The name of each input's array by that of the input, and the same of the labels, or of the targets of outputs.
Names: TypeAlias = tuple[dict[str, str], dict[str, str]]


def _names_of(arrays: Collection[str], x: str, y: str, part: str = "") -> Names | None:
    """Find labels and inputs, of all rows or of a part of them."""
    inputs, labels = (_found(arrays, f"{name}{part}") for name in (x, y))
    return None if inputs is None or labels is None else (inputs, labels)


def _found(arrays: Collection[str], called: str) -> dict[str, str] | None:
    """Find one array by its name, or several as `x_image` and `x_age`; parts of the rows are none."""
    if called in arrays:
        return {"": called}
    several = {name.removeprefix(f"{called}_"): name for name in arrays if name.startswith(f"{called}_")}
    parts = {part for part in ("_train", *HELD_OUT) for name in several if f"_{name}_".startswith(f"{part}_")}
    exact = {"_train", *HELD_OUT} & {f"_{name}" for name in several}
    return several if len(several) > 1 and not exact and not ("_train" in parts and len(parts) > 1) else None


def _of_archive(
    arrays: Mapping[str, NDArray[Any]], inputs: dict[str, str], labels: dict[str, str], part: str = ""
) -> Arrays:
    def given(names: dict[str, str]) -> Any:
        return arrays[names[""]] if "" in names else {name: arrays[array] for name, array in names.items()}

    wrong = next((array for name in labels if name for w in WEIGHTS if (array := f"{w}{part}_{name}") in arrays), None)
    if wrong is not None:
        raise BadInput(FILE, f"{ONE_WEIGHT}, got {wrong!r}.")
    found = Arrays.of(given(inputs), given(labels), FILE, (inputs.get("", "x"), labels.get("", "y")))
    return found.with_beside(_one_a_row(arrays, part, row_count(found.labels), {*inputs.values(), *labels.values()}))


def _told(inputs: dict[str, str]) -> str:
    listed = ", ".join(map(repr, inputs.values()))
    return f"the array {listed} has the inputs" if len(inputs) == 1 else f"the arrays {listed} have the inputs"


def _one_a_row(
    arrays: Mapping[str, NDArray[Any]], ending: str, rows: int, others: Collection[str]
) -> dict[str, NDArray[Any]]:
    """Return the other arrays with one value a row whose names end so, by their names without it."""
    return {
        name.removesuffix(ending): array
        for name, array in arrays.items()
        if name.endswith(ending) and name not in others and array.ndim and (len(array), array.size) == (rows, rows)
    }


def call_source(name: str) -> Arrays:
    """Return what a function of the user's own gives: `(x, y)`, or such pairs to train and to validate on.

    A third value in them has one value a row: weights, or what a split goes by, or a dict of such arrays by name.

    Raises:
        BadInput: on `data.function`, if it cannot be called or gives something else.
    """
    function = find_function(name, FUNCTION)
    try:
        given = call(function)
    except Exception as error:
        raise BadInput(FUNCTION, f"`{name}` failed: {in_one_line(error)}.") from error
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        what = f"{len(given)} values" if isinstance(given, tuple | list) else type(given).__name__
        raise BadInput(FUNCTION, f"`{name}` must return (x, y), (x, y, w) or ((x, y), (x, y)), got {what}.")
    found = Arrays.joined(*map(_given, given)) if _are_pairs(given) else _given(given)
    described, heads = (
        [(name, array.shape, array.dtype) for name, array in named(each).items()]
        for each in (found.inputs, found.labels)
    )
    if not isinstance(found.labels, np.ndarray):
        digest = hashlib.sha256(repr((described, heads, found.train_rows)).encode())
    elif isinstance(found.inputs, np.ndarray):
        digest = hashlib.sha256(repr((found.inputs.shape, found.inputs.dtype, found.train_rows)).encode())
    else:
        digest = hashlib.sha256(repr((described, found.labels.shape, found.train_rows)).encode())
    for array in named(found.inputs).values():
        digest.update(np.ascontiguousarray(array).data)
    if isinstance(found.labels, np.ndarray):
        digest.update("\0".join(map(str, found.labels.tolist())).encode())
    else:
        for array in named(found.labels).values():
            digest.update(np.ascontiguousarray(array).data)
    for called, values in found.beside.items():
        digest.update("\0".join([called, *map(str, values.tolist())]).encode())
    return replace(found, sha256=digest.hexdigest())


def _are_pairs(given: Sequence[Any]) -> bool:
    """Say whether both values are inputs and labels, to train and to validate on; or two inputs and two outputs.

    The latter have the same rows in all of them, and other shapes.
    """
    if len(given) != 2 or not all(isinstance(part, tuple) and len(part) in (2, 3) for part in given):
        return False
    every = [*given[0], *given[1]]
    if len(every) != 4 or not are_arrays(every) or len({len(each) for each in every}) > 1:
        return True
    first, second = ([each.shape[1:] for each in part] for part in given)
    return any(one == other for one, other in zip(first, second, strict=False))


def _given(values: Sequence[Any]) -> Arrays:
    found, third = Arrays.of(values[0], values[1], FUNCTION), values[2] if len(values) == 3 else {}
    if not isinstance(found.labels, np.ndarray):
        by_name = isinstance(third, Mapping) and sorted({*named(found.labels)} & {*map(str, third)})
        in_order = isinstance(third, list | tuple) and all(len(getattr(each, "shape", ())) for each in third)
        if by_name or (in_order and third):
            raise BadInput(FUNCTION, f"{ONE_WEIGHT}, got {f'`{by_name[0]}`' if by_name else f'{len(third)} arrays'}.")
    return found.with_beside(third if isinstance(third, Mapping) else {} if third is None else {THIRD: third})
