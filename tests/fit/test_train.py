"""Laws of one training by `fit`: what it tells, keeps and continues."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.candidate import Adam, Sgd, from_params
from sweep.data.table import Split
from sweep.engines.initial import batch_order
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.fit.checkpoint import Checkpoint, Snapshot, read_checkpoint
from sweep.fit.reference import Training
from sweep.fit.train import Request, best_epoch, describe, restore, snapshot, summary, train
from sweep.schedules import Schedule

reads_variables = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # Keras reads its variables in NumPy 1's way
)

EPOCHS, CUT = 6, 3


def dropped(features: int, classes: int) -> Any:
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(classes, "softmax")]
    return keras.Sequential([keras.Input((features,)), *layers])


def dying(features: int, classes: int) -> Any:
    hidden = keras.layers.Dense(8, "relu", bias_initializer=keras.initializers.Constant(-100.0), name="buried")
    return keras.Sequential([keras.Input((features,)), hidden, keras.layers.Dense(1, "sigmoid")])


def asked(problem: TrainingSpec, params: dict[str, Any], seed: int = 0, **options: Any) -> Request:
    candidate = from_params(params)
    classes = [f"class {number}" for number in range(problem.architecture.classes)]
    given: dict[str, Any] = {"end_epoch": problem.epochs} | options
    return Request(problem, candidate, seed, classes, dict(candidate.params), **given)


def told(order: Request) -> list[str]:
    lines: list[str] = []
    train(order, lines.append)
    return lines


STEP: dict[str, Any] = {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 2}
PLATEAU: dict[str, Any] = {"schedule": "plateau", "learning_rate": 0.5, "plateau.factor": 0.5, "plateau.patience": 2}
# The first epoch alone is better than none, so the rate falls after the fifth, if the epochs before the cut count.
WAITING: dict[str, Any] = PLATEAU | {"plateau.patience": 4, "plateau.min_delta": 10.0}
ONE_CYCLE: dict[str, Any] = {
    "schedule": "one_cycle",
    "learning_rate": 0.1,
    "one_cycle.momentum_dip": 0.5,
    "momentum": 0.9,
}
FIXED: dict[str, Any] = {"schedule": "constant", "learning_rate": 0.1, "momentum": 0.9}


@pytest.fixture(scope="module")
def three(three_classes: Split) -> TrainingSpec:
    return TrainingSpec(three_classes, Architecture(4, 3, (8,)), EPOCHS, 25)


@pytest.fixture(scope="module")
def tutorial(ionosphere: Split) -> TrainingSpec:
    return TrainingSpec(ionosphere, Architecture(34, 2, (34,)), 16, 47)


class TestContinuing:
    CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # noqa: RUF012 - never changed
        "open-loop": (STEP | {"momentum": 0.9, "nesterov": True}, {}),  # every schedule with SGD: tests/test_forms.py
        "closed-loop, Adam": (
            PLATEAU
            | {"plateau.monitor": "val_accuracy", "plateau.warmup": 0.2, "learning_rate": 0.05, "momentum": 0.9},
            {"optimizer": Adam()},
        ),
        "one-cycle, Adam": (ONE_CYCLE, {"optimizer": Adam()}),
        "dropout": (STEP, {"architecture": Architecture(4, 3, build="tests.fit.test_train:dropped")}),
        "layers of their own": (ONE_CYCLE, {"optimizer": Sgd(layer_decay=0.5)}),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_two_halves_are_a_whole_bit_for_bit(self, case: str, three: TrainingSpec, tmp_path: Path) -> None:
        params, others = self.CASES[case]
        problem = replace(three, **others)
        whole = told(asked(problem, params, checkpoint=tmp_path / "whole"))
        first = told(asked(problem, params, end_epoch=CUT, checkpoint=tmp_path / "halves"))
        resumed = read_checkpoint(tmp_path / "halves")
        second = told(asked(problem, params, checkpoint=tmp_path / "halves", resumed=resumed))
        assert [*first[:CUT], *second[: EPOCHS - CUT]] == whole[:EPOCHS]
        assert second[EPOCHS - CUT :] == whole[EPOCHS:]
        assert_same(read_checkpoint(tmp_path / "halves"), read_checkpoint(tmp_path / "whole"))

    def test_patience_counts_on_from_the_checkpoint(self, three: TrainingSpec, tmp_path: Path) -> None:
        told(asked(three, WAITING, end_epoch=CUT, checkpoint=tmp_path))
        told(asked(three, WAITING, checkpoint=tmp_path, resumed=read_checkpoint(tmp_path)))
        assert read_checkpoint(tmp_path).curves["learning_rate"] == [0.5, 0.5, 0.5, 0.5, 0.5, 0.25]

    def test_the_order_of_batches_is_that_of_a_larger_budget(self) -> None:
        np.testing.assert_array_equal(batch_order(30, 5, 1), batch_order(30, 9, 1)[:5])

    @reads_variables
    def test_the_best_network_so_far_is_saved_again(self, three: TrainingSpec, tmp_path: Path) -> None:
        wild = {"schedule": "step", "learning_rate": 0.3, "step.drop": 0.01, "step.epochs_drop": 3}
        told(asked(three, wild, end_epoch=5, checkpoint=tmp_path))
        kept = read_checkpoint(tmp_path)
        told(asked(three, wild, end_epoch=5, checkpoint=tmp_path, resumed=kept, save=tmp_path / "best.keras"))
        loaded = keras.models.load_model(tmp_path / "best.keras")
        for weight, stored in zip(loaded.variables, kept.best.model, strict=True):
            np.testing.assert_array_equal(weight, stored)

    def test_a_training_that_is_complete_is_told_again(self, three: TrainingSpec, tmp_path: Path) -> None:
        before = told(asked(three, STEP, checkpoint=tmp_path))
        again = told(asked(three, STEP, checkpoint=tmp_path, resumed=read_checkpoint(tmp_path)))
        assert again == before[EPOCHS:]


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    assert (one.curves, one.state, one.setting) == (other.curves, other.state, other.setting)
    for left, right in ((one.last, other.last), (one.best, other.best)):
        for here, there in zip([*left.model, *left.optimizer], [*right.model, *right.optimizer], strict=True):
            np.testing.assert_array_equal(here, there)


class TestTelling:
    def test_each_epoch_is_told_as_fit_reports_it(self, three: TrainingSpec) -> None:
        history = Training(three, from_params(STEP), run_seed=3).run(0, EPOCHS)
        lines = told(asked(three, STEP, seed=3))
        rates: Schedule = from_params(STEP).schedule
        np.testing.assert_allclose(history["learning_rate"], rates.rates(three.timeline)[:, 0], rtol=1e-6)
        for epoch in range(EPOCHS):
            keys = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
            shown = " - ".join(f"{key}: {history[key][epoch]:.4f}" for key in keys)
            assert lines[epoch] == f"Epoch {epoch + 1}/{EPOCHS} - {shown}"
        assert [line.partition(":")[0] for line in lines[EPOCHS:]] == ["final", "best"]

    def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first(self) -> None:
        curves = {"val_accuracy": [0.5, 0.9, 0.9, 0.9, 0.9], "val_loss": [0.1, math.nan, 0.4, 0.3, 0.3]}
        assert best_epoch(curves) == 3
        assert best_epoch({name: values[:2] for name, values in curves.items()}) == 1

    def test_the_summary_counts_epochs_from_one(self) -> None:
        curves = {"loss": [0.5, 0.4], "val_accuracy": [0.9, 0.8], "val_loss": [0.3, 0.2]}
        assert summary(curves) == [
            "final: epoch 2 - loss: 0.4000 - val_accuracy: 0.8000 - val_loss: 0.2000",
            "best: epoch 1 - loss: 0.5000 - val_accuracy: 0.9000 - val_loss: 0.3000",
        ]

    def test_numbers_look_as_keras_prints_them(self) -> None:
        curves = {"loss": [math.nan], "rate": [1e-5], "zero": [0.0]}
        assert describe(curves, 0) == "loss: nan - rate: 1.0000e-05 - zero: 0.0000"


class TestKeeping:
    @reads_variables
    def test_the_best_epochs_network_is_saved_for_keras_alone(self, three: TrainingSpec, tmp_path: Path) -> None:
        lines = told(asked(three, ONE_CYCLE, save=tmp_path / "best.keras"))
        loaded = keras.models.load_model(tmp_path / "best.keras")
        split = three.split
        loss, accuracy = loaded.evaluate(split.validation_inputs, split.validation_targets, verbose=0)
        assert f"val_loss: {loss:.4f} - val_accuracy: {accuracy:.4f}" in lines[-1]
        assert loaded.optimizer.momentum == 0.9
        assert [path.name for path in tmp_path.iterdir()] == ["best.keras"]

    def test_a_snapshot_restores_network_optimizer_and_random_state(self, three: TrainingSpec) -> None:
        problem = replace(three, architecture=Architecture(4, 3, build="tests.fit.test_train:dropped"))
        training = Training(problem, from_params(FIXED), 0)
        training.run(0, 2)
        kept = snapshot(training.model)
        training.run(2, 3)
        after = snapshot(training.model)
        assert not np.array_equal(kept.model[-1], after.model[-1])
        restore(training.model, kept)
        training.run(2, 3)
        for one, other in zip(flat(after), flat(snapshot(training.model)), strict=True):
            np.testing.assert_array_equal(one, other)


def flat(kept: Snapshot) -> list[Any]:
    return [*kept.model, *kept.optimizer]


class TestTensorboard:
    @pytest.mark.parametrize("params", [ONE_CYCLE, PLATEAU | {"plateau.warmup": 0.3}], ids=["open-loop", "closed-loop"])
    def test_the_rate_is_logged_step_by_step(self, params: dict[str, Any], three: TrainingSpec, tmp_path: Path) -> None:
        order = asked(three, params, tensorboard=tmp_path / "logs", checkpoint=tmp_path)
        told(replace(order, end_epoch=2))
        told(replace(order, resumed=read_checkpoint(tmp_path)))
        curves, events = read_checkpoint(tmp_path).curves, logged(tmp_path / "logs")
        schedule, shown = (
            order.candidate.schedule,
            {"shown": curves["val_loss"]} if params["schedule"] == "plateau" else {},
        )
        wanted = schedule.rates(three.timeline, **shown).ravel()
        assert [step for step, _ in events["learning_rate"]] == list(range(1, 13))
        np.testing.assert_allclose([value for _, value in events["learning_rate"]], wanted, rtol=1e-6)
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert [step for step, _ in events[f"epoch_{name}"]] == list(range(1, 7))
            np.testing.assert_allclose([value for _, value in events[f"epoch_{name}"]], curves[name], rtol=1e-6)


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read the scalars of a folder's event files, in the order of the files' names."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def with_targets(problem: TrainingSpec, change: Callable[[Any], Any]) -> TrainingSpec:
    """Change the targets of the training rows alone."""
    split = problem.split
    targets = split.dataset.targets.copy()
    targets[split.train_index] = change(split.train_targets)
    return replace(problem, split=replace(split, dataset=replace(split.dataset, targets=targets)))


class TestDiagnosis:
    """Trainings with a fault, made on purpose, and what is said at their end."""

    @pytest.mark.parametrize(
        "params", [STEP | {"step.epochs_drop": 10}, FIXED, ONE_CYCLE], ids=lambda params: params["schedule"]
    )
    def test_nothing_is_said_of_the_recipes(self, params: dict[str, Any], tutorial: TrainingSpec) -> None:
        assert notes(tutorial, params) == []

    def test_a_rate_that_moves_nothing(self, tutorial: TrainingSpec) -> None:
        said = notes(tutorial, FIXED | {"learning_rate": 1e-9})
        assert said[0] == "note: loss and accuracy have not changed for 10 epochs."
        assert "the learning rate (at most 1e-09) is zero or too small; look at --learning-rate" in said[1]

    def test_a_rate_that_is_far_too_high(self, tutorial: TrainingSpec) -> None:
        (said,) = notes(tutorial, FIXED | {"learning_rate": 1e4}, epochs=4)
        assert said.startswith("note: the loss is no number from epoch")

    def test_a_rate_that_is_too_high(self, tutorial: TrainingSpec) -> None:
        assert any("or the momentum is too high" in line for line in notes(tutorial, FIXED | {"learning_rate": 3.0}))

    def test_dead_units(self, tutorial: TrainingSpec) -> None:
        problem = replace(tutorial, architecture=Architecture(34, 2, build="tests.fit.test_train:dying"))
        said = notes(problem, FIXED)
        assert any("100% of the relu units of layer `buried` are dead" in line for line in said)

    def test_a_single_class(self, tutorial: TrainingSpec) -> None:
        problem = with_targets(tutorial, lambda targets: (np.arange(len(targets)) < 3).astype(np.int32))
        said = notes(problem, FIXED | {"learning_rate": 0.01})
        assert any("every training row is taken for the class class 0 (99% of them are)" in line for line in said)

    def test_shuffled_labels(self, tutorial: TrainingSpec) -> None:
        problem = with_targets(tutorial, np.random.default_rng(0).permutation)
        (said,) = notes(problem, FIXED, epochs=40)
        assert "no more than by chance, in the validation rows: look at whether labels and rows belong together" in said


def notes(problem: TrainingSpec, params: dict[str, Any], epochs: int | None = None) -> list[str]:
    lines = told(asked(replace(problem, epochs=epochs or problem.epochs), params))
    return [line for line in lines if line.startswith("note:")]
