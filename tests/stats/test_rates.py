"""Laws of the range of learning rates within reach of the best."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.stats.rates import Forgiveness, Forgiving, Tried, forgiving, unimodal, within_reach
from sweep.task import METRICS, MetricName

FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
RATES = [0.1 * factor for factor in FACTORS]
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def hill(top: float = 0.0, width: float = 1.0, splits: int = 6, noise: float = 0.0, seed: int = 0) -> Tried:
    """Return scores that fall by a point at `width` decades from `top`, which is in decades from the rate."""
    decades = np.log10(FACTORS)[:, None]
    means = 0.92 - 0.01 * ((decades - top) / width) ** 2
    drawn = noise * np.random.default_rng(seed).normal(size=(len(FACTORS), splits))
    return Tried("linear", "linear 0.1", 0.1, FACTORS, means + drawn)


def of(tried: Tried, metric: MetricName = "accuracy", constant: Tried | None = None) -> Forgiving:
    found = forgiving(tried, constant, METRICS[metric])
    assert found is not None
    return found


class TestUnimodal:
    @given(SCORES)
    @settings(max_examples=50, deadline=None)
    def test_it_rises_to_one_number_and_falls_behind_it(self, scores: list[float]) -> None:
        steps = np.sign(np.diff(unimodal(scores)))
        steps = steps[steps != 0]
        assert np.array_equal(steps, np.sort(steps)[::-1])
        assert unimodal(scores).mean() == pytest.approx(np.mean(scores), abs=1e-12)

    def test_what_rises_and_falls_stays(self) -> None:
        assert unimodal([0.1, 0.4, 0.5, 0.3, 0.0]).tolist() == [0.1, 0.4, 0.5, 0.3, 0.0]


class TestRange:
    def test_it_ends_on_the_lines_between_the_rates_that_were_tried(self) -> None:
        found = within_reach(RATES, [0.80, 0.91, 0.92, 0.91, 0.80], METRICS["accuracy"])
        assert found is not None
        assert found.low == pytest.approx(0.1 / math.sqrt(3))
        assert found.high == pytest.approx(0.1 * math.sqrt(3))
        assert found.at_least == (False, False)

    def test_where_no_rate_is_beyond_reach_it_is_open(self) -> None:
        found = within_reach(RATES, [0.80, 0.91, 0.92, 0.92, 0.918], METRICS["accuracy"])
        assert found is not None
        assert found.high == pytest.approx(0.9)
        assert found.at_least == (False, True)

    def test_a_dip_of_noise_between_good_rates_does_not_end_it(self) -> None:
        found = within_reach(RATES, [0.80, 0.918, 0.913, 0.92, 0.80], METRICS["accuracy"])
        assert found is not None
        assert found.low < 0.1 < found.high

    def test_a_rate_that_diverges_is_beyond_it_and_what_is_behind_too(self) -> None:
        found = within_reach(RATES, [-0.31, -0.30, -0.305, math.nan, -0.30], METRICS["log_loss"])
        assert found is not None
        assert [found.low, found.high] == pytest.approx([0.1 / 9, 0.1])
        assert found.at_least == (True, False)

    def test_a_loss_may_be_a_tenth_higher(self) -> None:
        found = within_reach(RATES, [-9.0, -0.329, -0.3, -0.331, -9.0], METRICS["log_loss"])
        assert found is not None
        assert found.low < 0.1 / 3
        assert 0.1 < found.high < 0.3

    def test_without_a_score_there_is_none(self) -> None:
        assert within_reach(RATES, [math.nan] * 5, METRICS["rmse"]) is None
        nothing = Tried("linear", "", 0.1, FACTORS, np.full((5, 2), np.nan))
        assert forgiving(nothing, None, METRICS["rmse"]) is None


class TestForgiving:
    def test_what_is_lost_is_in_points_of_a_share_and_in_percent_of_a_loss(self) -> None:
        scores = np.array([[0.8, 0.8], [0.90, 0.92], [0.92, 0.92], [0.91, 0.91], [0.5, 0.5]])
        found = of(Tried("linear", "", 0.1, FACTORS, scores))
        assert [found.lost_at_third.mean, found.lost_at_third.error] == pytest.approx([1.0, 1.0])
        assert [found.lost_at_triple.mean, found.lost_at_triple.error] == pytest.approx([1.0, 0.0])
        loss = of(
            Tried("linear", "", 0.1, FACTORS, np.array([[9.0], [4.4], [4.0], [3.0], [math.nan]]).repeat(2, axis=1)),
            "rmse",
        )
        assert [loss.lost_at_third.mean, loss.lost_at_triple.mean] == pytest.approx([10.0, -25.0])
        assert not loss.at_least[1]

    def test_its_lead_is_over_the_constant_rate_on_the_same_re_splits(self) -> None:
        found = of(hill(), constant=Tried("constant", "", 1.0, FACTORS, hill().scores - 0.003))
        assert found.lead is not None
        assert found.lead.told("+") == "+0.3 (±0.0)"

    def test_the_error_of_its_width_is_that_of_other_draws(self) -> None:
        """The jackknife's, over 40 draws, is about the deviation of their widths."""
        found = [of(hill(width=0.5, noise=0.004, seed=seed)) for seed in range(40)]
        told = float(np.mean([each.decades_error for each in found]))
        assert 0.6 < told / float(np.std([math.log10(each.fold) for each in found])) < 1.7


class TestFarMore:
    def answer(self, *families: Forgiving) -> Forgiveness:
        return Forgiveness(splits=6, runs=4, families=families)

    def test_what_is_as_good_and_surely_twice_as_wide_is_named(self) -> None:
        narrow, wide = of(hill(width=0.3)), of(hill(width=0.9))
        assert self.answer(narrow, wide).far_more(narrow) is wide
        assert self.answer(narrow, wide).far_more(wide) is None

    def test_what_is_worse_or_hardly_wider_is_not(self) -> None:
        narrow, wide = of(hill(width=0.3)), of(hill(width=0.9))
        assert wide.score is not None
        worse = wide.model_copy(update={"score": wide.score - 0.0051})
        assert self.answer(narrow, worse, of(hill(width=0.4))).far_more(narrow) is None

    def test_noise_alone_is_hardly_ever_named(self) -> None:
        """Nine schedules that forgive the same, as noisy as those of the default study."""
        named = 0
        for trial in range(40):
            families = [of(hill(width=0.5, noise=0.005, seed=9 * trial + place)) for place in range(9)]
            named += self.answer(*families).far_more(families[0]) is not None
        assert named <= 2

    def test_a_range_that_may_be_wider_is_not_called_narrow(self) -> None:
        open_ended, wide = of(hill(top=-0.8, width=0.3)), of(hill(width=0.9))
        assert open_ended.at_least == (True, False)
        assert self.answer(open_ended, wide).far_more(open_ended) is None
