"""Learning rates drawn over epochs, as text for a terminal and as a PNG; each drawing library loads when it is used."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.errors import BadInput
from sweep.files import replace_file
from sweep.schedules import Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = ("braille",)
SAMPLES = {"braille": "⠒⠒"}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAME = "─│┌┐└┘├┤┬┴┼"
PLAIN_FRAME = str.maketrans(FRAME, "-|+++++++++")
COLOURS = ("blue+", "orange", "green+", "magenta+", "cyan+", "red+", "gray")

# Okabe and Ito (2008), told apart by colour-blind readers; the yellow is left out, too pale on paper.
INKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
INCHES = (8.0, 4.5)
MOMENTUM_INCHES = 1.6
LEGEND_ROW_INCHES = 0.22
DOTS_PER_INCH = 150
LABEL_LETTERS = 100


@dataclass(frozen=True)
class Curve:
    """A schedule's rate at each step, and its momentum if that moves, `[epochs, steps_per_epoch]`.

    `name` is short, for a column or a terminal; `label` tells the parameters as well.
    """

    name: str
    label: str
    rates: Numbers
    momenta: Numbers | None = None


def draw_text(curves: Sequence[Curve], width: int, height: int, *, colours: bool, encoding: str = "utf-8") -> str:
    """Return a plot of the rates, of `width` columns and `height` lines, and a line or more that names the curves.

    Without colours, several curves are drawn with letters; so is every curve where `encoding` has no fine dots.
    """
    import plotext  # noqa: PLC0415 - only a plot needs it

    try:
        fine = bool((FRAME + "⠿").encode(encoding))
    except (UnicodeEncodeError, LookupError):
        fine = False
    symbols = DOTS if fine and (colours or len(curves) == 1) else LETTERS
    plotext.terminal.limit(False, False)
    figure = plotext.figure.clear()
    figure.plot_size(width, height)
    figure.theme("simple")
    figure.title("learning rate")
    figure.label("epochs", "x")
    epochs, top = len(curves[0].rates), _top(curves)
    ticks = list(range(0, epochs + 1, round_step(epochs, 10)))
    figure.ruler("x").lim(0, epochs)
    figure.ruler("x").ticks([float(tick) for tick in ticks], [f"{tick}" for tick in ticks])
    figure.ruler("y").lim(0, top)
    levels = [top * share / 4 for share in range(5)]
    figure.ruler("y").ticks(levels, [f"{level:.3g}" for level in levels])
    names, taken = list[str](), width
    for curve, symbol, colour in zip(curves, cycle(symbols), cycle(COLOURS), strict=False):
        edges, rates = _outline(curve.rates, 2 * width)
        corners = np.repeat(edges, 2)[1:-1].tolist(), np.repeat(rates, 2).tolist()
        figure.draw(figure.signal(*corners, marker=plotext.marker(symbol, pixel=colour)).lines())
        shown = f"{SAMPLES.get(symbol, symbol)} {curve.name}"
        name = plotext.colorize(shown, colour).string(colorless=not colours)
        if taken + 3 + len(shown) > width:  # the names are side by side as far as they fit
            names.append(name)
            taken = len(shown)
        else:
            names[-1] += "   " + name
            taken += 3 + len(shown)
    lines = str(figure.build().string(colorless=not colours)).splitlines()
    text = "\n".join([line.rstrip() for line in lines] + (names if len(curves) > 1 else []))
    return text if fine else text.translate(PLAIN_FRAME)


def _top(curves: Sequence[Curve]) -> float:
    return max(float(curve.rates.max()) for curve in curves) or 1.0  # rates may all be too small for a number


def round_step(total: float, most: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, ... of which at most `most` make `total`.

    >>> round_step(50, 10), round_step(3, 10), round_step(300, 30)
    (5, 1, 10)
    """
    steps: Iterator[int] = (factor * 10**power for power in range(10) for factor in (1, 2, 5))
    return next(step for step in steps if total <= most * step)


def _outline(values: Numbers, parts: int) -> tuple[Numbers, Numbers]:
    """Return values and the epochs between which each is kept; of too many steps, each part's ends and extremes."""
    epochs, steps = values.shape
    flat = values.ravel()
    kept = np.arange(flat.size)
    if flat.size > 4 * parts:
        cut = np.array_split(kept, parts)
        kept = np.unique([(part[0], part[flat[part].argmin()], part[flat[part].argmax()], part[-1]) for part in cut])
    return np.append(kept / steps, float(epochs)), flat[kept]


def write_png(curves: Sequence[Curve], path: Path) -> None:
    """Draw the rates, and under them the momenta of those that have them, into a PNG file, whole or not at all.

    Raises:
        BadInput: if the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise BadInput("plot", f"must end in .png, got `{path}`.")
    picture = io.BytesIO()
    _draw(curves).savefig(picture, format="png")
    replace_file(path, lambda beside: beside.write_bytes(picture.getvalue()), "plot")


def _draw(curves: Sequence[Curve]) -> Figure:
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is, no window opens
    from matplotlib.figure import Figure  # noqa: PLC0415 - only a PNG needs it

    moving = any(curve.momenta is not None for curve in curves)
    labels = [textwrap.fill(curve.label, LABEL_LETTERS) for curve in curves]
    rows = sum(1 + label.count("\n") for label in labels) if len(curves) > 1 else 0
    height = INCHES[1] + MOMENTUM_INCHES * moving + LEGEND_ROW_INCHES * rows
    figure = Figure(figsize=(INCHES[0], height), dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(1 + moving, 1, squeeze=False, gridspec_kw={"height_ratios": [3, 1][: 1 + moving]})[:, 0]
    for curve, label, ink, dash in zip(curves, labels, cycle(INKS), cycle(DASHES), strict=False):
        style: dict[str, Any] = {"baseline": None, "color": ink, "linestyle": dash, "linewidth": 1.6}
        for panel, values, named in zip(panels, (curve.rates, curve.momenta), (label, None), strict=False):
            if values is not None:
                edges, kept = _outline(values, int(INCHES[0] * DOTS_PER_INCH))
                panel.stairs(kept, edges, label=named, **style)
    panels[0].set_ylim(0, 1.05 * _top(curves))
    panels[-1].set_xlabel("epochs")
    for panel, name in zip(panels, ("learning rate", "momentum"), strict=False):
        panel.set_ylabel(name)
        panel.set_xlim(0, len(curves[0].rates))
        panel.locator_params("x", integer=True)
        panel.label_outer()
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        figure.legend(loc="outside lower center", frameon=False, handlelength=3, fontsize=9)
    else:
        panels[0].set_title(labels[0], fontsize=10)
    return figure
