"""What each column of a table is: numbers, words, dates, an identifier, the label; found, unless it is stated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from reprlib import repr as shortened
from typing import Literal, TypeAlias

import pandas as pd

from sweep.data.reading import Table
from sweep.errors import BadInput, nearest

TaskName: TypeAlias = Literal["classes", "numbers"]
StatedRole: TypeAlias = Literal["number", "words", "date", "id"]

LABEL_NAMES = ("class", "label", "target", "y", "outcome", "species")
ID_NAME = re.compile(
    r"(?:.*[_ .])?(?:id|index|idx|row|rownames|row names|uuid|key|no|nr|serial)|unnamed.*|", re.IGNORECASE
)
AS_STATED = "as stated"
ID_ROWS = 20  # below it, cells that are all different prove nothing
ID_SHARE = 0.5  # of cells of words that are different
LONGEST_CLASS_LIST = 20
SENTINELS = (-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999)
DRESS = re.compile(r"[$€£¥%\s ]|(?<=\d),(?=\d{3})")
DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%m/%d/%y", "%d-%m-%Y", "%b %d %Y")
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", "T%H:%M:%SZ", " %H:%M:%S.%f", "T%H:%M:%S.%f")
DATES = tuple(day + time for day in DAYS for time in TIMES)


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


INPUTS = (ColumnRole.NUMBER, ColumnRole.WORDS, ColumnRole.DATE)


@dataclass(frozen=True)
class Column:
    """One column of a file.

    Attributes:
        position: from 0.
        name: as the file has it; empty without a header.
        role: what it is used as.
        why: the reason for the role, where it is not plain.
        distinct: how many different values it has.
        missing: the number of missing cells by what stands in them.
    """

    position: int
    name: str
    role: ColumnRole
    why: str
    distinct: int
    missing: Mapping[str, int]

    @property
    def shown(self) -> str:
        """The column as messages have it."""
        return f"column {self.position + 1}" + (f" ({shortened(self.name)})" if self.name else "")


@dataclass(frozen=True)
class Columns:
    """The columns of a table with their roles.

    Attributes:
        values: numbers (dates too: days since 1970) and words of the inputs and the label, by position.
        columns: all of them, in their order.
        task: `classes` or `numbers`, what the label holds.
        why: the reason for the task.
        classes: the labels, sorted; empty for numbers.
        doubts: sentences about what may be wrong, each naming a column.
    """

    values: pd.DataFrame
    columns: tuple[Column, ...]
    task: TaskName
    why: str
    classes: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that the network sees."""
        return tuple(column for column in self.columns if column.role in INPUTS)

    @property
    def label(self) -> Column:
        """The column to be predicted."""
        return next(column for column in self.columns if column.role is ColumnRole.LABEL)


@dataclass(frozen=True)
class Stated:
    """What a study file says of the columns.

    Attributes:
        label: name or position of the label; None to find it.
        drop: names or positions of columns to leave out.
        roles: roles by name or position.
        labels: labels to be read as other labels.
        task: what the label holds; None to find it.
    """

    label: str | int | None = None
    drop: Sequence[str | int] = ()
    roles: Mapping[str, StatedRole] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    task: TaskName | None = None


NOTHING_STATED = Stated()


def find_columns(table: Table, stated: Stated = NOTHING_STATED) -> Columns:
    """Find what each column of a table is.

    Raises:
        BadInput: on the key of `[data]` that is wrong, or on `data.file` for a column that can be nothing.
    """
    label = _find_label(table, stated.label)
    dropped = {_position(table, which, "data.drop") for which in stated.drop}
    if label in dropped:
        raise BadInput("data.drop", f"must leave the label, got {table.shown(label)}.")
    roles = {_position(table, which, "data.roles"): role for which, role in stated.roles.items()}
    values: dict[int, pd.Series] = {}
    columns = []
    for position in range(table.columns.shape[1]):
        cells = table.columns[position]
        if position == label:
            role, why = ColumnRole.LABEL, ""
            values[position] = cells
        elif position in dropped:
            role, why = ColumnRole.DROPPED, AS_STATED
        else:
            role, why, values[position] = _role(table, position, roles.get(position))
        name = table.names[position] if table.names else ""
        columns.append(Column(position, name, role, why, int(cells.nunique()), table.missing.get(position, {})))
    kept = [column.position for column in columns if column.role in (*INPUTS, ColumnRole.LABEL)]
    if len(kept) < 2:
        reasons = "; ".join(f"{column.shown} is {column.role} ({column.why})" for column in columns[:5] if column.why)
        raise BadInput("data.file", f"must have a column that a network can read, got none: {reasons}.")
    task, why, target, classes = _task(table, label, stated)
    values[label] = target
    frame = pd.DataFrame({position: values[position] for position in kept})
    found = Columns(frame, tuple(columns), task, why, classes, ())
    return replace(found, doubts=tuple(_doubts(found)))


def _position(table: Table, which: str | int, field: str) -> int:
    """Return the position, from 0, of a column that is stated by its name or its position."""
    width, names = table.columns.shape[1], table.names
    if isinstance(which, int) or (which not in names and re.fullmatch(r"-?\d+", which)):
        if not -width <= int(which) < width:
            raise BadInput(field, f"must be a position from {-width} to {width - 1}, got {which}.")
        return int(which) % width
    if not names:
        raise BadInput(field, f"must be a position in a file without a header, got {which!r}.")
    if names.count(which) > 1:
        raise BadInput(field, f"must name one column, got {which!r}, which {names.count(which)} columns have.")
    if which not in names:
        raise BadInput(field, f"must be a column of the file, got {which!r}{nearest(which, names)}")
    return names.index(which)


def _find_label(table: Table, stated: str | int | None) -> int:
    """Return the stated column, or the only one that is called `class`, `label` or the like, or the last."""
    if stated is not None:
        return _position(table, stated, "data.label")
    named = [place for place, name in enumerate(table.names) if name.strip().lower() in LABEL_NAMES]
    return named[0] if len(named) == 1 else table.columns.shape[1] - 1


def _role(table: Table, position: int, stated: StatedRole | None) -> tuple[ColumnRole, str, pd.Series]:
    """Return what an input column is, the reason, and its values: numbers, or words."""
    cells = table.columns[position]
    present = cells.dropna()
    if stated is not None:
        return _as_stated(table, position, stated)
    if present.empty:
        return ColumnRole.EMPTY, "no cell has a value", cells
    identifies = _identifies(table, position, present)
    if identifies:
        return ColumnRole.ID, identifies, cells
    role, why, values = _read_cells(table, position, present)
    if present.nunique() == 1 and len(present) == len(cells):
        why = f"every cell is {shortened(_text(present.iloc[0]))}"
        role = ColumnRole.CONSTANT if role is ColumnRole.WORDS else role
    return role, why, values


def _read_cells(table: Table, position: int, present: pd.Series) -> tuple[ColumnRole, str, pd.Series]:
    """Read a column as numbers, else as numbers with signs and thousands, else as dates, else as words."""
    cells = table.columns[position]
    if pd.api.types.is_numeric_dtype(cells):
        return ColumnRole.NUMBER, "", cells.astype("float64")
    if pd.api.types.is_datetime64_any_dtype(cells):
        return ColumnRole.DATE, "days since 1970", _days(cells)
    text = cells.astype("str").where(cells.notna())
    numbers, dates = _undressed(text, table.form.decimal or "."), _dates(text)
    if numbers.notna().sum() == len(present):
        return ColumnRole.NUMBER, f"written like {shortened(str(present.iloc[0]))}", numbers
    if dates is not None:
        return ColumnRole.DATE, f"written as {dates[0]}, read as days since 1970", dates[1]
    other = text[numbers.isna() & text.notna()]
    if len(other) <= 0.1 * len(present) and other.nunique() <= max(3, 0.02 * len(present)):
        listed = ", ".join(shortened(word) for word in other.unique()[:5])
        rule = f"{table.shown(position)} must be numbers or words, got {len(present) - len(other)} numbers and {listed}"
        cure = 'name what stands for a missing value in data.na_values, or set data.roles to "words" for it'
        raise BadInput("data.file", f"{rule}; {cure}.")
    return ColumnRole.WORDS, "", text


def _as_stated(table: Table, position: int, role: StatedRole) -> tuple[ColumnRole, str, pd.Series]:
    cells = table.columns[position]
    text = cells.map(_text, na_action="ignore").astype("str").where(cells.notna())
    if role == "id":
        return ColumnRole.ID, AS_STATED, cells
    if role == "words":
        return ColumnRole.WORDS, AS_STATED, text
    if role == "date":
        found = ("", _days(cells)) if pd.api.types.is_datetime64_any_dtype(cells) else _dates(text)
        if found is None:
            raise BadInput(
                "data.roles", f"{table.shown(position)} must hold dates, got {shortened(_text(cells.iloc[0]))}."
            )
        return ColumnRole.DATE, AS_STATED, found[1]
    numbers = _undressed(text, table.form.decimal or ".")
    wrong = text[numbers.isna() & text.notna()]
    if len(wrong):
        raise BadInput("data.roles", f"{table.shown(position)} must hold numbers, got {shortened(wrong.iloc[0])}.")
    return ColumnRole.NUMBER, AS_STATED, numbers


def _identifies(table: Table, position: int, present: pd.Series) -> str:
    """Return why a column tells rows apart and nothing else; empty if it does not."""
    different, rows = present.nunique(), len(table.columns)
    name = table.names[position] if table.names else None
    whole = pd.api.types.is_integer_dtype(present) or (
        pd.api.types.is_float_dtype(present) and bool((present == present.round()).all())
    )
    if different == len(present) and rows > 2 and name is not None and ID_NAME.fullmatch(name.strip()):
        return "its name says so, and all cells differ"
    if whole and different == len(present) == rows >= ID_ROWS and _counts(present):
        return "it numbers the rows"
    if whole and rows >= ID_ROWS and different > 0.9 * len(present) and float(present.abs().min()) > 1e15:
        return "whole numbers above 1e15, nearly all different"
    words = not pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_datetime64_any_dtype(present)
    if words and len(present) >= ID_ROWS and different > ID_SHARE * len(present):
        text = present.astype("str")
        if _undressed(text, table.form.decimal or ".").notna().mean() < 0.5 and _dates(text) is None:
            return f"{different} different words in {len(present)} cells"
    return ""


def _counts(cells: pd.Series) -> bool:
    """Say whether whole numbers count up by one: from 0, from 1, or from more than 1e9."""
    low, high = int(cells.min()), int(cells.max())
    return bool(cells.is_monotonic_increasing) and high - low == len(cells) - 1 and (low in (0, 1) or low > 1e9)


def _text(value: object) -> str:
    """Return a cell as text; a whole number without its point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _undressed(text: pd.Series, decimal: str) -> pd.Series:
    """Return numbers written with a currency, a percent sign, thousands, or in brackets for minus; else NaN."""
    bare = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True)
    if decimal == ",":
        bare = bare.str.replace(r"(?<=\d)\.(?=\d{3}(?:\D|$))", "", regex=True).str.replace(",", ".")
    return pd.to_numeric(bare.str.replace(DRESS, "", regex=True), errors="coerce").astype("float64")


def _dates(text: pd.Series) -> tuple[str, pd.Series] | None:
    """Return the format that all cells have, and their days since 1970."""
    present = text.dropna()
    if not present.str.contains(r"\d", regex=True).all():
        return None
    for form in DATES:
        if pd.to_datetime(present.iloc[:200], format=form, errors="coerce").notna().all():
            dates = pd.to_datetime(text, format=form, errors="coerce")
            if dates.notna().sum() == len(present):
                return form, _days(dates)
    return None


def _days(dates: pd.Series) -> pd.Series:
    zone_free = dates.dt.tz_localize(None) if dates.dt.tz is not None else dates
    return (zone_free - pd.Timestamp(1970, 1, 1)) / pd.Timedelta(days=1)


def _task(table: Table, label: int, stated: Stated) -> tuple[TaskName, str, pd.Series, tuple[str, ...]]:
    """Return what the label holds, why, its values (class indices or numbers; NaN where missing), and the classes."""
    cells = table.columns[label]
    present = cells.dropna()
    if present.empty:
        raise BadInput("data.label", f"must name a column with values, got {table.shown(label)}.")
    numeric = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
    numbers = (
        cells.astype("float64")
        if numeric
        else _undressed(cells.astype("str").where(cells.notna()), table.form.decimal or ".")
    )
    are_numbers = numbers.notna().sum() == len(present)
    different, why = int(present.nunique()), AS_STATED
    task = stated.task
    if task is None:
        whole = are_numbers and bool((numbers.dropna() == numbers.dropna().round()).all())
        many = different > max(LONGEST_CLASS_LIST, 0.05 * len(present)) or (
            different > 10 and different > 0.5 * len(present)
        )
        task = "numbers" if are_numbers and not stated.labels and (not whole or many) and different > 2 else "classes"
        kind = "whole numbers" if whole else "numbers" if are_numbers else "words"
        why = f"the label has {different} different {kind}"
    if task == "numbers":
        if not are_numbers:
            wrong = present[numbers[present.index].isna()].iloc[0]
            raise BadInput("data.task", f"the label must hold numbers, got {shortened(str(wrong))}.")
        if different < 2:
            raise BadInput("data.label", f"must name a column of different numbers, got only {_text(present.iloc[0])}.")
        return task, why, numbers, ()
    words = cells.map(_text, na_action="ignore").astype("str").where(cells.notna())
    unknown = [word for word in stated.labels if not (words == word).any()]
    if unknown:
        raise BadInput(
            "data.labels",
            f"must map labels of the file, got {unknown[0]!r}{nearest(unknown[0], words.dropna().unique())}",
        )
    words = words.replace(dict(stated.labels)) if stated.labels else words
    classes = tuple(sorted(words.dropna().unique()))
    if len(classes) < 2:
        raise BadInput("data.label", f"must name a column of at least 2 classes, got only {shortened(classes[0])}.")
    if len(classes) > 0.5 * len(present) and len(present) >= ID_ROWS:
        raise BadInput(
            "data.label", f"must name a column of classes, got {len(classes)} different words in {len(present)} rows."
        )
    codes = pd.Series(pd.Categorical(words, categories=classes).codes, index=words.index).astype("float64")
    return task, why, codes.where(words.notna()), classes


def _doubts(found: Columns) -> list[str]:
    """Return what may be wrong, a sentence each."""
    doubts = []
    target = found.values[found.label.position]
    for column in found.inputs:
        values = found.values[column.position]
        if _tells_the_label(values, target, found.task):
            doubts.append(f"{column.shown} gives the label away: each of its values goes with one label")
        if column.role is ColumnRole.NUMBER:
            sentinel = _sentinel(values)
            if sentinel is not None:
                found_it = f"{_text(float(sentinel))} {int((values == sentinel).sum())} times, far from the rest"
                doubts.append(f"{column.shown} has {found_it}: if it stands for a missing value, add it to na_values")
    dressed: dict[str, list[str]] = {}
    for label in found.classes:
        dressed.setdefault(re.sub(r"\.0+$|[^\w+<>=-]", "", label.lower()), []).append(label)
    for labels in (labels for labels in dressed.values() if len(labels) > 1):
        doubts.append(f"labels differ in dress only: {', '.join(map(repr, labels))}; `labels` maps one to another")
    if _may_be_decimal_commas(found):
        doubts.append("pairs of columns look like the two halves of numbers with a decimal comma")
    return doubts


def _tells_the_label(values: pd.Series, target: pd.Series, task: TaskName) -> bool:
    both = pd.DataFrame({"value": values, "target": target}).dropna()
    codes = set(both["value"].unique()) <= set(range(both["target"].nunique())) if task == "classes" else False
    if len(both) < 2 or (both["value"].nunique() == len(both) and not codes):
        return False
    if task == "numbers":
        if pd.api.types.is_numeric_dtype(values) and both["value"].nunique() > 2:
            return bool(abs(both["value"].corr(both["target"])) > 1 - 1e-9)
        return False
    if both["value"].nunique() == both["target"].nunique():
        return bool(
            both.groupby("value")["target"].nunique().max() == both.groupby("target")["value"].nunique().max() == 1
        )
    if both["value"].nunique() == 2 < both["target"].nunique():  # one of several columns that say the class
        shares = both.assign(value=both["value"] == both["value"].max()).groupby("target")["value"].mean()
        says_one = bool(shares.isin((0.0, 1.0)).all()) and 1 in ((shares == 1.0).sum(), (shares == 0.0).sum())
        return says_one and len(both) > 0.9 * len(values)
    return False


def _sentinel(values: pd.Series) -> float | None:
    """Return a number such as -999 that lies far outside all others and occurs more than once."""
    for number in SENTINELS:
        is_it = values == number
        rest = values[~is_it].dropna()
        if is_it.sum() > 1 and len(rest) > 1:
            low, high = float(rest.min()), float(rest.max())
            if (
                (number < low and low >= 0 > number)
                or number < low - 3 * (high - low)
                or number > high + 3 * (high - low)
            ):
                return number
    return None


def _may_be_decimal_commas(found: Columns) -> bool:
    """Say whether, column for column, whole numbers are followed by digits that never end in zero."""
    inputs = [found.values[column.position] for column in found.inputs]
    if len(inputs) < 2 or len(inputs) % 2 or any(column.role is not ColumnRole.NUMBER for column in found.inputs):
        return False
    whole = all(bool((values.dropna() % 1 == 0).all()) for values in inputs)
    tails = pd.concat(inputs[1::2]).dropna()
    return whole and len(tails) >= 4 and bool((tails > 0).all()) and bool((tails % 10 != 0).all()) and tails.max() > 9
