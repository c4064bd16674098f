"""Competitor: a batched NumPy trainer with a hand-written backward pass, all members in one wide matrix product.

Members share the minibatches of one run seed. It keeps the validation curves only; ours also keeps the training
loss and the training rows classified right.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.bench.workload import Float32, Workload


class Weights(NamedTuple):
    """Weights of all members: hidden layers side by side `[features, members * units]`, the rest member by member."""

    kernel: Float32
    bias: Float32
    output: Float32
    shift: Float32


class NumpyPopulation:
    """Trains `members` candidates at once on the batches of one run seed."""

    settings = ("32", "64", "128", "256")

    def __init__(self, workload: Workload, setting: str) -> None:
        self.workload, self.count = workload, int(setting)
        self.units = workload.output.shape[1]
        rates, momentum = workload.members(self.count)
        self.rates = np.ascontiguousarray(rates.transpose(1, 2, 0))
        self.momentum, self.wide_momentum = momentum, np.repeat(momentum, self.units)
        self._turn = 0

    def train(self, wanted: int) -> int:
        """Train one population, with the next run seed; return how many of its trainings were wanted."""
        self.curves(self._turn % self.workload.seeds)
        self._turn += 1
        return min(wanted, self.count)

    def check(self) -> tuple[list[float], list[float]]:
        """Return correct rows and log-loss of each member after training with run seed 0."""
        losses, correct = self.curves(0)
        return correct[-1].tolist(), losses[-1].tolist()

    def curves(self, seed: int) -> tuple[Float32, Float32]:
        """Return validation loss and rows classified right, `[epochs, members]` each."""
        work = self.workload
        weights, losses, correct = self._initial(seed), [], []
        velocity = Weights(*(np.zeros_like(weight) for weight in weights))
        with np.errstate(over="ignore", invalid="ignore"):
            for order, rates in zip(work.orders[seed], self.rates, strict=True):
                for place, rate in zip(work.batches, rates, strict=True):
                    rows = order[place]
                    self._step(weights, velocity, work.inputs[rows], work.targets[rows, None], rate)
                loss, right = self._score(weights)
                losses.append(loss)
                correct.append(right)
        return np.stack(losses), np.stack(correct)

    def _initial(self, seed: int) -> Weights:
        kernel, output = self.workload.kernel[seed], self.workload.output[seed]
        return Weights(
            np.tile(kernel, self.count),
            np.zeros(self.count * self.units, np.float32),
            np.tile(output, (self.count, 1)),
            np.zeros(self.count, np.float32),
        )

    def _hidden(self, weights: Weights, inputs: Float32) -> Float32:
        hidden = inputs @ weights.kernel
        hidden += weights.bias
        np.maximum(hidden, 0, out=hidden)
        return hidden.reshape(len(inputs), self.count, self.units)

    def _logits(self, weights: Weights, hidden: Float32) -> Float32:
        logits: Float32 = np.einsum("nmh,mh->nm", hidden, weights.output) + weights.shift
        return logits

    def _step(self, weights: Weights, velocity: Weights, inputs: Float32, targets: Float32, rate: Float32) -> None:
        """Do one step of SGD with momentum, in place; `rate` is `[members]`."""
        hidden = self._hidden(weights, inputs)
        delta: Any = (1 / (1 + np.exp(-self._logits(weights, hidden))) - targets) / np.float32(len(inputs))
        output = np.einsum("nm,nmh->mh", delta, hidden)
        below = delta[:, :, None] * weights.output
        below *= hidden > 0
        below = below.reshape(len(inputs), -1)
        gradients = Weights(inputs.T @ below, below.sum(axis=0), output, delta.sum(axis=0))
        wide = np.repeat(rate, self.units)
        rates = Weights(wide, wide, rate[:, None], rate)
        momenta = Weights(self.wide_momentum, self.wide_momentum, self.momentum[:, None], self.momentum)
        for arrays in zip(weights, velocity, gradients, rates, momenta, strict=True):
            _update(*arrays)

    def _score(self, weights: Weights) -> tuple[Float32, Float32]:
        work = self.workload
        logits, targets = self._logits(weights, self._hidden(weights, work.held_inputs)), work.held_targets[:, None]
        losses = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
        return losses.mean(axis=0), ((logits > 0) == (targets > 0.5)).sum(axis=0)


def _update(weight: Float32, velocity: Float32, gradient: Float32, rate: Float32, momentum: Float32) -> None:
    """Move one weight of all members, in place and without new arrays."""
    velocity *= momentum
    gradient *= rate
    velocity -= gradient
    weight += velocity
