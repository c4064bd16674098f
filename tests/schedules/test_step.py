"""Laws of step decay in its two readings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.step import Step, StepFromZero

TUTORIAL = Timeline(epochs=50, steps_per_epoch=9)

drops, periods = st.floats(0.01, 1), st.integers(1, 60)

each_reading = pytest.mark.parametrize("kind", [Step, StepFromZero])


def changes(schedule: Step) -> list[int]:
    """Return the epochs of the tutorial's training that begin with a rate of their own."""
    rates = schedule.rates(TUTORIAL)[:, 0]
    return [epoch for epoch in range(1, len(rates)) if rates[epoch] != rates[epoch - 1]]


def test_the_tutorials_code_drops_one_epoch_early() -> None:
    assert changes(Step(learning_rate=0.1, drop=0.5, epochs_drop=10)) == [9, 19, 29, 39, 49]


def test_the_tutorials_equation_drops_every_full_period() -> None:
    assert changes(StepFromZero(learning_rate=0.1, drop=0.5, epochs_drop=10)) == [10, 20, 30, 40]


@settings(deadline=None)
@given(drop=drops, epochs_drop=periods)
def test_the_two_readings_differ_by_one_epoch(drop: float, epochs_drop: int) -> None:
    early = Step(learning_rate=0.1, drop=drop, epochs_drop=epochs_drop).rates(TUTORIAL)
    late = StepFromZero(learning_rate=0.1, drop=drop, epochs_drop=epochs_drop).rates(TUTORIAL)
    assert (early[:-1] == late[1:]).all()


def test_a_drop_every_epoch_starts_one_drop_down_in_the_code_only() -> None:
    assert Step(learning_rate=0.1, drop=0.5, epochs_drop=1).rates(TUTORIAL)[0, 0] == 0.05
    assert StepFromZero(learning_rate=0.1, drop=0.5, epochs_drop=1).rates(TUTORIAL)[0, 0] == 0.1


@each_reading
@settings(deadline=None)
@given(drop=drops, epochs_drop=periods)
def test_the_rate_changes_by_the_drop_or_not_at_all(kind: type[Step], drop: float, epochs_drop: int) -> None:
    rates = kind(learning_rate=0.1, drop=drop, epochs_drop=epochs_drop).rates(TUTORIAL)[:, 0]
    for before, after in pairwise(rates):
        assert after == before or after == pytest.approx(before * drop)


@each_reading
def test_the_batches_of_an_epoch_share_its_rate(kind: type[Step]) -> None:
    rates = kind(learning_rate=0.1, drop=0.5, epochs_drop=10).rates(TUTORIAL)
    assert (rates == rates[:, :1]).all()


@each_reading
def test_a_drop_by_nothing_is_a_constant_rate(kind: type[Step]) -> None:
    assert (kind(learning_rate=0.1, drop=1.0, epochs_drop=3).rates(TUTORIAL) == 0.1).all()


@each_reading
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("drop", value) for value in (0.0, -0.5, 1.1, float("nan"), float("inf"), "0.5", True)),
        *(("epochs_drop", value) for value in (0, -1, 2.0, float("nan"), float("inf"), "10", True)),
    ],
)
def test_a_bad_parameter_is_named(kind: type[Step], parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n"):
        kind.model_validate({"learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10, parameter: value})


@each_reading
@pytest.mark.parametrize("parameter", ["drop", "epochs_drop"])
def test_a_missing_parameter_is_named(kind: type[Step], parameter: str) -> None:
    given_parameters = {"learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}
    del given_parameters[parameter]
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n.*required"):
        kind.model_validate(given_parameters)
