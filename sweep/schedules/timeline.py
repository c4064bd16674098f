"""The time axis of one training, on which schedules are functions.

It stands alone so that a schedule needs to know neither data nor trainer, only how long a training is.
"""

from __future__ import annotations

from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Numbers: TypeAlias = NDArray[np.float64]


class Timeline(BaseModel):
    """A training of `epochs` epochs with `steps_per_epoch` batches each; both count from 0.

    A part of it, from batch `begin` to before batch `end`, has a time of its own: 0 until it begins, and still after
    its last batch. Arrays always have the shape of the whole training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: int = Field(ge=1)
    steps_per_epoch: int = Field(ge=1)
    begin: int = Field(default=0, ge=0)
    end: int | None = None

    @model_validator(mode="after")
    def _has_a_batch(self) -> Self:
        if not self.begin < self.last <= self.epochs * self.steps_per_epoch:
            raise ValueError(f"a part must hold at least one batch of the training, got {self.begin} to {self.last}.")
        return self

    def part(self, begin: int, end: int) -> Timeline:
        """Return the time of the batches from `begin` to before `end`, counted within this timeline's own part."""
        return Timeline(
            epochs=self.epochs, steps_per_epoch=self.steps_per_epoch, begin=self.begin + begin, end=self.begin + end
        )

    @property
    def last(self) -> int:
        """The batch at which this part ends, counted in the whole training."""
        return self.epochs * self.steps_per_epoch if self.end is None else self.end

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return self.last - self.begin

    @property
    def budget(self) -> float:
        """How many epochs there are; a part may hold a fraction of one."""
        return self.batches / self.steps_per_epoch

    @property
    def batch(self) -> Numbers:
        """The number of finished batches at each step, `[epochs, steps_per_epoch]`."""
        counted = np.arange(self.epochs * self.steps_per_epoch, dtype=np.float64) - self.begin
        return np.clip(counted, 0, self.batches - 1).reshape(self.epochs, self.steps_per_epoch)

    @property
    def epoch(self) -> Numbers:
        """The number of finished epochs at each step, `[epochs, steps_per_epoch]`."""
        return np.floor(self.batch / self.steps_per_epoch)

    @property
    def fraction(self) -> Numbers:
        """The finished share of the batches at each step, from 0 to just below 1, `[epochs, steps_per_epoch]`."""
        return self.batch / self.batches
