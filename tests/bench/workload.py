"""The arrays that every competitor trains on, read from one file: it loads nothing of ours.

So a hand-written trainer's start-up is its own, and all train the same rows, rates, weights and batch orders.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class Workload:
    """Data, settings and randomness of a population.

    Attributes:
        inputs: training rows, `[rows, features]`.
        targets: their classes, 0 or 1, `[rows]`.
        held_inputs: validation rows, `[held, features]`.
        held_targets: their classes, `[held]`.
        rates: learning rates, `[candidates, epochs, steps]`.
        momentum: one for each candidate, `[candidates]`.
        kernel: initial weights of the hidden layer by run seed, `[seeds, features, units]`; biases begin at 0.
        output: initial weights of the last layer, `[seeds, units]`.
        orders: order of the training rows, `[seeds, epochs, rows]`.
        batch_size: rows of a full batch.
    """

    inputs: Float32
    targets: Float32
    held_inputs: Float32
    held_targets: Float32
    rates: Float32
    momentum: Float32
    kernel: Float32
    output: Float32
    orders: Int32
    batch_size: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        return cls(**{**found, "batch_size": int(found["batch_size"])})

    def save(self, path: Path) -> None:
        """Write all arrays into one file."""
        np.savez(path, **asdict(self))

    @property
    def seeds(self) -> int:
        """How many run seeds there are."""
        return len(self.orders)

    @property
    def batches(self) -> list[slice]:
        """The places of each batch in an epoch's order; the last batch may be smaller."""
        rows, size = len(self.targets), self.batch_size
        return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]

    def members(self, count: int) -> tuple[Float32, Float32]:
        """Return rates `[count, epochs, steps]` and momentum `[count]`, going round the candidates."""
        places = np.arange(count) % len(self.momentum)
        return self.rates[places], self.momentum[places]

    @property
    def operations(self) -> int:
        """Floating-point operations in the matrix products of one training.

        Forward pass, weight gradients and the gradient below the last layer for each training row, and the
        forward pass for each validation row, in every epoch.
        """
        (_, features, units), epochs = map(int, self.kernel.shape), int(self.orders.shape[1])
        forward = 2 * (features * units + units)
        return epochs * (len(self.targets) * (2 * forward + 2 * units) + len(self.held_targets) * forward)
