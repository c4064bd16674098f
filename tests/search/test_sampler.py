"""Laws of proposing: what a round depends on, what the sampler is shown, and that it learns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import mean

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution

from sweep.candidate import Candidate
from sweep.search.loop import BEST_SHOWN, LATEST_SHOWN, Memory, propose, window
from sweep.search.space import SearchSpace
from sweep.space import Value
from tests.fakes import badness, make_plan

SPACE = SearchSpace(make_plan().search)


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


positions = st.lists(st.none() | st.integers(0, 400), max_size=40)


def ranked(places: Sequence[int | None]) -> pd.DataFrame:
    """Return as much of the standings of trials at these positions, best first, as the sampler looks at."""
    return pd.DataFrame({"number": range(len(places)), "position": pd.array(list(places), dtype=object)})


@given(places=positions)
def test_a_short_history_is_shown_whole_and_best_first(places: list[int | None]) -> None:
    assert window(ranked(places))["number"].tolist() == list(range(len(places)))


def test_a_long_history_shows_the_best_and_the_latest_of_the_others() -> None:
    for seed in range(50):
        places = list(range(BEST_SHOWN + LATEST_SHOWN + 30))
        random.Random(seed).shuffle(places)
        latest = set(sorted(places[BEST_SHOWN:])[-LATEST_SHOWN:])
        best, others = places[:BEST_SHOWN], [place for place in places[BEST_SHOWN:] if place in latest]
        assert window(ranked(places))["position"].tolist() == best + others


def test_at_most_25_best_and_225_others_are_shown_and_those_of_others_first_left_out() -> None:
    assert (BEST_SHOWN, LATEST_SHOWN) == (25, 225)
    shown = window(ranked([None] * 100 + list(range(220))))
    assert len(shown) == 250
    assert shown["position"].isna().sum() == 30
