"""Laws of a candidate and of the flat params that describe it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.candidate import Candidate, from_params
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE, Schedule, schedule_class
from sweep.schedules.open_loop import (
    constant,
    milestones,
    one_cycle,
    step,
    step_from_zero,
    time_by_batch,
    time_by_epoch,
    time_compounding,
)
from sweep.schedules.rules import PlateauRebound
from sweep.space import Value

rates = st.floats(0, 1e6, exclude_min=True)
decays = st.none() | st.floats(0, 1e6)
drops, periods = st.floats(0, 1, exclude_min=True), st.integers(1, 10_000)
ratios, inner = st.floats(0, 1), st.floats(0, 1, exclude_min=True, exclude_max=True)
schedules: st.SearchStrategy[Schedule] = st.one_of(
    st.builds(one_cycle, learning_rate=rates, peak_at=inner, momentum_dip=ratios, floor=ratios),
    st.builds(PlateauRebound, learning_rate=rates, factor=inner, patience=periods, reductions=periods),
    st.builds(milestones, learning_rate=rates, at=st.lists(ratios, min_size=1, unique=True).map(sorted), drop=drops),
    st.builds(constant, learning_rate=rates),
    *(st.builds(kind, learning_rate=rates, decay=decays) for kind in (time_by_epoch, time_compounding, time_by_batch)),
    *(st.builds(kind, learning_rate=rates, drop=drops, epochs_drop=periods) for kind in (step, step_from_zero)),
)
candidates = st.builds(
    Candidate, schedule=schedules, momentum=st.floats(0, 1, exclude_max=True), nesterov=st.booleans()
)

CONSTANT: dict[str, Value] = {"schedule": "constant", "learning_rate": 0.1}
STEP: dict[str, Value] = {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 10}


class TestParams:
    @settings(deadline=None)
    @given(candidate=candidates)
    def test_the_params_of_a_candidate_make_it_again(self, candidate: Candidate) -> None:
        again = from_params(candidate.params)
        assert again == candidate
        assert type(again.schedule) is type(candidate.schedule)

    def test_own_parameters_stand_under_the_schedules_name(self) -> None:
        candidate = Candidate(schedule=step(learning_rate=0.1, drop=0.5, epochs_drop=10), momentum=0.9)
        modifiers = {"step.warmup": 0.0, "step.floor": 0.0}
        assert candidate.params == {**STEP, **modifiers, "momentum": 0.9, "nesterov": False}

    def test_a_parameter_left_to_its_default_is_left_out(self) -> None:
        assert "time.decay" not in from_params({"schedule": "time", "learning_rate": 0.1}).params

    def test_modifiers_stand_under_the_schedules_name_too(self) -> None:
        candidate = from_params(STEP | {"step.warmup": 0.1, "step.floor": 0.01})
        assert (candidate.schedule.warmup, candidate.schedule.floor) == (0.1, 0.01)
        assert candidate.params.items() >= {"step.warmup": 0.1, "step.floor": 0.01}.items()

    @pytest.mark.parametrize(
        ("name", "own"),
        [
            ("milestones", {"at": "0.5 0.75", "drop": 0.1}),
            ("piecewise_linear", {"points": "0:1 0.5:0.1 1:0.01"}),
            ("join", {"first": "constant", "second": '{"name": "linear", "final_ratio": 0.1}', "at": 0.5}),
            ("plateau", {"monitor": "val_loss", "factor": 0.5, "patience": 3, "cooldown": 0, "min_delta": 0.0001}),
        ],
    )
    def test_a_parameter_that_is_no_number_is_plain_text(self, name: str, own: dict[str, Value]) -> None:
        flat = {f"{name}.{key}": value for key, value in own.items()}
        candidate = from_params({"schedule": name, "learning_rate": 0.1, **flat})
        modifiers = {f"{name}.warmup": 0.0, f"{name}.floor": 0.0}
        assert {key: value for key, value in candidate.params.items() if "." in key} == flat | modifiers

    def test_momentum_is_off_unless_asked_for(self) -> None:
        candidate = from_params(CONSTANT)
        assert (candidate.momentum, candidate.nesterov) == (0.0, False)

    def test_a_whole_number_is_a_rate_too(self) -> None:
        assert from_params(CONSTANT | {"learning_rate": 1}) == from_params(CONSTANT | {"learning_rate": 1.0})

    def test_the_params_given_are_left_as_they_were(self) -> None:
        given_params = dict(STEP)
        from_params(given_params)
        assert given_params == STEP

    @pytest.mark.parametrize(
        ("params", "field", "reason"),
        [
            ({"learning_rate": 0.1}, "schedule", "is missing; there are constant, .*step"),
            (CONSTANT | {"schedule": "stpe"}, "schedule", "there is no schedule `stpe`, did you mean `step`"),
            (CONSTANT | {"schedule": 3}, "schedule", "there is no schedule `3`"),
            ({"schedule": "constant"}, "learning_rate", "is missing"),
            (STEP | {"learning_rate": 0.0}, "learning_rate", "greater than 0, got 0.0"),
            (STEP | {"learning_rate": -0.1}, "learning_rate", "greater than 0, got -0.1"),
            (STEP | {"learning_rate": math.nan}, "learning_rate", "finite number, got nan"),
            (STEP | {"learning_rate": math.inf}, "learning_rate", "finite number, got inf"),
            (STEP | {"learning_rate": "0.1"}, "learning_rate", "valid number, got '0.1'"),
            (STEP | {"learning_rate": True}, "learning_rate", "valid number, got True"),
            (STEP | {"momentum": 1.0}, "momentum", "less than 1, got 1.0"),
            (STEP | {"momentum": -0.1}, "momentum", "greater than or equal to 0, got -0.1"),
            (STEP | {"momentum": math.nan}, "momentum", "finite number, got nan"),
            (STEP | {"nesterov": 1}, "nesterov", "valid boolean, got 1"),
            (STEP | {"step.drop": 1.5}, "drop", "less than or equal to 1, got 1.5"),
            (STEP | {"step.epochs_drop": 10.0}, "epochs_drop", "valid integer, got 10.0"),
            (STEP | {"step.warmup": 1.0}, "warmup", "less than 1, got 1.0"),
            (STEP | {"step.floor": -0.1}, "floor", "greater than or equal to 0, got -0.1"),
            (
                {"schedule": "milestones", "learning_rate": 0.1, "milestones.at": "0.8 0.5"},
                "at",
                "must ascend, got 0.5",
            ),
            (
                {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "auc"},
                "monitor",
                "'val_accuracy', which a study records .* got 'auc'",
            ),
            (STEP | {"step.epochs_dorp": 10}, "epochs_dorp", "unknown key, did you mean `step.epochs_drop`"),
            (CONSTANT | {"step.drop": 0.5}, "step.drop", "unknown key"),
            (CONSTANT | {"name": "constant"}, "name", "unknown key"),
        ],
        ids=str,
    )
    def test_a_bad_param_is_named(self, params: dict[str, Value], field: str, reason: str) -> None:
        with pytest.raises(BadInput, match=reason) as caught:
            from_params(params)
        assert caught.value.field == field


class TestCandidate:
    @settings(deadline=None)
    @given(candidate=candidates)
    def test_equal_candidates_are_one_in_a_set(self, candidate: Candidate) -> None:
        assert len({candidate, candidate.model_copy(deep=True)}) == 1

    @pytest.mark.parametrize(("field", "value"), [("momentum", 0.5), ("nesterov", True), ("schedule", None)])
    def test_it_never_changes(self, field: str, value: Any) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(from_params(CONSTANT), field, value)

    def test_a_record_of_it_holds_the_schedules_own_parameters(self) -> None:
        recorded = from_params(STEP).model_dump()["schedule"]
        modifiers = {"warmup": 0.0, "warmup_from": None, "floor": 0.0}
        assert recorded == {"learning_rate": 0.1, **modifiers, "drop": 0.5, "epochs_drop": 10}


class TestScheduleClass:
    @pytest.mark.parametrize("name", CATALOGUE)
    def test_every_name_of_the_catalogue_finds_its_class(self, name: str) -> None:
        assert schedule_class(name, "schedule").name == name

    def test_an_unknown_name_blames_the_field_it_came_from(self) -> None:
        with pytest.raises(BadInput, match=r"did you mean `time`\?$") as caught:
            schedule_class("tmie", "recipes.3.schedule")
        assert caught.value.field == "recipes.3.schedule"

    def test_a_name_like_no_other_lists_them_all(self) -> None:
        with pytest.raises(BadInput, match=f"; there are {', '.join(CATALOGUE)}$"):
            schedule_class("zzz", "schedule")
