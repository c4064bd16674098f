"""Verdicts on simulated comparisons whose answer is known; the benchmark's section `verdict` has the full size."""

import numpy as np
import pytest
from scipy import stats

from sweep.stats.verdict import Word
from tests.bench import worlds
from tests.bench.simulated import EASY_ERRORS, ROWS, correct_rows
from tests.bench.verdict_simulation import BETTER, STATED_RUNS, WORSE, coverage, planted, repeat, share

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


def test_simulated_runs_have_the_mean_the_ceiling_and_the_correlation_asked_for() -> None:
    shared, *own = np.random.default_rng(7).normal(size=(3, 20_000))
    correct = np.array([correct_rows(EASY_ERRORS + place, shared, each) for place, each in enumerate(own)])
    assert correct.max() == ROWS - 1
    assert correct.mean(axis=1) == pytest.approx([114.2, 113.2], abs=0.05)
    assert 0.2 < np.corrcoef(correct)[0, 1] < 0.32


@pytest.mark.parametrize("world", ["twins", "other rows", "a lead"])
def test_intervals_on_new_rows_hold_the_truth_and_are_not_much_longer_than_need_be(world: str) -> None:
    found = worlds.summed_up(worlds.effects(worlds.WORLDS[world], 351, 50), worlds.WORLDS[world].truth(117))
    assert found.covered >= stats.binom.ppf(0.005, 50, worlds.LEAST_COVERED) / 50
    assert found.length < worlds.MOST_LENGTH


@pytest.mark.parametrize(("rows", "number"), [(351, 40), (10_000, 4)])
def test_identical_candidates_are_the_same_on_new_rows(rows: int, number: int) -> None:
    words = worlds.last_words(worlds.WORLDS["identical"], rows, number)
    assert worlds.share(words, [Word.SAME]) >= stats.binom.ppf(0.005, number, 0.95) / number


def test_a_lead_that_is_just_worth_having_is_hardly_ever_denied() -> None:
    words = worlds.last_words(worlds.WORLDS["identical"].with_truth(1.0, 117), 351, 40)
    assert sum(worlds.is_false(word, 1.0) for word in words) <= stats.binom.ppf(0.995, 40, 0.05)
