import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from sweep.stats.counts import balanced_accuracy, dispersion, mcnemar_limit, recalls


class TestDispersion:
    def test_the_expected_spread_is_the_one_of_calibrated_networks(self) -> None:
        assert dispersion([113, 113, 113], 116).expected == pytest.approx(math.sqrt(3 / 2))

    def test_undertrained_networks_are_flagged(self) -> None:
        correct = np.random.default_rng(0).normal(104.5, 7.4, size=64)  # rate 0.01: 90.1 % (6.4)
        assert dispersion(correct, 116).flagged

    def test_trained_networks_are_not(self) -> None:
        correct = np.random.default_rng(0).normal(113.0, 1.16, size=64)  # rate 0.1: 97.4 % (1.0)
        assert not dispersion(correct, 116).flagged

    def test_two_runs_prove_nothing(self) -> None:
        assert not dispersion([116, 112], 116).flagged

    def test_runs_without_an_error_are_not_flagged(self) -> None:
        assert not dispersion([116] * 8, 116).flagged


class TestMcnemarLimit:
    def test_even_a_perfect_answer_cannot_beat_the_quoted_baseline(self) -> None:
        assert mcnemar_limit(111, 116) == pytest.approx(2 * 0.5**5)

    def test_six_errors_are_the_fewest_that_can_be_beaten(self) -> None:
        assert mcnemar_limit(110, 116) == pytest.approx(2 * 0.5**6)

    def test_nothing_beats_a_perfect_baseline(self) -> None:
        assert mcnemar_limit(116, 116) == 1.0

    def test_an_impossible_count_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must be from 0 to 116, got 117"):
            mcnemar_limit(117, 116)


class TestClasses:
    def test_recalls_are_scikit_learns(self) -> None:
        generator = np.random.default_rng(2)
        true, answered = generator.integers(0, 3, 60), generator.integers(0, 3, 60)
        right, rows = np.bincount(true[true == answered], minlength=3), np.bincount(true, minlength=3)
        np.testing.assert_allclose(recalls(right, rows), recall_score(true, answered, average=None))
        assert balanced_accuracy(right, rows) == pytest.approx(balanced_accuracy_score(true, answered))

    def test_always_answering_the_majority_is_half_right(self) -> None:
        assert balanced_accuracy([0, 107], [9, 107]) == 0.5

    def test_a_class_without_rows_has_no_recall_and_does_not_count(self) -> None:
        np.testing.assert_array_equal(recalls([3, 2, 0], [4, 2, 0]), [0.75, 1.0, np.nan])
        assert balanced_accuracy([3, 2, 0], [4, 2, 0]) == 0.875
