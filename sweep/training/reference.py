"""One training by Keras' own `fit`: slow, obvious, and what every population member is held against.

It shares with the population only what both are given: initial weights, batch order and the rate of each step.
"""

from __future__ import annotations

import math
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
    batches = OrderedBatches(split.train_inputs, split.train_targets, order, problem.batch_size)
    rates = candidate.schedule.rates(problem.clock).astype(np.float32)
    history = model.fit(
        batches,
        epochs=problem.epochs,
        shuffle=False,
        validation_data=(split.validation_inputs, split.validation_targets),
        callbacks=[FollowPlan(batches, rates)],
        verbose=0,
    ).history
    losses, accuracy, held_loss, held_accuracy = (
        np.asarray(history[key], np.float32) for key in ("loss", "accuracy", "val_loss", "val_accuracy")
    )
    return FitResult(losses, accuracy, held_loss, held_accuracy, model.get_weights())


class OrderedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Minibatches in a given order for each epoch, `order` `[epochs, rows]`."""

    def __init__(self, inputs: Float32, targets: Int32, order: Int32, batch_size: int) -> None:
        super().__init__()
        self._inputs, self._targets = inputs, targets
        self._order, self._batch_size = order, batch_size
        self._epoch = 0

    def __len__(self) -> int:
        return math.ceil(int(self._order.shape[1]) / self._batch_size)

    def __getitem__(self, number: int) -> tuple[Float32, Int32]:
        start = number * self._batch_size
        rows = self._order[self._epoch, start : start + self._batch_size]
        return self._inputs[rows], self._targets[rows]

    def begin_epoch(self, epoch: int) -> None:
        """Take the order of this epoch; Keras' own `on_epoch_end` also comes before the first."""
        self._epoch = epoch


class FollowPlan(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Give every epoch its batch order, and every step its learning rate, `rates` `[epochs, steps_per_epoch]`."""

    def __init__(self, batches: OrderedBatches, rates: Float32) -> None:
        super().__init__()
        self._batches, self._rates = batches, rates
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Turn to the epoch's row of the table and its order of rows."""
        del logs
        self._epoch = epoch
        self._batches.begin_epoch(epoch)

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Set the rate before the step that uses it."""
        del logs
        self.model.optimizer.learning_rate = self._rates[self._epoch, batch]
