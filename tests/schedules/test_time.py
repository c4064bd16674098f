"""Laws of time-based decay, and the numbers that the tutorial prints of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.time import Time, TimeByBatch, TimeCompounding
from tests.schedules.keras_rates import keras_rates

TUTORIAL = Timeline(epochs=50, steps_per_epoch=9)
READINGS = [Time, TimeCompounding, TimeByBatch]

learning_rates, decays = st.floats(1e-6, 10), st.floats(0, 1)
clocks = st.builds(Timeline, epochs=st.integers(1, 60), steps_per_epoch=st.integers(1, 10))

each_reading = pytest.mark.parametrize("kind", READINGS)


def test_compounding_gives_the_tutorials_table() -> None:
    rates = TimeCompounding(learning_rate=0.1, decay=0.001).rates(Timeline(epochs=5, steps_per_epoch=9))
    table = [0.1, 0.0999000999, 0.0997006985, 0.09940249103, 0.09900646517]
    assert rates[:, 0].tolist() == pytest.approx(table, rel=1e-9)


def test_the_equation_does_not_give_the_tutorials_table() -> None:
    rates = Time(learning_rate=0.1, decay=0.001).rates(Timeline(epochs=5, steps_per_epoch=9))
    assert rates[2, 0] == pytest.approx(0.1 / 1.002)
    assert rates[2, 0] != pytest.approx(0.0997006985, rel=1e-4)


def test_by_batch_ends_the_tutorials_training_at_about_half_its_rate() -> None:
    last = TimeByBatch(learning_rate=0.1, decay=0.002).rates(TUTORIAL)[-1, -1]
    assert last == pytest.approx(0.1 / (1 + 0.002 * 449))
    assert last == pytest.approx(0.0527, abs=5e-5)


@each_reading
def test_the_default_decay_is_the_rate_over_the_epochs(kind: type[Time]) -> None:
    left_out = kind(learning_rate=0.1).rates(TUTORIAL)
    assert (left_out == kind(learning_rate=0.1, decay=0.1 / 50).rates(TUTORIAL)).all()


@each_reading
def test_the_default_decay_of_a_part_is_the_rate_over_the_epochs_of_the_part(kind: type[Time]) -> None:
    part = Timeline(epochs=50, steps_per_epoch=9).part(0, 45)
    own = kind(learning_rate=0.1).rates(part).ravel()[:45]
    assert own.tolist() == kind(learning_rate=0.1).rates(Timeline(epochs=5, steps_per_epoch=9)).ravel().tolist()


@each_reading
def test_no_decay_is_a_constant_rate_and_not_the_default(kind: type[Time]) -> None:
    assert (kind(learning_rate=0.1, decay=0.0).rates(TUTORIAL) == 0.1).all()


@each_reading
@settings(deadline=None)
@given(learning_rate=learning_rates, decay=decays, timeline=clocks)
def test_a_rate_never_rises(kind: type[Time], learning_rate: float, decay: float, timeline: Timeline) -> None:
    rates = kind(learning_rate=learning_rate, decay=decay).rates(timeline)
    assert (np.diff(rates.ravel()) <= 0).all()


@settings(deadline=None)
@given(learning_rate=learning_rates, decay=decays, timeline=clocks)
def test_compounding_decays_the_rate_of_the_epoch_before(
    learning_rate: float, decay: float, timeline: Timeline
) -> None:
    rates = TimeCompounding(learning_rate=learning_rate, decay=decay).rates(timeline)
    np.testing.assert_allclose(rates[1:], rates[:-1] / (1 + decay * timeline.epoch[1:]))


@pytest.mark.parametrize("kind", [Time, TimeCompounding])
def test_the_batches_of_an_epoch_share_its_rate(kind: type[Time]) -> None:
    rates = kind(learning_rate=0.1, decay=0.1).rates(TUTORIAL)
    assert (rates == rates[:, :1]).all()


@settings(deadline=None)
@given(learning_rate=learning_rates, decay=decays, epochs=st.integers(1, 100))
def test_with_one_batch_an_epoch_batches_are_epochs(learning_rate: float, decay: float, epochs: int) -> None:
    timeline = Timeline(epochs=epochs, steps_per_epoch=1)
    by_batch = TimeByBatch(learning_rate=learning_rate, decay=decay).rates(timeline)
    assert (by_batch == Time(learning_rate=learning_rate, decay=decay).rates(timeline)).all()


@settings(deadline=None, max_examples=10)
@given(learning_rate=st.floats(1e-3, 1), decay=st.floats(0, 1))
def test_by_batch_is_keras_inverse_time_decay(learning_rate: float, decay: float) -> None:
    timeline = Timeline(epochs=10, steps_per_epoch=4)
    ours = TimeByBatch(learning_rate=learning_rate, decay=decay).rates(timeline)
    np.testing.assert_allclose(ours, keras_rates("InverseTimeDecay", timeline, learning_rate, 1, decay), rtol=1e-6)


@settings(deadline=None, max_examples=10)
@given(learning_rate=st.floats(1e-3, 1), decay=st.floats(0, 1))
def test_by_epoch_is_keras_inverse_time_decay_in_stairs_of_an_epoch(learning_rate: float, decay: float) -> None:
    timeline = Timeline(epochs=10, steps_per_epoch=4)
    ours = Time(learning_rate=learning_rate, decay=decay).rates(timeline)
    theirs = keras_rates("InverseTimeDecay", timeline, learning_rate, 4, decay, staircase=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("kind", READINGS)
def test_the_strongest_decay_ends_in_a_rate_that_is_finite(kind: type[Time]) -> None:
    rates = kind(learning_rate=0.1, decay=1e6).rates(Timeline(epochs=1_000, steps_per_epoch=2))
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()


@each_reading
@pytest.mark.parametrize("decay", [-0.001, 1.1e6, float("nan"), float("inf"), "0.1", True])
def test_a_bad_decay_is_named(kind: type[Time], decay: Any) -> None:
    with pytest.raises(ValidationError, match=r"\ndecay\n"):
        kind.model_validate({"learning_rate": 0.1, "decay": decay})
