"""A verdict on a terminal: two sentences, the ladder, and what a reader needs to doubt them, on one screen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.table import Table

from sweep.cli.tables import TABLE_STYLE
from sweep.stats.estimate import Chances, Effect
from sweep.stats.verdict import Judgement
from sweep.verdict.result import Confirmed, Scored, Verdict

WIDTH = 118
BAR = 30


def show_verdict(found: Verdict) -> None:
    """Print a verdict."""
    console = Console(highlight=False, markup=False, width=WIDTH)
    console.print(f"study {found.study}: is the best schedule really better?", style="bold")
    if not found.current:
        console.print("Out of date: the study has changed since; `sweep run` makes the verdict anew.")
    console.print()
    console.print(found.on_these_rows.sentence)
    console.print(new_rows_sentence(found))
    console.print()
    console.print(ladder_table(found))
    console.print()
    table = Table(**TABLE_STYLE, show_header=False)
    table.add_column(no_wrap=True)
    for label, text in facts(found):
        table.add_row(label, text)
    console.print(table)


def new_rows_sentence(found: Verdict) -> str:
    """Return the answer to the second question, or why there is none."""
    if isinstance(found.on_new_rows, Judgement):
        return found.on_new_rows.sentence
    return f"On new rows: not resolved. There are no re-splits: {found.on_new_rows.problem}"


def ladder_table(found: Verdict) -> Table:
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
    for rerun in found.reruns[1:]:
        add("also run again", rerun)
    for step in found.ladder:
        add(step.adds, step, step.change)
    return table


def facts(found: Verdict) -> Iterator[tuple[str, str]]:
    """Yield what a reader needs to doubt the verdict: a word for each fact, and the fact."""
    yield "rows, runs", "\n".join(histogram(found.winner.correct_counts, width=BAR, lines=4))
    yield "head to head", _head_to_head(found)
    yield "winner", _score(found.winner)
    yield "tuned constant", _score(found.tuned_constant)
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
    yield "power", _power(found)
    if doubts := (*found.split.warnings, *found.at_an_end, *found.unstable):
        yield "doubts", "; ".join(doubts)


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


def _head_to_head(found: Verdict) -> str:
    def shares(chances: Chances, of: str) -> str:
        return f"{chances.better:.0%} / {chances.tied:.0%} / {chances.worse:.0%} {of}"

    runs, new = found.on_these_rows.runs, found.on_new_rows
    told = [shares(runs, "of runs")] if runs else []
    if isinstance(new, Judgement) and new.mean:
        told.append(shares(new.mean, "likely on new rows"))
    return f"ahead of the tuned constant by more than a row / within a row / behind: {'; '.join(told)}"


def _score(candidate: Scored) -> str:
    recalls = ", ".join(f"{label} {share:.1%}" for label, share in candidate.recall.items() if share is not None)
    loss = "-" if candidate.log_loss is None else f"{candidate.log_loss:.4f}"
    return (
        f"recall {recalls}; balanced accuracy {candidate.balanced_accuracy:.1%}; log-loss {loss}; "
        f"{candidate.diverged} diverged; sd {candidate.spread.deviation:.2f} rows"
    )


def _power(found: Verdict) -> str:
    these, new = found.on_these_rows.effect_rows, found.on_new_rows
    splits = ""
    if isinstance(new, Judgement):
        splits = f", {new.effect_rows.samples} re-splits one of {new.effect_rows.smallest_detectable:.1f}"
    return (
        f"{these.samples} run seeds find a lead of {these.smallest_detectable:.2f} rows four times in five{splits}; "
        f"one model with every row right would beat {found.whom_to_beat} by p = {found.mcnemar_limit:.2g} (McNemar)"
    )
