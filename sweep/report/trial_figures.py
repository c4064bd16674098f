"""Figures of all trials of a search, from its standings.

They stand apart from the figures of a verdict because a search may have any number of trials, and a page may not.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sweep.report.figures import Plot
from sweep.report.theme import (
    BLUE,
    GREY,
    INK,
    LABEL_PIXELS,
    MUTED,
    OCHRE,
    PAPER,
    VERMILLION,
    Mark,
    add_marks,
    new_figure,
    on_phones,
    plain,
    whole_ticks,
)
from sweep.verdict.analysis import StudyResult

MOST_DOTS = 2000
ROW_PIXELS = 23
# Which share of the ranking each kind of mark stands for, and what it looks like.
RANKS = {
    "best tenth": (0.1, {"color": BLUE, "symbol": "circle", "size": 12}),
    "rest of the best quarter": (0.25, {"color": OCHRE, "symbol": "diamond", "size": 9}),
    "rest of the better half": (0.5, {"color": MUTED, "symbol": "circle-open", "size": 7, "line": {"width": 1.5}}),
    "worse half": (1.0, {"color": GREY, "symbol": "x-thin-open", "size": 5, "line": {"width": 1.2}}),
}


def trial_plots(found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS) -> list[Plot]:
    """Return the figures of all trials, with at most about `most` dots each.

    `trials` are what `queries.every_trial` returns, best first.
    """
    known = known_trials(found, trials)
    return [families_plot(found, known, most), settings_plot(found, known, most)]


def known_trials(found: StudyResult, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that tell schedule, rate and momentum, with their right rows, best first."""
    told = trials.dropna(subset=["schedule", "learning_rate", "momentum"])
    return told.assign(rows=told["value"] * found.verdict.on_these_rows.rows)


def families_plot(
    found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS, plot_pixels: int | None = None
) -> Plot:
    """Show the right rows of every trial by its schedule, beside the baselines.

    `plot_pixels` is the height between the axes where another page decides it; it grows with the schedules by default.
    """
    best = trials.drop_duplicates("schedule")
    families, counts = best["schedule"].tolist(), trials["schedule"].value_counts()
    places = {family: len(families) - 1 - place for place, family in enumerate(families)}
    marks, pixels = _marks(found), plot_pixels or ROW_PIXELS * len(families)
    figure = new_figure(68 + LABEL_PIXELS * len(marks) + pixels)
    floor = edge(trials["rows"], [mark.x for mark in marks])
    _add_dots(figure, thin(trials, most), places, floor)
    figure.add_scatter(
        x=best["rows"].clip(lower=floor).round(3).tolist(),
        y=list(places.values()),
        mode="markers",
        name="best of its schedule",
        marker={"symbol": "diamond", "size": 10, "color": VERMILLION},
        customdata=best["number"].tolist(),
        hovertemplate="trial %{customdata}: %{x:.2f} rows<extra></extra>",
    )
    high = min(
        math.floor(max(trials["rows"].max(), *(mark.x for mark in marks))) + 1.5, found.verdict.on_these_rows.rows + 0.5
    )
    add_marks(figure, marks, floor - 0.5, high, pixels)
    figure.update_xaxes(
        range=[floor - 0.5, high],
        dtick=whole_ticks(floor, high, 14),
        title_text=f"right rows of {found.verdict.on_these_rows.rows}, mean over the search's seeds",
    )
    figure.update_yaxes(
        tickvals=list(places.values()),
        ticktext=[f"{plain(family)} · {counts[family]}" for family in families],
        range=[-0.7, len(families) - 0.3],
        showgrid=False,
        tickfont_size=13 if pixels >= 16 * len(families) else 10,
    )
    figure.update_layout(showlegend=False)
    on_phones(
        figure,
        yaxis_tickfont_size=10,
        xaxis_dtick=whole_ticks(floor, high, 5),
        xaxis_title_text=f"right rows of {found.verdict.on_these_rows.rows}",
    )
    near = int((best["rows"] >= best["rows"].iloc[0] - 1).sum())
    below = int((trials["rows"] < floor).sum())
    return Plot(
        "families",
        "Which schedules come close?",
        f"{near} of {len(families)} schedules have a candidate within one row of the best. These scores chose the "
        "best, so they flatter it, and a schedule that was tried more often had more luck.",
        "One dot is one candidate, a diamond the best of its schedule; behind the name stands how many were tried. The "
        "upright lines are no part of the search: the tuned constant and the re-run are as they were confirmed."
        + (f" {below} candidates below {floor} rows lie on the left edge." if below else "")
        + _drawn(trials, most),
        figure,
    )


def settings_plot(found: StudyResult, trials: pd.DataFrame, most: int = MOST_DOTS) -> Plot:
    """Show where in learning rate and momentum good candidates lie; size and symbol say how good, as colour does."""
    figure, lowest = new_figure(430), 0
    shown = thin(trials, most).assign(
        rank=lambda frame: frame.index.map({each: n for n, each in enumerate(trials.index)})
    )
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
        figure.add_annotation(
            x=math.log10(float(winner.params["learning_rate"])),
            y=winner.momentum,
            text="winner",
            showarrow=True,
            arrowcolor=INK,
            bgcolor=PAPER,
            borderpad=2,
            standoff=7,
            ax=0,
            ay=34,
        )
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
        "One mark is one candidate. The larger and fuller it is, the higher it ranks, by right rows, then by log-loss."
        + _drawn(trials, most),
        figure,
    )


def thin(trials: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most `most` trials, evenly spread over the ranking, the first and the last among them."""
    if len(trials) <= most:
        return trials
    return trials.iloc[np.unique(np.linspace(0, len(trials) - 1, most).round().astype(int))]


def edge(rows: pd.Series, marks: list[float]) -> int:
    """Return the whole number of rows below which dots lie on the edge; marks and most trials are above it."""
    return math.floor(min(float(rows.quantile(0.25)), float(rows.max()) - 4, *marks)) - 1


def _marks(found: StudyResult) -> list[Mark]:
    """Return what the trials are held against."""
    verdict = found.verdict
    constant, again = verdict.tuned_constant.correct_mean, verdict.reruns[0].correct_mean
    marks = [
        Mark(constant, f"tuned constant {constant:.2f}", VERMILLION, "dash"),
        Mark(again, f"{'run again' if found.record.reruns_are_quoted else 'defaults'} {again:.2f}", MUTED, "dashdot"),
    ]
    if verdict.quoted is not None:
        marks.append(Mark(verdict.quoted.correct, f"quoted {verdict.quoted.correct}", INK, "dot"))
    return marks


def _add_dots(figure: go.Figure, trials: pd.DataFrame, places: dict[str, int], floor: int) -> None:
    """Draw trials on the row of their schedule, spread a little upwards and downwards by number."""
    rows = trials["schedule"].map(places) + (trials["number"] * 7 % 11 - 5) / 22
    low = trials["rows"] < floor
    for part, symbol in ((trials[~low], "circle-open"), (trials[low], "triangle-left-open")):
        figure.add_scatter(
            x=part["rows"].clip(lower=floor).round(3).tolist(),
            y=rows[part.index].round(3).tolist(),
            mode="markers",
            name="candidates",
            marker={"symbol": symbol, "size": 6, "color": BLUE, "line": {"width": 1.2}},
            customdata=list(zip(part["number"].tolist(), part["rows"].round(2).tolist(), strict=True)),
            hovertemplate="trial %{customdata[0]}: %{customdata[1]} rows<extra></extra>",
        )


def _drawn(trials: pd.DataFrame, most: int) -> str:
    return f" {most:,} of {len(trials):,} candidates are drawn, evenly over the ranking." if len(trials) > most else ""
