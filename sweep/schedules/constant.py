"""The learning rate that never changes."""

from __future__ import annotations

import numpy as np

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline


def constant(time: Timeline, learning_rate: float) -> Numbers:
    """Return the same rate for every step."""
    return np.full_like(time.batch, learning_rate)


class Constant(OpenLoop):
    """`rate = learning_rate`.

    >>> Constant(learning_rate=0.1).rates(Timeline(epochs=2, steps_per_epoch=1)).tolist()
    [[0.1], [0.1]]
    """

    name = "constant"
    formula = "rate = learning_rate"
    source = "plain stochastic gradient descent"
    function = constant
