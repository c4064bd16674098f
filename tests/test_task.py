"""Laws of the metrics: each gives what scikit-learn gives, for many networks at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from sweep.task import METRICS, MetricName

RNG = np.random.default_rng(5)


def shares(classes: int, rows: int = 60, networks: int = 5, decimals: int = 2) -> np.ndarray:
    """Rounded probabilities, so that some are equal."""
    drawn = RNG.dirichlet(np.ones(classes), (networks, rows)).round(decimals) + 0.01
    return np.asarray(drawn / drawn.sum(axis=2, keepdims=True))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_of_classes_are_those_of_scikit_learn(classes: int) -> None:
    given, targets = shares(classes), RNG.integers(0, classes, 60)
    one_hot = np.eye(classes)[targets]
    rarer = int(targets.sum() <= 30)
    scored = slice(rarer, rarer + 1) if classes == 2 else slice(None)
    for place, network in enumerate(given):
        found = network.argmax(axis=1)
        wanted: dict[MetricName, Any] = {
            "accuracy": reference.accuracy_score(targets, found),
            "balanced_accuracy": reference.balanced_accuracy_score(targets, found),
            "f1": reference.f1_score(targets, found, average="macro"),
            "log_loss": reference.log_loss(targets, network, labels=range(classes)),
            "auc": reference.roc_auc_score(one_hot[:, scored], network[:, scored]),
            "average_precision": reference.average_precision_score(one_hot[:, scored], network[:, scored]),
            "brier": reference.brier_score_loss(targets, network[:, 1])
            if classes == 2
            else ((network - one_hot) ** 2).sum(1).mean(),
        }
        got = {name: METRICS[name].score(given, targets)[place] for name in wanted}
        assert got == pytest.approx(wanted, abs=1e-6)


def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    given, targets = RNG.normal(size=(4, 50, 1)), RNG.normal(2, 3, 50)
    for place, network in enumerate(given[..., 0]):
        assert METRICS["rmse"].score(given, targets)[place] == pytest.approx(
            reference.root_mean_squared_error(targets, network)
        )
        assert METRICS["mae"].score(given, targets)[place] == pytest.approx(
            reference.mean_absolute_error(targets, network)
        )
        assert METRICS["r2"].score(given, targets)[place] == pytest.approx(reference.r2_score(targets, network))


def test_a_class_without_validation_rows_is_left_out() -> None:
    given, targets = shares(3), RNG.integers(0, 2, 60)
    for name in ("auc", "average_precision", "balanced_accuracy", "f1"):
        assert np.isfinite(METRICS[name].score(given, targets)).all()
    assert np.isnan(METRICS["auc"].score(given, np.zeros(60, int))).all()
