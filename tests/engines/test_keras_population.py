"""The population of any Keras model beside Keras' own `fit` on JAX, NumPy, and the laws of its jobs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from sweep.candidate import Adam, AdamW, EarlyStopping, Optimizer, RMSprop, Sgd, from_params
from sweep.data.table import Dataset, Split
from sweep.engines.spec import BY_RUN, Architecture, Job, Probe, Shape, TrainingSpec
from sweep.errors import BadInput
from tests.engines import side_by_side as jax
from tests.engines.numpy_training import NumpyTraining
from tests.engines.on_jax import OnJax

CONSTANT: dict[str, Any] = {"schedule": "constant", "learning_rate": 0.05, "momentum": 0.9}
STEP: dict[str, Any] = {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 2}
PLATEAU: dict[str, Any] = {
    "schedule": "plateau",
    "learning_rate": 0.05,
    "momentum": 0.5,
    "plateau.patience": 1,
    "plateau.min_delta": 0.2,
}
ONE_CYCLE: dict[str, Any] = {
    "schedule": "one_cycle",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "one_cycle.momentum_dip": 0.5,
}


@pytest.fixture(scope="session")
def few(three_classes: Split) -> Split:
    """Rows that divide into three whole batches of 16."""
    return replace(three_classes, train_index=three_classes.train_index[:48])


def job(
    spec: TrainingSpec, *params: dict[str, Any], seeds: tuple[int, ...] = (3, 4), shape: Shape | None = None
) -> Job:
    return Job(spec, tuple(from_params(each) for each in params), seeds, shape or Shape(len(params), len(seeds)))


class Case(NamedTuple):
    """What is trained beside `fit`."""

    build: str
    classes: int = 3
    params: tuple[dict[str, Any], ...] = (CONSTANT,)
    optimizer: Optimizer = Sgd()
    batch_size: int = 16
    class_weights: tuple[float, ...] = ()


CASES = {
    "dense, closed loop": Case("branched", params=(PLATEAU, CONSTANT)),
    "a last batch that is smaller": Case("branched", batch_size=20),
    "nesterov": Case("branched", params=(CONSTANT | {"nesterov": True}, CONSTANT)),
    "class weights": Case("branched", class_weights=(2.0, 1.0, 0.25)),
    "adamw": Case("branched", optimizer=AdamW(weight_decay=0.1)),
    "rmsprop by layer": Case("branched", optimizer=RMSprop(layer_decay=0.7)),
    "regularizers, activity losses, constraints": Case("regularised"),
    "a frozen layer": Case("frozen"),
    "a loss that is added": Case("adding"),
    "compiled: weight decay, clipping, one-hot": Case("compiled"),
    "compiled: averaged weights": Case("averaged"),
    "compiled: a loss and a metric of one's own": Case("own_loss"),
    "compiled: a training step of one's own": Case("own_step"),
    "rates and momenta that change at every step": Case("branched", params=(ONE_CYCLE,)),
    "steps of one's own that take a pair apart": Case("pair_steps"),
    "numbers": Case("regression", classes=0),
    "numbers, compiled: huber": Case("huber", classes=0),
}


@pytest.mark.parametrize("name", CASES)
def test_members_agree_with_fit(name: str, few: Split, numbers: Split, on_jax: OnJax) -> None:
    """From the same weights, in the same batches, with the same random masks."""
    case = CASES[name]
    split = few if case.classes else replace(numbers, train_index=numbers.train_index[:48])
    spec = TrainingSpec(
        split,
        Architecture(4, case.classes, build=f"tests.engines.models:{case.build}"),
        3,
        case.batch_size,
        case.optimizer,
        nesterov=any(each.get("nesterov", False) for each in case.params),
        closed_loop=("plateau",) if PLATEAU in case.params else (),
        class_weights=case.class_weights,
    )
    check_agreement(on_jax(jax.side_by_side, job(spec, *case.params)), split)


def test_members_of_several_inputs_agree_with_fit(of_parts: Split, on_jax: OnJax) -> None:
    architecture = Architecture(10, 3, build="tests.engines.models:of_parts", shape=of_parts.dataset.row_shape)
    spec = TrainingSpec(of_parts, architecture, 3, 20)
    check_agreement(on_jax(jax.side_by_side, job(spec, CONSTANT)), of_parts)


def test_members_with_several_targets_agree_with_fit(labels: Split, two_numbers: Split, on_jax: OnJax) -> None:
    """Labels by a compiled model whose outputs are logits, and numbers by a stack of one hidden layer."""
    by_logits = Architecture(4, 0, build="tests.engines.models:of_labels", outputs=3, labels=True)
    check_agreement(on_jax(jax.side_by_side, job(TrainingSpec(labels, by_logits, 3, 20), CONSTANT)), labels)
    dense = Architecture(4, 0, (5,), outputs=2)
    assert not dense.is_hidden_layer
    found = on_jax(jax.side_by_side, job(TrainingSpec(two_numbers, dense, 3, 16), CONSTANT))
    check_agreement(found, two_numbers)
    last = found.population.validation_loss[0, 0, -1]
    assert last == pytest.approx(found.curves["val_score"][-1] / two_numbers.validation_rows, rel=1e-4)


@pytest.mark.parametrize("build", ["heads", "heads_in_order"])
def test_members_of_several_outputs_agree_with_fit(build: str, heads: Split, on_jax: OnJax) -> None:
    """By name with loss weights, and in order with weights of rows and a loss that is no mean over rows."""
    split = jax.with_weights(heads) if build == "heads_in_order" else heads
    architecture = Architecture(4, 0, build=f"tests.engines.models:{build}", heads=heads.dataset.heads)
    found = on_jax(jax.side_by_side, job(TrainingSpec(split, architecture, 2, 20), CONSTANT))
    for field, curve in {"loss": "loss", "validation_loss": "val_loss"}.items():
        np.testing.assert_allclose(getattr(found.population, field)[0, 0], found.curves[curve], rtol=1e-4)
    for our, their in found.weights:
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-4)
    assert found.population.scores.keys() == {"loss"}
    np.testing.assert_array_equal(found.population.scores["loss"], found.population.validation_loss[..., -1])


def test_rows_weigh_in_the_loss_as_with_fit(few: Split, on_jax: OnJax) -> None:
    spec = TrainingSpec(jax.with_weights(few), Architecture(4, 3, (5,)), 4, 48, class_weights=(2.0, 1.0, 0.5))
    asked = job(spec, {"schedule": "constant", "learning_rate": 0.5, "momentum": 0.0}, seeds=(3,))
    wanted = jax.plain_fit(spec, 0.5, 3)
    for curves in on_jax(jax.by_both_engines, asked):
        np.testing.assert_allclose(curves.loss[0, 0], wanted["loss"], rtol=1e-5)
        np.testing.assert_allclose(curves.validation_loss[0, 0], wanted["val_loss"], rtol=1e-5)


def check_agreement(found: jax.Both, split: Split) -> None:
    """Check that a population's first member ends as `fit`'s does, epoch by epoch."""
    ours = found.population
    rows = {"correct": "score", "validation_correct": "val_score"} if split.dataset.task.counts_rows else {}
    for field, curve in {"loss": "loss", "validation_loss": "val_loss", "gain": "gain", **rows}.items():
        kept = slice(None, -1) if field == "validation_correct" else slice(None)  # its last is of averaged weights
        our, their = getattr(ours, field)[0, 0][kept], found.curves[curve][kept]
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-5, err_msg=field)
    for metric, score in found.scores.items():
        unit = split.target_unit[1] if metric in ("rmse", "mae") else 1.0
        np.testing.assert_allclose(ours.scores[metric][0, 0], score * unit, rtol=1e-4, atol=1e-5, err_msg=metric)
    if "loss" in ours.scores:
        np.testing.assert_array_equal(ours.scores["loss"], ours.validation_loss[..., -1])
    for our, their in found.weights:
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        ("noisy", EarlyStopping(patience=1, min_delta=0.01, restore_best_weights=True, start_from_epoch=1)),
        ("averaged", EarlyStopping(monitor="val_accuracy", patience=2, baseline=0.2)),
    ],
)
def test_early_stopping_is_that_of_keras(build: str, rule: EarlyStopping, few: Split, on_jax: OnJax) -> None:
    architecture = Architecture(4, 3, build=f"tests.engines.models:{build}")
    spec = TrainingSpec(few, architecture, 10, 16, early_stopping=rule)
    slow, fast = CONSTANT | {"learning_rate": 1e-4}, CONSTANT | {"learning_rate": 0.3}
    stops = set[int]()
    for first in (slow, fast):
        found = on_jax(jax.side_by_side, job(spec, first, slow if first is fast else fast))
        loss = found.population.loss[0, 0]
        stops.add(int((np.diff(loss) != 0).sum()) + 1)
        ours, theirs = found.population.loss[0, 0], found.curves["loss"]
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.population.validation_loss[0, 0], found.curves["val_loss"], rtol=1e-3)
        for metric, score in found.scores.items():
            np.testing.assert_allclose(found.population.scores[metric][0, 0], score, rtol=1e-3, err_msg=metric)
        for our, their in found.weights:
            if their.dtype.kind == "f":  # a random layer's state goes on with the members that have not stopped
                np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-4)
    assert min(stops) < 10


@pytest.mark.parametrize(
    "rule",
    [
        EarlyStopping(),
        EarlyStopping(monitor="accuracy", patience=2, min_delta=0.3, start_from_epoch=3),
        EarlyStopping(monitor="loss", patience=3, baseline=-0.5, mode="max"),
        EarlyStopping(monitor="val_accuracy", patience=1, min_delta=0.1, baseline=0.2, start_from_epoch=20),
    ],
)
def test_the_rule_of_early_stopping_is_keras_on_any_curve(rule: EarlyStopping) -> None:
    jnp = pytest.importorskip("jax.numpy")
    from sweep.engines.keras_program import KerasProgram, Members, Progress, Stopping

    epochs, shape = 12, (2, 20)
    curves = np.random.default_rng(0).normal(size=(epochs, *shape)).astype(np.float32)
    curves[:4, 0, :2] = curves[3, 1, 0] = np.nan
    program: Any = SimpleNamespace(_spec=SimpleNamespace(early_stopping=rule), chosen=KerasProgram.chosen, axes=None)
    nothing = Members([], [], [])
    program.chosen = lambda _, yes, no: no
    now = Progress(nothing, {}, {rule.monitor: jnp.zeros(curves.shape)}, Stopping.begin(shape, nothing, keep=False))
    for epoch, shown in enumerate(curves):
        written: dict[str, Any] = {rule.monitor: now.curves[rule.monitor].at[epoch].set(shown)}
        now = KerasProgram._stopped(program, now, now._replace(curves=written), {rule.monitor: shown}, epoch)
    assert now.stopping is not None
    for place in np.ndindex(shape):
        theirs = keras.callbacks.EarlyStopping(**rule.arguments)
        model = SimpleNamespace(stop_training=False, metrics=[], get_weights=list)
        theirs.set_model(model)
        theirs.on_train_begin()
        for epoch in range(epochs):
            theirs.on_epoch_end(epoch, {rule.monitor: float(curves[(epoch, *place)])})
            if model.stop_training:
                break
        last = curves[(epoch, *place)]
        assert bool(now.stopping.stopped[place]) == model.stop_training
        assert int(now.stopping.epoch[place]) == theirs.best_epoch
        np.testing.assert_array_equal(now.curves[rule.monitor][(slice(epoch, None), *place)], last)


def test_a_step_of_ones_own_that_asks_for_no_metrics_is_scored_all_the_same(few: Split, on_jax: OnJax) -> None:
    spec = TrainingSpec(few, Architecture(4, 3, build="tests.engines.models:guide_steps"), 3, 16)
    population, fit = on_jax(jax.by_both_engines, job(spec, CONSTANT))
    np.testing.assert_allclose(population.loss, fit.loss, rtol=1e-4)
    np.testing.assert_array_equal(population.validation_correct, fit.validation_correct)
    assert (population.validation_correct > 0).all()
    assert (np.abs(population.correct - fit.correct) <= 12).all()
    assert (population.correct > 0).all()


def test_a_model_that_fit_trains_again_is_as_a_new_one(few: Split, on_jax: OnJax) -> None:
    spec = TrainingSpec(few, Architecture(4, 3, build="tests.engines.models:noisy"), 3, 16, Adam())
    among, alone = on_jax(jax.second_seed_by_fit, job(spec, CONSTANT))
    np.testing.assert_array_equal(among.loss[0, 1], np.float32(alone["loss"]))
    np.testing.assert_array_equal(among.validation_loss[0, 1], np.float32(alone["val_loss"]))
    assert not np.array_equal(among.loss[0, 0], among.loss[0, 1])


def test_both_engines_give_the_same_curves(few: Split, on_jax: OnJax) -> None:
    architecture = Architecture(4, 3, build="tests.engines.models:branched")
    spec = TrainingSpec(few, architecture, 3, 20, nesterov=True, closed_loop=("plateau",))
    asked = replace(job(spec, PLATEAU, STEP | {"nesterov": True}), keep_rows=True)
    population, fit = on_jax(jax.by_both_engines, asked)
    for field in BY_RUN:
        ours, theirs = getattr(population, field), getattr(fit, field)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=field)
    for metric, scores in fit.scores.items():
        np.testing.assert_allclose(population.scores[metric], scores, rtol=1e-4, atol=1e-5, err_msg=metric)
    for curves in (population, fit):
        assert curves.rows is not None
        assert np.array_equal(curves.rows.right.sum(axis=-1), curves.validation_correct[..., -1])
        np.testing.assert_allclose(curves.rows.loss.mean(axis=-1, dtype=float), curves.scores["log_loss"], rtol=1e-3)


@pytest.mark.parametrize("optimizer", [Sgd(), Adam()])
def test_a_momentum_that_follows_a_schedule_is_that_of_keras_on_tensorflow(
    optimizer: Optimizer, few: Split, on_jax: OnJax
) -> None:
    from sweep.fit.training import Training

    spec = TrainingSpec(few, Architecture(4, 3, (8, 6), "tanh"), 4, 16, optimizer)
    (curves,) = on_jax(jax.trained, [job(spec, ONE_CYCLE)])
    shown = Training(spec, from_params(ONE_CYCLE), 3).run(0, 4)
    np.testing.assert_allclose(curves.loss[0, 0], shown["loss"], atol=1e-5)
    np.testing.assert_allclose(curves.validation_loss[0, 0], shown["val_loss"], atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (16, 8)])
def test_dense_stacks_agree_with_numpy(hidden: tuple[int, ...], few: Split, on_jax: OnJax) -> None:
    spec = TrainingSpec(few, Architecture(4, 3, hidden, "tanh"), 10, 20)
    (curves,) = on_jax(jax.trained, [job(spec, CONSTANT, STEP)])
    for place, params in enumerate((CONSTANT, STEP)):
        wanted = NumpyTraining(spec, from_params(params), run_seed=4).curves
        np.testing.assert_allclose(curves.validation_loss[place, 1], wanted[2], atol=1e-4)
        assert curves.validation_correct[place, 1].tolist() == wanted[3].tolist()


class TestJobs:
    def test_members_do_not_depend_on_the_others_in_their_job(self, few: Split, on_jax: OnJax) -> None:
        spec = TrainingSpec(few, Architecture(4, 3, build="tests.engines.models:noisy"), 3, 16)
        shape = Shape(3, 2)
        jobs = [job(spec, CONSTANT, STEP, shape=shape), job(spec, STEP, seeds=(4,), shape=shape)]
        whole, alone = on_jax(jax.trained, jobs)
        assert alone.loss.shape == (1, 1, 3)
        np.testing.assert_array_equal(alone.loss[0, 0], whole.loss[1, 1])
        assert not np.array_equal(whole.loss[1, 0], whole.loss[1, 1])

    def test_one_that_does_not_fit_the_memory_is_divided(self, few: Split, on_jax: OnJax) -> None:
        spec = TrainingSpec(few, Architecture(4, 3, build="tests.engines.models:branched"), 3, 16)
        asked = job(spec, *[CONSTANT | {"learning_rate": rate} for rate in (0.01, 0.02, 0.04, 0.05)])
        (whole,) = on_jax(jax.trained, [asked])
        shape, parts = on_jax(jax.divided, asked, 30_000)
        assert shape.candidates < 4
        np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-5)

    def test_resplits_of_equal_size_are_trained_by_one_engine(self, few: Split, on_jax: OnJax) -> None:
        spec = TrainingSpec(few, Architecture(4, 3, (6, 4)), 3, 16)
        rows = np.random.default_rng(0).permutation(73).astype(np.int32)
        other = replace(spec, split=Split.of(few.dataset, rows[:48], rows[48:]))
        first, second, again = on_jax(jax.trained, [job(each, CONSTANT) for each in (spec, other, spec)])
        assert first.rows is None
        np.testing.assert_array_equal(first.loss, again.loss)
        assert not np.array_equal(first.loss, second.loss)

    def test_a_run_that_diverged_has_no_scores(self, few: Split, on_jax: OnJax) -> None:
        spec = TrainingSpec(few, Architecture(4, 3, (6, 4)), 3, 16)
        (curves,) = on_jax(jax.trained, [job(spec, CONSTANT, CONSTANT | {"learning_rate": 1e30})])
        assert curves.diverged.tolist() == [[False, False], [True, True]]
        for scores in curves.scores.values():
            assert np.array_equal(np.isnan(scores), curves.diverged)


class TestProbing:
    def spec(self, split: Split, name: str) -> TrainingSpec:
        return TrainingSpec(split, Architecture(4, 3, build=f"tests.engines.models:{name}"), 2, 16)

    def test_a_population_is_taken_where_there_can_be_one(self, few: Split, on_jax: OnJax) -> None:
        found = on_jax(jax.choice, Probe(job(self.spec(few, "branched"), *[CONSTANT] * 4), "population"))
        assert (found.engine, found.backend, found.shape, found.reason) == ("population", "jax", Shape(4, 2), "")
        assert 0 <= found.step_seconds < 1

    def test_fit_is_taken_otherwise_and_it_is_said_why(self, few: Split, on_jax: OnJax) -> None:
        found = on_jax(jax.choice, Probe(job(self.spec(few, "eager"), CONSTANT)))
        assert (found.engine, found.shape) == ("fit", Shape(1, 1))
        assert "no population of it can be trained: ConcretizationTypeError" in found.reason

    def test_a_population_that_is_stated_and_cannot_be_is_refused(self, few: Split, on_jax: OnJax) -> None:
        with pytest.raises(BadInput, match="no population of this model can be trained: Concretization"):
            on_jax(jax.choice, Probe(job(self.spec(few, "eager"), CONSTANT), "population"))

    def test_a_model_that_keras_cannot_train_is_refused(self, few: Split, on_jax: OnJax) -> None:
        with pytest.raises(BadInput, match="be trained: `Untraceable` raised RuntimeError: no num") as caught:
            on_jax(jax.choice, Probe(job(self.spec(few, "untraceable"), CONSTANT)))
        assert "\n" not in str(caught.value)

    def test_fit_is_taken_where_it_is_stated(self, few: Split, on_jax: OnJax) -> None:
        found = on_jax(jax.choice, Probe(job(self.spec(few, "branched"), CONSTANT), "fit"))
        assert (found.engine, found.backend) == ("fit", "jax")


def test_integer_rows_reach_an_embedding(on_jax: OnJax) -> None:
    draw = np.random.default_rng(0)
    words = draw.integers(0, 10, (75, 4))
    dataset = Dataset.of_arrays(words, (words[:, 0] > 4).astype(int) + (words[:, 1] > 7), ("a", "b", "c"))
    rows = np.arange(75, dtype=np.int32)
    spec = TrainingSpec(
        Split.of(dataset, rows[:48], rows[48:]), Architecture(4, 3, build="tests.engines.models:embedded"), 3, 16
    )
    found = on_jax(jax.side_by_side, job(spec, CONSTANT))
    np.testing.assert_allclose(found.population.loss[0, 0], found.curves["loss"], rtol=1e-4)
