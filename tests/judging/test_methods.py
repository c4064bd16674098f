"""Laws of comparing many methods on one data set."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sweep.stats.methods import Runs, expected_maximum, lay_out, luck, stand
from sweep.stats.verdict import Word

TRIALS = 200


def as_good(table: Runs) -> list[str]:
    return [each.name for each in stand(table, 0.1).of if each.as_good]


def runs_of(scores: np.ndarray, *, paired: bool, shared: float = 0.0) -> Runs:
    return Runs(tuple(f"m{place}" for place in range(len(scores))), scores, paired, shared)


class TestEqualMethods:
    @pytest.mark.parametrize(("methods", "runs", "paired"), [(5, 10, False), (5, 10, True), (16, 10, True)])
    def test_they_are_told_apart_in_five_percent_of_tables_at_most(self, methods: int, runs: int, paired: bool) -> None:
        generator = np.random.default_rng(7)
        tables = [runs_of(generator.normal(size=(methods, runs)), paired=paired) for _ in range(TRIALS)]
        told = sum(len(as_good(table)) < methods for table in tables)
        limit = stats.binom.ppf(0.999, TRIALS, 0.05)
        assert told <= limit
        against = [[each.word for each in stand(table, 0.1, "m0").of if each.word is not None] for table in tables]
        assert sum(any(word.says_better or word.says_worse for word in words) for words in against) <= limit

    def test_unequal_noise_does_not_tell_them_apart(self) -> None:
        generator, widths = np.random.default_rng(3), np.array([[0.1], [0.1], [0.1], [3.0], [10.0]])
        tables = [runs_of(generator.normal(size=(5, 6)) * widths, paired=False) for _ in range(TRIALS)]
        assert sum(len(as_good(table)) < 5 for table in tables) <= stats.binom.ppf(0.999, TRIALS, 0.05)


class TestLead:
    def test_pairs_take_out_what_seeds_share(self) -> None:
        generator = np.random.default_rng(0)
        seeds = 10 * generator.normal(size=10)
        scores = np.array([seeds + 1, seeds]) + 0.1 * generator.normal(size=(2, 10))
        ours, theirs = stand(runs_of(scores, paired=True), 0.5, "m1").of
        assert (ours.word, theirs.word) == (Word.BETTER, None)
        assert stand(runs_of(scores, paired=False), 0.5, "m1").of[0].word is Word.OPEN

    @pytest.mark.parametrize("paired", [True, False])
    def test_of_two_methods_it_is_a_t_test(self, paired: bool) -> None:
        first, second = np.random.default_rng(1).normal(size=(2, 9))
        effect = runs_of(np.array([first, second]), paired=paired).effect(0, 1, against_one=True, tie=0.1)
        test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
        assert effect.p_value == pytest.approx(test.pvalue)
        assert (effect.interval.low, effect.interval.high) == pytest.approx(tuple(test.confidence_interval()))

    def test_intervals_against_a_baseline_hold_all_truths_at_once(self) -> None:
        generator, truth = np.random.default_rng(5), np.array([0.0, 0.2, -0.3, 1.0])
        held = 0
        for _ in range(TRIALS):
            table = runs_of(truth[:, None] + generator.normal(size=(4, 8)), paired=False)
            effects = [table.effect(place, 0, against_one=True, tie=0.1).interval for place in (1, 2, 3)]
            held += all(each.low <= lead <= each.high for each, lead in zip(effects, truth[1:], strict=True))
        assert held >= stats.binom.ppf(0.001, TRIALS, 0.95)

    def test_splits_that_share_rows_make_it_less_sure(self) -> None:
        scores = np.random.default_rng(2).normal(size=(2, 20))
        alone, sharing = (
            runs_of(scores, paired=True, shared=each).effect(0, 1, against_one=True, tie=0.1) for each in (0.0, 0.5)
        )
        halves = [each.interval.high - each.mean for each in (alone, sharing)]
        assert halves[1] == pytest.approx(halves[0] * np.sqrt(1 + 20 * 0.5))

    def test_equal_runs_leave_open_what_so_few_leave_open(self) -> None:
        effect = runs_of(np.array([[0.9] * 4, [0.8] * 4]), paired=True).effect(0, 1, against_one=True, tie=0.005)
        assert effect.mean == pytest.approx(0.1)
        assert effect.interval.low < effect.mean < effect.interval.high


class TestLuck:
    def test_it_is_what_the_best_of_equal_methods_lies_above_their_mean_by(self) -> None:
        generator, found, told = np.random.default_rng(9), [], []
        for _ in range(TRIALS):
            table = runs_of(generator.normal(size=(16, 10)) + generator.normal(size=10), paired=True)
            found.append(float(table.means.max() - table.means.mean()))
            told.append(luck(table))
        assert np.mean(told) == pytest.approx(np.mean(found), rel=0.08)

    def test_of_two_numbers_the_larger_is_known(self) -> None:
        assert expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi))


class TestDesign:
    def test_it_is_found_by_the_blocks_that_methods_share(self) -> None:
        method, score = [0, 0, 0, 1, 1, 1], np.arange(6.0)
        assert lay_out(["a", "b"], method, [1, 2, 3, 1, 2, 3], score)[1] == "paired"
        assert lay_out(["a", "b"], method, [1, 2, 3, 4, 5, 6], score)[1] == "unpaired"
        assert lay_out(["a", "b"], method, None, score)[1] == "unpaired"
        runs, design = lay_out(["a", "b"], method * 2, [1, 2, 3, 3, 2, 1] * 2, np.arange(12.0))
        assert design == "crossed"
        assert runs.scores.tolist() == [[3, 4, 5], [8, 7, 6]]

    def test_one_score_of_a_method_is_refused(self) -> None:
        with pytest.raises(ValueError, match="`m1` must have at least 2 scores, got 1"):
            runs_of(np.array([[1.0, 2.0], [1.0, np.nan]]), paired=False)
