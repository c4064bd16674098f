"""The rate is divided at named fractions of the training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.points import Fractions
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def milestones(time: Timeline, learning_rate: float, at: tuple[float, ...], drop: float) -> Numbers:
    """Return the rate after one drop at each fraction that has passed."""
    passed = np.sum([time.fraction >= mark for mark in at], axis=0)
    rates: Numbers = learning_rate * drop**passed
    return rates


class Milestones(OpenLoop):
    """`rate = learning_rate * drop ** sum(fraction >= mark for mark in at)`.

    >>> rates = Milestones(learning_rate=1).rates(Timeline(epochs=8, steps_per_epoch=1))
    >>> [float(f"{rate:.3g}") for rate in rates[:, 0]]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """

    name = "milestones"
    formula = "rate = learning_rate * drop ** sum(fraction >= mark for mark in at)"
    source = "He et al. 2016, Deep Residual Learning; Keras' PiecewiseConstantDecay"
    default_space: ClassVar[dict[str, Space]] = {
        "at": ("0.5 0.75", "0.6 0.85", "0.3 0.6 0.9"),
        "drop": Range(low=0.05, high=0.5, log=True),
    }
    function = milestones

    at: Fractions = Field(
        default="0.5 0.75", validate_default=True, description="fractions of the training at which the rate drops"
    )
    drop: float = Field(default=0.1, gt=0, le=1, description="factor of the rate at each drop")
