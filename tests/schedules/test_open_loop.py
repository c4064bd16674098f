"""Laws of each open-loop schedule: numbers by hand, the tutorial's tables, and equality with Keras' own class."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweep.errors import BadInput
from sweep.schedules import OpenLoop, Schedule, Timeline, read_schedule
from sweep.schedules.open_loop import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    exponential_by_batch,
    exponential_staircase,
    inverse_sqrt,
    linear,
    milestones,
    one_cycle,
    piecewise_linear,
    polynomial,
    rex,
    step,
    step_from_zero,
    time_by_batch,
    time_by_epoch,
    time_compounding,
    triangular,
    warmup_stable_decay,
)
from tests.schedules.keras_rates import keras_rates

TUTORIAL = Timeline(epochs=50, steps_per_epoch=9)
NINE = Timeline(epochs=9, steps_per_epoch=4)
TEN = Timeline(epochs=10, steps_per_epoch=6)
TWELVE = Timeline(epochs=12, steps_per_epoch=5)
THIRTY_BATCHES = Timeline(epochs=10, steps_per_epoch=3)
EIGHTY_BATCHES = Timeline(epochs=10, steps_per_epoch=8)  # batch 20 is at a quarter, 24 at 0.3
HUNDRED_BATCHES = Timeline(epochs=20, steps_per_epoch=5)

any_rates, decays = st.floats(1e-6, 10), st.floats(0, 1)
learning_rates, ratios, positive_ratios = st.floats(1e-3, 1), st.floats(0, 1), st.floats(1e-4, 1)
drops, periods = st.floats(0.01, 1), st.integers(1, 60)
timelines = st.builds(Timeline, epochs=st.integers(1, 60), steps_per_epoch=st.integers(1, 10))

each_reading = pytest.mark.parametrize("kind", [time_by_epoch, time_compounding, time_by_batch])
each_step = pytest.mark.parametrize("kind", [step, step_from_zero])
each_resolution = pytest.mark.parametrize("kind", [exponential, exponential_by_batch, exponential_staircase])


def changes(schedule: OpenLoop) -> list[int]:
    """Return the epochs of the tutorial's training that begin with a rate of their own."""
    rates = schedule.rates(TUTORIAL)[:, 0]
    return [epoch for epoch in range(1, len(rates)) if rates[epoch] != rates[epoch - 1]]


def through(points: Any) -> Schedule:
    return piecewise_linear.model_validate({"learning_rate": 0.2, "points": points})


def away_from_restarts(first: float, t_mul: float) -> NDArray[np.bool_]:
    """Say of each batch whether it is no restart: there, rounding decides what Keras' logarithm gives."""
    starts = np.cumsum([0.0, *(first * t_mul**cycle for cycle in range(60))])
    away: NDArray[np.bool_] = np.abs(TEN.batch.reshape(-1, 1) - starts).min(axis=1) > 1e-6
    return away


class TestConstant:
    @settings(deadline=None)
    @given(rate=st.floats(1e-300, 1e30), epochs=st.integers(1, 100), steps=st.integers(1, 20))
    def test_every_step_has_the_initial_rate(self, rate: float, epochs: int, steps: int) -> None:
        rates = constant(learning_rate=rate).rates(Timeline(epochs=epochs, steps_per_epoch=steps))
        assert rates.tolist() == [[rate] * steps] * epochs


class TestTime:
    def test_compounding_gives_the_tutorials_table(self) -> None:
        rates = time_compounding(learning_rate=0.1, decay=0.001).rates(Timeline(epochs=5, steps_per_epoch=9))
        table = [0.1, 0.0999000999, 0.0997006985, 0.09940249103, 0.09900646517]
        assert rates[:, 0].tolist() == pytest.approx(table, rel=1e-9)

    def test_the_equation_does_not_give_the_tutorials_table(self) -> None:
        rates = time_by_epoch(learning_rate=0.1, decay=0.001).rates(Timeline(epochs=5, steps_per_epoch=9))
        assert rates[2, 0] == pytest.approx(0.1 / 1.002)
        assert rates[2, 0] != pytest.approx(0.0997006985, rel=1e-4)

    def test_by_batch_ends_the_tutorials_training_at_about_half_its_rate(self) -> None:
        last = time_by_batch(learning_rate=0.1, decay=0.002).rates(TUTORIAL)[-1, -1]
        assert last == pytest.approx(0.1 / (1 + 0.002 * 449))
        assert last == pytest.approx(0.0527, abs=5e-5)

    @each_reading
    def test_the_default_decay_is_the_rate_over_the_epochs(self, kind: type[OpenLoop]) -> None:
        left_out = kind(learning_rate=0.1).rates(TUTORIAL)
        assert (left_out == kind(learning_rate=0.1, decay=0.1 / 50).rates(TUTORIAL)).all()

    @each_reading
    def test_the_default_decay_of_a_part_is_the_rate_over_the_epochs_of_the_part(self, kind: type[OpenLoop]) -> None:
        part = Timeline(epochs=50, steps_per_epoch=9).part(0, 45)
        own = kind(learning_rate=0.1).rates(part).ravel()[:45]
        assert own.tolist() == kind(learning_rate=0.1).rates(Timeline(epochs=5, steps_per_epoch=9)).ravel().tolist()

    @each_reading
    def test_no_decay_is_a_constant_rate_and_not_the_default(self, kind: type[OpenLoop]) -> None:
        assert (kind(learning_rate=0.1, decay=0.0).rates(TUTORIAL) == 0.1).all()

    @each_reading
    @settings(deadline=None)
    @given(learning_rate=any_rates, decay=decays, timeline=timelines)
    def test_a_rate_never_rises(
        self, kind: type[OpenLoop], learning_rate: float, decay: float, timeline: Timeline
    ) -> None:
        rates = kind(learning_rate=learning_rate, decay=decay).rates(timeline)
        assert (np.diff(rates.ravel()) <= 0).all()

    @settings(deadline=None)
    @given(learning_rate=any_rates, decay=decays, timeline=timelines)
    def test_compounding_decays_the_rate_of_the_epoch_before(
        self, learning_rate: float, decay: float, timeline: Timeline
    ) -> None:
        rates = time_compounding(learning_rate=learning_rate, decay=decay).rates(timeline)
        np.testing.assert_allclose(rates[1:], rates[:-1] / (1 + decay * timeline.epoch[1:]))

    @pytest.mark.parametrize("kind", [time_by_epoch, time_compounding])
    def test_the_batches_of_an_epoch_share_its_rate(self, kind: type[OpenLoop]) -> None:
        rates = kind(learning_rate=0.1, decay=0.1).rates(TUTORIAL)
        assert (rates == rates[:, :1]).all()

    @settings(deadline=None)
    @given(learning_rate=any_rates, decay=decays, epochs=st.integers(1, 100))
    def test_with_one_batch_an_epoch_batches_are_epochs(self, learning_rate: float, decay: float, epochs: int) -> None:
        timeline = Timeline(epochs=epochs, steps_per_epoch=1)
        by_batch = time_by_batch(learning_rate=learning_rate, decay=decay).rates(timeline)
        assert (by_batch == time_by_epoch(learning_rate=learning_rate, decay=decay).rates(timeline)).all()

    @settings(deadline=None, max_examples=10)
    @given(learning_rate=st.floats(1e-3, 1), decay=st.floats(0, 1))
    def test_by_batch_is_keras_inverse_time_decay(self, learning_rate: float, decay: float) -> None:
        timeline = Timeline(epochs=10, steps_per_epoch=4)
        ours = time_by_batch(learning_rate=learning_rate, decay=decay).rates(timeline)
        np.testing.assert_allclose(ours, keras_rates("InverseTimeDecay", timeline, learning_rate, 1, decay), rtol=1e-6)

    @settings(deadline=None, max_examples=10)
    @given(learning_rate=st.floats(1e-3, 1), decay=st.floats(0, 1))
    def test_by_epoch_is_keras_inverse_time_decay_in_stairs_of_an_epoch(
        self, learning_rate: float, decay: float
    ) -> None:
        timeline = Timeline(epochs=10, steps_per_epoch=4)
        ours = time_by_epoch(learning_rate=learning_rate, decay=decay).rates(timeline)
        theirs = keras_rates("InverseTimeDecay", timeline, learning_rate, 4, decay, staircase=True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @each_reading
    def test_the_strongest_decay_ends_in_a_rate_that_is_finite(self, kind: type[OpenLoop]) -> None:
        rates = kind(learning_rate=0.1, decay=1e6).rates(Timeline(epochs=1_000, steps_per_epoch=2))
        assert np.isfinite(rates).all()
        assert (rates >= 0).all()


class TestStep:
    def test_the_tutorials_code_drops_one_epoch_early(self) -> None:
        assert changes(step(learning_rate=0.1, drop=0.5, epochs_drop=10)) == [9, 19, 29, 39, 49]

    def test_the_tutorials_equation_drops_every_full_period(self) -> None:
        assert changes(step_from_zero(learning_rate=0.1, drop=0.5, epochs_drop=10)) == [10, 20, 30, 40]

    @settings(deadline=None)
    @given(drop=drops, epochs_drop=periods)
    def test_the_two_readings_differ_by_one_epoch(self, drop: float, epochs_drop: int) -> None:
        early = step(learning_rate=0.1, drop=drop, epochs_drop=epochs_drop).rates(TUTORIAL)
        late = step_from_zero(learning_rate=0.1, drop=drop, epochs_drop=epochs_drop).rates(TUTORIAL)
        assert (early[:-1] == late[1:]).all()

    def test_a_drop_every_epoch_starts_one_drop_down_in_the_code_only(self) -> None:
        assert step(learning_rate=0.1, drop=0.5, epochs_drop=1).rates(TUTORIAL)[0, 0] == 0.05
        assert step_from_zero(learning_rate=0.1, drop=0.5, epochs_drop=1).rates(TUTORIAL)[0, 0] == 0.1

    @each_step
    @settings(deadline=None)
    @given(drop=drops, epochs_drop=periods)
    def test_the_rate_changes_by_the_drop_or_not_at_all(
        self, kind: type[OpenLoop], drop: float, epochs_drop: int
    ) -> None:
        rates = kind(learning_rate=0.1, drop=drop, epochs_drop=epochs_drop).rates(TUTORIAL)[:, 0]
        for before, after in pairwise(rates):
            assert after == before or after == pytest.approx(before * drop)

    @each_step
    def test_the_batches_of_an_epoch_share_its_rate(self, kind: type[OpenLoop]) -> None:
        rates = kind(learning_rate=0.1, drop=0.5, epochs_drop=10).rates(TUTORIAL)
        assert (rates == rates[:, :1]).all()

    @each_step
    def test_a_drop_by_nothing_is_a_constant_rate(self, kind: type[OpenLoop]) -> None:
        assert (kind(learning_rate=0.1, drop=1.0, epochs_drop=3).rates(TUTORIAL) == 0.1).all()


class TestExponential:
    @settings(deadline=None, max_examples=10)
    @given(learning_rate=learning_rates, final_ratio=positive_ratios)
    def test_by_batch_is_keras_exponential_decay_over_all_batches(
        self, learning_rate: float, final_ratio: float
    ) -> None:
        ours = exponential_by_batch(learning_rate=learning_rate, final_ratio=final_ratio).rates(TWELVE)
        theirs = keras_rates("ExponentialDecay", TWELVE, learning_rate, TWELVE.batches, final_ratio)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @settings(deadline=None, max_examples=10)
    @given(learning_rate=learning_rates, final_ratio=positive_ratios)
    def test_by_epoch_is_keras_staircase_with_a_stair_an_epoch(self, learning_rate: float, final_ratio: float) -> None:
        ours = exponential(learning_rate=learning_rate, final_ratio=final_ratio).rates(TWELVE)
        each = final_ratio ** (1 / TWELVE.epochs)
        theirs = keras_rates("ExponentialDecay", TWELVE, learning_rate, TWELVE.steps_per_epoch, each, staircase=True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @settings(deadline=None, max_examples=10)
    @given(
        learning_rate=learning_rates,
        final_ratio=positive_ratios,
        stairs=st.sampled_from([1, 2, 3, 4, 5, 6, 10, 12, 60]),
    )
    def test_staircase_is_keras_staircase_with_as_many_stairs(
        self, learning_rate: float, final_ratio: float, stairs: int
    ) -> None:
        ours = exponential_staircase(learning_rate=learning_rate, final_ratio=final_ratio, stairs=stairs).rates(TWELVE)
        each = final_ratio ** (1 / stairs)
        theirs = keras_rates("ExponentialDecay", TWELVE, learning_rate, TWELVE.batches / stairs, each, staircase=True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @pytest.mark.parametrize("stairs", [1, 2, 7, 29, 60])
    def test_a_staircase_has_as_many_stairs_as_it_says(self, stairs: int) -> None:
        assert len(np.unique(exponential_staircase(learning_rate=0.1, stairs=stairs).rates(TWELVE))) == stairs

    @each_resolution
    def test_the_first_step_has_the_initial_rate(self, kind: type[OpenLoop]) -> None:
        assert kind(learning_rate=0.1).rates(TWELVE)[0, 0] == 0.1


class TestMilestones:
    def test_by_default_the_rate_is_divided_by_ten_at_half_and_by_a_hundred_at_three_quarters(self) -> None:
        rates = milestones(learning_rate=1).rates(Timeline(epochs=4, steps_per_epoch=5))
        np.testing.assert_allclose(rates, np.repeat([[1.0], [1.0], [0.1], [0.01]], 5, axis=1), rtol=1e-12)

    @settings(deadline=None, max_examples=10)
    @given(
        learning_rate=st.floats(1e-3, 1),
        drop=st.floats(0.01, 1),
        batches=st.lists(st.integers(1, 59), min_size=1, max_size=4, unique=True).map(sorted),
    )
    def test_it_is_keras_piecewise_constant_decay(self, learning_rate: float, drop: float, batches: list[int]) -> None:
        ours = milestones(learning_rate=learning_rate, drop=drop, at=tuple(batch / 60 for batch in batches)).rates(TEN)
        boundaries = [batch - 1 for batch in batches]  # Keras keeps a value up to and at its boundary
        values = [learning_rate * drop**passed for passed in range(len(batches) + 1)]
        theirs = keras_rates("PiecewiseConstantDecay", TEN, boundaries, values)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    def test_fractions_may_be_text_or_a_list(self) -> None:
        text, listed = (milestones.model_validate({"learning_rate": 0.1, "at": at}) for at in ("0.2 0.9", [0.2, 0.9]))
        assert text == listed == milestones(learning_rate=0.1, at=(0.2, 0.9))


class TestPiecewiseLinear:
    def test_the_rate_passes_through_every_point_and_halves_the_way_between_them(self) -> None:
        rates = through("0:0 0.25:1 0.75:0.5 1:0.1").rates(Timeline(epochs=8, steps_per_epoch=1))[:, 0]
        assert rates.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.175, 0.15, 0.125, 0.1, 0.06], rel=1e-12)

    def test_two_points_are_a_linear_decay(self) -> None:
        timeline = Timeline(epochs=7, steps_per_epoch=3)
        ours = through("0:1 1:0.3").rates(timeline)
        np.testing.assert_allclose(ours, linear(learning_rate=0.2, final_ratio=0.3).rates(timeline), rtol=1e-12)

    def test_points_may_be_text_or_a_list_of_pairs(self) -> None:
        assert through("0:1 1:0.5") == through([[0, 1], (1, 0.5)])


class TestPolynomial:
    @settings(deadline=None, max_examples=10)
    @given(learning_rate=st.floats(1e-3, 1), final_ratio=st.floats(0, 1), power=st.floats(0.2, 4))
    def test_polynomial_is_keras_polynomial_decay(self, learning_rate: float, final_ratio: float, power: float) -> None:
        ours = polynomial(learning_rate=learning_rate, final_ratio=final_ratio, power=power).rates(NINE)
        end = learning_rate * final_ratio
        theirs = keras_rates("PolynomialDecay", NINE, learning_rate, NINE.batches, end, power=power)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @settings(deadline=None)
    @given(learning_rate=st.floats(1e-3, 1), final_ratio=st.floats(0, 1))
    def test_linear_is_polynomial_with_power_one(self, learning_rate: float, final_ratio: float) -> None:
        line = linear(learning_rate=learning_rate, final_ratio=final_ratio).rates(NINE)
        power = polynomial(learning_rate=learning_rate, final_ratio=final_ratio, power=1).rates(NINE)
        np.testing.assert_allclose(line, power, rtol=1e-12)

    @settings(deadline=None)
    @given(final_ratio=st.floats(0, 1))
    def test_linear_falls_by_the_same_amount_each_step(self, final_ratio: float) -> None:
        falls = -np.diff(linear(learning_rate=1, final_ratio=final_ratio).rates(NINE).ravel())
        np.testing.assert_allclose(falls, (1 - final_ratio) / 36, atol=1e-12)


class TestCosine:
    @settings(deadline=None, max_examples=10)
    @given(learning_rate=learning_rates, final_ratio=ratios)
    def test_cosine_is_keras_cosine_decay(self, learning_rate: float, final_ratio: float) -> None:
        ours = cosine(learning_rate=learning_rate, final_ratio=final_ratio).rates(TEN)
        theirs = keras_rates("CosineDecay", TEN, learning_rate, TEN.batches, alpha=final_ratio)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @settings(deadline=None, max_examples=10)
    @given(learning_rate=learning_rates, final_ratio=ratios, warmup=st.floats(0.05, 0.9))
    def test_cosine_with_warm_up_is_keras_cosine_decay_with_warm_up(
        self, learning_rate: float, final_ratio: float, warmup: float
    ) -> None:
        schedule = cosine(learning_rate=learning_rate, final_ratio=final_ratio, warmup=warmup)
        steps = schedule.warmup_batches(TEN)
        theirs = keras_rates(
            "CosineDecay",
            TEN,
            0.0,
            TEN.batches - steps,
            alpha=final_ratio,
            warmup_target=learning_rate,
            warmup_steps=steps,
        )
        np.testing.assert_allclose(schedule.rates(TEN), theirs, rtol=1e-6)

    @settings(deadline=None, max_examples=30)
    @given(
        learning_rate=learning_rates,
        final_ratio=ratios,
        first_cycle=st.floats(0.05, 1),
        t_mul=st.just(1.0) | st.floats(1.01, 3),
        m_mul=st.floats(0.1, 1),
    )
    def test_restarts_are_keras_cosine_decay_restarts(
        self, learning_rate: float, final_ratio: float, first_cycle: float, t_mul: float, m_mul: float
    ) -> None:
        schedule = cosine_restarts(
            learning_rate=learning_rate, final_ratio=final_ratio, first_cycle=first_cycle, t_mul=t_mul, m_mul=m_mul
        )
        first = first_cycle * TEN.batches
        theirs = keras_rates("CosineDecayRestarts", TEN, learning_rate, first, t_mul, m_mul, alpha=final_ratio)
        kept = away_from_restarts(first, t_mul)
        np.testing.assert_allclose(schedule.rates(TEN).ravel()[kept], theirs.ravel()[kept], rtol=1e-6, atol=1e-15)

    @pytest.mark.parametrize("cycles", [1, 2, 3, 5, 10])
    def test_equal_cycles_restart_where_keras_restarts(self, cycles: int) -> None:
        ours = cosine_restarts(learning_rate=0.1, first_cycle=1 / cycles, t_mul=1, m_mul=0.7, final_ratio=0.01).rates(
            TEN
        )
        theirs = keras_rates("CosineDecayRestarts", TEN, 0.1, 60 // cycles, 1.0, 0.7, alpha=0.01)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)

    @pytest.mark.parametrize("first", [0.01, 0.07, 0.1, 0.3])
    def test_no_restart_is_missed_by_rounding(self, first: float) -> None:
        rates = cosine_restarts(learning_rate=1, first_cycle=first, t_mul=1).rates(
            Timeline(epochs=100, steps_per_epoch=100)
        )
        peaks = np.flatnonzero(rates.ravel() > 1 - 1e-9)
        assert peaks.tolist() == list(range(0, 10_000, round(first * 10_000)))

    def test_cycles_grow_and_their_peaks_fall(self) -> None:
        rates = cosine_restarts(learning_rate=1, first_cycle=1 / 7, t_mul=2, m_mul=0.5, final_ratio=0.2).rates(
            Timeline(epochs=7, steps_per_epoch=1)
        )[:, 0]
        assert rates[[0, 1, 3]].tolist() == pytest.approx([1.0, 0.2 + 0.8 * 0.5, 0.2 + 0.8 * 0.25])
        assert rates[[2, 5]].tolist() == pytest.approx([0.2 + 0.8 * 0.5 / 2, 0.2 + 0.8 * 0.25 / 2])

    def test_one_cycle_of_the_whole_training_is_plain_cosine(self) -> None:
        whole = cosine_restarts(learning_rate=0.1, first_cycle=1, final_ratio=0.1).rates(TEN)
        np.testing.assert_allclose(whole, cosine(learning_rate=0.1, final_ratio=0.1).rates(TEN), rtol=1e-12)

    def test_the_most_extreme_restarts_do_not_overflow(self) -> None:
        assert np.isfinite(cosine_restarts(learning_rate=0.1, first_cycle=0.005, t_mul=10).rates(TEN)).all()


class TestOneCycle:
    def test_the_rate_begins_at_its_start_is_highest_at_the_peak_and_ends_at_its_final_ratio(self) -> None:
        rates = one_cycle(learning_rate=0.5, final_ratio=0.001).rates(EIGHTY_BATCHES).ravel()
        assert rates[0] == pytest.approx(0.5 * 0.04)
        assert rates.argmax() == 24
        assert rates[24] == 0.5
        assert rates[-1] == pytest.approx(0.5 * 0.001, rel=1.0)

    def test_half_way_through_each_half_cosine_the_rate_is_half_way(self) -> None:
        rates = one_cycle(learning_rate=1, peak_at=0.5, start_ratio=0.2, final_ratio=0.1).rates(EIGHTY_BATCHES).ravel()
        assert rates[[20, 60]].tolist() == pytest.approx([(0.2 + 1) / 2, (1 + 0.1) / 2])

    def test_a_third_of_a_half_cosine_passes_a_quarter_of_the_way(self) -> None:
        rates = one_cycle(learning_rate=1, peak_at=0.3, start_ratio=0.0).rates(EIGHTY_BATCHES).ravel()
        assert rates[8] == pytest.approx(0.25)

    def test_the_momentum_is_lowest_where_the_rate_is_highest(self) -> None:
        momenta = one_cycle(learning_rate=1, momentum_dip=0.1).momenta(EIGHTY_BATCHES, 0.95).ravel()
        assert momenta[0] == 0.95
        assert momenta.argmin() == 24
        assert momenta[24] == pytest.approx(0.855)

    def test_momentum_and_rate_move_against_each_other_at_every_step(self) -> None:
        schedule = one_cycle(learning_rate=1)
        rates, momenta = schedule.rates(EIGHTY_BATCHES).ravel(), schedule.momenta(EIGHTY_BATCHES, 0.9).ravel()
        assert (np.sign(np.diff(rates)) == -np.sign(np.diff(momenta))).all()

    def test_the_momentum_waits_for_the_warm_up(self) -> None:
        schedule = one_cycle(learning_rate=1, warmup=0.25)
        momenta = schedule.momenta(EIGHTY_BATCHES, 0.9).ravel()
        assert (momenta[:21] == 0.9).all()
        assert momenta.argmin() == 20 + 18

    def test_a_momentum_without_a_dip_stays(self) -> None:
        assert (one_cycle(learning_rate=1, momentum_dip=0).momenta(EIGHTY_BATCHES, 0.9) == 0.9).all()


class TestTriangular:
    def test_two_cycles_by_hand(self) -> None:
        rates = triangular(learning_rate=1, cycles=2, low_ratio=0.2, peak_decay=0.5).rates(
            Timeline(epochs=8, steps_per_epoch=1)
        )
        assert rates[:, 0].tolist() == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 0.4, 0.6, 0.4])

    @settings(deadline=None)
    @given(cycles=st.integers(1, 20), low_ratio=st.floats(0, 0.99), steps=st.integers(1, 5))
    def test_every_cycle_begins_low_and_peaks_half_way(self, cycles: int, low_ratio: float, steps: int) -> None:
        rates = triangular(learning_rate=1, cycles=cycles, low_ratio=low_ratio).rates(
            Timeline(epochs=2 * cycles, steps_per_epoch=steps)
        )
        np.testing.assert_allclose(rates[::2, 0], low_ratio, atol=1e-12)
        np.testing.assert_allclose(rates[1::2, 0], 1.0, rtol=1e-12)

    @settings(deadline=None)
    @given(cycles=st.integers(1, 10), peak_decay=st.floats(0.1, 1))
    def test_each_peak_is_the_one_before_times_the_decay(self, cycles: int, peak_decay: float) -> None:
        rates = triangular(learning_rate=1, cycles=cycles, low_ratio=0, peak_decay=peak_decay).rates(
            Timeline(epochs=2 * cycles, steps_per_epoch=1)
        )
        np.testing.assert_allclose(rates[1::2, 0], peak_decay ** np.arange(cycles), rtol=1e-12)


class TestInverseSqrt:
    def test_after_three_timescales_the_rate_has_halved(self) -> None:
        rates = inverse_sqrt(learning_rate=0.2, timescale=0.1).rates(Timeline(epochs=10, steps_per_epoch=1))
        assert rates[[0, 1, 3, 8], 0].tolist() == pytest.approx([0.2, 0.2 / 2**0.5, 0.1, 0.2 / 3])

    @settings(deadline=None)
    @given(timescale=st.floats(1e-3, 10))
    def test_one_over_the_squared_rate_grows_evenly(self, timescale: float) -> None:
        rates = inverse_sqrt(learning_rate=1, timescale=timescale).rates(Timeline(epochs=5, steps_per_epoch=4))
        np.testing.assert_allclose(np.diff(rates.ravel() ** -2.0), 1 / (20 * timescale), rtol=1e-6)


class TestRex:
    def test_its_values_by_hand(self) -> None:
        rates = rex(learning_rate=0.3).rates(Timeline(epochs=4, steps_per_epoch=1))[:, 0]
        assert rates.tolist() == pytest.approx([0.3, 0.3 * 6 / 7, 0.2, 0.12])

    def test_it_lies_above_linear_decay_and_falls_ever_faster(self) -> None:
        rates = rex(learning_rate=1).rates(THIRTY_BATCHES).ravel()
        assert (rates[1:] > linear(learning_rate=1).rates(THIRTY_BATCHES).ravel()[1:]).all()
        assert (np.diff(rates, 2) < 0).all()


class TestWarmupStableDecay:
    def test_by_default_the_first_twentieth_warms_up(self) -> None:
        rates = warmup_stable_decay(learning_rate=0.1).rates(HUNDRED_BATCHES).ravel()
        assert rates[:6].tolist() == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])

    def test_the_rate_stays_until_the_fall_begins(self) -> None:
        rates = (
            warmup_stable_decay(learning_rate=0.1, warmup=0, decay_from=0.8, final_ratio=0.1)
            .rates(HUNDRED_BATCHES)
            .ravel()
        )
        assert (rates[:81] == 0.1).all()
        assert rates[[90, 99]].tolist() == pytest.approx([0.055, 0.1 * (1 - 0.9 * 0.95)])

    def test_the_fall_is_a_straight_line(self) -> None:
        rates = warmup_stable_decay(learning_rate=1, warmup=0, decay_from=0.5).rates(HUNDRED_BATCHES).ravel()
        np.testing.assert_allclose(np.diff(rates[50:]), -0.02, rtol=1e-9)

    def test_its_warm_up_is_told_because_it_has_one_by_default(self) -> None:
        assert warmup_stable_decay(learning_rate=0.1).used_parameters["warmup"] == 0.05
        assert "warmup" not in warmup_stable_decay(learning_rate=0.1, warmup=0).used_parameters


class TestPiecewiseConstant:
    """Values of one's own, each from its boundary on; Keras' class is in the tests of its documents."""

    OWN: ClassVar[dict[str, Any]] = {"name": "piecewise_constant", "values": [0.1, 0.5, 0.001]}

    def test_boundaries_count_epochs_and_may_lie_within_one(self) -> None:
        schedule = read_schedule({**self.OWN, "boundaries": [2, 3.5]})
        assert schedule.rates(Timeline(epochs=5, steps_per_epoch=4))[1:4].tolist() == [
            [0.1] * 4,
            [0.5] * 4,
            [0.5, 0.5, 0.001, 0.001],
        ]

    @pytest.mark.parametrize(("unit", "boundaries"), [("batches", [8, 14]), ("fraction", [0.4, 0.7])])
    def test_they_may_count_batches_or_shares_of_the_training(self, unit: str, boundaries: list[float]) -> None:
        timeline = Timeline(epochs=5, steps_per_epoch=4)
        by_epochs = read_schedule({**self.OWN, "boundaries": [2, 3.5]})
        assert (
            read_schedule({**self.OWN, "boundaries": boundaries, "unit": unit}).rates(timeline)
            == by_epochs.rates(timeline)
        ).all()

    def test_every_epoch_of_any_length_begins_at_its_boundary(self) -> None:
        schedule = read_schedule({**self.OWN, "boundaries": [30, 60]})
        for steps_per_epoch in range(1, 400):
            starts = schedule.rates(Timeline(epochs=70, steps_per_epoch=steps_per_epoch))
            assert starts[29, -1] == 0.1 != starts[30, 0] == starts[59, -1] == 0.5 != starts[60, 0] == 0.001

    def test_values_are_multiples_of_a_learning_rate(self) -> None:
        schedule = read_schedule({**self.OWN, "boundaries": "1 2", "learning_rate": 10})
        assert schedule.by_epoch(4) == [1.0, 5.0, 0.01, 0.01]
        assert schedule.used_parameters == {"values": "0.1 0.5 0.001", "boundaries": "1 2", "unit": "epochs"}

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            ({"boundaries": [1, 2, 3]}, "values: must be one more than boundaries, got 3 values and 3 boundaries."),
            ({"boundaries": [3, 2]}, "boundaries: boundaries must ascend from above 0, got 2 after 3."),
            ({"boundaries": [0, 2]}, "boundaries: boundaries must ascend from above 0, got 0 after 0."),
            (
                {"boundaries": [0.5, 60], "unit": "fraction"},
                "boundaries: must lie below 1 where unit is fraction, got 60; unit may be epochs or batches.",
            ),
            ({"boundaries": [1, 2], "values": [0.1, -1, 2]}, "values: a value must lie between 0 and 1e6, got -1."),
        ],
    )
    def test_what_does_not_go_together_is_told(self, given: dict[str, Any], complaint: str) -> None:
        with pytest.raises(BadInput) as raised:
            read_schedule({**self.OWN, **given})
        assert str(raised.value) == complaint


class TestWarmupFrom:
    def test_the_rate_rises_from_its_share(self) -> None:
        schedule = read_schedule({"name": "constant", "learning_rate": 2, "warmup": 0.5, "warmup_from": 0.25})
        assert schedule.by_epoch(8) == [0.5, 0.875, 1.25, 1.625, 2.0, 2.0, 2.0, 2.0]

    def test_one_that_is_not_given_is_in_no_document(self) -> None:
        schedule = read_schedule({"name": "constant", "learning_rate": 2, "warmup": 0.5})
        assert schedule.document == {"name": "constant", "learning_rate": 2.0, "warmup": 0.5, "floor": 0.0}

    def test_what_watches_begins_its_warm_up_there_too(self) -> None:
        schedule = read_schedule({"name": "plateau", "learning_rate": 2, "warmup": 0.5, "warmup_from": 0.25})
        assert schedule.by_epoch(4) == [0.5, 1.25, 2.0, 2.0]
