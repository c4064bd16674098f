"""Laws of the rate that falls when the accuracy falls."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.errors import BadInput
from sweep.schedules import read_schedule
from sweep.schedules.accuracy_drop import AccuracyDrop


def test_every_fall_of_the_accuracy_lowers_the_rate_of_the_next_epoch() -> None:
    gains = AccuracyDrop(learning_rate=0.1, factor=0.5).gains([0.5, 0.6, 0.55, 0.54, 0.54, 0.9, 0.8, 0.8])
    assert gains.tolist() == [1.0, 1.0, 1.0, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_a_fall_within_the_least_change_is_none() -> None:
    gains = AccuracyDrop(learning_rate=0.1, factor=0.5, min_delta=0.1).gains([0.5, 0.45, 0.3, 0.3])
    assert gains.tolist() == [1.0, 1.0, 1.0, 0.5]


def test_the_rate_never_falls_below_the_floor() -> None:
    gains = AccuracyDrop(learning_rate=0.1, factor=0.5, floor=0.3).gains([0.9, 0.8, 0.7, 0.6, 0.5])
    assert gains.tolist() == [1.0, 1.0, 0.5, 0.3, 0.3]


def test_an_accuracy_that_is_no_number_is_passed_over() -> None:
    gains = AccuracyDrop(learning_rate=0.1, factor=0.5).gains([0.9, float("nan"), 0.8, 0.8])
    assert gains.tolist() == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("monitor", value) for value in ("loss", "val_loss", "auc", None)),
        *(("factor", value) for value in (0.0, 1.0, -0.1, float("nan"))),
        *(("min_delta", value) for value in (-0.1, float("nan"))),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(BadInput, match=rf"^{parameter}: "):
        read_schedule({"name": "accuracy_drop", "learning_rate": 0.1, parameter: value})
