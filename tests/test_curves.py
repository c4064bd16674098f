"""Laws of what a loss curve shows; those of its faults stand with the diagnosis of a training."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.curves import LossCurve, guessing_loss

FALLING = 0.05 + 0.65 * np.exp(-np.arange(20) / 5)


def test_a_class_without_rows_is_not_guessed() -> None:
    assert guessing_loss([0.0, 1.0]) == 0.0
    assert guessing_loss([1 / 3] * 3) == pytest.approx(np.log(3))


def test_a_loss_that_falls_is_neither_stuck_nor_unsteady() -> None:
    curve = LossCurve(FALLING, np.log(2))
    assert (curve.falls, curve.stuck(), curve.unsteady(), curve.broken()) == (True, False, "", None)


def test_a_loss_of_thousands_stays_above_guessing() -> None:
    assert LossCurve(np.array([1398.0, 1200.0] * 10), np.log(2)).unsteady() == "stays above that of guessing"


def test_the_first_epoch_without_a_number_is_counted_from_one() -> None:
    assert LossCurve(np.array([0.7, np.inf, np.nan]), np.log(2)).broken() == 2
