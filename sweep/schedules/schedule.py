"""What every schedule is: a frozen set of parameters and a pure function from time to learning rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sweep.ranges import Space, Value
from sweep.schedules.clock import Clock, Numbers


class Schedule(BaseModel, ABC):
    """The rule that gives the learning rate of every step of a training.

    A subclass states its `name`, its `formula`, where it comes from (`source`), its own parameters as fields,
    and a `default_space` from which a search draws each of them when a study file does not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    default_space: ClassVar[dict[str, Space]] = {}

    learning_rate: float = Field(gt=0, description="initial learning rate")

    @abstractmethod
    def rates(self, clock: Clock) -> Numbers:
        """Return the learning rate of each step, `[epochs, steps_per_epoch]`."""

    @classmethod
    def own_parameters(cls) -> tuple[str, ...]:
        """Return the names of the parameters that other schedules need not have."""
        return tuple(name for name in cls.model_fields if name != "learning_rate")

    @property
    def parameters(self) -> dict[str, Value]:
        """The values of this schedule's own parameters; one left to its default is left out."""
        return self.model_dump(include=set(self.own_parameters()), exclude_none=True)
