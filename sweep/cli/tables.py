"""A study's answers as tables and sentences for a person at a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from sweep.candidate import describe
from sweep.space import Value
from sweep.verdict.results import BestAnswer, FamiliesAnswer, RankedTrial, Ranking, StatusAnswer

TABLE_STYLE: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "box": None,
    "header_style": "dim",
    "pad_edge": False,
}


def show_end(found: BestAnswer, by_schedule: FamiliesAnswer) -> None:
    """Show what a sweep found: the best candidates, the best of each schedule, and the quoted baseline."""
    show_best(found, title=f"best of {found.trials} candidates")
    brief = [
        (
            family.best,
            f"{family.schedule} {_number(family.best.schedule['learning_rate']):.3g}, best of {family.trials}",
        )
        for family in by_schedule.families
    ]
    _print_ranking(by_schedule, "best of each schedule", brief)
    _console().print(
        "The best were chosen by these very scores, so luck makes them look better than they are; "
        "the verdict, once `sweep run` has made it, says how much."
    )


def show_best(found: BestAnswer, title: str = "") -> None:
    """Show the best candidates."""
    described = [(trial, describe(trial.params, momentum=False)) for trial in found.best]
    _print_ranking(found, title or f"study {found.study}: best of {found.trials} candidates", described)


def show_status(found: StatusAnswer) -> None:
    """Show how far a study is."""
    counts = ", ".join(f"{count} {state}" for state, count in found.trials.items()) or "no trials yet"
    wanted = f" of {found.wanted} wanted" if found.wanted is not None else ""
    running = "running" if found.running else "not running"
    _console().print(f"study {found.study}: {counts}{wanted}; {running}; verdict: {found.verdict}")
    if found.candidates_per_second:
        left = found.seconds_left
        ahead = f", about {left:.0f} s left" if left is not None else ""
        _console().print(f"lately {found.candidates_per_second:.1f} candidates a second{ahead}")


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _print_ranking(found: Ranking, title: str, trials: Iterable[tuple[RankedTrial, str]]) -> None:
    """Print trials, each with what describes it, and the quoted baseline."""
    trials = list(trials)
    rows = trials[0][0].validation_rows if trials else None
    table = Table(title=title + (" by log-loss" if found.metric == "log_loss" else ""), **TABLE_STYLE)
    table.add_column("trial", justify="right")
    table.add_column("schedule")
    table.add_column("momentum", justify="right")
    for heading in (f"of {rows}" if rows else "correct", "accuracy", "sd"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("log-loss", justify="right")
    for trial, description in trials:
        diverged = f" ({trial.diverged} of {len(trial.correct)} runs diverged)" if trial.diverged else ""
        table.add_row(
            str(trial.trial),
            description + diverged,
            f"{_number(trial.momentum):.3g}",
            "-" if trial.correct_mean is None else f"{trial.correct_mean:.2f}",
            f"{trial.value:.2%}",
            f"{stdev(trial.correct):.2f}" if len(trial.correct) > 1 else "-",
            "-" if trial.log_loss is None else f"{trial.log_loss:.4f}",
        )
    if found.quoted_baseline is not None and found.quoted_source is not None:
        correct = f"{found.quoted_baseline * rows:.0f}" if rows else "-"
        table.add_row("-", f"quoted: {found.quoted_source}", "", correct, f"{found.quoted_baseline:.2%}", "", "")
    _console().print(table)


def _number(value: Value | None) -> float:
    """Return a number that a trial holds; NaN for one that it does not, as a trial of others need not."""
    return value if isinstance(value, int | float) else math.nan
