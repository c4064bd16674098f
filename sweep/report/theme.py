"""How figures look: one template, colours with a counterpart for dark pages, marks that differ without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from sweep.palette import BLUE, FONT, GREEN, GRID, INK, MUTED, OCHRE, PAPER, PURPLE, VERMILLION
from sweep.stats.verdict import Unit

VEIL = "26"  # as the alpha of a colour: a band that lines show through


@dataclass(frozen=True)
class Series:
    """What one series is drawn with; dash and symbol tell it apart without colour."""

    colour: str
    dash: str
    symbol: str


SERIES = (
    Series(BLUE, "solid", "circle"),
    Series(VERMILLION, "dash", "square"),
    Series(GREEN, "dot", "diamond"),
    Series(PURPLE, "dashdot", "triangle-up"),
    Series(OCHRE, "longdash", "cross"),
    Series(INK, "longdashdot", "x"),
)


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


LABEL_PIXELS = 17


@dataclass(frozen=True)
class Mark:
    """An upright line at `x` with its label."""

    x: float
    label: str
    colour: str
    dash: str


_AXIS = {
    "gridcolor": GRID,
    "linecolor": MUTED,
    "tickcolor": GRID,
    "ticks": "outside",
    "ticklen": 6,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 12, "font": {"size": 13}},
}
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": FONT, "size": 13, "color": INK},
        "colorway": [series.colour for series in SERIES],
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "margin": {"l": 12, "r": 16, "t": 28, "b": 44},
        "legend": {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"},
        "hoverlabel": {"font": {"family": FONT, "size": 13}},
        "annotationdefaults": {"showarrow": False, "font": {"size": 13, "color": INK}},
    }
)


def plain(text: str) -> str:
    """Return text that plotly shows as it stands; it reads a little HTML, and decodes three of its entities."""
    return escape(text, quote=False)


def new_figure(height: int, *, legend: bool = True) -> go.Figure:
    """Return an empty figure, `height` pixels high and as wide as its place."""
    return go.Figure(layout={"template": TEMPLATE, "height": height} | ({} if legend else {"showlegend": False}))


def on_phones(figure: go.Figure, **changes: object) -> None:
    """Say what the page changes in the layout where it is narrow; names are paths with `_` for each dot."""
    before = (figure.layout.meta or {}).get("narrow", {})
    after = {path.replace("_", "."): change for path, change in changes.items()}
    figure.update_layout(meta={"narrow": before | after})


def whole_ticks(low: float, high: float, most: int) -> int:
    """Return the distance of at most `most` ticks at whole numbers between `low` and `high`.

    >>> whole_ticks(105, 116, 12), whole_ticks(105, 116, 5), whole_ticks(0, 116, 12)
    (1, 5, 10)
    """
    steps = (factor * 10**power for power in range(10) for factor in (1, 2, 5))
    return int(next(step for step in steps if (high - low) / step < most))


def whole_rows_axis(figure: go.Figure, low: float, high: float, rows: int) -> None:
    """Let the x axis run from `low` to `high` right rows of `rows`, with ticks at whole rows."""
    title = f"right rows of {rows}"
    figure.update_xaxes(range=[low, high], showgrid=True, dtick=whole_ticks(low, high, 12), tick0=0, title_text=title)
    on_phones(figure, xaxis_dtick=whole_ticks(low, high, 6))


def score_axis(figure: go.Figure, unit: Unit, low: float, high: float) -> None:
    """Let the x axis run around scores from `low` to `high`, such that what is better lies to the right."""
    if unit.counts_rows:
        whole_rows_axis(figure, low - 1, high + 1, unit.rows)
        return
    room = 0.25 * (high - low) or 0.05 * abs(high) or 1.0
    ends = [low - room, high + room]
    figure.update_xaxes(range=ends if unit.metric.rises else ends[::-1], showgrid=True, nticks=8, title_text=unit.name)
    on_phones(figure, xaxis_nticks=5)


def add_mark(
    figure: go.Figure,
    mark: Mark,
    *,
    side: str = "left",
    raised: float = 0.0,
    rows: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Draw an upright line with its label above it, on its left or right side.

    `rows` is where it begins and ends, as shares of the plot's height. `raised` is how much higher the label stands,
    and the line goes up to it.
    """
    top, line = rows[1] + raised, {"color": mark.colour, "dash": mark.dash, "width": 2}
    figure.add_shape(type="line", layer="between", line=line, x0=mark.x, x1=mark.x, yref="paper", y0=rows[0], y1=top)
    figure.add_annotation(
        x=mark.x,
        y=top,
        yref="paper",
        yanchor="bottom" if raised == 0 else "middle",
        xanchor="right" if side == "left" else "left",
        xshift=-4 if side == "left" else 4,
        text=mark.label,
        bgcolor=PAPER,
        font={"color": mark.colour, "size": 12},
    )


def add_marks(figure: go.Figure, marks: Sequence[Mark], low: float, high: float, pixels: int) -> None:
    """Draw upright lines whose labels stand above each other, over a plot from `low` to `high`, `pixels` high."""
    for level, mark in enumerate(sorted(marks, key=lambda mark: mark.x)):
        side = "left" if (mark.x > (low + high) / 2) == (high > low) else "right"
        add_mark(figure, mark, side=side, raised=LABEL_PIXELS * (level + 0.5) / pixels)
    figure.update_layout(margin_t=8 + LABEL_PIXELS * len(marks))


def add_interval(figure: go.Figure, y: float, mean: float, interval: tuple[float, float], series: Series) -> None:
    """Draw a mean with its interval at the height `y`."""
    low, high = interval
    bars = {"array": [high - mean], "arrayminus": [mean - low], "thickness": 3, "width": 7, "color": series.colour}
    figure.add_scatter(
        x=[mean],
        y=[y],
        mode="markers",
        marker={"size": 13, "symbol": series.symbol, "color": series.colour},
        error_x={"type": "data", "symmetric": False} | bars,
        hovertemplate=f"{mean:.2f} ({low:.2f} to {high:.2f})<extra></extra>",
    )


def add_line(figure: go.Figure, place: int, label: str, **data: object) -> None:
    """Draw the line of the series at `place`; `data` are plotly's arguments."""
    series, name = SERIES[place], f"<b>{letter(place)}</b>  {label}"
    figure.add_scatter(mode="lines", name=name, line_color=series.colour, line_dash=series.dash, line_width=2.5, **data)


def add_title(figure: go.Figure, y: float, yshift: float, title: str, rest: str = "") -> None:
    """Write a title on the left of the plot at the height `y`, and the rest of it where there is room."""
    place, bold = len(figure.layout.annotations), f"<b>{title}</b>"
    left = {"xref": "paper", "x": 0, "xanchor": "left", "y": y, "yshift": yshift}
    figure.add_annotation(text=f"{bold}  {rest}", bgcolor=PAPER, borderpad=1, font={"size": 12}, **left)
    on_phones(figure, **{f"annotations_{place}_text": bold})


def add_letters(figure: go.Figure, lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> None:
    """Write A, B, C ... on lines, each at another place along the axis so that no two letters meet."""
    for place, (x, y) in enumerate(lines):
        point = math.floor((place + 0.6) / len(lines) * (len(x) - 1))
        figure.add_annotation(
            x=x[point],
            y=y[point],
            text=f"<b>{letter(place)}</b>",
            font={"color": SERIES[place % len(SERIES)].colour, "size": 13},
            bgcolor=PAPER,
            borderpad=1,
        )


def letter(place: int) -> str:
    """Return the letter of a line, A for the first."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place]
