"""Small drawings of the schedules in a search space, each at the extremes and in the middle of its own parameters.

They are SVG without inline styles, which the pages' security policy forbids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sweep.config.study_file import Plan
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE, Numbers, Schedule, Timeline, build
from sweep.schedules.catalogue import typed
from sweep.search.distributions import is_whole
from sweep.space import Range, Space, Value

WIDTH, HEIGHT = 240, 96  # of the plot, in the units of its drawing
MOST_CURVES = 4
MOST_POINTS = 120
MOST_BATCHES = 20_000  # a fifth of a second for all schedules


@dataclass(frozen=True)
class Curve:
    """A line: its path in the drawing, and the parameters that give it."""

    path: str
    label: str


@dataclass(frozen=True)
class Drawing:
    """A schedule as it is drawn: its curves over so many epochs, from 0 to the rate `highest`."""

    name: str
    formula: str
    epochs: int
    highest: str
    curves: tuple[Curve, ...]


def draw_all(plan: Plan, train_rows: int) -> list[Drawing]:
    """Draw every schedule that a plan searches, as it would be over that many rows.

    Raises:
        BadInput: if a training is too long to be drawn.
    """
    steps = -(-train_rows // plan.training.batch_size)
    if plan.training.epochs * steps > MOST_BATCHES:
        raise BadInput("epochs", f"trainings of more than {MOST_BATCHES:,} batches are not drawn.")
    timeline = Timeline(epochs=plan.training.epochs, steps_per_epoch=steps)
    rates = [float(rate) for rate in spread(plan.search.learning_rate, whole=False)]
    rate = math.sqrt(rates[0] * rates[-1])
    return [draw(CATALOGUE[name], spaces, rate, timeline) for name, spaces in plan.search.schedules.items()]


def draw(kind: type[Schedule], spaces: Mapping[str, Space], rate: float, timeline: Timeline) -> Drawing:
    """Draw one schedule at a learning rate; equal curves are drawn once, and labelled by what differs between them."""
    varied = [key for key, space in spaces.items() if isinstance(space, Range | tuple)]
    found: dict[bytes, tuple[Numbers, str]] = {}
    for setting in settings(kind, spaces):
        rates = build(kind, {"learning_rate": rate, **setting}).rates(timeline)
        values = {key: setting[key] for key in varied}
        texts = [
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {typed(value)}"
            for key, value in values.items()
        ]
        found.setdefault(rates.tobytes(), (rates, ", ".join(texts)))
    highest = max(float(rates.max()) for rates, _ in found.values())
    curves = tuple(Curve(path(rates, highest), label) for rates, label in found.values())
    return Drawing(kind.name, kind.formula, timeline.epochs, f"{highest:.3g}", curves)


def settings(kind: type[Schedule], spaces: Mapping[str, Space]) -> list[dict[str, Value]]:
    """Return own parameters from one end of all their spaces to the other."""
    values = {key: spread(space, whole=is_whole(kind, key)) for key, space in spaces.items()}
    number = min(MOST_CURVES, max(map(len, values.values()), default=1))
    return [
        {key: own[round(place * (len(own) - 1) / max(1, number - 1))] for key, own in values.items()}
        for place in range(number)
    ]


def spread(space: Space, *, whole: bool) -> tuple[Value, ...]:
    """Return what stands for a space: a range's extremes and middle, or every choice.

    >>> spread(Range(low=0.01, high=1.0, log=True), whole=False), spread(Range(low=2, high=7), whole=True)
    ((0.01, 0.1, 1.0), (2, 4, 7))
    """
    if not isinstance(space, Range):
        return space if isinstance(space, tuple) else (space,)
    middle = math.sqrt(space.low * space.high) if space.log else (space.low + space.high) / 2
    return (space.low, round(middle) if whole else middle, space.high)


def path(rates: Numbers, highest: float) -> str:
    """Return the line through `rates`, `[epochs, steps_per_epoch]`, in the units of the drawing.

    As long as batches can be told apart, each keeps its rate to its end.
    """
    flat = rates.ravel()
    up = (HEIGHT * (1 - flat / highest)).tolist()
    if flat.size <= MOST_POINTS:
        extremes = np.linspace(0, WIDTH, flat.size + 1)[1:].tolist()
        return "M0 " + "V".join(f"{y:.1f}H{x:.1f}" for x, y in zip(extremes, up, strict=True))
    places = np.linspace(0, flat.size - 1, MOST_POINTS).round().astype(int).tolist()
    across = np.linspace(0, WIDTH, MOST_POINTS).tolist()
    return "M" + "L".join(f"{x:.1f} {up[place]:.1f}" for x, place in zip(across, places, strict=True))
