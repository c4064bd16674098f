"""Laws of the linear model below the ladder, beside scikit-learn's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sweep.data.table import Dataset, Split
from sweep.engines import linear
from sweep.engines.linear import linear_scores, rows_to_fit


def split_of(values: Any, targets: Any, classes: tuple[str, ...] = (), **facts: Any) -> Split:
    """Return a split of which the last third validates; integers without classes are labels."""
    dataset = Dataset.of_arrays(np.zeros((len(targets), 1)), targets, classes)
    kept = targets if targets.dtype.kind == "i" else dataset.targets
    rows = np.arange(len(targets), dtype=np.int32)
    dataset = replace(dataset, values=values, targets=kept, **facts)
    return Split.of(dataset, rows[: -(len(rows) // 3)], rows[-(len(rows) // 3) :])


def drawn(rows: int = 150, columns: int = 4) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return inputs of unequal widths, and a noisy sum of them."""
    generator = np.random.default_rng(0)
    x = generator.normal(3, 1, (rows, columns))
    return x * 10.0 ** np.arange(columns), x.sum(axis=1) - 3 * columns + generator.normal(0, 1, rows)


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_scikit_learns_logistic_regression_on_standardised_inputs(*, weighted: bool) -> None:
    x, y = drawn()
    weights = np.linspace(0.5, 2, len(y), dtype=np.float32) if weighted else None
    split = split_of(x, np.digitize(y, [-1, 1]), ("a", "b", "c"), weights=weights)
    train, held = split.train_targets, split.validation_targets
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(split.train_inputs, train, logisticregression__sample_weight=split.train_weights)
    shares, found = model.predict_proba(split.validation_inputs), linear_scores(split)
    assert found["accuracy"] == accuracy_score(held, shares.argmax(axis=1)) > 0.5
    assert found["log_loss"] == pytest.approx(log_loss(held, shares), rel=1e-4)
    assert linear_scores(split, (3.0, 1.0, 1.0))["log_loss"] != found["log_loss"]


def test_of_numbers_it_is_ridge_regression_in_the_targets_unit() -> None:
    x, y = drawn()
    split = split_of(x, 1000 + 50 * y)
    model = make_pipeline(StandardScaler(), Ridge()).fit(split.train_inputs, split.train_targets)
    wanted = split.target_unit[1] * root_mean_squared_error(
        split.validation_targets, model.predict(split.validation_inputs)
    )
    assert linear_scores(split)["rmse"] == pytest.approx(wanted, rel=1e-4)
    both = split_of(x, np.stack([y, -y], axis=1))
    assert linear_scores(both)["rmse"] == pytest.approx(linear_scores(split_of(x, y))["rmse"], rel=1e-3)


def test_each_label_has_a_model_of_its_own() -> None:
    x, y = drawn()
    single = linear_scores(split_of(x, (y > 0).astype(np.int32), ("0", "1")))
    labels = np.stack([y > 0, y < 0], axis=1).astype(np.int32)
    assert linear_scores(split_of(x, labels))["log_loss"] == pytest.approx(single["log_loss"], rel=1e-3)


def test_images_are_flattened_and_several_inputs_put_side_by_side() -> None:
    x, y = drawn()
    targets, classes = (y > 0).astype(np.int32), ("n", "p")
    plain = linear_scores(split_of(x.astype(np.float32), targets, classes))
    image = x.astype(np.float32).reshape(-1, 2, 2, 1)
    pair = {"one": x[:, :1].astype(np.float32), "rest": x[:, 1:].astype(np.float32)}
    for values in (image, pair):
        assert linear_scores(split_of(values, targets, classes)) == pytest.approx(plain)


def test_sequences_of_integers_and_several_outputs_have_none() -> None:
    x, y = drawn()
    targets = (y > 0).astype(np.int32)
    assert linear_scores(split_of(x.astype(np.int32), targets, ("n", "p"))) == {}
    heads = split_of(x, y)
    heads = replace(heads, dataset=replace(heads.dataset, targets={"one": targets, "two": y}))
    assert linear_scores(heads) == {}


def test_a_draw_of_many_rows_keeps_every_class_and_too_many_columns_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn()
    split = split_of(x, np.digitize(y, [-1, 6]), ("a", "b", "rare"))
    monkeypatch.setattr(linear, "LEAST_ROWS", 20)
    monkeypatch.setattr(linear, "MOST_ROWS", 30)
    assert rows_to_fit(split) == 30
    assert linear_scores(split)["accuracy"] > 0.6
    monkeypatch.setattr(linear, "LARGEST_FIT", 19 * 4 * 3)
    assert (rows_to_fit(split), linear_scores(split)) == (0, {})


def test_a_fit_that_fails_gives_no_scores_and_no_warning() -> None:
    x, y = drawn()
    split = split_of(x, np.digitize(y, [0]), ("n", "p"))
    alone = replace(split, train_index=split.train_index[split.train_targets == 1])
    assert linear_scores(alone) == {}
    huge = split_of(np.where(x > 5, 1e38, x), y)
    assert all(np.isfinite(list(linear_scores(huge).values())))
