"""Verdicts on simulated comparisons whose answer is known; the benchmark's section `verdict` has the full size."""

import numpy as np
import pytest
from scipy import stats

from tests.bench.simulated import EASY_ERRORS, ROWS, correct_rows
from tests.bench.verdict_simulation import BETTER, STATED_RUNS, WORSE, coverage, planted, repeat, resplit, share

NUMBER = 150
RESAMPLES = 499


def within_chance(covered: float, number: int) -> bool:
    """Tell whether a coverage may be one of 93 to 97 %, seen in `number` simulations."""
    low, high = stats.binom.ppf(0.005, number, 0.93), stats.binom.ppf(0.995, number, 0.97)
    return bool(low <= round(covered * number) <= high)


def test_few_run_seeds_do_not_make_a_false_better_likely() -> None:
    verdicts = repeat(NUMBER, lambda generator: planted(0.0, 12, generator, RESAMPLES))
    assert share(verdicts, BETTER) <= 0.05


def test_one_row_is_found_at_the_stated_number_of_run_seeds() -> None:
    verdicts = repeat(100, lambda generator: planted(1.0, STATED_RUNS, generator, RESAMPLES))
    assert share(verdicts, BETTER) >= 0.8
    assert share(verdicts, WORSE) == 0


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_intervals_on_these_rows_hold_the_truth_as_often_as_they_say(effect: float) -> None:
    verdicts = repeat(NUMBER, lambda generator: planted(effect, 24, generator, RESAMPLES))
    assert within_chance(coverage(verdicts, effect), NUMBER)


def test_intervals_on_new_rows_hold_the_truth_as_often_as_they_say() -> None:
    verdicts = repeat(NUMBER, lambda generator: resplit(1.0, 30, generator, noise_on_top=True))
    assert within_chance(coverage(verdicts, 1.0), NUMBER)


def test_simulated_runs_have_the_mean_the_ceiling_and_the_correlation_asked_for() -> None:
    shared, *own = np.random.default_rng(7).normal(size=(3, 20_000))
    correct = np.array([correct_rows(EASY_ERRORS + place, shared, each) for place, each in enumerate(own)])
    assert correct.max() == ROWS - 1
    assert correct.mean(axis=1) == pytest.approx([114.2, 113.2], abs=0.05)
    assert 0.2 < np.corrcoef(correct)[0, 1] < 0.32
