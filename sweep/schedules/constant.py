"""The learning rate that never changes."""

from __future__ import annotations

import numpy as np

from sweep.schedules.clock import Clock, Numbers
from sweep.schedules.schedule import OpenLoop


def constant(time: Clock, learning_rate: float) -> Numbers:
    """Return the same rate for every step."""
    return np.full_like(time.batch, learning_rate)


class Constant(OpenLoop):
    """`rate = learning_rate`.

    >>> Constant(learning_rate=0.1).rates(Clock(epochs=2, steps_per_epoch=1)).tolist()
    [[0.1], [0.1]]
    """

    name = "constant"
    formula = "rate = learning_rate"
    source = "plain stochastic gradient descent"
    function = constant
