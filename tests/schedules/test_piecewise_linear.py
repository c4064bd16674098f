"""Laws of the rate on straight lines between points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.piecewise_linear import PiecewiseLinear
from sweep.schedules.polynomial import Linear


def through(points: Any) -> PiecewiseLinear:
    return PiecewiseLinear.model_validate({"learning_rate": 0.2, "points": points})


def test_the_rate_passes_through_every_point_and_halves_the_way_between_them() -> None:
    rates = through("0:0 0.25:1 0.75:0.5 1:0.1").rates(Timeline(epochs=8, steps_per_epoch=1))[:, 0]
    assert rates.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.175, 0.15, 0.125, 0.1, 0.06], rel=1e-12)


def test_two_points_are_a_linear_decay() -> None:
    timeline = Timeline(epochs=7, steps_per_epoch=3)
    ours = through("0:1 1:0.3").rates(timeline)
    np.testing.assert_allclose(ours, Linear(learning_rate=0.2, final_ratio=0.3).rates(timeline), rtol=1e-12)


def test_points_may_be_text_or_a_list_of_pairs() -> None:
    assert through("0:1 1:0.5") == through([[0, 1], (1, 0.5)])


@pytest.mark.parametrize("points", ["", "0:1", "0:1 0.5:1", "0.1:1 1:0", "0:1 0.6:1 0.5:1 1:0", "0:1 1:-1", "0 1", 1])
def test_bad_points_are_named(points: Any) -> None:
    with pytest.raises(ValidationError, match=r"\npoints\n"):
        through(points)
