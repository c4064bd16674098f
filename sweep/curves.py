"""What a loss curve shows by itself: rules for one training of `sweep train`, and for the mean of many runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sweep.schedules import Numbers

FEWEST_EPOCHS = 8  # with fewer, a loss that has not fallen yet proves nothing


def guessing_loss(shares: ArrayLike) -> float:
    """Return the cross-entropy of a network that knows nothing but the classes' shares; at most `ln(classes)`.

    >>> round(guessing_loss([0.5, 0.5, 0.0]), 4)
    0.6931
    """
    known = np.asarray(shares, np.float64)
    known = known[known > 0]
    return float(-(known * np.log(known)).sum())


@dataclass(frozen=True)
class LossCurve:
    """A training loss by epoch, `[epochs]`, and the loss of a network that knows nothing of its inputs.

    The limits were set on the default study's rows: over its recipes nothing is found, and each fault, made on
    purpose, is.
    """

    values: Numbers
    guessing: float

    @property
    def second_half(self) -> Numbers:
        """The loss in the second half of the epochs."""
        return self.values[len(self.values) // 2 :]

    @property
    def falls(self) -> bool:
        """Whether the loss still falls steadily, however high it is."""
        return bool((np.diff(self.second_half) < 0).mean() > 0.9)

    @property
    def level(self) -> float:
        """The mean loss in the last quarter of the epochs."""
        return float(self.values[-max(1, len(self.values) // 4) :].mean())

    def broken(self) -> int | None:
        """Return the first epoch, from 1, whose loss is no number; None without any."""
        epochs = np.flatnonzero(~np.isfinite(self.values))
        return int(epochs[0]) + 1 if len(epochs) else None

    def unsteady(self) -> str:
        """Return how the loss moves where rate or momentum are too high, in words; empty if it does not."""
        loss, half = self.values, self.second_half
        if len(loss) < FEWEST_EPOCHS or self.falls:
            return ""
        quarter, level, steps = loss[-(len(loss) // 4) :], float(half.mean()), np.diff(half)
        above = quarter.mean() > 1.05 * self.guessing and quarter.min() > 0.9 * loss.min()
        rising = level > self.guessing / 2 and quarter.mean() > 1.5 * loss.min()
        swinging = level > 0.4 * self.guessing and np.median(np.abs(steps)) > 0.06 * level and (steps > 0).mean() > 0.3
        if not (above or rising or swinging):
            return ""
        return "stays above that of guessing" if above else "rises again" if rising else "goes up and down"

    def stuck(self) -> bool:
        """Say whether the loss rests where that of guessing is."""
        half = self.second_half
        close = half.min() > 0.95 * self.guessing and np.ptp(half) < 0.05 * self.guessing
        return bool(len(self.values) >= FEWEST_EPOCHS and close and not self.falls)
