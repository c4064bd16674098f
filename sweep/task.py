"""What a network is trained for, and what it may be scored by: each metric on the predictions of many networks at once.

Definitions are scikit-learn's. Classes of a metric that is averaged over classes count equally; a class without a
validation row is left out.

Labels are several a row, each 0 or 1, targets `[rows, labels]`. A row is right if all its labels are, by a probability
above a half. F1, the areas, log-loss and the Brier score are means over the labels, which count equally; an area leaves
out a label that all validation rows have, or none. Several numbers are targets `[rows, numbers]`; their scores are the
plain mean of each number's.

A model of several outputs, its heads, has one score: its own compiled loss on the validation rows, as Keras' `evaluate`
reports it, with its loss weights and all that layers and regularizers add. Models of one output may be ranked by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

TaskName: TypeAlias = Literal["classes", "labels", "numbers", "heads"]
MetricName: TypeAlias = Literal[
    "accuracy", "balanced_accuracy", "auc", "average_precision", "f1", "log_loss", "brier", "rmse", "mae", "r2", "loss"
]
Predictions: TypeAlias = NDArray[np.floating[Any]]
Targets: TypeAlias = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
Scores: TypeAlias = NDArray[np.float64]

SMALLEST_SHARE = 1e-7  # as Keras clips a probability before its logarithm
LIKELY = 0.5  # a probability above it says that a row has a label


OF_THE_TARGET = "of the target"
NO_SCORE = 1e30  # how bad a trial is of which no run has a score, by a metric without a worst score


@dataclass(frozen=True)
class Metric:
    """One way to score predictions.

    Attributes:
        name: as a study file has it.
        title: as a page has it.
        rises: whether higher is better.
        unit: what a difference of two scores is said in; empty for a pure number.
        score: from predictions `[networks, rows, outputs]` and targets `[rows]`, or `[rows, outputs]` of several labels
            or numbers, to one score for each network: outputs are one probability for each class or label, or numbers.
            It is NaN where predictions do not tell it.
        tasks: what the networks may be trained for.
        worst: the score of a run that diverged; None if there is no worst score.
    """

    name: MetricName
    title: str
    rises: bool
    unit: str
    score: Callable[[Predictions, Targets], Scores]
    tasks: tuple[TaskName, ...] = ("classes", "labels")
    worst: float | None = None

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """What a search does with it, by Optuna's names."""
        return "maximize" if self.rises else "minimize"

    @property
    def of_numbers(self) -> bool:
        """Whether it scores numbers of any size, and no row is right or wrong by it."""
        return "numbers" in self.tasks

    @property
    def tie_breaker(self) -> MetricName:
        """The metric that follows the training loss: it ranks those whose scores are equal."""
        if self.name == "loss":
            return "loss"
        return "rmse" if self.of_numbers else "log_loss"

    def gains(self, scores: ArrayLike) -> Scores:
        """Return `scores`, `[candidates, runs]`, NaN where a run diverged, such that higher is better; all are finite.

        A run that diverged has the worst score. If there is none, a candidate with such a run is taken to be worse in
        all its runs than anybody else in any.
        """
        table = np.asarray(scores, np.float64) * (1 if self.rises else -1)
        finite = np.isfinite(table)
        if self.worst is not None:
            return np.where(finite, table, self.worst)
        known = table[finite] if finite.any() else np.zeros(1)
        return np.where(finite.all(axis=1, keepdims=True), table, known.min() - max(1.0, np.ptp(known)))

    def mean(self, scores: ArrayLike) -> float:
        """Return the mean of `scores`, `[runs]`, NaN where a run diverged; always finite.

        A run that diverged counts as the worst score, or, if there is none, not at all. If no run is left, the mean is
        `NO_SCORE`, or its negative if higher is better.
        """
        table = np.asarray(scores, np.float64)
        finite = np.isfinite(table)
        if self.worst is not None:
            return float(np.where(finite, table, self.worst).mean())
        return float(table[finite].mean()) if finite.any() else (-NO_SCORE if self.rises else NO_SCORE)


def right_rows(shares: Predictions, targets: Targets) -> NDArray[np.bool_]:
    """Return which rows are right, `[networks, rows]`: the likeliest class is the target, or all labels are."""
    if targets.ndim == 2:
        return np.asarray(((shares > LIKELY) == (targets > LIKELY)).all(axis=2))
    return np.asarray(shares.argmax(axis=2) == targets)


def accuracy(shares: Predictions, targets: Targets) -> Scores:
    """Return the share of rows whose likeliest class is right, or all of whose labels are (subset accuracy)."""
    return np.asarray(right_rows(shares, targets).mean(axis=1))


def balanced_accuracy(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean over classes of the share of their rows that is recognised."""
    right = right_rows(shares, targets)
    return np.asarray(np.mean([right[:, targets == one].mean(axis=1) for one in np.unique(targets)], axis=0))


def f1(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean over classes, or labels, of F1, the harmonic mean of precision and recall.

    It is 0 for a label that no row has and no network gives.
    """
    of_labels = targets.ndim == 2
    found = shares > LIKELY if of_labels else shares.argmax(axis=2)
    scores = []
    for one in range(shares.shape[2]):
        taken, real = (found[..., one] if of_labels else found == one), _is_one(targets, one)
        if not of_labels and not real.any() and not taken.any():
            continue
        hits, total = (taken & real).sum(axis=1), taken.sum(axis=1) + real.sum()
        scores.append(np.divide(2 * hits, total, out=np.zeros(len(found)), where=total > 0))
    return np.asarray(np.mean(scores, axis=0))


def auc(shares: Predictions, targets: Targets) -> Scores:
    """Return the area under the ROC curve; with more than 2 classes, or labels, the mean of each against the rest."""
    return _mean_over_classes(_area, shares, targets)


def average_precision(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean precision over the recalls: of the rarer of 2 classes; of more, or labels, the mean of each."""
    return _mean_over_classes(_average_precision, shares, targets)


def _mean_over_classes(
    score: Callable[[Predictions, NDArray[np.bool_]], Scores], shares: Predictions, targets: Targets
) -> Scores:
    """Score the rarer of two classes, the second of equals, or each of several, or of labels, against the rest."""
    ones = range(shares.shape[2])
    if targets.ndim == 1 and shares.shape[2] == 2:
        rarer = int(2 * np.count_nonzero(targets == 1) <= len(targets))
        ones = range(rarer, rarer + 1)
    present = [one for one in ones if 0 < _is_one(targets, one).sum() < len(targets)]
    if not present:
        return np.full(len(shares), np.nan)
    return np.asarray(np.mean([score(shares[:, :, one], _is_one(targets, one)) for one in present], axis=0))


def _is_one(targets: Targets, one: int) -> NDArray[np.bool_]:
    """Return which rows have a class, or a label."""
    return np.asarray(targets[:, one] == 1 if targets.ndim == 2 else targets == one)


def _area(scores: Predictions, real: NDArray[np.bool_]) -> Scores:
    """Return the share of pairs of a positive and a negative row that are in order; equal scores count half."""
    hits, ends, found = _ranking(scores, real)
    positive, negative = int(real.sum()), int((~real).sum())
    won = ((negative - (ends + 1 - found)) * hits).sum(axis=1)
    lost = ((positive - found) * ~hits).sum(axis=1)
    return np.asarray(0.5 + (won - lost) / (2 * positive * negative))


def _average_precision(scores: Predictions, real: NDArray[np.bool_]) -> Scores:
    """Return the mean over the positive rows of the precision among the rows that score as high or higher."""
    hits, ends, found = _ranking(scores, real)
    return np.asarray((found / (ends + 1) * hits).sum(axis=1) / real.sum())


def _ranking(scores: Predictions, real: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return, of the rows from the highest score on, `[networks, rows]`, three things.

    They are whether a row is positive, the place of the last row with its score, and how many are positive up to there.
    """
    rows = scores.shape[1]
    order = np.argsort(scores, axis=1)[:, ::-1]
    hits, ranked = real[order], scores.ravel()[order + rows * np.arange(len(scores))[:, None]]
    found = np.cumsum(hits, axis=1)
    last = np.append(ranked[:, 1:] != ranked[:, :-1], np.ones((len(scores), 1), bool), axis=1)
    if last.all():  # usually, and it saves half the time
        return hits, np.broadcast_to(np.arange(rows), hits.shape), found
    ends = np.minimum.accumulate(np.where(last, np.arange(rows), rows)[:, ::-1], axis=1)[:, ::-1]
    return hits, ends, np.take_along_axis(found, ends, axis=1)


def log_loss(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean of minus the logarithm of the probability of the right class, or of each label as it is."""
    if targets.ndim == 2:
        of_right = np.where(targets > LIKELY, shares, 1 - shares).astype(np.float64)
        return np.asarray(-np.log(np.clip(of_right, SMALLEST_SHARE, 1)).mean(axis=(1, 2)))
    given = np.take_along_axis(shares, np.broadcast_to(targets[None, :, None], (*shares.shape[:2], 1)), axis=2)[..., 0]
    return np.asarray(-np.log(np.clip(given.astype(np.float64), SMALLEST_SHARE, 1)).mean(axis=1))


def brier(shares: Predictions, targets: Targets) -> Scores:
    """Return the mean squared error of the probabilities: of one class of two, summed over more, or of labels."""
    if targets.ndim == 2:
        return np.asarray(((shares - targets) ** 2).mean(axis=(1, 2)), np.float64)
    if shares.shape[2] == 2:
        return np.asarray(((shares[..., 1] - targets) ** 2).mean(axis=1), np.float64)
    real = np.eye(shares.shape[2], dtype=shares.dtype)[targets]
    return np.asarray(((shares - real) ** 2).sum(axis=2).mean(axis=1), np.float64)


def rmse(numbers: Predictions, targets: Targets) -> Scores:
    """Return the root of the mean squared error."""
    return _mean_over_numbers(lambda given, wanted: np.sqrt(((given - wanted) ** 2).mean(axis=1)), numbers, targets)


def mae(numbers: Predictions, targets: Targets) -> Scores:
    """Return the mean absolute error."""
    return _mean_over_numbers(lambda given, wanted: np.abs(given - wanted).mean(axis=1), numbers, targets)


def r2(numbers: Predictions, targets: Targets) -> Scores:
    """Return the share of the variance that is explained; 0 for predicting the mean, below it if worse."""

    def of_one(given: Predictions, wanted: Targets) -> Scores:
        squares = ((given - wanted) ** 2).sum(axis=1)
        total = ((wanted - wanted.mean()) ** 2).sum()
        return np.asarray(1 - squares / total if total else np.full(len(given), np.nan))

    return _mean_over_numbers(of_one, numbers, targets)


def loss_of_the_model(predictions: Predictions, targets: Targets) -> Scores:
    """Return NaN: what a model was compiled with is known where it was trained."""
    del targets
    return np.full(len(predictions), np.nan)


def _mean_over_numbers(
    score: Callable[[Predictions, Targets], Scores], numbers: Predictions, targets: Targets
) -> Scores:
    columns: Any = targets.reshape(len(targets), -1).T
    return np.asarray(np.mean([score(numbers[..., place], each) for place, each in enumerate(columns)], axis=0))


FOR_CLASSES = (
    Metric("accuracy", "accuracy", True, "rows", accuracy, worst=0.0),
    Metric("balanced_accuracy", "balanced accuracy", True, "points", balanced_accuracy, ("classes",), 0.0),
    Metric("auc", "area under the ROC curve", True, "", auc, worst=0.0),
    Metric("average_precision", "average precision", True, "", average_precision, worst=0.0),
    Metric("f1", "F1, the mean over classes", True, "", f1, worst=0.0),
    Metric("log_loss", "log-loss", False, "", log_loss),
    Metric("brier", "Brier score", False, "", brier),
)
FOR_NUMBERS = (
    Metric("rmse", "root mean squared error", False, OF_THE_TARGET, rmse, ("numbers",)),
    Metric("mae", "mean absolute error", False, OF_THE_TARGET, mae, ("numbers",)),
    Metric("r2", "R2", True, "", r2, ("numbers",)),
)
FOR_LABELS = tuple(metric for metric in FOR_CLASSES if "labels" in metric.tasks)
LOSS = Metric("loss", "loss", False, "", loss_of_the_model, ("heads", "classes", "labels", "numbers"))
# Of labels, accuracy asks for all of a row at once, and sees none of them getting better.
DEFAULT_METRICS: dict[TaskName, MetricName] = {
    "classes": "accuracy",
    "labels": "log_loss",
    "numbers": "rmse",
    "heads": "loss",
}
METRICS: dict[MetricName, Metric] = {metric.name: metric for metric in (*FOR_CLASSES, *FOR_NUMBERS, LOSS)}


@dataclass(frozen=True)
class Task:
    """What a network is trained for.

    Attributes:
        name: `classes`, `labels` for several of 0 or 1 a row, `numbers` for a regression, or `heads` for several
            outputs of a model, which alone knows what each is.
        outputs: units of the last layer.
        activation: what the last layer ends in, by Keras' name.
        loss: what is minimised, by Keras' name.
        metrics: what the networks are scored by; a model of one's own by its loss, too.
    """

    name: TaskName
    outputs: int
    activation: Literal["sigmoid", "softmax", "linear"]
    loss: str
    metrics: tuple[Metric, ...]

    @classmethod
    def of(cls, classes: int, outputs: int = 1, *, labels: bool = False, heads: bool = False) -> Task:
        """Return the task for so many classes: two share a sigmoid unit, more have a softmax unit each.

        Without classes there are so many outputs, a sigmoid unit for each of `labels`, or a linear one for each number.

        >>> Task.of(0).loss, Task.of(2).activation, Task.of(3).outputs, Task.of(0, 5, labels=True).activation
        ('mean_squared_error', 'sigmoid', 3, 'sigmoid')
        """
        if heads:
            return cls("heads", 1, "linear", "", (LOSS,))
        if labels:
            return cls("labels", outputs, "sigmoid", "binary_crossentropy", FOR_LABELS)
        if not classes:
            return cls("numbers", outputs, "linear", "mean_squared_error", FOR_NUMBERS)
        if classes == 2:
            return cls("classes", 1, "sigmoid", "binary_crossentropy", FOR_CLASSES)
        return cls("classes", classes, "softmax", "sparse_categorical_crossentropy", FOR_CLASSES)

    @property
    def default(self) -> Metric:
        """What ranks unless a study file says otherwise: accuracy, log-loss of labels, RMSE, the loss of heads."""
        return METRICS[DEFAULT_METRICS[self.name]]

    @property
    def counts_rows(self) -> bool:
        """Whether rows may be right: of numbers none is, and of several outputs nobody says."""
        return self.name in ("classes", "labels")

    @property
    def shown(self) -> MetricName:
        """What is shown of each epoch: accuracy, the root mean squared error, or of several outputs the loss alone."""
        return "accuracy" if self.counts_rows else DEFAULT_METRICS[self.name]
