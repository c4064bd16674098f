"""REX, the reflected exponential: nearly linear at first, steep at the end."""

from __future__ import annotations

from sweep.schedules.base import OpenLoop
from sweep.schedules.timeline import Numbers, Timeline


def rex(time: Timeline, learning_rate: float) -> Numbers:
    """Return the rate that falls ever faster, to 0 at the end."""
    return learning_rate * (1 - time.fraction) / (1 - time.fraction / 2)


class Rex(OpenLoop):
    """`rate = learning_rate * (1 - fraction) / (1 - fraction / 2)`.

    >>> rates = Rex(learning_rate=1).rates(Timeline(epochs=4, steps_per_epoch=1))
    >>> [round(float(rate), 4) for rate in rates[:, 0]]
    [1.0, 0.8571, 0.6667, 0.4]
    """

    name = "rex"
    formula = "rate = learning_rate * (1 - fraction) / (1 - fraction / 2)"
    source = "Chen et al. 2021, REX: Revisiting Budgeted Training"
    function = rex
