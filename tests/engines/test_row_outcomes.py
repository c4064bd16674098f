"""What is kept of each validation row, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest

from sweep.data.table import Split
from sweep.engines.row_outcomes import RowOutcomes, has_row_outcomes, uninformed_predictions
from sweep.task import Task

CASES: dict[str, tuple[Any, Any, Any, Any]] = {  # predictions of one network, targets, which rows are right, losses
    "two classes": ([[0.25, 0.75], [0.9, 0.1]], [1, 1], [True, False], [-log(0.75), -log(0.1)]),
    "three classes": ([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [0, 1], [True, False], [-log(0.5), -log(0.1)]),
    "labels": (
        [[0.75, 0.25], [0.75, 0.75]],
        [[1, 0], [1, 0]],
        [True, False],
        [-log(0.75), -(log(0.75) + log(0.25)) / 2],
    ),
    "numbers": ([[1.5], [-1.0]], [1.0, 1.0], [False, False], [0.25, 4.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_row_is_right_or_not_and_has_its_loss(name: str) -> None:
    outputs, wanted, right, losses = CASES[name]
    targets: Any = np.array(wanted, np.float32 if name == "numbers" else np.int32)
    found = RowOutcomes.of(np.array([outputs], np.float32), targets)
    assert found.right.tolist() == [right]
    np.testing.assert_allclose(found.loss, [losses], rtol=1e-3)


def test_a_loss_too_large_for_half_precision_is_the_largest_number() -> None:
    found = RowOutcomes.of(np.array([[[1e9], [np.nan]]], np.float32), np.zeros(2, np.float32))
    assert found.loss.tolist() == [[65504.0, 65504.0]]


def test_networks_are_filled_in_seed_by_seed_and_put_side_by_side() -> None:
    """Eleven rows take two bytes; the network of candidate c and seed s is right on the first 2 c + s of them."""
    counts = [2 * candidate + seed for seed in range(2) for candidate in range(3)]
    second = (np.arange(11) < np.array(counts)[:, None]).astype(np.float32)
    shares, targets = np.stack([1 - second, second], axis=2), np.ones(11, np.int32)
    room = RowOutcomes.empty((3, 2), 11)
    room.fill(range(3), range(2), shares, targets)
    assert (room.bits.shape, room.bits.itemsize, room.loss.itemsize) == ((3, 2, 2), 1, 2)
    assert room.right.sum(axis=-1).tolist() == [[0, 1], [2, 3], [4, 5]]
    joined = RowOutcomes.joined([room, room], axis=1)
    assert joined is not None
    assert joined[2].right.sum(axis=-1).tolist() == [4, 5, 4, 5]
    assert RowOutcomes.joined([room, None], axis=1) is None


def test_a_run_that_diverged_has_the_loss_of_a_network_that_reads_no_input(three_classes: Split) -> None:
    split = replace(three_classes, train_index=three_classes.train_index[:4])  # of which 2, 1 and 1 are of each class
    room = RowOutcomes.empty((1, 2), split.validation_rows)
    room.settle(np.array([[False, True]]), split)
    wanted = np.array([log(2), log(4), log(4)])[split.validation_targets]
    np.testing.assert_allclose(room.loss, [[np.zeros(25), wanted]], rtol=1e-3)


def test_numbers_are_guessed_by_their_mean_and_labels_by_their_shares(numbers: Split, labels: Split) -> None:
    assert uninformed_predictions(numbers).tolist() == [[[0.0]] * 25]
    np.testing.assert_allclose(uninformed_predictions(labels)[0, 0], labels.train_targets.mean(axis=0))


def test_several_numbers_and_several_outputs_have_none() -> None:
    tasks = Task.of(2), Task.of(3), Task.of(0, 3, labels=True), Task.of(0), Task.of(0, 2), Task.of(0, heads=True)
    assert [has_row_outcomes(task) for task in tasks] == [True, True, True, True, False, False]
