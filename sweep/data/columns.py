"""What each column of a table is: numbers, words, dates, an identifier, the label; found, unless it is stated."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from reprlib import repr as shortened
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from sweep.data.arrays import NOTHING_BESIDE, Beside
from sweep.data.cells import (
    are_codes,
    as_text,
    days,
    is_whole,
    read_compact_dates,
    read_dates,
    read_numbers,
    read_units,
    some,
    text_of,
    unlike_a_date,
    written_by_type,
)
from sweep.data.label import (
    AS_STATED,
    FILE_SAYS,
    ID_ROWS,
    ID_SHARE,
    LONGEST_CLASS_LIST,
    LOOKED_AT,
    find_label,
    read_label,
)
from sweep.data.reading import Table
from sweep.errors import BadInput
from sweep.task import TaskName

StatedRole: TypeAlias = Literal["number", "words", "date", "id"]

ID_NAME = re.compile(
    r"(?:.*[-_ .])?(?:id|index|idx|row|rows|rownames|row names|uuid|guid|key|no|nr|serial|code|case|obs|observation|"
    r"number|record|sample|instance)|\w+id|#|unnamed.*|",
    re.IGNORECASE,
)
CAMEL_ID = re.compile(r".*[a-z](?:Id|ID|No|Nr|Num|Number|Code|Key|Index)")
NUMBERS_ROWS = "it numbers the rows"
DIFFERENT_WORDS = "different words"


class ColumnRole(StrEnum):
    """What a column is to the network."""

    NUMBER = "number"
    WORDS = "words"
    DATE = "date"
    LABEL = "label"
    ID = "id"
    CONSTANT = "constant"
    EMPTY = "empty"
    DROPPED = "dropped"
    ARRAY = "array"
    GROUP = "group"
    TIME = "time"
    WEIGHT = "weight"


INPUTS = (ColumnRole.NUMBER, ColumnRole.WORDS, ColumnRole.DATE)
USED = (*INPUTS, ColumnRole.LABEL)


@dataclass(frozen=True)
class Column:
    """One column of a file.

    Attributes:
        position: from 0.
        name: as the file has it; empty without a header.
        role: what it is used as.
        why: the reason for the role, where it is not plain.
        distinct: how many different values it has in the first 20,000 rows.
        missing: the number of missing cells by what stands in them.
        written: how its cells are written: `plain` numbers, numbers `dressed` with signs or thousands, `truth` for true
            and false, `date` for moments, as `Read` has it, `codes` of digits, or `words`.
    """

    position: int
    name: str
    role: ColumnRole
    why: str
    distinct: int
    missing: Mapping[str, int]
    written: str = "words"

    @property
    def shown(self) -> str:
        """The column as messages have it."""
        return f"column {self.position + 1}" + (f" ({shortened(self.name)})" if self.name else "")


def told_missing(counts: Mapping[str, int]) -> str:
    """Return in words how many cells are missing, by what stands in them."""
    return ", ".join(f"{count:,} {token!r}" if token else f"{count:,} empty" for token, count in counts.items())


@dataclass(frozen=True)
class Columns:
    """The columns of a table with their roles.

    Attributes:
        table: what was read from the file.
        values: numbers (dates too: days since 1970) and words of the inputs and the label, by position.
        columns: all of them, in their order.
        task: `classes` or `numbers`, what the label holds.
        why: the reason for the task.
        classes: the labels, sorted; empty for numbers.
        weight: the position of the column that weighs rows.
        by: that of the column that a split goes by.
    """

    table: Table
    values: pd.DataFrame
    columns: tuple[Column, ...]
    task: TaskName
    why: str
    classes: tuple[str, ...]
    weight: int | None = None
    by: int | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that the network sees."""
        return tuple(column for column in self.columns if column.role in INPUTS)

    @property
    def label(self) -> Column:
        """The column to be predicted."""
        return next(column for column in self.columns if column.role is ColumnRole.LABEL)


class Cells(NamedTuple):
    """What the cells of a column were read as.

    Attributes:
        role: what the column is used as.
        why: the reason, where it is not plain.
        values: numbers, or words.
        written: how they are written, as `Column` has it.
    """

    role: ColumnRole
    why: str
    values: pd.Series
    written: str = "words"


@dataclass(frozen=True)
class Stated:
    """What a study file says of the columns.

    Attributes:
        label: name or position of the label; None to find it.
        drop: names or positions of columns to leave out.
        roles: roles by name or position.
        labels: labels to be read as other labels.
        task: what the label holds; None to find it.
        beside: the columns that tell something of the rows beside inputs and label.
    """

    label: str | int | None = None
    drop: Sequence[str | int] = ()
    roles: Mapping[str, StatedRole] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    task: TaskName | None = None
    beside: Beside = NOTHING_BESIDE


NOTHING_STATED = Stated()


def find_columns(table: Table, stated: Stated = NOTHING_STATED) -> Columns:
    """Find what each column of a table is.

    Raises:
        BadInput: on the key of `[data]` that is wrong, or on `data.file` for a column that can be nothing.
    """
    label, why_label = find_label(table, stated.label)
    dropped = {table.find(which, "data.drop") for which in stated.drop}
    if label in dropped:
        raise BadInput("data.drop", f"must leave the label, got {table.shown(label)}.")
    roles = {table.find(which, "data.roles"): role for which, role in stated.roles.items()}
    weight, by = find_beside(table, stated.beside, label)
    apart = {} if by is None else {by: _read_beside(table, by, ColumnRole(stated.beside.kind))}
    apart |= {} if weight is None else {weight: read_weights(table, weight)}
    values: dict[int, pd.Series] = {}
    columns: list[Column] = []
    for position in range(table.columns.shape[1]):
        cells = table.columns[position]
        distinct = int(cells.iloc[:LOOKED_AT].nunique())
        if position == label:
            found = Cells(ColumnRole.LABEL, why_label, cells)
        elif position in dropped:
            found = Cells(ColumnRole.DROPPED, AS_STATED, cells)
        elif position in apart and position not in roles:
            found = apart[position]
        else:
            found = _read_column(table, position, roles.get(position), distinct)
        name, missing = table.names[position] if table.names else "", table.missing.get(position, {})
        columns.append(Column(position, name, found.role, found.why, distinct, missing, found.written))
        values[position] = found.values
    columns = _with_an_input(columns)
    target = read_label(table, label, stated.task, stated.labels)
    values[label], columns[label] = target.values, replace(columns[label], written=target.written)
    refuse_beyond(table.shown(label), target.values)
    kept = {column.position: values[column.position] for column in columns if column.role in USED}
    facts = tuple(columns), target.task, target.why, target.classes, weight, by
    return Columns(table, pd.DataFrame(kept, copy=False), *facts)


def _read_beside(table: Table, position: int, role: ColumnRole) -> Cells:
    """Return a column that a split goes by, and how it is written."""
    cells, why = table.columns[position], "by split.by"
    written = written_by_type(cells)
    if role is ColumnRole.TIME and not written and cells.notna().any():
        with contextlib.suppress(BadInput):  # which is said where the split reads it
            written = read_cells(table, position, cells.dropna()).written
    return Cells(role, why, cells, written or ("codes" if are_codes(cells) else "words"))


def read_weights(table: Table, position: int) -> Cells:
    """Read the column of weights.

    Raises:
        BadInput: on `data.weight`, for a cell that is no number.
    """
    try:
        found = read_as_stated(table, position, "number")
    except BadInput as error:
        raise BadInput("data.weight", error.reason) from error
    return found._replace(role=ColumnRole.WEIGHT, why="by data.weight")


def find_beside(table: Table, stated: Beside, label: int) -> tuple[int | None, int | None]:
    """Return the positions of the column of weights and of the column that the split goes by, if there are such.

    Raises:
        BadInput: on `data.weight` or `split.by`, for the label or a column that is not there.
    """
    weight, by = table.weight, table.by
    if stated.weight is not None and weight is None:
        weight = table.find(stated.weight, "data.weight")
    if stated.splits and by is None:
        if stated.by is None:
            what = "tells which rows belong together" if stated.kind == "group" else "tells the time of a row"
            raise BadInput("split.by", f"is missing; name the column that {what}.")
        by = table.find(stated.by, "split.by")
    for key, position in (("data.weight", weight), ("split.by", by)):
        if position == label:
            raise BadInput(key, f"must be another column than the label, got {table.shown(label)}.")
    return weight, by


def _with_an_input(columns: list[Column]) -> list[Column]:
    """Return the columns, of which one must be an input: a column that counts, if there is no other."""
    if any(column.role in INPUTS for column in columns):
        return columns
    for column in columns:
        if column.why == NUMBERS_ROWS and not _is_named_id(column.name):
            number = replace(column, role=ColumnRole.NUMBER, why=f"{NUMBERS_ROWS}, and there is no other input")
            return [number if each is column else each for each in columns]
    others = [each for each in columns if each.role not in USED]
    reasons = "; ".join(f"{each.shown} is {each.role} ({each.why})" for each in others[:5])
    texts = [each.shown for each in others if DIFFERENT_WORDS in each.why]
    cure = f"; a text such as {texts[0]} must become numbers first, as counts of words or an embedding" if texts else ""
    raise BadInput("data.file", f"must have a column that a network can read, got none: {reasons}{cure}.")


def _read_column(table: Table, position: int, stated: StatedRole | None, distinct: int) -> Cells:
    """Return what an input column is, and its cells as that."""
    cells = table.columns[position]
    if stated is not None:
        return read_as_stated(table, position, stated)
    if table.kinds.get(position) == "words" and not cells.isna().all():
        return Cells(ColumnRole.WORDS, FILE_SAYS, as_text(cells), written_by_type(cells) or "words")
    present = cells.dropna() if cells.hasnans else cells
    if present.empty:
        return Cells(ColumnRole.EMPTY, "no cell has a value", cells)
    if distinct == min(len(cells), LOOKED_AT) or not pd.api.types.is_numeric_dtype(cells):
        identifies = _identifies(table, position, present)
        if identifies:
            return Cells(ColumnRole.ID, identifies, cells, written_by_type(cells) or "words")
    if position not in table.kinds and not written_by_type(cells) and are_codes(present):
        code = present[present.str.startswith("0")].iloc[0]
        found = Cells(ColumnRole.WORDS, f"codes such as {shortened(code)}", cells, "codes")
    else:
        found = read_cells(table, position, present)
    if found.role is ColumnRole.NUMBER:
        refuse_beyond(table.shown(position), found.values)
    if distinct == 1 and len(present) == len(cells) and bool((cells == cells.iloc[0]).all()):
        role = ColumnRole.CONSTANT if found.role is ColumnRole.WORDS else found.role
        return found._replace(role=role, why=f"every cell is {shortened(text_of(present.iloc[0]))}")
    return found


def refuse_beyond(shown: str, values: pd.Series, most: float = sys.float_info.max) -> None:
    """Raise `BadInput` for the first number of a column beyond `most`; its row counts from 1."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iub":
        return
    beyond = np.abs(values.to_numpy("float64")) > most
    if beyond.any():
        place = int(beyond.argmax())
        where = f"row {values.index[place] + 1}, {shown}"
        raise BadInput("data.file", f"{where} must be finite as a 32-bit float, got {values.iloc[place]:g}.")


def read_cells(table: Table, position: int, present: pd.Series) -> Cells:
    """Read a column as numbers, else as dates, else as numbers with signs and units, else as words."""
    cells, written = table.columns[position], written_by_type(table.columns[position])
    if written == "date":
        return Cells(ColumnRole.DATE, "days since 1970", days(cells), written)
    if written:
        compact = read_compact_dates(cells) if written == "plain" and position not in table.kinds else None
        number = Cells(ColumnRole.NUMBER, "", _plain(cells), written)
        return number if compact is None else Cells(ColumnRole.DATE, compact.how, compact.values, compact.written)
    text, decimal = cells.astype("str").where(cells.notna()), table.form.decimal or "."
    dates = read_dates(text)
    if dates is not None:
        role = ColumnRole.DATE if dates.are_days else ColumnRole.NUMBER
        return Cells(role, dates.how, dates.values, dates.written)
    if read_numbers(some(present.astype("str")), decimal).notna().any():
        numbers = read_numbers(text, decimal)
        if numbers.notna().sum() == len(present):
            how = f"written like {shortened(str(present.iloc[0]))}"
            return Cells(ColumnRole.NUMBER, how, numbers, "dressed")
        _refuse_mixture(table, position, text, numbers)
    measures = read_units(text, decimal)
    if measures is not None:
        return Cells(ColumnRole.NUMBER, measures.how, measures.values, measures.written)
    unlike = unlike_a_date(text)
    if unlike is not None:
        rule = f"{table.shown(position)} must hold dates that are written alike, got {shortened(unlike)}"
        raise BadInput("data.file", f'{rule}; leave it out by data.drop, or set data.roles to "words" for it.')
    return Cells(ColumnRole.WORDS, "", text)


def _refuse_mixture(table: Table, position: int, text: pd.Series, numbers: pd.Series) -> None:
    """Refuse measured numbers among which a few cells are words; codes such as 136A and few values may be both."""
    other, count = text[numbers.isna() & text.notna()], int(numbers.notna().sum())
    total = count + len(other)
    if len(other) > 0.1 * total or other.nunique() > max(3, 0.02 * total) or numbers.nunique() <= LONGEST_CLASS_LIST:
        return
    if other.str.contains(r"\d", regex=True).all():
        return
    words = ", ".join(shortened(word) for word in other.unique()[:5])
    rule = f"{table.shown(position)} must be numbers or words, got {count} numbers and {words}"
    cure = 'name what stands for a missing value in data.na_values, or set data.roles to "words" for it'
    raise BadInput("data.file", f"{rule}; {cure}.")


def read_as_stated(table: Table, position: int, role: StatedRole) -> Cells:
    """Read a column as what is stated of it.

    Raises:
        BadInput: on `data.roles`, for a cell that is something else.
    """
    cells, written = table.columns[position], written_by_type(table.columns[position])
    if role == "id":
        return Cells(ColumnRole.ID, AS_STATED, cells, written or "words")
    text = as_text(cells)
    if role == "words":
        return Cells(ColumnRole.WORDS, AS_STATED, text, written or ("codes" if are_codes(text) else "words"))
    first = text.dropna()
    if first.empty:
        raise BadInput("data.roles", f"{table.shown(position)} must hold {role}s, got no value at all.")
    if role == "date":
        if written == "date":
            return Cells(ColumnRole.DATE, AS_STATED, days(cells), written)
        found = read_compact_dates(cells) if written else read_dates(text)
        if found is None:
            raise BadInput("data.roles", f"{table.shown(position)} must hold dates, got {shortened(first.iloc[0])}.")
        return Cells(ColumnRole.DATE, AS_STATED, found.values, found.written)
    if pd.api.types.is_numeric_dtype(cells):
        return Cells(ColumnRole.NUMBER, AS_STATED, _plain(cells), written)
    decimal = table.form.decimal or "."
    numbers, written = read_numbers(text, decimal), "dressed"
    wrong = text[numbers.isna() & text.notna()]
    if len(wrong):
        measures = read_units(text, decimal)
        if measures is None:
            raise BadInput("data.roles", f"{table.shown(position)} must hold numbers, got {shortened(wrong.iloc[0])}.")
        numbers, written = measures.values, measures.written
    return Cells(ColumnRole.NUMBER, AS_STATED, numbers, written)


def _identifies(table: Table, position: int, present: pd.Series) -> str:
    """Return why a column tells rows apart and nothing else; empty if it does not."""
    if pd.api.types.is_datetime64_any_dtype(present) or pd.api.types.is_bool_dtype(present):
        return ""
    numeric, rows = pd.api.types.is_numeric_dtype(present), len(table.columns)
    if numeric and not (is_whole(present.iloc[:LOOKED_AT]) and is_whole(present)):
        return ""
    different = int(present.nunique())
    all_differ = different == len(present)
    is_named = all_differ and rows > 2 and bool(table.names) and _is_named_id(table.names[position])
    if numeric:
        if not is_named and all_differ and len(present) == rows >= ID_ROWS and _counts(present):
            return NUMBERS_ROWS
        if not is_named and rows >= ID_ROWS and different > 0.9 * len(present) and float(present.abs().min()) > 1e15:
            return "whole numbers above 1e15, nearly all different"
    elif is_named or (len(present) >= ID_ROWS and different > ID_SHARE * len(present)):
        sample, decimal = some(present.astype("str")), table.form.decimal or "."
        codes = are_codes(present)
        numbers = read_numbers(sample, decimal).notna().mean()
        is_named = is_named and (codes or (numbers < 0.5 and read_dates(sample) is None))
        if not is_named and (codes or _are_words(sample, decimal)):
            return f"{different} {DIFFERENT_WORDS} in {len(present)} cells"
    return "its name says so, and all cells differ" if is_named else ""


def _are_words(sample: pd.Series, decimal: str) -> bool:
    """Say whether cells are neither numbers nor dates, however written."""
    return (
        read_numbers(sample, decimal).notna().mean() < 0.5
        and read_dates(sample) is None
        and read_units(sample, decimal) is None
        and unlike_a_date(sample) is None
    )


def _is_named_id(name: str) -> bool:
    return bool(ID_NAME.fullmatch(name.strip()) or CAMEL_ID.fullmatch(name.strip()))


def _counts(cells: pd.Series) -> bool:
    """Say whether whole numbers count up by one: from 0, from 1, or from more than 1e9."""
    low, high = int(cells.min()), int(cells.max())
    return bool(cells.is_monotonic_increasing) and high - low == len(cells) - 1 and (low in (0, 1) or low > 1e9)


def _plain(cells: pd.Series) -> pd.Series:
    """Return numbers as NumPy has them."""
    return cells if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "if" else cells.astype("float64")
