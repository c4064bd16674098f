"""Every schedule of the catalogue in each of its forms: the six columns of the README's table."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optuna
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.table import read_csv, split_tail
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.execution.worker import environment
from sweep.schedules import CATALOGUE, ClosedLoop, Timeline
from sweep.schedules.source import write_code
from sweep.search.distributions import SearchSpace
from sweep.space import Value, extremes
from tests.fakes import make_plan

if TYPE_CHECKING:
    from sweep.engines.spec import Curves
    from sweep.fit.reference import Training

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
each_schedule = pytest.mark.parametrize("name", NAMES)


def candidate(name: str) -> Candidate:
    """Return an example with a warm-up, at the first end of each of its spaces."""
    spaces = CATALOGUE[name].default_space | SPACES.get(name, {})
    own = {f"{name}.{key}": extremes(space)[0] for key, space in spaces.items()}
    shared: dict[str, Value] = {"schedule": name, "learning_rate": 0.1, "momentum": 0.8}
    return from_params({**shared, **own, f"{name}.warmup": 0.1, f"{name}.floor": 0.01})


@cache
def problem() -> TrainingSpec:
    split = split_tail(read_csv(IONOSPHERE, header=False, label=-1), 0.33)
    closed = tuple(name for name in NAMES if issubclass(CATALOGUE[name], ClosedLoop))
    return TrainingSpec(split, Architecture(34, 2, (8,)), epochs=6, batch_size=28, closed_loop=closed)


@cache
def population() -> Curves:
    """Train every schedule's example in one program, with run seeds 0 and 1."""
    from sweep.engines.population import Population
    from sweep.execution.batches import Shape, make_batch

    return Population(problem()).train(make_batch([candidate(name) for name in NAMES], (0, 1), problem(), Shape(32, 2)))


class Fitted(NamedTuple):
    """A training by Keras' `fit`: what its epochs showed, the rate of every step, and what was kept halfway."""

    shown: dict[str, list[float]]
    rates: list[list[float]]
    weights: list[Any]
    halfway: tuple[Any, Any]


def make_training(name: str) -> Training:
    from sweep.fit.reference import Training

    return Training(problem(), candidate(name), run_seed=0)


@cache
def fitted(name: str) -> Fitted:
    """Train six epochs at once, with run seed 0."""
    import keras

    from sweep.fit.train import snapshot

    training, kept = make_training(name), []

    def keep(epoch: int, logs: object) -> None:
        kept.append((snapshot(training.model), training.rates.state))

    shown = training.run(0, 6, [keras.callbacks.LambdaCallback(on_epoch_end=keep)])
    return Fitted(shown, training.rates.rates, training.model.get_weights(), kept[2])


@each_schedule
def test_table(name: str) -> None:
    rates = candidate(name).schedule.rates(problem().timeline)
    assert rates.shape == (6, 9)
    assert (np.isfinite(rates) & (rates >= 0)).all()


@each_schedule
def test_population_and_keras(name: str) -> None:
    """The rate of each epoch and what it led to are the same, in a compiled program and in Keras' `fit`."""
    place, shown, schedule = NAMES.index(name), fitted(name).shown, candidate(name).schedule
    gain = population().gain[place, 0]
    base = schedule.base_rates(problem().timeline)
    np.testing.assert_allclose(base * gain[:, None], fitted(name).rates, rtol=1e-6)
    np.testing.assert_allclose(population().loss[place, 0], shown["loss"], atol=1e-5)
    np.testing.assert_allclose(population().validation_loss[place, 0], shown["val_loss"], atol=1e-5)
    assert len(set(gain)) > 1 or not isinstance(schedule, ClosedLoop)


@each_schedule
def test_keras_form(name: str) -> None:
    """What `to_keras` gives serialises, and an open-loop one has the table's rate at every step."""
    import keras

    schedule, timeline = candidate(name).schedule, problem().timeline
    form = schedule.to_keras(steps_per_epoch=timeline.steps_per_epoch, epochs=timeline.epochs)
    if isinstance(schedule, ClosedLoop):
        assert isinstance(form, keras.callbacks.Callback)
        return
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(form))
    rates = [float(again(step)) for step in range(54)]
    np.testing.assert_allclose(np.reshape(rates, (6, 9)), schedule.rates(timeline), rtol=1e-6)


@each_schedule
def test_export(name: str) -> None:
    """The exported text, run with NumPy alone, gives the same table."""
    timeline, schedule = Timeline(epochs=6, steps_per_epoch=9), candidate(name).schedule
    code = write_code(schedule, timeline, momentum=0.8)
    names: dict[str, Any] = {"np": np, "EPOCHS": 6, "STEPS_PER_EPOCH": 9}
    exec("\n".join([*code.imports, *(f"import {module}" for module in code.modules), code.text]), names)
    base = schedule.base_rates(timeline)
    np.testing.assert_allclose(names["RATES"], base, rtol=1e-12)
    np.testing.assert_allclose(names.get("MOMENTA", 0.8), schedule.momenta(timeline, 0.8), rtol=1e-12)


@each_schedule
def test_resume(name: str) -> None:
    """Three epochs and three more, in another network with what was kept, equal six."""
    from sweep.fit.train import restore

    training, (model, state) = make_training(name), fitted(name).halfway
    restore(training.model, model)
    training.rates.state = state
    after = training.run(3, 6)
    assert after == {key: values[3:] for key, values in fitted(name).shown.items()}
    for ours, theirs in zip(training.model.get_weights(), fitted(name).weights, strict=True):
        assert np.array_equal(ours, theirs)


@each_schedule
def test_search(name: str) -> None:
    """A search draws it, and its trial's params make the same candidate again."""
    space = SearchSpace(make_plan(recipes=(), schedules={name: SPACES.get(name, {})}).search)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = space.suggest(study.ask())
    assert drawn.schedule.name == name
    assert space.candidate(space.params(drawn)) == drawn == space.candidate(study.trials[0].params)
