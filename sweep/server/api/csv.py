"""All trials of a study as CSV, a page of rows at a time, safe to open in a spreadsheet.

It stands alone because a spreadsheet runs what begins like a formula, and a study may hold any text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from sweep.api import Study
from sweep.verdict.results import ListedTrial, TrialsAnswer

PAGE_ROWS = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
FACTS = ("trial", "state", "value", "log_loss", "correct_mean", "validation_rows", "replicates", "diverged")
TIMES = ("began", "ended")


def lines(study: Study) -> Iterator[str]:
    """Return the lines of the table, the heading first.

    Raises:
        NotFound: at once, if there is no such study.
    """
    with study.stored.reading() as found:
        params = found.param_names()
    return _lines(study, params, study.trials(limit=PAGE_ROWS))


def _lines(study: Study, params: Sequence[str], page: TrialsAnswer) -> Iterator[str]:
    yield _line([*FACTS, *params, *TIMES])
    while True:
        yield "".join(_line(_cells(trial, params)) for trial in page.trials)
        if page.next_after is None:
            return
        page = study.trials(page.next_after, PAGE_ROWS)


def _cells(trial: ListedTrial, params: Sequence[str]) -> list[Any]:
    facts, times = (getattr(trial, fact) for fact in FACTS), (getattr(trial, time) for time in TIMES)
    return [*facts, *(trial.params.get(name) for name in params), *("" if time is None else time for time in times)]


def _line(cells: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([harmless(cell) for cell in cells])
    return buffer.getvalue()


def harmless(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula; numbers stay as they are.

    >>> harmless("=1+1"), harmless("-0.5"), harmless(-0.5), harmless("step")
    ("'=1+1", "'-0.5", -0.5, 'step')
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
