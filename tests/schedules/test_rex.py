"""Laws of REX."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.schedules import Timeline
from sweep.schedules.polynomial import Linear
from sweep.schedules.rex import Rex

CLOCK = Timeline(epochs=10, steps_per_epoch=3)


def test_its_values_by_hand() -> None:
    rates = Rex(learning_rate=0.3).rates(Timeline(epochs=4, steps_per_epoch=1))[:, 0]
    assert rates.tolist() == pytest.approx([0.3, 0.3 * 6 / 7, 0.2, 0.12])


def test_it_lies_above_linear_decay_and_falls_ever_faster() -> None:
    rates = Rex(learning_rate=1).rates(CLOCK).ravel()
    assert (rates[1:] > Linear(learning_rate=1).rates(CLOCK).ravel()[1:]).all()
    assert (np.diff(rates, 2) < 0).all()
