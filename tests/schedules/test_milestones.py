"""Laws of the rate that drops at fractions of the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.milestones import Milestones
from tests.schedules.keras_rates import keras_rates

CLOCK = Timeline(epochs=10, steps_per_epoch=6)


def test_by_default_the_rate_is_divided_by_ten_at_half_and_by_a_hundred_at_three_quarters() -> None:
    rates = Milestones(learning_rate=1).rates(Timeline(epochs=4, steps_per_epoch=5))
    np.testing.assert_allclose(rates, np.repeat([[1.0], [1.0], [0.1], [0.01]], 5, axis=1), rtol=1e-12)


@settings(deadline=None, max_examples=10)
@given(
    learning_rate=st.floats(1e-3, 1),
    drop=st.floats(0.01, 1),
    batches=st.lists(st.integers(1, 59), min_size=1, max_size=4, unique=True).map(sorted),
)
def test_it_is_keras_piecewise_constant_decay(learning_rate: float, drop: float, batches: list[int]) -> None:
    ours = Milestones(learning_rate=learning_rate, drop=drop, at=tuple(batch / 60 for batch in batches)).rates(CLOCK)
    boundaries = [batch - 1 for batch in batches]  # Keras keeps a value up to and at its boundary
    values = [learning_rate * drop**passed for passed in range(len(batches) + 1)]
    theirs = keras_rates("PiecewiseConstantDecay", CLOCK, boundaries, values)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_fractions_may_be_text_or_a_list() -> None:
    text, listed = (Milestones.model_validate({"learning_rate": 0.1, "at": at}) for at in ("0.2 0.9", [0.2, 0.9]))
    assert text == listed == Milestones(learning_rate=0.1, at=(0.2, 0.9))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("at", value) for value in ("", "0.75 0.5", "0.5 0.5", "1.5", "half", 0.5, [True], None)),
        *(("drop", value) for value in (0.0, -0.1, 1.1, float("nan"), "0.1", True)),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n"):
        Milestones.model_validate({"learning_rate": 0.1, parameter: value})
