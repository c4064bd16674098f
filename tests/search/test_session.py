"""Laws of the objective: somebody who uses Optuna alone needs nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.utils.class_weight import compute_class_weight

from sweep.config.plan import ClassWeight
from sweep.config.study_file import StudyFile, read_plan
from sweep.data.splitting import split_rows, split_tail
from sweep.data.table import Dataset
from sweep.engines.spec import Choice, Shape, TrainingSpec
from sweep.errors import BadInput
from sweep.search.loop import to_record
from sweep.search.session import Objective, check_metric, check_momentum, class_weights, make_spec, read_data
from sweep.search.space import SearchSpace
from sweep.store.database import Database
from sweep.store.trials import TrialRecord, read_record
from sweep.verdict.protocol import split_facts
from tests.fakes import ROWS, FakeTrainer, make_plan, outcome_of
from tests.protocols import made_dataset

PLAN = make_plan()
SPACE = SearchSpace(PLAN.search)
OBJECTIVE = Objective(SPACE, FakeTrainer(), run_seeds=(0, 1, 2))


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))


def record_of(diverged: tuple[int, ...] = ()) -> TrialRecord:
    return to_record(PLAN.candidates[0], outcome_of(PLAN.candidates[0], (0, 1, 2), diverged))


class TestPlainOptuna:
    def test_a_stored_study_is_optimized_and_holds_what_a_sweep_holds(self, database: Database) -> None:
        study = optuna.create_study(direction="maximize", storage=database.storage)
        OBJECTIVE.enqueue(study, PLAN.candidates)
        study.optimize(OBJECTIVE, n_trials=4)
        assert [SPACE.candidate(trial.params) for trial in study.trials[:2]] == list(PLAN.candidates)
        for trial in study.trials:
            candidate = SPACE.candidate(trial.params)
            outcome = outcome_of(candidate, (0, 1, 2))
            assert trial.distributions == SPACE.distributions(trial.params["schedule"])
            assert trial.value == outcome.value("accuracy")
            assert read_record(trial.user_attrs) == to_record(candidate, outcome)

    def test_it_can_be_asked_and_told(self, study: optuna.Study) -> None:
        trial = study.ask()
        study.tell(trial, OBJECTIVE(trial))
        assert study.best_value == study.trials[0].value

    def test_what_is_queued_twice_is_trained_once(self, study: optuna.Study) -> None:
        OBJECTIVE.enqueue(study, PLAN.candidates)
        OBJECTIVE.enqueue(study, PLAN.candidates)
        study.optimize(OBJECTIVE, n_trials=2)
        OBJECTIVE.enqueue(study, PLAN.candidates)
        assert len(study.trials) == 2

    def test_an_interrupted_training_is_not_told(self, study: optuna.Study) -> None:
        objective = Objective(SPACE, FakeTrainer(interrupted_after=1), run_seeds=(0,))
        with pytest.raises(KeyboardInterrupt):
            study.optimize(objective, n_trials=5)
        assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 1


class TestRecord:
    def test_it_holds_the_runs_and_their_mean_curves(self) -> None:
        found = record_of()
        assert found.schedule == PLAN.candidates[0].schedule.document
        assert (found.run_seeds, found.validation_rows, found.diverged) == ((0, 1, 2), ROWS, 0)
        assert (len(found.correct), len(found.log_losses), len(found.class_correct)) == (3, 3, 2)
        assert sum(found.class_correct) == sum(found.correct)
        assert found.log_loss == pytest.approx(sum(loss or 0 for loss in found.log_losses) / 3)
        assert found.curves is not None
        assert {len(curve) for curve in found.curves.model_dump().values()} == {3}

    @pytest.mark.parametrize("diverged", [(), (1,), (0, 1, 2)], ids=["none", "one", "all"])
    def test_it_comes_back_from_json_without_nan_or_infinity(self, diverged: tuple[int, ...]) -> None:
        found = record_of(diverged)
        assert read_record(json.loads(json.dumps(found.attributes(), allow_nan=False))) == found

    def test_a_diverged_run_is_counted_and_left_out_of_the_log_loss(self) -> None:
        found, whole = record_of((1,)), record_of()
        kept = (whole.log_losses[0], whole.log_losses[2])
        assert (found.diverged, found.log_losses) == (1, (kept[0], None, kept[1]))
        assert found.log_loss == pytest.approx(sum(loss or 0 for loss in kept) / 2)

    def test_a_candidate_that_always_diverged_has_no_log_loss_but_a_value(self) -> None:
        found = record_of((0, 1, 2))
        assert (found.log_loss, found.log_losses, found.diverged) == (None, (None,) * 3, 3)
        assert found.curves is not None
        assert found.curves.loss == (None,) * 3
        assert found.correct == (9, 9, 9)


class TestClassWeights:
    TARGETS = np.repeat(np.arange(3, dtype=np.int32), [6, 3, 3])

    def weights(self, given: ClassWeight | None, targets: np.ndarray = TARGETS) -> tuple[float, ...]:
        return class_weights(given, replace(made_dataset(len(targets), ("no", "yes", "maybe")), targets=targets))

    def test_balanced_ones_are_those_of_scikit_learn(self) -> None:
        wanted = compute_class_weight("balanced", classes=np.arange(3), y=self.TARGETS)
        assert self.weights("balanced") == pytest.approx(tuple(wanted))

    def test_a_class_that_is_not_named_weighs_1(self) -> None:
        assert self.weights({"yes": 2.5}) == (1.0, 2.5, 1.0)

    def test_weights_that_change_nothing_are_none(self) -> None:
        even = np.arange(6, dtype=np.int32) % 3
        assert self.weights(None) == self.weights({"no": 1.0}) == self.weights("balanced", even) == ()

    def test_an_unknown_label_is_named(self) -> None:
        with pytest.raises(BadInput, match="no row has the label 'yse', did you mean `yes`") as raised:
            self.weights({"yse": 2.0})
        assert raised.value.field == "training.class_weight.yse"
        with pytest.raises(BadInput, match="no row has the label 'x'; the first ones are no, yes, maybe"):
            self.weights({"x": 2.0})


def test_a_metric_that_compares_targets_needs_different_ones() -> None:
    rows = made_dataset()
    split = split_tail(replace(rows, targets=(np.arange(351) < 100).astype(np.int32)), 0.33)
    for metric in ("auc", "average_precision"):
        with pytest.raises(BadInput, match="all validation rows have the same label, 'b'; take another metric"):
            check_metric(metric, split)
    check_metric("accuracy", split)
    check_metric("auc", split_tail(rows, 0.33))


def test_the_direction_is_that_of_the_metric() -> None:
    by_loss = Objective(SPACE, FakeTrainer(), (0, 1), "log_loss")
    study = optuna.create_study(direction=by_loss.direction)
    study.optimize(by_loss, n_trials=2)
    assert (OBJECTIVE.direction, by_loss.direction) == ("maximize", "minimize")
    assert study.best_value == pytest.approx(min(trial.user_attrs["log_loss"] for trial in study.trials))


def images() -> Any:
    """Return pairs as a study's `data.function` does."""
    x, y = np.random.default_rng(0).integers(0, 256, (40, 4, 3), np.uint8), np.arange(40) % 2
    return (x[:30], y[:30]), (x[30:], y[30:])


class TestArrays:
    """A study of arrays from a function, whose model is not built."""

    def spec(self, **tables: Any) -> tuple[StudyFile, TrainingSpec, Dataset]:
        data = {"name": "s", "data": {"function": f"{__name__}:images"}, "search": {"schedules": {"constant": {}}}}
        study_file, dataset = read_data(StudyFile(Path(), read_plan(data | tables)))
        return study_file, make_spec(study_file, dataset), dataset

    def test_a_model_of_ones_own_gets_rows_in_their_shape(self) -> None:
        study_file, spec, _ = self.spec(model={"build": "a:b"})
        assert (spec.architecture.input_shape, spec.architecture.features) == ((4, 3), 12)
        assert spec.split.train_inputs.shape == (30, 4, 3)
        data, split = study_file.plan.data, study_file.plan.split
        assert (data.kind, data.scale, data.task, split.kind) == ("array", "none", "classes", "given")

    @pytest.mark.parametrize("hidden", [(5,), (5, 4)])
    def test_a_stack_of_dense_layers_gets_them_flat(self, hidden: tuple[int, ...]) -> None:
        _, spec, dataset = self.spec(model={"hidden": hidden})
        assert (spec.architecture.input_shape, spec.split.train_inputs.shape) == ((12,), (30, 12))
        assert any("flattened" in note for note in dataset.notes)

    def test_new_draws_are_as_large_as_the_given_ones(self) -> None:
        study_file, spec, dataset = self.spec()
        again = split_rows(dataset, "stratified", study_file.plan.split.fraction, 1)
        assert again.validation_rows == spec.split.validation_rows == 10

    def test_a_stated_split_goes_before_the_given_one(self) -> None:
        study_file, spec, _ = self.spec(split={"kind": "tail", "fraction": 0.5})
        assert (study_file.plan.split.kind, spec.split.validation_rows) == ("tail", 20)

    def test_corners_that_are_always_black_are_no_warning(self) -> None:
        _, spec, dataset = self.spec(model={"build": "a:b"})
        values = dataset.values.copy()
        values[:, 0, 0], values[30:, 1, 1], values[35] = 0, 7, values[2]
        found = split_facts(replace(spec.split, dataset=replace(dataset, values=values)))
        assert [each for each in found.warnings if "column" in each or "constant" in each] == []
        assert "validation rows whose inputs were trained on: 1" in found.warnings


def test_the_momentum_of_an_optimizer_that_has_none_is_not_searched() -> None:
    choice = Choice("population", "jax", Shape(1, 1), without_momentum="Adagrad")
    check_momentum(PLAN, replace(choice, without_momentum=""))
    check_momentum(PLAN.model_copy(update={"search": PLAN.search.model_copy(update={"momentum": 0.0})}), choice)
    with pytest.raises(BadInput, match=r"must be 0.0, since the model's optimizer, Adagrad, has no momentum") as caught:
        check_momentum(PLAN, choice)
    assert caught.value.field == "search.momentum"
