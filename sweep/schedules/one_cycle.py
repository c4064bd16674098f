"""One rise and one fall of the rate, against which the momentum moves."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def one_cycle(
    time: Timeline, learning_rate: float, peak_at: float, start_ratio: float, final_ratio: float, **_momentum: float
) -> Numbers:
    """Return the rate that rises to its peak and falls again, each along half a cosine."""
    rising = start_ratio + (1 - start_ratio) * (1 - np.cos(np.pi * time.fraction / peak_at)) / 2
    falling = final_ratio + (1 - final_ratio) * (1 + np.cos(np.pi * (time.fraction - peak_at) / (1 - peak_at))) / 2
    return learning_rate * np.where(time.fraction < peak_at, rising, falling)


def one_cycle_momentum(
    time: Timeline, momentum: float, peak_at: float, momentum_dip: float, **_rates: float
) -> Numbers:
    """Return the momentum that is lowest at the rate's peak."""
    rising = (1 - np.cos(np.pi * time.fraction / peak_at)) / 2
    falling = (1 + np.cos(np.pi * (time.fraction - peak_at) / (1 - peak_at))) / 2
    return momentum * (1 - momentum_dip * np.where(time.fraction < peak_at, rising, falling))


class OneCycle(OpenLoop):
    """`rate: half cosines from start_ratio * learning_rate to learning_rate at peak_at, then to final_ratio`.

    The momentum goes the other way: down by its share `momentum_dip` at the peak, and back. PyTorch's reaches its peak
    one batch earlier and its last rate with the last batch, where here the fraction would be 1.

    >>> schedule, timeline = OneCycle(learning_rate=1, peak_at=0.5), Timeline(epochs=8, steps_per_epoch=1)
    >>> [round(float(rate), 3) for rate in schedule.rates(timeline)[:, 0]]
    [0.04, 0.181, 0.52, 0.859, 1.0, 0.854, 0.5, 0.146]
    >>> [round(float(momentum), 4) for momentum in schedule.momenta(timeline, 0.95)[:, 0]]
    [0.95, 0.9361, 0.9025, 0.8689, 0.855, 0.8689, 0.9025, 0.9361]
    """

    name = "one_cycle"
    formula = "rate: half cosines from start_ratio * learning_rate to learning_rate at peak_at, then to final_ratio"
    source = "Smith and Topin 2018, Super-Convergence; PyTorch's OneCycleLR"
    default_space: ClassVar[dict[str, Space]] = {
        "peak_at": Range(low=0.1, high=0.5),
        "start_ratio": Range(low=0.01, high=0.3, log=True),
        "momentum_dip": Range(low=0.0, high=0.3),
    }
    function = one_cycle
    momentum_function = one_cycle_momentum

    peak_at: float = Field(default=0.3, gt=0, lt=1, description="fraction of the training at which the rate is highest")
    start_ratio: float = Field(default=0.04, ge=0, le=1, description="share of learning_rate at the start")
    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of learning_rate reached at the end")
    momentum_dip: float = Field(default=0.1, ge=0, le=1, description="share of the momentum given up at the peak")
