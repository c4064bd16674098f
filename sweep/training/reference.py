"""One training by Keras' own `fit`: slow, obvious, and what every population member is held against.

It shares with the population only what both are given: initial weights, batch order and the rate of each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from sweep.candidate import Candidate
from sweep.training.mapped import build_model
from sweep.training.problem import Float32, Int32, Problem
from sweep.training.randomness import batch_order


@dataclass(frozen=True)
class FitResult:
    """What `fit` reports after each epoch, `[epochs]`, and the weights that it ends with."""

    loss: Float32
    accuracy: Float32
    validation_loss: Float32
    validation_accuracy: Float32
    weights: list[Float32]


def fit(problem: Problem, candidate: Candidate, run_seed: int) -> FitResult:
    """Train one member with `Model.fit`."""
    split, architecture = problem.split, problem.architecture
    model = build_model(architecture, run_seed)
    optimizer = keras.optimizers.SGD(0.0, momentum=candidate.momentum, nesterov=candidate.nesterov)
    loss = "binary_crossentropy" if architecture.outputs == 1 else "sparse_categorical_crossentropy"
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    order = batch_order(split.train_rows, problem.epochs, run_seed)
    rates = candidate.schedule.rates(problem.clock).astype(np.float32)
    history = model.fit(
        ordered_batches(split.train_inputs, split.train_targets, order, problem.batch_size),
        steps_per_epoch=problem.clock.steps_per_epoch,
        epochs=problem.epochs,
        shuffle=False,
        validation_data=(split.validation_inputs, split.validation_targets),
        callbacks=[FollowRates(rates)],
        verbose=0,
    ).history
    losses, accuracy, held_loss, held_accuracy = (
        np.asarray(history[key], np.float32) for key in ("loss", "accuracy", "val_loss", "val_accuracy")
    )
    return FitResult(losses, accuracy, held_loss, held_accuracy, model.get_weights())


def ordered_batches(inputs: Float32, targets: Int32, order: Int32, batch_size: int) -> Iterator[tuple[Float32, Int32]]:
    """Yield the minibatches of all epochs one after the other, in a given order `[epochs, rows]`."""
    for rows in order:
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            yield inputs[batch], targets[batch]


class FollowRates(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Set the learning rate of every step from a table `[epochs, steps_per_epoch]`."""

    def __init__(self, rates: Float32) -> None:
        super().__init__()
        self._rates = rates
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Turn to the epoch's row of the table."""
        del logs
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the rate before the step that uses it."""
        del logs
        self.model.optimizer.learning_rate = self._rates[self._epoch, batch]
