"""Figures of a search: all its trials by their schedule, by learning rate and momentum, and the best at other rates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sweep import palette
from sweep.report import theme
from sweep.report.theme import SERIES, Mark, Plot
from sweep.stats.rates import reach_of
from sweep.stats.verdict import Unit
from sweep.task import METRICS
from sweep.verdict.analysis import StudyResult

MOST_DOTS = 2000
DEEPEST = 16  # times what is within reach, below the best, that a figure of other rates goes down
ROW_PIXELS = 23  # for each schedule
# Which share of the ranking each kind of mark stands for, and what it looks like.
RANKS = {
    "best tenth": (0.1, {"color": palette.BLUE, "symbol": "circle", "size": 12}),
    "rest of the best quarter": (0.25, {"color": palette.OCHRE, "symbol": "diamond", "size": 9}),
    "rest of the better half": (
        0.5,
        {"color": palette.MUTED, "symbol": "circle-open", "size": 7, "line": {"width": 1.5}},
    ),
    "worse half": (1.0, {"color": palette.GREY, "symbol": "x-thin-open", "size": 5, "line": {"width": 1.2}}),
}


def known_trials(found: StudyResult, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that tell schedule, rate and momentum, with their score in the verdict's unit, best first."""
    told, unit = trials.dropna(subset=["schedule", "learning_rate", "momentum"]), found.verdict.unit
    if unit.metric.name == "log_loss":  # which trials of before do not have as their value
        return told.assign(score=told["log_loss"].astype(float)).dropna(subset=["score"])
    return told.assign(score=told["value"] * unit.factor)


def families_plot(
    found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS, plot_pixels: int | None = None
) -> Plot:
    """Show the score of every known trial by its schedule, beside the baselines; what is better lies to the right.

    `plot_pixels` is the height between the axes where another page decides it; it grows with the schedules by default.
    At most about `most` trials are drawn.
    """
    best, unit, marks = trials.drop_duplicates("schedule"), found.verdict.unit, _marks(found)
    families, counts = best["schedule"].tolist(), trials["schedule"].value_counts()
    places = {family: len(families) - 1 - place for place, family in enumerate(families)}
    pixels = plot_pixels or ROW_PIXELS * len(families)
    good, of_marks = unit.sign * trials["score"], [unit.sign * mark.x for mark in marks]
    # Dots further down lie on the edge; the baselines and three trials in four are above it.
    lowest, highest = min(float(good.quantile(0.25)), *of_marks), max(float(good.max()), *of_marks)
    if unit.counts_rows:
        floor = math.floor(min(lowest, float(good.max()) - 4)) - 1.0
        low, high = floor - 0.5, min(math.floor(highest) + 1.5, unit.rows + 0.5)
    else:
        room = 0.05 * (highest - lowest) or 0.05 * abs(highest) or 1.0
        floor = lowest - room
        low, high = floor - room / 2, highest + room
    figure = theme.new_figure(68 + theme.LABEL_PIXELS * len(marks) + pixels, legend=False)
    drawn, thinned_out = thin(trials, most)
    above, spread = good[drawn.index] >= floor, (drawn["number"] * 7 % 11 - 5) / 22  # fewer dots lie on each other
    y, dot = drawn["schedule"].map(places) + spread, {"size": 6, "color": palette.BLUE, "line": {"width": 1.2}}
    pointing = "triangle-left-open"
    for part, symbol in ((drawn[above], "circle-open"), (drawn[~above], pointing)):
        _add_trials(figure, part, floor, y[part.index], "candidates", dot | {"symbol": symbol}, unit)
    diamond = {"symbol": "diamond", "size": 10, "color": palette.VERMILLION}
    _add_trials(figure, best, floor, best["schedule"].map(places), "best of its schedule", diamond, unit)
    ends = [unit.sign * low, unit.sign * high]
    theme.add_marks(figure, marks, ends[0], ends[1], pixels)
    title = f"right rows of {unit.rows}" if unit.counts_rows else unit.name
    figure.update_xaxes(range=ends, title_text=f"{title}, mean over the search's seeds")
    figure.update_yaxes(
        tickvals=list(places.values()),
        ticktext=[f"{theme.plain(family)} · {counts[family]}" for family in families],
        range=[-0.7, len(families) - 0.3],
        showgrid=False,
        tickfont_size=13 if pixels >= 16 * len(families) else 10,
    )
    narrow = {"yaxis_tickfont_size": 10, "xaxis_title_text": title}
    if unit.counts_rows:
        figure.update_xaxes(dtick=theme.whole_ticks(floor, high, 14))
        narrow |= {"xaxis_dtick": theme.whole_ticks(floor, high, 5)}
    theme.on_phones(figure, **narrow)
    within = 1.0 if unit.counts_rows else found.verdict.on_these_rows.smallest_of_interest
    near = int((unit.sign * best["score"] >= unit.sign * best["score"].iloc[0] - within).sum())
    below, margin = int((good < floor).sum()), "one row" if unit.counts_rows else unit.amount(within)
    edge = f"below {floor:g} rows" if unit.counts_rows else f"worse than {unit.told(unit.sign * floor)}"
    on_edge = f"{below} candidates {edge} lie on the left edge." if below else ""
    return Plot(
        "families",
        "Which schedules come close?",
        f"{near} of {len(families)} schedules have a candidate within {margin} of the best. These scores chose the "
        "best, so they flatter it, and a schedule that was tried more often had more luck.",
        figure,
        f"{on_edge} {thinned_out}".strip(),
    )


def _marks(found: StudyResult) -> list[Mark]:
    """Return the baselines as they were confirmed."""
    verdict, unit, again = found.verdict, found.verdict.unit, "defaults"
    if found.record.reruns_are_quoted:
        again = "run again"
    constant, rerun = verdict.tuned_constant.score, verdict.reruns[0].score
    marks = [
        Mark(constant, f"tuned constant {unit.told(constant)}", palette.VERMILLION, "dash"),
        Mark(rerun, f"{again} {unit.told(rerun)}", palette.MUTED, "dashdot"),
    ]
    if verdict.quoted is not None:
        marks.append(Mark(verdict.quoted.correct, f"quoted {verdict.quoted.correct}", palette.INK, "dot"))
    return marks


def _add_trials(
    figure: go.Figure,
    trials: pd.DataFrame,
    floor: float,
    y: pd.Series,
    name: str,
    marker: Mapping[str, object],
    unit: Unit,
) -> None:
    """Draw trials by their score; those worse than `floor` lie on it."""
    figure.add_scatter(
        x=(unit.sign * (unit.sign * trials["score"]).clip(lower=floor)).round(_digits(unit)).tolist(),
        y=y.round(3).tolist(),
        mode="markers",
        name=name,
        marker=marker,
        customdata=_hovered(trials, unit),
        hovertemplate=f"trial %{{customdata[0]}}: %{{customdata[1]}} {unit.noun or unit.short}<extra></extra>",
    )


def _digits(unit: Unit) -> int:
    return 3 if unit.noun else 6


def _hovered(trials: pd.DataFrame, unit: Unit) -> list[tuple[int, float]]:
    scores = trials["score"].round(2 if unit.noun else 6).tolist()
    return list(zip(trials["number"].tolist(), scores, strict=True))


def settings_plot(found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS) -> Plot:
    """Show where in learning rate and momentum good trials lie; size and symbol say how good, as colour does."""
    unit = found.verdict.unit
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
            customdata=_hovered(chosen, unit),
            hovertemplate=f"trial %{{customdata[0]}}: %{{customdata[1]}} {unit.noun or unit.short}"
            "<br>rate %{x}, momentum %{y}<extra></extra>",
        )
    winner = found.record.winner.contender
    if "learning_rate" in winner.params:
        x, look = (
            math.log10(float(winner.params["learning_rate"])),
            {"arrowcolor": palette.INK, "bgcolor": palette.PAPER},
        )
        at = {"x": x, "y": winner.momentum, "standoff": 7, "ax": 0, "ay": 34}
        figure.add_annotation(text="winner", showarrow=True, borderpad=2, **look, **at)
    figure.update_xaxes(type="log", title_text="learning rate, the first or highest", dtick=1, minor={"dtick": "D2"})
    figure.update_yaxes(title_text="momentum")
    best = trials.head(max(1, round(RANKS["best tenth"][0] * len(trials))))
    rates, momenta = best["learning_rate"], best["momentum"]
    worst = unit.told(unit.sign * (unit.sign * best["score"]).min())
    each = f"gets {worst} rows right or more" if unit.counts_rows else f"has a {unit.name} of {worst} or better"
    return Plot(
        "settings",
        "Where do good settings lie?",
        f"The best {len(best)} of {len(trials)} candidates have learning rates from {rates.min():.2g} to "
        f"{rates.max():.2g} and momenta from {momenta.min():.2g} to {momenta.max():.2g}; each {each}.",
        figure,
        note,
    )


def forgiveness_plot(found: StudyResult) -> Plot | None:
    """Show the mean score of the best candidate of each schedule over its learning rate; None if none was tried."""
    rates, kept = found.verdict.forgiveness, found.record.forgiveness
    if rates is None or kept is None or not rates.families:
        return None
    metric, figure = METRICS[rates.metric], theme.new_figure(430)
    unit, sign = Unit(metric, kept.test_rows), 1 if metric.rises else -1
    factor = 100.0 if unit.noun else 1.0
    shown = [each for each in kept.families if rates.of(each.contender.label)][: len(SERIES)]
    curves = list[tuple[list[float], list[float]]]()
    for place, each in enumerate(shown):
        own, means = float(each.contender.schedule["learning_rate"]), np.array(each.scores).mean(axis=1) * factor
        known = np.isfinite(means)
        x = [float(f"{own * one:.4g}") for one in np.array(each.factors)[known]]
        curves.append((x, [float(f"{mean:.5g}") for mean in means[known]]))
        hovered = f"{theme.plain(each.name)} at %{{x}}: %{{y}}<extra></extra>"
        theme.add_line(figure, place, theme.plain(each.contender.label), x=x, y=curves[-1][1], hovertemplate=hovered)
        middle = means[each.factors.index(1.0)]
        if math.isfinite(middle):
            marker = {"size": 10, "symbol": SERIES[place].symbol, "color": SERIES[place].colour}
            own_rate = {"x": [own], "y": [float(middle)], "mode": "markers", "marker": marker}
            figure.add_scatter(**own_rate, showlegend=False, hoverinfo="skip")
    theme.add_letters(figure, [([math.log10(one) for one in x], y) for x, y in curves])
    every = [sign * one for _, y in curves for one in y]
    best = max(every)
    room = reach_of(metric, best / factor) * factor
    low = max(min(every), best - DEEPEST * room) - room
    figure.update_xaxes(type="log", title_text="learning rate", dtick=1, minor={"dtick": "D2"})
    ends = [sign * low, sign * (best + room)]
    figure.update_yaxes(title_text=f"{unit.name}{', %' * bool(unit.noun)} on new rows", range=sorted(ends))
    widest, narrowest = (pick(rates.families, key=lambda each: each.fold) for pick in (max, min))
    left_out = len(kept.families) - len(shown)
    note = f"{left_out} more schedules are in the table alone." if left_out else ""
    told = f"{widest.family} forgives most: any rate from {widest.range} is within {rates.reach} of its best"
    told += f"; {narrowest.family} least: from {narrowest.range}." if narrowest is not widest else "."
    return Plot("forgiveness", "How wrong may the learning rate be?", told, figure, note)


def thin(trials: pd.DataFrame, most: int) -> tuple[pd.DataFrame, str]:
    """Return at most `most` trials, evenly spread over the ranking, first and last among them, and a note on it."""
    if len(trials) <= most:
        return trials, ""
    chosen = np.unique(np.linspace(0, len(trials) - 1, most).round().astype(int))
    return trials.iloc[chosen], f"{most:,} of {len(trials):,} candidates are drawn, evenly over the ranking."
