"""`sweep data`: what a file holds, as a table for a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from sweep.cli.tables import TABLE_STYLE, WIDTH
from sweep.config.plan import SplitPlan
from sweep.config.study_file import read_study_file
from sweep.data.arrays import Arrays
from sweep.data.columns import ColumnRole, told_missing
from sweep.data.description import ColumnAnswer, TableAnswer, describe_table
from sweep.data.table import DataKeys
from sweep.errors import BadInput, first_problem
from sweep.stats.verdict import told
from sweep.task import MetricName

MOST_CLASSES = 12  # that are listed
MOST_COLUMNS = 40  # lines of the table
MOST_DOUBTS = 12
LONGEST_WORD = 24


def describe(file: Path, options: Mapping[str, Any]) -> TableAnswer:
    """Read a file with what the command line states of it; a study file names the table and states more.

    Args:
        file: a table, or a study file.
        options: keys of `[data]`, which go before those of a study file; a list of `COLUMN=ROLE` for its roles.

    Raises:
        BadInput: on the key that is wrong, or on `data.file`.
    """
    given: dict[str, Any] = {}
    wanted = {name: options[key] for key, name in (("split", "kind"), ("by", "by")) if key in options}
    options = {key: value for key, value in options.items() if key not in ("split", "by")}
    metric: MetricName | None = None
    where: Path | Arrays = file
    function: str | None = None
    if file.suffix == ".toml":
        study = read_study_file(file)
        given = study.plan.data.keys.model_dump(exclude_defaults=True)
        wanted = study.plan.split.model_dump(include={"kind", "by"}, exclude_unset=True) | wanted
        metric = study.plan.search.metric
        where, function = study.source(), study.plan.data.function
    roles = dict(given.get("roles", {}))
    for word in options.get("roles", ()):
        column, _, role = word.rpartition("=")
        if not column:
            raise BadInput("role", f"must be COLUMN=ROLE, got {word!r}.")
        roles[column] = role
    try:
        keys = DataKeys.model_validate(given | dict(options) | {"roles": roles})
    except ValidationError as error:
        raise first_problem(error, "data") from error
    try:
        split = SplitPlan.model_validate(wanted)
    except ValidationError as error:
        raise first_problem(error, "split") from error
    name, stated = "" if function is None else function, keys.stated(split.beside)
    found = describe_table(where, keys.form, stated, metric, name)
    return found.model_copy(update={"split": split.kind, "by": split.by}) if "kind" in wanted else found


def write_draft(found: TableAnswer, target: Path | None) -> None:
    """Write a first study file, if one is asked for; `BadInput` on `write` if the file is there."""
    if target is not None:
        from sweep.config.draft import write_study  # noqa: PLC0415 - for who asks for it

        write_study(found, target)
        print(f"written: {target}; `sweep run {target}` runs it", file=sys.stderr)


def show_table(found: TableAnswer) -> None:
    """Show a file's form, its columns with their roles, the task, and the doubts; about 60 lines at most."""
    console = Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH)
    what = f"rows of shape {list(found.shape)}" if found.shape else f"rows, {len(found.columns):,} columns"
    inputs = sum(column.role is ColumnRole.ARRAY for column in found.columns)
    what = f"rows of {inputs} inputs" if found.are_arrays and not found.shape else what
    console.print(f"{found.file}: {found.rows:,} {what}\n", style="bold")
    table = Table(**TABLE_STYLE)
    table.add_column("", justify="right")
    table.add_column("column", no_wrap=True)
    for heading in ("role", "values", "missing", ""):
        table.add_column(heading)
    lines = list(_lines(found))
    for line in lines[:MOST_COLUMNS]:
        table.add_row(*line)
    console.print(table)
    if len(lines) > MOST_COLUMNS:
        console.print(f"and {len(lines) - MOST_COLUMNS:,} more lines like these; --json has all columns")
    console.print()
    for word, text in _facts(found):
        console.print(f"{word:<9} {text}")
    for doubt in found.doubts[:MOST_DOUBTS]:
        console.print(f"doubt     {doubt}")
    if len(found.doubts) > MOST_DOUBTS:
        console.print(f"          and {len(found.doubts) - MOST_DOUBTS:,} more doubts; --json has all")


def _lines(found: TableAnswer) -> Iterator[tuple[str, ...]]:
    """Yield a line for each column; in a wide table one for each run of columns that are alike, the label first."""
    columns: Iterable[ColumnAnswer] = found.columns
    if len(found.columns) <= MOST_COLUMNS:
        runs = [[column] for column in columns]
    else:
        label = [column for column in columns if column.role is ColumnRole.LABEL]
        others = [column for column in columns if column.role is not ColumnRole.LABEL]
        alike = groupby(others, lambda column: (column.role, bool(column.missing), column.why))
        runs = [label, *(list(run) for _, run in alike)]
    for run in runs:
        first, last = run[0], run[-1]
        if len(run) == 1:
            yield str(first.number), _name(first), first.role.value, _values(first, found), _missing(run), first.why
        else:
            name = f"{_name(first)} to {_name(last)}: {len(run):,} columns"
            yield f"{first.number}-{last.number}", name, first.role.value, _range(run), _missing(run), first.why


def _name(column: ColumnAnswer) -> str:
    return _short(column.name) if column.name else f"place {column.number - 1}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_WORD else text[: LONGEST_WORD - 3] + "..."


def _values(column: ColumnAnswer, found: TableAnswer) -> str:
    if column.low is not None and column.middle is not None:
        return f"{_range([column])}, median {_number(column.middle, column.role)}"
    is_label = column.role is ColumnRole.LABEL
    words = found.classes if is_label else column.words
    if not words:
        return f"{column.distinct:,} different"
    listed = ", ".join(f"{_short(word)} {count:,}" for word, count in list(words.items())[:MOST_CLASSES])
    more = (len(words) if is_label else column.distinct) - min(MOST_CLASSES, len(words))
    return listed + (f" and {more:,} more" if more > 0 else "")


def _range(columns: list[ColumnAnswer]) -> str:
    lows = [column.low for column in columns if column.low is not None]
    highs = [column.high for column in columns if column.high is not None]
    role = columns[0].role
    return f"{_number(min(lows), role)} to {_number(max(highs), role)}" if lows and highs else ""


def _number(value: float, role: ColumnRole) -> str:
    if role is not ColumnRole.DATE:
        return told(value, 6)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=value)
    return moment.strftime("%Y-%m-%d" if value == int(value) else "%Y-%m-%d %H:%M")


def _missing(columns: list[ColumnAnswer]) -> str:
    counts: dict[str, int] = {}
    for column in columns:
        for token, count in column.missing.items():
            counts[token] = counts.get(token, 0) + count
    return told_missing(counts)


def _facts(found: TableAnswer) -> Iterator[tuple[str, str]]:
    """Yield what was found about the file and the task, a word and a sentence each."""
    form = {
        key: found.data[key]
        for key in ("format", "kind", "delimiter", "decimal", "encoding", "comment", "header")
        if key in found.data
    }
    yield "form", ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in form.items())
    for note in found.notes:
        yield "found", note
    labels = [column for column in found.columns if column.role is ColumnRole.LABEL]
    listed = ", ".join(map(_name, labels))
    yield "label", listed if found.are_arrays else f"column {labels[0].number}, {listed}"
    yield "task", f"{found.task}, since {found.why}" if found.why != "as stated" else f"{found.task}, as stated"
    unit = f", {len(found.classes)} classes" if found.classes else ""
    kind = "values in a row" if found.are_arrays else "columns"
    by = "" if found.by is None else f" by {found.by}"
    yield "inputs", f"{found.inputs:,} {kind}{unit}; split {found.split}{by}, metric {found.metric}"
    if found.classes:
        commonest = max(found.classes, key=lambda label: found.classes[label])
        yield "to beat", f"always `{_short(commonest)}` is right in {found.baseline:.2%} of the rows"
    elif found.task == "labels":
        yield "to beat", f"always the commonest labels are right in {found.baseline:.2%} of the rows"
    elif found.baseline is not None:
        yield "to beat", f"always the mean has a root mean squared error of {told(found.baseline, 6)}"
    if found.unlabelled:
        yield "left out", f"{found.unlabelled:,} rows have no label and cannot be used"
    if any(column.missing for column in found.columns if column.is_input):
        cells = sum(sum(column.missing.values()) for column in found.columns if column.is_input)
        yield (
            "missing",
            f'{cells:,} cells of inputs; `missing` in [data] says what becomes of them, "median" by default',
        )
