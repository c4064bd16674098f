"""Time-based decay, in the three readings that one tutorial gives of it.

Its equation, its table of rates and the Keras of its day are three different schedules; each has a name.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def time_by_epoch(time: Timeline, learning_rate: float, decay: float | None) -> Numbers:
    """Return the rate divided by one more `decay` each epoch."""
    decay = learning_rate / time.budget if decay is None else decay
    return learning_rate / (1 + decay * time.epoch)


def time_compounding(time: Timeline, learning_rate: float, decay: float | None) -> Numbers:
    """Return the rate that each epoch divides anew."""
    decay = learning_rate / time.budget if decay is None else decay
    shares = np.cumprod(1 / (1 + decay * np.arange(time.epoch.max() + 1)))
    rates: Numbers = learning_rate * shares[time.epoch.astype(int)]
    return rates


def time_by_batch(time: Timeline, learning_rate: float, decay: float | None) -> Numbers:
    """Return the rate divided by one more `decay` each batch."""
    decay = learning_rate / time.budget if decay is None else decay
    return learning_rate / (1 + decay * time.batch)


class Time(OpenLoop):
    """`rate = learning_rate / (1 + decay * epoch)`, with epochs counted from 0.

    >>> rates = Time(learning_rate=0.1, decay=0.001).rates(Timeline(epochs=3, steps_per_epoch=1))
    >>> [round(float(rate), 10) for rate in rates[:, 0]]
    [0.1, 0.0999000999, 0.0998003992]
    """

    name = "time"
    formula = "rate = learning_rate / (1 + decay * epoch)"
    source = "the tutorial's equation"
    function = time_by_epoch
    default_space: ClassVar[dict[str, Space]] = {"decay": Range(low=1e-3, high=1.0, log=True)}

    decay: float | None = Field(
        default=None, ge=0, le=1e6, description="decay per epoch; default learning_rate / epochs"
    )


class TimeCompounding(Time):
    """`rate[n] = rate[n-1] / (1 + decay * n)`: each epoch decays the rate of the epoch before.

    >>> rates = TimeCompounding(learning_rate=0.1, decay=0.001).rates(Timeline(epochs=5, steps_per_epoch=1))
    >>> [float(f"{rate:.10g}") for rate in rates[:, 0]]
    [0.1, 0.0999000999, 0.0997006985, 0.09940249103, 0.09900646517]
    """

    name = "time_compounding"
    formula = "rate[n] = rate[n-1] / (1 + decay * n)"
    source = "the tutorial's table of rates"
    function = time_compounding
    default_space: ClassVar[dict[str, Space]] = {"decay": Range(low=1e-4, high=0.1, log=True)}


class TimeByBatch(Time):
    """`rate = learning_rate / (1 + decay * batch)`, with batches counted from 0 through all epochs.

    >>> rates = TimeByBatch(learning_rate=0.1, decay=0.002).rates(Timeline(epochs=50, steps_per_epoch=9))
    >>> round(float(rates[-1, -1]), 4)
    0.0527
    """

    name = "time_by_batch"
    formula = "rate = learning_rate / (1 + decay * batch)"
    source = "the `decay` argument of Keras' SGD before version 2.11"
    function = time_by_batch
    default_space: ClassVar[dict[str, Space]] = {"decay": Range(low=1e-4, high=0.1, log=True)}

    decay: float | None = Field(
        default=None, ge=0, le=1e6, description="decay per batch; default learning_rate / epochs"
    )
