"""The schedules that watch the training, each a rule that gives the next epoch's state, and its parameters."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field

from sweep.schedules.base import HIGHEST, ClosedLoop, State, span
from sweep.space import Space


def plateau(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Lower the gain by `factor` after `patience` epochs without improvement, then rest for `cooldown` epochs."""
    better = cost + schedule.min_delta < state["best"]
    resting = xp.maximum(state["resting"] - 1.0, 0.0)
    counts = xp.logical_not(xp.logical_or(better, resting > 0.0))
    waited = xp.where(xp.logical_or(better, state["resting"] > 0.0), 0.0, state["waited"])
    waited = xp.where(counts, waited + 1.0, waited)
    enough = xp.logical_and(counts, waited >= schedule.patience)
    lower = xp.logical_and(enough, state["gain"] > schedule.floor)
    return {
        "gain": xp.where(lower, xp.maximum(state["gain"] * schedule.factor, schedule.floor), state["gain"]),
        "best": xp.where(better, cost, state["best"]),
        "waited": xp.where(lower, 0.0, waited),
        "resting": xp.where(lower, schedule.cooldown, resting),
    }


class Plateau(ClosedLoop):
    """`rate: falls by factor after patience epochs in which monitor did not improve by min_delta`.

    >>> Plateau(learning_rate=0.1, factor=0.5, patience=2).gains([0.9, 0.8, 0.8, 0.8, 0.7]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.5]
    """

    name = "plateau"
    source = "Keras' ReduceLROnPlateau"
    default_space: ClassVar[dict[str, Space]] = {"factor": span(0.1, 0.9), "patience": span(1, 20)}
    advance = plateau
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0, "best": math.inf, "waited": 0.0, "resting": 0.0}

    factor: float = Field(default=0.1, gt=0, lt=1, description="factor of the rate at each reduction")
    patience: int = Field(
        default=10, ge=1, le=1_000_000, description="number of epochs without improvement before a reduction"
    )
    cooldown: int = Field(
        default=0, ge=0, le=1_000_000, description="number of epochs after a reduction in which none is counted"
    )
    min_delta: float = Field(
        default=1e-4, ge=0, le=HIGHEST, description="least change of monitor that counts as an improvement"
    )


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

    >>> AccuracyDrop(learning_rate=0.1, factor=0.5).gains([0.7, 0.8, 0.6, 0.6, 0.7]).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    name = "accuracy_drop"
    source = "the braking half of the bold driver, Battiti 1989"
    default_space: ClassVar[dict[str, Space]] = {"factor": span(0.3, 0.95)}
    advance = accuracy_drop
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0, "last": math.inf}

    monitor: Literal["accuracy", "val_accuracy"] = Field(default="val_accuracy", description="what is watched")
    factor: float = Field(default=0.5, gt=0, lt=1, description="factor of the rate at each reduction")
    min_delta: float = Field(default=0.0, ge=0, le=HIGHEST, description="fall of monitor up to which the rate stays")


def plateau_rebound(xp: Any, state: State, cost: Any, schedule: Any) -> State:
    """Lower the gain as `plateau` does, and after `reductions` of them raise it to `rebound` and start anew.

    The gain is also raised when it can fall no further, but never after a cost that is not finite.
    """
    better = cost + schedule.min_delta < state["best"]
    resting = xp.maximum(state["resting"] - 1.0, 0.0)
    counts = xp.logical_not(xp.logical_or(better, resting > 0.0))
    waited = xp.where(xp.logical_or(better, state["resting"] > 0.0), 0.0, state["waited"])
    waited = xp.where(counts, waited + 1.0, waited)
    enough = xp.logical_and(counts, waited >= schedule.patience)
    last = xp.logical_or(state["reduced"] >= schedule.reductions, state["gain"] <= schedule.floor)
    lower = xp.logical_and(enough, xp.logical_not(last))
    higher = xp.logical_and(xp.logical_and(enough, last), cost < float("inf"))
    lowered = xp.where(lower, xp.maximum(state["gain"] * schedule.factor, schedule.floor), state["gain"])
    moved = xp.logical_or(lower, higher)
    return {
        "gain": xp.where(higher, xp.maximum(state["gain"], schedule.rebound), lowered),
        "best": xp.where(higher, float("inf"), xp.where(better, cost, state["best"])),
        "waited": xp.where(moved, 0.0, waited),
        "resting": xp.where(moved, schedule.cooldown, resting),
        "reduced": xp.where(higher, 0.0, xp.where(lower, state["reduced"] + 1.0, state["reduced"])),
    }


class PlateauRebound(Plateau):
    """`rate: as plateau; after reductions reductions, the next stagnation raises it to rebound * learning_rate`.

    A stagnation raises the rate as well once the floor is reached. Then all counting starts again, and improvement
    is measured from the next epoch on. The rate never falls by a rebound.

    >>> schedule = PlateauRebound(learning_rate=0.1, factor=0.5, patience=1, reductions=2, rebound=0.8)
    >>> schedule.gains([0.5] * 7).tolist()
    [1.0, 1.0, 0.5, 0.25, 0.8, 0.8, 0.4]
    """

    name = "plateau_rebound"
    source = "Keras' ReduceLROnPlateau, with the restarts of Loshchilov and Hutter 2017"
    default_space: ClassVar[dict[str, Space]] = {
        "factor": span(0.1, 0.9),
        "patience": span(1, 10),
        "reductions": span(1, 4),
    }
    advance = plateau_rebound
    initial_state: ClassVar[dict[str, float]] = {**Plateau.initial_state, "reduced": 0.0}

    reductions: int = Field(default=2, ge=1, le=1_000_000, description="number of reductions before a rebound")
    rebound: float = Field(default=1.0, gt=0, le=1e6, description="rate after a rebound, a multiple of learning_rate")


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
    source = "the tutorial's readers"
    default_space: ClassVar[dict[str, Space]] = {"highest": span(1.5, 30.0, log=True)}
    advance = cost_driven
    initial_state: ClassVar[dict[str, float]] = {"gain": 1.0}

    monitor: Literal["loss", "val_loss"] = Field(default="loss", description="what is watched")
    highest: float = Field(default=10.0, ge=1, le=1e6, description="highest rate, a multiple of learning_rate")
