"""Laws of schedules in Keras: the same rates as the table, for models that know nothing of us."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sweep.errors import BadInput
from sweep.execution.worker import environment
from sweep.schedules import CATALOGUE, ClosedLoop, Numbers, Schedule, Timeline, read_schedule
from tests.engines.on_jax import IN_HASTE
from tests.schedules.examples import an_example, each_closed_loop

os.environ.update(environment())  # TensorFlow reads it when it is imported, which comes next

import keras
import tensorflow as tf

from sweep.schedules.keras import (
    ClosedLoopRates,
    MomentumTable,
    RatesByStep,
    RateTable,
    read_memory,
    write_memory,
)

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


def table(schedule: Schedule, timeline: Timeline = CLOCK) -> RateTable:
    return RateTable(schedule, timeline, schedule.rates(timeline))


def compiled(schedule: Any, steps: int) -> Numbers:
    """Return the rate of each step, computed by one program of XLA."""
    at_all = tf.function(lambda each: tf.map_fn(schedule, each, fn_output_signature=tf.float32), jit_compile=True)
    rates: Numbers = at_all(tf.range(steps, dtype=tf.int64)).numpy()
    return rates


# What becomes of Keras' own classes; all else is a table of ours.
JOINED: dict[str, Any] = {
    "name": "join",
    "first": {"name": "polynomial", "final_ratio": 0.1},
    "second": {"name": "constant", "learning_rate": 0.01},
    "at": 0.4,
}
GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"name": "constant"}),
    ("ExponentialDecay", {"name": "exponential"}),
    ("ExponentialDecay", {"name": "exponential_by_batch"}),
    ("ExponentialDecay", {"name": "exponential_staircase", "stairs": 4}),
    ("ExponentialDecay", {"name": "step_from_zero", "drop": 0.5, "epochs_drop": 3}),
    ("InverseTimeDecay", {"name": "time", "decay": 0.3}),
    ("InverseTimeDecay", {"name": "time_by_batch"}),
    ("PolynomialDecay", {"name": "linear", "final_ratio": 0.1}),
    ("PolynomialDecay", {"name": "polynomial", "power": 3.0}),
    ("PolynomialDecay", {"name": "piecewise_linear", "points": "0:1 0.5:0.1 1:0.1"}),
    ("PolynomialDecay", {"name": "warmup_stable_decay", "warmup": 0.0, "decay_from": 0.0}),
    ("PolynomialDecay", JOINED),
    ("CosineDecay", {"name": "cosine", "final_ratio": 0.1}),
    ("CosineDecay", {"name": "cosine", "warmup": 0.25}),
    ("CosineDecay", {"name": "cosine", "warmup": 0.25, "warmup_from": 0.1}),
    ("CosineDecay", {"name": "constant", "warmup": 0.5, "warmup_from": 0.3}),
    ("CosineDecayRestarts", {"name": "cosine_restarts", "first_cycle": 0.25, "t_mul": 1.0, "m_mul": 0.7}),
    ("CosineDecayRestarts", {"name": "cosine_restarts", "first_cycle": 0.25, "t_mul": 2.0}),
    ("PiecewiseConstantDecay", {"name": "piecewise_constant", "values": [1, 0.5, 0.7], "boundaries": [2, 3]}),
    ("PiecewiseConstantDecay", {"name": "milestones"}),
    ("PiecewiseConstantDecay", {"name": "step", "drop": 0.5, "epochs_drop": 3}),
    ("PiecewiseConstantDecay", {"name": "time_compounding"}),
    ("PiecewiseConstantDecay", {"name": "function", "function": "tests.schedules.callables:shrinking"}),
    ("RateTable", {"name": "cosine_restarts", "first_cycle": 0.25, "t_mul": 3.0}),
    ("RateTable", {"name": "join", "first": "exponential", "second": "cosine", "at": 0.01}),
    ("RateTable", {"name": "one_cycle"}),
    ("RateTable", {"name": "triangular"}),
    ("RateTable", {"name": "rex"}),
    ("RateTable", {"name": "linear", "warmup": 0.25}),
    ("RateTable", {"name": "cosine", "floor": 0.1}),
]


class TestKerasOwn:
    """A schedule is of Keras' own class where that has its rates at every step, however Keras computes them."""

    @pytest.mark.parametrize(("kind", "document"), GIVEN, ids=str)
    def test_its_class_is_the_one_that_is_told(self, kind: str, document: dict[str, Any]) -> None:
        timeline = Timeline(epochs=8, steps_per_epoch=5)
        ours = to_keras(read_schedule({"learning_rate": 0.1, **document}), timeline)
        assert type(ours).__name__ == kind
        assert (kind == "RateTable") == (type(ours).__module__ == "sweep.schedules.keras")

    @pytest.mark.parametrize("steps_per_epoch", [7, 41])  # XLA multiplies by 1 / 41, and rounds 41 of them to below 1
    def test_its_rates_are_ours_at_every_step_of_a_training(self, steps_per_epoch: int) -> None:
        timeline = Timeline(epochs=5, steps_per_epoch=steps_per_epoch)
        examples = [an_example(kind, end) for kind in OPEN_LOOP for end in (0, -1)]
        examples += [read_schedule({"learning_rate": 0.1, **document}) for _, document in GIVEN]
        for schedule in dict.fromkeys(examples):
            ours, wanted = to_keras(schedule, timeline), schedule.rates(timeline).ravel()
            if isinstance(ours, RateTable):
                continue
            starts = range(0, wanted.size, steps_per_epoch)
            for rates, at in (
                (compiled(ours, wanted.size), wanted),
                ([float(ours(step)) for step in starts], wanted[starts]),
            ):
                np.testing.assert_allclose(rates, at, rtol=0, atol=1e-6 * wanted.max(), err_msg=str(schedule))

    def test_stairs_that_xla_would_round_otherwise_are_pieces(self) -> None:
        schedule = read_schedule({"name": "exponential", "learning_rate": 0.1})
        assert type(to_keras(schedule, Timeline(epochs=6, steps_per_epoch=41))).__name__ == "PiecewiseConstantDecay"
        assert type(to_keras(schedule, Timeline(epochs=600, steps_per_epoch=41))) is RateTable

    def test_its_arguments_are_numbers_that_keras_documents_and_reads_back(self) -> None:
        schedule = read_schedule({"name": "cosine", "learning_rate": 0.1, "warmup": 0.2, "warmup_from": 0.5})
        config = keras.optimizers.schedules.serialize(
            schedule.to_keras(steps_per_epoch=np.int64(5), epochs=np.array(8))
        )
        assert (config["module"], config["class_name"]) == ("keras.optimizers.schedules", "CosineDecay")
        own = {"initial_learning_rate": 0.05, "warmup_target": 0.1, "warmup_steps": 8, "decay_steps": 32, "alpha": 0.0}
        assert config["config"] == own | {"name": "CosineDecay"}
        assert Schedule.from_json(json.dumps(config), Timeline(epochs=8, steps_per_epoch=5)) == schedule


class TestRateTable:
    @pytest.mark.parametrize("kind", OPEN_LOOP, ids=lambda kind: kind.name)
    def test_each_step_has_the_rate_of_the_table(self, kind: type[Schedule]) -> None:
        schedule = an_example(kind, warmup=0.2)
        ours, wanted = table(schedule), schedule.rates(CLOCK).ravel()
        np.testing.assert_allclose(compiled(ours, 15), wanted, rtol=1e-6)
        assert float(ours(15)) == float(ours(1_000_000)) == np.float32(wanted[-1])

    @pytest.mark.parametrize("kind", OPEN_LOOP, ids=lambda kind: kind.name)
    def test_it_is_built_again_from_its_config(self, kind: type[Schedule]) -> None:
        ours = table(an_example(kind, floor=0.1))
        config = json.loads(json.dumps(keras.optimizers.schedules.serialize(ours)))
        again = keras.optimizers.schedules.deserialize(config)
        assert isinstance(again, RateTable)
        np.testing.assert_array_equal(again.rates, ours.rates)
        assert again.get_config() == ours.get_config()

    def test_its_config_is_the_schedules_document(self) -> None:
        schedule = an_example(CATALOGUE["step"])
        config = table(schedule).get_config()
        assert config == {"schedule": json.loads(schedule.to_json()), "epochs": 5, "steps_per_epoch": 3}

    @reads_variables
    @pytest.mark.parametrize("name", ["time_by_batch", "rex"])
    def test_fit_steps_through_it_and_a_loaded_model_goes_on(self, name: str, tmp_path: Path) -> None:
        schedule = an_example(CATALOGUE[name])
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
        config = table(an_example(CATALOGUE["function"], function="math:exp")).get_config()
        np.testing.assert_allclose(RateTable.from_config(config).rates[:, 0], np.exp(np.arange(5)))
        del config["rates"]
        with pytest.raises(BadInput, match="schedule: must hold the rates of a function"):
            RateTable.from_config(config)


# A new process loads what this one saved, under either backend: the first without our package, the second after the
# import that its documentation names, the third to go on with a schedule that watches the training.
ELSEWHERE = """
import json, sys, warnings
from pathlib import Path
import numpy as np, keras

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
folder, rates = Path(sys.argv[1]), {}
inputs, targets = np.load(folder / "rows.npy"), np.ones(30, "float32")


def rest(model, *callbacks):
    data = {"validation_data": (inputs, targets), "batch_size": 10, "verbose": 0}
    return model.fit(inputs, targets, epochs=6, initial_epoch=3, callbacks=list(callbacks), **data).history


sys.modules["sweep"] = None  # as if it were not installed
model = keras.models.load_model(folder / "cosine.keras")
rates["cosine"] = float(model.optimizer.learning_rate)
watched = keras.models.load_model(folder / "plateau.keras")
rest(model)
del sys.modules["sweep"]
try:
    keras.models.load_model(folder / "rex.keras")
except TypeError as error:
    rates["refused"] = "'sweep.schedules.keras'" in str(error)
import sweep.schedules.keras
model = keras.models.load_model(folder / "rex.keras")
rates["rex"] = float(model.optimizer.learning_rate)
rest(model)
plateau = sweep.read_schedule(json.loads((folder / "plateau.json").read_text()))
rates["plateau"] = rest(watched, plateau.to_keras(steps_per_epoch=3, epochs=6))["learning_rate"]
print(json.dumps(rates))
"""
STILL: dict[str, Any] = {"name": "plateau", "learning_rate": 0.1, "factor": 0.5, "patience": 1, "min_delta": 10.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold a model with a class of Keras' own, one with ours, and one that a schedule watched, all after 3 epochs."""
    folder, timeline = tmp_path_factory.mktemp("saved"), Timeline(epochs=6, steps_per_epoch=3)
    rates = {
        name: to_keras(read_schedule({"name": name, "learning_rate": 0.1}), timeline) for name in ("cosine", "rex")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as `reads_variables` for tests
        for name, rate in rates.items():
            model = network(keras.optimizers.SGD(rate))
            fit(model, 3)
            model.save(folder / f"{name}.keras")
        model = network(keras.optimizers.SGD(0.1, momentum=0.9))
        shown = fit(model, 3, to_keras(read_schedule(STILL), timeline), validate=True)
        model.save(folder / "plateau.keras")
    assert shown["learning_rate"] == [0.1, 0.1, 0.05]
    (folder / "plateau.json").write_text(json.dumps(STILL))
    np.save(folder / "rows.npy", rows()[0])
    return folder


class TestAnotherProcess:
    @pytest.mark.parametrize("backend", ["tensorflow", "jax"])
    def test_a_saved_model_goes_on_there(self, folder: Path, backend: str) -> None:
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        command, own = [sys.executable, "-c", ELSEWHERE, str(folder)], {"KERAS_BACKEND": backend} | IN_HASTE
        found = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        rates = json.loads(found.stdout.splitlines()[-1])
        assert rates.pop("refused")
        assert rates.pop("plateau") == [0.025, 0.0125, 0.00625]
        timeline = Timeline(epochs=6, steps_per_epoch=3)
        for name, rate in rates.items():
            wanted = read_schedule({"name": name, "learning_rate": 0.1}).rates(timeline)[3, 0]
            assert rate == pytest.approx(wanted, rel=1e-6)


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
        known = (
            "monitor: `val_loss` must be among what `fit` reports after each epoch, got accuracy, loss; give it .*data"
        )
        with pytest.raises(BadInput, match=known):
            fit(network("sgd", eager=True), 1, to_keras(plateau(), CLOCK))

    @reads_variables
    @pytest.mark.parametrize("monitor", ["val_auc", "mae", "val_precision"])
    def test_any_metric_is_watched_in_its_own_direction(self, monitor: str, capsys: pytest.CaptureFixture[str]) -> None:
        own = {"monitor": monitor, "factor": 0.5, "patience": 1, "min_delta": 0.06}
        ours = to_keras(plateau(**own), Timeline(epochs=5, steps_per_epoch=3))
        shown = [
            fit_watched(keras.metrics.AUC(name="auc"), "mae", keras.metrics.Precision(name="precision"), callback=each)
            for each in (ours, keras.callbacks.ReduceLROnPlateau(**own))
        ]
        np.testing.assert_allclose(shown[0]["learning_rate"], shown[1]["learning_rate"], rtol=1e-6)
        assert len(set(shown[0]["learning_rate"])) > 1
        better = "lower" if monitor == "mae" else "higher"
        said = f"plateau: {monitor} is better the {better} it is, as its metric says; `mode` states it.\n"
        assert capsys.readouterr().out.count(said) == 1

    def test_a_metric_that_does_not_say_which_way_is_better_needs_a_mode(self, capsys: Any) -> None:
        own = {"monitor": "val_mine", "factor": 0.5, "patience": 1, "min_delta": 10.0}
        with pytest.raises(
            BadInput, match=r"^mode: must be given, since no metric .* whether `val_mine` .* 'min' or 'max'"
        ):
            fit_watched(Mine(name="mine"), callback=ClosedLoopRates(plateau(**own), CLOCK))
        capsys.readouterr()
        shown = fit_watched(Mine(name="mine"), callback=ClosedLoopRates(plateau(**own, mode="max"), CLOCK))
        assert shown["learning_rate"] == [0.5, 0.5, 0.25, 0.125, 0.0625]
        assert "plateau" not in capsys.readouterr().out

    def test_an_optimizer_with_a_schedule_of_its_own_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"optimizer\.learning_rate: must be a number"):
            fit(network(sgd(an_example(CATALOGUE["step"]))), 1, to_keras(plateau(), CLOCK))

    def test_several_optimizers_are_refused_unless_one_says_how_their_rates_are_set(self) -> None:
        parts = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1), {".*kernel": keras.optimizers.SGD(0.2)})
        model, seen = network(keras.optimizers.MultiOptimizer(parts), eager=True), list[float]()
        with pytest.raises(BadInput, match=r"^optimizer: must be a single one, .* got a MultiOptimizer\.$"):
            fit(model, 1, ClosedLoopRates(read_plateau(), CLOCK), validate=True)
        fit(model, 3, ClosedLoopRates(read_plateau(), CLOCK, seen.append), validate=True)
        assert seen == [0.1, 0.1, 0.05]

    def test_past_its_budget_the_rate_stays(self) -> None:
        ours = RatesByStep(np.array([[0.1, 0.2], [0.3, 0.4]]))
        fit(network("sgd", eager=True), 3, ours)
        assert ours.rates == [[0.1, 0.2, 0.2], [0.3, 0.4, 0.4], [0.3, 0.4, 0.4]]


class Mine(keras.metrics.Mean):  # type: ignore[misc]  # Keras ships no types
    """A metric that does not say whether it is better low or high."""

    _direction = None

    def update_state(self, targets: Any, outputs: Any, sample_weight: Any = None) -> None:
        super().update_state(keras.ops.abs(targets - keras.ops.squeeze(outputs, -1)))


def fit_watched(*metrics: Any, callback: Any) -> Any:
    model = network("sgd", eager=True)
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=list(metrics), run_eagerly=True)
    data = {"validation_data": rows(), "batch_size": 10, "shuffle": False, "verbose": 2}
    return model.fit(*rows(), epochs=5, callbacks=[callback], **data).history


MOMENTA = np.linspace(0.95, 0.6, 9).reshape(3, 3)


class TestMemory:
    """What a closed-loop schedule remembers is in the model that it trains."""

    STATE: ClassVar[dict[str, float]] = {"gain": 1e-05, "best": -0.25, "waited": 1e22, "resting": math.inf}

    @reads_variables
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda optimizer: optimizer,
            keras.optimizers.LossScaleOptimizer,
            lambda optimizer: keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(optimizer)),
        ],
        ids=["alone", "scaling the loss", "for some layers"],
    )
    def test_it_is_saved_with_the_model(self, wrap: Any, tmp_path: Path) -> None:
        model = network(wrap(keras.optimizers.SGD(0.1, name="mine")), eager=True)
        fit(model, 1)
        assert read_memory(model) == ("", 0, {})
        for epochs in (2, 3):
            write_memory(model, "plateau", epochs, self.STATE)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert read_memory(loaded) == ("plateau", 3, self.STATE)
        fit(loaded, 1)

    def test_a_name_that_somebody_wrote_holds_none(self) -> None:
        model = network("sgd")
        for name in ("sgd>sweep>", "sgd>sweep>plateau", "sgd>sweep>plateau>x>gain_1", "sgd>sweep>plateau>1>gain"):
            model.optimizer.name = name
            assert read_memory(model)[2] == {}

    def test_a_fit_from_the_first_epoch_begins_anew(self) -> None:
        model, ours = network("sgd", eager=True), ClosedLoopRates(read_plateau(), CLOCK)
        for _ in range(2):
            assert fit(model, 3, ours, validate=True)["learning_rate"] == [0.1, 0.1, 0.05]
        assert re.match(r"sgd(_\d+)?>sweep>plateau>3>gain_0\.25>best_", model.optimizer.name)

    def test_a_model_without_it_is_told_of(self) -> None:
        model = network("sgd", eager=True)
        write_memory(model, "cost_driven", 3, {"gain": 0.5})
        with pytest.warns(
            UserWarning, match="`plateau` begins anew at epoch 4, since the model does not hold its state"
        ):
            shown = fit(model, 5, ClosedLoopRates(read_plateau(), CLOCK), first=3, validate=True)
        assert shown["learning_rate"] == [0.1, 0.1]

    @reads_variables
    def test_a_checkpoint_that_came_before_the_decision_is_told_of(self, tmp_path: Path) -> None:
        model, path = network("sgd", eager=True), tmp_path / "model.keras"
        fit(model, 3, keras.callbacks.ModelCheckpoint(path), ClosedLoopRates(read_plateau(), CLOCK), validate=True)
        loaded = keras.models.load_model(path)
        with pytest.warns(
            UserWarning, match="holds the state of `plateau` after 2 epochs, .* before `ModelCheckpoint`"
        ):
            shown = fit(loaded, 5, ClosedLoopRates(read_plateau(), CLOCK), first=3, validate=True)
        assert shown["learning_rate"] == [0.05, 0.025]


def read_plateau() -> Any:
    return read_schedule(STILL)


class TestSlots:
    """Whatever of ours lies in the wrong place says where it belongs."""

    @pytest.mark.parametrize("name", ["cosine", "rex"])
    def test_a_learning_rate_is_no_callback(self, name: str) -> None:
        rate = to_keras(read_schedule({"name": name, "learning_rate": 0.1}), CLOCK)
        told = (
            r"^callbacks: a schedule that depends on time alone is no callback; give it to the optimizer, e\.g\. `keras"
        )
        with pytest.raises(BadInput, match=told):
            fit(network("sgd"), 1, rate)

    @pytest.mark.parametrize("name", ["cosine", "plateau"])
    def test_a_schedule_becomes_keras_first(self, name: str) -> None:
        schedule = read_schedule({"name": name, "learning_rate": 0.1})
        told = rf"schedule `{name}`.* `to_keras\(steps_per_epoch=\.\.\., epochs=\.\.\.\)`"
        with pytest.raises(BadInput, match=rf"^callbacks: the {told} returns"):
            fit(network("sgd"), 1, schedule)
        with pytest.raises(ValueError, match=rf"learning_rate={told}"):
            keras.optimizers.SGD(schedule)

    @pytest.mark.parametrize(
        "make", [lambda: ClosedLoopRates(plateau(), CLOCK), lambda: MomentumTable(MOMENTA)], ids=["rate", "momentum"]
    )
    def test_a_callback_is_no_learning_rate(self, make: Callable[[], Any]) -> None:
        told = r"a callback \(\w+\), which belongs into `fit\(callbacks=\[\.\.\.\]\)`; `learning_rate` takes a number"
        with pytest.raises(ValueError, match=told):
            keras.optimizers.SGD(make())
        with pytest.raises(ValueError, match=told):
            network("sgd").optimizer.learning_rate = make()


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
