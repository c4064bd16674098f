"""Laws of the rate that follows the cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sweep.errors import BadInput
from sweep.schedules import Timeline, read_schedule
from sweep.schedules.cost_driven import CostDriven


def test_the_rate_is_the_exponential_of_the_last_cost() -> None:
    rates = CostDriven(learning_rate=0.1).rates(Timeline(epochs=4, steps_per_epoch=1), [2.0, 1.0, 0.5, 0.0])
    assert rates[:, 0].tolist() == pytest.approx([0.1, 0.1 * math.e**2, 0.1 * math.e, 0.1 * math.e**0.5])


def test_the_rate_stays_between_floor_and_highest() -> None:
    gains = CostDriven(learning_rate=0.1, floor=0.5, highest=3).gains([100.0, 1e6, -5.0, -1e6, 0.0])
    assert gains.tolist() == [1.0, 3.0, 3.0, 0.5, 0.5]


@pytest.mark.parametrize("cost", [math.nan, math.inf])
def test_a_cost_that_is_not_finite_leaves_the_rate(cost: float) -> None:
    gains = CostDriven(learning_rate=0.1).gains([0.5, cost, cost, 0.1, 0.0])
    assert gains.tolist() == pytest.approx([1.0, *[math.exp(0.5)] * 3, math.exp(0.1)])


def test_it_watches_the_loss_unless_told_otherwise() -> None:
    assert CostDriven(learning_rate=0.1).monitor == "loss"


def test_a_falling_cost_lowers_the_rate() -> None:
    gains = CostDriven(learning_rate=0.1).gains(np.linspace(2, 0, 20).tolist())
    assert (np.diff(gains[1:]) < 0).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("monitor", value) for value in ("accuracy", "val_accuracy", "cost", None)),
        *(("highest", value) for value in (0.9, 0.0, -1.0, float("nan"), float("inf"), "10")),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(BadInput, match=rf"^{parameter}: "):
        read_schedule({"name": "cost_driven", "learning_rate": 0.1, parameter: value})
