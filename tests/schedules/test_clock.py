"""Laws of the time axis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Clock

clocks = st.builds(Clock, epochs=st.integers(1, 100), steps_per_epoch=st.integers(1, 20))


@settings(deadline=None)
@given(clock=clocks)
def test_both_counts_have_an_entry_for_every_step(clock: Clock) -> None:
    assert clock.epoch.shape == clock.batch.shape == (clock.epochs, clock.steps_per_epoch)


@settings(deadline=None)
@given(clock=clocks)
def test_batches_count_from_zero_through_all_epochs(clock: Clock) -> None:
    assert clock.batch.ravel().tolist() == list(range(clock.epochs * clock.steps_per_epoch))


@settings(deadline=None)
@given(clock=clocks)
def test_an_epoch_is_finished_when_all_its_batches_are(clock: Clock) -> None:
    assert (clock.epoch == clock.batch // clock.steps_per_epoch).all()


@pytest.mark.parametrize("field", ["epochs", "steps_per_epoch"])
@pytest.mark.parametrize("count", [0, -1, 1.0, True, "1"])
def test_a_training_without_a_whole_number_of_steps_is_refused(field: str, count: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{field}\n"):
        Clock.model_validate({"epochs": 1, "steps_per_epoch": 1, field: count})
