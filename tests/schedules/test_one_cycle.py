"""Laws of the one-cycle rate and of the momentum that moves against it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.one_cycle import OneCycle

CLOCK = Timeline(epochs=10, steps_per_epoch=8)  # batch 20 is at a quarter, 24 at 0.3


def test_the_rate_begins_at_its_start_is_highest_at_the_peak_and_ends_at_its_final_ratio() -> None:
    rates = OneCycle(learning_rate=0.5, final_ratio=0.001).rates(CLOCK).ravel()
    assert rates[0] == pytest.approx(0.5 * 0.04)
    assert rates.argmax() == 24
    assert rates[24] == 0.5
    assert rates[-1] == pytest.approx(0.5 * 0.001, rel=1.0)


def test_half_way_through_each_half_cosine_the_rate_is_half_way() -> None:
    rates = OneCycle(learning_rate=1, peak_at=0.5, start_ratio=0.2, final_ratio=0.1).rates(CLOCK).ravel()
    assert rates[[20, 60]].tolist() == pytest.approx([(0.2 + 1) / 2, (1 + 0.1) / 2])


def test_a_third_of_a_half_cosine_passes_a_quarter_of_the_way() -> None:
    rates = OneCycle(learning_rate=1, peak_at=0.3, start_ratio=0.0).rates(CLOCK).ravel()
    assert rates[8] == pytest.approx(0.25)


def test_the_momentum_is_lowest_where_the_rate_is_highest() -> None:
    momenta = OneCycle(learning_rate=1, momentum_dip=0.1).momenta(CLOCK, 0.95).ravel()
    assert momenta[0] == 0.95
    assert momenta.argmin() == 24
    assert momenta[24] == pytest.approx(0.855)


def test_momentum_and_rate_move_against_each_other_at_every_step() -> None:
    schedule = OneCycle(learning_rate=1)
    rates, momenta = schedule.rates(CLOCK).ravel(), schedule.momenta(CLOCK, 0.9).ravel()
    assert (np.sign(np.diff(rates)) == -np.sign(np.diff(momenta))).all()


def test_the_momentum_waits_for_the_warm_up() -> None:
    schedule = OneCycle(learning_rate=1, warmup=0.25)
    momenta = schedule.momenta(CLOCK, 0.9).ravel()
    assert (momenta[:21] == 0.9).all()
    assert momenta.argmin() == 20 + 18


def test_a_momentum_without_a_dip_stays() -> None:
    assert (OneCycle(learning_rate=1, momentum_dip=0).momenta(CLOCK, 0.9) == 0.9).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("peak_at", value) for value in (0.0, 1.0, -0.1, float("nan"), "0.3")),
        *(("start_ratio", value) for value in (-0.1, 1.1, float("nan"))),
        *(("final_ratio", value) for value in (-0.1, 1.1, float("nan"))),
        *(("momentum_dip", value) for value in (-0.1, 1.1, float("nan"))),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n"):
        OneCycle.model_validate({"learning_rate": 0.1, parameter: value})
