"""The rate is lowered whenever the watched accuracy falls."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field

from sweep.schedules.base import HIGHEST, ClosedLoop, State
from sweep.space import Range, Space


def accuracy_drop(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Lower the gain by `factor` if the cost is higher than an epoch ago; one that is no number changes nothing."""
    fell = cost > state["last"] + schedule.min_delta
    lower = xp.logical_and(fell, state["gain"] > schedule.floor)
    return {
        "gain": xp.where(lower, xp.maximum(state["gain"] * schedule.factor, schedule.floor), state["gain"]),
        "last": xp.where(cost < float("inf"), cost, state["last"]),
    }


class AccuracyDrop(ClosedLoop):
    """`rate: falls by factor after an epoch in which monitor fell by more than min_delta`.

    >>> schedule = AccuracyDrop(learning_rate=0.1, factor=0.5)
    >>> schedule.gains([0.7, 0.8, 0.6, 0.6, 0.7]).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    name = "accuracy_drop"
    formula = "rate: falls by factor after an epoch in which monitor fell by more than min_delta"
    source = "the braking half of the bold driver, Battiti 1989"
    default_space: ClassVar[dict[str, Space]] = {
        "factor": Range(low=0.3, high=0.95),
    }
    advance = accuracy_drop
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0, "last": math.inf}

    monitor: Literal["accuracy", "val_accuracy"] = Field(default="val_accuracy", description="what is watched")
    factor: float = Field(default=0.5, gt=0, lt=1, description="factor of the rate at each reduction")
    min_delta: float = Field(default=0.0, ge=0, le=HIGHEST, description="fall of monitor up to which the rate stays")
