"""Laws of the rate that rises, stays and falls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.warmup_stable_decay import WarmupStableDecay

CLOCK = Timeline(epochs=20, steps_per_epoch=5)


def test_by_default_the_first_twentieth_warms_up() -> None:
    rates = WarmupStableDecay(learning_rate=0.1).rates(CLOCK).ravel()
    assert rates[:6].tolist() == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])


def test_the_rate_stays_until_the_fall_begins() -> None:
    rates = WarmupStableDecay(learning_rate=0.1, warmup=0, decay_from=0.8, final_ratio=0.1).rates(CLOCK).ravel()
    assert (rates[:81] == 0.1).all()
    assert rates[[90, 99]].tolist() == pytest.approx([0.055, 0.1 * (1 - 0.9 * 0.95)])


def test_the_fall_is_a_straight_line() -> None:
    rates = WarmupStableDecay(learning_rate=1, warmup=0, decay_from=0.5).rates(CLOCK).ravel()
    np.testing.assert_allclose(np.diff(rates[50:]), -0.02, rtol=1e-9)


def test_its_warm_up_is_told_because_it_has_one_by_default() -> None:
    assert WarmupStableDecay(learning_rate=0.1).used_parameters["warmup"] == 0.05
    assert "warmup" not in WarmupStableDecay(learning_rate=0.1, warmup=0).used_parameters


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("decay_from", value) for value in (-0.1, 1.0, float("nan"), "0.8")),
        *(("final_ratio", value) for value in (-0.1, 1.1, float("nan"))),
        *(("warmup", value) for value in (-0.1, 1.0, float("nan"))),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n"):
        WarmupStableDecay.model_validate({"learning_rate": 0.1, parameter: value})
