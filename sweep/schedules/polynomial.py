"""The rate falls to its end in a straight line, or along a power of the time that is left."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline
from sweep.space import Range, Space


def linear(time: Timeline, learning_rate: float, final_ratio: float) -> Numbers:
    """Return the rate on a straight line."""
    return learning_rate * (final_ratio + (1 - final_ratio) * (1 - time.fraction))


def polynomial(time: Timeline, learning_rate: float, final_ratio: float, power: float) -> Numbers:
    """Return the rate that follows a power of the share of the time that is left."""
    return learning_rate * (final_ratio + (1 - final_ratio) * (1 - time.fraction) ** power)


class Linear(OpenLoop):
    """`rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 - fraction))`.

    >>> Linear(learning_rate=1).rates(Timeline(epochs=4, steps_per_epoch=1))[:, 0].tolist()
    [1.0, 0.75, 0.5, 0.25]
    """

    name = "linear"
    formula = "rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 - fraction))"
    source = "Keras' PolynomialDecay with power 1"
    default_space: ClassVar[dict[str, Space]] = {"final_ratio": Range(low=0.0, high=0.3)}
    function = linear

    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of learning_rate reached at the end")


class Polynomial(OpenLoop):
    """`rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 - fraction) ** power)`.

    >>> Polynomial(learning_rate=1, power=2).rates(Timeline(epochs=4, steps_per_epoch=1))[:, 0].tolist()
    [1.0, 0.5625, 0.25, 0.0625]
    """

    name = "polynomial"
    formula = "rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 - fraction) ** power)"
    source = "Keras' PolynomialDecay"
    default_space: ClassVar[dict[str, Space]] = {
        "final_ratio": Range(low=0.0, high=0.3),
        "power": Range(low=0.5, high=4.0, log=True),
    }
    function = polynomial

    final_ratio: float = Field(default=0.0, ge=0, le=1, description="share of learning_rate reached at the end")
    power: float = Field(default=2.0, gt=0, le=100, description="power of the share of the training that is left")
