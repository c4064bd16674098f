"""`sweep data`: what a file holds, as a table for a person."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sweep.cli.tables import TABLE_STYLE
from sweep.data.columns import ColumnRole
from sweep.data.description import ColumnAnswer, TableAnswer

MOST_CLASSES = 12  # that are listed


def show_table(found: TableAnswer) -> None:
    """Show a file's form, its columns with their roles, the task, and the doubts."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    title = f"{found.file}: {found.rows:,} rows of {len(found.columns)} columns"
    table = Table(title=title + "".join(f"; {note}" for note in found.notes), **TABLE_STYLE)
    table.add_column("", justify="right")
    for heading in ("column", "role", "values", "missing", ""):
        table.add_column(heading)
    for column in found.columns:
        table.add_row(
            str(column.number), column.name, column.role.value, _values(column, found), _missing(column), column.why
        )
    console.print(table)
    label = next(column for column in found.columns if column.role is ColumnRole.LABEL)
    console.print(
        f"\nlabel: column {label.number}{f' ({label.name})' if label.name else ''}; "
        f"task: {found.task}, since {found.why}"
    )
    if found.classes:
        commonest = max(found.classes.values())
        share = commonest / sum(found.classes.values())
        console.print(f"always saying the commonest class is right in {share:.2%} of the rows")
    if found.unlabelled:
        console.print(f"{found.unlabelled} rows have no label and cannot be used")
    for doubt in found.doubts:
        console.print(f"doubt: {doubt}")


def _values(column: ColumnAnswer, found: TableAnswer) -> str:
    if column.low is not None and column.middle is not None and column.high is not None:
        return f"{column.low:.6g} to {column.high:.6g}, median {column.middle:.6g}"
    words = found.classes if column.role is ColumnRole.LABEL else column.words
    most = MOST_CLASSES if column.role is ColumnRole.LABEL else len(words)
    listed = ", ".join(f"{word} {count:,}" for word, count in list(words.items())[:most])
    more = (len(words) if column.role is ColumnRole.LABEL else column.distinct) - min(most, len(words))
    if not words:
        return f"{column.distinct:,} different"
    return listed + (f" and {more} more" if more else "")


def _missing(column: ColumnAnswer) -> str:
    return ", ".join(f"{count:,} {token!r}" if token else f"{count:,} empty" for token, count in column.missing.items())
