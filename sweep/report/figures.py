"""Figures of a verdict and of its search, each with the question that it answers and the answer in words.

The page and optuna-dashboard show the same figures. A figure shows what its answer says, never more than one thing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sweep.config.study_file import Plan
from sweep.report import theme
from sweep.report.theme import SERIES, Mark
from sweep.schedules import Numbers, OpenLoop, Schedule, Timeline, read_schedule
from sweep.schedules.rules import Join
from sweep.stats.verdict import Word, in_rows
from sweep.verdict.analysis import StudyResult
from sweep.verdict.record import Contender

MOST_CURVES = len(SERIES)
MOST_POINTS = 500
MOST_DOTS = 2000
SEEDS_PIXELS = 84  # for each candidate's runs
ROW_PIXELS = 23  # for each schedule
IN_A_WORD = {
    Word.BETTER: "yes",
    Word.NO_BETTER: "no",
    Word.WORSE: "no, it is worse",
    Word.NOT_RESOLVED: "not resolved",
    Word.NOTHING_LEARNED: "nothing was learned",
    Word.ALL_PERFECT: "both are perfect",
}
# Which share of the ranking each kind of mark stands for, and what it looks like.
RANKS = {
    "best tenth": (0.1, {"color": theme.BLUE, "symbol": "circle", "size": 12}),
    "rest of the best quarter": (0.25, {"color": theme.OCHRE, "symbol": "diamond", "size": 9}),
    "rest of the better half": (
        0.5,
        {"color": theme.MUTED, "symbol": "circle-open", "size": 7, "line": {"width": 1.5}},
    ),
    "worse half": (1.0, {"color": theme.GREY, "symbol": "x-thin-open", "size": 5, "line": {"width": 1.2}}),
}


@dataclass(frozen=True)
class Plot:
    """A figure with the question that it answers, the answer from the numbers, and a note on what it leaves out.

    Its name, of small letters and dashes, is its identity on a page and in the dashboard.
    """

    name: str
    question: str
    answer: str
    figure: go.Figure
    note: str = ""


def all_plots(found: StudyResult, trials: pd.DataFrame) -> list[Plot]:
    """Return every figure; `trials` are what `StudyReader.every_trial` returns, best first."""
    known = known_trials(found, trials)
    of_verdict = (effect_plot, ladder_plot, seeds_plot, learning_plot, rates_plot, optimism_plot)
    return [*(plot(found) for plot in of_verdict), families_plot(found, known), settings_plot(found, known)]


def effect_plot(found: StudyResult) -> Plot:
    """Show both effects with their intervals and the two marks that decide."""
    judgements, these = found.verdict.judgements, found.verdict.on_these_rows
    figure, worthwhile = theme.new_figure(90 + 80 * len(judgements), legend=False), these.smallest_of_interest
    ends, answers = [0.0, worthwhile], []
    for place, (question, judgement) in enumerate(reversed(judgements.items())):
        effect = judgement.effect_rows.scaled(these.rows / judgement.rows)
        ends += [effect.interval.low, effect.interval.high]
        theme.add_interval(figure, place, effect.mean, (effect.interval.low, effect.interval.high), SERIES[0])
        theme.add_title(figure, place, 26, question.capitalize(), judgement.word)
        mean, interval = judgement.effect_rows.mean, judgement.effect_rows.interval
        answers.append(
            f"{question.capitalize()}: {IN_A_WORD[judgement.word]}; {mean:+.2f} rows of {judgement.rows}, "
            f"anything from {interval.low:+.2f} to {interval.high:+.2f} fits."
        )
    low, high = left, right = min(ends), max(ends)
    for _ in range(100):  # on a phone, too, labels fit left of 0 and right of what is worth having: each takes a share
        reach = right - left
        left, right = min(low - 0.05 * reach, -0.42 * reach), max(high + 0.05 * reach, worthwhile + 0.34 * reach)
    figure.update_xaxes(range=[left, right])
    figure.update_xaxes(tickformat="+", labelalias={"+0": "0"}, nticks=8, ticksuffix=" rows", showticksuffix="last")
    figure.update_yaxes(visible=False, range=[-0.5, len(judgements) - 0.35])
    theme.add_mark(figure, Mark(0, "no difference", theme.INK, "solid"))
    label = len(figure.layout.annotations)
    theme.add_mark(
        figure, Mark(worthwhile, f"worth having: {in_rows(worthwhile)}", theme.VERMILLION, "dash"), side="right"
    )
    for anchor, shift, text in (("right", -8, "← constant better"), ("left", 8, "winner better →")):
        side = {"xanchor": anchor, "xshift": shift, "text": text}
        figure.add_annotation(x=0, yref="paper", y=0, yanchor="top", yshift=-26, font={"color": theme.MUTED}, **side)
    figure.update_layout(margin_b=52)
    theme.on_phones(figure, xaxis_nticks=5, **{f"annotations_{label}_text": "worth having"})
    asked = "Is the winner better than a constant rate that was tuned as hard?"
    return Plot("effect", asked, " ".join(reversed(answers)), figure)


def ladder_plot(found: StudyResult) -> Plot:
    """Show what each step from the quoted setting to the winner adds."""
    verdict, steps, added = found.verdict, found.verdict.ladder, []
    figure, means = theme.new_figure(60 + 58 * len(steps), legend=False), [step.correct_mean for step in steps]
    for place, (step, mean) in enumerate(zip(steps, means, strict=True)):
        y, interval, changed = len(steps) - 1 - place, (mean, mean), ""
        if step.change is not None:
            before = means[place - 1]
            interval = (before + step.change.interval.low, before + step.change.interval.high)
            changed = f" ({step.change.mean:+.2f})"
            added.append(f"{step.adds.removeprefix('and ')} {step.change.mean:+.2f}")
            line = {"color": theme.MUTED, "dash": "dot"}
            figure.add_shape(type="line", x0=before, x1=before, y0=y, y1=y + 1, line=line)
        theme.add_interval(figure, y, mean, interval, SERIES[place])
        theme.add_title(figure, y, 21, f"{step.adds}: {mean:.2f}{changed}", theme.plain(step.label))
    theme.whole_rows_axis(figure, min(means) - 1, max(means) + 1, verdict.on_these_rows.rows)
    figure.update_yaxes(visible=False, range=[-0.4, len(steps) - 0.4])
    in_all = f"{verdict.effect_of_tuning.mean:+.2f} rows in all"
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
    majority = verdict.majority.label if len(verdict.majority.label) <= 16 else f"{verdict.majority.label[:15]}…"
    marks = [Mark(verdict.majority.rows, f"always “{theme.plain(majority)}”", theme.MUTED, "dot")]
    if verdict.quoted is not None:
        marks.append(Mark(verdict.quoted.correct, "quoted", theme.INK, "dash"))
    rows, pixels = verdict.on_these_rows.rows, SEEDS_PIXELS * len(bars)
    seen = [count for _, candidate in bars for count in candidate.correct_counts]
    low, high = min(*seen, *(mark.x for mark in marks)) - 1, max(*seen, rows) + 0.5
    figure = theme.new_figure(pixels + 52 + theme.LABEL_PIXELS * len(marks), legend=False)
    for place, (role, candidate) in enumerate(bars):
        counts, base = candidate.correct_counts, len(bars) - 1 - place
        figure.add_bar(
            x=list(counts),
            y=[0.62 * number / max(counts.values()) for number in counts.values()],
            base=base,
            customdata=list(counts.values()),
            hovertemplate="%{x} rows: %{customdata} runs<extra></extra>",
            marker={"color": SERIES[place].colour},
            width=0.8,
        )
        theme.add_title(figure, base + 0.72, 0, role, theme.plain(candidate.label))
    figure.update_layout(barmode="overlay")
    theme.whole_rows_axis(figure, low, high, rows)
    theme.add_marks(figure, marks, low, high, pixels)
    figure.update_yaxes(visible=False, range=[-0.02, len(bars) - 0.05])
    return Plot("seeds", "How much is the luck of the seed?", _seeds_answer(found), figure)


def _seeds_answer(found: StudyResult) -> str:
    verdict, quoted = found.verdict, found.verdict.quoted
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
    """Show validation accuracy by epoch, with what eight runs in ten keep to."""
    shown = [found.record.winner, found.record.constant, found.record.reruns[0]]
    rows, figure = found.verdict.on_these_rows.rows, theme.new_figure(400)
    epochs = list(range(1, len(shown[0].curves.accuracy) + 1))
    for entry, series in zip(shown, SERIES, strict=False):
        low, high = ([round(rows * share, 3) for share in part] for part in (entry.curves.low, entry.curves.high))
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
    lines = [(epochs, [round(rows * share, 3) for share in entry.curves.accuracy]) for entry in shown]
    for place, (entry, (x, y)) in enumerate(zip(shown, lines, strict=True)):
        theme.add_line(figure, place, f"{entry.role}: {theme.plain(entry.contender.label)}", x=x, y=y)
    theme.add_letters(figure, lines)
    late = max(1, len(epochs) // 10)
    floor = rows * min(min(entry.curves.low[late:], default=0.0) for entry in shown)
    figure.update_xaxes(title_text="epoch", range=[1, max(2, len(epochs))])
    figure.update_yaxes(title_text=f"right rows of {rows}", range=[math.floor(floor) - 1, rows])
    curve = shown[0].curves.accuracy
    settled = next(epoch for epoch, share in enumerate(curve, 1) if share >= curve[-1] - 1 / rows)
    ends = ", ".join(f"{entry.role} {rows * entry.curves.accuracy[-1]:.1f}" for entry in shown)
    return Plot(
        "learning",
        "How does the training go?",
        f"The winner comes within one row of where it ends at epoch {settled} of {len(curve)}. "
        f"Right rows after the last epoch: {ends}.",
        figure,
    )


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
    if len(equals) == 1:
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


def optimism_plot(found: StudyResult) -> Plot:
    """Show the winner's mean in the three stages."""
    optimism, winner, figure = found.verdict.optimism, found.record.winner, theme.new_figure(280, legend=False)
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
        text=[f"{mean:.2f}" for mean in means],
        textposition="top center",
        line={"color": theme.BLUE, "width": 2.5},
        marker={"size": 11, "symbol": "circle"},
        hoverinfo="skip",
    )
    middle = (min(means) + max(means)) / 2
    reach = max(1.0, 0.8 * (max(means) - min(means)))  # two rows at least, so that a trifle looks like one
    rows = found.verdict.on_these_rows.rows
    figure.update_yaxes(title_text=f"right rows of {rows}", range=[middle - reach, middle + reach])
    figure.update_xaxes(range=[-0.4, 2.4], showgrid=False, type="category", tickangle=0)
    return Plot(
        "optimism",
        "How much did choosing flatter the winner?",
        f"The search saw {optimism.search:.2f} right rows; on seeds that chose nothing it is "
        f"{optimism.confirmation:.2f}, {abs(optimism.total):.2f} {'fewer' if optimism.total >= 0 else 'more'}. "
        "Only the last number is in the verdict.",
        figure,
    )


def known_trials(found: StudyResult, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that tell schedule, rate and momentum, with their right rows, best first."""
    told = trials.dropna(subset=["schedule", "learning_rate", "momentum"])
    return told.assign(rows=told["value"] * found.verdict.on_these_rows.rows)


def families_plot(
    found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS, plot_pixels: int | None = None
) -> Plot:
    """Show the right rows of every known trial by its schedule, beside the baselines.

    `plot_pixels` is the height between the axes where another page decides it; it grows with the schedules by default.
    At most about `most` trials are drawn.
    """
    best, all_rows = trials.drop_duplicates("schedule"), found.verdict.on_these_rows.rows
    verdict, again = found.verdict, "run again" if found.record.reruns_are_quoted else "defaults"
    constant, rerun = verdict.tuned_constant.correct_mean, verdict.reruns[0].correct_mean
    marks = [
        Mark(constant, f"tuned constant {constant:.2f}", theme.VERMILLION, "dash"),
        Mark(rerun, f"{again} {rerun:.2f}", theme.MUTED, "dashdot"),
    ]
    if verdict.quoted is not None:
        marks.append(Mark(verdict.quoted.correct, f"quoted {verdict.quoted.correct}", theme.INK, "dot"))
    families, counts = best["schedule"].tolist(), trials["schedule"].value_counts()
    places = {family: len(families) - 1 - place for place, family in enumerate(families)}
    pixels = plot_pixels or ROW_PIXELS * len(families)
    # Dots further down lie on the edge; the baselines and three trials in four are above it.
    lowest = min(float(trials["rows"].quantile(0.25)), float(trials["rows"].max()) - 4, *(mark.x for mark in marks))
    floor = math.floor(lowest) - 1
    figure = theme.new_figure(68 + theme.LABEL_PIXELS * len(marks) + pixels, legend=False)
    drawn, thinned_out = thin(trials, most)
    above, spread = drawn["rows"] >= floor, (drawn["number"] * 7 % 11 - 5) / 22  # so that fewer dots lie on each other
    y, dot = drawn["schedule"].map(places) + spread, {"size": 6, "color": theme.BLUE, "line": {"width": 1.2}}
    for part, symbol in ((drawn[above], "circle-open"), (drawn[~above], "triangle-left-open")):
        _add_trials(figure, part, floor, y[part.index], "candidates", dot | {"symbol": symbol})
    diamond = {"symbol": "diamond", "size": 10, "color": theme.VERMILLION}
    _add_trials(figure, best, floor, best["schedule"].map(places), "best of its schedule", diamond)
    high = min(math.floor(max(trials["rows"].max(), *(mark.x for mark in marks))) + 1.5, all_rows + 0.5)
    theme.add_marks(figure, marks, floor - 0.5, high, pixels)
    title = f"right rows of {all_rows}"
    figure.update_xaxes(range=[floor - 0.5, high], dtick=theme.whole_ticks(floor, high, 14))
    figure.update_xaxes(title_text=f"{title}, mean over the search's seeds")
    figure.update_yaxes(
        tickvals=list(places.values()),
        ticktext=[f"{theme.plain(family)} · {counts[family]}" for family in families],
        range=[-0.7, len(families) - 0.3],
        showgrid=False,
        tickfont_size=13 if pixels >= 16 * len(families) else 10,
    )
    narrow = {"yaxis_tickfont_size": 10, "xaxis_dtick": theme.whole_ticks(floor, high, 5), "xaxis_title_text": title}
    theme.on_phones(figure, **narrow)
    near, below = int((best["rows"] >= best["rows"].iloc[0] - 1).sum()), int((trials["rows"] < floor).sum())
    on_edge = f"{below} candidates below {floor} rows lie on the left edge." if below else ""
    return Plot(
        "families",
        "Which schedules come close?",
        f"{near} of {len(families)} schedules have a candidate within one row of the best. These scores chose the "
        "best, so they flatter it, and a schedule that was tried more often had more luck.",
        figure,
        f"{on_edge} {thinned_out}".strip(),
    )


def _add_trials(
    figure: go.Figure, trials: pd.DataFrame, floor: int, y: pd.Series, name: str, marker: Mapping[str, object]
) -> None:
    """Draw trials by their right rows; those below `floor` lie on it."""
    figure.add_scatter(
        x=trials["rows"].clip(lower=floor).round(3).tolist(),
        y=y.round(3).tolist(),
        mode="markers",
        name=name,
        marker=marker,
        customdata=list(zip(trials["number"].tolist(), trials["rows"].round(2).tolist(), strict=True)),
        hovertemplate="trial %{customdata[0]}: %{customdata[1]} rows<extra></extra>",
    )


def settings_plot(found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS) -> Plot:
    """Show where in learning rate and momentum good trials lie; size and symbol say how good, as colour does."""
    figure, lowest, rank = theme.new_figure(430), 0, {each: place for place, each in enumerate(trials.index)}
    shown, note = thin(trials, most)
    shown = shown.assign(rank=shown.index.map(rank))
    for name, (share, marker) in RANKS.items():
        highest = max(lowest + 1, round(share * len(trials)))
        chosen = shown[(shown["rank"] >= lowest) & (shown["rank"] < highest)]
        lowest = highest
        figure.add_scatter(
            x=[float(f"{rate:.4g}") for rate in chosen["learning_rate"].tolist()],
            y=chosen["momentum"].round(4).tolist(),
            mode="markers",
            name=name,
            marker=marker,
            zorder=-len(figure.data),
            customdata=list(zip(chosen["number"].tolist(), chosen["rows"].round(2).tolist(), strict=True)),
            hovertemplate="trial %{customdata[0]}: %{customdata[1]} rows<br>rate %{x}, momentum %{y}<extra></extra>",
        )
    winner = found.record.winner.contender
    if "learning_rate" in winner.params:
        x, look = math.log10(float(winner.params["learning_rate"])), {"arrowcolor": theme.INK, "bgcolor": theme.PAPER}
        at = {"x": x, "y": winner.momentum, "standoff": 7, "ax": 0, "ay": 34}
        figure.add_annotation(text="winner", showarrow=True, borderpad=2, **look, **at)
    figure.update_xaxes(type="log", title_text="learning rate, the first or highest", dtick=1, minor={"dtick": "D2"})
    figure.update_yaxes(title_text="momentum")
    best = trials.head(max(1, round(RANKS["best tenth"][0] * len(trials))))
    rates, momenta = best["learning_rate"], best["momentum"]
    return Plot(
        "settings",
        "Where do good settings lie?",
        f"The best {len(best)} of {len(trials)} candidates have learning rates from {rates.min():.2g} to "
        f"{rates.max():.2g} and momenta from {momenta.min():.2g} to {momenta.max():.2g}; each gets "
        f"{best['rows'].min():.2f} rows right or more.",
        figure,
        note,
    )


def thin(trials: pd.DataFrame, most: int) -> tuple[pd.DataFrame, str]:
    """Return at most `most` trials, evenly spread over the ranking, first and last among them, and a note on it."""
    if len(trials) <= most:
        return trials, ""
    chosen = np.unique(np.linspace(0, len(trials) - 1, most).round().astype(int))
    return trials.iloc[chosen], f"{most:,} of {len(trials):,} candidates are drawn, evenly over the ranking."
