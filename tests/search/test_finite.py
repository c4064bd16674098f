"""Laws of finite search spaces: each candidate once, then the end, whatever interrupts the search."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from sweep.config.plan import Plan
from sweep.search.finite import FiniteSpace, Untried, count_wanted
from sweep.search.loop import Coordinator, SearchProgress
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.baselines import tuning_plans
from sweep.verdict.finalists import finalists
from sweep.verdict.progress import work_left
from sweep.verdict.results import read_status
from tests.fakes import FakeTrainer, make_coordinator, make_plan, opened
from tests.protocols import few

FOUR: dict[str, Any] = {"learning_rate": [0.1, 0.01], "momentum": [0.0, 0.9], "schedules": {"constant": {}}}
STEPS: dict[str, Any] = FOUR | {
    "schedules": {"constant": {}, "step": {"drop": 0.5, "epochs_drop": {"low": 1, "high": 4}}}
}
MIXED: dict[str, Any] = FOUR | {
    "schedules": {"constant": {}, "step": {"drop": {"low": 0.2, "high": 0.8}, "epochs_drop": 2}}
}


def plan_of(**search: Any) -> Plan:
    return make_plan(recipes=(), **search)


def searched(database: Database, plan: Plan, **trainer: Any) -> Coordinator:
    coordinator = make_coordinator(database, plan, FakeTrainer(**trainer))
    with contextlib.suppress(KeyboardInterrupt):
        coordinator.run()
    return coordinator


def params_of(coordinator: Coordinator) -> list[dict[str, Any]]:
    return [trial.params for trial in coordinator.study.trials]


def by_position(coordinator: Coordinator) -> dict[int, dict[str, Any]]:
    return {trial.user_attrs["position"]: trial.params for trial in coordinator.study.trials}


def distinct(trials: list[dict[str, Any]]) -> int:
    return len({tuple(sorted(params.items())) for params in trials})


class TestSize:
    def test_it_is_the_number_of_combinations_of_every_schedule(self) -> None:
        assert FiniteSpace(plan_of(**FOUR).search).size == 4
        assert FiniteSpace(plan_of(**STEPS).search).size == 4 + 16
        assert FiniteSpace(plan_of(**STEPS, nesterov=[True, False]).search).size == 2 * 20

    def test_there_is_none_with_a_range_of_fractions(self) -> None:
        space = FiniteSpace(plan_of(**MIXED).search)
        assert (space.size, space.sizes) == (None, {"constant": 4})
        assert FiniteSpace(plan_of().search).sizes == {}

    def test_a_choice_that_is_given_twice_is_one(self) -> None:
        assert FiniteSpace(plan_of(**FOUR | {"momentum": [0.5, 0.5]}).search).size == 2

    def test_what_is_untried_is_taken_once_and_in_order(self) -> None:
        space = FiniteSpace(plan_of(**FOUR).search)
        untried, taken = Untried(space), []
        while untried.schedules:
            taken.append(untried.first("constant"))
            assert untried.take(space.point(taken[-1]))
            assert not untried.take(space.point(taken[-1]))
        assert [(params["learning_rate"], params["momentum"]) for params in taken] == [
            (0.1, 0.0),
            (0.1, 0.9),
            (0.01, 0.0),
            (0.01, 0.9),
        ]


class TestSearch:
    @pytest.mark.parametrize("space", [FOUR, STEPS], ids=["4", "20"])
    def test_it_ends_when_each_candidate_has_been_trained_once(self, database: Database, space: dict[str, Any]) -> None:
        plan = plan_of(**space, trials=100)
        size = FiniteSpace(plan.search).size
        coordinator = searched(database, plan)
        assert len(params_of(coordinator)) == distinct(params_of(coordinator)) == size
        assert not work_left(database, plan, search_only=True)

    def test_progress_and_status_tell_the_end(self, database: Database) -> None:
        plan, told = plan_of(**FOUR), list[SearchProgress]()
        assert count_wanted(StoredStudy(database, plan.name), plan) == 4
        make_coordinator(database, plan, on_progress=told.append).run()
        assert [(progress.finished, progress.trials) for progress in told] == [(0, 4), (4, 4)]
        status = read_status(StoredStudy(database, plan.name))
        assert (status.trials, status.wanted, status.search_space) == ({"complete": 4}, 4, 4)

    def test_a_smaller_budget_ends_it_before(self, database: Database) -> None:
        coordinator = searched(database, plan_of(**STEPS, trials=11))
        assert len(params_of(coordinator)) == distinct(params_of(coordinator)) == 11

    @pytest.mark.parametrize("after", [1, 5, 8, 13])
    def test_a_resumed_search_equals_an_uninterrupted_one(self, database: Database, tmp_path: Path, after: int) -> None:
        plan = plan_of(**STEPS)
        searched(database, plan, interrupted_after=after)
        resumed = by_position(searched(database, plan))
        with opened(tmp_path / "whole.db") as other:
            assert resumed == by_position(searched(other, plan))

    def test_recipes_come_first_and_are_not_proposed_again(self, database: Database) -> None:
        recipe = {"schedule": "constant", "learning_rate": 0.01, "momentum": 0.9}
        found = params_of(searched(database, make_plan(recipes=[recipe], **FOUR)))
        assert found[0] == recipe
        assert distinct(found) == len(found) == 4

    @pytest.mark.parametrize("queued_after", [0, 2])
    def test_what_somebody_queued_is_not_proposed_again(self, database: Database, queued_after: int) -> None:
        plan = plan_of(**FOUR)
        study = searched(database, plan, interrupted_after=queued_after).study
        last = {"schedule": "constant", "learning_rate": 0.1, "momentum": 0.9}
        study.enqueue_trial(last)
        study.enqueue_trial(last)
        found = params_of(searched(database, plan))
        assert distinct(found) == 4
        assert len(found) <= 6

    def test_of_a_mixed_space_the_finite_part_is_trained_once(self, database: Database) -> None:
        found = params_of(searched(database, plan_of(**MIXED, trials=40)))
        assert len(found) == distinct(found) == 40
        assert sum(params["schedule"] == "constant" for params in found) <= 4

    def test_tuned_baselines_end_with_their_own_spaces(self, database: Database) -> None:
        plans = tuning_plans(plan_of(**STEPS))
        sizes = [len(params_of(searched(database, plan))) for plan in plans.values()]
        assert sizes == [4, 2]


class TestFinalists:
    @pytest.fixture
    def repeated(self, database: Database) -> Database:
        """Hold a study in which each candidate was trained several times, as versions before did it."""
        coordinator = searched(database, plan_of(**FOUR))
        for trial in coordinator.study.trials * 4:
            coordinator.study.add_trial(trial)
        return database

    def test_they_are_different_candidates(self, repeated: Database) -> None:
        racing = finalists(repeated, few(plan_of(**FOUR), finalists=6))
        assert len(racing) == distinct([dict(each.params) for each in racing]) == 4

    def test_they_are_the_best(self, repeated: Database) -> None:
        two, four = (finalists(repeated, few(plan_of(**FOUR), finalists=number)) for number in (2, 4))
        assert [each.params for each in two] == [each.params for each in four][:2]
