"""Laws of the lead on new rows: its interval, what an open one lacks, and what is judged by it."""

import math

import numpy as np
import pytest

from sweep.stats.estimate import Chances
from sweep.stats.new_rows import effect_on_new_rows, few_rows, judge_new_rows, missing
from sweep.stats.verdict import Missing


class TestInterval:
    def test_single_runs_have_the_corrected_test_that_was_computed_by_hand(self) -> None:
        # mean 2, s^2 = 2.5, J = 5; 2.5 * (1/5 + 1/2) = 1.75; t(0.975, 4) = 2.776445; t = 2 / 1.322876 = 1.511858
        effect = effect_on_new_rows([[0.0], [1.0], [2.0], [3.0], [4.0]], 200, 100)
        assert effect.mean == 2.0
        assert effect.interval.low == pytest.approx(2 - 2.776445 * 1.322876, abs=1e-5)
        assert effect.interval.high == pytest.approx(2 + 2.776445 * 1.322876, abs=1e-5)
        assert effect.p_value == pytest.approx(0.20507, abs=1e-4)

    def test_run_noise_is_averaged_away_by_runs_and_splits(self) -> None:
        leads = np.tile([[-1.0, 1.0]], (8, 1))  # within a split 2, between splits nothing
        effect = effect_on_new_rows(leads, 200, 100, row_leads=np.tile([1e-9, -1e-9], 150))
        assert effect.computing == pytest.approx(math.sqrt(2 / 16))
        assert effect.sampling == 0

    def test_what_splits_add_is_told_from_run_noise(self) -> None:
        # within a split 2, so that means vary by 1 of the 2.5 between splits: 1.5 * (1/5 + 1/3) + 2/10
        leads = np.arange(5)[:, None] + np.array([[-1.0, 1.0]])
        effect = effect_on_new_rows(leads, 200, 100, row_leads=np.tile([1e-9, -1e-9], 150))
        assert effect.interval.high - 2 == pytest.approx(2.776445 * math.sqrt(1.5 * (1 / 5 + 1 / 3) + 0.2), abs=1e-5)

    def test_what_may_be_run_noise_is_for_computing_to_find_out(self) -> None:
        leads = np.arange(5)[:, None] + np.array([[-3.0, 3.0]])
        assert effect_on_new_rows(leads, 200, 100).sampling == 0

    def test_endless_splits_never_beat_the_rows(self) -> None:
        row_leads = np.tile([1.0, -1.0, 0.0], 117)
        effect = effect_on_new_rows(np.zeros((1000, 2)), 234, 117, row_leads=row_leads)
        assert effect.sampling == pytest.approx(117 * row_leads.std(ddof=1) / math.sqrt(351))

    def test_equal_leads_without_rows_leave_no_doubt(self) -> None:
        effect = effect_on_new_rows(np.full((30, 2), 2.0), 235, 116)
        assert (effect.interval.low, effect.interval.high, effect.p_value) == (2.0, 2.0, 0.0)

    def test_more_looks_make_it_longer(self) -> None:
        leads = np.random.default_rng(0).normal(size=(30, 4))
        one, three = (effect_on_new_rows(leads, 200, 100, looks=looks).interval for looks in (1, 3))
        assert three.low < one.low < one.high < three.high

    def test_a_side_without_rows_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must hold rows on both sides, got 0 to train"):
            effect_on_new_rows([[0.0], [1.0]], 0, 116)

    def test_another_unit_scales_its_parts(self) -> None:
        effect = effect_on_new_rows(np.random.default_rng(0).normal(size=(30, 4)), 200, 100).scaled(2.0)
        assert effect.computing is not None
        assert effect.sampling is not None
        reach = (effect.interval.high - effect.interval.low) / 2
        assert reach == pytest.approx(2.045 * math.hypot(effect.computing, effect.sampling), rel=1e-3)


class TestFewRows:
    def test_no_row_that_differs_leaves_three_rows_unseen(self) -> None:
        low, high = few_rows(np.zeros(1000), 1.0)
        assert (-low, high) == pytest.approx((3 / 1000, 3 / 1000), rel=0.01)

    def test_no_row_that_differs_is_the_same_at_every_look(self) -> None:
        effect = effect_on_new_rows(np.zeros((30, 2)), 234, 117, row_leads=np.zeros(351), looks=3)
        assert effect.interval.high < 1  # row of 117, for which the rule of three stays below it

    def test_a_handful_on_one_side_has_the_limits_of_clopper_and_pearson(self) -> None:
        leads = np.zeros(1000)
        leads[:4] = 1.0
        low, high = few_rows(leads, 1.0)
        assert high == pytest.approx(9.13 / 1000, rel=0.01)  # of 4 in 1,000
        assert low < 1.37 / 1000  # which the rows that the other may win lower further


class TestMissing:
    def test_run_noise_lacks_computing(self) -> None:
        leads, row_leads = np.tile([[-9.0, 9.0]], (30, 1)), np.tile([0.1, -0.1, 0], 117)
        found = missing(effect_on_new_rows(leads, 234, 117, row_leads=row_leads), 1.2, 351)
        assert found is not None
        assert found.kind == "computing"
        assert found.number > 30

    def test_rows_that_disagree_lack_rows(self) -> None:
        row_leads = np.tile([1.0, -1.0, 0.0], 117)
        found = missing(effect_on_new_rows(np.zeros((30, 2)), 234, 117, row_leads=row_leads), 1.0, 351)
        # a standard error of 5.1 rows of 117, where 1 / 2.045 would do
        assert found == Missing("rows", math.ceil(351 * (117 * row_leads.std(ddof=1) / math.sqrt(351) * 2.04523) ** 2))

    def test_a_handful_of_rows_lacks_rows(self) -> None:
        effect = effect_on_new_rows(np.zeros((30, 2)), 100, 50, row_leads=np.zeros(150))
        assert missing(effect, 0.5, 150) == Missing("rows", math.ceil(150 * effect.interval.high / 0.5))

    def test_without_any_spread_nothing_is_lacking(self) -> None:
        found = missing(effect_on_new_rows(np.zeros((30, 2)), 100, 50), 0.5, 150)
        assert found == Missing("computing", 0)


class TestJudgement:
    def test_run_seeds_within_a_split_are_averaged_first(self) -> None:
        leads = np.full((30, 4), 3.0)
        leads[:, 0] += 4
        effect = judge_new_rows(leads, 235, 116).effect
        assert effect.mean == pytest.approx(4.0)
        assert effect.samples == 30

    def test_the_chances_agree_with_hand_computed_ones(self) -> None:
        # t has 4 degrees of freedom: P(t > -1 / 1.322876) = 0.754057, P(t < -3 / 1.322876) = 0.042985
        found = judge_new_rows([[0.0], [1.0], [2.0], [3.0], [4.0]], 200, 100).mean
        assert found is not None
        assert found.better == pytest.approx(0.754057, abs=1e-3)
        assert found.worse == pytest.approx(0.042985, abs=1e-3)
        assert found.better + found.tied + found.worse == pytest.approx(1)

    def test_equal_leads_leave_no_doubt(self) -> None:
        assert judge_new_rows(np.full((30, 1), 2.0), 235, 116).mean == Chances(1.0, 0.0, 0.0)
