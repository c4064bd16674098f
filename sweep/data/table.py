"""Read CSV files of numbers with a class label, and divide their rows into training and validation rows."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sweep.errors import BadInput, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Dataset:
    """A table as a network reads it."""

    inputs: NDArray[np.float32]  # finite numbers, `[rows, features]`
    targets: NDArray[np.int32]  # class indices, `[rows]`
    classes: tuple[str, ...]  # the label of each class index, sorted as text
    sha256: str  # hexadecimal digest of the file's bytes

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest of the arrays: one file may be read in several ways."""
        found = hashlib.sha256(repr((self.inputs.shape, self.classes)).encode())
        for array in (self.inputs, self.targets):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


@dataclass(frozen=True)
class Split:
    """A dataset's rows to train on and to validate on, as indices into it, in their order.

    The arrays are taken each time they are asked for: inputs `[rows, features]`, targets `[rows]`.
    """

    dataset: Dataset
    train_index: NDArray[np.int32]
    validation_index: NDArray[np.int32]

    @property
    def train_inputs(self) -> NDArray[np.float32]:
        """The inputs to train on."""
        return self.dataset.inputs[self.train_index]

    @property
    def train_targets(self) -> NDArray[np.int32]:
        """The class indices to train on."""
        return self._scaled(self.train_index)

    @property
    def validation_inputs(self) -> NDArray[np.float32]:
        """The inputs to validate on."""
        return self.dataset.inputs[self.validation_index]

    @property
    def validation_targets(self) -> NDArray[np.int32]:
        """The class indices to validate on."""
        return self._scaled(self.validation_index)

    @property
    def target_unit(self) -> tuple[float, float]:
        """Mean and standard deviation of the numbers to train on, the scale of targets; 0 and 1 for classes."""
        if self.dataset.classes:
            return 0.0, 1.0
        numbers = self.dataset.targets[self.train_index].astype(np.float64)
        return float(numbers.mean()), float(numbers.std()) or 1.0

    def _scaled(self, index: NDArray[np.int32]) -> NDArray[Any]:
        targets = self.dataset.targets[index]
        if self.dataset.classes:
            return targets
        shift, scale = self.target_unit
        return ((targets - shift) / scale).astype(np.float32)

    @property
    def train_rows(self) -> int:
        """The number of rows to train on."""
        return len(self.train_index)

    @property
    def validation_rows(self) -> int:
        """The number of rows to validate on."""
        return len(self.validation_index)


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
    try:
        if not path.exists():
            raise BadInput("data.file", f"must exist, got {str(path)!r}.")
        if not path.is_file():  # a device or a pipe might never end
            kind = "a directory" if path.is_dir() else "a device or pipe"
            raise BadInput("data.file", f"must be a regular file, got {kind}: {str(path)!r}.")
        content = path.read_bytes()
        text = content.decode("utf-8-sig")  # without the byte order mark that spreadsheets write
    except OSError as error:
        raise BadInput("data.file", f"must be readable, got {error}.") from error
    except UnicodeDecodeError as error:
        raise BadInput("data.file", f"must be UTF-8 text, got byte {content[error.start]:#04x}.") from error
    if "\0" in text:
        raise BadInput("data.file", "must be UTF-8 text, got byte 0x00.")
    table = _Table.parse(text, header=header)
    position = table.find_label(label)
    inputs = table.numbers(position)
    targets, classes = table.labels(position)
    if header:
        table.check_header(position, classes)
    return Dataset(inputs, targets, classes, hashlib.sha256(content).hexdigest())


def split_tail(dataset: Dataset, fraction: float) -> Split:
    """Take the last rows for validation, as many as the `validation_split` of Keras' `fit` takes.

    Raises:
        BadInput: on `split.fraction` if either side gets no row; on `split.kind` if the training rows are of
            one class.
    """
    rows = len(dataset.targets)
    # Keras' own expression, because `rows - ceil(rows * fraction)` rounds differently for some fractions.
    train_rows = math.floor(rows * (1.0 - fraction))
    if not 0 < train_rows < rows:
        raise BadInput("split.fraction", f"must leave rows to train and to validate, got {fraction} of {rows} rows.")
    order = np.arange(rows, dtype=np.int32)
    split = Split(dataset, order[:train_rows], order[train_rows:])
    if len(np.unique(split.train_targets)) < 2:
        only = shortened(dataset.classes[split.train_targets[0]])
        reason = f"the first {train_rows} rows must hold at least 2 classes, got only {only}"
        raise BadInput("split.kind", f'{reason}; kind = "stratified" keeps the shares of the classes.')
    return split


def split_stratified(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Draw the validation rows at random, keeping the shares of the classes; rows come in the order drawn.

    Raises:
        BadInput: on `split.fraction` or `split.kind` if scikit-learn cannot draw such rows, or those to train on are
            of one class.
    """
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - the second it takes is for runs alone

    # What scikit-learn would refuse, in the words of a study file.
    counts = np.bincount(dataset.targets, minlength=len(dataset.classes))
    if counts.min() < 2:
        rarest = shortened(dataset.classes[counts.argmin()])
        raise BadInput("split.kind", f"stratified must have at least 2 rows of each class, got 1 of {rarest}.")
    rows, classes = len(dataset.targets), len(dataset.classes)
    validation_rows = math.ceil(rows * fraction)
    if min(validation_rows, rows - validation_rows) < classes:
        got = f"{rows - validation_rows} to train and {validation_rows} to validate"
        raise BadInput("split.fraction", f"must leave a row for each of {classes} classes on both sides, got {got}.")
    order = np.arange(rows, dtype=np.int32)
    split = Split(dataset, *train_test_split(order, test_size=fraction, random_state=seed, stratify=dataset.targets))
    if len(np.unique(split.train_targets)) < 2:
        raise BadInput("split.fraction", f"must leave at least 2 classes to train on, got {fraction}.")
    return split


@dataclass(frozen=True)
class _Table:
    """Cells as text, under columns named as messages show them, and the names in the header; none without a header."""

    cells: pd.DataFrame
    names: list[str]

    @classmethod
    def parse(cls, text: str, *, header: bool) -> _Table:
        """Read a text whose rows all have the same number of fields."""
        cls.check_widths(text, header=header)
        # The header is read as a row because pandas would rename a name that occurs twice. The engine is Python's
        # because C's loses an empty first cell behind a blank line that ends with a carriage return.
        cells = pd.read_csv(StringIO(text, newline=""), header=None, dtype=str, keep_default_na=False, engine="python")
        cells = cells.apply(lambda column: column.str.strip())
        if not header:
            return cls(cells.set_axis([f"column {number + 1}" for number in cells.columns], axis="columns"), [])
        names = [str(name) for name in cells.iloc[0]]
        shown = [f"column {number} ({shortened(name)})" for number, name in enumerate(names, start=1)]
        return cls(cells.iloc[1:].reset_index(drop=True).set_axis(shown, axis="columns"), names)

    @staticmethod
    def check_widths(text: str, *, header: bool) -> None:
        """Refuse text without rows, features or equal widths; pandas would fill short rows in silence."""
        reader = csv.reader(StringIO(text, newline=""), strict=True)
        try:
            # Pandas skips a line that is empty, or only spaces and tabs; a quoted empty cell is one.
            widths = [
                len(record)
                for record in reader
                if len(record) > 1 or (record and (not record[0] or record[0].strip(" \t")))
            ]
        except csv.Error as error:
            raise BadInput("data.file", f"must be well-formed CSV, got in line {reader.line_num}: {error}.") from error
        first_row = 0 if header else 1
        if len(widths) + first_row < 2:
            raise BadInput(
                "data.file", f"must hold rows of data, got {'only a header' if widths else 'an empty file'}."
            )
        if widths[0] < 2:
            raise BadInput("data.file", "must hold a label and at least 1 feature, split by commas, got 1 column.")
        for row, width in enumerate(widths, start=first_row):
            if width != widths[0]:
                like = "the header" if header else "row 1"
                raise BadInput("data.file", f"row {row} must have {widths[0]} fields like {like}, got {width}.")

    def find_label(self, label: str | int) -> int:
        """Return the label column's position, counted from 0."""
        names, columns = self.names, self.cells.shape[1]
        if isinstance(label, int):
            if not -columns <= label < columns:
                raise BadInput("data.label", f"must be a position from {-columns} to {columns - 1}, got {label}.")
            return label % columns
        if not names:
            raise BadInput("data.label", f"must be a position in a file without a header, got {label!r}.")
        if names.count(label) > 1:
            reason = f"must name one column, got {label!r}, which {names.count(label)} columns have."
            raise BadInput("data.label", reason)
        if label not in names:
            raise BadInput("data.label", f"must be a column of the file, got {label!r}{nearest(label, names)}")
        return names.index(label)

    def numbers(self, label: int) -> NDArray[np.float32]:
        """Return the features `[rows, features]`, or name the first cell that is no finite 32-bit number."""
        cells = self.cells.drop(columns=self.cells.columns[label])
        values = cells.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
        with np.errstate(over="ignore"):
            inputs = np.ascontiguousarray(values, dtype=np.float32)
        for row, column in np.argwhere(~np.isfinite(inputs))[:1]:
            rule = "a number" if np.isnan(values[row, column]) else "finite as a 32-bit float"
            hint = "" if self.names or row > 0 else " Or is line 1 a header? Then set data.header to true."
            raise _bad_cell(cells, row, column, rule, hint)
        return inputs

    def labels(self, label: int) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """Return the class index of each row and the label of each class index."""
        labels = self.cells.iloc[:, label]
        for row in np.flatnonzero(labels == "")[:1]:
            raise _bad_cell(labels.to_frame(), row, 0, "a label")
        classes, targets = np.unique(labels.to_numpy(dtype=object), return_inverse=True)
        if len(classes) < 2:
            raise BadInput("data.label", f"must name a column of at least 2 classes, got only {shortened(classes[0])}.")
        return targets.astype(np.int32), tuple(classes.tolist())

    def check_header(self, label: int, classes: tuple[str, ...]) -> None:
        """Refuse a header that is clearly a row of data: numbers, beside a label that other rows have too.

        Numbers alone prove nothing, because columns may be named by wavelengths or years.
        """
        features = pd.Series(self.names[:label] + self.names[label + 1 :])
        if self.names[label] in classes and pd.to_numeric(features, errors="coerce").notna().all():
            shown = shortened(self.names[label])
            raise BadInput("data.header", f"must be false if line 1 is data, got numbers and the label {shown}.")


def _bad_cell(cells: pd.DataFrame, row: int, column: int, rule: str, hint: str = "") -> BadInput:
    """Return the error for one cell; `row` and `column` count from 0."""
    text = cells.iloc[row, column]
    got = shortened(text) if text else "an empty cell"
    return BadInput("data.file", f"row {row + 1}, {cells.columns[column]} must be {rule}, got {got}.{hint}")
