"""How each run did on each validation row, as re-splits keep it: in bits and half precision, as rows may be many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sweep.data.table import Split
from sweep.task import LIKELY, OF_THE_TARGET, SMALLEST_SHARE, MetricName, Predictions, Targets, Task, right_rows

LARGEST = float(np.finfo(np.float16).max)  # that is kept; it stands for what is larger, or no number


@dataclass(frozen=True)
class RowOutcomes:
    """Which validation rows each run had right, and its loss on each.

    Attributes:
        bits: whether a row was right, eight rows a byte, `[candidates, seeds, bytes]`; of numbers none is.
        loss: `[candidates, seeds, rows]`: the cross-entropy, the mean over several labels, or the squared error of the
            standardised number. That of a run that diverged is what a network gets that reads no input.
    """

    bits: NDArray[np.uint8]
    loss: NDArray[np.float16]

    @classmethod
    def empty(cls, runs: tuple[int, ...], rows: int) -> Self:
        """Return room for the outcomes of runs, `[candidates, seeds]`."""
        return cls(np.zeros((*runs, -(-rows // 8)), np.uint8), np.zeros((*runs, rows), np.float16))

    def fill(self, candidates: range, seeds: range, predictions: Predictions, targets: Targets) -> None:
        """Put in what networks predict, `[networks, rows, outputs]`, seed by seed, as `of` takes it."""
        found, place = RowOutcomes.of(predictions, targets), np.ix_(candidates, seeds)
        for ours, theirs in ((self.bits, found.bits), (self.loss, found.loss)):
            ours[place] = theirs.reshape(len(seeds), len(candidates), -1).swapaxes(0, 1)

    def settle(self, diverged: NDArray[np.bool_], split: Split) -> None:
        """Put in the loss of a network that reads no input where a run diverged, `[candidates, seeds]`."""
        if diverged.any():
            guesses = uninformed_predictions(split)
            self.loss[diverged] = RowOutcomes.of(guesses, split.validation_targets).loss[0]

    @classmethod
    def of(cls, predictions: Predictions, targets: Targets) -> Self:
        """Return the outcomes of some networks; the arguments are those of `Metric.score`."""
        right = np.zeros(predictions.shape[:2], np.bool_)
        if targets.dtype.kind == "f":
            loss = (predictions[..., 0] - targets) ** 2
        else:
            right = right_rows(predictions, targets)
            if targets.ndim == 2:
                given = np.where(targets > LIKELY, predictions, 1 - predictions)
            else:
                places = np.broadcast_to(targets.astype(np.intp)[:, None], (*predictions.shape[:2], 1))
                given = np.take_along_axis(predictions, places, axis=2)
            loss = -np.log(np.clip(given, SMALLEST_SHARE, 1)).mean(axis=2)
        return cls(np.packbits(right, axis=-1), np.fmin(loss, LARGEST).astype(np.float16))

    @classmethod
    def joined(cls, parts: Sequence[Self | None], axis: int) -> Self | None:
        """Return the outcomes of several jobs side by side, as `Curves.joined` does; None if a job has none."""
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return cls(*(np.concatenate([getattr(part, name) for part in known], axis) for name in ("bits", "loss")))

    def __getitem__(self, place: Any) -> RowOutcomes:
        """Return those of a candidate, or of some runs."""
        return RowOutcomes(self.bits[place], self.loss[place])

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each row was right, in the shape of `loss`."""
        return np.unpackbits(self.bits, axis=-1, count=self.loss.shape[-1]).view(np.bool_)


def has_row_outcomes(task: Task) -> bool:
    """Say whether rows have outcomes: classes and labels have, and a single number."""
    return task.counts_rows or (task.name == "numbers" and task.outputs == 1)


def uninformed_predictions(split: Split) -> Predictions:
    """Return what a network that reads no input predicts for the validation rows, `[1, rows, outputs]`.

    It is the training rows' share of each class or label, or their mean, which is 0 of standardised numbers.
    """
    task, targets, classes = split.dataset.task, split.train_targets, len(split.dataset.classes)
    answer = np.bincount(targets, minlength=classes) / len(targets) if classes else np.zeros(task.outputs)
    if task.name == "labels":
        answer = targets.mean(axis=0)
    return np.broadcast_to(answer, (1, split.validation_rows, len(answer)))


def uninformed_scores(split: Split) -> dict[MetricName, float]:
    """Return the scores of a network that reads no input: it gives each row the training rows' shares or means.

    Shares are those of the classes or labels. Of labels, accuracy is that of always giving the validation rows'
    commonest ones, than which no such network has more rows right. Of several outputs of a model nothing is known.
    """
    if split.dataset.heads:
        return {}
    found = scores_of(split, uninformed_predictions(split))
    if split.dataset.task.name == "labels":
        held = split.validation_targets
        found["accuracy"] = float(np.unique(held, axis=0, return_counts=True)[1].max() / len(held))
    return found


def scores_of(split: Split, predictions: Predictions) -> dict[MetricName, float]:
    """Return the scores of what one model predicts for the validation rows, `[1, rows, outputs]`; NaN if unknown."""
    held, unit = split.validation_targets, split.target_unit[1]
    return {
        metric.name: float(metric.score(predictions, held)[0]) * (unit if metric.unit == OF_THE_TARGET else 1)
        for metric in split.dataset.task.metrics
    }
