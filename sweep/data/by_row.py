"""What rows have beside their inputs and label: a weight in the training loss, and what a split goes by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.data.cells import as_text
from sweep.data.columns import (
    ColumnRole,
    Columns,
    Stated,
    read_as_stated,
    read_cells,
    read_weights,
    refuse_beyond,
    told_missing,
)
from sweep.data.doubts import listed
from sweep.data.reading import Table
from sweep.errors import BadInput


@dataclass(frozen=True)
class SplitBy:
    """What a split goes by.

    Attributes:
        position: of the column.
        shown: the column, as messages have it.
        values: the place of each row's group in `names`, or its time, `[rows]`.
        names: the groups, sorted as text; empty for times.
        are_dates: whether times are days since 1970, and not numbers of any unit.
    """

    position: int
    shown: str
    values: NDArray[np.float64]
    names: tuple[str, ...] = ()
    are_dates: bool = False

    def at(self, rows: NDArray[Any]) -> SplitBy:
        """Return that of some rows."""
        return replace(self, values=self.values[rows])

    def told(self, value: float) -> str:
        """Return a group or a time in words."""
        if self.names:
            return repr(self.names[int(value)])
        if not self.are_dates:
            return f"{value:.0f}" if value == int(value) else f"{value:.12g}"
        moment = pd.Timestamp(1970, 1, 1) + pd.Timedelta(days=value).round("s")
        return moment.strftime("%Y-%m-%d" if value == int(value) else "%Y-%m-%d %H:%M:%S")


def read_split_by(table: Table, position: int, stated: Stated) -> SplitBy:
    """Read the column that a split goes by; a missing cell is NaN.

    Raises:
        BadInput: on `split.by`, for times that are neither dates nor numbers, or no value at all.
    """
    cells, shown = table.columns[position], table.shown(position)
    present = cells.dropna()
    if present.empty:
        raise BadInput("split.by", f"must be a column with values, got {shown}, which is empty.")
    if stated.beside.kind == "group":
        words = as_text(cells)
        names = tuple(sorted(words.dropna().unique()))
        codes = pd.Categorical(words, categories=names).codes.astype(np.float64)
        return SplitBy(position, shown, np.where(codes < 0, np.nan, codes), names)
    role = {table.find(which, "data.roles"): role for which, role in stated.roles.items()}.get(position)
    try:
        if role in ("date", "number"):
            read = read_as_stated(table, position, role)
        else:
            read = read_cells(table, position, present)
        if read.role is ColumnRole.NUMBER:
            refuse_beyond(shown, read.values)
    except BadInput as error:
        reason = error.reason.partition(";")[0].rstrip(".")  # what follows is a cure for inputs
        raise BadInput("split.by", f"{reason}.") from error
    if read.role not in (ColumnRole.DATE, ColumnRole.NUMBER):
        first = repr(str(present.iloc[0]))
        raise BadInput("split.by", f"must be a column of dates or numbers, got {shown}, with {first}.")
    return SplitBy(position, shown, read.values.to_numpy("float64"), are_dates=read.role is ColumnRole.DATE)


def weights_of(table: Table, position: int, rows: pd.Index) -> NDArray[np.float32]:
    """Return the weights of some rows, `[rows]`.

    Raises:
        BadInput: on `data.weight`, for a weight that is missing, negative or no number, or if all are 0.
    """
    shown, weights = table.shown(position), read_weights(table, position).values.loc[rows]
    try:
        refuse_beyond(shown, weights, float(np.finfo(np.float32).max))
    except BadInput as error:
        raise BadInput("data.weight", error.reason) from error
    for wrong, told in ((weights.isna(), "a missing one"), (weights < 0, "a negative one")):
        if wrong.any():
            place = int(wrong.to_numpy().argmax())
            rule = f"{shown} must hold weights of 0 or more"
            raise BadInput("data.weight", f"{rule}, got {told} in row {rows[place] + 1}.")
    if not (weights > 0).any():
        raise BadInput("data.weight", f"{shown} must hold a weight above 0, got 0 in every row.")
    return weights.to_numpy(np.float32)


def placed_rows(by: SplitBy, able: NDArray[np.bool_], missing: str) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which of the `able` rows have what the split goes by, and what is to be said of the others.

    Raises:
        BadInput: if a row has none and `missing` is `refuse`, or if no row has one.
    """
    absent = np.isnan(by.values)
    lost = int((able & absent).sum())
    if lost and missing == "refuse":
        raise BadInput(
            "data.missing", f"is refuse, and {by.shown}, which the split goes by, is missing in {told_rows(lost)}."
        )
    why = "their group is" if by.names else "their time is"
    return able & ~absent, [f"{told_rows(lost)} left out, since {why} missing in {by.shown}"] if lost else []


def told_rows(number: int) -> str:
    """Return so many rows in words."""
    return f"{number} row{'' if number == 1 else 's'}"


def complete_rows(found: Columns, missing: str, by: SplitBy | None) -> tuple[Columns, list[str]]:
    """Leave out rows without a label, without what the split goes by and, if so stated, with a missing cell.

    Returns also what was left out or is filled.
    """
    notes, absent = list[str](), found.values[found.label.position].isna()
    if absent.any():
        notes.append(f"{told_rows(int(absent.sum()))} without a label left out")
    kept = ~absent.to_numpy()
    if by is not None:
        kept, lost = placed_rows(by, kept, missing)
        notes += lost
    if not kept.all():
        found = replace(found, values=found.values[kept])
    holes = [column for column in found.inputs if found.values[column.position].isna().any()]
    if not holes:
        return found, notes
    count = sum(int(found.values[column.position].isna().sum()) for column in holes)
    cells = "1 cell is" if count == 1 else f"{count:,} cells are"
    where = listed([f"{column.shown}: {told_missing(column.missing)}" for column in holes], "; ")
    if missing == "refuse":
        cure = 'state missing = "median" or "drop", or leave columns out by data.drop'
        raise BadInput("data.missing", f"is refuse, and {cells} missing, in {where}; {cure}.")
    if missing == "drop":
        whole = found.values[[column.position for column in found.inputs]].notna().all(axis=1)
        if not whole.any():
            raise BadInput("data.missing", f"is drop, and every row has a missing cell, in {where}.")
        notes.append(f"{told_rows(int((~whole).sum()))} with a missing cell left out, in {where}")
        return replace(found, values=found.values[whole]), notes
    told = "a number gets the median and an input that says so, a word is a category of its own"
    notes.append(f"{cells} missing, in {where}; {told}")
    return found, notes
