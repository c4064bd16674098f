"""The rate falls with the square root of time."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def inverse_sqrt(time: Timeline, learning_rate: float, timescale: float) -> Numbers:
    """Return the rate divided by the root of the time in timescales, counted from 1."""
    return learning_rate / np.sqrt(1 + time.fraction / timescale)


class InverseSqrt(OpenLoop):
    """`rate = learning_rate / sqrt(1 + fraction / timescale)`.

    >>> rates = InverseSqrt(learning_rate=1, timescale=0.25).rates(Timeline(epochs=4, steps_per_epoch=1))
    >>> [round(float(rate), 4) for rate in rates[:, 0]]
    [1.0, 0.7071, 0.5774, 0.5]
    """

    name = "inverse_sqrt"
    formula = "rate = learning_rate / sqrt(1 + fraction / timescale)"
    source = "Zhai et al. 2022, Scaling Vision Transformers"
    default_space: ClassVar[dict[str, Space]] = {"timescale": Range(low=0.01, high=1.0, log=True)}
    function = inverse_sqrt

    timescale: float = Field(
        default=0.1, ge=1e-9, le=1e6, description="fraction of the training in which the rate falls to 1 / sqrt(2)"
    )
