"""The population against NumPy and Keras' `fit`, and the laws that let members share a program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as reference
from tensorflow.python.framework import ops

from sweep.candidate import Adam, AdamW, Candidate, Optimizer, RMSprop, Sgd, from_params
from sweep.data.table import Split
from sweep.engines import spec
from sweep.engines.keras_fit import KerasFit
from sweep.engines.population import Members, Population, Table
from sweep.engines.scoring import scored
from sweep.engines.spec import BY_RUN, Architecture, Curves, Float32, Job, Shape, TrainingSpec
from sweep.engines.steering import MONITORS, Watching
from sweep.fit.training import Training
from sweep.schedules import ClosedLoop
from tests.engines import side_by_side
from tests.engines.numpy_training import NumpyTraining

DEFAULT, WHOLE = Architecture(34, 2, (34,)), Shape(20, 2)
ENGINES: list[Population] = []


class Traced(Population):
    """The same program without XLA, whose compilation takes several seconds, for laws that do not depend on it."""

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__(spec)
        self._run = tf.function(self._epochs, autograph=False)


def engine(spec: TrainingSpec, kind: type[Population] = Population) -> Population:
    """Return an engine that earlier tests may have built: most of a test's time is its program's compilation."""
    found = next((built for built in ENGINES if type(built) is kind and built.accepts(spec)), None)
    if found is None:
        found = kind(spec)
        ENGINES.append(found)
    return found


def train(
    spec: TrainingSpec,
    candidates: list[Candidate],
    run_seeds: tuple[int, ...],
    shape: Shape | None = None,
    kind: type[Population] = Population,
) -> Curves:
    return engine(spec, kind).train(Job(spec, tuple(candidates), run_seeds, shape or Shape(16, len(run_seeds))))


def weights_of(population: Population, members: Members, candidate: int) -> list[Float32]:
    """Return a candidate's weights by the first run seed, as `Model.get_weights` orders them."""
    return [weight.numpy()[0, ..., candidate].T for weight in members.weights]


def same(left: Curves, right: Curves) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name), equal_nan=True) for name in BY_RUN)


def only(curves: Curves, candidates: list[int], seeds: list[int]) -> Curves:
    return Curves(**{name: getattr(curves, name)[candidates][:, seeds] for name in BY_RUN}, seconds=curves.seconds)


def drawn(count: int) -> list[Candidate]:
    """Draw settings whose effective rate, `learning_rate / (1 - momentum)`, is at most 0.5."""
    generator, names = np.random.default_rng(0), ("constant", "time", "time_compounding", "time_by_batch", "step")
    found = []
    for number in range(count):
        name, momentum = names[number % len(names)], float(generator.uniform(0, 0.9))
        own = {"decay": float(10 ** generator.uniform(-3, -1))} if "time" in name else {}
        if name == "step":
            own = {"drop": float(generator.uniform(0.2, 0.8)), "epochs_drop": int(generator.integers(3, 25))}
        params: dict[str, Any] = {f"{name}.{key}": value for key, value in own.items()}
        params |= {"schedule": name, "momentum": momentum, "nesterov": bool(generator.integers(2))}
        rate = float(10 ** generator.uniform(-2, np.log10(0.5))) * (1 - momentum)
        found.append(from_params(params | {"learning_rate": rate}))
    return found


class TestNumpy:
    """Twenty settings over up to fifty epochs, with every way to cut the rows into batches."""

    @pytest.mark.parametrize(
        ("architecture", "epochs", "kind"),
        [(DEFAULT, 50, Population), (Architecture(34, 2, (16,), "tanh"), 20, Traced)],
    )
    def test_members_agree_with_it(
        self,
        architecture: Architecture,
        epochs: int,
        kind: type[Population],
        ionosphere: Split,
        candidates: list[Candidate],
    ) -> None:
        spec, chosen = TrainingSpec(ionosphere, architecture, epochs, 28, nesterov=True), [*candidates, *drawn(10)]
        job = Job(spec, tuple(chosen), (3, 4), WHOLE)
        population = engine(spec, kind)
        curves, members = population.train_with_weights(job)
        for place, candidate in enumerate(chosen):
            reference = NumpyTraining(spec, candidate, run_seed=3)
            ours = (curves.loss, curves.correct, curves.validation_loss, curves.validation_correct)
            for name, found, wanted in zip("abcd", ours, reference.curves, strict=True):
                np.testing.assert_allclose(found[place, 0], wanted, atol=2e-4 if name in "ac" else 0, err_msg=f"{name}")
            for one, other in zip(weights_of(population, members, place), reference.weights, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-3)

    @pytest.mark.parametrize("batch_size", [1_000, 47])
    def test_batches_larger_than_the_data_or_without_a_rest_agree_with_it(
        self, batch_size: int, ionosphere: Split, candidates: list[Candidate]
    ) -> None:
        spec = TrainingSpec(ionosphere, Architecture(34, 2, (8,)), 3, batch_size)
        found = train(spec, candidates[:2], (0, 1), kind=Traced).loss[0, 0]
        np.testing.assert_allclose(found, NumpyTraining(spec, candidates[0], run_seed=0).curves[0], atol=1e-4)

    def test_three_classes_agree_with_it(self, three_classes: Split, candidates: list[Candidate]) -> None:
        spec = TrainingSpec(three_classes, Architecture(4, 3, (10,)), 10, 16)
        curves = train(spec, candidates[:3], (0, 1), kind=Traced)
        for place, candidate in enumerate(candidates[:3]):
            wanted = NumpyTraining(spec, candidate, run_seed=1).curves
            np.testing.assert_allclose(curves.validation_loss[place, 1], wanted[2], atol=1e-4)
            assert curves.validation_correct[place, 1].tolist() == wanted[3].tolist()


class Case(NamedTuple):
    """What is trained beside `fit`."""

    architecture: Architecture
    params: dict[str, Any]
    optimizer: Optimizer = Sgd()
    epochs: int = 3
    kind: type[Population] = Traced
    shape: Shape = Shape(2, 2)
    class_weights: tuple[float, ...] = ()


SGD: dict[str, Any] = {"schedule": "constant", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True}
ONE_CYCLE: dict[str, Any] = {
    "schedule": "one_cycle",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "one_cycle.momentum_dip": 0.5,
}
CASES = {
    "one hidden layer": Case(DEFAULT, SGD, epochs=50, kind=Population, shape=WHOLE),
    "its layers at rates of their own": Case(Architecture(34, 2, (8,)), SGD, Sgd(layer_rates={"hidden_1": 0.3})),
    "adam by layer": Case(Architecture(34, 2, (8,)), ONE_CYCLE, Adam(layer_decay=0.5)),
    "three classes, rmsprop": Case(Architecture(4, 3, (10,)), ONE_CYCLE, RMSprop(), epochs=5),
    "two classes, weighted": Case(Architecture(34, 2, (8,)), SGD, class_weights=(3.0, 0.5), kind=Population),
    "three classes, weighted": Case(Architecture(4, 3, (10,)), SGD, class_weights=(2.0, 1.0, 0.25)),
    "tanh, adamw": Case(Architecture(34, 2, (16,), "tanh"), ONE_CYCLE, AdamW(weight_decay=0.1)),
    "numbers": Case(Architecture(4, 0, (10,)), SGD, epochs=10, kind=Population),
    "numbers, adam": Case(Architecture(4, 0, (8,), "tanh"), ONE_CYCLE, Adam(), epochs=5),
}


@pytest.mark.parametrize("name", CASES)
def test_members_agree_with_fit(name: str, ionosphere: Split, three_classes: Split, numbers: Split) -> None:
    """Losses, weights, right rows, those of each class as Keras predicts them, and scores as scikit-learn has them."""
    architecture, params, optimizer, epochs, kind, shape, weights = CASES[name]
    split = {34: ionosphere, 4: three_classes if architecture.classes else numbers}[architecture.features]
    candidate = from_params(params)
    spec = TrainingSpec(split, architecture, epochs, 28, optimizer, nesterov=candidate.nesterov, class_weights=weights)
    population = engine(spec, kind)
    curves, members = population.train_with_weights(Job(spec, (candidate,), (3, 4), shape))
    keras_fit = Training(spec, candidate, run_seed=3)
    shown = {key: np.array(values) for key, values in keras_fit.run(0, epochs).items()}
    np.testing.assert_allclose(curves.loss[0, 0], shown["loss"], atol=1e-4)
    np.testing.assert_allclose(curves.validation_loss[0, 0], shown["val_loss"], atol=1e-4)
    ours = weights_of(population, members, 0)
    for our, their in zip(ours, keras_fit.model.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, atol=1e-3)
    scores = {metric: float(by_run[0, 0]) for metric, by_run in curves.scores.items()}
    keras_fit.model.set_weights(ours)
    assert scores == pytest.approx(
        by_scikit_learn(split, np.asarray(keras_fit.model(split.validation_inputs))), abs=1e-5
    )
    if not architecture.classes:
        np.testing.assert_allclose(curves.validation_loss[0, 0], shown["val_rmse"] ** 2, atol=1e-4)
        assert not curves.correct.any()
        assert not curves.validation_correct.any()
        assert curves.class_correct.shape == (1, 2, 0)
        return
    right = np.rint(shown["val_accuracy"] * split.validation_rows)
    assert curves.validation_correct[0, 0].tolist() == right.tolist()
    assert curves.correct[0, 0].tolist() == np.rint(shown["accuracy"] * split.train_rows).tolist()
    shares = np.asarray(keras_fit.model(split.validation_inputs))
    predicted = shares[:, 0] > 0.5 if architecture.task.outputs == 1 else shares.argmax(axis=1)
    by_class = split.validation_targets[predicted == split.validation_targets]
    assert curves.class_correct[0, 0].tolist() == np.bincount(by_class, minlength=architecture.classes).tolist()
    assert np.array_equal(curves.class_correct.sum(axis=-1), curves.validation_correct[..., -1])


@pytest.mark.parametrize("class_weights", [(), (3.0, 1.0, 0.5)])
def test_rows_weigh_in_the_loss_as_with_fit(three_classes: Split, class_weights: tuple[float, ...]) -> None:
    split = side_by_side.with_weights(three_classes)
    spec = TrainingSpec(split, Architecture(4, 3, (5,)), 4, split.train_rows, class_weights=class_weights)
    check_weights(spec)


def test_rows_of_numbers_weigh_in_the_loss_as_with_fit(numbers: Split) -> None:
    split = side_by_side.with_weights(numbers)
    check_weights(TrainingSpec(split, Architecture(4, 0, (5,)), 4, split.train_rows))


def check_weights(spec: TrainingSpec) -> None:
    candidate = from_params({"schedule": "constant", "learning_rate": 0.5, "momentum": 0.0})
    curves, wanted = train(spec, [candidate], (3, 4), Shape(1, 2), Traced), side_by_side.plain_fit(spec, 0.5, 3)
    for shown in (curves, KerasFit(spec).train(Job(spec, (candidate,), (3,), Shape(1, 1)))):
        np.testing.assert_allclose(shown.loss[0, 0], wanted["loss"], rtol=1e-5)
        np.testing.assert_allclose(shown.validation_loss[0, 0], wanted["val_loss"], rtol=1e-5)
    unweighted = replace(spec, split=replace(spec.split, dataset=replace(spec.split.dataset, weights=None)))
    assert abs(side_by_side.plain_fit(unweighted, 0.5, 3)["loss"][-1] / wanted["loss"][-1] - 1) > 0.01


def by_scikit_learn(split: Split, outputs: Float32) -> dict[str, float]:
    """Return every metric of one network's outputs for the validation rows; of numbers, in the target's own unit."""
    targets = split.dataset.targets[split.validation_index]
    if not split.dataset.classes:
        shift, scale = split.target_unit
        found = outputs[:, 0] * scale + shift
        return {
            "rmse": reference.root_mean_squared_error(targets, found),
            "mae": reference.mean_absolute_error(targets, found),
            "r2": reference.r2_score(targets, found),
        }
    shares = np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs
    shares, taken, real = shares.astype(np.float64), shares.argmax(axis=1), np.eye(shares.shape[1])[targets]
    rarer = int(2 * (targets == 1).sum() <= len(targets))
    scored = slice(rarer, rarer + 1) if shares.shape[1] == 2 else slice(None)
    squares = ((shares - real) ** 2).sum(axis=1).mean()
    return {
        "accuracy": reference.accuracy_score(targets, taken),
        "balanced_accuracy": reference.balanced_accuracy_score(targets, taken),
        "auc": reference.roc_auc_score(real[:, scored], shares[:, scored]),
        "average_precision": reference.average_precision_score(real[:, scored], shares[:, scored]),
        "f1": reference.f1_score(targets, taken, average="macro"),
        "log_loss": -np.log(shares[np.arange(len(targets)), targets]).mean(),
        "brier": squares / 2 if shares.shape[1] == 2 else squares,
    }


class TestScores:
    def test_a_run_that_diverged_has_none_and_the_others_what_was_counted(
        self, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        wild = from_params({"schedule": "constant", "learning_rate": 1e30, "momentum": 0.9})
        job = Job(small, (*candidates[:2], wild), (0, 1, 2), Shape(16, 3), keep_rows=True)
        curves, rows = engine(small).train(job), small.split.validation_rows
        assert np.array_equal(curves.scores["accuracy"][:2], curves.validation_correct[:2, :, -1] / rows)
        assert np.array_equal(curves.scores["log_loss"][:2], curves.validation_loss[:2, :, -1].astype(np.float64))
        for scores in curves.scores.values():
            assert scores.shape == (3, 3)
            assert np.array_equal(np.isnan(scores), curves.diverged)
        assert curves.rows is not None
        assert np.array_equal(curves.rows.right.sum(axis=-1)[:2], curves.validation_correct[:2, :, -1])
        losses = curves.rows.loss.astype(np.float64)
        np.testing.assert_allclose(losses[:2].mean(axis=-1), curves.scores["log_loss"][:2], rtol=1e-3)
        uninformed = np.array([-np.log(117 / 235), -np.log(118 / 235)])[small.split.validation_targets]
        np.testing.assert_allclose(losses[2], np.broadcast_to(uninformed, (3, rows)), rtol=1e-3)

    def test_they_are_the_same_in_blocks_of_any_size(
        self, small: TrainingSpec, candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        population, job = engine(small), Job(small, tuple(candidates[:5]), (0, 1, 2), Shape(16, 4), keep_rows=True)
        curves, members = population.train_with_weights(job)
        for members_at_once in (1, 3, 7):
            one = 64 * small.split.validation_rows * 2
            monkeypatch.setattr(spec, "MEMORY_BYTES", 8 * one * members_at_once)
            assert len(job.blocks(one)) > 1
            held = small.split.validation_inputs, small.split.validation_targets
            again = scored(job, curves, population.network, members, *held)  # type: ignore[arg-type]
            for metric, scores in curves.scores.items():
                np.testing.assert_allclose(again.scores[metric], scores, rtol=1e-6)
            assert curves.rows is not None
            assert again.rows is not None
            np.testing.assert_allclose(again.rows.loss, curves.rows.loss, rtol=2e-3)


class TestTables:
    """What a job's members are given, as arrays."""

    def test_a_batch_is_filled_to_the_jobs_shape(self, small: TrainingSpec, candidates: list[Candidate]) -> None:
        table = Table.of(Job(small, tuple(candidates), (5,), Shape(16, 4)))
        assert table.rates.shape == (3, 9, 1, 16)
        assert not table.rates[..., len(candidates) :].any()

    def test_it_says_who_watches_what(self, small: TrainingSpec, candidates: list[Candidate]) -> None:
        watching = from_params(
            {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "val_accuracy", "plateau.patience": 3}
        )
        spec = replace(small, closed_loop=("plateau",))
        told = Watching.of(Job(spec, (candidates[0], watching), (0,), Shape(16, 2)), "plateau")
        assert told.chosen.tolist() == [False, True, *[False] * 14]
        assert (MONITORS[told.monitor[1]], told.sign[1], told.settings["patience"][1]) == ("val_accuracy", -1, 3)


class TestSharing:
    """A member's bits do not depend on what else is trained."""

    def test_a_member_does_not_depend_on_the_others(self, small: TrainingSpec, candidates: list[Candidate]) -> None:
        whole = train(small, candidates, (0, 1, 2))
        assert same(only(whole, [1, 2], [0, 2]), train(small, candidates[1:3], (0, 2)))
        turned = [3, 1, 4, 0, 2, 9, 8, 7, 6, 5]
        permuted = train(small, [candidates[place] for place in turned], (0, 1))
        assert same(only(whole, turned, [0, 1]), permuted)

    def test_filling_a_job_up_changes_nothing(self, small: TrainingSpec, candidates: list[Candidate]) -> None:
        filled = train(small, candidates, (0, 1), Shape(64, 4))
        assert filled.loss.shape == (10, 2, 3)
        assert same(filled, train(small, candidates, (0, 1)))

    def test_a_member_that_diverges_leaves_the_others_unchanged(
        self, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        wild = from_params({"schedule": "constant", "learning_rate": 1e30, "momentum": 0.9})
        curves = train(small, [*candidates, wild], (0, 1))
        assert curves.diverged[len(candidates)].all()
        assert not curves.diverged[: len(candidates)].any()
        assert same(only(curves, list(range(len(candidates))), [0, 1]), train(small, candidates, (0, 1)))

    def test_one_program_serves_re_splits_of_equal_shape_and_changes_no_bit(
        self, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
    ) -> None:
        jobs = [Job(replace(small, split=split), tuple(candidates), (0, 1), Shape(16, 2)) for split in resplits]
        assert engine(small).accepts(jobs[0].spec)
        assert same(engine(small).train(jobs[0]), Population(jobs[0].spec).train(jobs[0]))
        population = Traced(small)
        for job in [*jobs, jobs[0]]:
            population.train(job)
        assert population.programs == 1
        assert not population.accepts(replace(small, epochs=4))
        fewer = replace(small, split=replace(small.split, train_index=small.split.train_index[:200]))
        population.train(Job(fewer, tuple(candidates), (0, 1), Shape(16, 2)))
        assert population.programs == 2

    def test_the_numbers_in_a_programs_names_depend_on_it_alone(
        self, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        population, found = Traced(small), []
        for shape in (Shape(16, 2), Shape(16, 4), Shape(16, 2)):
            tf.constant(1.0)  # takes a number
            with population._stable_names(Job(small, tuple(candidates), (0, 1), shape)):
                found.append([ops.uid(), ops.uid()])
        assert found[0] == found[2] != found[1]


WATCHING: list[dict[str, Any]] = [
    {"schedule": "plateau", "learning_rate": 0.2, "plateau.factor": 0.5, "plateau.patience": 1},
    {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "val_accuracy", "plateau.patience": 2},
    {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "accuracy", "plateau.warmup": 0.3},
    {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "loss", "plateau.floor": 0.2},
    {"schedule": "constant", "learning_rate": 0.1},
]


class TestClosedLoop:
    """Schedules that watch each run for itself, inside the compiled program."""

    def test_each_run_gets_the_gain_that_the_schedule_answers_to_what_it_showed(self, small: TrainingSpec) -> None:
        spec, watching = (
            replace(small, epochs=20, closed_loop=("plateau",)),
            [from_params(params) for params in WATCHING],
        )
        curves = train(spec, watching, (0, 1, 2))
        shown: dict[str, Any] = {
            "loss": curves.loss,
            "accuracy": curves.correct / np.float32(spec.split.train_rows),
            "val_loss": curves.validation_loss,
            "val_accuracy": curves.validation_correct / np.float32(spec.split.validation_rows),
        }
        for place, candidate in enumerate(watching):
            schedule = candidate.schedule
            for run in range(3):
                answered = (
                    schedule.gains(shown[schedule.monitor][place, run]) if isinstance(schedule, ClosedLoop) else 1.0
                )
                np.testing.assert_allclose(curves.gain[place, run], answered, rtol=1e-6)
        assert (curves.gain[0] < 1).any()
        assert (curves.gain[:4, 0] != curves.gain[:4, 1]).any()
        # One that watches does not depend on the others, and one that does not is trained as without them.
        others = train(spec, [watching[1], watching[0]], (2, 0, 1))
        assert same(only(curves, [1, 0], [2, 0, 1]), others)
        alone = NumpyTraining(spec, watching[4], run_seed=0).curves[0]
        np.testing.assert_allclose(curves.loss[4, 0], alone, atol=1e-4)
