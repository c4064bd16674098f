"""The time axis of one training, on which schedules are functions.

It stands alone so that a schedule needs to know neither data nor trainer, only how long a training is.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Numbers: TypeAlias = NDArray[np.float64]


class Clock(BaseModel):
    """A training of `epochs` epochs with `steps_per_epoch` batches each; both count from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)

    @property
    def epoch(self) -> Numbers:
        """The number of finished epochs at each step, `[epochs, steps_per_epoch]`."""
        counted = np.arange(self.epochs, dtype=np.float64)[:, None]
        return np.repeat(counted, self.steps_per_epoch, axis=1)

    @property
    def batch(self) -> Numbers:
        """The number of finished batches at each step, `[epochs, steps_per_epoch]`."""
        counted = np.arange(self.epochs * self.steps_per_epoch, dtype=np.float64)
        return counted.reshape(self.epochs, self.steps_per_epoch)
