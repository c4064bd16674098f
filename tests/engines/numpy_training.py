"""One training of a dense network in NumPy, slow and obvious: an oracle that shares nothing with TensorFlow."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from sweep.candidate import Candidate
from sweep.engines.spec import Float32, TrainingSpec, batch_orders, initial_weights

ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "relu": (lambda below: np.maximum(below, 0), lambda value: value > 0),
    "tanh": (np.tanh, lambda value: 1 - value * value),
}


class NumpyTraining:
    """A dense stack with SGD, Nesterov momentum among it, in single precision.

    Attributes:
        weights: kernel and bias of each layer in turn.
        curves: training loss, right training rows, validation loss, right validation rows; `[4, epochs]`.
    """

    def __init__(self, spec: TrainingSpec, candidate: Candidate, run_seed: int) -> None:
        self.spec, self.candidate = spec, candidate
        self.weights = initial_weights(spec.architecture, run_seed)
        self.velocity = [np.zeros_like(weight) for weight in self.weights]
        split, timeline = spec.split, spec.timeline
        rates = candidate.schedule.rates(timeline).astype(np.float32)
        momenta = candidate.schedule.momenta(timeline, candidate.momentum).astype(np.float32)
        inputs, targets = split.train_inputs, split.train_targets
        curves = []
        for epoch, order in enumerate(islice(batch_orders(split.train_rows, run_seed), spec.epochs)):
            loss, right = 0.0, 0
            for step, start in enumerate(range(0, len(order), spec.batch_size)):
                rows = order[start : start + spec.batch_size]
                found = self._step(inputs[rows], targets[rows], rates[epoch, step], momenta[epoch, step])
                loss, right = loss + found[0], right + found[1]
            held_loss, held_right = self._score(self._forward(split.validation_inputs)[-1], split.validation_targets)
            curves.append((loss / split.train_rows, right, held_loss / split.validation_rows, held_right))
        self.curves = np.array(curves).T

    def _forward(self, inputs: Float32) -> list[Float32]:
        """Return what each layer puts out, the inputs first and the logits last."""
        values = [inputs]
        for layer in range(0, len(self.weights), 2):
            below = values[-1] @ self.weights[layer] + self.weights[layer + 1]
            last = layer + 2 == len(self.weights)
            values.append(below if last else ACTIVATIONS[self.spec.architecture.activation][0](below))
        return values

    def _step(self, inputs: Float32, targets: Any, rate: np.float32, momentum: np.float32) -> tuple[float, int]:
        values = self._forward(inputs)
        delta = (self._probabilities(values[-1]) - self._wanted(targets)) / np.float32(len(inputs))
        score = self._score(values[-1], targets)
        gradients: list[Float32] = []
        for layer in reversed(range(len(values) - 1)):
            gradients[:0] = [values[layer].T @ delta, delta.sum(axis=0)]
            if layer:
                derivative = ACTIVATIONS[self.spec.architecture.activation][1](values[layer])
                delta = delta @ self.weights[2 * layer].T * derivative
        for place, gradient in enumerate(gradients):
            self.velocity[place] = momentum * self.velocity[place] - rate * gradient
            ahead = momentum * self.velocity[place] - rate * gradient
            self.weights[place] = self.weights[place] + (ahead if self.candidate.nesterov else self.velocity[place])
        return score

    def _wanted(self, targets: Any) -> Float32:
        outputs = self.spec.architecture.task.outputs
        wanted: Float32 = (targets[:, None] if outputs == 1 else np.eye(outputs)[targets]).astype(np.float32)
        return wanted

    def _probabilities(self, logits: Float32) -> Any:
        if logits.shape[1] == 1:
            return np.exp(-np.logaddexp(0, -logits))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def _score(self, logits: Float32, targets: Any) -> tuple[float, int]:
        """Return the summed cross-entropy and the number of right rows."""
        shares, rows = self._probabilities(logits), np.arange(len(targets))
        if logits.shape[1] == 1:
            losses = np.logaddexp(0, np.where(targets[:, None] == 1, -logits, logits))
            return float(losses.sum()), int(((shares[:, 0] > 0.5) == (targets == 1)).sum())
        return float(-np.log(shares[rows, targets]).sum()), int((logits.argmax(axis=1) == targets).sum())
