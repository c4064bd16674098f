"""The rate falls along half a cosine, once or anew in each of several cycles."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def cosine(time: Timeline, learning_rate: float, final_ratio: float) -> Numbers:
    """Return the rate on half a cosine."""
    return learning_rate * (final_ratio + (1 - final_ratio) * (1 + np.cos(np.pi * time.fraction)) / 2)


def cosine_restarts(
    time: Timeline, learning_rate: float, final_ratio: float, first_cycle: float, t_mul: float, m_mul: float
) -> Numbers:
    """Return the rate that falls along half a cosine in each cycle and starts again."""
    lengths = first_cycle * t_mul ** np.arange(np.ceil(1 / first_cycle) + 1)
    ends = np.cumsum(lengths)
    cycle = np.searchsorted(ends, time.fraction + 1e-9, side="right")  # a restart is not missed by rounding
    share = 1 - (ends[cycle] - time.fraction) / lengths[cycle]
    height = m_mul**cycle * (1 + np.cos(np.pi * share)) / 2
    rates: Numbers = learning_rate * (final_ratio + (1 - final_ratio) * height)
    return rates


class Cosine(OpenLoop):
    """`rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 + cos(pi * fraction)) / 2)`.

    >>> rates = Cosine(learning_rate=1).rates(Timeline(epochs=4, steps_per_epoch=1))
    >>> [round(float(rate), 4) for rate in rates[:, 0]]
    [1.0, 0.8536, 0.5, 0.1464]
    """

    name = "cosine"
    formula = "rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 + cos(pi * fraction)) / 2)"
    source = "Loshchilov and Hutter 2017, SGDR; Keras' CosineDecay"
    default_space: ClassVar[dict[str, Space]] = {"final_ratio": Range(low=0.0, high=0.3)}
    function = cosine

    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of learning_rate reached at the end")


class CosineRestarts(OpenLoop):
    """`rate: cosine in cycles of first_cycle * t_mul ** cycle, each from learning_rate * m_mul ** cycle`.

    Cycles count from 0. Only what lies above `final_ratio * learning_rate` is multiplied by `m_mul`.

    >>> rates = CosineRestarts(learning_rate=1, first_cycle=0.25, m_mul=0.5).rates(
    ...     Timeline(epochs=12, steps_per_epoch=1)
    ... )
    >>> [round(float(rate), 4) for rate in rates[:, 0]]
    [1.0, 0.75, 0.25, 0.5, 0.4665, 0.375, 0.25, 0.125, 0.0335, 0.25, 0.2457, 0.2333]
    """

    name = "cosine_restarts"
    formula = "rate: cosine in cycles of first_cycle * t_mul ** cycle, each from learning_rate * m_mul ** cycle"
    source = "Loshchilov and Hutter 2017, SGDR; Keras' CosineDecayRestarts"
    default_space: ClassVar[dict[str, Space]] = {
        "first_cycle": Range(low=0.1, high=0.5),
        "t_mul": Range(low=1.0, high=2.0),
        "m_mul": Range(low=0.5, high=1.0),
    }
    function = cosine_restarts

    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of learning_rate at the end of each cycle")
    first_cycle: float = Field(
        default=0.25, ge=0.005, le=1, description="share of the training that the first cycle takes"
    )
    t_mul: float = Field(
        default=2.0, ge=1, le=10, description="factor of each cycle's length to that of the one before"
    )
    m_mul: float = Field(default=1.0, gt=0, le=1, description="factor of each cycle's peak to that of the one before")
