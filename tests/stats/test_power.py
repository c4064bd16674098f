import math

import pytest

from sweep.stats.power import detectable_standard_errors, pairs_needed, power, smallest_effect, unseen_share


@pytest.mark.parametrize(("standardised", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_pairs_needed_for_small_medium_and_large_effects_are_the_published_ones(
    standardised: float, pairs: int
) -> None:
    assert pairs_needed(1.0, standardised) == pairs


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
