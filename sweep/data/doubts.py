"""What may be wrong with the columns of a table: a column that gives the label away, -999, labels in two dresses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.data.arrays import SplitKind
from sweep.data.cells import is_whole, read_numbers, some
from sweep.data.columns import INPUTS, Column, ColumnRole, Columns
from sweep.data.label import AS_STATED, FILE_SAYS, ID_ROWS, LAST, is_one_hill
from sweep.data.reading import Table
from sweep.task import MetricName

FEW_ROWS, MOST_ROWS = 2_000, 50_000  # to find a column that may tell the label, and to make sure
NEARLY = 0.995  # of the rows that one column alone gets right
FEWEST_ROWS = 10  # that show a correlation
SAME = 0.9995  # correlation of a column with numbers to be predicted
MOST_VALUES = 50  # of a column that is looked at value by value
MOST_CLASSES = 10  # of a first column that may be the label
RARE = 0.05  # of the rows, that a class has
COMMON = 0.9  # of the rows, that one class has
FEWEST_VALUES = 20  # different numbers, of a column that is measured rather than counted
SURELY_ABOVE = 2.5  # standard deviations from 0 to the mean, of measured numbers that are never 0
SENTINELS = (-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999)
MOST_LISTED = 5
FEWEST_GROUPS, FEWEST_TIMES = 5, 20  # different values of a column that rows are grouped or ordered by
ROWS_OF_A_GROUP = 1.5  # in the mean
# Whom or what several rows may be about, as no ordinary category is called.
WHO = (
    "patient|subject|participant|respondent|person|individual|volunteer|donor|customer|client|speaker|animal|mouse|"
    "driver|player|student|employee|user"
)
WHAT = (
    "household|family|session|device|sensor|machine|engine|vehicle|turbine|battery|recording|video|image|slide|scan|"
    "biopsy|specimen|sample|account|visit|trip|case|member|child|writer|author"
)
GROUP_NAME = re.compile(
    rf"(?:.*[-_ .])?(?:{WHO})s?|(?:.*[-_ .])?(?:{WHO}|{WHAT})[-_ .]?(?:id|no|nr|num|number|code|key|uuid|name)|"
    r"(?:[pus]|uu|gu)?id",
    re.IGNORECASE,
)
CAMEL_GROUP = re.compile(rf"(?:.*[a-z])?(?i:{WHO}|{WHAT})(?:Id|ID|No|Nr|Number|Code|Key)")
# Dates that tell of whom a row is about, and not when it was made.
OTHER_DATE = re.compile(r".*(birth|born|dob|death|died|expir|founded|hire|due|until).*", re.IGNORECASE)


def find_doubts(found: Columns, metric: MetricName | None = None) -> tuple[str, ...]:
    """Return what may be wrong, a sentence each; it names the column and the key of a study file that helps.

    `metric` is what ranks, if that is stated.
    """
    return (
        *_label_column(found),
        *_tellers(found),
        *_parts(found),
        *_sentinels(found),
        *_zeros(found),
        *_nearly_numbers(found),
        *_labels(found),
        *(_imbalance(found) if metric in (None, "accuracy") else ()),
        *_form(found),
    )


def related_rows(found: Columns, kind: SplitKind) -> Iterator[str]:
    """Doubt a random split where several rows are about one patient or the like, or where rows have dates."""
    if kind not in ("stratified", "resample", "random") or found.table.train_rows is not None:
        return
    rows = len(found.values)
    for column in found.columns:
        name, used = column.name.strip(), column.role not in (ColumnRole.LABEL, ColumnRole.DROPPED, ColumnRole.WEIGHT)
        if not used or not (GROUP_NAME.fullmatch(name) or CAMEL_GROUP.fullmatch(name)):
            continue
        cells = found.table.columns[column.position].dropna()
        different = int(cells.nunique())
        is_number = pd.api.types.is_numeric_dtype(cells)
        if different < FEWEST_GROUPS or len(cells) < ROWS_OF_A_GROUP * different or (is_number and not is_whole(cells)):
            continue
        cure = f'split.kind = "group" with by = {_quoted(column.name)} keeps rows of one value on one side'
        yield f"{column.shown} has {different:,} values in {rows:,} rows, which a random split mixes: {cure}"
        break
    for column in found.inputs:
        is_date = column.role is ColumnRole.DATE and column.distinct >= FEWEST_TIMES
        if is_date and not OTHER_DATE.fullmatch(column.name):
            by = _quoted(column.name) if column.name else str(column.position)
            cure = f'split.kind = "time" with by = {by} validates on the last ones'
            yield f"{column.shown} holds dates, and a random split validates on days among those trained on: {cure}"
            break


def _label_column(found: Columns) -> Iterator[str]:
    """Doubt the choice of the label where nothing names it: a first column of few values, or one label in several."""
    label, inputs = found.label, found.inputs
    first, target = inputs[0], found.values[label.position]
    cells = found.values[first.position]
    whole = isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "i"
    whole = whole and first.position == 0 and first.why != AS_STATED
    if whole and len(cells) >= ID_ROWS and cells.is_unique and len(inputs) > 1:
        name = _quoted(first.name) if first.name else "0"
        yield f"{first.shown} has another whole number in each row: drop = [{name}] if it only tells rows apart"
    if label.why == AS_STATED:
        return
    if label.why == LAST and not label.name and not found.classes:
        words = [column for column in inputs if column.role is ColumnRole.WORDS]
        likely = [first] if whole and cells.min() in (0, 1) else words if len(words) == 1 else []
        for column in (column for column in likely if 2 <= column.distinct <= MOST_CLASSES):
            values = f"{column.distinct} different values"
            yield f"{column.shown} has {values}: if it is the label, label = {column.position}"
    before: list[Column] = []
    for column in reversed([column for column in inputs if column.position < label.position]):
        cells = found.values[column.position]
        if len(before) >= MOST_VALUES or column.role is not ColumnRole.NUMBER or not cells.isin((0, 1)).all():
            break
        before.append(column)
    if found.classes == ("0", "1") and len(before) > 1 and target.notna().all():
        for count in range(2, len(before) + 1):
            ones = sum((found.values[column.position] for column in before[:count]), target)
            if bool((ones == 1).all()):
                names = listed([column.shown for column in before[:count][::-1]])
                yield f"{names} and the label hold one 1 in each row: they are one label, which must be one column"


def _tellers(found: Columns) -> Iterator[str]:
    target = found.values[found.label.position]
    few, many = _evenly(target, FEW_ROWS), _evenly(target, MOST_ROWS)
    ways: dict[str, list[Column]] = {}
    for column in found.inputs:
        values = found.values[column.position]
        way = ""
        for rows in (few, many) if len(many) > len(few) else (few,):
            way = _tells(values.iloc[rows], target.iloc[rows].to_numpy("float64"), len(found.classes))
            if not way:
                break
        if way:
            ways.setdefault(way, []).append(column)
    for way, columns in ways.items():
        one = len(columns) == 1
        verb, reason = ("gives", way) if one else ("give", way.replace("it alone", "each").replace("its", "their", 1))
        cure = f"leave {'it' if one else 'them'} out by drop unless known before the label"
        yield f"{listed([column.shown for column in columns])} {verb} the label away: {reason}; {cure}"


def _evenly(target: pd.Series, count: int) -> NDArray[np.intp]:
    """Return the places of some rows that have a label, taken evenly."""
    rows = np.flatnonzero(target.notna())
    return rows[:: max(1, -(-len(rows) // count))]


def _tells(values: pd.Series, target: NDArray[np.float64], classes: int) -> str:
    """Return how a column alone tells the label; empty if it does not."""
    present = values.notna().to_numpy()
    if present.mean() < COMMON or not present.any():
        return ""
    tells = _tells_classes if classes else _tells_numbers
    return tells(values[present], target[present], classes)


def _tells_classes(values: pd.Series, target: NDArray[np.float64], classes: int) -> str:
    codes, different = pd.factorize(values)
    labels = target.astype(np.int64)
    if len(different) < 2 or len(np.unique(labels)) < 2:
        return ""
    if len(different) <= MOST_VALUES:
        by_value = np.bincount(codes * classes + labels, minlength=len(different) * classes)
        by_value = by_value.reshape(-1, classes)
        apart = (by_value > 0).sum(axis=1).max() == (by_value > 0).sum(axis=0).max() == 1
        if apart and (len(different) < len(labels) or set(different) <= set(range(classes))):
            return "each of its values goes with one label"
        if len(different) == 2 < classes and _is_one_class(by_value):
            return "it says which rows are of one class"
        alone = by_value.sum(axis=1) < 2
        right = by_value.max(axis=1)[~alone].sum() / len(labels)
    else:
        numeric = pd.api.types.is_numeric_dtype(values)
        right = _right_by_cuts(values.to_numpy("float64"), labels) if numeric else 0.0
    wrong, blind = 1 - right, 1 - np.bincount(labels).max() / len(labels)
    return f"it alone tells {right:.2%} of the rows" if wrong <= min(1 - NEARLY, 0.05 * blind) else ""


def _is_one_class(by_value: NDArray[np.int64]) -> bool:
    """Say whether one of two values goes with one class, which has no other value and is not rare."""
    present = by_value > 0
    common = by_value.sum(axis=1) >= RARE * by_value.sum()  # a rare class may well have a sign of its own
    return bool((common & (present.sum(axis=1) == 1) & ~(present & present[::-1]).any(axis=1)).any())


def _right_by_cuts(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the share of rows that cuts between the classes, ordered by their means, put on the right side."""
    kinds, labels = np.unique(labels, return_inverse=True)
    if len(kinds) > MOST_VALUES:
        return 0.0
    means = np.bincount(labels, values) / np.bincount(labels)
    places = np.empty(len(kinds), np.int64)
    places[np.argsort(means)] = np.arange(len(kinds))
    order = np.argsort(values, kind="stable")
    ranked, sorted_values = places[labels][order], values[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_values)) + 1, len(values))
    found = np.zeros(len(values), np.int64)
    for place in range(len(kinds) - 1):
        below = np.cumsum(ranked <= place)
        right = below[ends - 1] + (len(values) - ends) - (below[-1] - below[ends - 1])
        found[ends[right.argmax()] :] += 1
    return float((found == ranked).mean())


def _tells_numbers(values: pd.Series, target: NDArray[np.float64], _: int) -> str:
    if not pd.api.types.is_numeric_dtype(values) or values.nunique() < 3 or len(values) < FEWEST_ROWS:
        return ""
    numbers = values.to_numpy("float64")
    with np.errstate(all="ignore"):
        correlation = float(np.corrcoef(numbers, target)[0, 1])
    return f"its correlation with it is {correlation:.5f}" if abs(correlation) > SAME else ""


def _parts(found: Columns) -> Iterator[str]:
    """Doubt columns of numbers whose sum is the number to be predicted."""
    columns = [column for column in found.inputs if column.role is ColumnRole.NUMBER]
    target = found.values[found.label.position]
    if found.classes or not 2 <= len(columns) <= MOST_VALUES:
        return
    rows = _evenly(target, FEW_ROWS)
    inputs = np.stack([found.values[each.position].iloc[rows].to_numpy("float64") for each in columns], axis=1)
    whole = ~np.isnan(inputs).any(axis=1)
    inputs, numbers = inputs[whole], target.iloc[rows].to_numpy("float64")[whole]
    if len(numbers) < max(FEWEST_ROWS, 3 * len(columns)):
        return
    scale = np.abs(inputs).max(axis=0, initial=1e-9)
    weights = np.linalg.lstsq(inputs / scale, numbers, rcond=None)[0] / scale
    parts = np.flatnonzero(np.abs(weights - 1) < 1e-3)
    if len(parts) > 1 and np.allclose(inputs[:, parts].sum(axis=1), numbers, rtol=1e-6, atol=1e-6 * np.ptp(numbers)):
        names = listed([columns[place].shown for place in parts])
        yield f"{names} add up to the label: leave them out by drop unless known before the label"


def _sentinels(found: Columns) -> Iterator[str]:
    by_cell: dict[str, list[str]] = {}
    for column in found.inputs:
        if column.role is not ColumnRole.NUMBER:
            continue
        values = found.values[column.position].to_numpy("float64")
        ends = (np.fmin.reduce(values), np.fmax.reduce(values))
        for number in (number for number in SENTINELS if number in ends):
            there = values == number
            rest = values[~there & ~np.isnan(values)]
            if there.sum() < 2 or len(rest) < 2:
                continue
            low, high = rest.min(), rest.max()
            if number < 0 <= low or number < low - 3 * (high - low) or number > high + 3 * (high - low) > low:
                cells = found.table.columns[column.position][found.values.index[there]]
                written = [str(number)] if column.written == "plain" else list(cells.unique())
                for cell in written:
                    count = there.sum() if column.written == "plain" else (cells == cell).sum()
                    by_cell.setdefault(cell, []).append(f"{column.shown} {count:,} times")
    for cell, places in by_cell.items():
        cure = f"{_na_values(found, [cell])} if it stands for a missing value"
        yield f"{cell}, far from all other numbers, is in {listed(places)}: {cure}"


def _na_values(found: Columns, cells: Sequence[str]) -> str:
    """Return the line of a study file by which some cells are missing besides those that are so already."""
    known = {cell for counts in found.table.missing.values() for cell in counts} - {""}
    return f"na_values = {json.dumps([*cells, *sorted(known - set(cells))], ensure_ascii=False)}"


def _zeros(found: Columns) -> Iterator[str]:
    """Doubt zeros among measured numbers that lie far above 0, more than 2 standard deviations in the mean."""
    places = []
    for column in (column for column in found.inputs if column.role is ColumnRole.NUMBER):
        every = found.values[column.position].to_numpy("float64")
        values = every[:: -(-len(every) // MOST_ROWS)]
        rest = values[(values != 0) & ~np.isnan(values)]
        zeros = int((values == 0).sum())
        if not 2 <= zeros <= len(rest) or rest.min() <= 0 or rest.mean() < SURELY_ABOVE * rest.std():
            continue
        different = np.unique(rest)
        step = float(np.median(np.diff(different))) if len(different) > 1 else 0.0
        if len(different) > FEWEST_VALUES and rest.min() >= max(5 * step, 0.15 * float(np.median(rest))):
            places.append(f"{column.shown} {(every == 0).sum():,} times")
    if places:
        cure = "leave these cells empty in the file if they stand for missing values"
        yield f"0, far below all other numbers, is in {listed(places)}: {cure}"


def _nearly_numbers(found: Columns) -> Iterator[str]:
    """Say which columns of words, or of classes, hold numbers but for a few cells; codes such as 136A are words."""
    table, decimal = found.table, found.table.form.decimal or "."
    for column in found.columns:
        cells, is_label = table.columns[column.position], column.role is ColumnRole.LABEL
        is_words = bool(found.classes) if is_label else column.role is ColumnRole.WORDS
        stated = (found.why if is_label else column.why) in (AS_STATED, FILE_SAYS)
        if not is_words or stated or pd.api.types.is_numeric_dtype(cells):
            continue
        if not read_numbers(some(cells.dropna()).astype("str"), decimal).notna().mean() > 0.5:
            continue
        cells = cells.dropna().astype("str")
        numbers = read_numbers(cells, decimal)
        other = cells[numbers.isna()]
        words = other.unique()
        if other.str.contains(r"\d").all() or len(other) > len(cells) / 3 or numbers.nunique() <= max(2, len(words)):
            continue
        shown = "1 cell" if len(other) == 1 else f"{len(other):,} cells"
        became = "its numbers are read as classes" if is_label else "it is read as words"
        yield (
            f"{column.shown} holds numbers but for {shown} ({listed([repr(word) for word in words])}), so {became}: "
            f"{_na_values(found, words.tolist())} reads it as numbers"
        )


def _labels(found: Columns) -> Iterator[str]:
    if not found.classes:
        return
    counts = found.values[found.label.position].value_counts().reindex(range(len(found.classes)), fill_value=0)
    rows = dict(zip(found.classes, counts.to_numpy(np.int64).tolist(), strict=True))
    dressed: dict[str, list[str]] = {}
    for label in found.classes:
        dressed.setdefault(re.sub(r"\.0+$|[^\w+<>=-]|_", "", label.lower()), []).append(label)
    for labels in (labels for labels in dressed.values() if len(labels) > 1):
        kept = max(labels, key=lambda label: rows[label])
        cure = ", ".join(f"{_quoted(label)} = {_quoted(kept)}" for label in labels if label != kept)
        yield f"labels differ in dress only: {', '.join(map(repr, labels))}; labels = {{ {cure} }} makes them one"
    single = [repr(label) for label in found.classes if rows[label] == 1]
    if single:
        yield f"{listed(single)} {'has' if len(single) == 1 else 'have'} 1 row, which nothing can validate"
    if _is_graded(found.classes, rows):
        yield 'the labels look like grades in an order: task = "numbers" would predict them as numbers'


def _imbalance(found: Columns) -> Iterator[str]:
    counts = found.values[found.label.position].value_counts()
    if found.classes and counts.iloc[0] > COMMON * counts.sum():
        cure = 'metric = "balanced_accuracy" or "auc" says more than accuracy'
        commonest = found.classes[int(counts.index[0])]
        yield f"{commonest!r} is the label of {counts.iloc[0] / counts.sum():.1%} of the rows: {cure}"


def _is_graded(classes: Sequence[str], rows: dict[str, int]) -> bool:
    """Say whether whole numbers rise to a commonest one and fall, as grades do and codes of classes do not."""
    if len(classes) < 5 or not all(re.fullmatch(r"-?\d+", label) for label in classes):
        return False
    return is_one_hill([rows[label] for label in sorted(classes, key=int)])


def _form(found: Columns) -> Iterator[str]:
    if found.label.name or len(found.inputs) < 2 or any(each.role is not ColumnRole.NUMBER for each in found.inputs):
        return
    inputs = [found.values[column.position].iloc[:FEW_ROWS].dropna() for column in found.inputs]
    tails = pd.concat(inputs[1::2])
    whole = len(inputs) % 2 == 0 and all(bool((values % 1 == 0).all()) for values in inputs)
    if whole and len(tails) >= 4 and (tails > 0).all() and (tails % 10 != 0).all() and tails.max() > 9:
        yield "pairs of columns look like the two halves of numbers with a decimal comma, which need quotes around them"


def column_notes(found: Columns) -> list[str]:
    """Return what the columns are, where it is not plain."""
    shown = []
    for role, one, many in (
        (ColumnRole.WORDS, "is read as categories", "are read as categories"),
        (ColumnRole.DATE, "is read as days since 1970", "are read as days since 1970"),
        (ColumnRole.ID, "is left out, since it only tells rows apart", "are left out, since they only tell rows apart"),
        (ColumnRole.CONSTANT, "is left out, since all its cells are the same", "are left out, since each is constant"),
        (ColumnRole.EMPTY, "is left out, since it is empty", "are left out, since they are empty"),
    ):
        columns = [column for column in found.columns if column.role is role]
        if columns:
            words = one if len(columns) == 1 else many
            shown.append(f"{listed([column.shown for column in columns])} {words}")
    shown += beside_notes(found.table, found.weight, found.by, found.columns)
    codes = [column for column in found.inputs if column.written == "codes" and column.why != AS_STATED]
    shown += [f"{column.shown} holds {column.why}, and is no number" for column in codes]
    if not found.classes:
        why = found.why if found.why == AS_STATED else f"since {found.why}"
        shown.append(f"{found.label.shown} is predicted as a number, {why}")
    return shown


def beside_notes(table: Table, weight: int | None, by: int | None, columns: Sequence[Column] = ()) -> Iterator[str]:
    """Yield what weighs rows and what the split goes by; `columns` are those of a table, which may be inputs too."""
    for position, what in ((by, "is what the split goes by"), (weight, "multiplies the training loss of each row")):
        if position is not None:
            is_input = bool(columns) and columns[position].role in INPUTS
            yield f"{table.shown(position)} {what}, and is {'an input too, as stated' if is_input else 'no input'}"


def listed(items: Sequence[str], between: str = ", ") -> str:
    """Return items in one sentence, at most 5."""
    more = [f"{len(items) - MOST_LISTED:,} more"] if len(items) > MOST_LISTED else []
    return between.join([*items[:MOST_LISTED], *more])


def _quoted(label: str) -> str:
    return json.dumps(label, ensure_ascii=False)
