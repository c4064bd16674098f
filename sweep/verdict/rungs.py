"""What stands below the ladder: a linear model, what no input is needed for, and the commonest class."""

from __future__ import annotations

import numpy as np

from sweep.stats.verdict import Unit
from sweep.task import METRICS
from sweep.verdict.findings import whom
from sweep.verdict.record import VerdictRecord
from sweep.verdict.result import LinearModel, Majority, Uninformed


def majority(record: VerdictRecord) -> Majority | None:
    """Return the commonest class of the validation rows; None for numbers and labels."""
    split = record.split
    if not split.classes:
        return None
    commonest = int(np.argmax(split.class_rows))
    return Majority(label=split.classes[commonest], rows=split.class_rows[commonest])


def uninformed(record: VerdictRecord) -> Uninformed | None:
    """Return what a network that reads no input scores; None where nobody knows."""
    known, new = record.split.score_of_guessing(record.metric), record.guess_on_new_rows
    if known is None:
        return None
    own, other = _factors(record)
    on_new = None if new is None else new * other
    return Uninformed(whom=whom(record.split, record.metric), score=known * own, new_score=on_new)


def linear_model(record: VerdictRecord) -> LinearModel | None:
    """Return what a linear model scores; None where there is none, and in records of before."""
    linear = record.linear
    if linear is None or record.metric not in linear.own:
        return None
    (own, other), split, new = _factors(record), record.split, linear.new_mean(record.metric)
    return LinearModel(
        name="logistic regression" if split.classes or split.labels else "ridge regression",
        train_rows=linear.train_rows,
        score=linear.own[record.metric] * own,
        new_score=None if new is None else new[0] * other,
        splits=0 if new is None else new[1],
    )


def _factors(record: VerdictRecord) -> tuple[float, float]:
    """Return what a score is multiplied by to be told, on the study's own rows and on others."""
    metric = METRICS[record.metric]
    return Unit(metric, record.split.validation_rows).factor, Unit(metric, record.new_rows.test_rows).factor
