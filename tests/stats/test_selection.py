import numpy as np
import pytest

from sweep.stats.selection import best, holm, indistinguishable, paired_p_value, simplest, survivors


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


class TestSimplest:
    def test_it_has_the_lowest_complexity_of_the_members(self) -> None:
        assert simplest((1, 2, 3), [0, 2, 1, 2], noisy([1.0, 2.0, 3.0, 4.0], 4)) == 2

    def test_of_equally_simple_ones_it_scores_best(self) -> None:
        assert simplest((0, 1), [1, 1], [[1.0, 1.0], [2.0, 2.0]]) == 1


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
