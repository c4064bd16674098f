"""What a network is trained for: its last layer, its loss, and how a run is scored.

Classification is the only task so far. Regression and several labels for each row are to come; engines and executors
ask a task rather than count classes themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


@dataclass(frozen=True)
class Task:
    """A task, by the names that Keras has for its parts.

    Attributes:
        outputs: units of the last layer.
        activation: what the last layer ends in.
        loss: what is minimised; it ranks runs whose scores are equal.
        score: what is reported; higher is better.
        unit: what the score is a share of.
    """

    outputs: int
    activation: str
    loss: str
    score: str
    unit: str

    def value(self, right: Number, count: int) -> Number:
        """Return the score of `right` out of `count` units."""
        return right / count


def classification(classes: int) -> Task:
    """Return the task of one class for each row: two share one sigmoid unit, more have one softmax unit each.

    >>> classification(2).loss, classification(3).outputs
    ('binary_crossentropy', 3)
    """
    if classes == 2:
        return Task(1, "sigmoid", "binary_crossentropy", "accuracy", "rows")
    return Task(classes, "softmax", "sparse_categorical_crossentropy", "accuracy", "rows")
