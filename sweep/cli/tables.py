"""A study's answers as tables and sentences for a person at a terminal."""

from __future__ import annotations

import math
from statistics import stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from sweep.cli.answers import Comparison, Progressed, Ranking, difference, runs_above, status_document
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
    _print_table(found, f"best of {found.trials} candidates", [_cells(trial, describe(trial)) for trial in found.best])
    _print_table(found, "best of each schedule", [_cells(tried.best, _in_brief(tried)) for tried in by_schedule])
    _console().print(
        "The best were chosen by these very scores, so luck makes them look better than they are; "
        "`sweep compare` shows the best beside the recipes."
    )


def show_best(found: Ranking) -> None:
    """Show the best candidates."""
    title = f"study {found.study.name}: best of {found.trials} candidates"
    _print_table(found, title, [_cells(trial, describe(trial)) for trial in found.best])


def show_comparison(found: Comparison) -> None:
    """Show the best candidate beside the recipes and the quoted baseline, run seed by run seed."""
    console, rows = _console(), found.best.validation_rows
    table = Table(title=f"study {found.study.name}: the best candidate and the recipes", **TABLE_STYLE)
    for heading in ("trial", "", "schedule", f"of {rows}", "best ahead by", "runs ahead/level/behind"):
        table.add_column(heading, justify="left" if heading in ("", "schedule") else "right")
    table.add_row(str(found.best.trial), "best", describe(found.best, momentum=True), _mean(found.best), "", "")
    for recipe in found.recipes:
        apart = difference(found.best, recipe)
        ahead = (
            (f"{apart['rows']:+.2f} rows", f"{apart['better']:g}/{apart['equal']:g}/{apart['worse']:g}")
            if apart
            else ()
        )
        table.add_row(str(recipe.trial), "recipe", describe(recipe, momentum=True), _mean(recipe), *ahead)
    console.print(table)
    share, quoted = runs_above(found.best, found.study.quoted_baseline), found.study.quoted_baseline
    if share is not None and quoted is not None and rows:
        console.print(
            f"quoted: {quoted:.2%}, one run with {quoted * rows:.0f} rows right; "
            f"{share:.0%} of the best candidate's runs have more"
        )
    console.print(
        "This is no verdict yet: the same runs chose the best candidate, so it is high by luck as well, "
        "and one split says little about new data."
    )


def show_status(found: Progressed) -> None:
    """Show how far a study is."""
    document = status_document(found)
    counts = ", ".join(f"{count} {state}" for state, count in found.status.counts.items()) or "no trials yet"
    wanted = f" of {found.wanted} wanted" if found.wanted is not None else ""
    console = _console()
    console.print(f"study {found.study.name}: {counts}{wanted}; {'running' if found.running else 'not running'}")
    if document["candidates_per_second"]:
        left = document["seconds_left"]
        ahead = f", about {left:.0f} s left" if left is not None else ""
        console.print(f"lately {document['candidates_per_second']:.1f} candidates a second{ahead}")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


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


def describe(trial: Best, *, momentum: bool = False) -> str:
    """Return a trial's schedule, its initial rate and its own parameters in one line, to three digits."""
    shared = {"momentum": trial.params["momentum"]} if momentum and "momentum" in trial.params else {}
    shown = [
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in (trial.own_parameters | shared).items()
    ]
    return ", ".join([_schedule_and_rate(trial), *shown])


def _in_brief(tried: Tried) -> str:
    return f"{_schedule_and_rate(tried.best)}, best of {tried.count}"


def _schedule_and_rate(trial: Best) -> str:
    return f"{trial.schedule} {trial.params.get('learning_rate', math.nan):.3g}"


def _mean(trial: Best) -> str:
    return "-" if trial.correct_mean is None else f"{trial.correct_mean:.2f}"


def _add_quoted(table: Table, study: Study, rows: int | None) -> None:
    if study.quoted_baseline is None or study.plan is None or study.plan.baseline is None:
        return
    correct = f"{study.quoted_baseline * rows:.0f}" if rows else "-"
    table.add_row("-", f"quoted: {study.plan.baseline.source}", "", correct, f"{study.quoted_baseline:.2%}", "", "")
