"""One compiled program that trains all members of a tile, epoch after epoch.

Everything that differs between members (rate, momentum, seed) is an array; everything fixed (architecture,
batch size, tile shape) is a Python value, so one program serves every tile of a study.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from sweep.training.hidden_layer import HiddenLayerNetwork
from sweep.training.losses import Gradient, score
from sweep.training.problem import Architecture, Curves, Float32, Int32, Problem, Tile
from sweep.training.randomness import batch_order


class Network(Protocol):
    """A forward pass and its gradient for all members of a tile; weights in a layout of its own."""

    def initial_weights(self, run_seeds: Sequence[int], candidates: int) -> list[tf.Tensor]:
        """Return the weights that each run seed starts from."""

    def initial_state(self, run_seeds: Sequence[int], candidates: int) -> list[tf.Tensor]:
        """Return the variables that the forward pass itself changes, such as moving averages."""

    def spread(self, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Shape one value for each candidate so that it multiplies `weight`."""

    def logits(self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Return logits `[seeds, outputs, rows, candidates]` for inputs `[seeds, rows, features]`."""

    def gradient(
        self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor
    ) -> Gradient:
        """Return the logits, the mean cross-entropy's gradient, and the state after the pass."""

    def keras_weights(
        self,
        weights: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        seed: int,
        candidate: int,
        candidates: int,
    ) -> list[Float32]:
        """Return one member's weights as `Model.get_weights` orders them."""


class Members(NamedTuple):
    """What a training moves: weights, their velocities, and the state of the forward pass."""

    weights: list[tf.Tensor]
    velocities: list[tf.Tensor]
    state: list[tf.Tensor]


class Rule(NamedTuple):
    """The optimizer's settings at one step, `[candidates]` each; `nesterov` is None if nobody may use it."""

    rate: tf.Tensor
    momentum: tf.Tensor
    nesterov: tf.Tensor | None


class Rows(NamedTuple):
    """Inputs `[..., rows, features]` and targets `[..., rows]`."""

    inputs: tf.Tensor
    targets: tf.Tensor


def network_for(architecture: Architecture) -> Network:
    """Return the fast network where one hidden layer is all there is, and the general one for the rest."""
    if architecture.build is None and len(architecture.hidden) == 1:
        return HiddenLayerNetwork(architecture)
    from sweep.training.mapped import MappedNetwork  # noqa: PLC0415 - it loads Keras, half a second

    return MappedNetwork(architecture)


class Population:
    """The compiled training of one problem; data go in as arguments, so re-splits compile nothing."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.network = network_for(problem.architecture)
        self._run = tf.function(self._epochs, jit_compile=True, autograph=False)

    @property
    def programs(self) -> int:
        """How many programs were compiled so far: one for each shape of tile."""
        return int(self._run.experimental_get_tracing_count())

    def train(self, tile: Tile) -> Curves:
        """Train every member of `tile` and return its curves."""
        return self.train_with_weights(tile)[0]

    def train_with_weights(self, tile: Tile) -> tuple[Curves, Members]:
        """Train every member of `tile`; return its curves and the members as they ended."""
        began = time.perf_counter()
        split, candidates = self.problem.split, len(tile.momentum)
        weights = self.network.initial_weights(tile.run_seeds, candidates)
        state = self.network.initial_state(tile.run_seeds, candidates)
        members, curves = self._run(
            Members(weights, [tf.zeros_like(weight) for weight in weights], state),
            Rule(
                tf.constant(np.moveaxis(tile.rates, 0, -1)),
                tf.constant(tile.momentum),
                tf.constant(tile.nesterov) if self.problem.nesterov else None,
            ),
            tf.constant(self._orders(tile)),
            Rows(tf.constant(split.train_inputs), tf.constant(split.train_targets)),
            Rows(tf.constant(split.validation_inputs), tf.constant(split.validation_targets)),
        )
        loss, correct, held_loss, held_correct = (curve.numpy().transpose(2, 1, 0) for curve in curves)
        seconds = time.perf_counter() - began
        return Curves(loss, correct, held_loss, held_correct, seconds), members

    def _orders(self, tile: Tile) -> Int32:
        rows, epochs = len(self.problem.split.train_targets), self.problem.epochs
        return np.stack([batch_order(rows, epochs, seed) for seed in tile.run_seeds], axis=1)

    def _epochs(
        self, members: Members, rule: Rule, orders: tf.Tensor, training: Rows, held: Rows
    ) -> tuple[Members, list[tf.Tensor]]:
        """Train through `rule.rate` `[epochs, steps, candidates]`; return curves `[epochs, seeds, candidates]`."""
        epochs, seeds, rows = orders.shape
        held = Rows(tf.broadcast_to(held.inputs[None], (seeds, *held.inputs.shape)), held.targets[None])
        kinds = (tf.float32, tf.int32, tf.float32, tf.int32)
        shape = (seeds, rule.momentum.shape[0])
        histories = [tf.TensorArray(kind, epochs, element_shape=shape) for kind in kinds]

        def epoch(number: tf.Tensor, members: Members, histories: list[tf.TensorArray]) -> tuple[Any, ...]:
            order = orders[number]
            shuffled = Rows(tf.gather(training.inputs, order), tf.gather(training.targets, order))
            members, loss, correct = self._epoch(members, rule._replace(rate=rule.rate[number]), shuffled)
            held_loss, held_correct = score(
                self.network.logits(members.weights, members.state, held.inputs), held.targets
            )
            shown = (loss / rows, correct, held_loss / held.targets.shape[1], held_correct)
            written = [history.write(number, value) for history, value in zip(histories, shown, strict=True)]
            return number + 1, members, written

        _, members, histories = tf.while_loop(lambda number, *_: number < epochs, epoch, (0, members, histories))
        return members, [history.stack() for history in histories]

    def _epoch(self, members: Members, rule: Rule, shuffled: Rows) -> tuple[Members, tf.Tensor, tf.Tensor]:
        """Train through `rule.rate` `[steps, candidates]`; return summed loss and right rows of the epoch."""
        size, (seeds, rows) = self.problem.batch_size, shuffled.targets.shape
        full, shape = rows // size, (seeds, rule.momentum.shape[0])

        def step(number: tf.Tensor, members: Members, loss: tf.Tensor, correct: tf.Tensor, batch: Rows) -> Any:
            members, logits = self._step(members, rule._replace(rate=rule.rate[number]), batch)
            more_loss, more_correct = score(logits, batch.targets)
            return number + 1, members, loss + more_loss, correct + more_correct

        carried = (0, members, tf.zeros(shape), tf.zeros(shape, tf.int32))
        if full:
            batches = Rows(*(_batches(array, full, size) for array in shuffled))

            def full_step(number: tf.Tensor, members: Members, loss: tf.Tensor, correct: tf.Tensor) -> Any:
                batch = Rows(batches.inputs[number], batches.targets[number])
                return step(number, members, loss, correct, batch)

            carried = tf.while_loop(lambda number, *_: number < full, full_step, carried)
        if rows % size:
            rest = Rows(*(array[:, full * size :] for array in shuffled))
            carried = step(full, carried[1], carried[2], carried[3], rest)
        return carried[1], carried[2], carried[3]

    def _step(self, members: Members, rule: Rule, batch: Rows) -> tuple[Members, tf.Tensor]:
        """Do one step of SGD with momentum, as `keras.optimizers.SGD` writes it."""
        logits, gradients, state = self.network.gradient(members.weights, members.state, *batch)
        weights, velocities = [], []
        for weight, velocity, gradient in zip(members.weights, members.velocities, gradients, strict=True):
            moved, faster = self._update(rule, weight, velocity, gradient)
            weights.append(moved)
            velocities.append(faster)
        return Members(weights, velocities, state), logits

    def _update(
        self, rule: Rule, weight: tf.Tensor, velocity: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rate, momentum = self.network.spread(rule.rate, weight), self.network.spread(rule.momentum, weight)
        velocity = momentum * velocity - rate * gradient
        if rule.nesterov is None:
            return weight + velocity, velocity
        ahead = momentum * velocity - rate * gradient
        return weight + tf.where(self.network.spread(rule.nesterov, weight), ahead, velocity), velocity


def _batches(array: tf.Tensor, full: int, size: int) -> tf.Tensor:
    """Cut `[seeds, rows, ...]` into `[batches, seeds, size, ...]`, leaving the rest out."""
    seeds, tail = array.shape[0], array.shape[2:]
    cut = tf.reshape(array[:, : full * size], (seeds, full, size, *tail))
    return tf.transpose(cut, (1, 0, 2, *range(3, 3 + len(tail))))
