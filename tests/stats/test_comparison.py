"""Laws of comparisons: of pairs of runs, and of many candidates; and what they could have shown."""

import math

import numpy as np
import pytest

from sweep.stats.comparison import (
    best,
    compare,
    detectable_standard_errors,
    expanded_level,
    holm,
    indistinguishable,
    paired_p_value,
    pairs_needed,
    power,
    smallest_effect,
    survivors,
    unseen_share,
)
from sweep.stats.estimate import Chances

WINNER, CONSTANT = [115, 115, 114, 115, 113, 115, 115, 114], [114, 113, 114, 112, 113, 115, 113, 113]


def test_the_mean_is_the_mean_of_the_differences() -> None:
    found = compare(WINNER, CONSTANT)
    assert found.effect.mean == pytest.approx(9 / 8)  # 1 2 0 3 0 0 2 1
    assert found.effect.smallest_detectable == smallest_effect(float(np.std([1, 2, 0, 3, 0, 0, 2, 1], ddof=1)), 8)
    assert found.effect.samples == 8


def test_runs_are_better_or_worse_beyond_one_row_only() -> None:
    assert compare(WINNER, CONSTANT).run_chances == Chances(3 / 8, 5 / 8, 0.0)


def test_the_chances_of_the_mean_follow_from_the_resampled_means() -> None:
    chances = compare(WINNER, CONSTANT, tie=0.0).mean_chances
    assert chances.better > 0.99
    assert chances.better + chances.tied + chances.worse == pytest.approx(1.0)


def test_the_same_runs_in_another_order_give_the_same_answer() -> None:
    assert compare(WINNER[::-1], CONSTANT[::-1]) == compare(WINNER, CONSTANT)


def test_exchanging_the_two_turns_the_interval_round() -> None:
    there, back = compare(WINNER, CONSTANT).effect, compare(CONSTANT, WINNER).effect
    assert back.mean == -there.mean
    assert back.interval.low == pytest.approx(-there.interval.high, abs=0.13)
    assert back.interval.high == pytest.approx(-there.interval.low, abs=0.13)


def test_equal_differences_leave_open_what_so_few_runs_cannot_show() -> None:
    effect = compare([115] * 16, [114] * 16).effect
    assert (effect.interval.low, effect.interval.high) == (1 - unseen_share(16), 1 + unseen_share(16))


def test_many_differences_have_the_interval_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(size=400)
    interval = compare(values, np.zeros(400)).effect.interval
    reach = 1.96 * values.std(ddof=1) / 20
    assert interval.low == pytest.approx(values.mean() - reach, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + reach, abs=0.01)


def test_few_runs_ask_for_a_higher_level_and_many_for_the_plain_one() -> None:
    # n = 10: t = 2.262157, times sqrt(10 / 9) = 2.384527, whose two normal tails hold 0.0171
    assert expanded_level(10) == pytest.approx(1 - 0.01710, abs=1e-4)
    assert expanded_level(10**6) == pytest.approx(0.95, abs=1e-4)


def test_unequal_numbers_of_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="must share their runs, got 3 and 2"):
        compare([1, 2, 3], [1, 2])


@pytest.mark.parametrize(("standardised", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_pairs_needed_for_small_medium_and_large_effects_are_the_published_ones(
    standardised: float, pairs: int
) -> None:
    assert pairs_needed(1.0, standardised) == pairs


def test_an_effect_of_one_row_of_a_million_is_counted_at_once() -> None:
    pairs = pairs_needed(3000.0, 1.0)
    found, one_less = (power(math.sqrt(each) / 3000, each - 1) for each in (pairs, pairs - 1))
    assert one_less < 0.8 <= found


def test_without_an_effect_the_power_is_the_significance() -> None:
    assert power(0.0, 11) == pytest.approx(0.05)


def test_many_pairs_need_the_normal_quantiles() -> None:
    assert detectable_standard_errors(10**6) == pytest.approx(1.959964 + 0.841621, abs=1e-4)


def test_the_smallest_effect_is_found_with_the_power_that_it_promises() -> None:
    effect = smallest_effect(1.2, 12)
    assert power(effect / 1.2 * math.sqrt(12), 11) == pytest.approx(0.8)


def test_four_times_the_pairs_show_about_half_the_effect() -> None:
    assert smallest_effect(1.2, 184) / smallest_effect(1.2, 46) == pytest.approx(0.5, abs=0.02)


def test_equal_runs_leave_open_what_clopper_and_pearson_leave_open() -> None:
    assert unseen_share(10) == pytest.approx(0.30850, abs=1e-5)  # the tables' upper limit for 0 of 10
    assert smallest_effect(0.0, 10) == unseen_share(10)


def noisy(means: list[float], runs: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    generator = np.random.default_rng(seed)
    shared, own = generator.normal(size=runs), generator.normal(size=(len(means), runs))
    return np.asarray(means)[:, None] + 0.5 * shared + 0.8 * own


class TestHolm:
    def test_it_agrees_with_a_hand_computed_one(self) -> None:
        # 4 * 0.005 = 0.02, 3 * 0.01 = 0.03, 2 * 0.03 = 0.06, 1 * 0.04 lifted to 0.06
        np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])

    def test_no_adjusted_p_value_is_above_1(self) -> None:
        np.testing.assert_array_equal(holm(np.array([0.6, 0.9])), [1.0, 1.0])

    def test_no_tests_need_no_adjustment(self) -> None:
        assert len(holm(np.array([]))) == 0


class TestPairedPValue:
    def test_it_agrees_with_a_hand_computed_one(self) -> None:
        assert paired_p_value(np.array([1.0, 2.0, 3.0])) == pytest.approx(0.0741799)  # t = 3.4641, 2 degrees

    def test_equal_differences_are_judged_by_their_sign(self) -> None:
        assert paired_p_value(np.ones(6)) == pytest.approx(2 * 0.5**6)
        assert paired_p_value(np.zeros(6)) == 1.0


class TestIndistinguishable:
    def test_clearly_worse_candidates_are_told_apart(self) -> None:
        scores = noisy([110.0, 115.0, 114.9, 111.0], 32)
        assert indistinguishable(scores) == (1, 2)

    def test_a_copy_of_the_best_cannot_be_told_from_it(self) -> None:
        scores = noisy([115.0, 114.0], 64)
        assert indistinguishable(np.vstack([scores, scores[:1]])) == (0, 2)

    def test_a_single_candidate_is_its_own_set(self) -> None:
        assert indistinguishable(noisy([115.0], 8)) == (0,)

    def test_the_truly_best_is_in_the_set_nearly_always(self) -> None:
        means = [114.5, 114.6, 114.0, 114.2]
        missed = sum(1 not in indistinguishable(noisy(means, 16, seed)) for seed in range(200))
        assert missed <= 10


class TestSurvivors:
    def test_few_runs_drop_nobody(self) -> None:
        assert survivors(noisy([100.0, 115.0], 5)) == (0, 1)

    def test_clear_losers_are_dropped(self) -> None:
        assert survivors(noisy([100.0, 115.0, 114.9], 8)) == (1, 2)

    def test_equals_stay(self) -> None:
        assert survivors(np.full((5, 8), 115)) == (0, 1, 2, 3, 4)

    def test_the_truly_best_is_dropped_in_at_most_5_percent_of_looks(self) -> None:
        means = [114.5] + [114.4] * 7
        lost = sum(0 not in survivors(noisy(means, 16, seed)) for seed in range(200))
        assert lost <= 10


def test_the_best_is_the_first_of_equals() -> None:
    assert best([[1.0, 1.0], [2.0, 2.0], [1.0, 3.0]]) == 1
