"""Laws of several targets a row: labels of 0 and 1, or numbers, told apart or refused in one line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from sweep.data.arrays import Arrays
from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, read_dataset
from sweep.errors import BadInput

RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(60, 4))
LABELS = (RNG.random((60, 3)) < [0.5, 0.3, 0.2]).astype(int)
LABELS[:3] = [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
ONE_HOT = np.eye(3, dtype=int)[np.arange(60) % 3]
NUMBERS = RNG.normal([5, 50], [1, 2], (60, 2))


def read(targets: Any, rows: Any = ROWS, **keys: Any) -> Dataset:
    return read_dataset(Arrays.of(rows, targets, "data.file"), DataKeys(**keys))


@pytest.mark.parametrize("kind", [np.int64, np.bool_, np.float32, np.uint8])
def test_zeros_and_ones_are_labels_of_whatever_type(kind: type) -> None:
    dataset = read(LABELS.astype(kind))
    task = dataset.task
    assert (task.name, task.outputs, task.activation, task.loss) == ("labels", 3, "sigmoid", "binary_crossentropy")
    assert np.array_equal(dataset.targets, LABELS)
    assert (dataset.keys.task, dataset.keys.kind, dataset.classes) == ("labels", "array", ())
    assert any("log-loss ranks unless another metric is stated" in note for note in dataset.notes)


def test_one_1_a_row_is_a_class_unless_labels_are_stated() -> None:
    assert read(ONE_HOT).classes == ("0", "1", "2")
    assert read(ONE_HOT, ROWS.reshape(60, 2, 2)).classes == ("0", "1", "2")
    stated = read(ONE_HOT, ROWS.reshape(60, 2, 2), task="labels")
    assert (stated.task.name, stated.task.outputs) == ("labels", 3)


def test_a_stratified_split_keeps_the_shares_of_common_labels() -> None:
    dataset = read(LABELS)
    split = split_rows(dataset, "stratified", 0.4, 0)
    assert split.validation_targets.shape == (split.validation_rows, 3)
    np.testing.assert_allclose(split.train_targets.mean(axis=0), split.validation_targets.mean(axis=0), atol=0.12)
    assert split.target_unit == (0.0, 1.0)


def test_numbers_of_one_scale_share_a_divisor_and_others_have_their_own() -> None:
    alike = split_rows(read(NUMBERS), "random", 0.3, 0)
    raw = NUMBERS[alike.train_index]
    shared = np.sqrt(raw.var(axis=0).mean())
    np.testing.assert_allclose(alike.train_targets, (raw - raw.mean(axis=0)) / shared, rtol=1e-5, atol=1e-6)
    assert alike.target_unit[1] == pytest.approx(shared)
    other = split_rows(read(NUMBERS * [1, 100]), "random", 0.3, 0)
    np.testing.assert_allclose(other.train_targets.std(axis=0), 1, rtol=1e-5)
    assert other.target_unit == (0.0, 1.0)
    for split, told in ((alike, "errors are in their own unit"), (other, "errors are in deviations")):
        assert split.dataset.task.outputs == 2
        assert any(note.endswith(told) for note in split.dataset.notes)


def test_a_description_tells_what_is_to_beat() -> None:
    found = describe_of(LABELS)
    sets = np.unique(LABELS, axis=0, return_counts=True)[1]
    assert (found.task, found.metric, found.classes) == ("labels", "log_loss", {})
    assert found.baseline == sets.max() / 60
    assert describe_of(NUMBERS).baseline == pytest.approx(NUMBERS.std(axis=0).mean())


def describe_of(labels: Any) -> Any:
    from sweep.data.description import describe_table
    from sweep.data.form import Form

    return describe_table(Arrays.of(ROWS, labels, "data.file"), Form(), DataKeys().stated(), name="rows")


SILENT = ONE_HOT.copy()
SILENT[7] = 0


@pytest.mark.parametrize(
    ("labels", "keys", "told"),
    [
        (SILENT, {}, "data.task: must be stated, since no row has more than one 1, and 1 has none"),
        (LABELS * 2 - 1, {}, "data.task: must be stated, since labels are 0 or 1, got -1, 1"),
        (LABELS * 2.0 - 1, {}, "data.task: must be stated, since labels are 0 or 1, got -1, 1"),
        (LABELS + 1, {"task": "labels"}, "data.task: must be numbers, since labels are 0 or 1, got 2 in row 1."),
        (
            LABELS,
            {"task": "classes"},
            "data.task: must be labels or numbers, since row 1 does not have one 1",
        ),
        (LABELS + np.arange(60)[:, None], {}, "data.task: must be stated, since labels are 0 or 1, got"),
        (LABELS * [1, 1, 0], {}, "data.label: must have different labels in each column, got only 0 for label 3 of 3."),
        (NUMBERS * [1, 0], {}, "data.label: must have different labels in each column, got only 0 for label 2 of 2."),
        (np.where(NUMBERS > 6, np.nan, NUMBERS), {}, "data.file: must give finite `y`, got nan in row"),
        (LABELS, {"kind": "table"}, "data.kind: must be array, since there are several labels a row."),
        (LABELS, {"labels": {"0": "1"}}, "data.labels: must be left out, since there are several labels a row."),
        (LABELS[:, 0], {"task": "labels"}, "data.task: must be classes or numbers, since there is one label a row"),
        (ONE_HOT, {"task": "labels"}, "data.task: must be classes or numbers, since there is one label a row"),
        (LABELS.astype(str), {}, "data.file: must give `y` [rows], one label a row, or numbers [rows, labels]"),
        (LABELS.astype(object), {}, "data.file: must give `y` [rows], one label a row, or numbers [rows, labels]"),
        (LABELS[:59], {}, "data.file: must give inputs [rows, ...] of numbers and labels [rows]"),
        (NUMBERS * 1j, {}, "data.file: must give inputs [rows, ...] of numbers and labels [rows]"),
    ],
)
def test_what_may_be_several_things_or_none_is_refused(labels: Any, keys: Any, told: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(told)}"):
        read(labels, **keys)


def test_whole_numbers_are_predicted_if_it_is_stated() -> None:
    dataset = read(LABELS + np.arange(60)[:, None], task="numbers")
    assert (dataset.task.name, dataset.task.outputs, dataset.targets.dtype.name) == ("numbers", 3, "float64")


def test_a_label_that_all_rows_to_train_on_have_is_refused() -> None:
    rare = LABELS.copy()
    rare[:, 2] = 0
    rare[59, 2] = 1
    with pytest.raises(BadInput, match=r"^split\.kind: must leave rows of 0 and of 1 .*; label 3 is 0 in all of them"):
        split_rows(read(rare), "tail", 0.3, 0)
