"""Laws of the rate that falls with the square root of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.inverse_sqrt import InverseSqrt


def test_after_three_timescales_the_rate_has_halved() -> None:
    rates = InverseSqrt(learning_rate=0.2, timescale=0.1).rates(Timeline(epochs=10, steps_per_epoch=1))
    assert rates[[0, 1, 3, 8], 0].tolist() == pytest.approx([0.2, 0.2 / 2**0.5, 0.1, 0.2 / 3])


@settings(deadline=None)
@given(timescale=st.floats(1e-3, 10))
def test_one_over_the_squared_rate_grows_evenly(timescale: float) -> None:
    rates = InverseSqrt(learning_rate=1, timescale=timescale).rates(Timeline(epochs=5, steps_per_epoch=4))
    np.testing.assert_allclose(np.diff(rates.ravel() ** -2.0), 1 / (20 * timescale), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), float("inf"), "0.1", True])
def test_a_bad_timescale_is_named(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"\ntimescale\n"):
        InverseSqrt.model_validate({"learning_rate": 0.1, "timescale": value})
