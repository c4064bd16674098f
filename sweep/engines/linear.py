"""A linear model of the rows that networks are trained on: logistic regression, or ridge regression for numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.resplitting import thinned
from sweep.data.rows import Inputs, flat_rows, named
from sweep.data.splitting import strata_of
from sweep.data.table import Split
from sweep.engines.row_outcomes import scores_of
from sweep.task import MetricName, Predictions, Targets, Task

MOST_ROWS, LEAST_ROWS = 20_000, 2_000  # to train on; of more a draw is taken, and where fewer fit there is no model
# Rows x columns x outputs of a fit, which takes about 3 seconds on two cores then.
LARGEST_FIT = 20_000_000
SMALLEST_FIT = 300_000  # a smaller one takes hardly less time


def fit_size(split: Split) -> int:
    """Return rows x columns x outputs of a fit to the training rows of a split, or of one that takes as long."""
    return max(SMALLEST_FIT, rows_to_fit(split) * _weights_of_a_row(split))


def rows_to_fit(split: Split) -> int:
    """Return how many training rows a linear model is fitted to.

    It is 0 where a linear model means nothing, for sequences of integers and for several outputs of a model, and where
    the columns are too many.
    """
    sequences = any(array.dtype == np.int32 for array in named(split.inputs(split.train_index[:1])).values())
    if sequences or split.dataset.heads:
        return 0
    fitting = min(split.train_rows, MOST_ROWS, LARGEST_FIT // _weights_of_a_row(split))
    return fitting if fitting >= min(split.train_rows, LEAST_ROWS) else 0


def _weights_of_a_row(split: Split) -> int:
    return max(1, split.dataset.features) * split.dataset.task.outputs


def linear_scores(split: Split, class_weights: Sequence[float] = ()) -> dict[MetricName, float]:
    """Return the scores of a linear model on the validation rows; none where there is no such model, or it fails.

    It reads the very inputs of the networks, those of several inputs side by side and images flattened, each
    standardised by the training rows. Its penalty is scikit-learn's default, and rows weigh as they do in the networks'
    training.
    """
    rows = rows_to_fit(split)
    if not rows:
        return {}
    chosen = np.arange(split.train_rows)
    if rows < split.train_rows:
        drawn = thinned(split.train_index, rows, strata_of(split.dataset), seed=0)
        chosen = np.flatnonzero(np.isin(split.train_index, drawn))
    weights = split.weights_with(class_weights)
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - as scikit-learn, for runs alone

    try:
        # On one thread small fits are six times as fast where others compute, and bits do not hang on the machine.
        with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of a fit that has not converged
            given = split.inputs(split.train_index[chosen])
            predict = _fitted(
                split.dataset.task, given, split.train_targets[chosen], None if weights is None else weights[chosen]
            )
            predicted = np.concatenate([predict(block) for block in split.in_blocks(split.validation_index)])
    except (ValueError, ArithmeticError, MemoryError):
        return {}
    found: Predictions = predicted.reshape(1, split.validation_rows, -1)
    return scores_of(split, found) if np.isfinite(found).all() else {}


def _fitted(
    task: Task, inputs: Inputs, targets: Targets, weights: NDArray[np.float32] | None
) -> Callable[[Inputs], NDArray[Any]]:
    """Return what predicts from inputs: a probability for each class or label, or numbers, `[rows, outputs]`."""
    from sklearn.linear_model import LogisticRegression, Ridge  # noqa: PLC0415 - the second it takes is for runs alone
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    scaler = StandardScaler(copy=False)
    x = scaler.fit_transform(flat_rows(inputs).astype(np.float64))

    def scaled(inputs: Inputs) -> NDArray[np.float64]:
        return np.asarray(scaler.transform(flat_rows(inputs).astype(np.float64)))

    if task.name == "numbers":
        ridge = Ridge(solver="lsqr", tol=1e-6).fit(x, targets, weights)
        return lambda inputs: np.asarray(ridge.predict(scaled(inputs)))
    if targets.ndim == 1:
        model = LogisticRegression().fit(x, targets, weights)
        return lambda inputs: np.asarray(model.predict_proba(scaled(inputs)))
    models = [LogisticRegression().fit(x, label, weights) for label in targets.T]

    def of_labels(inputs: Inputs) -> NDArray[Any]:
        given = scaled(inputs)
        return np.stack([model.predict_proba(given)[:, 1] for model in models], axis=1)

    return of_labels
