"""Inputs and labels as arrays: from NumPy's `.npz`, or from a function of the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import BadInput
from sweep.user_code import call, find_function

FILE, FUNCTION = "data.file", "data.function"
PAIRS = "x y, X y, X Y, data target, data labels, features labels, features target, inputs targets, images labels"
ARRAY_NAMES = tuple(tuple(pair.split()) for pair in PAIRS.split(", "))
USUAL_NAMES = ARRAY_NAMES[:2]
HELD_OUT = ("test", "val", "valid", "validation")  # as in `x_test`, in the order of who validates


@dataclass(frozen=True)
class Arrays:
    """Inputs and labels.

    Attributes:
        inputs: numbers, `[rows, ...]`.
        labels: one a row, `[rows]`.
        field: the key of `[data]` that they come from.
        sha256: hexadecimal digest of them or of their file; empty if it is not known yet.
        names: those of inputs and labels in an archive.
        train_rows: so many first rows are given to train on and the others to validate on, None if it is not said.
        notes: what was found rather than stated, one sentence each.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    field: str
    sha256: str = ""
    names: tuple[str, ...] = ()
    train_rows: int | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, inputs: Any, labels: Any, field: str, called: tuple[str, str] = ("x", "y")) -> Arrays:
        """Check inputs and labels; labels of one 1 in each row are read as its place.

        Raises:
            BadInput: on `field`, for what cannot be trained on.
        """
        x, y = (_as_array(each, name, field) for each, name in zip((inputs, labels), called, strict=True))
        if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or x.dtype.kind not in "iufb":
            got = f"{called[0]} {x.shape} of {x.dtype}, {called[1]} {y.shape}"
            raise BadInput(field, f"must give inputs [rows, ...] of numbers and labels [rows], got {got}.")
        if not x.size:
            raise BadInput(field, f"must hold rows of data, got {called[0]} {x.shape}.")
        labels = y.reshape(len(y), -1)
        one_hot = labels.shape[1] > 1
        if one_hot and (labels.dtype.kind not in "iufb" or not ((labels != 0).sum(axis=1) == 1).all()):
            raise BadInput(field, f"must give `{called[1]}` [rows], one label a row, got {labels.shape[1]}.")
        labels = labels.argmax(axis=1) if one_hot else labels[:, 0]
        labels = np.char.decode(labels) if labels.dtype.kind == "S" else labels
        return cls(x, labels, field, notes=("labels of one 1 in each row are read as its place",) if one_hot else ())

    @classmethod
    def joined(cls, training: Arrays, held: Arrays) -> Arrays:
        """Return both one after the other; the first are given to train on."""
        if training.inputs.shape[1:] != held.inputs.shape[1:]:
            shapes = f"{training.inputs.shape[1:]} and {held.inputs.shape[1:]}"
            raise BadInput(training.field, f"must give rows of one shape to train and to validate, got {shapes}.")
        inputs = np.concatenate([training.inputs, held.inputs])
        labels = np.concatenate([training.labels, held.labels])
        rows = f"the first {len(training.labels):,} rows train and the other {len(held.labels):,} validate, as given"
        return replace(
            training, inputs=inputs, labels=labels, train_rows=len(training.labels), notes=(*training.notes, rows)
        )

    def as_given(self) -> NDArray[Any]:
        """Return inputs in the type that they are kept in: bytes, int32 for sequences of integers, else float32.

        Raises:
            BadInput: for what is not finite, or too large.
        """
        x = self.inputs
        if x.dtype.kind == "b" or (x.dtype == np.uint8 and x.ndim > 2):
            return x.astype(np.uint8, copy=False)
        if x.dtype.kind in "iu" and x.ndim == 2:
            low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
            if x.min() < low or x.max() > high:
                raise BadInput(self.field, f"must hold whole numbers of 32 bits, got {x.min()} to {x.max()}.")
            return x.astype(np.int32, copy=False)
        with np.errstate(over="ignore"):
            found = x.astype(np.float32, copy=False)
        if not np.isfinite(found).all():
            place = np.argwhere(~np.isfinite(found))[0]
            value = x[tuple(place)]
            raise BadInput(self.field, f"must be finite as a 32-bit float, got {value} in row {place[0] + 1}.")
        return found


def _as_array(given: Any, name: str, field: str) -> NDArray[Any]:
    if isinstance(given, Mapping):
        raise BadInput(field, f"must give one array of inputs and one of labels, got a dict for `{name}`.")
    try:
        return np.asarray(given)
    except Exception as error:  # an array may be of any library
        raise BadInput(field, f"must give arrays, got for `{name}`: {_said(error)}.") from error


def read_archive(path: Path) -> Arrays:
    """Read inputs and labels from an archive: two arrays, or four, of which two have the rows that validate.

    Raises:
        BadInput: on `data.file`.
        OSError: if the file cannot be read; `BadZipFile`, if it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, KeyError) as error:
        raise BadInput(FILE, f"must be an .npz archive of plain arrays, got: {error}.") from error
    pair = next((pair for pair in ARRAY_NAMES if set(pair) <= arrays.keys()), None)
    for x, y in ARRAY_NAMES if pair is None else ():
        parts = [(f"{x}_{part}", f"{y}_{part}") for part in ("train", *HELD_OUT)]
        kept = [names for names in parts if set(names) <= arrays.keys()]
        if len(kept) > 1 and kept[0] == parts[0]:
            training, held = (Arrays.of(arrays[x], arrays[y], FILE, (x, y)) for x, y in kept[:2])
            note = f"{kept[1][0]!r} and {kept[1][1]!r} have the rows to validate on"
            return replace(Arrays.joined(training, held), names=(*kept[0], *kept[1]), notes=(*training.notes, note))
    if pair is None and len(arrays) == 2:  # the one with one number a row is the label
        pair = tuple(sorted(arrays, key=lambda name: arrays[name].size, reverse=True))
    got = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
    if pair is None:
        raise BadInput(FILE, f"must hold `x` [rows, ...] and `y` [rows], got {got}.")
    found = Arrays.of(arrays[pair[0]], arrays[pair[1]], FILE, (pair[0], pair[1]))
    told = f"the array {pair[0]!r} has the inputs, {pair[1]!r} the label"
    return replace(found, names=pair, notes=(*([] if pair in USUAL_NAMES else [told]), *found.notes))


def call_source(name: str) -> Arrays:
    """Return what a function of the user's own gives: `(x, y)`, or such pairs to train and to validate on.

    Raises:
        BadInput: on `data.function`, if it cannot be called or gives something else.
    """
    function = find_function(name, FUNCTION)
    try:
        given = call(function)
    except Exception as error:
        raise BadInput(FUNCTION, f"`{name}` failed: {_said(error)}.") from error
    if not isinstance(given, tuple | list) or len(given) != 2:
        what = f"{len(given)} values" if isinstance(given, tuple | list) else type(given).__name__
        raise BadInput(FUNCTION, f"`{name}` must return (x, y) or ((x, y), (x, y)), got {what}.")
    if all(isinstance(part, tuple) and len(part) == 2 for part in given):
        found = Arrays.joined(*(Arrays.of(x, y, FUNCTION) for x, y in given))
    else:
        found = Arrays.of(given[0], given[1], FUNCTION)
    digest = hashlib.sha256(repr((found.inputs.shape, found.inputs.dtype, found.train_rows)).encode())
    digest.update(np.ascontiguousarray(found.inputs).data)
    digest.update("\0".join(map(str, found.labels.tolist())).encode())
    return replace(found, sha256=digest.hexdigest())


def _said(error: Exception) -> str:
    """Return what an error says, in one line."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "").rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
