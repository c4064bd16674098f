"""How each run of a job ended, by every metric of its task, from what its members predict on the validation rows.

It is computed beside the training program, whose bits it leaves alone: NumPy takes 1.7 % of the time of the default
study's trainings, 6 ms for a job of 128.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sweep.engines.row_outcomes import RowOutcomes, has_row_outcomes
from sweep.engines.spec import Block, Curves, Float32, Int32, Job, Outputs, TrainingSpec
from sweep.task import OF_THE_TARGET, MetricName, Scores, right_rows

BYTES_PER_OUTPUT = 64  # of a row: the prediction, its order, and what a metric makes of them


class Network(Protocol):
    """What predicts: a network of `sweep.engines`."""

    def predict(self, weights: Sequence[Any], state: Sequence[Any], inputs: Float32, block: Block) -> Float32:
        """Return the logits of some members for `inputs` `[rows, features]`: `[seeds, candidates, rows, outputs]`."""


class Trained(Protocol):
    """Members after their training."""

    weights: list[Any]
    state: list[Any]


def scored(
    job: Job, curves: Curves, network: Network, members: Trained, inputs: Float32, targets: NDArray[Any]
) -> Curves:
    """Return the curves of the runs that were asked for, with how each ended: scores, and rows if these are wanted.

    `inputs` and `targets` are the validation rows'. Rows right and the loss were counted by the training program, and
    are not computed again.
    """
    task, scale = job.spec.architecture.task, job.spec.split.target_unit[1]
    counted = _counted(curves, targets, scale)
    asked = [metric for metric in task.metrics if metric.name not in counted]
    found = {metric.name: np.empty(curves.diverged.shape) for metric in asked}
    rows = _rows_to_fill(job)
    for block in job.blocks(bytes_per_member=BYTES_PER_OUTPUT * len(inputs) * max(2, task.outputs)):
        with np.errstate(all="ignore"):  # of members that diverged
            logits = network.predict(members.weights, members.state, inputs, block)
            predictions = outputs_of(logits.reshape(-1, *logits.shape[2:]), task.activation)
            for metric in asked:
                scores = metric.score(predictions, targets) * (scale if metric.unit == OF_THE_TARGET else 1)
                place = np.ix_(block.candidates, block.seeds)
                found[metric.name][place] = scores.reshape(logits.shape[:2]).T
            if rows is not None:
                rows.fill(block.candidates, block.seeds, predictions, targets)
    by_name = {**counted, **found}
    known = {metric.name: np.where(curves.diverged, np.nan, by_name[metric.name]) for metric in task.metrics}
    if rows is not None:
        rows.settle(curves.diverged, job.spec.split)
    return replace(curves, scores=known, rows=rows)


def curves_of(
    job: Job, shown: Mapping[str, Float32], predicted: Callable[[int], Float32], validation: Any, began: float
) -> Curves:
    """Return the curves of the runs that were asked for, with how each ended.

    Args:
        job: what was trained.
        shown: what each epoch showed, `[candidates, seeds, epochs]`: `loss`, `val_loss`, `gain`, and the sums over
            rows `score` and `val_score`, of rows that were right or squared errors.
        predicted: what the members of a run seed, by its place, predict on the validation rows: `[candidates, rows,
            outputs]`, a share for each class or label, or numbers. Several outputs are judged by the loss alone.
        validation: the validation rows' targets, as `predicted` has them.
        began: when the job did, by `time.perf_counter`.
    """
    architecture, scale = job.spec.architecture, job.spec.split.target_unit[1]
    diverged = np.asarray(~(np.isfinite(shown["loss"]) & np.isfinite(shown["val_loss"])).all(axis=-1))
    found = {metric.name: np.empty(diverged.shape) for metric in architecture.task.metrics}
    if architecture.build is not None:
        found["loss"] = np.where(diverged, np.nan, shown["val_loss"][..., -1].astype(np.float64))
    class_correct = np.zeros((*diverged.shape, architecture.classes), np.int32)
    correct, last = (_right_rows(shown[name], job.spec) for name in ("score", "val_score"))
    rows = _rows_to_fill(job)
    for seed in range(diverged.shape[1]) if not architecture.heads else ():
        outputs = predicted(seed)[: len(diverged)]
        with np.errstate(all="ignore"):  # of members that diverged
            for metric in architecture.task.metrics:
                scores = metric.score(outputs, validation) * (scale if metric.unit == OF_THE_TARGET else 1)
                found[metric.name][:, seed] = np.where(diverged[:, seed], np.nan, scores)
            if rows is not None:
                rows.fill(range(len(diverged)), range(seed, seed + 1), outputs, validation)
            if architecture.task.counts_rows:
                right = right_rows(outputs, validation)
                last[:, seed, -1] = right.sum(axis=1)  # the optimizer may leave other weights than the last epoch's
                for one in range(architecture.classes):
                    class_correct[:, seed, one] = right[:, validation == one].sum(axis=1)
    if rows is not None:
        rows.settle(diverged, job.spec.split)
    return Curves(
        loss=shown["loss"],
        correct=correct,
        validation_loss=shown["val_loss"],
        validation_correct=last,
        gain=shown["gain"],
        class_correct=class_correct,
        seconds=time.perf_counter() - began,
        scores=found,
        rows=rows,
    )


def _rows_to_fill(job: Job) -> RowOutcomes | None:
    """Return what holds each row's outcomes, if they are asked for and the task has any."""
    if not (job.keep_rows and has_row_outcomes(job.spec.architecture.task)):
        return None
    return RowOutcomes.empty((len(job.candidates), len(job.run_seeds)), job.spec.split.validation_rows)


def _counted(curves: Curves, targets: Any, scale: float) -> dict[MetricName, Scores]:
    """Return the scores that follow from what the training program counted."""
    loss = curves.validation_loss[..., -1].astype(np.float64)
    if not curves.class_correct.shape[-1]:
        return {"rmse": np.sqrt(loss) * scale}
    of_class = np.bincount(targets, minlength=curves.class_correct.shape[-1])
    recalls = curves.class_correct[..., of_class > 0] / of_class[of_class > 0]
    right = curves.validation_correct[..., -1] / len(targets)
    return {"accuracy": right, "balanced_accuracy": recalls.mean(axis=-1), "log_loss": loss}


def outputs_of(logits: Float32, activation: str) -> Float32:
    """Return what a metric takes, `[members, rows, outputs]`: a probability for each class, or the number."""
    if activation == "linear":
        return logits
    if activation == "sigmoid":
        second = 1 / (1 + np.exp(-logits))
        return np.concatenate([1 - second, second], axis=-1)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _right_rows(score: Float32, spec: TrainingSpec) -> Int32:
    """Return the rows that were right, from the sums of what a step logs; none of numbers."""
    counts = spec.architecture.task.counts_rows
    return np.rint(score).astype(np.int32) if counts else np.zeros(score.shape, np.int32)


def class_shares(outputs: Float32, kind: Outputs) -> Float32:
    """Return what a metric takes, `[..., outputs]`, from what a Keras model puts out."""
    if kind in ("numbers", "label probabilities"):
        return outputs
    if outputs.shape[-1] > 1 and kind == "probabilities":
        return outputs
    with np.errstate(all="ignore"):  # of members that diverged
        if kind == "label logits":
            return np.asarray(1 / (1 + np.exp(-outputs)))
        if kind == "logits":
            return outputs_of(outputs, "sigmoid" if outputs.shape[-1] == 1 else "softmax")
    return np.concatenate([1 - outputs, outputs], axis=-1)
