"""A study's answers as tables and sentences for a person at a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from statistics import stdev
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from sweep.candidate import describe
from sweep.space import Value
from sweep.stats.estimate import Chances, Effect
from sweep.stats.verdict import MOST_LISTED, Judgement, listed
from sweep.verdict.result import Confirmed, Scored, Verdict
from sweep.verdict.results import BestAnswer, FamiliesAnswer, RankedTrial, Ranking, StatusAnswer

WIDTH = 118  # of a verdict, which is one screen
BAR = 30
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
    if found.wanted is not None and found.search_space is not None and found.search_space <= found.wanted:
        wanted += f"; the search space holds {found.search_space} candidates"
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


def show_verdict(found: Verdict) -> None:
    """Show a verdict: its sentences, the ladder, and what a reader needs to doubt them."""
    console = Console(highlight=False, markup=False, width=WIDTH)
    console.print(f"study {found.study}: is the best schedule really better?", style="bold")
    if not found.current:
        console.print("Out of date: the study has changed since; `sweep run` makes the verdict anew.")
    console.print()
    for place, sentence in enumerate(found.sentences):
        console.print(sentence, style="bold" if found.finding and place == 0 else "")
    console.print()
    console.print(_ladder(found))
    console.print()
    table = Table(**TABLE_STYLE, show_header=False)
    table.add_column(no_wrap=True)
    for label, text in _facts(found):
        table.add_row(label, text)
    console.print(table)


def _ladder(found: Verdict) -> Table:
    """Return quoted, re-run, tuned and winning settings, each with what it has over the one before."""
    table = Table(**TABLE_STYLE)
    table.add_column("")
    table.add_column("candidate")
    table.add_column(f"of {found.split.validation_rows}", justify="right", no_wrap=True)
    table.add_column("more than above (95 %)", justify="right", no_wrap=True)
    if isinstance(found.on_new_rows, Judgement):
        table.add_column(f"new, of {found.on_new_rows.rows}", justify="right", no_wrap=True)

    def add(title: str, candidate: Confirmed, change: Effect | None = None) -> None:
        over, new = "", "" if candidate.new_rows_mean is None else f"{candidate.new_rows_mean:.2f}"
        if change is not None:
            over = f"{change.mean:+.2f} ({change.interval.low:+.2f} to {change.interval.high:+.2f})"
        table.add_row(title, candidate.label, f"{candidate.correct_mean:.2f}", over, new)

    if found.quoted is not None:
        table.add_row("quoted, one run", found.quoted.source, str(found.quoted.correct), "", "")
    for rerun in found.reruns[1 : 1 + MOST_LISTED]:
        add("also run again", rerun)
    if left := found.reruns[1 + MOST_LISTED :]:
        table.add_row(f"and {len(left):,} more", "", "", "", "")
    for step in found.ladder:
        add(step.adds, step, step.change)
    return table


def _facts(found: Verdict) -> Iterator[tuple[str, str]]:
    """Yield what a reader needs to doubt the verdict: a word for each fact, and the fact."""

    def shares(chances: Chances, of: str) -> str:
        return f"{chances.better:.0%} / {chances.tied:.0%} / {chances.worse:.0%} {of}"

    def score(candidate: Scored) -> str:
        recalls = listed(f"{label} {share:.1%}" for label, share in candidate.recall.items() if share is not None)
        loss = "-" if candidate.log_loss is None else f"{candidate.log_loss:.4f}"
        return (
            f"recall {recalls}; balanced accuracy {candidate.balanced_accuracy:.1%}; log-loss {loss}; "
            f"{candidate.diverged} diverged; sd {candidate.spread.deviation:.2f} rows"
        )

    runs, these, new = found.on_these_rows.runs, found.on_these_rows.effect_rows, found.on_new_rows
    ahead, splits = [shares(runs, "of runs")] if runs else [], ""
    if isinstance(new, Judgement):
        splits = f", {new.effect_rows.samples} re-splits one of {new.effect_rows.smallest_detectable:.1f}"
        ahead += [shares(new.mean, "likely on new rows")] if new.mean else []
    yield "rows, runs", "\n".join(histogram(found.winner.correct_counts, width=BAR, lines=4))
    yield (
        "head to head",
        f"ahead of the tuned constant by more than a row / within a row / behind: {'; '.join(ahead)}",
    )
    yield "winner", score(found.winner)
    yield "tuned constant", score(found.tuned_constant)
    stages, majority = found.optimism, found.majority
    yield (
        "luck",
        f"the winner had {stages.search:.2f} rows right when found, best of {found.candidates[found.study]}, "
        f"{stages.selection:.2f} in the race, {stages.confirmation:.2f} confirmed; "
        f"always `{majority.label}` has {majority.rows}",
    )
    yield (
        "as good",
        f"{len(found.as_good)} of {found.raced} finalists cannot be told from the winner; "
        f"the simplest is {found.simplest.label}",
    )
    yield (
        "power",
        f"{these.samples} run seeds find a lead of {these.smallest_detectable:.2f} rows four times in five{splits}; "
        f"one model with every row right would beat {found.whom_to_beat} by p = {found.mcnemar_limit:.2g} (McNemar)",
    )
    if doubts := (*found.split.warnings, *found.falling, *found.at_an_end, *found.unstable):
        yield "doubts", listed(doubts, between="; ")


def histogram(counts: Mapping[int, int], *, width: int = 40, lines: int = 12) -> list[str]:
    r"""Draw how many runs had how many correct rows, highest count first; at most `lines` lines.

    >>> print("\n".join(histogram({115: 2, 114: 1, 112: 1})))
    115 |######################################## 2
    114 |#################### 1
    113 | 0
    112 |#################### 1
    """
    lowest, highest = min(counts), max(counts)
    step = -(-(highest - lowest + 1) // lines)
    edges = np.arange(lowest, highest + step + 1, step)
    found = np.histogram(list(counts), edges - 0.5, weights=list(counts.values()))[0].tolist()
    labels = [str(low) if step == 1 else f"{low}-{high - 1}" for low, high in pairwise(edges.tolist())]
    margin, most = max(map(len, labels)), max(found)
    drawn = [
        f"{label:>{margin}} |{'#' * math.ceil(width * number / most)} {number}"
        for label, number in zip(labels, found, strict=True)
    ]
    return drawn[::-1]
