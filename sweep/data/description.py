"""What a file holds, for a person and a program to read: `sweep data FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from sweep.data.columns import INPUTS, Column, ColumnRole, Columns, Stated, find_columns
from sweep.data.doubts import find_doubts
from sweep.data.form import WORDS_TOO, Form
from sweep.data.label import AS_STATED, LOOKED_AT
from sweep.data.reading import Table, read_table
from sweep.data.table import SplitKind
from sweep.model import Answer
from sweep.task import DEFAULT_METRICS, MetricName, TaskName

MOST_WORDS = 8  # that are listed


class ColumnAnswer(Answer):
    """One column.

    Attributes:
        number: counted from 1.
        name: as the file has it, empty without a header.
        role: number, words, date, label, id, constant, empty or dropped.
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
        task: `classes` or `numbers`: what the label holds.
        why: the reason for the task.
        classes: rows by class; empty for numbers.
        unlabelled: rows without a label.
        inputs: the number of columns that the network sees.
        split: how rows to validate are chosen unless a study file says otherwise.
        metric: what ranks candidates unless a study file says otherwise.
        baseline: the accuracy of always answering the commonest class, or the root mean squared error of the mean.
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
    split: SplitKind
    metric: MetricName
    baseline: float
    data: dict[str, Any]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


def describe_table(path: Path, form: Form, stated: Stated, metric: MetricName | None = None) -> TableAnswer:
    """Read a file and say what it holds; `metric` is what ranks, if that is stated.

    Raises:
        BadInput: on what is stated wrongly, or on `data.file`.
    """
    table = read_table(path, form)
    found = find_columns(table, stated)
    target = found.values[found.label.position]
    counts = target.value_counts() if found.classes else pd.Series(dtype="int64")
    share = float(counts.max() / counts.sum()) if found.classes else 0.0
    return TableAnswer(
        file=str(path),
        sha256=table.sha256,
        rows=len(table.columns),
        form=table.form,
        columns=tuple(_describe(column, table, found) for column in found.columns),
        task=found.task,
        why=found.why,
        classes={label: int(counts.get(float(place), 0)) for place, label in enumerate(found.classes)},
        unlabelled=int(target.isna().sum()),
        inputs=len(found.inputs),
        split="stratified",
        metric=metric or DEFAULT_METRICS[found.task],
        baseline=share if found.classes else float(target.std(ddof=0)),
        data=state_all(path.name, table, found, stated),
        notes=table.notes,
        doubts=find_doubts(found, metric),
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
