"""The network with one hidden layer, for whole populations: forward pass and gradient written out for speed.

Layout: kernels `[seeds, units, inputs, candidates]`, activations `[seeds, units, rows, candidates]`. Candidates
come last, so that every elementwise loop runs over contiguous members; members of one seed share their
minibatches, so the first layer is one matrix product per seed and unit. The backward pass is written by hand
because XLA fuses it into fewer passes over memory than the gradient tape's: 1.7 times as many trainings a second
(tests/bench/README.md). Deeper networks gain nothing from this layout and go through `sweep.engines.keras_population`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import tensorflow as tf

from sweep.engines.spec import Architecture, Block, Float32, initial_weights
from sweep.engines.updates import Gradient, wanted, weighted

# Each activation, and its derivative as a function of the activation's own value.
ACTIVATIONS: dict[str, tuple[Callable[[tf.Tensor], tf.Tensor], Callable[[tf.Tensor], tf.Tensor]]] = {
    "relu": (tf.nn.relu, lambda value: tf.cast(value > 0, value.dtype)),
    "tanh": (tf.math.tanh, lambda value: 1 - value * value),
    "sigmoid": (tf.math.sigmoid, lambda value: value * (1 - value)),
}

BY_NUMPY: dict[str, Callable[[Float32], Any]] = {
    "relu": lambda below: np.maximum(below, 0),
    "tanh": np.tanh,
    "sigmoid": lambda below: 1 / (1 + np.exp(-below)),
}
PREDICTED_BYTES = 8 * 2**20  # of hidden activations at once


@dataclass(frozen=True)
class HiddenLayerNetwork:
    """Dense, activation, dense, and sigmoid, softmax or nothing, for all members of a batch at once."""

    architecture: Architecture
    class_weights: tuple[float, ...] = ()

    def initial(self, run_seeds: Sequence[int], candidates: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Return kernels and biases in this module's layout, equal for all candidates of a seed, and no state."""
        drawn = [initial_weights(self.architecture, seed) for seed in run_seeds]
        stacked = [np.stack([array.T for array in layer]) for layer in zip(*drawn, strict=True)]
        return [tf.constant(np.repeat(array[..., None], candidates, axis=-1)) for array in stacked], []

    @property
    def layers(self) -> tuple[str, ...]:
        """The name of each weight's layer."""
        hidden, output = self.architecture.layers
        return (hidden, hidden, output, output)

    def spread(self, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Shape `[1 or seeds, candidates]` so that it multiplies `weight`."""
        seeds, candidates = values.shape
        return tf.reshape(values, (seeds, *[1] * (len(weight.shape) - 2), candidates))

    def logits(self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Return the logits for `inputs` `[seeds, rows, features]`: `[seeds, outputs, rows, candidates]`."""
        del state
        return self._forward(weights, inputs)[1]

    def gradient(
        self,
        weights: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        inputs: tf.Tensor,
        targets: tf.Tensor,
        row_weights: tf.Tensor | None = None,
    ) -> Gradient:
        """Return the logits and the mean loss' gradient, for `targets` and weights of the rows `[seeds, rows]`."""
        hidden, logits = self._forward(weights, inputs)
        if targets.dtype.is_floating:
            delta = 2 * (logits - wanted(logits, targets)) / logits.shape[2]
            delta = weighted(delta, targets, (), row_weights)
        else:
            probabilities = tf.sigmoid(logits) if logits.shape[1] == 1 else tf.nn.softmax(logits, axis=1)
            delta = (probabilities - wanted(logits, targets)) / logits.shape[2]
            delta = weighted(delta, targets, self.class_weights, row_weights)
        kernel = _sum_rows(delta[:, :, None] * hidden[:, None], axis=3)
        derivative = ACTIVATIONS[self.architecture.activation][1]
        # A matrix product over so few outputs is slower than the sum written out.
        outputs = range(weights[2].shape[1])
        below = reduce(add, [weights[2][:, output, :, None] * delta[:, output, None] for output in outputs])
        below *= derivative(hidden)
        first = _share_inputs(tf.linalg.matrix_transpose(inputs), below)
        gradients = [first, _sum_rows(below, axis=2), kernel, _sum_rows(delta, axis=2)]
        return Gradient(logits, gradients, list(state))

    def predict(
        self,
        weights: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        inputs: Float32,
        block: Block,
    ) -> Float32:
        """Return the logits of some members for `inputs` `[rows, features]`: `[seeds, candidates, rows, outputs]`.

        NumPy computes it, so that nothing is compiled for it.
        """
        del state
        chosen = slice(block.candidates.start, block.candidates.stop)
        first, first_bias, second, second_bias = (weight.numpy()[..., chosen] for weight in weights)
        units, features, members = first.shape[1:]
        chunk = max(1, PREDICTED_BYTES // (4 * units * members))
        found = np.empty((len(block.seeds), members, len(inputs), second.shape[1]), np.float32)
        for place, seed in enumerate(block.seeds):
            kernel = np.ascontiguousarray(first[seed].transpose(1, 2, 0)).reshape(features, members * units)
            bias, above = first_bias[seed].T.reshape(-1), second[seed].transpose(2, 1, 0)
            for start in range(0, len(inputs), chunk):
                below = inputs[start : start + chunk] @ kernel
                below += bias
                hidden = BY_NUMPY[self.architecture.activation](below).reshape(-1, members, units)
                found[place, :, start : start + chunk] = hidden.transpose(1, 0, 2) @ above
            found[place] += second_bias[seed].T[:, None]
        return found

    def _forward(self, weights: Sequence[tf.Tensor], inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the hidden layer's activations and the logits."""
        activation = ACTIVATIONS[self.architecture.activation][0]
        hidden = activation(_share_inputs(inputs, weights[0]) + weights[1][:, :, None])
        logits = tf.reduce_sum(weights[2][:, :, :, None] * hidden[:, None], axis=2) + weights[3][:, :, None]
        return hidden, logits


def _share_inputs(inputs: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Multiply `[seeds, rows, inner]` by `[seeds, units, inner, candidates]`, over `inner`."""
    seeds, units = values.shape[0], values.shape[1]
    return tf.matmul(tf.broadcast_to(inputs[:, None], (seeds, units, *inputs.shape[1:])), values)


def _sum_rows(values: tf.Tensor, axis: int) -> tf.Tensor:
    """Sum over a minibatch's rows: written out when they are few, which XLA turns into vector code."""
    if values.shape[axis] > 64:
        return tf.reduce_sum(values, axis=axis)
    return reduce(add, tf.unstack(values, axis=axis))
