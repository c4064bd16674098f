"""One training by Keras' own `fit`: slow, obvious, and what every population member is held against.

It shares with the population only what both are given: initial weights, batch order, and the rate and momentum of
each step. `sweep train` trains by it too, so what it prints is what the tests hold the population to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from sweep.candidate import Candidate
from sweep.engines.initial import batch_order
from sweep.engines.keras_model import build_model
from sweep.engines.spec import Float32, Int32, TrainingSpec
from sweep.fit.keras_optimizers import keras_layered, keras_optimizer, set_learning_rate
from sweep.optimizer import layer_factors
from sweep.schedules import ClosedLoop, Numbers
from sweep.schedules.keras import ClosedLoopRates, MomentumTable, RatesByStep


@dataclass(frozen=True)
class FitResult:
    """What `fit` reports after each epoch, `[epochs]`, and the weights that it ends with.

    `rate` is the learning rate that each epoch began with.
    """

    loss: Float32
    accuracy: Float32
    validation_loss: Float32
    validation_accuracy: Float32
    rate: Float32
    weights: list[Float32]


def fit(problem: TrainingSpec, candidate: Candidate, run_seed: int) -> FitResult:
    """Train one member with `Model.fit`."""
    training = Training(problem, candidate, run_seed)
    history = training.run(0, problem.epochs)
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    loss, accuracy, held_loss, held_accuracy, rate = (np.asarray(history[name], np.float32) for name in names)
    return FitResult(loss, accuracy, held_loss, held_accuracy, rate, training.model.get_weights())


class Training:
    """One network, ready for `Model.fit`, whose rate and momentum follow the candidate's schedule.

    Attributes:
        model: the compiled network, with the weights that the run seed starts from.
        rates: the callback that sets the rate of each step and keeps a closed-loop schedule's state.
    """

    def __init__(self, problem: TrainingSpec, candidate: Candidate, run_seed: int) -> None:
        self.problem = problem
        self.model = build_model(problem.architecture, run_seed)
        self._order = batch_order(problem.split.train_rows, problem.epochs, run_seed)
        momenta = candidate.schedule.momenta(problem.timeline, candidate.momentum)
        optimizer, set_rate = _optimizer(problem, self.model, float(momenta.max()), candidate.nesterov)
        loss = "binary_crossentropy" if problem.architecture.outputs == 1 else "sparse_categorical_crossentropy"
        self.model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
        self.rates = _rates(problem, candidate, set_rate)
        self._follow = [self.rates, *_momenta(momenta)]

    def run(
        self, first_epoch: int, end_epoch: int, observers: Sequence[keras.callbacks.Callback] = ()
    ) -> dict[str, list[float]]:
        """Train from `first_epoch`, counted from 0, to before `end_epoch`; return what each epoch showed."""
        split, problem = self.problem.split, self.problem
        order = self._order[first_epoch:]
        history: dict[str, list[float]] = self.model.fit(
            ordered_batches(split.train_inputs, split.train_targets, order, problem.batch_size),
            steps_per_epoch=problem.timeline.steps_per_epoch,
            initial_epoch=first_epoch,
            epochs=end_epoch,
            shuffle=False,
            validation_data=(split.validation_inputs, split.validation_targets),
            callbacks=[*self._follow, *observers],
            verbose=0,
        ).history
        return history


def ordered_batches(inputs: Float32, targets: Int32, order: Int32, batch_size: int) -> Iterator[tuple[Float32, Int32]]:
    """Yield the minibatches of all epochs one after the other, in a given order `[epochs, rows]`."""
    for rows in order:
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            yield inputs[batch], targets[batch]


def _optimizer(
    problem: TrainingSpec, model: keras.Model, momentum: float, nesterov: bool
) -> tuple[Any, Callable[[float], None] | None]:
    """Return the problem's optimizer by Keras, and how to set its rate if it has several."""
    chosen = problem.optimizer
    if not chosen.layered:
        return keras_optimizer(chosen, 0.0, momentum, nesterov), None
    factors = layer_factors(chosen, [layer.name for layer in model.layers if layer.trainable_variables])
    layered = keras_layered(chosen, factors, model, 0.0, momentum, nesterov)
    return layered, partial(set_learning_rate, layered, factors)


def _rates(problem: TrainingSpec, candidate: Candidate, set_rate: Callable[[float], None] | None) -> RatesByStep:
    schedule = candidate.schedule
    if isinstance(schedule, ClosedLoop):
        return ClosedLoopRates(schedule, problem.timeline, set_rate)
    return RatesByStep(schedule.rates(problem.timeline), set_rate)


def _momenta(momenta: Numbers) -> list[MomentumTable]:
    """Return who sets the momentum of each step, unless it never changes."""
    return [MomentumTable(momenta)] if np.ptp(momenta) > 0 else []
