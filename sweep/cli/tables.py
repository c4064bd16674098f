"""A study's answers as tables and sentences for a person at a terminal."""

from __future__ import annotations

import math
from statistics import stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from sweep.candidate import describe
from sweep.cli.answers import Progressed, Ranking, status_document
from sweep.search.queries import Best, Study, Tried

TABLE_STYLE: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "box": None,
    "header_style": "dim",
    "pad_edge": False,
}


def show_end(found: Ranking, by_schedule: list[Tried]) -> None:
    """Show what a sweep found: the best candidates, the best of each schedule, and the quoted baseline."""
    _print_table(
        found,
        f"best of {found.trials} candidates{_ranked(found)}",
        [_cells(trial, describe(trial.params, momentum=False)) for trial in found.best],
    )
    families = [_cells(tried.best, _in_brief(tried)) for tried in by_schedule]
    _print_table(found, f"best of each schedule{_ranked(found)}", families)
    _console().print(
        "The best were chosen by these very scores, so luck makes them look better than they are; "
        "the verdict, once `sweep run` has made it, says how much."
    )


def show_best(found: Ranking) -> None:
    """Show the best candidates."""
    title = f"study {found.study.name}: best of {found.trials} candidates{_ranked(found)}"
    _print_table(found, title, [_cells(trial, describe(trial.params, momentum=False)) for trial in found.best])


def show_status(found: Progressed) -> None:
    """Show how far a study is."""
    document = status_document(found)
    counts = ", ".join(f"{count} {state}" for state, count in found.status.counts.items()) or "no trials yet"
    wanted = f" of {found.wanted} wanted" if found.wanted is not None else ""
    console = _console()
    running = "running" if found.running else "not running"
    console.print(f"study {found.study.name}: {counts}{wanted}; {running}; verdict: {found.verdict}")
    if document["candidates_per_second"]:
        left = document["seconds_left"]
        ahead = f", about {left:.0f} s left" if left is not None else ""
        console.print(f"lately {document['candidates_per_second']:.1f} candidates a second{ahead}")


def _ranked(found: Ranking) -> str:
    return " by log-loss" if found.study.metric == "log_loss" else ""


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _print_table(found: Ranking, title: str, trials: list[tuple[str, ...]]) -> None:
    rows = found.best[0].validation_rows
    table = _table(title, rows)
    for cells in trials:
        table.add_row(*cells)
    _add_quoted(table, found.study, rows)
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


def _cells(trial: Best, described: str) -> tuple[str, ...]:
    counts = list(trial.correct.values())
    spread = f"{stdev(counts):.2f}" if len(counts) > 1 else "-"
    diverged = trial.attributes.get("diverged", 0)
    warning = f" ({diverged} of {len(counts)} runs diverged)" if diverged else ""
    return (
        str(trial.trial),
        described + warning,
        f"{trial.params.get('momentum', math.nan):.3g}",
        _mean(trial),
        f"{trial.value:.2%}",
        spread,
        "-" if trial.log_loss is None else f"{trial.log_loss:.4f}",
    )


def _in_brief(tried: Tried) -> str:
    return f"{tried.best.schedule} {tried.best.params.get('learning_rate', math.nan):.3g}, best of {tried.count}"


def _mean(trial: Best) -> str:
    return "-" if trial.correct_mean is None else f"{trial.correct_mean:.2f}"


def _add_quoted(table: Table, study: Study, rows: int | None) -> None:
    if study.quoted_baseline is None or study.plan is None or study.plan.baseline is None:
        return
    correct = f"{study.quoted_baseline * rows:.0f}" if rows else "-"
    table.add_row("-", f"quoted: {study.plan.baseline.source}", "", correct, f"{study.quoted_baseline:.2%}", "", "")
