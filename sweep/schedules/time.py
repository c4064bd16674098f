"""Time-based decay, in the three readings that one tutorial gives of it.

Its equation, its table of rates and the Keras of its day are three different schedules; each has a name.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.ranges import Range, Space
from sweep.schedules.clock import Clock, Numbers
from sweep.schedules.schedule import Schedule


class Time(Schedule):
    """`rate = learning_rate / (1 + decay * epoch)`, with epochs counted from 0.

    >>> rates = Time(learning_rate=0.1, decay=0.001).rates(Clock(epochs=3, steps_per_epoch=1))
    >>> [round(float(rate), 10) for rate in rates[:, 0]]
    [0.1, 0.0999000999, 0.0998003992]
    """

    name = "time"
    formula = "rate = learning_rate / (1 + decay * epoch)"
    source = "the tutorial's equation"
    default_space: ClassVar[dict[str, Space]] = {"decay": Range(low=1e-3, high=1.0, log=True)}

    decay: float | None = Field(
        default=None, ge=0, description="decay per unit of time; default learning_rate / epochs"
    )

    def decay_over(self, clock: Clock) -> float:
        """Return the decay per unit of time: `learning_rate / epochs` unless one was given."""
        return self.learning_rate / clock.epochs if self.decay is None else self.decay

    def rates(self, clock: Clock) -> Numbers:
        """Return the decayed rate of each step, `[epochs, steps_per_epoch]`."""
        return self.learning_rate / (1 + self.decay_over(clock) * clock.epoch)


class TimeCompounding(Time):
    """`rate[n] = rate[n-1] / (1 + decay * n)`: each epoch decays the rate of the epoch before.

    >>> rates = TimeCompounding(learning_rate=0.1, decay=0.001).rates(Clock(epochs=5, steps_per_epoch=1))
    >>> [float(f"{rate:.10g}") for rate in rates[:, 0]]
    [0.1, 0.0999000999, 0.0997006985, 0.09940249103, 0.09900646517]
    """

    name = "time_compounding"
    formula = "rate[n] = rate[n-1] / (1 + decay * n)"
    source = "the tutorial's table of rates"
    default_space: ClassVar[dict[str, Space]] = {"decay": Range(low=1e-4, high=0.1, log=True)}

    def rates(self, clock: Clock) -> Numbers:
        """Return the decayed rate of each step, `[epochs, steps_per_epoch]`."""
        divisors = 1 + self.decay_over(clock) * clock.epoch
        divisors[0] = self.learning_rate  # nothing is divided yet
        compounded: Numbers = np.divide.accumulate(divisors, axis=0)
        return compounded


class TimeByBatch(Time):
    """`rate = learning_rate / (1 + decay * batch)`, with batches counted from 0 through all epochs.

    >>> rates = TimeByBatch(learning_rate=0.1, decay=0.002).rates(Clock(epochs=50, steps_per_epoch=9))
    >>> round(float(rates[-1, -1]), 4)
    0.0527
    """

    name = "time_by_batch"
    formula = "rate = learning_rate / (1 + decay * batch)"
    source = "the `decay` argument of Keras' SGD before version 2.11"
    default_space: ClassVar[dict[str, Space]] = {"decay": Range(low=1e-4, high=0.1, log=True)}

    def rates(self, clock: Clock) -> Numbers:
        """Return the decayed rate of each step, `[epochs, steps_per_epoch]`."""
        return self.learning_rate / (1 + self.decay_over(clock) * clock.batch)
