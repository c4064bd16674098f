"""What re-splits tell of each row of the data set, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweep.data.table import Dataset, Split
from sweep.engines.row_outcomes import RowOutcomes
from sweep.verdict.by_row import COUNT, LOSS, OnRows, Tally, pack, unpack


@pytest.fixture
def dataset() -> Dataset:
    return Dataset.of_arrays(np.zeros((5, 1), np.float32), np.array([0, 1, 0, 1, 0], np.int32), ("a", "b"))


def outcome(right: Sequence[Sequence[int]], loss: Sequence[Sequence[float]]) -> Any:
    """Return outcomes of runs, `[runs, rows]`."""
    rows = RowOutcomes(np.packbits(np.array(right, np.uint8), axis=-1), np.array(loss, np.float16))
    return SimpleNamespace(run_seeds=tuple(range(len(right))), rows=rows)


def split_of(dataset: Dataset, tested: Sequence[int]) -> Split:
    rows = np.arange(dataset.rows, dtype=np.int32)
    return Split.of(dataset, np.setdiff1d(rows, tested).astype(np.int32), np.array(tested, np.int32))


def two_splits(dataset: Dataset) -> Tally:
    """Row 0 is never tested, rows 1 and 2 by two runs, and rows 3 and 4 by four."""
    tally = Tally(5, 2)
    first = outcome([[1, 0, 1, 1], [1, 1, 1, 0]], [[0.5, 1, 0, 0], [0.25, 0.5, 0, 2]])
    tally.add(split_of(dataset, [1, 2, 3, 4]), [first, outcome([[0] * 4] * 2, [[1] * 4] * 2)])
    second = outcome([[1, 1], [1, 0]], [[0, 0], [0, 1]])
    tally.add(split_of(dataset, [3, 4]), [second, outcome([[1, 1]] * 2, [[0.5, 0.5]] * 2)])
    return tally


def test_runs_are_added_up_row_by_row(dataset: Dataset) -> None:
    tally = two_splits(dataset)
    ours, theirs = tally.on_rows
    assert unpack(tally.tested, COUNT).tolist() == [0, 2, 2, 4, 4]
    assert unpack(ours.right, COUNT).tolist() == [0, 2, 1, 4, 2]
    assert unpack(theirs.right, COUNT).tolist() == [0, 0, 0, 2, 2]
    assert unpack(ours.loss, LOSS).tolist() == [0, 0.75, 1.5, 0, 3]
    assert unpack(theirs.loss, LOSS).tolist() == [0, 2, 2, 3, 3]


def test_a_lead_is_the_mean_over_the_runs_that_tested_a_row(dataset: Dataset) -> None:
    tally = two_splits(dataset)
    ours, theirs = tally.on_rows
    by_rows, by_loss = (ours.leads_over(theirs, tally.tested, metric) for metric in ("accuracy", "log_loss"))
    assert by_rows is not None
    assert by_loss is not None
    assert by_rows.tolist() == [1, 0.5, 0.5, 0]
    assert by_loss.tolist() == [0.625, 0.25, 0.75, 0]
    back = theirs.leads_over(ours, tally.tested, "log_loss")
    assert back is not None
    assert back.tolist() == (-by_loss).tolist()
    assert ours.leads_over(theirs, tally.tested, "auc") is None


def test_what_rows_add_to_a_root_has_the_difference_of_the_roots_as_its_mean() -> None:
    squares = np.array([[4.0, 1.0, 0.0, 9.0], [8.0, 8.0, 8.0, 8.0]])  # sums of two runs
    ours, theirs = (OnRows(right=pack(np.zeros(4), COUNT), loss=pack(each, LOSS)) for each in squares)
    leads = ours.leads_over(theirs, pack(np.full(4, 2), COUNT), "rmse")
    assert leads is not None
    assert leads.mean() == pytest.approx(2 - sqrt(7 / 4))
    assert leads.argmax() == 2
    same = ours.leads_over(ours, pack(np.full(4, 2), COUNT), "rmse")
    assert same is not None
    assert not same.any()


def test_squared_errors_are_in_the_unit_of_the_target(dataset: Dataset) -> None:
    numbers = replace(dataset, targets=np.array([10.0, 20.0, 30.0, 40.0, 50.0]), classes=())
    split, tally = split_of(numbers, [4]), Tally(5, 1)
    tally.add(split, [outcome([[0]], [[2.0]])])
    assert unpack(tally.on_rows[0].loss, LOSS)[4] == pytest.approx(2 * 125)


def test_two_tallies_are_joined_and_one_without_outcomes_leaves_none(dataset: Dataset) -> None:
    tally, whole = two_splits(dataset), Tally(5, 2)
    for _ in range(2):
        whole.join(tally.tested, tally.on_rows)
    assert unpack(whole.tested, COUNT).tolist() == [0, 4, 4, 8, 8]
    assert unpack(whole.on_rows[0].right, COUNT).tolist() == [0, 4, 2, 8, 4]
    whole.join(tally.tested, ())
    assert whole.on_rows == ()
    assert unpack(whole.tested, COUNT).tolist() == [0, 6, 6, 12, 12]


def test_what_is_packed_is_short() -> None:
    assert len(pack(np.random.default_rng(0).integers(0, 40, 100_000), COUNT)) < 150_000
