"""The law of the constant rate."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.schedules import Timeline
from sweep.schedules.constant import Constant


@settings(deadline=None)
@given(rate=st.floats(1e-300, 1e30), epochs=st.integers(1, 100), steps=st.integers(1, 20))
def test_every_step_has_the_initial_rate(rate: float, epochs: int, steps: int) -> None:
    rates = Constant(learning_rate=rate).rates(Timeline(epochs=epochs, steps_per_epoch=steps))
    assert rates.tolist() == [[rate] * steps] * epochs
