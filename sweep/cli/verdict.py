"""A verdict on a terminal: two sentences, the ladder, and what a reader needs to doubt them, on one screen.

It knows the answer alone, so it draws the same wherever that came from.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from sweep.cli.tables import TABLE_STYLE
from sweep.stats.estimate import Chances, Effect
from sweep.stats.histogram import histogram
from sweep.verdict.result import Confirmed, Judged, Scored, VerdictAnswer

WIDTH = 118
BAR = 30


def show_verdict(found: VerdictAnswer) -> None:
    """Print a verdict."""
    console = Console(highlight=False, markup=False, width=WIDTH)
    console.print(f"study {found.study}: is the best schedule really better?", style="bold")
    if not found.current:
        console.print("Out of date: the study has changed since; `sweep run` makes the verdict anew.")
    console.print()
    console.print(found.on_these_rows.sentence)
    console.print(new_rows_sentence(found))
    console.print()
    console.print(_ladder(found))
    console.print()
    table = Table(**TABLE_STYLE, show_header=False)
    table.add_column(no_wrap=True)
    for label, text in facts(found):
        table.add_row(label, text)
    console.print(table)


def new_rows_sentence(found: VerdictAnswer) -> str:
    """Return the answer to the second question, or why there is none."""
    if isinstance(found.on_new_rows, Judged):
        return found.on_new_rows.sentence
    return f"On new rows: not resolved. There are no re-splits: {found.on_new_rows.problem}"


def _ladder(found: VerdictAnswer) -> Table:
    """Return quoted, re-run, tuned and winning settings, each with what it has over the one before."""
    table = Table(**TABLE_STYLE)
    table.add_column("")
    table.add_column("candidate")
    table.add_column(f"of {found.split.validation_rows}", justify="right", no_wrap=True)
    table.add_column("more than above (95 %)", justify="right", no_wrap=True)
    if isinstance(found.on_new_rows, Judged):
        table.add_column(f"new, of {found.on_new_rows.rows}", justify="right", no_wrap=True)
    if found.quoted is not None:
        table.add_row("quoted, one run", found.quoted.source, str(found.quoted.correct), "", "")
    for rerun in found.reruns[1:]:
        table.add_row("also run again", rerun.label, *_means(rerun, None))
    for step in found.ladder:
        table.add_row(step.adds, step.label, *_means(step, step.change))
    return table


def _means(candidate: Confirmed, change: Effect | None) -> tuple[str, ...]:
    over = "" if change is None else f"{change.mean:+.2f} ({change.interval.low:+.2f} to {change.interval.high:+.2f})"
    new = "" if candidate.new_rows_mean is None else f"{candidate.new_rows_mean:.2f}"
    return f"{candidate.correct_mean:.2f}", over, new


def facts(found: VerdictAnswer) -> Iterator[tuple[str, str]]:
    """Yield what a reader needs to doubt the verdict: a word for each fact, and the fact."""
    yield "rows, runs", "\n".join(histogram(_each_run(found.winner), width=BAR, lines=4))
    yield "head to head", _chances(found)
    yield "winner", _score(found.winner)
    yield "tuned constant", _score(found.tuned_constant)
    yield "luck", _luck(found)
    yield "as good", _equals(found)
    yield "power", _power(found)
    if doubts := (*found.split.warnings, *found.at_an_end, *found.unstable):
        yield "doubts", "; ".join(doubts)


def _each_run(candidate: Confirmed) -> list[int]:
    return [rows for rows, runs in candidate.correct_counts.items() for _ in range(runs)]


def _chances(found: VerdictAnswer) -> str:
    runs, new = found.on_these_rows.runs, found.on_new_rows.mean if isinstance(found.on_new_rows, Judged) else None
    told = [f"{_shares(chances)} {of}" for chances, of in ((runs, "of runs"), (new, "likely on new rows")) if chances]
    return f"ahead of the tuned constant by more than a row / within a row / behind: {'; '.join(told)}"


def _shares(chances: Chances) -> str:
    return f"{chances.better:.0%} / {chances.tied:.0%} / {chances.worse:.0%}"


def _score(candidate: Scored) -> str:
    recalls = ", ".join(f"{label} {share:.1%}" for label, share in candidate.recall.items() if share is not None)
    loss = "-" if candidate.log_loss is None else f"{candidate.log_loss:.4f}"
    return (
        f"recall {recalls}; balanced accuracy {candidate.balanced_accuracy:.1%}; log-loss {loss}; "
        f"{candidate.diverged} diverged; sd {candidate.spread.deviation:.2f} rows"
    )


def _luck(found: VerdictAnswer) -> str:
    stages, majority = found.optimism, found.majority
    return (
        f"the winner had {stages.search:.2f} rows right when found, best of {found.candidates[found.study]}, "
        f"{stages.selection:.2f} in the race, {stages.confirmation:.2f} confirmed; "
        f"always `{majority.label}` has {majority.rows}"
    )


def _equals(found: VerdictAnswer) -> str:
    return (
        f"{len(found.as_good)} of {found.raced} finalists cannot be told from the winner; "
        f"the simplest is {found.simplest.label}"
    )


def _power(found: VerdictAnswer) -> str:
    these, new = found.on_these_rows.effect_rows, found.on_new_rows
    splits = ""
    if isinstance(new, Judged):
        splits = f", {new.effect_rows.samples} re-splits one of {new.effect_rows.smallest_detectable:.1f}"
    return (
        f"{these.samples} run seeds find a lead of {these.smallest_detectable:.2f} rows four times in five{splits}; "
        f"one model with every row right would beat {found.whom_to_beat} by p = {found.mcnemar_limit:.2g} (McNemar)"
    )
