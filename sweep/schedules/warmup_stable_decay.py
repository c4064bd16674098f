"""The rate rises, stays and falls: the fall may begin late, from any point of one long stable training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def warmup_stable_decay(time: Timeline, learning_rate: float, decay_from: float, final_ratio: float) -> Numbers:
    """Return the rate that stays until the fraction `decay_from` and then falls in a straight line."""
    fallen = np.maximum(0, time.fraction - decay_from) / (1 - decay_from)
    return learning_rate * (1 - (1 - final_ratio) * fallen)


class WarmupStableDecay(OpenLoop):
    """`rate = learning_rate * (1 - (1 - final_ratio) * maximum(0, fraction - decay_from) / (1 - decay_from))`.

    As everywhere, the fraction is that of the time after the warm-up, which this schedule has by default.

    >>> schedule = WarmupStableDecay(learning_rate=1, warmup=0.2, decay_from=0.5)
    >>> [round(float(rate), 4) for rate in schedule.rates(Timeline(epochs=10, steps_per_epoch=1))[:, 0]]
    [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    name = "warmup_stable_decay"
    formula = "rate = learning_rate * (1 - (1 - final_ratio) * maximum(0, fraction - decay_from) / (1 - decay_from))"
    source = "Hu et al. 2024, MiniCPM"
    default_space: ClassVar[dict[str, Space]] = {
        "decay_from": Range(low=0.4, high=0.95),
        "final_ratio": Range(low=0.0, high=0.3),
    }
    function = warmup_stable_decay

    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the batches in which the rate rises from 0")
    decay_from: float = Field(default=0.8, ge=0, lt=1, description="fraction of the training at which the fall begins")
    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of learning_rate reached at the end")
