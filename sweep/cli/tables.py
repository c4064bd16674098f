"""A study's answers as tables and sentences for a person at a terminal; they know nothing else of the study."""

from __future__ import annotations

import math
from statistics import stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from sweep.candidate import describe
from sweep.space import Value
from sweep.verdict.results import BestAnswer, FamiliesAnswer, Family, RankedTrial, Ranking, StatusAnswer

TABLE_STYLE: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "box": None,
    "header_style": "dim",
    "pad_edge": False,
}


def show_end(found: BestAnswer, by_schedule: FamiliesAnswer) -> None:
    """Show what a sweep found: the best candidates, the best of each schedule, and the quoted baseline."""
    rows = _validation_rows(found)
    best = [_cells(trial, describe(trial.params, momentum=False)) for trial in found.best]
    _print_table(found, rows, f"best of {found.trials} candidates{_ranked(found)}", best)
    families = [_cells(family.best, _in_brief(family)) for family in by_schedule.families]
    _print_table(by_schedule, rows, f"best of each schedule{_ranked(by_schedule)}", families)
    _console().print(
        "The best were chosen by these very scores, so luck makes them look better than they are; "
        "the verdict, once `sweep run` has made it, says how much."
    )


def show_best(found: BestAnswer) -> None:
    """Show the best candidates."""
    title = f"study {found.study}: best of {found.trials} candidates{_ranked(found)}"
    best = [_cells(trial, describe(trial.params, momentum=False)) for trial in found.best]
    _print_table(found, _validation_rows(found), title, best)


def show_status(found: StatusAnswer) -> None:
    """Show how far a study is."""
    counts = ", ".join(f"{count} {state}" for state, count in found.trials.items()) or "no trials yet"
    wanted = f" of {found.wanted} wanted" if found.wanted is not None else ""
    console = _console()
    running = "running" if found.running else "not running"
    console.print(f"study {found.study}: {counts}{wanted}; {running}; verdict: {found.verdict}")
    if found.candidates_per_second:
        left = found.seconds_left
        ahead = f", about {left:.0f} s left" if left is not None else ""
        console.print(f"lately {found.candidates_per_second:.1f} candidates a second{ahead}")


def _ranked(found: Ranking) -> str:
    return " by log-loss" if found.metric == "log_loss" else ""


def _validation_rows(found: BestAnswer) -> int | None:
    return found.best[0].validation_rows if found.best else None


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _print_table(found: Ranking, rows: int | None, title: str, trials: list[tuple[str, ...]]) -> None:
    table = _table(title, rows)
    for cells in trials:
        table.add_row(*cells)
    _add_quoted(table, found, rows)
    _console().print(table)


def _table(title: str, rows: int | None) -> Table:
    table = Table(title=title, **TABLE_STYLE)
    table.add_column("trial", justify="right")
    table.add_column("schedule")
    table.add_column("momentum", justify="right")
    table.add_column(f"of {rows}" if rows else "correct", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("sd", justify="right", no_wrap=True)
    table.add_column("log-loss", justify="right")
    return table


def _cells(trial: RankedTrial, described: str) -> tuple[str, ...]:
    spread = f"{stdev(trial.correct):.2f}" if len(trial.correct) > 1 else "-"
    warning = f" ({trial.diverged} of {len(trial.correct)} runs diverged)" if trial.diverged else ""
    return (
        str(trial.trial),
        described + warning,
        f"{_number(trial.momentum):.3g}",
        "-" if trial.correct_mean is None else f"{trial.correct_mean:.2f}",
        f"{trial.value:.2%}",
        spread,
        "-" if trial.log_loss is None else f"{trial.log_loss:.4f}",
    )


def _in_brief(family: Family) -> str:
    rate = _number(family.best.schedule["learning_rate"])
    return f"{family.schedule} {rate:.3g}, best of {family.trials}"


def _number(held: Value | None) -> float:
    """Return a number that a trial holds; NaN for one that it does not, as a trial of others need not."""
    return held if isinstance(held, int | float) else math.nan


def _add_quoted(table: Table, found: Ranking, rows: int | None) -> None:
    if found.quoted_baseline is None or found.quoted_source is None:
        return
    correct = f"{found.quoted_baseline * rows:.0f}" if rows else "-"
    table.add_row("-", f"quoted: {found.quoted_source}", "", correct, f"{found.quoted_baseline:.2%}", "", "")
