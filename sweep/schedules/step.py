"""Step decay: the rate drops by a factor every so many epochs, in both readings of the tutorial."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def step(time: Timeline, learning_rate: float, drop: float, epochs_drop: int) -> Numbers:
    """Return the rate after a drop every `epochs_drop` epochs, the first one epoch early."""
    return learning_rate * drop ** np.floor((1 + time.epoch) / epochs_drop)


def step_from_zero(time: Timeline, learning_rate: float, drop: float, epochs_drop: int) -> Numbers:
    """Return the rate after a drop every `epochs_drop` epochs."""
    return learning_rate * drop ** np.floor(time.epoch / epochs_drop)


class Step(OpenLoop):
    """`rate = learning_rate * drop ** floor((1 + epoch) / epochs_drop)`, with epochs counted from 0.

    The first drop comes one epoch early, at epoch `epochs_drop - 1`, as the tutorial's code has it.

    >>> rates = Step(learning_rate=0.1, drop=0.5, epochs_drop=10).rates(Timeline(epochs=20, steps_per_epoch=1))
    >>> [float(rates[epoch, 0]) for epoch in (0, 8, 9, 18, 19)]
    [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    name = "step"
    formula = "rate = learning_rate * drop ** floor((1 + epoch) / epochs_drop)"
    source = "the tutorial's code"
    default_space: ClassVar[dict[str, Space]] = {
        "drop": Range(low=0.1, high=0.9),
        "epochs_drop": Range(low=2, high=40),
    }
    function = step

    drop: float = Field(gt=0, le=1, description="factor of the rate at each drop")
    epochs_drop: int = Field(ge=1, le=1_000_000, description="number of epochs between drops")


class StepFromZero(Step):
    """`rate = learning_rate * drop ** floor(epoch / epochs_drop)`, with epochs counted from 0.

    >>> schedule = StepFromZero(learning_rate=0.1, drop=0.5, epochs_drop=10)
    >>> rates = schedule.rates(Timeline(epochs=20, steps_per_epoch=1))
    >>> [float(rates[epoch, 0]) for epoch in (0, 9, 10, 19)]
    [0.1, 0.1, 0.05, 0.05]
    """

    name = "step_from_zero"
    formula = "rate = learning_rate * drop ** floor(epoch / epochs_drop)"
    source = "the tutorial's equation"
    function = step_from_zero
