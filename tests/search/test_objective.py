"""Laws of the objective: somebody who uses Optuna alone needs nothing else."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest

from sweep.search.distributions import SearchSpace
from sweep.search.objective import Objective, attributes
from sweep.store.database import Database
from tests.fakes import ROWS, FakeTrainer, make_plan, outcome_of

PLAN = make_plan()
SPACE = SearchSpace(PLAN.search)


@pytest.fixture(params=["memory", "sqlite"])
def study(request: pytest.FixtureRequest, database: Database) -> optuna.Study:
    storage = None if request.param == "memory" else database.storage
    return optuna.create_study(direction="maximize", storage=storage, sampler=optuna.samplers.TPESampler(seed=0))


@pytest.fixture
def objective() -> Objective:
    return Objective(SPACE, FakeTrainer(), run_seeds=(0, 1, 2))


def attributes_of(diverged: tuple[int, ...] = (), **changes: Any) -> dict[str, Any]:
    return {**attributes(PLAN.candidates[0], outcome_of(PLAN.candidates[0], (0, 1, 2), diverged)), **changes}


class TestPlainOptuna:
    def test_it_is_optimized_like_any_other(self, study: optuna.Study, objective: Objective) -> None:
        study.optimize(objective, n_trials=12)
        assert len(study.trials) == 12
        for trial in study.trials:
            assert trial.distributions == SPACE.distributions(trial.params["schedule"])
            assert trial.value == outcome_of(SPACE.candidate(trial.params), (0, 1, 2)).value

    def test_its_trials_hold_what_the_coordinators_hold(self, study: optuna.Study, objective: Objective) -> None:
        study.optimize(objective, n_trials=3)
        for trial in study.trials:
            candidate = SPACE.candidate(trial.params)
            assert trial.user_attrs == attributes(candidate, outcome_of(candidate, (0, 1, 2)))

    def test_it_can_be_asked_and_told(self, study: optuna.Study, objective: Objective) -> None:
        trial = study.ask()
        study.tell(trial, objective(trial))
        assert study.best_value == study.trials[0].value

    def test_what_is_queued_is_trained_first_and_in_order(self, study: optuna.Study, objective: Objective) -> None:
        objective.enqueue(study, PLAN.candidates)
        study.optimize(objective, n_trials=3)
        assert [SPACE.candidate(trial.params) for trial in study.trials[:2]] == list(PLAN.candidates)

    def test_what_is_queued_twice_is_trained_once(self, study: optuna.Study, objective: Objective) -> None:
        objective.enqueue(study, PLAN.candidates)
        objective.enqueue(study, PLAN.candidates)
        study.optimize(objective, n_trials=2)
        objective.enqueue(study, PLAN.candidates)
        assert len(study.trials) == 2

    def test_an_interrupted_training_is_not_told(self, study: optuna.Study) -> None:
        objective = Objective(SPACE, FakeTrainer(interrupted_after=1), run_seeds=(0,))
        with pytest.raises(KeyboardInterrupt):
            study.optimize(objective, n_trials=5)
        assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 1


class TestAttributes:
    def test_they_are_the_runs_and_their_mean_curves(self) -> None:
        found = attributes_of()
        assert found.keys() == {
            "schedule",
            "correct",
            "class_correct",
            "validation_rows",
            "log_loss",
            "log_losses",
            "run_seeds",
            "diverged",
            "training_seconds",
            "curves",
        }
        assert found["curves"].keys() == {"rate", "loss", "accuracy", "validation_loss", "validation_accuracy"}
        assert {len(curve) for curve in found["curves"].values()} == {3}
        assert (found["run_seeds"], found["validation_rows"], found["diverged"]) == ([0, 1, 2], ROWS, 0)
        assert (len(found["correct"]), len(found["log_losses"])) == (3, 3)
        assert len(found["class_correct"]) == 2
        assert sum(found["class_correct"]) == sum(found["correct"])
        assert found["log_loss"] == pytest.approx(sum(found["log_losses"]) / 3)

    @pytest.mark.parametrize("diverged", [(), (1,), (0, 1, 2)], ids=["none", "one", "all"])
    def test_they_are_json_without_nan_or_infinity(self, diverged: tuple[int, ...]) -> None:
        found = attributes_of(diverged)
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    def test_a_diverged_run_is_counted_and_left_out_of_the_log_loss(self) -> None:
        found, whole = attributes_of((1,)), attributes_of()
        assert found["diverged"] == 1
        assert found["log_losses"] == [whole["log_losses"][0], None, whole["log_losses"][2]]
        assert found["log_loss"] == pytest.approx((whole["log_losses"][0] + whole["log_losses"][2]) / 2)

    def test_a_candidate_that_always_diverged_has_no_log_loss_but_a_value(self) -> None:
        found = attributes_of((0, 1, 2))
        assert (found["log_loss"], found["log_losses"], found["diverged"]) == (None, [None] * 3, 3)
        assert found["curves"]["loss"] == [None] * 3
        assert found["correct"] == [9, 9, 9]

    def test_a_study_of_diverged_runs_stays_readable(self, database: Database) -> None:
        study = optuna.create_study(direction="maximize", storage=database.storage)
        study.optimize(Objective(SPACE, FakeTrainer(diverged=(0,)), run_seeds=(0,)), n_trials=2)
        again = optuna.load_study(study_name=study.study_name, storage=database.storage)
        assert [trial.user_attrs["log_loss"] for trial in again.trials] == [None, None]
