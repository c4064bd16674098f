"""What a network may be scored by: each metric on the predictions of many networks at once.

Definitions are scikit-learn's. Classes of a metric that is averaged over classes count equally; a class without a
validation row is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Predictions: TypeAlias = NDArray[np.floating[Any]]
Targets: TypeAlias = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
Scores: TypeAlias = NDArray[np.float64]

SMALLEST_SHARE = 1e-7  # as Keras clips a probability before its logarithm


@dataclass(frozen=True)
class Metric:
    """One way to score predictions.

    Attributes:
        name: as a study file has it.
        title: as a page has it.
        rises: whether higher is better.
        unit: what a difference of two scores is said in; empty for a pure number.
        score: from predictions `[networks, rows, outputs]` and targets `[rows]` to one score for each network:
            outputs are one probability for each class, or one number.
    """

    name: str
    title: str
    rises: bool
    unit: str
    score: Callable[[Predictions, Targets], Scores]


def _right(shares: Predictions, targets: Targets) -> NDArray[np.bool_]:
    return np.asarray(shares.argmax(axis=2) == targets)


def accuracy(shares: Predictions, targets: Targets) -> Scores:
    """Return the share of rows whose likeliest class is right."""
    return np.asarray(_right(shares, targets).mean(axis=1))


def balanced_accuracy(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean over classes of the share of their rows that is recognised."""
    right = _right(shares, targets)
    return np.asarray(np.mean([right[:, targets == one].mean(axis=1) for one in np.unique(targets)], axis=0))


def f1(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean over classes of F1, the harmonic mean of precision and recall."""
    found = shares.argmax(axis=2)
    scores = []
    for one in range(shares.shape[2]):
        taken, real = found == one, targets == one
        if not real.any() and not taken.any():
            continue
        hits, total = (taken & real).sum(axis=1), taken.sum(axis=1) + real.sum()
        scores.append(np.divide(2 * hits, total, out=np.zeros(len(found)), where=total > 0))
    return np.asarray(np.mean(scores, axis=0))


def auc(shares: Predictions, targets: Targets) -> Scores:
    """Return the area under the ROC curve; with more than 2 classes the mean of each against the rest."""
    return _mean_over_classes(_area, shares, targets)


def average_precision(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean precision over the recalls; with more than 2 classes the mean of each against the rest."""
    return _mean_over_classes(_average_precision, shares, targets)


def _mean_over_classes(
    score: Callable[[Predictions, NDArray[np.bool_]], Scores], shares: Predictions, targets: Targets
) -> Scores:
    """Score the second of two classes, or each of several against the rest."""
    ones = range(1, 2) if shares.shape[2] == 2 else range(shares.shape[2])
    present = [one for one in ones if 0 < (targets == one).sum() < len(targets)]
    if not present:
        return np.full(len(shares), np.nan)
    return np.asarray(np.mean([score(shares[:, :, one], np.asarray(targets == one)) for one in present], axis=0))


def _area(scores: Predictions, real: NDArray[np.bool_]) -> Scores:
    """Return the share of pairs of a positive and a negative row that are in order; equal scores count half."""
    positive, negative = real.sum(), (~real).sum()
    ranks = pd.DataFrame(scores.T).rank().to_numpy().T
    return np.asarray((ranks[:, real].sum(axis=1) - positive * (positive + 1) / 2) / (positive * negative))


def _average_precision(scores: Predictions, real: NDArray[np.bool_]) -> Scores:
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.cumsum(real[order], axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    last = np.append(np.diff(ranked, axis=1) != 0, np.ones((len(scores), 1), bool), axis=1)  # of equal scores
    precision = hits / np.arange(1, scores.shape[1] + 1)
    found = []
    for place in range(len(scores)):
        ends = np.flatnonzero(last[place])
        found.append(np.sum(precision[place, ends] * np.diff(hits[place, ends], prepend=0)) / real.sum())
    return np.array(found)


def log_loss(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean of minus the logarithm of the probability of the right class."""
    given = np.take_along_axis(shares, np.broadcast_to(targets[None, :, None], (*shares.shape[:2], 1)), axis=2)[..., 0]
    return np.asarray(-np.log(np.clip(given.astype(np.float64), SMALLEST_SHARE, 1)).mean(axis=1))


def brier(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean squared error of the probabilities, of one class of two, or summed over more."""
    real = np.eye(shares.shape[2])[targets]
    squares = ((shares - real) ** 2).sum(axis=2).mean(axis=1)
    return np.asarray(squares / 2 if shares.shape[2] == 2 else squares, np.float64)


def rmse(numbers: Predictions, targets: Targets) -> Scores:
    """Return the root of the mean squared error."""
    return np.asarray(np.sqrt(((numbers[..., 0] - targets) ** 2).mean(axis=1)))


def mae(numbers: Predictions, targets: Targets) -> Scores:
    """Return the mean absolute error."""
    return np.asarray(np.abs(numbers[..., 0] - targets).mean(axis=1))


def r2(numbers: Predictions, targets: Targets) -> Scores:
    """Return the share of the variance that is explained; 0 for predicting the mean, below it if worse."""
    squares = ((numbers[..., 0] - targets) ** 2).sum(axis=1)
    return np.asarray(1 - squares / ((targets - targets.mean()) ** 2).sum())


FOR_CLASSES = (
    Metric("accuracy", "accuracy", True, "rows", accuracy),
    Metric("balanced_accuracy", "balanced accuracy", True, "points", balanced_accuracy),
    Metric("auc", "area under the ROC curve", True, "", auc),
    Metric("average_precision", "average precision", True, "", average_precision),
    Metric("f1", "F1, the mean over classes", True, "", f1),
    Metric("log_loss", "log-loss", False, "", log_loss),
    Metric("brier", "Brier score", False, "", brier),
)
FOR_NUMBERS = (
    Metric("rmse", "root mean squared error", False, "of the target", rmse),
    Metric("mae", "mean absolute error", False, "of the target", mae),
    Metric("r2", "R2", True, "", r2),
)
METRICS = {metric.name: metric for metric in (*FOR_CLASSES, *FOR_NUMBERS)}
