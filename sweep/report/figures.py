"""Figures of a verdict and of its search, each with the question that it answers and the answer in words.

The page and optuna-dashboard show the same figures. A figure shows what its answer says, never more than one thing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweep import palette
from sweep.config.plan import Plan
from sweep.report import theme
from sweep.report.theme import SERIES, Mark, Plot
from sweep.report.trials import families_plot, forgiveness_plot, known_trials, settings_plot
from sweep.schedules import Numbers, OpenLoop, Schedule, read_schedule
from sweep.schedules.rules import Join
from sweep.stats.verdict import Unit, Word, told
from sweep.verdict.analysis import StudyResult
from sweep.verdict.record import Contender
from sweep.verdict.result import Confirmed, Verdict

MOST_CURVES = len(SERIES)
MOST_POINTS = 500
SEEDS_PIXELS = 84  # for each candidate's runs
MOST_BINS = 24
IN_A_WORD = {
    Word.BETTER: "yes, and it is worth it",
    Word.BETTER_OPEN: "yes, by how much is open",
    Word.BETTER_SMALL: "yes, but by too little to matter",
    Word.SAME: "no, they are the same",
    Word.WORSE_SMALL: "no, it is worse by a trifle",
    Word.WORSE_OPEN: "no, it is worse, by how much is open",
    Word.WORSE: "no, it is worse by what matters",
    Word.OPEN: "nobody can say yet",
    Word.NOTHING_LEARNED: "nothing was learned",
    Word.ALL_PERFECT: "both are perfect",
    Word.TOO_FEW: "too few rows to tell",
    Word.COPIED: "copies of rows that were trained on tell nothing",
    Word.WORSE_THAN_GUESSING: "its probabilities are worse than guessing",
    Word.NO_SCHEDULE: "no schedule won",
}


def all_plots(found: StudyResult, trials: pd.DataFrame) -> list[Plot]:
    """Return every figure; `trials` are what `StudyReader.every_trial` returns, best first."""
    known = known_trials(found, trials)
    of_verdict = (effect_plot, ladder_plot, seeds_plot, learning_plot, rates_plot, optimism_plot)
    rates = forgiveness_plot(found)
    of_search = [families_plot(found, known), settings_plot(found, known)]
    return [*(plot(found) for plot in of_verdict), *of_search, *([] if rates is None else [rates])]


def effect_plot(found: StudyResult) -> Plot:
    """Show both effects with their intervals and the two marks that decide, of which a loss has its own on new rows."""
    judgements, these, unit = found.verdict.judgements, found.verdict.on_these_rows, found.verdict.unit
    figure = theme.new_figure(90 + 80 * len(judgements), legend=False)
    worths, ends, answers = list[float](), [0.0], list[str]()
    for place, (question, judgement) in enumerate(reversed(judgements.items())):
        factor = these.rows / judgement.rows if unit.counts_rows else 1.0
        effect = judgement.effect.scaled(factor)
        worths.append(judgement.smallest_of_interest * factor)
        ends += [effect.interval.low, effect.interval.high, worths[-1]]
        theme.add_interval(figure, place, effect.mean, (effect.interval.low, effect.interval.high), SERIES[0])
        theme.add_title(figure, place, 26, question.capitalize(), judgement.word)
        mean, interval = judgement.effect.mean, judgement.effect.interval
        what = f"{mean:+.2f} rows of {judgement.rows}" if unit.counts_rows else f"a lead of {unit.lead(mean)}"
        answers.append(
            f"{question.capitalize()}: {IN_A_WORD[judgement.word]}; {what}, "
            f"anything from {unit.signed(interval.low)} to {unit.signed(interval.high)} fits."
        )
    low, high = left, right = min(ends), max(ends)
    worthwhile = max(worths)
    for _ in range(100):  # on a phone, too, labels fit left of 0 and right of what is worth having: each takes a share
        reach = right - left
        left, right = min(low - 0.05 * reach, -0.42 * reach), max(high + 0.05 * reach, worthwhile + 0.34 * reach)
    figure.update_xaxes(range=[left, right])
    figure.update_xaxes(tickformat="+", labelalias={"+0": "0"}, nticks=8, showticksuffix="last")
    figure.update_xaxes(ticksuffix=f" {unit.noun or f'in {unit.short}'}")
    figure.update_yaxes(visible=False, range=[-0.5, len(judgements) - 0.35])
    theme.add_mark(figure, Mark(0, "no difference", palette.INK, "solid"))
    label, height = len(figure.layout.annotations), len(worths) - 0.35 + 0.5
    if math.isclose(min(worths), worthwhile, rel_tol=0.01):
        parts, worths = [(0.0, 1.0)], [worths[0]]
    else:
        parts = [(place / height, (place + 0.75) / height) for place in range(len(worths))]
    for worth, rows in zip(worths, parts, strict=True):
        mark = Mark(worth, f"worth having: {unit.amount(worth)}", palette.VERMILLION, "dash")
        theme.add_mark(figure, mark, side="right", rows=rows)
    for anchor, shift, text in (("right", -8, "← constant better"), ("left", 8, "winner better →")):
        side = {"xanchor": anchor, "xshift": shift, "text": text}
        figure.add_annotation(x=0, yref="paper", y=0, yanchor="top", yshift=-26, font={"color": palette.MUTED}, **side)
    figure.update_layout(margin_b=52)
    short = {f"annotations_{label + place}_text": "worth having" for place in range(len(worths))}
    theme.on_phones(figure, xaxis_nticks=5, **short)
    asked = "Is the winner better than a constant rate that was tuned as hard?"
    return Plot("effect", asked, " ".join(reversed(answers)), figure)


def ladder_plot(found: StudyResult) -> Plot:
    """Show what each step from the quoted setting to the winner adds."""
    verdict, steps, unit, added = found.verdict, found.verdict.ladder, found.verdict.unit, []
    figure, means = theme.new_figure(60 + 58 * len(steps), legend=False), [step.score for step in steps]
    for place, (step, mean) in enumerate(zip(steps, means, strict=True)):
        y, interval, changed = len(steps) - 1 - place, (mean, mean), ""
        if step.change is not None:
            before = means[place - 1]
            ends = (before + unit.sign * end for end in (step.change.interval.low, step.change.interval.high))
            interval = (min(pair := tuple(ends)), max(pair))
            changed = f" ({unit.signed(step.change.mean)})"
            added.append(f"{step.adds.removeprefix('and ')} {unit.signed(step.change.mean)}")
            line = {"color": palette.MUTED, "dash": "dot"}
            figure.add_shape(type="line", x0=before, x1=before, y0=y, y1=y + 1, line=line)
        theme.add_interval(figure, y, mean, interval, SERIES[place])
        theme.add_title(figure, y, 21, f"{step.adds}: {unit.told(mean)}{changed}", theme.plain(step.label))
    theme.score_axis(figure, unit, min(means), max(means))
    figure.update_yaxes(visible=False, range=[-0.4, len(steps) - 0.4])
    in_all = f"{unit.lead(verdict.effect_of_tuning.mean)} in all"
    return Plot(
        "ladder",
        "Where does the gain come from?",
        f"From the {steps[0].adds} to the winner it is {in_all}: {', '.join(added)}.",
        figure,
    )


def seeds_plot(found: StudyResult) -> Plot:
    """Show how many of each candidate's runs end with how many right rows."""
    verdict, reruns = found.verdict, found.verdict.reruns[:3]
    shown = {"winner": [verdict.winner], "tuned constant": [verdict.tuned_constant], "re-run": reruns}
    bars = [(role, candidate) for role, candidates in shown.items() for candidate in candidates]
    unit, marks = verdict.unit, list(_baselines(verdict))
    pixels = SEEDS_PIXELS * len(bars)
    counted = [_counted(candidate, unit) for _, candidate in bars]
    seen = [*(count for counts in counted for count in counts), *(mark.x for mark in marks)]
    low, high = min(seen), max(seen)
    if unit.counts_rows:
        low, high = low - 1, max(high, unit.rows) + 0.5
    else:
        low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    figure = theme.new_figure(pixels + 52 + theme.LABEL_PIXELS * len(marks), legend=False)
    for place, ((role, candidate), counts) in enumerate(zip(bars, counted, strict=True)):
        base = len(bars) - 1 - place
        figure.add_bar(
            x=list(counts),
            y=[0.62 * number / max(counts.values()) for number in counts.values()],
            base=base,
            customdata=list(counts.values()),
            hovertemplate=f"%{{x}}{' rows' if unit.counts_rows else ''}: %{{customdata}} runs<extra></extra>",
            marker={"color": SERIES[place].colour},
            width=0.8 if unit.counts_rows else (high - low) / MOST_BINS,
        )
        theme.add_title(figure, base + 0.72, 0, role, theme.plain(candidate.label))
    figure.update_layout(barmode="overlay")
    if unit.counts_rows:
        theme.whole_rows_axis(figure, low, high, unit.rows)
    else:
        figure.update_xaxes(range=[low, high], title_text=unit.name)
    theme.add_marks(figure, marks, low, high, pixels)
    figure.update_yaxes(visible=False, range=[-0.02, len(bars) - 0.05])
    return Plot("seeds", "How much is the luck of the seed?", _seeds_answer(found), figure)


def _baselines(verdict: Verdict) -> Iterator[Mark]:
    """Yield what a network without inputs scores, and the quoted result."""
    if verdict.unit.counts_rows and verdict.majority is not None:
        label = verdict.majority.label if len(verdict.majority.label) <= 16 else f"{verdict.majority.label[:15]}…"
        yield Mark(verdict.majority.rows, f"always “{theme.plain(label)}”", palette.MUTED, "dot")
    elif verdict.uninformed is not None:
        yield Mark(verdict.uninformed.score, theme.plain(verdict.uninformed.whom), palette.MUTED, "dot")
    if verdict.quoted is not None:
        yield Mark(verdict.quoted.correct, "quoted", palette.INK, "dash")


def _counted(candidate: Confirmed, unit: Unit) -> Mapping[Any, int]:
    """Return how many runs have which score; other scores than rows are put together in a few places."""
    if unit.counts_rows:
        return candidate.correct_counts
    if not candidate.scores or candidate.scores[0] == candidate.scores[-1]:
        return {candidate.score: len(candidate.scores) or 1}
    numbers, edges = np.histogram(candidate.scores, MOST_BINS)
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    return {float(f"{x:.5g}"): number for x, number in zip(middles, numbers.tolist(), strict=True) if number}


def _seeds_answer(found: StudyResult) -> str:
    verdict, quoted, unit = found.verdict, found.verdict.quoted, found.verdict.unit
    if not unit.counts_rows:
        of = [one.scores or (one.score,) for one in (verdict.winner, verdict.reruns[0])]
        winner, rerun = (f"from {unit.told(each[0])} to {unit.told(each[-1])}" for each in of)
        return f"The same winner has a {unit.name} {winner}. The {verdict.ladder[0].adds} have one {rerun}."
    extents = [(min(one.correct_counts), max(one.correct_counts)) for one in (verdict.winner, verdict.reruns[0])]
    winner, rerun = (
        f"always with {low} right rows" if low == high else f"anywhere from {low} to {high} right rows"
        for low, high in extents
    )
    if quoted is None:
        return f"The same winner ends {winner}. The {verdict.ladder[0].adds} end {rerun}."
    above = f"{quoted.winner_above:.0%} of the winner's runs have more."
    if found.record.reruns_are_quoted:
        above = f"{quoted.rerun_above:.0%} of the runs of its setting have more; {above}"
    return f"The same winner ends {winner}. The quoted {quoted.correct} rows are a single run: {above}"


def learning_plot(found: StudyResult) -> Plot:
    """Show validation accuracy by epoch, of numbers their error, with what eight runs in ten keep to; or the loss."""
    shown = [found.record.winner, found.record.constant, found.record.reruns[0]]
    unit, figure = found.verdict.unit, theme.new_figure(400)
    classes, of_loss = not unit.metric.of_numbers, unit.metric.name == "loss"
    factor, what = (unit.rows, f"right rows of {unit.rows}") if classes else (1, "root mean squared error")
    what = "validation loss" if of_loss else what
    epochs = list(range(1, len(shown[0].curves.rate) + 1))

    def drawn(curve: Sequence[float]) -> list[float]:
        return [round(factor * share, 3) if classes else float(f"{share:.5g}") for share in curve]

    curves = [entry.curves.accuracy for entry in shown]
    if of_loss:
        losses = [[loss for loss in entry.curves.loss if loss is not None] for entry in shown]
        curves = [tuple(loss) if len(loss) == len(epochs) else () for loss in losses]
    for entry, series in zip(() if of_loss else shown, SERIES, strict=False):
        low, high = drawn(entry.curves.low), drawn(entry.curves.high)
        figure.add_scatter(
            x=epochs + epochs[::-1],
            y=high + low[::-1],
            fill="toself",
            fillcolor=series.colour + theme.VEIL,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )
    lines = [(epochs, drawn(curve)) for curve in curves]
    for place, (entry, (x, y)) in enumerate(zip(shown, lines, strict=True)):
        theme.add_line(figure, place, f"{entry.role}: {theme.plain(entry.contender.label)}", x=x, y=y)
    theme.add_letters(figure, [line for line in lines if line[1]])
    late = max(1, len(epochs) // 10)
    figure.update_xaxes(title_text="epoch", range=[1, max(2, len(epochs))])
    if classes:
        floor = unit.rows * min(min(entry.curves.low[late:], default=0.0) for entry in shown)
        figure.update_yaxes(title_text=what, range=[math.floor(floor) - 1, unit.rows])
    elif of_loss:
        figure.update_yaxes(title_text=what)
    else:
        figure.update_yaxes(
            title_text=what, range=[0, max(max(entry.curves.high[late:], default=0) for entry in shown)]
        )
    last = [(entry.role, factor * curve[-1] if curve else None) for entry, curve in zip(shown, curves, strict=True)]
    ends = ", ".join(f"{role} {'-' if end is None else f'{end:.1f}' if classes else told(end)}" for role, end in last)
    answer = f"{'Right rows' if classes else 'The loss' if of_loss else 'The error'} after the last epoch: {ends}."
    if curve := curves[0]:
        within, way = (1 / unit.rows, 1) if classes else (0.01 * abs(curve[-1]), -1)
        settled = next(epoch for epoch, share in enumerate(curve, 1) if way * share >= way * curve[-1] - within)
        nearly = "one row" if classes else "one percent"
        answer = f"The winner comes within {nearly} of where it ends at epoch {settled} of {len(curve)}. {answer}"
    return Plot("learning", "How does the training go?", answer, figure)


def rates_plot(found: StudyResult, most_points: int = MOST_POINTS) -> Plot:
    """Show the learning rate of the winner and of those that come next."""
    equals = {each.trial for each in found.verdict.as_good}
    shown = sorted(found.record.race, key=lambda contender: contender.trial not in equals)[:MOST_CURVES]
    curves, winner, figure = list[tuple[str, Curve]](), found.record.winner, theme.new_figure(400)
    for contender in shown:
        curve = rate_curve(contender, found.plan, found.verdict.split.train_rows, most_points)
        if curve is None and contender == winner.contender:  # which answers to its training: as it was in its runs
            curve = thinned(np.array(winner.curves.rate)[:, None], most_points)
        if curve is not None:
            curves.append((contender.label, curve))
    for place, (label, curve) in enumerate(curves):
        theme.add_line(figure, place, theme.plain(label), x0=0, dx=curve.distance, y=curve.rates, line_shape="hv")
    theme.add_letters(figure, [(curve.epochs, curve.rates) for _, curve in curves])
    figure.update_xaxes(title_text="epoch", range=[0, found.plan.training.epochs])
    figure.update_yaxes(title_text="learning rate", rangemode="tozero")
    left_out = len(shown) - len(curves)
    note = f"Left out, as they answer to the training or are functions of your own: {left_out}." if left_out else ""
    names = list(dict.fromkeys(str(each.schedule["name"]) for each in found.verdict.as_good))
    answer = (
        f"{len(equals)} finalists cannot be told from each other in the race, of {len(names)} "
        f"schedule{'s'[: len(names) != 1]}: {', '.join(names)}. The simplest of them is {found.verdict.simplest.label}."
    )
    if not found.verdict.comparable:
        answer = "They are rates of the finalists, of which none is known to be good."
    elif len(equals) == 1:
        answer = f"The race can tell the winner, {found.verdict.as_good[0].label}, from every other finalist."
    return Plot("rates", "What do the good schedules look like?", answer, figure, note)


@dataclass(frozen=True)
class Curve:
    """Rates that are `distance` epochs apart, from the beginning on."""

    distance: float
    rates: list[float]

    @property
    def epochs(self) -> list[float]:
        """When each rate begins."""
        return [place * self.distance for place in range(len(self.rates))]


def rate_curve(contender: Contender, plan: Plan, train_rows: int, most: int = MOST_POINTS) -> Curve | None:
    """Return the learning rates of a contender, `most` or fewer; None if they depend on more than time."""
    schedule = read_schedule(contender.schedule)
    if not depends_on_time_alone(schedule):
        return None
    return thinned(schedule.rates(plan.training.timeline(train_rows)), most)


def depends_on_time_alone(schedule: Schedule) -> bool:
    """Say whether a schedule's rates are known without training, and without calling a function of the user's."""
    if isinstance(schedule, Join):
        return depends_on_time_alone(schedule.first) and depends_on_time_alone(schedule.second)
    return isinstance(schedule, OpenLoop)


def thinned(rates: Numbers, most: int) -> Curve:
    """Return every so many-th of `rates`, `[epochs, steps_per_epoch]`, so that there are at most `most`."""
    flat, steps = rates.ravel(), rates.shape[1]
    stride = -(-flat.size // most)
    return Curve(stride / steps, [float(f"{rate:.4g}") for rate in flat[::stride].tolist()])


def optimism_plot(found: StudyResult) -> Plot:
    """Show the winner's mean in the three stages."""
    optimism, winner, figure = found.verdict.optimism, found.record.winner, theme.new_figure(280, legend=False)
    unit = found.verdict.unit
    means = [optimism.search, optimism.selection, optimism.confirmation]
    stages = {
        "search": winner.contender.search,
        "race": winner.contender.selection,
        "confirmation": winner.confirmation,
    }
    figure.add_scatter(
        x=[f"{name}<br>{len(runs.run_seeds)} seeds" for name, runs in stages.items() if runs is not None],
        y=means,
        mode="lines+markers+text",
        text=[unit.told(mean) for mean in means],
        textposition="top center",
        line={"color": palette.BLUE, "width": 2.5},
        marker={"size": 11, "symbol": "circle"},
        hoverinfo="skip",
    )
    middle = (min(means) + max(means)) / 2
    spread = max(means) - min(means)
    reach = max(1.0, 0.8 * spread) if unit.counts_rows else 0.8 * spread or 1.0  # a trifle of rows looks like one
    what = f"right rows of {unit.rows}" if unit.counts_rows else unit.name
    figure.update_yaxes(title_text=what, range=[middle - reach, middle + reach])
    figure.update_xaxes(range=[-0.4, 2.4], showgrid=False, type="category", tickangle=0)
    return Plot(
        "optimism",
        "How much did choosing flatter the winner?",
        _optimism_answer(found.verdict),
        figure,
    )


def _optimism_answer(verdict: Verdict) -> str:
    stages, unit = verdict.optimism, verdict.unit
    if unit.counts_rows:
        change = "fewer" if stages.total >= 0 else "more"
        found = f"The search saw {stages.search:.2f} right rows; on seeds that chose nothing it is"
    else:
        change = "worse" if stages.total >= 0 else "better"
        found = f"The search saw a {unit.name} of {unit.told(stages.search)}; on seeds that chose nothing it is"
    return (
        f"{found} {unit.told(stages.confirmation)}, {unit.told(abs(stages.total))} {change}. "
        f"Only the last number is in the verdict.{_of_taking(verdict)}"
    )


def _of_taking(verdict: Verdict) -> str:
    stages, told = verdict.optimism, verdict.unit.told
    if stages.best is None or stages.held_out is None:
        return ""
    return (
        f" The best of all candidates had {told(stages.best)} on all splits of the search; "
        f"chosen by some of them, it has {told(stages.held_out)} on the others (bootstrap over splits)."
    )
