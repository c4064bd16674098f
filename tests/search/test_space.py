"""Laws of the search space: what a trial of each schedule holds."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.schedules import CATALOGUE
from sweep.search.finite import is_whole
from sweep.search.space import SearchSpace
from tests.fakes import make_plan

SHARED = {"schedule", "learning_rate", "momentum"}
OWN_FUNCTION = {"function": "tests.schedules.callables:step_decay"}
EVERY_SCHEDULE: dict[str, dict[str, Any]] = {name: OWN_FUNCTION if name == "function" else {} for name in CATALOGUE}


def space_of(**search: Any) -> SearchSpace:
    return SearchSpace(make_plan(recipes=(), **search).search)


def drawn(space: SearchSpace, count: int, seed: int = 0) -> list[tuple[Candidate, optuna.trial.FrozenTrial]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trials = [study.ask() for _ in range(count)]
    return list(zip([space.suggest(trial) for trial in trials], study.trials, strict=False))


def test_a_trial_holds_what_all_schedules_share_and_the_chosen_schedules_own_parameters() -> None:
    space = space_of(schedules=EVERY_SCHEDULE)
    for schedule, kind in CATALOGUE.items():
        own = {f"{schedule}.{key}" for key in kind.default_space | EVERY_SCHEDULE[schedule]}
        assert space.distributions(schedule).keys() == SHARED | own


def test_a_drawn_trial_holds_no_parameter_of_another_schedule() -> None:
    space = space_of(schedules=EVERY_SCHEDULE)
    seen = set()
    for candidate, trial in drawn(space, 120):
        seen.add(candidate.schedule.name)
        assert trial.distributions == space.distributions(candidate.schedule.name)
    assert seen == set(CATALOGUE)


def test_a_schedules_own_parameters_are_named_after_it() -> None:
    assert {"step.drop", "step.epochs_drop"} <= space_of().distributions("step").keys()


def test_whole_numbers_are_drawn_as_whole_numbers() -> None:
    assert space_of().distributions("step")["step.epochs_drop"] == IntDistribution(1, 4)
    steps = [trial.params for candidate, trial in drawn(space_of(), 40) if candidate.schedule.name == "step"]
    assert {type(params["step.epochs_drop"]) for params in steps} == {int}
    assert {params["step.epochs_drop"] for params in steps} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("schedule", "parameter", "whole"),
    [("step", "epochs_drop", True), ("step", "drop", False), ("time", "decay", False)],
    ids=["int", "float", "float-or-none"],
)
def test_the_field_of_a_schedule_says_whether_it_is_a_whole_number(schedule: str, parameter: str, whole: bool) -> None:
    assert is_whole(CATALOGUE[schedule], parameter) is whole


def test_a_range_becomes_a_distribution_with_its_ends_and_scale() -> None:
    found = space_of(learning_rate={"low": 0.01, "high": 1.0, "log": True}).distributions("constant")
    assert found["learning_rate"] == FloatDistribution(0.01, 1.0, log=True)
    assert found["momentum"] == FloatDistribution(0.0, 0.9)


def test_choices_become_a_categorical_distribution() -> None:
    space = space_of(momentum=[0.0, 0.5, 0.9])
    assert space.distributions("constant")["momentum"] == CategoricalDistribution((0.0, 0.5, 0.9))
    assert {candidate.momentum for candidate, _ in drawn(space, 30)} == {0.0, 0.5, 0.9}


def test_a_fixed_value_is_recorded_as_a_param() -> None:
    space = space_of(momentum=0.5, schedules={"step": {"drop": 0.25, "epochs_drop": 3}})
    for candidate, trial in drawn(space, 5):
        assert candidate.momentum == trial.params["momentum"] == 0.5
        assert (trial.params["step.drop"], trial.params["step.epochs_drop"]) == (0.25, 3)


def test_nesterov_is_a_param_only_where_it_is_a_choice() -> None:
    assert "nesterov" not in space_of(nesterov=True).distributions("constant")
    assert space_of(nesterov=[True, False]).distributions("constant")["nesterov"] == CategoricalDistribution(
        (True, False)
    )


@pytest.mark.parametrize("fixed", [True, False])
def test_a_fixed_nesterov_holds_for_every_candidate(fixed: bool) -> None:
    assert all(candidate.nesterov is fixed for candidate, _ in drawn(space_of(nesterov=fixed), 5))


def test_a_chosen_nesterov_is_that_of_the_trial() -> None:
    pairs = drawn(space_of(nesterov=[True, False]), 20)
    assert all(candidate.nesterov is trial.params["nesterov"] for candidate, trial in pairs)
    assert {candidate.nesterov for candidate, _ in pairs} == {True, False}


@pytest.mark.parametrize("nesterov", [False, [True, False]], ids=["fixed", "choice"])
@given(seed=st.integers(0, 2**32 - 1))
def test_params_and_candidate_say_the_same(nesterov: bool | list[bool], seed: int) -> None:
    space = space_of(schedules=EVERY_SCHEDULE, nesterov=nesterov)
    for candidate, trial in drawn(space, 3, seed):
        assert space.params(candidate) == trial.params
        assert space.candidate(trial.params) == candidate
        assert space.suggest(FixedTrial(trial.params)) == candidate


def recipes_of(plan: Plan) -> list[dict[str, Any]]:
    space = SearchSpace(plan.search)
    return [space.params(candidate) for candidate in plan.candidates]


def test_a_recipes_params_are_its_settings() -> None:
    assert recipes_of(make_plan()) == [
        {"schedule": "constant", "learning_rate": 0.1, "momentum": 0.0},
        {"schedule": "step", "learning_rate": 0.1, "momentum": 0.9, "step.drop": 0.5, "step.epochs_drop": 2},
    ]
