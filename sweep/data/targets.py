"""Several targets a row: labels of 0 or 1, or numbers; what they are, and how numbers are scaled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.data.arrays import ONE_HOT, is_one_hot
from sweep.data.columns import Stated
from sweep.data.label import AS_STATED, Target, read_label
from sweep.data.reading import Table
from sweep.data.rows import Inputs, named, told_shapes
from sweep.errors import BadInput
from sweep.task import TaskName

ONE_SCALE = 4.0  # times the least deviation of several numbers that share a unit


def read_shaped_label(table: Table, stated: Stated) -> Target:
    """Return what the label of arrays holds, or refuse what is stated of columns that they do not have."""
    for key, given in (("drop", stated.drop), ("roles", stated.roles)):
        if given:
            raise BadInput(
                f"data.{key}", 'must be left out for arrays, which have no columns; or state kind = "table".'
            )
    if stated.label not in (None, -1, "y"):
        raise BadInput("data.label", f"must be left out for arrays, whose label is an array, got {stated.label!r}.")
    if table.heads is not None:
        return _of_heads(table, stated)
    if stated.task == "heads":
        raise BadInput("data.task", "must be classes, labels or numbers, since there is one output, got heads.")
    others = [place for place in (table.weight, table.by) if place is not None]
    labels = table.columns.drop(columns=others).to_numpy()
    if labels.shape[1] == 1:
        return read_label(table, 0, stated.task, stated.labels)
    if not is_one_hot(labels) or stated.task == "labels":
        if stated.labels:
            raise BadInput("data.labels", "must be left out, since there are several labels a row.")
        return read_several(labels, stated.task)
    places = replace(table, columns=pd.DataFrame({0: labels.argmax(axis=1)}))
    return read_label(places, 0, stated.task, stated.labels)._replace(notes=(ONE_HOT,))


def _of_heads(table: Table, stated: Stated) -> Target:
    """Return what stands for the targets of several outputs, of which the model alone knows what they hold."""
    if stated.task not in (None, "heads"):
        raise BadInput("data.task", f"must be heads, since there are several outputs, got {stated.task}.")
    if stated.labels:
        raise BadInput("data.labels", "must be left out, since there are several outputs.")
    why = AS_STATED if stated.task else f"there are {len(named(table.heads))} outputs"
    return Target("heads", why, table.columns[[0]], (), "plain")


def read_several(labels: NDArray[Any], task: TaskName | None) -> Target:
    """Return what several labels a row `[rows, labels]` hold: labels of 0 and 1, or numbers.

    Raises:
        BadInput: on `data.task` for what may be either, or is not what is stated; on `data.label` for one that is the
            same in all rows.
    """
    width, binary = labels.shape[1], np.isin(labels, (0, 1))
    if task == "classes":
        wrong = int(np.flatnonzero(~(binary.all(axis=1) & ((labels != 0).sum(axis=1) == 1)))[0])
        raise BadInput("data.task", f"must be labels or numbers, since row {wrong + 1} does not have one 1 and 0 else.")
    if task == "labels" and not binary.all():
        row, place = np.argwhere(~binary)[0]
        raise BadInput(
            "data.task", f"must be numbers, since labels are 0 or 1, got {labels[row, place]} in row {row + 1}."
        )
    why = AS_STATED
    if task is None and binary.all():
        task, why, ones = "labels", f"each row has {width} labels of 0 or 1", (labels != 0).sum(axis=1)
        if ones.max() <= 1:
            rows = int((ones == 0).sum())
            got = f"no row has more than one 1, and {rows} {'has' if rows == 1 else 'have'} none"
            raise BadInput("data.task", f'must be stated, since {got}: "labels", or give each row the 1 of its class.')
    elif task is None:
        values = np.unique(labels)
        if len(values) <= 2 or labels.dtype.kind != "f":
            got = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
            rule = f'must be stated, since labels are 0 or 1, got {got}: "numbers" predicts them as numbers'
            raise BadInput("data.task", f"{rule}.")
        task, why = "numbers", f"each row has {width} numbers"
    constant = np.flatnonzero(np.ptp(labels.astype(np.float64), axis=0) == 0)
    if len(constant):
        place = int(constant[0])
        got = f"got only {labels[0, place]:g} for label {place + 1} of {width}"
        raise BadInput("data.label", f"must have different labels in each column, {got}.")
    return Target(str(task), why, pd.DataFrame(labels), (), "plain")  # type: ignore[arg-type]


def shares_scale(targets: NDArray[Any]) -> bool:
    """Say whether several numbers a row are of one scale: the largest standard deviation is not far from the least."""
    deviations = targets.reshape(len(targets), -1).std(axis=0)
    return bool(deviations.max() <= ONE_SCALE * deviations.min())


def told_targets(target: Target, values: Inputs) -> list[str]:
    """Return in words how targets are predicted, which is plain of classes, and what the errors of numbers are in."""
    why = target.why if target.why == AS_STATED else f"since {target.why}"
    if target.task == "heads":
        return [f"outputs {told_shapes(values)} are given to the model's own losses as they are, and its loss ranks"]
    if target.task == "labels":
        ranks = "log-loss ranks unless another metric is stated"
        return [f"each label is predicted by itself, {why}; {ranks}"]
    if target.task == "classes":
        return []
    if values.ndim == 1:
        return [f"the label is predicted as a number, {why}"]
    deviations = values.std(axis=0)
    errors = "each is divided by its own, and errors are in deviations"
    if shares_scale(values):
        errors = "errors are in their own unit"
    low, high = f"{deviations.min():.4g}", f"{deviations.max():.4g}"
    told = f"deviations of the {len(deviations)} numbers are from {low} to {high}: {errors}"
    return [f"the labels are predicted as numbers, {why}", told]


def scaling_of(targets: NDArray[Any], training: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and divisor of each of several numbers, by the rows to train on.

    Those of one scale share a divisor, the root mean square of their deviations; each of others has its own deviation.
    """
    numbers = targets[training]
    scales = numbers.std(axis=0)
    if shares_scale(targets):
        scales = np.full_like(scales, np.sqrt(np.square(scales).mean()))
    return numbers.mean(axis=0), np.where(scales > 0, scales, 1.0)


def one_number(targets: NDArray[Any]) -> NDArray[Any]:
    """Return a number for each row, by which rows are alike: the mean of several, each in its own deviations."""
    if targets.ndim == 1:
        return targets
    return np.asarray(((targets - targets.mean(axis=0)) / targets.std(axis=0)).mean(axis=1))


def baseline_of(task: TaskName, targets: NDArray[Any]) -> float:
    """Return what is reached without an input: the share of the commonest labels, or the error of the mean."""
    if task == "labels":
        return float(np.unique(targets, axis=0, return_counts=True)[1].max() / len(targets))
    deviations = np.nanstd(targets, axis=0)
    return float(deviations.mean()) if targets.ndim == 1 or shares_scale(targets) else 1.0


def label_sets(targets: NDArray[Any], most: int) -> NDArray[np.int32]:
    """Return which set of labels each row has, `[rows]`, by frequency: all sets but the commonest share a number."""
    _, places, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
    common = np.argsort(-counts, kind="stable")[: most - 1]
    numbers = np.full(len(counts), len(common), np.int32)
    numbers[common] = np.arange(len(common))
    return np.asarray(numbers[places.reshape(-1)])


def check_labels(targets: NDArray[Any]) -> None:
    """Refuse rows to train on of which all, or none, have a label.

    Raises:
        BadInput: on `split.kind`.
    """
    ones = targets.sum(axis=0)
    same = np.flatnonzero((ones == 0) | (ones == len(targets)))
    if len(same):
        got = f"label {same[0] + 1} is {int(ones[same[0]] > 0)} in all of them"
        raise BadInput("split.kind", f"must leave rows of 0 and of 1 of every label to train on; {got}.")
