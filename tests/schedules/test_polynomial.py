"""Laws of linear and polynomial decay, and their equality with Keras'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.polynomial import Linear, Polynomial
from tests.schedules.keras_rates import keras_rates

CLOCK = Timeline(epochs=9, steps_per_epoch=4)


@settings(deadline=None, max_examples=10)
@given(learning_rate=st.floats(1e-3, 1), final_ratio=st.floats(0, 1), power=st.floats(0.2, 4))
def test_polynomial_is_keras_polynomial_decay(learning_rate: float, final_ratio: float, power: float) -> None:
    ours = Polynomial(learning_rate=learning_rate, final_ratio=final_ratio, power=power).rates(CLOCK)
    end = learning_rate * final_ratio
    theirs = keras_rates("PolynomialDecay", CLOCK, learning_rate, CLOCK.batches, end, power=power)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@settings(deadline=None)
@given(learning_rate=st.floats(1e-3, 1), final_ratio=st.floats(0, 1))
def test_linear_is_polynomial_with_power_one(learning_rate: float, final_ratio: float) -> None:
    linear = Linear(learning_rate=learning_rate, final_ratio=final_ratio).rates(CLOCK)
    power = Polynomial(learning_rate=learning_rate, final_ratio=final_ratio, power=1).rates(CLOCK)
    np.testing.assert_allclose(linear, power, rtol=1e-12)


@settings(deadline=None)
@given(final_ratio=st.floats(0, 1))
def test_linear_falls_by_the_same_amount_each_step(final_ratio: float) -> None:
    falls = -np.diff(Linear(learning_rate=1, final_ratio=final_ratio).rates(CLOCK).ravel())
    np.testing.assert_allclose(falls, (1 - final_ratio) / 36, atol=1e-12)


@pytest.mark.parametrize("kind", [Linear, Polynomial])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.1", True])
def test_a_bad_final_ratio_is_named(kind: type[Linear], value: Any) -> None:
    with pytest.raises(ValidationError, match=r"\nfinal_ratio\n"):
        kind.model_validate({"learning_rate": 0.1, "final_ratio": value})


@pytest.mark.parametrize("value", [0.0, -1.0, 101.0, float("nan"), "2", True])
def test_a_bad_power_is_named(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"\npower\n"):
        Polynomial.model_validate({"learning_rate": 0.1, "power": value})
