"""All that a run seed decides: initial weights and batch order.

Drawn with NumPy, so that every trainer starts from the same numbers on every machine. Initial weights, batch
order and whatever follows use separate streams of one seed.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sweep.engines.spec import Architecture, Float32, Int32

WEIGHTS, ORDER = 0, 1


def initial_weights(architecture: Architecture, run_seed: int) -> list[Float32]:
    """Draw a dense network's weights as Keras would: Glorot-uniform kernels, zero biases.

    Returns kernel `[inputs, units]` and bias `[units]` of each layer in turn, as `Model.get_weights` does.
    """
    generator = np.random.default_rng((run_seed, WEIGHTS))
    sizes = (architecture.features, *architecture.hidden, architecture.task.outputs)
    weights: list[Float32] = []
    for inputs, units in pairwise(sizes):
        limit = np.sqrt(6 / (inputs + units))
        weights.append(generator.uniform(-limit, limit, (inputs, units)).astype(np.float32))
        weights.append(np.zeros(units, np.float32))
    return weights


def batch_order(rows: int, epochs: int, run_seed: int) -> Int32:
    """Draw the order in which each epoch visits the training rows, `[epochs, rows]`."""
    generator = np.random.default_rng((run_seed, ORDER))
    identity = np.tile(np.arange(rows, dtype=np.int32), (epochs, 1))
    return generator.permuted(identity, axis=1)
