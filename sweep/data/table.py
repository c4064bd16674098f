"""A data set as networks read it: a file's rows, divided into those to train on and those to validate on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from reprlib import repr as shortened
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from sweep.data.arrays import NOTHING_BESIDE, Arrays, Beside
from sweep.data.by_row import SplitBy, complete_rows, placed_rows, read_split_by, told_rows, weights_of
from sweep.data.columns import (
    Column,
    ColumnRole,
    Columns,
    Stated,
    StatedRole,
    find_beside,
    find_columns,
    refuse_beyond,
)
from sweep.data.doubts import beside_notes, column_notes, find_doubts, related_rows
from sweep.data.form import Form
from sweep.data.preparation import ROWS_AT_ONCE, Layout, Preparation, Scale, told_scaling
from sweep.data.reading import NOTHING_STATED, Table, read_table
from sweep.data.rows import Inputs, RowShape, flat_rows, mapped, named, row_count, rows_at, shapes_of
from sweep.data.targets import read_shaped_label, scaling_of, shares_scale, told_targets
from sweep.errors import BadInput
from sweep.seeds import turn_of
from sweep.task import MetricName, Task, TaskName

# Class indices as int32, or numbers; of several outputs of a model arrays by name or in order, as `Inputs`.
Targets: TypeAlias = Any
LARGEST = 1e150  # whose square is finite in double precision


class DataKeys(Form):
    """How a file is read and prepared, as `[data]` and the registry state it; `None` is found in the file.

    Args:
        label: the column to be predicted, by name, or by position from 0; negative positions count from the end.
        drop: columns to leave out.
        roles: what columns are, where it is found wrongly.
        labels: labels to be read as other labels.
        task: `classes`, `labels` (several of 0 or 1 a row) or `numbers`, what the label holds; `heads` for the targets
            of several outputs of a model.
        scale: how numbers are scaled, by what the training rows show; `standard` for a table, `none` for arrays, all
            of whose values are scaled alike.
        missing: `median` fills a missing number and tells the network so, `drop` leaves the row out.
        words: one input for each category, or one for all, the category's place in the alphabet.
        rare: categories of fewer than this share of the training rows share one input.
        weight: the column, or array, whose numbers multiply the training loss of their rows.
    """

    label: str | int | None = None
    drop: Annotated[tuple[str | int, ...], Field(strict=False)] = ()
    roles: dict[str, StatedRole] = Field(default={})
    labels: dict[str, str] = Field(default={})
    task: TaskName | None = None
    scale: Scale | None = None
    missing: Literal["median", "drop", "refuse"] = "median"
    words: Literal["onehot", "ordinal"] = "onehot"
    rare: float = Field(default=0.01, ge=0, lt=1)
    weight: str | int | None = None

    @property
    def keys(self) -> DataKeys:
        """These keys alone, of a model that has more."""
        return DataKeys.model_validate(self.model_dump(include=set(DataKeys.model_fields)))

    @property
    def form(self) -> Form:
        """How the file is written."""
        return Form.model_validate(self.model_dump(include=set(Form.model_fields)))

    def stated(self, beside: Beside = NOTHING_BESIDE) -> Stated:
        """Return what is stated of the columns; what a split goes by is stated `beside`."""
        return Stated(
            label=self.label,
            drop=self.drop,
            roles=self.roles,
            labels=self.labels,
            task=self.task,
            beside=replace(beside, weight=self.weight),
        )


ARRAYS = DataKeys(scale="none")


@dataclass(frozen=True)
class Dataset:
    """A table as a preparation reads it, or arrays.

    Attributes:
        values: numbers, and places of words, `[rows, columns]`; or, if the layout has no column, arrays `[rows, ...]`
            of numbers, or of int32 where rows are sequences of integers; several inputs by name or in order.
        targets: class indices, or numbers if there are no classes; `[rows]`. Of several a row, labels of 0 and 1 as
            int32, or numbers, `[rows, labels]`. Of several outputs of a model, `[rows, ...]` of each as it was given,
            by name or in order.
        classes: the label of each class index, sorted as text.
        layout: what the columns of `values` become.
        sha256: hexadecimal digest of the file's bytes.
        keys: how the file is read, with what was found of header, label and task stated.
        form: how the file is written, with nothing left open.
        columns: of the file, in their order; none for arrays.
        begin: lines of text above the first row of data.
        arrays: the names of the arrays with the inputs and the label, of `.npz`.
        notes: what a reader of the data should know, a sentence each.
        train_rows: so many first rows are given to train on, and the others to validate on.
        weights: what multiplies the training loss of a row, `[rows]`; None if all rows weigh 1.
        by: what a split goes by.
    """

    values: Inputs
    targets: Targets
    classes: tuple[str, ...]
    layout: Layout
    sha256: str = ""
    keys: DataKeys = ARRAYS
    form: Form = NOTHING_STATED
    columns: tuple[Column, ...] = ()
    begin: int = 0
    arrays: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    train_rows: int | None = None
    weights: NDArray[np.float32] | None = None
    by: SplitBy | None = None

    @classmethod
    def of_arrays(
        cls, inputs: ArrayLike, targets: ArrayLike, classes: tuple[str, ...] = (), sha256: str = ""
    ) -> Dataset:
        """Return inputs that a network reads as they are."""
        kind = np.int32 if classes else np.float64
        return cls(np.asarray(inputs, np.float64), np.asarray(targets, kind), classes, Layout(), sha256)

    @property
    def task(self) -> Task:
        """What a network is trained for."""
        if self.heads:
            return Task.of(0, heads=True)
        several = self.targets.ndim > 1
        outputs = self.targets.shape[1] if several else 1
        return Task.of(len(self.classes), outputs, labels=several and self.targets.dtype.kind == "i")

    @property
    def heads(self) -> RowShape:
        """The shape of one row of the targets of each output of a model; empty where there is one output."""
        return () if isinstance(self.targets, np.ndarray) else shapes_of(self.targets)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return row_count(self.targets)

    @property
    def features(self) -> int:
        """The number of inputs of a network."""
        return self.layout.width or sum(math.prod(array.shape[1:]) for array in named(self.values).values())

    @property
    def row_shape(self) -> RowShape:
        """The shape of one row of arrays that have more than one dimension, or of each input; empty for others."""
        plain = isinstance(self.values, np.ndarray) and self.values.ndim < 3
        return () if plain else shapes_of(self.values)

    def flattened(self) -> Dataset:
        """Return the rows as a stack of dense layers takes them: numbers `[rows, features]`.

        Raises:
            BadInput: for several inputs or outputs.
        """
        if self.heads:
            listed_names = ", ".join(named(self.targets))
            reason = f"must be stated, since a stack of dense layers has one output, got the outputs {listed_names}."
            raise BadInput("model.build", reason)
        if not isinstance(self.values, np.ndarray):
            listed_names = ", ".join(named(self.values))
            reason = f"must be stated, since a stack of dense layers has one input, got the inputs {listed_names}."
            raise BadInput("model.build", reason)
        values = flat_rows(self.values)
        if values.dtype == np.int32:
            values = values.astype(np.float32)
        shape = " x ".join(map(str, self.values.shape[1:])) if self.values.ndim > 2 else ""
        note = (f"rows of {shape} numbers are flattened for a stack of dense layers",) if shape else ()
        return replace(self, values=values, notes=(*self.notes, *note))

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest of what is trained on: one file may be read in several ways."""
        described = mapped(lambda array: (array.shape, array.dtype), self.values)
        whole = described if isinstance(self.values, np.ndarray) else (described,)
        heads = (mapped(lambda array: (array.shape, array.dtype), self.targets),) if self.heads else ()
        found = hashlib.sha256(repr((*whole, self.classes, self.layout, *heads)).encode())
        for array in (*named(self.values).values(), *named(self.targets).values()):
            found.update(np.ascontiguousarray(array).data)
        if self.weights is not None:
            found.update(self.weights.data)
        return found.hexdigest()


@dataclass(frozen=True)
class Split:
    """A dataset's rows to train on and to validate on, as indices into it, in their order.

    The arrays are made each time they are asked for: inputs `[rows, features]`, or as the arrays have them, one or
    several, and targets `[rows]`. `notes` say how the rows were divided, where that is not plain. `turns` are the
    splits of a study that is searched on several, this one first; all have as many rows of each class on either side.
    """

    dataset: Dataset
    train_index: NDArray[np.int32]
    validation_index: NDArray[np.int32]
    preparation: Preparation
    notes: tuple[str, ...] = ()
    turns: tuple[Split, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, train_index: NDArray[np.int32], validation_index: NDArray[np.int32]) -> Split:
        """Return the split with its preparation, fitted on the rows to train on."""
        return cls(dataset, train_index, validation_index, dataset.layout.fit(dataset.values, train_index))

    @property
    def each(self) -> tuple[Split, ...]:
        """The splits that run seeds take turns at: this one, unless there are several."""
        return self.turns or (self,)

    def for_seed(self, run_seed: int) -> Split:
        """Return the split of a run, by `turn_of`."""
        return self.each[turn_of(run_seed, len(self.each))]

    def in_blocks(self, index: NDArray[np.int32]) -> Iterator[Inputs]:
        """Yield the inputs of some rows block by block, so that a large table is never copied whole."""
        for first in range(0, len(index), ROWS_AT_ONCE):
            yield self.preparation.apply(rows_at(self.dataset.values, index[first : first + ROWS_AT_ONCE]))

    def inputs(self, index: NDArray[np.int32]) -> Inputs:
        """Return the inputs of some rows."""
        if len(index) <= ROWS_AT_ONCE:
            return self.preparation.apply(rows_at(self.dataset.values, index))
        found: Inputs = None
        for place, block in enumerate(self.in_blocks(index)):
            if found is None:
                found = mapped(lambda array: np.empty((len(index), *array.shape[1:]), array.dtype), block)
            first = place * ROWS_AT_ONCE
            for whole, part in zip(named(found).values(), named(block).values(), strict=True):
                whole[first : first + len(part)] = part
        return found

    @property
    def train_weights(self) -> NDArray[np.float32] | None:
        """What multiplies the loss of each row to train on; None if all weigh 1. Rows to validate on always weigh 1."""
        return None if self.dataset.weights is None else self.dataset.weights[self.train_index]

    def weights_with(self, class_weights: Sequence[float]) -> NDArray[np.float32] | None:
        """Return what multiplies the loss of each row to train on, its own weight and its class's, by class index.

        None if all weigh 1.
        """
        if not class_weights:
            return self.train_weights
        weights: NDArray[np.float32] = np.array(class_weights, np.float32)[self.train_targets]
        return weights if self.train_weights is None else weights * self.train_weights

    @property
    def train_inputs(self) -> Inputs:
        """The inputs to train on."""
        return self.inputs(self.train_index)

    @property
    def train_targets(self) -> Targets:
        """What to predict from them: class indices, or numbers in the target's scale."""
        return self._scaled(self.train_index)

    @property
    def validation_inputs(self) -> Inputs:
        """The inputs to validate on."""
        return self.inputs(self.validation_index)

    @property
    def validation_targets(self) -> Targets:
        """What to predict from them: class indices, or numbers in the target's scale."""
        return self._scaled(self.validation_index)

    @cached_property
    def target_unit(self) -> tuple[float, float]:
        """Mean and standard deviation of the numbers to train on, the scale of targets; 0 and 1 for others.

        Several numbers of one scale have their shared one, and others 0 and 1: their errors are in their own standard
        deviations.
        """
        if self.dataset.task.name != "numbers":
            return 0.0, 1.0
        if self.dataset.targets.ndim > 1:
            return 0.0, float(self.target_scaling[1][0]) if shares_scale(self.dataset.targets) else 1.0
        numbers = self.dataset.targets[self.train_index]
        return float(numbers.mean()), float(numbers.std()) or 1.0

    @cached_property
    def target_scaling(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """What is subtracted from each of several numbers, and what the difference is divided by, `[numbers]`."""
        return scaling_of(self.dataset.targets, self.train_index)

    @property
    def train_rows(self) -> int:
        """The number of rows to train on."""
        return len(self.train_index)

    @property
    def validation_rows(self) -> int:
        """The number of rows to validate on."""
        return len(self.validation_index)

    def _scaled(self, index: NDArray[np.int32]) -> Targets:
        targets = rows_at(self.dataset.targets, index)
        if self.dataset.heads:
            return targets
        if self.dataset.task.counts_rows:
            return targets.astype(np.int32)
        shift, scale = self.target_scaling if targets.ndim > 1 else self.target_unit
        return ((targets - shift) / scale).astype(np.float32)


def read_dataset(
    where: Path | Arrays, keys: DataKeys, metric: MetricName | None = None, beside: Beside = NOTHING_BESIDE
) -> Dataset:
    """Read a file, or arrays, and prepare the columns; what is not stated is found, and said in the data set's notes.

    `metric` is what ranks, if that is stated: some doubts are about another one. `beside` says what the split goes by.

    Raises:
        BadInput: on the key of `[data]` that is wrong, or on `data.file` if the file cannot be read as a table.
    """
    stated = keys.stated(beside)
    table = read_table(where, keys.form, stated.beside)
    if table.inputs is not None:
        return _of_shaped_rows(table, table.inputs, keys, stated)
    found = find_columns(table, stated)
    by = None if found.by is None else read_split_by(table, found.by, stated)
    found, missing = complete_rows(found, keys.missing, by)
    rows = found.values.index
    weights = None if found.weight is None else weights_of(table, found.weight, rows)
    keys = keys.model_copy(update={"scale": keys.scale or "standard"})
    layout, values = Layout.of(found, scale=keys.scale or "standard", words=keys.words, rare=keys.rare)
    targets = found.values[found.label.position].to_numpy(np.int32 if found.classes else np.float64)
    most = float(np.finfo(np.float32).max) if keys.scale == "none" else LARGEST
    for column in (column for column in found.inputs if column.role is not ColumnRole.WORDS):
        refuse_beyond(column.shown, found.values[column.position], most)
    if keys.header:
        _refuse_header_of_data(found)
    notes = (
        *table.notes,
        *column_notes(found),
        *missing,
        *related_rows(found, beside.kind),
        *find_doubts(found, metric),
    )
    place, name = found.label.position, found.label.name
    label = keys.label if keys.label is not None else -1 if place == len(found.columns) - 1 else name or place
    settled = keys.model_copy(update={"header": table.form.header, "label": label, "task": found.task})
    settled = settled.model_copy(update={"weight": _key_of_weight(table, keys)})
    return Dataset(
        values,
        targets,
        found.classes,
        layout,
        table.sha256,
        settled,
        form=table.form,
        columns=found.columns,
        begin=table.begin,
        arrays=table.arrays,
        notes=notes,
        train_rows=None if table.train_rows is None else int((rows < table.train_rows).sum()),
        weights=weights,
        by=None if by is None else by.at(rows.to_numpy()),
    )


def _key_of_weight(table: Table, keys: DataKeys) -> str | int | None:
    """Return the column of the weights as it is stated, or the name of the array that was found to have them."""
    return keys.weight if keys.weight is not None or table.weight is None else table.names[table.weight]


def _of_shaped_rows(table: Table, inputs: Inputs, keys: DataKeys, stated: Stated) -> Dataset:
    """Return arrays whose rows keep their shape."""
    target = read_shaped_label(table, stated)
    weight, place = find_beside(table, stated.beside, label=0)
    by = None if place is None else read_split_by(table, place, stated)
    scale: Scale = keys.scale or "none"
    notes, train_rows = [*table.notes, *target.notes, *told_scaling(inputs, scale)], table.train_rows
    found = target.values.to_numpy(np.float64)
    kept = labelled = ~np.isnan(found.reshape(len(found), -1)).any(axis=1)  # several labels are never missing
    notes += told_targets(target, found if table.heads is None else table.heads)
    if not labelled.all():
        notes.append(f"{told_rows(int((~labelled).sum()))} without a label left out")
    if by is not None:
        kept, lost = placed_rows(by, labelled, keys.missing)
        notes += lost
    if not kept.all():
        inputs = rows_at(inputs, kept)
        train_rows = None if train_rows is None else int(kept[:train_rows].sum())
    if table.heads is None:
        targets = found[kept].astype(np.float64 if target.task == "numbers" else np.int32)
    else:
        targets = rows_at(table.heads, kept)
    notes += beside_notes(table, weight, place)
    settled: dict[str, Any] = {"header": True, "label": -1, "task": target.task, "scale": scale, "kind": "array"}
    settled["weight"] = _key_of_weight(table, keys)
    return Dataset(
        inputs,
        targets,
        target.classes,
        Layout(scale=scale),
        table.sha256,
        keys.model_copy(update=settled),
        form=table.form,
        arrays=table.arrays,
        notes=tuple(notes),
        train_rows=train_rows,
        weights=None if weight is None else weights_of(table, weight, target.values.index[kept]),
        by=None if by is None else by.at(kept),
    )


def _refuse_header_of_data(found: Columns) -> None:
    """Refuse a header that is clearly a row of data: numbers, beside a label that other rows have too.

    Numbers alone prove nothing, because columns may be named by wavelengths or years.
    """
    names = pd.Series([column.name for column in found.columns if column is not found.label])
    if found.label.name in found.classes and pd.to_numeric(names, errors="coerce").notna().all():
        reason = f"must be false if line 1 is data, got numbers and the label {shortened(found.label.name)}."
        raise BadInput("data.header", reason)
