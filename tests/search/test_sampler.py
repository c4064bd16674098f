"""Laws of proposing: what a round depends on, what the sampler is shown, and that it learns."""

from __future__ import annotations

import random
from math import inf
from statistics import mean
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution

from sweep.candidate import Candidate
from sweep.config.study_file import Metric
from sweep.search.distributions import SearchSpace
from sweep.search.sampler import BEST_SHOWN, LATEST_SHOWN, Memory, propose, window
from sweep.space import Value
from sweep.store.queries import Finished
from tests.fakes import badness, make_plan

SPACE = SearchSpace(make_plan().search)


def stood(value: float, log_loss: float, number: int = 0, diverged: int = 0) -> Finished:
    """Return a finished trial as far as its rank goes."""
    return Finished(number, value, log_loss, position=number, diverged=diverged)


def ranking(trials: list[Finished], metric: Metric) -> list[Finished]:
    return sorted(trials, key=lambda trial: trial.rank_key(metric))


def best_first(candidates: list[Candidate]) -> list[dict[str, Value]]:
    return [SPACE.params(candidate) for candidate in sorted(candidates, key=badness)]


@pytest.fixture(scope="module")
def history() -> list[dict[str, Value]]:
    return best_first(propose(SPACE, [], 40, sampler_seed=9, round_number=0))


def test_a_round_is_proposed_again_exactly(history: list[dict[str, Value]]) -> None:
    first, again = (propose(SPACE, history, 8, sampler_seed=3, round_number=2) for _ in range(2))
    assert first == again


def test_a_shorter_round_is_the_beginning_of_a_longer_one(history: list[dict[str, Value]]) -> None:
    long, short = (propose(SPACE, history, count, sampler_seed=3, round_number=2) for count in (8, 5))
    assert short == long[:5]


@pytest.mark.parametrize(("seed", "number"), [(4, 2), (3, 1), (2, 3)], ids=["seed", "round", "swapped"])
def test_another_seed_or_round_proposes_others(history: list[dict[str, Value]], seed: int, number: int) -> None:
    first = propose(SPACE, history, 8, sampler_seed=3, round_number=2)
    other = propose(SPACE, history, 8, sampler_seed=seed, round_number=number)
    assert not {candidate.schedule.learning_rate for candidate in first} & {
        candidate.schedule.learning_rate for candidate in other
    }


def test_another_history_proposes_others(history: list[dict[str, Value]]) -> None:
    shown, reverse = (propose(SPACE, order, 8, sampler_seed=3, round_number=2) for order in (history, history[::-1]))
    assert shown != reverse


def test_nothing_asked_is_nothing_proposed(history: list[dict[str, Value]]) -> None:
    assert propose(SPACE, history, 0, sampler_seed=3, round_number=2) == []


def test_the_candidates_of_a_round_differ(history: list[dict[str, Value]]) -> None:
    assert len(set(propose(SPACE, history, 64, sampler_seed=3, round_number=2))) == 64


@pytest.mark.parametrize("distributions", [SPACE.shared, SPACE.own("step")], ids=["shared", "step's own"])
def test_params_that_belong_together_are_sampled_jointly(
    history: list[dict[str, Value]], distributions: dict[str, BaseDistribution]
) -> None:
    shown = [params for params in history if distributions.keys() <= params.keys()]
    study = Memory(distributions, 0, shown).study
    assert study.ask().relative_params.keys() == distributions.keys()


def test_the_search_learns_what_random_draws_do_not() -> None:
    """The easy objective is the fake trainer's: one schedule, one rate and one momentum are best."""
    learned, blind = [], []
    for seed in range(4):
        candidates: list[Candidate] = []
        for number in range(4):
            candidates += propose(SPACE, best_first(candidates), 16, sampler_seed=seed, round_number=number)
        drawn = propose(SPACE, [], 64, sampler_seed=seed, round_number=99)
        learned.append(mean(badness(candidate) for candidate in candidates[32:]))
        blind.append(mean(badness(candidate) for candidate in drawn))
    assert mean(learned) < 0.8 * mean(blind)


def test_the_better_value_stands_first_and_the_log_loss_decides_between_equals() -> None:
    trials = [stood(0.9, 0.3), stood(0.95, 0.9), stood(0.9, 0.1), stood(0.9, inf)]
    assert [trials.index(trial) for trial in ranking(trials, "accuracy")] == [1, 2, 0, 3]


def test_by_log_loss_the_lower_stands_first_and_the_value_decides_between_equals() -> None:
    trials = [stood(0.9, 0.3), stood(0.95, 0.9), stood(0.8, 0.1), stood(0.99, inf), stood(0.95, 0.3)]
    assert [trials.index(trial) for trial in ranking(trials, "log_loss")] == [2, 4, 0, 1, 3]


def test_by_log_loss_a_diverged_run_stands_behind_all_that_have_none() -> None:
    trials = [
        stood(0.9, 0.01, diverged=1),
        stood(0.2, 5.0),
        stood(0.95, 0.5, diverged=9),
        stood(0.93, inf, diverged=16),
    ]
    assert [trials.index(trial) for trial in ranking(trials, "log_loss")] == [1, 2, 3, 0]


metrics = pytest.mark.parametrize("metric", get_args(Metric))
ranked = st.builds(
    stood,
    value=st.sampled_from([0.5, 0.9, 0.95]),
    log_loss=st.floats(0, 1) | st.just(inf),
    diverged=st.integers(0, 2),
)


@metrics
@given(trials=st.lists(ranked, max_size=40))
def test_a_short_history_is_shown_whole_and_best_first(metric: Metric, trials: list[Finished]) -> None:
    assert window(trials, metric) == ranking(trials, metric)


@metrics
def test_a_long_history_shows_the_best_and_the_latest_of_the_others(metric: Metric) -> None:
    for seed in range(50):
        values = list(range(BEST_SHOWN + LATEST_SHOWN + 30))
        random.Random(seed).shuffle(values)
        trials = [stood(float(value), float(value), number) for number, value in enumerate(values)]
        shown = window(trials, metric)
        best = ranking(trials, metric)[:BEST_SHOWN]
        known = {trial.trial_id for trial in best}
        others = [trial for trial in trials if trial.trial_id not in known]
        assert shown[:BEST_SHOWN] == best
        assert shown[BEST_SHOWN:] == ranking(others[-LATEST_SHOWN:], metric)


def test_at_most_25_best_and_225_others_are_shown() -> None:
    assert (BEST_SHOWN, LATEST_SHOWN) == (25, 225)
    assert len(window([stood(0.0, 0.0)] * 1000, "accuracy")) == 250
