import numpy as np
import pytest

from sweep.stats.estimate import Chances
from sweep.stats.paired import bootstrap, compare, expanded_level
from sweep.stats.power import unseen_share

WINNER, CONSTANT = [115, 115, 114, 115, 113, 115, 115, 114], [114, 113, 114, 112, 113, 115, 113, 113]


def test_the_mean_is_the_mean_of_the_differences() -> None:
    found = compare(WINNER, CONSTANT)
    assert found.effect.mean == pytest.approx(9 / 8)  # 1 2 0 3 0 0 2 1
    assert found.deviation == pytest.approx(np.std([1, 2, 0, 3, 0, 0, 2, 1], ddof=1))
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
    interval, _ = bootstrap(values)
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
