"""Laws of schedules in Keras: the same rates as the table, for models that know nothing of us."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sweep.errors import BadInput
from sweep.execution.worker import environment
from sweep.schedules import CATALOGUE, ClosedLoop, Numbers, Schedule, Timeline, read_schedule
from tests.schedules.examples import an_example, each_closed_loop

os.environ.update(environment())  # TensorFlow reads it when it is imported, which comes next

import keras
import tensorflow as tf

from sweep.schedules.keras import ClosedLoopRates, MomentumTable, RatesByStep, RateTable

CLOCK = Timeline(epochs=5, steps_per_epoch=3)
OPEN_LOOP = [kind for kind in CATALOGUE.values() if not issubclass(kind, ClosedLoop)]
reads_variables = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # Keras reads its variables in NumPy 1's way
)


def rows(count: int = 30) -> tuple[Any, Any]:
    inputs = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    return inputs, (inputs.sum(axis=1) > 0).astype(np.float32)


def to_keras(schedule: Schedule, timeline: Timeline) -> Any:
    return schedule.to_keras(steps_per_epoch=timeline.steps_per_epoch, epochs=timeline.epochs)


def network(optimizer: Any, *, eager: bool = False, jit: Any = False) -> Any:
    """Return a network whose steps are traced, compiled by XLA too if `jit`, or run one by one if `eager`."""
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"], run_eagerly=eager, jit_compile=jit)
    return model


def fit(model: Any, epochs: int, *callbacks: Any, first: int = 0, validate: bool = False) -> Any:
    held = rows() if validate else None
    options = {"batch_size": 10, "shuffle": False, "verbose": 0, "validation_data": held, "initial_epoch": first}
    return model.fit(*rows(), epochs=epochs, callbacks=list(callbacks), **options).history


class RateSpy(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Remember the rate that the optimizer has at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.seen.append(float(self.model.optimizer.learning_rate))


class TestRateTable:
    @pytest.mark.parametrize("kind", OPEN_LOOP, ids=lambda kind: kind.name)
    def test_each_step_has_the_rate_of_the_table(self, kind: type[Schedule]) -> None:
        schedule = an_example(kind, warmup=0.2)
        ours = schedule.to_keras(steps_per_epoch=3, epochs=5)
        compiled = tf.function(ours, jit_compile=True)
        wanted = schedule.rates(CLOCK).ravel()
        np.testing.assert_allclose([float(compiled(tf.constant(step))) for step in range(15)], wanted, rtol=1e-6)
        assert float(ours(15)) == float(ours(1_000_000)) == np.float32(wanted[-1])

    @pytest.mark.parametrize("kind", OPEN_LOOP, ids=lambda kind: kind.name)
    def test_it_is_built_again_from_its_config(self, kind: type[Schedule]) -> None:
        ours = to_keras(an_example(kind, floor=0.1), CLOCK)
        config = json.loads(json.dumps(keras.optimizers.schedules.serialize(ours)))
        again = keras.optimizers.schedules.deserialize(config)
        assert isinstance(again, RateTable)
        np.testing.assert_array_equal(again.rates, ours.rates)
        assert again.get_config() == ours.get_config()

    def test_its_config_is_the_schedules_document(self) -> None:
        schedule = an_example(CATALOGUE["step"])
        config = to_keras(schedule, CLOCK).get_config()
        assert config == {"schedule": json.loads(schedule.to_json()), "epochs": 5, "steps_per_epoch": 3}

    @reads_variables
    def test_fit_steps_through_it_and_a_loaded_model_goes_on(self, tmp_path: Path) -> None:
        schedule = an_example(CATALOGUE["time_by_batch"], decay=0.1)
        whole, half, spy, later = *(network(sgd(schedule), jit="auto") for _ in range(2)), RateSpy(), RateSpy()
        fit(whole, 4, spy)
        fit(half, 2)
        half.save(tmp_path / "half.keras")
        loaded = keras.models.load_model(tmp_path / "half.keras")
        fit(loaded, 4, later, first=2)
        # Keras shows the rate that comes after the step.
        np.testing.assert_allclose(spy.seen, schedule.rates(CLOCK).ravel()[1:13], rtol=1e-6)
        assert later.seen == spy.seen[6:]
        assert_equal(whole.get_weights(), loaded.get_weights())

    def test_a_saved_model_calls_no_function_that_it_names(self) -> None:
        config = to_keras(an_example(CATALOGUE["function"], function="math:exp"), CLOCK).get_config()
        np.testing.assert_allclose(RateTable.from_config(config).rates[:, 0], np.exp(np.arange(5)))
        del config["rates"]
        with pytest.raises(BadInput, match="schedule: must hold the rates of a function"):
            RateTable.from_config(config)

    @pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is an extra")
    def test_it_works_under_another_backend(self) -> None:
        script = (
            "import jax, numpy as np; from sweep.schedules import *; timeline = Timeline(epochs=5, steps_per_epoch=3)\n"
            "s = read_schedule({'name': 'time_by_batch', 'learning_rate': 0.1, 'decay': 0.1}); r = s.rates(timeline)\n"
            "f = jax.jit(s.to_keras(steps_per_epoch=3, epochs=5))\n"
            "np.testing.assert_allclose([float(f(n)) for n in range(16)], [*r.ravel(), r[-1, -1]], rtol=1e-6)\n"
        )
        subprocess.run([sys.executable, "-c", script], env={**os.environ, "KERAS_BACKEND": "jax"}, check=True)


def sgd(schedule: Schedule) -> Any:
    return keras.optimizers.SGD(to_keras(schedule, CLOCK), momentum=0.9)


def assert_equal(left: list[Any], right: list[Any]) -> None:
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def plateau(**own: Any) -> ClosedLoop:
    schedule = read_schedule({"name": "plateau", "learning_rate": 0.5, **own})
    assert isinstance(schedule, ClosedLoop)
    return schedule


class TestClosedLoopRates:
    SETTINGS: ClassVar[dict[str, Any]] = {"monitor": "val_accuracy", "factor": 0.5, "patience": 1}

    @reads_variables
    def test_plateau_gives_the_rates_of_keras_in_a_real_fit(self) -> None:
        ours = to_keras(plateau(**self.SETTINGS, cooldown=1, floor=0.1), Timeline(epochs=7, steps_per_epoch=3))
        theirs = keras.callbacks.ReduceLROnPlateau(**self.SETTINGS, cooldown=1, min_lr=0.05)
        mine = fit(network(keras.optimizers.SGD(0.5)), 7, ours, validate=True)
        reference = fit(network(keras.optimizers.SGD(0.5)), 7, theirs, validate=True)
        np.testing.assert_allclose(mine["learning_rate"], reference["learning_rate"], rtol=1e-6)
        assert mine["loss"] == reference["loss"]
        assert len(set(mine["learning_rate"])) > 2

    def test_the_rate_rises_by_batch_through_a_warm_up_and_is_recorded(self) -> None:
        schedule = plateau(warmup=0.5)
        ours, spy = ClosedLoopRates(schedule, CLOCK), RateSpy()
        shown = fit(network("sgd", eager=True), 5, ours, spy, validate=True)
        np.testing.assert_allclose(ours.rates, schedule.rates(CLOCK, shown["val_loss"]))
        np.testing.assert_allclose(spy.seen, np.ravel(ours.rates), rtol=1e-6)
        assert len(set(spy.seen)) > 5

    def test_with_its_state_kept_two_halves_are_a_whole(self) -> None:
        timeline = Timeline(epochs=5, steps_per_epoch=3)
        whole, halves = network("sgd"), network("sgd")
        shown = fit(whole, 5, ClosedLoopRates(plateau(**self.SETTINGS), timeline), validate=True)
        first, second = (ClosedLoopRates(plateau(**self.SETTINGS), timeline) for _ in range(2))
        fit(halves, 3, first, validate=True)
        second.state = json.loads(json.dumps(first.state, allow_nan=False))
        rest = fit(halves, 5, second, first=3, validate=True)
        assert rest["learning_rate"] == shown["learning_rate"][3:]
        assert_equal(whole.get_weights(), halves.get_weights())

    @each_closed_loop
    def test_every_schedule_goes_on_from_its_kept_state(self, kind: type[ClosedLoop]) -> None:
        schedule, timeline = an_example(kind), Timeline(epochs=60, steps_per_epoch=1)
        assert isinstance(schedule, ClosedLoop)
        shown = np.random.default_rng(0).uniform(0.2, 0.9, size=60).round(1).tolist()
        wanted = schedule.rates(timeline, shown)[:, 0]
        answered: list[float] = []
        kept = ClosedLoopRates(schedule, timeline).state
        for begin in range(0, 60, 7):
            ours = ClosedLoopRates(schedule, timeline, answered.append)
            ours.state = kept
            for epoch in range(begin, min(begin + 7, 60)):
                ours.on_epoch_begin(epoch)
                ours.on_epoch_end(epoch, {schedule.monitor: shown[epoch]})
            kept = json.loads(json.dumps(ours.state, allow_nan=False))
        np.testing.assert_array_equal(answered, wanted)
        assert len(set(answered)) > 1

    def test_a_fresh_state_is_json(self) -> None:
        ours = ClosedLoopRates(plateau(), CLOCK)
        before = ours.state
        ours.state = json.loads(json.dumps(before, allow_nan=False))
        assert ours.state == before

    @pytest.mark.parametrize("state", [{}, {"gain": 1.0, "patience": 2.0}])
    def test_a_state_of_another_schedule_is_refused(self, state: dict[str, float | str]) -> None:
        ours = ClosedLoopRates(plateau(), CLOCK)
        with pytest.raises(BadInput, match="state: must hold gain, best, waited, resting, got"):
            ours.state = state

    def test_a_monitor_that_fit_does_not_report_is_refused_with_what_there_is(self) -> None:
        known = "monitor: `val_loss` must be among what `fit` reports after each epoch, got accuracy, loss."
        with pytest.raises(BadInput, match=known):
            fit(network("sgd", eager=True), 1, to_keras(plateau(), CLOCK))

    def test_an_optimizer_with_a_schedule_of_its_own_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"optimizer\.learning_rate: must be a number"):
            fit(network(sgd(an_example(CATALOGUE["step"]))), 1, to_keras(plateau(), CLOCK))

    def test_past_its_budget_the_rate_stays(self) -> None:
        ours = RatesByStep(np.array([[0.1, 0.2], [0.3, 0.4]]))
        fit(network("sgd", eager=True), 3, ours)
        assert ours.rates == [[0.1, 0.2, 0.2], [0.3, 0.4, 0.4], [0.3, 0.4, 0.4]]


MOMENTA = np.linspace(0.95, 0.6, 9).reshape(3, 3)
OPTIMIZERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "SGD": ("momentum", lambda: keras.optimizers.SGD(0.1, momentum=0.95, nesterov=True)),
    "RMSprop": ("momentum", lambda: keras.optimizers.RMSprop(0.01, momentum=0.95)),
    "Adam": ("beta_1", lambda: keras.optimizers.Adam(0.05, beta_1=0.95)),
}


class EagerMomenta(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Set the momentum of each step where nothing is compiled, which needs no art."""

    def __init__(self, name: str, momenta: Numbers) -> None:
        super().__init__()
        self.name = name
        self.momenta = [float(momentum) for momentum in momenta.ravel()]

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        setattr(self.model.optimizer, self.name, self.momenta.pop(0))


class TestMomentumTable:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_a_compiled_fit_follows_as_an_eager_one_does(self, name: str) -> None:
        attribute, make = OPTIMIZERS[name]
        compiled, eager = network(make(), jit="auto" if name == "Adam" else False), network(make(), eager=True)
        fit(compiled, 3, MomentumTable(MOMENTA))
        fit(eager, 3, EagerMomenta(attribute, MOMENTA))
        assert apart(compiled, eager) < 1e-6

    def test_to_set_the_number_alone_would_change_nothing_after_the_first_step(self) -> None:
        _, make = OPTIMIZERS["SGD"]
        compiled, eager = network(make()), network(make(), eager=True)
        fit(compiled, 3, EagerMomenta("momentum", MOMENTA))
        fit(eager, 3, EagerMomenta("momentum", MOMENTA))
        assert apart(compiled, eager) > 1e-2

    def test_a_model_that_was_trained_before_follows_too_and_has_its_own_momentum_afterwards(self) -> None:
        followed, eager = network(OPTIMIZERS["SGD"][1]()), network(OPTIMIZERS["SGD"][1](), eager=True)
        fit(followed, 1)
        fit(followed, 2, MomentumTable(MOMENTA[1:]), first=1)
        assert type(followed.optimizer.momentum) is float
        fit(followed, 3, first=2)
        fit(eager, 3, EagerMomenta("momentum", np.array([*[0.95] * 3, *MOMENTA[2], *[0.95] * 3])))
        assert apart(followed, eager) < 1e-6

    @reads_variables
    def test_a_model_saved_meanwhile_has_the_optimizers_own_number(self, tmp_path: Path) -> None:
        model = network(OPTIMIZERS["Adam"][1]())
        saved = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
        fit(model, 2, MomentumTable(MOMENTA), saved)
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert loaded.optimizer.beta_1 == 0.95
        assert len(loaded.optimizer.variables) == len(model.optimizer.variables)

    def test_every_layers_own_optimizer_follows(self) -> None:
        momenta = np.array([[0.9, 0.5, 0.2]])
        parts = keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.1, momentum=0.9), {".*kernel": keras.optimizers.SGD(0.1, momentum=0.9)}
        )
        layered = network(keras.optimizers.MultiOptimizer(parts))
        whole = network(keras.optimizers.SGD(0.1, momentum=0.9), eager=True)
        fit(layered, 1, MomentumTable(momenta))
        fit(whole, 1, EagerMomenta("momentum", momenta))
        assert apart(layered, whole) < 1e-6

    def test_one_cycle_gives_its_momenta(self) -> None:
        schedule = an_example(CATALOGUE["one_cycle"], momentum_dip=0.2)
        ours = schedule.momentum_to_keras(steps_per_epoch=CLOCK.steps_per_epoch, epochs=CLOCK.epochs, momentum=0.9)
        np.testing.assert_array_equal(ours.momenta, schedule.momenta(CLOCK, 0.9))
        assert np.ptp(ours.momenta) > 0.1

    def test_an_optimizer_made_without_momentum_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"optimizer\.momentum: must be above 0 to follow a schedule, got 0\.0"):
            fit(network(keras.optimizers.SGD(0.1)), 1, MomentumTable(MOMENTA))

    def test_an_optimizer_that_knows_no_momentum_is_refused(self) -> None:
        with pytest.raises(BadInput, match="optimizer: must have a momentum or beta_1, got Adagrad"):
            fit(network("adagrad"), 1, MomentumTable(MOMENTA))


def apart(left: Any, right: Any) -> float:
    """Return the largest difference between the weights of two networks."""
    pairs = zip(left.get_weights(), right.get_weights(), strict=True)
    return float(max(np.abs(one - other).max() for one, other in pairs))
