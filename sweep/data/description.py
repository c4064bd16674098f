"""What a file holds, for a person and a program to read: `sweep data FILE`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from sweep.data.arrays import Arrays, SplitKind
from sweep.data.by_row import read_split_by
from sweep.data.columns import INPUTS, Column, ColumnRole, Columns, Stated, find_beside, find_columns
from sweep.data.doubts import beside_notes, find_doubts, related_rows
from sweep.data.form import WORDS_TOO, Form
from sweep.data.label import AS_STATED, LOOKED_AT
from sweep.data.reading import Table, read_table
from sweep.data.rows import Inputs, named, row_count
from sweep.data.targets import baseline_of, read_shaped_label
from sweep.model import Answer
from sweep.task import DEFAULT_METRICS, MetricName, TaskName

MOST_WORDS = 8  # that are listed
MOST_ROWS = 1_000  # of arrays, that show a median


class ColumnAnswer(Answer):
    """One column.

    Attributes:
        number: counted from 1.
        name: as the file has it, empty without a header.
        role: number, words, date, label, id, constant, empty or dropped; array for rows that keep their shape; group,
            time or weight for a column that is no input.
        why: the reason for the role, empty where it is plain.
        distinct: how many different values it has.
        missing: the number of missing cells by what stands in them.
        low, middle, high: least, median and greatest of numbers.
        words: the commonest categories with their number of rows.
    """

    number: int
    name: str
    role: ColumnRole
    why: str
    distinct: int
    missing: dict[str, int]
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    words: dict[str, int] = Field(default={})

    @property
    def is_input(self) -> bool:
        """Whether the network sees it."""
        return self.role in INPUTS


class TableAnswer(Answer):
    """A file's rows and columns.

    Attributes:
        file: where it is.
        sha256: hexadecimal digest of its bytes.
        rows: rows of data.
        form: how it is written.
        columns: all of them, in their order.
        task: `classes`, `labels`, `numbers`, or `heads`: what the label holds.
        why: the reason for the task.
        classes: rows by class; empty for numbers, and for several labels a row.
        unlabelled: rows without a label.
        inputs: the number of columns that the network sees, or of values in a row of arrays.
        shape: of one row of arrays, empty for columns and for several inputs.
        split: how rows to validate are chosen unless a study file says otherwise.
        by: the column that the split goes by, as it is stated.
        metric: what ranks candidates unless a study file says otherwise.
        baseline: the accuracy of always answering the commonest class, or labels, or the root mean squared error of
            the mean; None for several outputs, of which nobody knows.
        data: the `[data]` table of a study file that states what was found.
        notes: what was found rather than stated.
        doubts: what may be wrong.
    """

    file: str
    sha256: str
    rows: int
    form: Form
    columns: tuple[ColumnAnswer, ...]
    task: TaskName
    why: str
    classes: dict[str, int]
    unlabelled: int
    inputs: int
    shape: tuple[int, ...] = ()
    split: SplitKind
    by: str | int | None = None
    metric: MetricName
    baseline: float | None
    data: dict[str, Any]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def are_arrays(self) -> bool:
        """Whether rows keep their shape."""
        return any(column.role is ColumnRole.ARRAY for column in self.columns)


def describe_table(
    where: Path | Arrays, form: Form, stated: Stated, metric: MetricName | None = None, name: str = ""
) -> TableAnswer:
    """Read a file and say what it holds, or arrays called `name`; `metric` is what ranks, if that is stated.

    Raises:
        BadInput: on what is stated wrongly, or on `data.file`.
    """
    if isinstance(where, Arrays):
        answer = _describe_rows(where, Path(name), form, stated, metric)
        rest = {key: value for key, value in answer.data.items() if key not in ("file", "format")}
        return answer.model_copy(update={"data": {"function": name, **rest}})
    return _describe_rows(where, where, form, stated, metric)


def _describe_rows(
    where: Path | Arrays, place: Path, form: Form, stated: Stated, metric: MetricName | None
) -> TableAnswer:
    table = read_table(where, form, stated.beside)
    split: SplitKind = "resample" if table.train_rows is None else "given"
    if table.inputs is not None:
        return _describe_arrays(place, table, table.inputs, stated, metric).model_copy(update={"split": split})
    found = find_columns(table, stated)
    if found.by is not None:
        read_split_by(table, found.by, stated)
    target = found.values[found.label.position]
    counts = target.value_counts() if found.classes else pd.Series(dtype="int64")
    share = float(counts.max() / counts.sum()) if found.classes else 0.0
    return TableAnswer(
        file=str(place),
        sha256=table.sha256,
        rows=len(table.columns),
        form=table.form,
        columns=tuple(_describe(column, table, found) for column in found.columns),
        task=found.task,
        why=found.why,
        classes={label: int(counts.get(float(place), 0)) for place, label in enumerate(found.classes)},
        unlabelled=int(target.isna().sum()),
        inputs=len(found.inputs),
        split=split,
        metric=metric or DEFAULT_METRICS[found.task],
        baseline=share if found.classes else float(target.std(ddof=0)),
        data=state_all(place.name, table, found, stated),
        notes=(*table.notes, *beside_notes(table, found.weight, found.by, found.columns)),
        doubts=(*related_rows(found, stated.beside.kind), *find_doubts(found, metric)),
    )


def _describe_arrays(
    place: Path, table: Table, inputs: Inputs, stated: Stated, metric: MetricName | None
) -> TableAnswer:
    target, (weight, by) = read_shaped_label(table, stated), find_beside(table, stated.beside, label=0)
    weighed = {} if weight is None else {"weight": table.names[weight]}
    alone, label_name = table.arrays[:2] or ("x", "y")
    counts = target.values.value_counts() if target.classes else pd.Series(dtype="int64")
    labels = target.values.to_numpy(np.float64)
    values = [_describe_array(name or alone, array, ColumnRole.ARRAY) for name, array in named(inputs).items()]
    if table.heads is not None:
        values += [_describe_array(name, array, ColumnRole.LABEL) for name, array in named(table.heads).items()]
    else:
        label = ColumnAnswer(number=0, name=label_name, role=ColumnRole.LABEL, why="", distinct=0, missing={})
        if not target.classes:
            low, middle, high = np.nanquantile(labels, [0, 0.5, 1]).tolist()
            why = f"{labels.shape[1]} a row" if labels.ndim > 1 else ""
            label = label.model_copy(update={"low": low, "middle": middle, "high": high, "why": why})
        values.append(label)
    if target.classes:
        baseline: float | None = float(counts.max() / counts.sum())
    else:
        baseline = baseline_of(target.task, labels) if table.heads is None else None
    return TableAnswer(
        file=str(place),
        sha256=table.sha256,
        rows=row_count(inputs),
        form=table.form,
        columns=tuple(each.model_copy(update={"number": number}) for number, each in enumerate(values, start=1)),
        task=target.task,
        why=target.why,
        classes={label: int(counts.get(float(place), 0)) for place, label in enumerate(target.classes)},
        unlabelled=int(np.isnan(labels.reshape(len(labels), -1)).any(axis=1).sum()),
        inputs=sum(math.prod(array.shape[1:]) for array in named(inputs).values()),
        shape=inputs.shape[1:] if isinstance(inputs, np.ndarray) else (),
        split="resample",
        metric=metric or DEFAULT_METRICS[target.task],
        baseline=baseline,
        data={"file": place.name, "kind": "array"} | weighed | {"task": target.task},
        notes=(*table.notes, *target.notes, *beside_notes(table, weight, by)),
        doubts=(),
    )


def _describe_array(name: str, array: NDArray[Any], role: ColumnRole) -> ColumnAnswer:
    return ColumnAnswer(
        number=0,
        name=name,
        role=role,
        why=f"{array.dtype} [{', '.join(map(str, array.shape))}]",
        distinct=0,
        missing={},
        low=float(array.min()),
        middle=float(np.median(array[:MOST_ROWS])),
        high=float(array.max()),
    )


def state_all(file: str, table: Table, found: Columns, stated: Stated) -> dict[str, Any]:
    """Return the `[data]` table of a study file that leaves nothing to be found."""
    form = table.form
    data: dict[str, Any] = {"file": file} | ({} if form.format == "csv" else {"format": form.format})
    if form.format == "csv":
        written = form.model_dump(include={"delimiter", "decimal", "encoding", "comment"}, exclude_none=True)
        data |= written | {"header": form.header}
    tokens = sorted({token for counts in table.missing.values() for token in counts} - {""})
    data |= {"na_values": tokens} if tokens and not WORDS_TOO & set(tokens) else {}
    data["label"] = _key(found.label, table)
    data |= {} if found.weight is None else {"weight": _key(found.columns[found.weight], table)}
    if dropped := [_key(column, table) for column in found.columns if column.role is ColumnRole.DROPPED]:
        data["drop"] = dropped
    roles = {ColumnRole.ID: "id", ColumnRole.DATE: "date"}
    special = {str(_key(column, table)): roles[column.role] for column in found.columns if column.role in roles}
    plain = {str(_key(column, table)): column.role.value for column in found.inputs if column.why == AS_STATED}
    data |= {"roles": special | plain} if special or plain else {}
    data |= {"labels": dict(stated.labels)} if stated.labels else {}
    return data | {"task": found.task}


def _key(column: Column, table: Table) -> str | int:
    """Return what names a column in a study file: its name, or its place where names do not tell it apart."""
    unique = bool(column.name) and table.names.count(column.name) == 1
    return column.name if unique else column.position


def _describe(column: Column, table: Table, found: Columns) -> ColumnAnswer:
    answer = ColumnAnswer(
        number=column.position + 1,
        name=column.name,
        role=column.role,
        why=column.why,
        distinct=column.distinct if column.distinct < LOOKED_AT // 2 else int(table.columns[column.position].nunique()),
        missing=dict(column.missing),
    )
    is_target = column.role is ColumnRole.LABEL
    if column.role in (ColumnRole.NUMBER, ColumnRole.DATE) or (is_target and found.task == "numbers"):
        low, middle, high = np.nanquantile(found.values[column.position].to_numpy("float64"), [0, 0.5, 1])
        return answer.model_copy(update={"low": float(low), "middle": float(middle), "high": float(high)})
    if column.role is ColumnRole.WORDS:
        commonest = table.columns[column.position].value_counts().head(MOST_WORDS)
        return answer.model_copy(update={"words": {str(word): int(count) for word, count in commonest.items()}})
    return answer
