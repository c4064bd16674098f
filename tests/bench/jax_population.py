"""Competitor: one training as a pair of nested scans in JAX, mapped over members and compiled whole.

A setting is the number of members, with `each` behind it if every member has minibatches of its own; otherwise all
share those of one run seed. It keeps the validation curves only.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.bench.workload import Workload


class JaxPopulation:
    """Trains many members at once by `jit(vmap(scan))`."""

    settings = ("16", "64", "128", "256", "128 each")

    def __init__(self, workload: Workload, setting: str) -> None:
        count, _, kind = setting.partition(" ")
        self.workload, self.count, self.shared = workload, int(count), kind != "each"
        self.rates, self.momentum = (jnp.asarray(array) for array in workload.members(self.count))
        axes = (None, 0, 0, None) if self.shared else (0, 0, 0, 0)
        self._run = jax.jit(jax.vmap(make_training(workload), in_axes=axes))
        self._turn = 0

    def train(self, wanted: int) -> int:
        """Train one population, with the next run seeds; return how many of its trainings were wanted."""
        jax.block_until_ready(self._curves(self._turn))
        self._turn += 1
        return min(wanted, self.count)

    def check(self) -> tuple[list[float], list[float]]:
        """Return correct rows and log-loss of each member that was trained with run seed 0."""
        losses, correct = self._curves(0)
        step = 1 if self.shared else self.workload.seeds
        return np.asarray(correct)[::step, -1].tolist(), np.asarray(losses)[::step, -1].tolist()

    def _curves(self, turn: int) -> Any:
        work = self.workload
        seeds = turn % work.seeds if self.shared else np.arange(self.count) % work.seeds
        kernel, output = work.kernel[seeds], work.output[seeds]
        bias, shift = np.zeros_like(output), np.zeros_like(output[..., 0])
        return self._run((kernel, bias, output, shift), self.rates, self.momentum, work.orders[seeds])


def make_training(work: Workload) -> Any:
    """Return the function that trains one member: weights, rates, momentum and orders in, validation curves out.

    The last batch is filled up with rows that weigh nothing: that runs as fast as a step of its
    own, and compiles in less time.
    """
    inputs, targets = jnp.asarray(work.inputs), jnp.asarray(work.targets)
    held_inputs, held_targets = jnp.asarray(work.held_inputs), jnp.asarray(work.held_targets)
    rows, size, steps = len(work.targets), work.batch_size, len(work.batches)
    counted = (jnp.arange(steps * size) < rows).astype(jnp.float32).reshape(steps, size)

    def logits(weights: Any, inputs: Any) -> Any:
        kernel, bias, output, shift = weights
        return jax.nn.relu(inputs @ kernel + bias) @ output + shift

    def mean_loss(weights: Any, inputs: Any, wanted: Any, share: Any) -> Any:
        scores = logits(weights, inputs)
        losses = jnp.maximum(scores, 0) - scores * wanted + jnp.log1p(jnp.exp(-jnp.abs(scores)))
        return (losses * share).sum() / share.sum()

    def train(weights: Any, rates: Any, momentum: Any, orders: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            (weights, velocity), (places, share, rate) = state, batch
            gradient = jax.grad(mean_loss)(weights, inputs[places], targets[places], share)
            velocity = jax.tree.map(lambda moving, slope: momentum * moving - rate * slope, velocity, gradient)
            return (jax.tree.map(jnp.add, weights, velocity), velocity), None

        def epoch(state: Any, plan: Any) -> Any:
            order, rate = plan
            places = jnp.pad(order, (0, steps * size - rows)).reshape(steps, size)
            state, _ = jax.lax.scan(step, state, (places, counted, rate))
            right = (logits(state[0], held_inputs) > 0) == (held_targets > 0.5)
            return state, (mean_loss(state[0], held_inputs, held_targets, jnp.ones(len(held_targets))), right.sum())

        start = (weights, jax.tree.map(jnp.zeros_like, weights))
        return jax.lax.scan(epoch, start, (orders, rates))[1]

    return train
