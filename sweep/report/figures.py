"""Figures of a verdict, each with the question that it answers and the answer in words.

The page and optuna-dashboard show the same figures. A figure shows what its answer says, never more than one thing; the
figures of all trials of a search are in `sweep.report.trial_figures`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from sweep.config.study_file import Plan
from sweep.report.theme import (
    BLUE,
    INK,
    LABEL_PIXELS,
    MUTED,
    SERIES,
    VEIL,
    VERMILLION,
    Mark,
    Series,
    add_letters,
    add_mark,
    add_marks,
    add_title,
    letter,
    new_figure,
    on_phones,
    plain,
    whole_ticks,
)
from sweep.schedules import Numbers, OpenLoop, Schedule, Timeline, read_schedule
from sweep.schedules.composed import Join
from sweep.stats.verdict import Judgement, Question, Word, in_rows
from sweep.verdict.analysis import StudyResult
from sweep.verdict.record import Contender, Entry, Role
from sweep.verdict.result import LadderStep

MOST_CURVES = len(SERIES)
MOST_POINTS = 500
SEEDS_PIXELS = 84  # for each candidate's runs
IN_A_WORD = {
    Word.BETTER: "yes",
    Word.NO_BETTER: "no",
    Word.WORSE: "no, it is worse",
    Word.NOT_RESOLVED: "not resolved",
}


@dataclass(frozen=True)
class Plot:
    """A figure with what it answers.

    Attributes:
        name: its identity on a page and in the dashboard: small letters and dashes.
        question: what it answers.
        answer: the answer in a sentence or two, from the numbers.
        reading: how to read it, for somebody who sees such a figure for the first time.
        figure: the figure.
    """

    name: str
    question: str
    answer: str
    reading: str
    figure: go.Figure


def verdict_plots(found: StudyResult) -> list[Plot]:
    """Return the figures that need the record alone, in the order in which they are read."""
    return [
        effect_plot(found),
        ladder_plot(found),
        seeds_plot(found),
        learning_plot(found),
        rates_plot(found),
        optimism_plot(found),
    ]


def effect_plot(found: StudyResult) -> Plot:
    """Show both effects with their intervals and the two marks that decide."""
    judgements, these = found.verdict.judgements, found.verdict.on_these_rows
    worthwhile = these.smallest_of_interest
    figure = new_figure(90 + 80 * len(judgements))
    ends = [0.0, worthwhile]
    for place, (question, judgement) in enumerate(reversed(judgements.items())):
        effect = judgement.effect_rows.scaled(these.rows / judgement.rows)
        ends += [effect.interval.low, effect.interval.high]
        _add_interval(figure, place, effect.mean, (effect.interval.low, effect.interval.high), SERIES[0].symbol, BLUE)
        add_title(figure, place, 26, question.capitalize(), judgement.word)
    figure.update_xaxes(range=_with_room(min(ends), max(ends), worthwhile))
    figure.update_xaxes(tickformat="+", labelalias={"+0": "0"}, nticks=8, ticksuffix=" rows", showticksuffix="last")
    figure.update_yaxes(visible=False, range=[-0.5, len(judgements) - 0.35])
    add_mark(figure, 0, "no difference", INK, "solid")
    label = len(figure.layout.annotations)
    add_mark(figure, worthwhile, f"worth having: {in_rows(worthwhile)}", VERMILLION, "dash", side="right")
    for anchor, shift, text in (("right", -8, "← constant better"), ("left", 8, "winner better →")):
        side = {"xanchor": anchor, "xshift": shift, "text": text}
        figure.add_annotation(x=0, yref="paper", y=0, yanchor="top", yshift=-26, font={"color": MUTED}, **side)
    figure.update_layout(showlegend=False, margin_b=52)
    on_phones(figure, xaxis_nticks=5, **{f"annotations_{label}_text": "worth having"})
    return Plot(
        "effect",
        "Is the winner better than a constant rate that was tuned as hard?",
        " ".join(_effect_said(*each) for each in judgements.items()),
        "The dot is the measured lead of the winner, the bar what the runs leave possible (95 % interval). It is "
        "better if the whole bar lies to the right of no difference and reaches what is worth having, or if the dot "
        "comes nearer to that.",
        figure,
    )


def ladder_plot(found: StudyResult) -> Plot:
    """Show what each step from the quoted setting to the winner adds."""
    verdict, rungs = found.verdict, found.verdict.ladder
    figure, means = new_figure(60 + 58 * len(rungs)), [rung.correct_mean for rung in rungs]
    for place, (rung, mean) in enumerate(zip(rungs, means, strict=True)):
        y = len(rungs) - 1 - place
        if rung.change is not None:
            before = means[place - 1]
            interval = (before + rung.change.interval.low, before + rung.change.interval.high)
            figure.add_shape(type="line", x0=before, x1=before, y0=y, y1=y + 1, line={"color": MUTED, "dash": "dot"})
            _add_interval(figure, y, mean, interval, SERIES[place].symbol, SERIES[place].colour)
        else:
            _add_interval(figure, y, mean, (mean, mean), SERIES[place].symbol, SERIES[place].colour)
        add_title(figure, y, 21, _rung_said(rung), plain(rung.label))
    _whole_rows(figure, min(means) - 1, max(means) + 1, verdict.on_these_rows.rows)
    figure.update_yaxes(visible=False, range=[-0.4, len(rungs) - 0.4])
    figure.update_layout(showlegend=False)
    steps = [f"{rung.adds.removeprefix('and ')} {rung.change.mean:+.2f}" for rung in rungs if rung.change is not None]
    return Plot(
        "ladder",
        "Where does the gain come from?",
        f"From the {rungs[0].adds} to the winner it is {verdict.effect_of_tuning.mean:+.2f} rows in all: "
        f"{', '.join(steps)}.",
        "Each step adds one thing that is tuned. A dot is the mean of right rows; its bar is the 95 % interval of what "
        "the step changes, and a bar that crosses the dotted line above it may stand for no change.",
        figure,
    )


def seeds_plot(found: StudyResult) -> Plot:
    """Show how many of each candidate's runs end with how many right rows."""
    shown, verdict = [found.record.winner, found.record.constant, *found.record.reruns[:3]], found.verdict
    rows, (fewest, most) = found.verdict.on_these_rows.rows, _extent(shown)
    marks = [Mark(verdict.majority.rows, f"always “{plain(_shortened(verdict.majority.label))}”", MUTED, "dot")]
    if verdict.quoted is not None:
        marks.append(Mark(verdict.quoted.correct, "quoted", INK, "dash"))
    low, high = min(fewest, *(mark.x for mark in marks)) - 1, max(most, rows) + 0.5
    pixels = SEEDS_PIXELS * len(shown)
    figure = new_figure(pixels + 52 + LABEL_PIXELS * len(marks))
    for place, (entry, series) in enumerate(zip(shown, _series(shown), strict=True)):
        counts, base = Counter(entry.confirmation.correct), len(shown) - 1 - place
        tallest = max(counts.values())
        figure.add_bar(
            x=list(counts),
            y=[0.62 * number / tallest for number in counts.values()],
            base=base,
            customdata=list(counts.values()),
            hovertemplate="%{x} rows: %{customdata} runs<extra></extra>",
            marker={"color": series.colour},
            width=0.8,
        )
        add_title(figure, base + 0.72, 0, str(entry.role), plain(entry.contender.label))
    figure.update_layout(barmode="overlay", showlegend=False)
    _whole_rows(figure, low, high, rows)
    add_marks(figure, marks, low, high, pixels)
    figure.update_yaxes(visible=False, range=[-0.02, len(shown) - 0.05])
    return Plot(
        "seeds",
        "How much is the luck of the seed?",
        _seeds_said(found),
        f"Each candidate is trained {len(shown[0].confirmation.correct)} times; runs differ only in their initial "
        "weights and the order of the batches. The higher a bar, the more runs end with so many right rows.",
        figure,
    )


def learning_plot(found: StudyResult) -> Plot:
    """Show validation accuracy by epoch, with what eight runs in ten keep to."""
    shown = [found.record.winner, found.record.constant, found.record.reruns[0]]
    rows, figure = found.verdict.on_these_rows.rows, new_figure(400)
    epochs = list(range(1, len(shown[0].curves.accuracy) + 1))
    for entry, series in zip(shown, _series(shown), strict=True):
        low, high = ([round(rows * share, 3) for share in part] for part in (entry.curves.low, entry.curves.high))
        figure.add_scatter(
            x=epochs + epochs[::-1],
            y=high + low[::-1],
            fill="toself",
            fillcolor=series.colour + VEIL,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )
    lines = [(epochs, [round(rows * share, 3) for share in entry.curves.accuracy]) for entry in shown]
    for place, (entry, series, (x, y)) in enumerate(zip(shown, _series(shown), lines, strict=True)):
        line = {"color": series.colour, "dash": series.dash, "width": 2.5}
        figure.add_scatter(x=x, y=y, mode="lines", name=f"<b>{letter(place)}</b>  {_titled(entry)}", line=line)
    add_letters(figure, lines)
    late = max(1, len(epochs) // 10)
    floor = rows * min(min(entry.curves.low[late:], default=0.0) for entry in shown)
    figure.update_xaxes(title_text="epoch", range=[1, max(2, len(epochs))])
    figure.update_yaxes(title_text=f"right rows of {rows}", range=[math.floor(floor) - 1, rows])
    return Plot(
        "learning",
        "How does the training go?",
        _learning_said(found, shown),
        "A line is the mean over the runs, the band around it holds the middle eight of ten. The very first epochs may "
        "run off below.",
        figure,
    )


def rates_plot(found: StudyResult, most_points: int = MOST_POINTS) -> Plot:
    """Show the learning rate of the winner and of those that come next."""
    curves, figure = list(_rate_curves(found, most_points)), new_figure(400)
    for place, (label, curve) in enumerate(curves):
        series = SERIES[place]
        figure.add_scatter(
            x0=0,
            dx=curve.distance,
            y=curve.rates,
            mode="lines",
            name=f"<b>{letter(place)}</b>  {plain(label)}",
            line={"color": series.colour, "dash": series.dash, "width": 2.5, "shape": "hv"},
        )
    add_letters(figure, [(curve.epochs, curve.rates) for _, curve in curves])
    figure.update_xaxes(title_text="epoch", range=[0, found.plan.training.epochs])
    figure.update_yaxes(title_text="learning rate", rangemode="tozero")
    left_out = len(_shown_contenders(found)) - len(curves)
    note = f" Left out, as they answer to the training or are functions of your own: {left_out}." if left_out else ""
    return Plot(
        "rates",
        "What do the good schedules look like?",
        _rates_said(found),
        "The winner comes first, then those that the race cannot tell from it, then the next finalists." + note,
        figure,
    )


def optimism_plot(found: StudyResult) -> Plot:
    """Show the winner's mean in the three stages."""
    optimism, winner = found.verdict.optimism, found.record.winner
    means = [optimism.search, optimism.selection, optimism.confirmation]
    stages = [winner.contender.search, winner.contender.selection, winner.confirmation]
    runs = [len(stage.run_seeds) for stage in stages if stage is not None]
    names = ["search", "race", "confirmation"]
    figure = new_figure(280)
    figure.add_scatter(
        x=[f"{name}<br>{number} seeds" for name, number in zip(names, runs, strict=True)],
        y=means,
        mode="lines+markers+text",
        text=[f"{mean:.2f}" for mean in means],
        textposition="top center",
        line={"color": BLUE, "width": 2.5},
        marker={"size": 11, "symbol": "circle"},
        hoverinfo="skip",
    )
    middle = (min(means) + max(means)) / 2
    reach = max(1.0, 0.8 * (max(means) - min(means)))  # two rows at least, so that a trifle looks like one
    rows, looked_at = found.verdict.on_these_rows.rows, found.verdict.candidates.get(found.plan.name, 0)
    figure.update_yaxes(title_text=f"right rows of {rows}", range=[middle - reach, middle + reach])
    figure.update_xaxes(range=[-0.4, 2.4], showgrid=False, type="category", tickangle=0)
    figure.update_layout(showlegend=False)
    return Plot(
        "optimism",
        "How much did choosing flatter the winner?",
        f"The search saw {optimism.search:.2f} right rows; on seeds that chose nothing it is "
        f"{optimism.confirmation:.2f}, {abs(optimism.total):.2f} {'fewer' if optimism.total >= 0 else 'more'}. "
        "Only the last number is in the verdict.",
        f"The best of {looked_at} candidates is partly the luckiest, so its score falls when it is "
        "trained again with seeds that had no part in choosing it.",
        figure,
    )


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
    steps = -(-train_rows // plan.training.batch_size)
    return thinned(schedule.rates(Timeline(epochs=plan.training.epochs, steps_per_epoch=steps)), most)


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


def _shown_contenders(found: StudyResult) -> list[Contender]:
    """Return those that the race cannot tell from the winner, then the others that raced."""
    equals = {each.trial for each in found.verdict.as_good}
    return sorted(found.record.race, key=lambda contender: contender.trial not in equals)[:MOST_CURVES]


def _rate_curves(found: StudyResult, most: int) -> Iterator[tuple[str, Curve]]:
    """Yield labels and rates; the winner's as they were in its runs if they answer to the training."""
    winner = found.record.winner
    for contender in _shown_contenders(found):
        curve = rate_curve(contender, found.plan, found.record.split.train_rows, most)
        if curve is None and contender == winner.contender:
            curve = thinned(np.array(winner.curves.rate)[:, None], most)
        if curve is not None:
            yield contender.label, curve


def _add_interval(
    figure: go.Figure, y: float, mean: float, interval: tuple[float, float], symbol: str, colour: str
) -> None:
    low, high = interval
    figure.add_scatter(
        x=[mean],
        y=[y],
        mode="markers",
        marker={"size": 13, "symbol": symbol, "color": colour},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - mean],
            "arrayminus": [mean - low],
            "thickness": 3,
            "width": 7,
            "color": colour,
        },
        hovertemplate=f"{mean:.2f} ({low:.2f} to {high:.2f})<extra></extra>",
    )


def _with_room(low: float, high: float, worthwhile: float) -> tuple[float, float]:
    """Widen a range so that on a phone, too, labels fit to the left of 0 and to the right of what is worth having."""
    left, right = low, high
    for _ in range(100):  # each label takes its share of the whole, which grows by that
        reach = right - left
        left, right = min(low - 0.05 * reach, -0.42 * reach), max(high + 0.05 * reach, worthwhile + 0.34 * reach)
    return left, right


def _whole_rows(figure: go.Figure, low: float, high: float, rows: int) -> None:
    """Let the x axis run from `low` to `high` with ticks at whole rows."""
    figure.update_xaxes(
        range=[low, high], showgrid=True, dtick=whole_ticks(low, high, 12), tick0=0, title_text=f"right rows of {rows}"
    )
    on_phones(figure, xaxis_dtick=whole_ticks(low, high, 6))


def _series(entries: Sequence[Entry]) -> list[Series]:
    """Return what each entry is drawn with: the winner always the same, and so on by role."""
    order = {Role.WINNER: 0, Role.CONSTANT: 1, Role.RERUN: 2, Role.RATE: 3}
    taken: list[int] = []
    for entry in entries:
        place = order[entry.role]
        taken.append(place if place not in taken else max(*taken, 2) + 1)
    return [SERIES[place % len(SERIES)] for place in taken]


def _titled(entry: Entry) -> str:
    return f"{entry.role}: {plain(entry.contender.label)}"


def _extent(entries: Sequence[Entry]) -> tuple[int, int]:
    counts = [count for entry in entries for count in entry.confirmation.correct]
    return min(counts), max(counts)


def _shortened(label: str, most: int = 16) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _effect_said(question: Question, judgement: Judgement) -> str:
    effect, interval = judgement.effect_rows, judgement.effect_rows.interval
    return (
        f"{question.capitalize()}: {IN_A_WORD[judgement.word]}; {effect.mean:+.2f} rows of {judgement.rows}, "
        f"anything from {interval.low:+.2f} to {interval.high:+.2f} fits."
    )


def _rung_said(rung: LadderStep) -> str:
    changed = "" if rung.change is None else f" ({rung.change.mean:+.2f})"
    return f"{rung.adds}: {rung.correct_mean:.2f}{changed}"


def _seeds_said(found: StudyResult) -> str:
    winner = f"The same winner ends {_spread(found.record.winner)}."
    quoted = found.verdict.quoted
    if quoted is None:
        return f"{winner} The {found.verdict.ladder[0].adds} end {_spread(found.record.reruns[0])}."
    above = f"{quoted.winner_above:.0%} of the winner's runs have more."
    if found.record.reruns_are_quoted:
        above = f"{quoted.rerun_above:.0%} of the runs of its setting have more; {above}"
    return f"{winner} The quoted {quoted.correct} rows are a single run: {above}"


def _spread(entry: Entry) -> str:
    low, high = _extent([entry])
    return f"always with {low} right rows" if low == high else f"anywhere from {low} to {high} right rows"


def _learning_said(found: StudyResult, shown: Sequence[Entry]) -> str:
    rows, curve = found.verdict.on_these_rows.rows, shown[0].curves
    settled = next(epoch for epoch, share in enumerate(curve.accuracy, 1) if share >= curve.accuracy[-1] - 1 / rows)
    ends = ", ".join(f"{entry.role} {rows * entry.curves.accuracy[-1]:.1f}" for entry in shown)
    return (
        f"The winner comes within one row of where it ends at epoch {settled} of {len(curve.accuracy)}. "
        f"Right rows after the last epoch: {ends}."
    )


def _rates_said(found: StudyResult) -> str:
    equals = found.verdict.as_good
    names = list(dict.fromkeys(str(each.schedule["name"]) for each in equals))
    if len(equals) == 1:
        return f"The race can tell the winner, {equals[0].label}, from every other finalist."
    return (
        f"{len(equals)} finalists cannot be told from each other in the race, of {len(names)} "
        f"schedule{'s'[: len(names) != 1]}: {', '.join(names)}. The simplest of them is {found.verdict.simplest.label}."
    )
