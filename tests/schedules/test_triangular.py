"""Laws of the triangular rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.triangular import Triangular


def test_two_cycles_by_hand() -> None:
    rates = Triangular(learning_rate=1, cycles=2, low_ratio=0.2, peak_decay=0.5).rates(
        Timeline(epochs=8, steps_per_epoch=1)
    )
    assert rates[:, 0].tolist() == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 0.4, 0.6, 0.4])


@settings(deadline=None)
@given(cycles=st.integers(1, 20), low_ratio=st.floats(0, 0.99), steps=st.integers(1, 5))
def test_every_cycle_begins_low_and_peaks_half_way(cycles: int, low_ratio: float, steps: int) -> None:
    rates = Triangular(learning_rate=1, cycles=cycles, low_ratio=low_ratio).rates(
        Timeline(epochs=2 * cycles, steps_per_epoch=steps)
    )
    np.testing.assert_allclose(rates[::2, 0], low_ratio, atol=1e-12)
    np.testing.assert_allclose(rates[1::2, 0], 1.0, rtol=1e-12)


@settings(deadline=None)
@given(cycles=st.integers(1, 10), peak_decay=st.floats(0.1, 1))
def test_each_peak_is_the_one_before_times_the_decay(cycles: int, peak_decay: float) -> None:
    rates = Triangular(learning_rate=1, cycles=cycles, low_ratio=0, peak_decay=peak_decay).rates(
        Timeline(epochs=2 * cycles, steps_per_epoch=1)
    )
    np.testing.assert_allclose(rates[1::2, 0], peak_decay ** np.arange(cycles), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("cycles", value) for value in (0, -1, 1.5, 2.0, "2", True)),
        *(("low_ratio", value) for value in (-0.1, 1.1, float("nan"))),
        *(("peak_decay", value) for value in (0.0, -0.1, 1.1, float("nan"))),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n"):
        Triangular.model_validate({"learning_rate": 0.1, parameter: value})
