"""Laws of exponential decay in its three resolutions, and their equality with Keras'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import OpenLoop, Timeline
from sweep.schedules.exponential import Exponential, ExponentialByBatch, ExponentialStaircase
from tests.schedules.keras_rates import keras_rates

CLOCK = Timeline(epochs=12, steps_per_epoch=5)

learning_rates, ratios = st.floats(1e-3, 1), st.floats(1e-4, 1)
each_resolution = pytest.mark.parametrize("kind", [Exponential, ExponentialByBatch, ExponentialStaircase])


@settings(deadline=None, max_examples=10)
@given(learning_rate=learning_rates, final_ratio=ratios)
def test_by_batch_is_keras_exponential_decay_over_all_batches(learning_rate: float, final_ratio: float) -> None:
    ours = ExponentialByBatch(learning_rate=learning_rate, final_ratio=final_ratio).rates(CLOCK)
    theirs = keras_rates("ExponentialDecay", CLOCK, learning_rate, CLOCK.batches, final_ratio)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@settings(deadline=None, max_examples=10)
@given(learning_rate=learning_rates, final_ratio=ratios)
def test_by_epoch_is_keras_staircase_with_a_stair_an_epoch(learning_rate: float, final_ratio: float) -> None:
    ours = Exponential(learning_rate=learning_rate, final_ratio=final_ratio).rates(CLOCK)
    each = final_ratio ** (1 / CLOCK.epochs)
    theirs = keras_rates("ExponentialDecay", CLOCK, learning_rate, CLOCK.steps_per_epoch, each, staircase=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@settings(deadline=None, max_examples=10)
@given(learning_rate=learning_rates, final_ratio=ratios, stairs=st.sampled_from([1, 2, 3, 4, 5, 6, 10, 12, 60]))
def test_staircase_is_keras_staircase_with_as_many_stairs(
    learning_rate: float, final_ratio: float, stairs: int
) -> None:
    ours = ExponentialStaircase(learning_rate=learning_rate, final_ratio=final_ratio, stairs=stairs).rates(CLOCK)
    each = final_ratio ** (1 / stairs)
    theirs = keras_rates("ExponentialDecay", CLOCK, learning_rate, CLOCK.batches / stairs, each, staircase=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("stairs", [1, 2, 7, 29, 60])
def test_a_staircase_has_as_many_stairs_as_it_says(stairs: int) -> None:
    assert len(np.unique(ExponentialStaircase(learning_rate=0.1, stairs=stairs).rates(CLOCK))) == stairs


@each_resolution
def test_the_first_step_has_the_initial_rate(kind: type[OpenLoop]) -> None:
    assert kind(learning_rate=0.1).rates(CLOCK)[0, 0] == 0.1


@each_resolution
@pytest.mark.parametrize("value", [0.0, -0.1, 1.1, float("nan"), "0.1", True, None])
def test_a_bad_final_ratio_is_named(kind: type[OpenLoop], value: Any) -> None:
    with pytest.raises(ValidationError, match=r"\nfinal_ratio\n"):
        kind.model_validate({"learning_rate": 0.1, "final_ratio": value})


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True])
def test_a_bad_number_of_stairs_is_named(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"\nstairs\n"):
        ExponentialStaircase.model_validate({"learning_rate": 0.1, "stairs": value})
