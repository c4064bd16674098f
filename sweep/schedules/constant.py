"""The learning rate that never changes."""

from __future__ import annotations

import numpy as np

from sweep.schedules.clock import Clock, Numbers
from sweep.schedules.schedule import Schedule


class Constant(Schedule):
    """`rate = learning_rate`.

    >>> Constant(learning_rate=0.1).rates(Clock(epochs=2, steps_per_epoch=1)).tolist()
    [[0.1], [0.1]]
    """

    name = "constant"
    formula = "rate = learning_rate"
    source = "plain stochastic gradient descent"

    def rates(self, clock: Clock) -> Numbers:
        """Return the same rate for every step, `[epochs, steps_per_epoch]`."""
        return np.full_like(clock.batch, self.learning_rate)
