"""Laws of cosine decay with and without restarts, and their equality with Keras'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from sweep.schedules import Timeline
from sweep.schedules.open_loop import Cosine, CosineRestarts
from tests.schedules.keras_rates import keras_rates

CLOCK = Timeline(epochs=10, steps_per_epoch=6)

learning_rates, ratios = st.floats(1e-3, 1), st.floats(0, 1)


@settings(deadline=None, max_examples=10)
@given(learning_rate=learning_rates, final_ratio=ratios)
def test_cosine_is_keras_cosine_decay(learning_rate: float, final_ratio: float) -> None:
    ours = Cosine(learning_rate=learning_rate, final_ratio=final_ratio).rates(CLOCK)
    theirs = keras_rates("CosineDecay", CLOCK, learning_rate, CLOCK.batches, alpha=final_ratio)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@settings(deadline=None, max_examples=10)
@given(learning_rate=learning_rates, final_ratio=ratios, warmup=st.floats(0.05, 0.9))
def test_cosine_with_warm_up_is_keras_cosine_decay_with_warm_up(
    learning_rate: float, final_ratio: float, warmup: float
) -> None:
    schedule = Cosine(learning_rate=learning_rate, final_ratio=final_ratio, warmup=warmup)
    steps = schedule.warmup_batches(CLOCK)
    theirs = keras_rates(
        "CosineDecay",
        CLOCK,
        0.0,
        CLOCK.batches - steps,
        alpha=final_ratio,
        warmup_target=learning_rate,
        warmup_steps=steps,
    )
    np.testing.assert_allclose(schedule.rates(CLOCK), theirs, rtol=1e-6)


def away_from_restarts(first: float, t_mul: float) -> NDArray[np.bool_]:
    """Say of each batch whether it is no restart: there, rounding decides what Keras' logarithm gives."""
    starts = np.cumsum([0.0, *(first * t_mul**cycle for cycle in range(60))])
    away: NDArray[np.bool_] = np.abs(CLOCK.batch.reshape(-1, 1) - starts).min(axis=1) > 1e-6
    return away


@settings(deadline=None, max_examples=30)
@given(
    learning_rate=learning_rates,
    final_ratio=ratios,
    first_cycle=st.floats(0.05, 1),
    t_mul=st.just(1.0) | st.floats(1.01, 3),
    m_mul=st.floats(0.1, 1),
)
def test_restarts_are_keras_cosine_decay_restarts(
    learning_rate: float, final_ratio: float, first_cycle: float, t_mul: float, m_mul: float
) -> None:
    schedule = CosineRestarts(
        learning_rate=learning_rate, final_ratio=final_ratio, first_cycle=first_cycle, t_mul=t_mul, m_mul=m_mul
    )
    first = first_cycle * CLOCK.batches
    theirs = keras_rates("CosineDecayRestarts", CLOCK, learning_rate, first, t_mul, m_mul, alpha=final_ratio)
    kept = away_from_restarts(first, t_mul)
    np.testing.assert_allclose(schedule.rates(CLOCK).ravel()[kept], theirs.ravel()[kept], rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("cycles", [1, 2, 3, 5, 10])
def test_equal_cycles_restart_where_keras_restarts(cycles: int) -> None:
    ours = CosineRestarts(learning_rate=0.1, first_cycle=1 / cycles, t_mul=1, m_mul=0.7, final_ratio=0.01).rates(CLOCK)
    theirs = keras_rates("CosineDecayRestarts", CLOCK, 0.1, 60 // cycles, 1.0, 0.7, alpha=0.01)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("first", [0.01, 0.07, 0.1, 0.3])
def test_no_restart_is_missed_by_rounding(first: float) -> None:
    rates = CosineRestarts(learning_rate=1, first_cycle=first, t_mul=1).rates(Timeline(epochs=100, steps_per_epoch=100))
    peaks = np.flatnonzero(rates.ravel() > 1 - 1e-9)
    assert peaks.tolist() == list(range(0, 10_000, round(first * 10_000)))


def test_cycles_grow_and_their_peaks_fall() -> None:
    rates = CosineRestarts(learning_rate=1, first_cycle=1 / 7, t_mul=2, m_mul=0.5, final_ratio=0.2).rates(
        Timeline(epochs=7, steps_per_epoch=1)
    )[:, 0]
    assert rates[[0, 1, 3]].tolist() == pytest.approx([1.0, 0.2 + 0.8 * 0.5, 0.2 + 0.8 * 0.25])
    assert rates[[2, 5]].tolist() == pytest.approx([0.2 + 0.8 * 0.5 / 2, 0.2 + 0.8 * 0.25 / 2])


def test_one_cycle_of_the_whole_training_is_plain_cosine() -> None:
    whole = CosineRestarts(learning_rate=0.1, first_cycle=1, final_ratio=0.1).rates(CLOCK)
    np.testing.assert_allclose(whole, Cosine(learning_rate=0.1, final_ratio=0.1).rates(CLOCK), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("final_ratio", value) for value in (-0.1, 1.1, float("nan"), "0")),
        *(("first_cycle", value) for value in (0.0, -0.1, 1.1, float("nan"))),
        *(("t_mul", value) for value in (0.9, 0.0, 11.0, float("nan"))),
        *(("m_mul", value) for value in (0.0, -0.1, 1.1, float("nan"))),
    ],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{parameter}\n"):
        CosineRestarts.model_validate({"learning_rate": 0.1, parameter: value})


def test_the_most_extreme_restarts_do_not_overflow() -> None:
    assert np.isfinite(CosineRestarts(learning_rate=0.1, first_cycle=0.005, t_mul=10).rates(CLOCK)).all()
