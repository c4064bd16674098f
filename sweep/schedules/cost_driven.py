"""The rate is large while the cost is high, and falls with it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sweep.schedules.base import ClosedLoop, State
from sweep.space import Range, Space


def cost_driven(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Set the gain to `exp(cost)` within its bounds; after a cost that is not finite it stays as it is."""
    finite = cost < float("inf")
    exponent = xp.minimum(xp.where(finite, cost, 0.0), 80.0)  # exp of more overflows in single precision
    gain = xp.minimum(xp.maximum(xp.exp(exponent), schedule.floor), schedule.highest)
    return {"gain": xp.where(finite, gain, state["gain"])}


class CostDriven(ClosedLoop):
    """`rate: learning_rate * exp(monitor) after each epoch, at most highest * learning_rate`.

    The first epoch, before which no cost is known, has `learning_rate`.

    >>> [round(float(gain), 4) for gain in CostDriven(learning_rate=0.1).gains([2.0, 0.5, 0.1, 0.0])]
    [1.0, 7.3891, 1.6487, 1.1052]
    """

    name = "cost_driven"
    formula = "rate: learning_rate * exp(monitor) after each epoch, at most highest * learning_rate"
    source = "the tutorial's readers"
    default_space: ClassVar[dict[str, Space]] = {
        "highest": Range(low=1.5, high=30.0, log=True),
    }
    advance = cost_driven
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0}

    monitor: Literal["loss", "val_loss"] = Field(default="loss", description="what is watched")
    highest: float = Field(default=10.0, ge=1, le=1e6, description="highest rate, a multiple of learning_rate")
