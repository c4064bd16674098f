"""A study's answers as tables and sentences for a person at a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import stdev
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from sweep.candidate import describe
from sweep.errors import NOTHING_TO_COMPARE
from sweep.space import Value
from sweep.stats.estimate import Chances, Effect
from sweep.stats.rates import Forgiveness
from sweep.stats.verdict import MOST_LISTED, Judgement, Unit, listed
from sweep.task import METRICS
from sweep.verdict.result import Scored, Verdict
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
    """Show what the verdict recommended, if there is one, and the best candidates."""
    advice = found.recommendation
    if advice is not None:
        unit = Unit(METRICS[found.metric], 0)
        score = f"{unit.name} {unit.plain(advice.score)} on {advice.where}"
        _console().print(f"recommended: {advice.setting.label}: {score}{_confirmed_again(found.confirmations)}")
        title = title or f"study {found.study}: highest scores of the search, which luck flatters"
    described = [(trial, describe(trial.params, momentum=False)) for trial in found.best]
    aside = f", {found.set_aside} more set aside, outside the search space" if found.set_aside else ""
    _print_ranking(found, title or f"study {found.study}: best of {found.trials} candidates{aside}", described)


def _confirmed_again(confirmations: int) -> str:
    """Return how often a study has been confirmed, if more than once: who looks again and again finds luck."""
    return f"; confirmation {confirmations} of this study" if confirmations > 1 else ""


def show_status(found: StatusAnswer) -> None:
    """Show how far a study is."""
    counts = ", ".join(f"{count} {state}" for state, count in found.trials.items()) or "no trials yet"
    wanted = f" of {found.wanted} wanted" if found.wanted is not None else ""
    if found.wanted is not None and found.search_space is not None and found.search_space <= found.wanted:
        wanted += f"; the search space holds {found.search_space} candidates"
    running = "running" if found.running else "not running"
    _console().print(f"study {found.study}: {counts}{wanted}; {running}; verdict: {found.verdict}")
    if found.within is not None:
        more = "" if found.within.is_whole else "; `sweep run` without a budget goes on to the whole study"
        _console().print(f"{found.within.told}{more}")
    if found.candidates_per_second:
        left = found.seconds_left
        ahead = f", about {left:.0f} s left" if left is not None else ""
        _console().print(f"lately {found.candidates_per_second:.1f} candidates a second{ahead}")


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _print_ranking(found: Ranking, title: str, trials: Iterable[tuple[RankedTrial, str]]) -> None:
    """Print trials, each with what describes it, and the quoted baseline."""
    trials = list(trials)
    rows, metric = trials[0][0].validation_rows if trials else None, METRICS[found.valued_by]
    classes, unit = not metric.of_numbers, Unit(metric, rows or 0)
    extra = [] if metric.name in ("accuracy", "log_loss") else [unit.short]
    ranked_by = "" if found.metric == "accuracy" else f" by {Unit(METRICS[found.metric], 0).name}"
    table = Table(title=title + ranked_by, **TABLE_STYLE)
    table.add_column("trial", justify="right")
    table.add_column("schedule")
    table.add_column("momentum", justify="right")
    by_rows = (f"of {rows}" if rows else "correct", "accuracy", "sd") if classes else ()
    for heading in (*extra, *by_rows):
        table.add_column(heading, justify="right", no_wrap=True)
    if classes:
        table.add_column("log-loss", justify="right")
    for trial, description in trials:
        diverged = f" ({trial.diverged} of {trial.replicates} runs diverged)" if trial.diverged else ""
        accuracy = trial.value if metric.name == "accuracy" else None
        if trial.correct_mean is not None and trial.validation_rows:
            accuracy = trial.correct_mean / trial.validation_rows
        of_classes = (
            "-" if trial.correct_mean is None else f"{trial.correct_mean:.2f}",
            "-" if accuracy is None else f"{accuracy:.2%}",
            f"{stdev(trial.correct):.2f}" if len(trial.correct) > 1 else "-",
            "-" if trial.log_loss is None else f"{trial.log_loss:.4f}",
        )
        table.add_row(
            str(trial.trial),
            description + diverged,
            f"{_number(trial.momentum):.3g}",
            *(unit.plain(trial.value) for _ in extra),
            *(of_classes if classes else ()),
        )
    if found.quoted_baseline is not None and found.quoted_source is not None and classes:
        correct = f"{found.quoted_baseline * rows:.0f}" if rows else "-"
        quoted = (correct, f"{found.quoted_baseline:.2%}", "", "")
        table.add_row("-", f"quoted: {found.quoted_source}", "", *("" for _ in extra), *quoted)
    _console().print(table)


def _number(value: Value | None) -> float:
    """Return a number that a trial holds; NaN for one that it does not, as a trial of others need not."""
    return value if isinstance(value, int | float) else math.nan


def show_verdict(found: Verdict, *, why: bool = False) -> None:
    """Show a verdict: what to use, its sentences, the ladder; with `why`, what a reader needs to doubt them."""
    console = Console(highlight=False, markup=False, width=WIDTH)
    console.print(f"study {found.study}: which learning-rate schedule, and is it really better?", style="bold")
    if found.confirmations > 1:
        console.print(f"This is confirmation {found.confirmations} of this study; each had run seeds of its own.")
    if not found.current:
        console.print("Out of date: the study has changed since; `sweep run` makes the verdict anew.")
    console.print()
    if found.recommendation is not None:
        console.print(_two_columns(found.recommendation.lines.items(), first="bold"))
        console.print()
    told = () if found.recommendation is None else found.recommendation.lines.values()
    for place, sentence in enumerate(found.sentences):
        if sentence not in told:
            console.print(sentence, style="bold" if found.finding and place == 0 else "")
    console.print()
    console.print(_ladder(found))
    console.print()
    if not why:
        console.print(f"`sweep compare {found.study} --why` shows what speaks for and against it.", style="dim")
        return
    console.print(_two_columns(_facts(found)))
    rates = found.forgiveness
    if rates is not None:
        console.print()
        unknown = f"How wrong a learning rate may be is unknown: {rates.problem}"
        console.print(_forgiveness(rates) if rates.families else unknown)


def _two_columns(lines: Iterable[tuple[str, str]], first: str = "") -> Table:
    """Return words, each with its text; `first` is the style of the first line."""
    table = Table(**TABLE_STYLE, show_header=False)
    table.add_column(no_wrap=True)
    for place, line in enumerate(lines):
        table.add_row(*line, style="" if place else first)
    return table


def _forgiveness(found: Forgiveness) -> Table:
    """Return how wrong the rate of each schedule may be."""
    table = Table(**TABLE_STYLE, title="how wrong a learning rate may be", caption=found.note, caption_justify="left")
    for place, heading in enumerate(found.titles):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in found.rows[:MOST_LISTED]:
        table.add_row(*row)
    if left := found.rows[MOST_LISTED:]:
        table.add_row(f"and {len(left):,} more")
    return table


def end_if_void(found: Verdict) -> None:
    """End the command with a status of its own if there was nothing to compare; that no schedule won is an answer."""
    if not found.answers:
        raise typer.Exit(NOTHING_TO_COMPARE)


def _ladder(found: Verdict) -> Table:
    """Return quoted, re-run, tuned and winning settings on new rows and on the study's own.

    Each has what it has over the one before; below them stands what a network that reads no input has.
    """
    table, unit, new = Table(**TABLE_STYLE), found.unit, found.on_new_rows
    on_new = new.measured if isinstance(new, Judgement) else None
    table.add_column("")
    table.add_column("candidate")
    for rows, where in ((on_new, "new rows"), (unit, found.split.where)):
        if rows is not None:
            of = f", of {rows.rows}" if unit.counts_rows else ""
            table.add_column(f"{where}{of}", justify="right", no_wrap=True)
    table.add_column(f"{'more' if unit.counts_rows else 'better'} than above (95 %)", justify="right", no_wrap=True)

    def told(score: float | None, unit: Unit) -> str:
        if score is None:
            return ""
        share = f"  {unit.plain(score / unit.factor)}" if unit.counts_rows else ""
        return f"{unit.told(score)}{share}"

    def add(title: str, label: str, score: float | None, new_score: float | None, change: Effect | None = None) -> None:
        over, scores = "", [told(score, unit)]
        if change is not None:
            low, high = unit.signed(change.interval.low), unit.signed(change.interval.high)
            over = f"{unit.signed(change.mean)} ({low} to {high})"
        if on_new is not None:
            scores.insert(0, told(new_score, on_new))
        table.add_row(title, label, *scores, over)

    if found.quoted is not None:
        add("quoted, one run", found.quoted.source, found.quoted.correct, None)
    for rerun in found.reruns[1 : 1 + MOST_LISTED]:
        add("also run again", rerun.label, rerun.score, rerun.new_score)
    if left := found.reruns[1 + MOST_LISTED :]:
        add(f"and {len(left):,} more", "", None, None)
    for step in found.ladder:
        add(step.adds, step.label, step.score, step.new_score, step.change)
    if found.linear is not None:
        few = found.linear.train_rows < found.split.train_rows
        of = f", of {found.linear.train_rows:,} training rows" if few else ""
        add("linear model", found.linear.name + of, found.linear.score, found.linear.new_score)
    if found.uninformed is not None:
        add("reads no input", found.uninformed.whom, found.uninformed.score, found.uninformed.new_score)
    return table


def _facts(found: Verdict) -> Iterator[tuple[str, str]]:
    """Yield what a reader needs to doubt the verdict: a word for each fact, and the fact."""

    def shares(chances: Chances, of: str) -> str:
        return f"{chances.better:.0%} / {chances.tied:.0%} / {chances.worse:.0%} {of}"

    these, new, unit = found.on_these_rows.effect, found.on_new_rows, found.unit
    ahead, splits = [shares(found.on_these_rows.runs, "of runs")] if found.on_these_rows.runs else [], ""
    if isinstance(new, Judgement):
        found_lead = new.effect.smallest_detectable
        lead = f"{found_lead:.1f}" if unit.counts_rows else unit.told(found_lead)
        splits = f", {new.effect.samples} re-splits one of {lead}"
        ahead += [shares(new.mean, "likely on new rows")] if new.mean else []
    row = "a row" if unit.counts_rows else unit.amount(found.on_these_rows.smallest_of_interest)
    counts, scores = found.winner.correct_counts, found.winner.scores
    drawn = histogram(counts, width=BAR, lines=4) if unit.counts_rows else score_histogram(scores, unit)
    yield f"{unit.noun or unit.short}, runs", "\n".join(drawn)
    yield "head to head", f"ahead of the tuned constant by more than {row} / within {row} / behind: {'; '.join(ahead)}"
    yield "winner", _scores(found.winner, unit)
    yield "tuned constant", _scores(found.tuned_constant, unit)
    stages = found.optimism
    told = [unit.told(stage) for stage in (stages.search, stages.selection, stages.confirmation)]
    had = f" had {told[0]} rows right" if unit.counts_rows else f"'s {unit.name} was {told[0]}"
    blind = ""
    if unit.counts_rows and found.majority is not None:
        blind = f"; always `{found.majority.label}` has {found.majority.rows}"
    elif found.uninformed is not None:
        blind = f"; {found.uninformed.whom} has {unit.told(found.uninformed.score)}"
    yield (
        "luck",
        f"the winner{had} when found, best of {found.candidates[found.study]}, "
        f"{told[1]} in the race, {told[2]} confirmed{blind}",
    )
    if stages.best is not None and stages.held_out is not None:
        best = f"the best has {unit.told(stages.best)} on all splits of the search"
        yield "taking the best", f"{best}, and {unit.told(stages.held_out)} on those that did not choose it (bootstrap)"
    if found.comparable:
        yield (
            "as good",
            f"{len(found.as_good)} of {found.raced} finalists cannot be told from the winner; "
            f"the simplest is {found.simplest.label}",
        )
        single = ""
        if found.mcnemar_limit is not None:
            one = f"one model with every row right would beat {found.whom_to_beat}"
            single = f"; {one} by p = {found.mcnemar_limit:.2g} (McNemar)"
        lead = f"{unit.told(these.smallest_detectable)} {unit.noun}".strip()
        yield "power", f"{these.samples} run seeds find a lead of {lead} four times in five{splits}{single}"
    yield (
        "confirmed",
        "once" if found.confirmations == 1 else f"{found.confirmations} times, with other run seeds each time",
    )
    if doubts := (*found.split.warnings, *found.falling, *found.at_an_end, *found.unstable):
        yield "doubts", listed(doubts, between="; ")


def _scores(candidate: Scored, unit: Unit) -> str:
    """Return what a candidate scores by all that is known of it."""
    told = []
    if recalls := [f"{label} {share:.1%}" for label, share in candidate.recall.items() if share is not None]:
        told.append(f"recall {listed(recalls)}")
    if candidate.balanced_accuracy is not None:
        told.append(f"balanced accuracy {candidate.balanced_accuracy:.1%}")
        told.append(f"log-loss {'-' if candidate.log_loss is None else f'{candidate.log_loss:.4f}'}")
    shown = {"balanced_accuracy", "log_loss"} if candidate.balanced_accuracy is not None else set()
    if candidate.balanced_accuracy is None or not unit.counts_rows:  # labels have no classes to tell of
        told += [
            f"{each.title.partition(',')[0]} {Unit(each, unit.rows).plain(value)}"
            for name, value in candidate.by_metric.items()
            if name not in shown and (each := METRICS[name])
        ]
    spread = candidate.spread.deviation if unit.counts_rows and candidate.spread else candidate.deviation
    told += [f"{candidate.diverged} diverged", f"sd {unit.told(spread)} {unit.noun}".strip()]
    return "; ".join(told)


def score_histogram(scores: Sequence[float], unit: Unit, *, width: int = BAR, lines: int = 4) -> list[str]:
    """Draw how many runs have how high a score, in a metric's unit, the best first; at most `lines` lines."""
    if not scores:
        return ["no run has a score"]
    if min(scores) == max(scores):
        return [f"{unit.told(scores[0])} |{'#' * width} {len(scores)}"]
    found, edges = np.histogram(scores, lines)
    labels = [f"{unit.told(low)} to {unit.told(high)}" for low, high in pairwise(edges.tolist())]
    margin = max(map(len, labels))
    drawn = [
        f"{label:>{margin}} |{'#' * math.ceil(width * number / max(found))} {number}"
        for label, number in zip(labels, found.tolist(), strict=True)
    ]
    return drawn[::-1] if unit.metric.rises else drawn


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
