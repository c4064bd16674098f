"""Tables of numbers with a class label, and the two ways to divide their rows.

They stand alone because the search, the trainers and the reference run of Keras must all see the same arrays.
"""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from io import StringIO
from reprlib import repr as shortened
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sweep.errors import BadInput, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Dataset:
    """A table as a network reads it.

    Args:
        inputs: finite numbers, `[rows, features]`.
        targets: class indices, `[rows]`.
        classes: the label of each class index, sorted as text.
        sha256: hexadecimal digest of the file's bytes.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.int32]
    classes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Split:
    """A dataset's rows to train on and to validate on; inputs are `[rows, features]`, targets `[rows]`."""

    train_inputs: NDArray[np.float32]
    train_targets: NDArray[np.int32]
    validation_inputs: NDArray[np.float32]
    validation_targets: NDArray[np.int32]

    @property
    def train_rows(self) -> int:
        """Return the number of rows to train on."""
        return len(self.train_targets)

    @property
    def validation_rows(self) -> int:
        """Return the number of rows to validate on."""
        return len(self.validation_targets)


def read_csv(path: Path, *, header: bool, label: str | int) -> Dataset:
    """Read a comma-separated UTF-8 file in which every column but one holds numbers.

    Blank lines are skipped, and spaces around a cell ignored. Every word is a label like any other: `NA` is
    a class, not a missing value. Messages count rows of data and columns from 1.

    Args:
        path: the file.
        header: whether the first line holds the columns' names.
        label: the label column's name, or its position from 0; negative positions count from the end.

    Raises:
        BadInput: on `data.file` if it cannot be read, is not a table or holds a cell that is no finite 32-bit
            number; on `data.label` if there is no such column or it holds fewer than 2 classes; on
            `data.header` if the first line is clearly a row of data.
    """
    content = _read_bytes(path)
    cells, names = _parse_table(_decode(content), header=header)
    position = _find_label(label, names, columns=cells.shape[1])
    inputs = _parse_numbers(cells.drop(columns=cells.columns[position]), header=header)
    targets, classes = _encode_labels(cells.iloc[:, position])
    if header:
        _check_header(names, position, classes)
    return Dataset(inputs, targets, classes, hashlib.sha256(content).hexdigest())


def split_tail(dataset: Dataset, fraction: float) -> Split:
    """Take the last rows for validation, as many as the `validation_split` of Keras' `fit` takes.

    Raises:
        BadInput: on `split.fraction` if either side gets no row; on `split.kind` if the training rows are of
            one class.
    """
    _check_fraction(fraction)
    rows = len(dataset.targets)
    # Keras' own expression, because `rows - ceil(rows * fraction)` rounds differently for some fractions.
    train_rows = math.floor(rows * (1.0 - fraction))
    if not 0 < train_rows < rows:
        raise BadInput("split.fraction", f"must leave rows to train and to validate, got {fraction} of {rows} rows.")
    split = _divide(dataset, np.arange(train_rows), np.arange(train_rows, rows))
    if len(np.unique(split.train_targets)) < 2:
        only = dataset.classes[split.train_targets[0]]
        reason = f"the first {train_rows} rows must hold at least 2 classes, got only {shortened(only)}"
        raise BadInput("split.kind", f'{reason}; kind = "stratified" keeps the shares of the classes.')
    return split


def split_stratified(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Draw the validation rows at random, keeping the shares of the classes; rows come in the order drawn.

    Raises:
        BadInput: on `split.fraction`, `split.kind` or `split.split_seed` if scikit-learn cannot draw such
            rows; on `split.fraction` if the training rows it draws are of one class.
    """
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - the second it takes is for runs alone

    _check_stratified(dataset, fraction, seed)
    order = np.arange(len(dataset.targets))
    train, validation = train_test_split(order, test_size=fraction, random_state=seed, stratify=dataset.targets)
    split = _divide(dataset, train, validation)
    if len(np.unique(split.train_targets)) < 2:
        raise BadInput("split.fraction", f"must leave at least 2 classes to train on, got {fraction}.")
    return split


def _read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; a device or a pipe might never end."""
    try:
        if not path.exists():
            raise BadInput("data.file", f"must exist, got {str(path)!r}.")
        if not path.is_file():
            kind = "a directory" if path.is_dir() else "a device or pipe"
            raise BadInput("data.file", f"must be a regular file, got {kind}: {str(path)!r}.")
        return path.read_bytes()
    except OSError as error:
        raise BadInput("data.file", f"must be readable, got {error}.") from error


def _decode(content: bytes) -> str:
    """Return the text of a file, without the byte order mark that spreadsheets write."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("data.file", f"must be UTF-8 text, got byte {content[error.start]:#04x}.") from error
    if "\0" in text:
        raise BadInput("data.file", "must be UTF-8 text, got byte 0x00.")
    return text


def _parse_table(text: str, *, header: bool) -> tuple[pd.DataFrame, list[str]]:
    """Return the cells as text, under columns named as messages show them, and the names in the header."""
    _check_shape(text, header=header)
    # The header is read as a row because pandas would rename a name that occurs twice. The engine is Python's
    # because C's loses an empty first cell behind a blank line that ends with a carriage return.
    cells = pd.read_csv(StringIO(text, newline=""), header=None, dtype=str, keep_default_na=False, engine="python")
    cells = cells.apply(lambda column: column.str.strip())
    if not header:
        return cells.set_axis([f"column {number + 1}" for number in cells.columns], axis="columns"), []
    names = [str(name) for name in cells.iloc[0]]
    shown = [f"column {number} ({shortened(name)})" for number, name in enumerate(names, start=1)]
    return cells.iloc[1:].reset_index(drop=True).set_axis(shown, axis="columns"), names


def _check_shape(text: str, *, header: bool) -> None:
    """Refuse text without rows, features or equal widths; pandas would fill short rows in silence."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        widths = [len(record) for record in reader if not _is_blank(record)]
    except csv.Error as error:
        raise BadInput("data.file", f"must be well-formed CSV, got in line {reader.line_num}: {error}.") from error
    first_row = 0 if header else 1
    if len(widths) + first_row < 2:
        raise BadInput("data.file", f"must hold rows of data, got {'only a header' if widths else 'an empty file'}.")
    if widths[0] < 2:
        raise BadInput("data.file", "must hold a label and at least 1 feature, split by commas, got 1 column.")
    for row, width in enumerate(widths, start=first_row):
        if width != widths[0]:
            like = "the header" if header else "row 1"
            raise BadInput("data.file", f"row {row} must have {widths[0]} fields like {like}, got {width}.")


def _is_blank(record: list[str]) -> bool:
    """Tell whether pandas skips this line: it is empty, or only spaces and tabs."""
    return not record or (len(record) == 1 and record[0] != "" and not record[0].strip(" \t"))


def _find_label(label: str | int, names: list[str], *, columns: int) -> int:
    """Return the label column's position, counted from 0."""
    if isinstance(label, int):
        if not -columns <= label < columns:
            raise BadInput("data.label", f"must be a position from {-columns} to {columns - 1}, got {label}.")
        return label % columns
    if not names:
        raise BadInput("data.label", f"must be a position in a file without a header, got {label!r}.")
    if names.count(label) > 1:
        raise BadInput("data.label", f"must name one column, got {label!r}, which {names.count(label)} columns have.")
    if label not in names:
        raise BadInput("data.label", f"must be a column of the file, got {label!r}{nearest(label, names)}")
    return names.index(label)


def _parse_numbers(cells: pd.DataFrame, *, header: bool) -> NDArray[np.float32]:
    """Return the features `[rows, features]`, or name the first cell that is no finite 32-bit number."""
    values = cells.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    with np.errstate(over="ignore"):
        inputs = np.ascontiguousarray(values, dtype=np.float32)
    for row, column in np.argwhere(~np.isfinite(inputs))[:1]:
        rule = "a number" if np.isnan(values[row, column]) else "finite as a 32-bit float"
        hint = "" if header or row > 0 else " Or is line 1 a header? Then set data.header to true."
        raise _bad_cell(cells, row, column, rule, hint)
    return inputs


def _encode_labels(labels: pd.Series[str]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return the class index of each row and the label of each class index."""
    from sklearn.preprocessing import LabelEncoder  # noqa: PLC0415 - the second it takes is for runs alone

    for row in np.flatnonzero(labels == "")[:1]:
        raise _bad_cell(labels.to_frame(), row, 0, "a label")
    encoder = LabelEncoder()
    targets = encoder.fit_transform(labels.to_list()).astype(np.int32)
    classes = tuple(str(label) for label in encoder.classes_)
    if len(classes) < 2:
        raise BadInput("data.label", f"must name a column of at least 2 classes, got only {shortened(classes[0])}.")
    return targets, classes


def _check_header(names: list[str], label: int, classes: tuple[str, ...]) -> None:
    """Refuse a header that is clearly a row of data: numbers, beside a label that other rows have too.

    Numbers alone prove nothing, because columns may be named by wavelengths or years.
    """
    features = pd.Series(names[:label] + names[label + 1 :])
    if names[label] in classes and pd.to_numeric(features, errors="coerce").notna().all():
        shown = shortened(names[label])
        raise BadInput("data.header", f"must be false if line 1 is data, got numbers and the label {shown}.")


def _bad_cell(cells: pd.DataFrame, row: int, column: int, rule: str, hint: str = "") -> BadInput:
    """Return the error for one cell; `row` and `column` count from 0."""
    text = cells.iloc[row, column]
    got = shortened(text) if text else "an empty cell"
    return BadInput("data.file", f"row {row + 1}, {cells.columns[column]} must be {rule}, got {got}.{hint}")


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise BadInput("split.fraction", f"must be above 0 and below 1, got {fraction}.")


def _check_stratified(dataset: Dataset, fraction: float, seed: int) -> None:
    """Refuse what scikit-learn would refuse, in the words of a study file."""
    _check_fraction(fraction)
    if not 0 <= seed <= LARGEST_SEED:
        raise BadInput("split.split_seed", f"must be from 0 to {LARGEST_SEED}, got {seed}.")
    counts = np.bincount(dataset.targets, minlength=len(dataset.classes))
    if counts.min() < 2:
        rarest = shortened(dataset.classes[counts.argmin()])
        raise BadInput("split.kind", f"stratified must have at least 2 rows of each class, got 1 of {rarest}.")
    rows, classes = len(dataset.targets), len(dataset.classes)
    validation_rows = math.ceil(rows * fraction)
    if min(validation_rows, rows - validation_rows) < classes:
        got = f"{rows - validation_rows} to train and {validation_rows} to validate"
        raise BadInput("split.fraction", f"must leave a row for each of {classes} classes on both sides, got {got}.")


def _divide(dataset: Dataset, train: NDArray[np.int64], validation: NDArray[np.int64]) -> Split:
    """Return the rows at the positions `train` and `validation`, copied."""
    inputs, targets = dataset.inputs, dataset.targets
    return Split(inputs[train], targets[train], inputs[validation], targets[validation])
