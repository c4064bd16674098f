"""Laws of the metrics: each gives what scikit-learn gives, for many networks at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from sweep.task import METRICS, MetricName, Task

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


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_metrics_of_labels_are_those_of_scikit_learn(labels: int) -> None:
    given = (RNG.random((4, 60, labels)) * 0.98 + 0.001).round(2) + 0.001
    targets = RNG.integers(0, 2, (60, labels))
    for place, network in enumerate(given):
        found = (network > 0.5).astype(int)
        each = [(targets[:, one], network[:, one]) for one in range(labels)]
        wanted: dict[MetricName, Any] = {
            "accuracy": reference.accuracy_score(targets, found),
            "f1": reference.f1_score(targets, found, average="macro" if labels > 1 else "binary"),
            "auc": np.mean([reference.roc_auc_score(*pair) for pair in each]),
            "average_precision": np.mean([reference.average_precision_score(*pair) for pair in each]),
            "log_loss": np.mean([reference.log_loss(*pair) for pair in each]),
            "brier": np.mean([reference.brier_score_loss(*pair) for pair in each]),
        }
        assert {each.name for each in Task.of(0, labels, labels=True).metrics} == {*wanted}
        got = {name: METRICS[name].score(given, targets)[place] for name in wanted}
        assert got == pytest.approx(wanted, abs=1e-6)
    if labels > 1:
        assert METRICS["auc"].score(given, targets)[0] == pytest.approx(reference.roc_auc_score(targets, given[0]))


def test_a_label_that_no_row_has_is_0_in_f1_and_left_out_of_the_areas() -> None:
    given, targets = RNG.random((2, 40, 3)), RNG.integers(0, 2, (40, 3))
    targets[:, 1], given[..., 1] = 0, 0.1
    for place, network in enumerate(given):
        wanted = reference.f1_score(targets, network > 0.5, average="macro", zero_division=0)
        assert METRICS["f1"].score(given, targets)[place] == pytest.approx(wanted)
        others = reference.roc_auc_score(targets[:, [0, 2]], network[:, [0, 2]])
        assert METRICS["auc"].score(given, targets)[place] == pytest.approx(others)


def test_metrics_of_several_numbers_are_their_plain_mean() -> None:
    given, targets = RNG.normal(size=(4, 50, 3)), RNG.normal(2, [1, 2, 3], (50, 3))
    for place, network in enumerate(given):
        wanted: dict[MetricName, Any] = {
            "rmse": reference.root_mean_squared_error,
            "mae": reference.mean_absolute_error,
            "r2": reference.r2_score,
        }
        for name, known in wanted.items():
            assert METRICS[name].score(given, targets)[place] == pytest.approx(known(targets, network)), name
