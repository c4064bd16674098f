"""Which column of a table is the label, and what it holds: classes, or numbers to be predicted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from reprlib import repr as shortened
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sweep.data.cells import (
    as_text,
    is_whole,
    read_compact_dates,
    read_dates,
    read_numbers,
    read_units,
    some,
    text_of,
    written_by_type,
)
from sweep.data.reading import Table
from sweep.errors import BadInput, nearest
from sweep.task import TaskName

LABEL_NAMES = (  # the first that one column has; those in front leave less doubt
    ("label", "labels", "target", "y", "outcome", "response"),
    ("survived", "diagnosis", "churn", "exited", "attrition", "loan_status", "is_fraud"),
    ("class", "classes", "species", "category"),
    ("medv", "saleprice", "median_house_value", "mpg", "price"),
)
COORDINATES = {"x", "y", "z"}
IDS = re.compile(r"(?:.*[-_ .])?(?:id|uuid|guid|rownames)", re.IGNORECASE)
AS_STATED = "as stated"
FILE_SAYS = "the file says so"
LAST = "it is the last column"
ID_ROWS = 20  # below it, cells that are all different prove nothing
ID_SHARE = 0.5  # of cells of words that are different
LONGEST_CLASS_LIST = 20
LOOKED_AT = 20_000  # rows that show how many values a column has, in a table of more


def find_label(table: Table, stated: str | int | None) -> tuple[int, str]:
    """Return the label's position and why it is that: stated, called `class` or the like, or the last one."""
    if stated is not None:
        return table.find(stated, "data.label"), AS_STATED
    if table.label is not None:
        return table.label, FILE_SAYS
    names = [name.strip().lower() for name in table.names]
    for known in LABEL_NAMES:
        here = set(known) - (COORDINATES if set(names) >= COORDINATES else set())
        named = [place for place, name in enumerate(names) if name in here]
        if len(named) == 1:
            return named[0], "its name says so"
    last = table.columns.shape[1] - 1
    able = (place for place in range(last, -1, -1) if _may_be_label(table, place))
    found = next(able, last)
    return found, LAST if found == last else "it is the last column that can be one"


def _may_be_label(table: Table, position: int) -> bool:
    """Say whether a column has different values, and is neither an id, nor dates, nor text that tells rows apart."""
    present = table.columns[position].dropna()
    different = int(present.iloc[:LOOKED_AT].nunique())
    is_id = bool(table.names) and bool(IDS.fullmatch(table.names[position].strip()))
    if different < 2 or is_id or pd.api.types.is_datetime64_any_dtype(present):
        return False
    if pd.api.types.is_numeric_dtype(present):
        return pd.api.types.is_bool_dtype(present) or read_compact_dates(present) is None
    text, decimal = present.astype("str"), table.form.decimal or "."
    if different > ID_SHARE * len(present) and len(present) >= ID_ROWS:
        return read_numbers(some(text), decimal).notna().mean() > 0.5 or read_units(some(text), decimal) is not None
    return read_dates(text) is None


class Target(NamedTuple):
    """What a label holds.

    Attributes:
        task: classes, labels or numbers.
        why: the reason.
        values: class indices or numbers; NaN where missing. Of several labels or numbers a row, a column for each.
        classes: sorted as text; empty for numbers.
        written: how its cells are written, as `Column` has it.
        notes: what was found rather than stated, one sentence each.
    """

    task: TaskName
    why: str
    values: Any
    classes: tuple[str, ...]
    written: str
    notes: tuple[str, ...] = ()


def read_label(table: Table, label: int, task: TaskName | None, renamed: Mapping[str, str]) -> Target:
    """Return what the label holds."""
    if task in ("labels", "heads"):
        raise BadInput("data.task", f"must be classes or numbers, since there is one label a row, got {task}.")
    cells = table.columns[label]
    present = cells.dropna()
    if present.empty:
        raise BadInput("data.label", f"must name a column with values, got {table.shown(label)}.")
    numbers, written = _numbers_of_label(table, cells)
    are_numbers = numbers.notna().sum() == len(present)
    different, why = int(present.nunique()), AS_STATED
    if task is None and label in table.kinds and different > 2:
        task, why = ("numbers" if table.kinds[label] == "number" else "classes"), FILE_SAYS
    if task is None:
        whole = are_numbers and is_whole(numbers.dropna())
        are_classes = not are_numbers or renamed or different <= 2 or (whole and _are_codes(numbers.dropna()))
        task = "classes" if are_classes else "numbers"
        kind = "whole numbers" if whole else "numbers" if are_numbers else "words"
        why = f"the label has {different} different {kind}"
    if task == "numbers":
        if not are_numbers:
            wrong = present[numbers[present.index].isna()].iloc[0]
            raise BadInput("data.task", f"the label must hold numbers, got {shortened(str(wrong))}.")
        if different < 2:
            raise BadInput(
                "data.label", f"must name a column of different numbers, got only {text_of(present.iloc[0])}."
            )
        return Target(task, why, numbers, (), written)
    words = as_text(cells)
    unknown = [word for word in renamed if not (words == word).any()]
    if unknown:
        near = nearest(unknown[0], words.dropna().unique())
        raise BadInput("data.labels", f"must map labels of the file, got {unknown[0]!r}{near}")
    words = words.replace(dict(renamed)) if renamed else words
    classes = tuple(sorted(words.dropna().unique()))
    if len(classes) < 2:
        raise BadInput("data.label", f"must name a column of at least 2 classes, got only {shortened(classes[0])}.")
    if len(classes) > 0.5 * len(present) and len(present) >= ID_ROWS:
        dates = " (dates)" if read_dates(some(words)) is not None else ""
        raise BadInput(
            "data.label",
            f"must name a column of classes or numbers, got {table.shown(label)}: "
            f"{len(classes)} different words in {len(present)} rows{dates}.",
        )
    codes = pd.Series(pd.Categorical(words, categories=classes).codes, index=words.index).astype("float64")
    return Target(task, why, codes.where(words.notna()), classes, written_by_type(cells) or "words")


def _numbers_of_label(table: Table, cells: pd.Series) -> tuple[pd.Series, str]:
    """Return a label's cells as numbers, NaN where they are none, and how these are written."""
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        return cells.astype("float64"), written_by_type(cells)
    text, decimal = cells.astype("str").where(cells.notna()), table.form.decimal or "."
    numbers = read_numbers(text, decimal)
    measures = read_units(text, decimal) if numbers.isna().all() and text.nunique() > LONGEST_CLASS_LIST else None
    return (numbers, "dressed") if measures is None else (measures.values, measures.written)


def _are_codes(numbers: pd.Series) -> bool:
    """Say whether whole numbers are codes of classes: few, close together, in more than a row or two each.

    Counts of events and grades rise to a commonest number and fall; with more than 10 of them they are numbers.
    """
    rows = numbers.value_counts().sort_index()
    values, counts = rows.index.to_numpy(), rows.to_numpy(np.int64).tolist()
    if values[-1] - values[0] + 1 > 2 * len(values) + 2 or len(numbers) < 3 * len(values):
        return False
    if len(values) <= LONGEST_CLASS_LIST // 2:
        return True
    alike = max(counts) <= 4 * min(counts)
    hill = is_one_hill(counts) or (values[0] == 0 and is_one_hill(counts[1:]))  # none at all may be common
    return alike or (len(values) <= LONGEST_CLASS_LIST and not hill)


def is_one_hill(counts: Sequence[int]) -> bool:
    """Say whether counts rise and fall once, nearly, and far, as those of grades and events do.

    Of many counts each has few rows, so that chance alone makes some steps.
    """
    high, chance = max(counts), 0.0
    if len(counts) > LONGEST_CLASS_LIST // 2:
        chance = 0.5 * float(np.sqrt(np.add([0, *counts], [*counts, 0])).sum())
    steps = int(np.abs(np.diff([0, *counts, 0])).sum())
    return steps <= 1.25 * 2 * high + chance and high > 4 * min(counts)
