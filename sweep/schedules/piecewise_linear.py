"""The rate follows straight lines through named points."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.points import Points
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Space


def piecewise_linear(time: Timeline, learning_rate: float, points: tuple[tuple[float, float], ...]) -> Numbers:
    """Return the rate on the straight lines between points `(fraction, share of learning_rate)`."""
    fractions, shares = zip(*points, strict=True)
    rates: Numbers = learning_rate * np.interp(time.fraction, fractions, shares)
    return rates


class PiecewiseLinear(OpenLoop):
    """`rate: learning_rate times the share on the straight lines between the points fraction:share`.

    >>> rates = PiecewiseLinear(learning_rate=1, points="0:1 0.5:0.1 1:0").rates(Timeline(epochs=4, steps_per_epoch=1))
    >>> [round(float(rate), 3) for rate in rates[:, 0]]
    [1.0, 0.55, 0.1, 0.05]
    """

    name = "piecewise_linear"
    formula = "rate: learning_rate times the share on the straight lines between the points fraction:share"
    source = "linear interpolation"
    default_space: ClassVar[dict[str, Space]] = {
        "points": ("0:1 0.5:0.1 1:0.01", "0:1 0.7:1 1:0.01", "0:0.1 0.3:1 1:0.01", "0:0.1 0.3:1 0.7:0.1 1:0.01")
    }
    function = piecewise_linear

    points: Points = Field(
        default="0:1 0.5:0.1 1:0.01",
        validate_default=True,
        description="points fraction:share, from fraction 0 to 1 of the training, in shares of learning_rate",
    )
