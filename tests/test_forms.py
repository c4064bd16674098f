"""Every schedule of the catalogue in the forms of the README's table; its search is in the schedules' contract."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.splitting import split_tail
from sweep.data.table import DataKeys, read_dataset
from sweep.engines.spec import Architecture, Job, Shape, TrainingSpec
from sweep.execution.worker import environment
from sweep.schedules import CATALOGUE, ClosedLoop
from sweep.schedules.source import write_code
from sweep.space import Value, extremes

if TYPE_CHECKING:
    from sweep.engines.spec import Curves
    from sweep.fit.training import Training

os.environ.update(environment())  # XLA reads its flags when it is first used

IONOSPHERE = Path(__file__).parents[1] / "data" / "ionosphere.csv"
# What a search needs to be told, and what makes a closed-loop schedule act within a few epochs.
SPACES: dict[str, dict[str, Any]] = {
    "function": {"function": "tests.schedules.callables:shrinking"},
    "plateau": {"monitor": "accuracy", "factor": 0.5, "patience": 1, "min_delta": 0.2},
    "accuracy_drop": {"monitor": "val_accuracy", "factor": 0.5},
    "plateau_rebound": {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 0.1, "reductions": 1},
    "cost_driven": {"monitor": "val_loss", "highest": 3.0},
}
NAMES = list(CATALOGUE)
# What differs in training: a rate that changes within the epoch, a momentum that moves, and each closed-loop rule.
TRAINED = ["time_by_batch", "one_cycle", *(name for name in NAMES if issubclass(CATALOGUE[name], ClosedLoop))]
each_schedule = pytest.mark.parametrize("name", NAMES)


def candidate(name: str) -> Candidate:
    """Return an example with a warm-up, at the first end of each of its spaces."""
    spaces = CATALOGUE[name].default_space | SPACES.get(name, {})
    own = {f"{name}.{key}": extremes(space)[0] for key, space in spaces.items()}
    shared: dict[str, Value] = {"schedule": name, "learning_rate": 0.1, "momentum": 0.8}
    return from_params({**shared, **own, f"{name}.warmup": 0.1, f"{name}.floor": 0.01})


@cache
def problem() -> TrainingSpec:
    split = split_tail(read_dataset(IONOSPHERE, DataKeys(header=False, label=-1, scale="none")), 0.33)
    closed = tuple(name for name in NAMES if issubclass(CATALOGUE[name], ClosedLoop))
    return TrainingSpec(split, Architecture(34, 2, (8,)), epochs=6, batch_size=28, closed_loop=closed)


@cache
def population() -> Curves:
    """Train every schedule's example in one program, with run seeds 0 and 1."""
    from sweep.engines.population import Population

    candidates = tuple(candidate(name) for name in NAMES)
    return Population(problem()).train(Job(problem(), candidates, (0, 1), Shape(32, 2)))


class Fitted(NamedTuple):
    """A training by Keras' `fit`: what its epochs showed, the rate of every step, and what was kept halfway."""

    training: Training
    shown: dict[str, list[float]]
    rates: list[list[float]]
    weights: list[Any]
    halfway: tuple[Any, Any]


@cache
def fitted(name: str) -> Fitted:
    """Train six epochs at once, with run seed 0."""
    import keras

    from sweep.fit.checkpoint import Snapshot
    from sweep.fit.training import Training

    training, kept = Training(problem(), candidate(name), run_seed=0), []

    def keep(epoch: int, logs: object) -> None:
        kept.append((Snapshot.of(training.model), training.rates.state))

    shown = training.run(0, 6, [keras.callbacks.LambdaCallback(on_epoch_end=keep)])
    return Fitted(training, shown, training.rates.rates, training.model.get_weights(), kept[2])


def drive(rates: Any, first: int, end: int) -> list[list[float]]:
    """Call a callback as `fit` does; return the rate of each step of the epochs from `first` to before `end`."""
    for epoch in range(first, end):
        rates.on_epoch_begin(epoch)
        for batch in range(problem().timeline.steps_per_epoch):
            rates.on_train_batch_begin(batch)
    found: list[list[float]] = rates.rates
    return found


@each_schedule
def test_table_keras_form_and_export(name: str) -> None:
    """The table of rates is in the serialised Keras form, in the callback of a resumed fit and in the exported text."""
    import keras

    from sweep.schedules.keras import RatesByStep

    schedule, timeline = candidate(name).schedule, problem().timeline
    table, base = schedule.rates(timeline), schedule.base_rates(timeline)
    assert table.shape == (6, 9)
    assert (np.isfinite(table) & (table >= 0)).all()
    form = schedule.to_keras(steps_per_epoch=timeline.steps_per_epoch, epochs=timeline.epochs)
    if isinstance(schedule, ClosedLoop):
        assert isinstance(form, keras.callbacks.Callback)
    else:
        again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(form))
        np.testing.assert_allclose(np.reshape([float(again(step)) for step in range(54)], (6, 9)), table, rtol=1e-6)
    whole, resumed = (RatesByStep(base, lambda _rate: None) for _ in range(2))
    assert drive(whole, 0, 6) == base.tolist()
    assert drive(resumed, 3, 6) == base[3:].tolist()
    code = write_code(schedule, timeline, momentum=0.8)
    names: dict[str, Any] = {"np": np, "EPOCHS": 6, "STEPS_PER_EPOCH": 9}
    exec("\n".join([*code.imports, *(f"import {module}" for module in code.modules), code.text]), names)
    np.testing.assert_allclose(names["RATES"], base, rtol=1e-12)
    np.testing.assert_allclose(names.get("MOMENTA", 0.8), schedule.momenta(timeline, 0.8), rtol=1e-12)


def test_population() -> None:
    """One compiled program trains every schedule, each with a table of its own; only closed-loop ones have a gain."""
    tables = {candidate(name).schedule.base_rates(problem().timeline).tobytes() for name in NAMES}
    assert np.isfinite(population().loss).all()
    assert len(np.unique(population().loss[:, 0, -1])) >= len(tables)
    for place, name in enumerate(NAMES):
        assert (len(set(population().gain[place, 0])) > 1) == issubclass(CATALOGUE[name], ClosedLoop), name


@pytest.mark.parametrize("name", TRAINED)
def test_population_and_keras(name: str) -> None:
    """The rate of each epoch and what it led to are the same, in a compiled program and in Keras' `fit`."""
    place, shown, schedule = NAMES.index(name), fitted(name).shown, candidate(name).schedule
    base, gain = schedule.base_rates(problem().timeline), population().gain[place, 0]
    np.testing.assert_allclose(base * gain[:, None], fitted(name).rates, rtol=1e-6)
    np.testing.assert_allclose(population().loss[place, 0], shown["loss"], atol=1e-5)
    np.testing.assert_allclose(population().validation_loss[place, 0], shown["val_loss"], atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_resume(name: str) -> None:
    """Three epochs and three more, from what was kept, equal six; tests/fit does it in another network."""
    training, (model, state) = fitted(name).training, fitted(name).halfway
    model.restore(training.model)
    training.rates.state = state
    after = training.run(3, 6)
    assert after == {key: values[3:] for key, values in fitted(name).shown.items()}
    for ours, theirs in zip(training.model.get_weights(), fitted(name).weights, strict=True):
        assert np.array_equal(ours, theirs)
