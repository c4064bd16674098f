"""Not a competitor but the limit: how many trainings a second if one were nothing but fast matrix products."""

from __future__ import annotations

import numpy as np

from tests.bench.workload import Workload

SIZE = 2048


class MatrixProduct:
    """Multiplies large float32 matrices and counts them in trainings' worth of operations."""

    settings = (str(SIZE),)

    def __init__(self, workload: Workload, setting: str) -> None:
        generator, size = np.random.default_rng(0), int(setting)
        self.left, self.right = (generator.random((size, size), np.float32) for _ in range(2))
        self.result = np.empty_like(self.left)
        self.worth = 2 * size**3 / workload.operations

    def train(self, wanted: int) -> float:
        """Multiply once; return how many trainings have as many operations."""
        np.matmul(self.left, self.right, out=self.result)
        return min(wanted, self.worth)
