"""A verdict on a terminal: two sentences, the ladder, and what a reader needs to doubt them, on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from sweep.cli.tables import TABLE_STYLE
from sweep.evidence.counts import histogram
from sweep.evidence.estimate import Chances, Effect
from sweep.review.dossier import Entry
from sweep.review.findings import Findings, Score, label_of

WIDTH = 118
BAR = 30


def show_verdict(found: Findings) -> None:
    """Print a verdict."""
    console = Console(highlight=False, markup=False, width=WIDTH)
    console.print(f"study {found.study}: is the best schedule really better?", style="bold")
    if not found.current:
        console.print("Out of date: the study has changed since; `sweep run` makes the verdict anew.")
    console.print()
    console.print(found.these_rows.sentence)
    console.print(new_rows_sentence(found))
    console.print()
    console.print(_ladder(found))
    console.print()
    table = Table(**TABLE_STYLE, show_header=False)
    table.add_column(no_wrap=True)
    for label, text in facts(found):
        table.add_row(label, text)
    console.print(table)


def new_rows_sentence(found: Findings) -> str:
    """Return the answer to the second question, or why there is none."""
    if found.new_rows is None:
        return f"On new rows: not resolved. There are no re-splits: {found.dossier.new_rows.problem}"
    return found.new_rows.sentence


def _ladder(found: Findings) -> Table:
    """Return quoted, re-run, tuned and winning settings, each with what it has over the one before."""
    split, new = found.dossier.split, found.dossier.new_rows
    table = Table(**TABLE_STYLE)
    table.add_column("")
    table.add_column("candidate")
    table.add_column(f"of {split.validation_rows}", justify="right", no_wrap=True)
    table.add_column("more than above (95 %)", justify="right", no_wrap=True)
    if new.split_seeds:
        table.add_column(f"new, of {new.test_rows}", justify="right", no_wrap=True)
    if found.quoted is not None:
        table.add_row("quoted, one run", found.quoted.source, str(found.quoted.correct), "", "")
    for entry in found.reruns[1:]:
        table.add_row("also run again", label_of(entry.contender), *_means(entry, None))
    for rung in found.ladder:
        table.add_row(rung.label, label_of(rung.entry.contender), *_means(rung.entry, rung.change))
    return table


def _means(entry: Entry, change: Effect | None) -> tuple[str, ...]:
    over = "" if change is None else f"{change.mean:+.2f} ({change.interval.low:+.2f} to {change.interval.high:+.2f})"
    new = "" if entry.new_rows_mean is None else f"{entry.new_rows_mean:.2f}"
    return f"{entry.confirmation.correct_mean:.2f}", over, new


def facts(found: Findings) -> Iterator[tuple[str, str]]:
    """Yield what a reader needs to doubt the verdict: a word for each fact, and the fact."""
    yield "rows, runs", "\n".join(histogram(found.ladder[-1].entry.confirmation.correct, width=BAR, lines=4))
    yield "head to head", _chances(found)
    yield "winner", _score(found.winner, found)
    yield "tuned constant", _score(found.constant, found)
    yield "luck", _luck(found)
    yield "as good", _equals(found)
    yield "power", _power(found)
    if doubts := (*found.dossier.split.warnings, *found.edges, *found.unstable):
        yield "doubts", "; ".join(doubts)


def _chances(found: Findings) -> str:
    runs, new = found.these_rows.run_chances, found.new_rows.mean_chances if found.new_rows else None
    told = [f"{_shares(chances)} {of}" for chances, of in ((runs, "of runs"), (new, "likely on new rows")) if chances]
    return f"ahead of the tuned constant by more than a row / within a row / behind: {'; '.join(told)}"


def _shares(chances: Chances) -> str:
    return f"{chances.better:.0%} / {chances.tied:.0%} / {chances.worse:.0%}"


def _score(score: Score, found: Findings) -> str:
    classes = zip(found.dossier.split.classes, score.recalls, strict=True)
    recalls = ", ".join(f"{label} {share:.1%}" for label, share in classes if share is not None)
    loss = "-" if score.log_loss is None else f"{score.log_loss:.4f}"
    return (
        f"recall {recalls}; balanced accuracy {score.balanced_accuracy:.1%}; log-loss {loss}; "
        f"{score.diverged} diverged; sd {score.dispersion.deviation:.2f} rows"
    )


def _luck(found: Findings) -> str:
    stages, (label, rows) = found.optimism, found.majority
    return (
        f"the winner had {stages.search:.2f} rows right when found, best of {found.looked_at[found.study]}, "
        f"{stages.selection:.2f} in the race, {stages.confirmation:.2f} confirmed; always `{label}` has {rows}"
    )


def _equals(found: Findings) -> str:
    return (
        f"{len(found.equals)} of {len(found.dossier.race)} finalists cannot be told from the winner; "
        f"the simplest is {label_of(found.simplest)}"
    )


def _power(found: Findings) -> str:
    these, new = found.these_rows.effect, found.new_rows.effect if found.new_rows else None
    splits = f", {new.samples} re-splits one of {new.smallest_detectable:.1f}" if new else ""
    return (
        f"{these.samples} run seeds find a lead of {these.smallest_detectable:.2f} rows four times in five{splits}; "
        f"one model with every row right would beat {found.whom_to_beat} by p = {found.mcnemar_limit:.2g} (McNemar)"
    )
