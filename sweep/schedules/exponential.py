"""Exponential decay: equal times lower the rate by equal factors, in three resolutions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def exponential(time: Timeline, learning_rate: float, final_ratio: float) -> Numbers:
    """Return the rate that each epoch lowers by the same factor."""
    return learning_rate * final_ratio ** (time.epoch / time.budget)


def exponential_by_batch(time: Timeline, learning_rate: float, final_ratio: float) -> Numbers:
    """Return the rate that each batch lowers by the same factor."""
    return learning_rate * final_ratio**time.fraction


def exponential_staircase(time: Timeline, learning_rate: float, final_ratio: float, stairs: int) -> Numbers:
    """Return the rate that falls by the same factor at the end of each of `stairs` equal parts of the time."""
    return learning_rate * final_ratio ** (np.floor(stairs * time.batch / time.batches) / stairs)


class Exponential(OpenLoop):
    """`rate = learning_rate * final_ratio ** (epoch / epochs)`, where `epochs` is the budget.

    >>> rates = Exponential(learning_rate=1, final_ratio=0.0001).rates(Timeline(epochs=4, steps_per_epoch=2))
    >>> [[float(f"{rate:.3g}") for rate in epoch] for epoch in rates]
    [[1.0, 1.0], [0.1, 0.1], [0.01, 0.01], [0.001, 0.001]]
    """

    name = "exponential"
    formula = "rate = learning_rate * final_ratio ** (epoch / epochs)"
    source = "Keras' ExponentialDecay, by epoch"
    default_space: ClassVar[dict[str, Space]] = {"final_ratio": Range(low=1e-4, high=0.5, log=True)}
    function = exponential

    final_ratio: float = Field(default=0.01, gt=0, le=1, description="share of learning_rate reached at the end")


class ExponentialByBatch(OpenLoop):
    """`rate = learning_rate * final_ratio ** fraction`.

    >>> rates = ExponentialByBatch(learning_rate=1, final_ratio=0.0001).rates(Timeline(epochs=2, steps_per_epoch=2))
    >>> [[float(f"{rate:.3g}") for rate in epoch] for epoch in rates]
    [[1.0, 0.1], [0.01, 0.001]]
    """

    name = "exponential_by_batch"
    formula = "rate = learning_rate * final_ratio ** fraction"
    source = "Keras' ExponentialDecay"
    default_space: ClassVar[dict[str, Space]] = {"final_ratio": Range(low=1e-4, high=0.5, log=True)}
    function = exponential_by_batch

    final_ratio: float = Field(default=0.01, gt=0, le=1, description="share of learning_rate reached at the end")


class ExponentialStaircase(OpenLoop):
    """`rate = learning_rate * final_ratio ** (floor(stairs * batch / batches) / stairs)`.

    >>> schedule = ExponentialStaircase(learning_rate=1, final_ratio=0.01, stairs=2)
    >>> [float(f"{rate:.3g}") for rate in schedule.rates(Timeline(epochs=4, steps_per_epoch=1))[:, 0]]
    [1.0, 1.0, 0.1, 0.1]
    """

    name = "exponential_staircase"
    formula = "rate = learning_rate * final_ratio ** (floor(stairs * batch / batches) / stairs)"
    source = "Keras' ExponentialDecay with staircase"
    default_space: ClassVar[dict[str, Space]] = {
        "final_ratio": Range(low=1e-4, high=0.5, log=True),
        "stairs": Range(low=2, high=10),
    }
    function = exponential_staircase

    final_ratio: float = Field(default=0.01, gt=0, le=1, description="share of learning_rate reached at the end")
    stairs: int = Field(default=5, ge=1, le=1_000_000, description="number of equal stairs in the training")
