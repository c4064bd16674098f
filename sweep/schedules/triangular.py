"""The rate rises and falls in straight lines, in several whole cycles."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def triangular(time: Timeline, learning_rate: float, cycles: int, low_ratio: float, peak_decay: float) -> Numbers:
    """Return the rate that goes from low to high and back in each of `cycles` equal cycles."""
    passed = cycles * time.batch / time.batches
    cycle = np.floor(passed)
    height = peak_decay**cycle * (1 - np.abs(2 * (passed - cycle) - 1))
    rates: Numbers = learning_rate * (low_ratio + (1 - low_ratio) * height)
    return rates


class Triangular(OpenLoop):
    """`rate: from low_ratio * learning_rate up to learning_rate and back in straight lines, in each of cycles`.

    From cycle to cycle the height above the low rate is multiplied by `peak_decay`: 1 is what Smith calls
    triangular, 0.5 what he calls triangular2.

    >>> schedule = Triangular(learning_rate=1, cycles=2, low_ratio=0, peak_decay=0.5)
    >>> schedule.rates(Timeline(epochs=8, steps_per_epoch=1))[:, 0].tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """

    name = "triangular"
    formula = "rate: from low_ratio * learning_rate up to learning_rate and back in straight lines, in each of cycles"
    source = "Smith 2017, Cyclical Learning Rates"
    default_space: ClassVar[dict[str, Space]] = {
        "cycles": Range(low=1, high=8),
        "low_ratio": Range(low=0.01, high=0.5, log=True),
        "peak_decay": Range(low=0.5, high=1.0),
    }
    function = triangular

    cycles: int = Field(default=4, ge=1, le=1_000_000, description="number of cycles in the training")
    low_ratio: float = Field(default=0.1, ge=0, le=1, description="share of learning_rate at the ends of each cycle")
    peak_decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="factor of each cycle's height above the low rate to that of the one before",
    )
