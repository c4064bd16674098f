"""Laws of the statistics over several data sets, against published figures, SciPy's, and exact ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sweep.stats.several import choose, critical_difference, mean_lead, rank, signed_rank, standings

# The areas under the ROC curve of C4.5 and three variants on 14 data sets (Demsar 2006, table 6), whose ranks tell two
# of the 13th apart that are equal when rounded.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
NAMES = ("m", "cf", "m+cf")
LEADS = {name: (DEMSAR[:, place] - DEMSAR[:, 0]).round(6).tolist() for place, name in enumerate(NAMES, start=1)}


class TestRanks:
    def test_they_are_those_that_demsar_prints(self) -> None:
        found = rank(LEADS, "C4.5")
        assert found is not None
        printed = {"m+cf": 1.964, "m": 2.000, "cf": 2.893, "C4.5": 3.143}
        assert {name: round(each, 3) for name, each in found.by_family.items()} == printed
        assert list(found.by_family) == list(printed)
        assert found.critical_difference == pytest.approx(1.25, abs=0.005)
        assert found.p_value == pytest.approx(stats.f.sf(3.69, 3, 39), rel=0.01)

    @pytest.mark.parametrize(("candidates", "quantile"), [(2, 1.960), (5, 2.728), (10, 3.164)])
    def test_the_critical_difference_has_the_quantiles_of_his_table(self, candidates: int, quantile: float) -> None:
        printed = quantile * math.sqrt(candidates * (candidates + 1) / (6 * 20))
        assert critical_difference(candidates, 20) == pytest.approx(printed, rel=5e-4)

    def test_a_family_that_is_not_known_everywhere_has_none(self) -> None:
        found = rank({"linear": [1.0, 2.0], "step": [1.0, math.nan]}, "constant")
        assert found is not None
        assert found.by_family == {"linear": 1.0, "constant": 2.0}

    def test_one_data_set_and_ties_throughout(self) -> None:
        assert rank({"linear": [1.0]}, "constant") is None
        assert rank({}, "constant") is None
        tied = rank({"linear": [0.0, 0.0, 0.0]}, "constant")
        assert tied is not None
        assert (tied.by_family, tied.p_value) == ({"linear": 1.5, "constant": 1.5}, None)


class TestSignedRank:
    def test_one_data_set_has_the_probability_that_its_weight_tells(self) -> None:
        # Of weights w and 1 - w, w from Beta(1, 1/2), only the data set with itself is a pair above the region: w^2.
        found = signed_rank(np.array([2.0]), worth=1.0)
        assert found.better == pytest.approx(stats.beta.sf(math.sqrt(0.5), 1, 0.5), abs=0.01)
        assert found.worse == 0
        assert found.better + found.tied == pytest.approx(1)

    def test_it_is_sure_where_all_agree_and_turns_with_the_sign(self) -> None:
        leads = np.array([1.1, 1.9, 0.8, 1.4, 2.0, 0.9, 1.2])
        assert signed_rank(leads, worth=0.5).better > 0.99
        assert signed_rank(-leads, worth=0.5).worse > 0.99
        assert signed_rank(leads / 10, worth=0.5).tied > 0.99

    def test_it_does_not_know_where_they_disagree(self) -> None:
        found = signed_rank(np.array([2.0, -2.0, 1.0, -1.0, 3.0, -3.0]), worth=0.1)
        assert found.better == pytest.approx(found.worse, abs=0.02)


class TestStandings:
    def test_the_interval_is_students(self) -> None:
        leads = np.array([0.3, -0.2, 0.9, 1.4, 0.1])
        wanted = stats.ttest_1samp(leads, 0).confidence_interval(0.95)
        found = mean_lead(leads)
        assert (found.interval.low, found.interval.high) == pytest.approx(tuple(wanted))
        widened = standings({"linear": leads.tolist(), "step": leads.tolist()}, 0.5, None)["linear"].widened
        assert (widened.low, widened.high) == pytest.approx(
            tuple(stats.ttest_1samp(leads, 0).confidence_interval(0.975))
        )

    def test_what_is_not_known_is_not_counted(self) -> None:
        leads = {"linear": [1.0, math.nan, -2.0], "step": [math.nan] * 3, "cosine": [0.2, 0.7, 0.6]}
        found = standings(leads, 0.5, rank(leads, "constant"))
        assert list(found) == ["cosine", "linear"]
        linear, cosine = found["linear"], found["cosine"]
        assert (linear.effect.samples, linear.ahead, linear.level, linear.behind) == (2, 1, 0, 1)
        assert (linear.worst, linear.worst_set, linear.rank) == (-2.0, 2, None)
        assert (cosine.ahead, cosine.level, cosine.behind, cosine.rank) == (2, 1, 0, 1.0)

    def test_one_data_set_has_no_interval(self) -> None:
        found = mean_lead(np.array([0.7]))
        assert (found.mean, found.interval.low, found.interval.high) == (0.7, 0.7, 0.7)


class TestTheDefault:
    def chosen(self, **leads: list[float]) -> tuple[str | None, bool, int | None]:
        found = choose(standings(leads, 0.5, None), 0.5)
        return found.family, found.settled, found.sets_needed

    def test_it_is_the_family_that_leads_surely(self) -> None:
        sure = [1.0, 1.2, 0.9, 1.4, 0.8, 1.1, 1.0]
        assert self.chosen(step=sure, linear=[each + 0.1 for each in sure]) == ("linear", True, None)

    def test_it_is_the_constant_rate_where_no_lead_is_worth_having(self) -> None:
        small = [0.1, 0.2, -0.1, 0.15, 0.05, 0.12, 0.2]
        assert self.chosen(linear=small) == (None, True, None)
        sure = [0.1, 0.12, 0.11, 0.13, 0.1, 0.12, 0.11]  # a lead, and too small
        assert self.chosen(linear=sure) == (None, True, None)

    def test_it_is_the_constant_rate_and_open_where_the_data_sets_do_not_tell(self) -> None:
        family, settled, needed = self.chosen(linear=[2.0, -1.0, 0.5, 3.0, -0.5, 1.0])
        assert (family, settled) == (None, False)
        assert needed is not None
        assert needed > 6
        assert self.chosen(linear=[-2.0, 1.0, -0.5, -3.0, 0.5, 1.0]) == (None, False, None)

    def test_a_lead_counts_less_among_many(self) -> None:
        leads = [0.1, 1.9, 0.3, 2.0, 0.5, 1.2]
        noise = {f"other_{place}": [1.0, -1.0, 2.0, -2.0, 1.0, -1.0] for place in range(20)}
        assert self.chosen(linear=leads)[0] == "linear"
        assert self.chosen(linear=leads, **noise)[0] is None

    def test_five_data_sets_settle_nothing(self) -> None:
        assert self.chosen(linear=[1.0, 1.01, 1.0, 0.99, 1.0]) == (None, False, None)
        assert self.chosen() == (None, False, None)
