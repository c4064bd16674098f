"""Small problems that every test of the trainers can train in a second."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.splitting import split_tail
from sweep.data.table import DataKeys, Dataset, Split, read_dataset
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.execution.worker import environment

# Tests that train in this process compute as a trainer does: XLA reads its flags when it is first used.
os.environ.update(environment())

IONOSPHERE = Path(__file__).parents[2] / "data" / "ionosphere.csv"


@pytest.fixture(scope="session")
def ionosphere() -> Split:
    return split_tail(read_dataset(IONOSPHERE, DataKeys(header=False, label=-1, scale="none")), 0.33)


@pytest.fixture(scope="session")
def three_classes() -> Split:
    """Three noisy clusters, 50 training and 25 validation rows of 4 numbers."""
    generator = np.random.default_rng(0)
    targets = np.arange(75, dtype=np.int32) % 3
    inputs = (generator.normal(size=(75, 4)) + targets[:, None]).astype(np.float32)
    rows = np.arange(75, dtype=np.int32)
    return Split.of(Dataset.of_arrays(inputs, targets, ("a", "b", "c"), sha256=""), rows[:50], rows[50:])


@pytest.fixture(scope="session")
def labels(three_classes: Split) -> Split:
    """The same rows with three labels of 0 or 1 each, 48 to train on."""
    targets = (np.asarray(three_classes.dataset.values)[:, :3] > 1).astype(np.int32)
    dataset = replace(three_classes.dataset, targets=targets, classes=())
    return Split.of(dataset, three_classes.train_index[:48], three_classes.validation_index)


@pytest.fixture(scope="session")
def two_numbers(three_classes: Split) -> Split:
    """The same rows with two numbers of one scale each, 48 to train on."""
    targets = np.asarray(three_classes.dataset.values)[:, :2] * [20, 30] + [100, 0]
    dataset = replace(three_classes.dataset, targets=targets, classes=())
    return Split.of(dataset, three_classes.train_index[:48], three_classes.validation_index)


@pytest.fixture(scope="session")
def heads(three_classes: Split) -> Split:
    """The same rows with the targets of two outputs: the class, and two numbers; 48 to train on."""
    kind, values = three_classes.dataset.targets[:, None], np.asarray(three_classes.dataset.values)
    targets = {"kind": kind, "size": (values[:, :2] * [2, 3]).astype(np.float32)}
    dataset = replace(three_classes.dataset, targets=targets, classes=())
    return Split.of(dataset, three_classes.train_index[:48], three_classes.validation_index)


@pytest.fixture(scope="session")
def of_parts(three_classes: Split) -> Split:
    """The same rows with other inputs: an image, an age, and words, of which the image tells the class."""
    generator, rows = np.random.default_rng(1), len(three_classes.dataset.targets)
    image = np.asarray(three_classes.dataset.values).reshape(rows, 2, 2)
    age, words = generator.normal(size=(rows, 1)), generator.integers(0, 9, (rows, 5))
    values = {"image": image.astype(np.float32), "age": age.astype(np.float32), "words": words.astype(np.int32)}
    dataset = replace(three_classes.dataset, values=values)
    return Split.of(dataset, three_classes.train_index[:48], three_classes.validation_index)


@pytest.fixture(scope="session")
def numbers() -> Split:
    """A target of mean 100 and deviation 40 with noise, 50 training and 25 validation rows of 4 numbers."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(75, 4)).astype(np.float32)
    targets = 100 + 20 * inputs @ [1.0, -1.0, 1.5, 0.0] + 5 * generator.normal(size=75)
    rows = np.arange(75, dtype=np.int32)
    return Split.of(Dataset.of_arrays(inputs, targets), rows[:50], rows[50:])


@pytest.fixture(scope="session")
def resplits(ionosphere: Split) -> list[Split]:
    """The same rows, divided three times at random into as many of each kind."""
    rows, train = ionosphere.train_rows + ionosphere.validation_rows, ionosphere.train_rows
    orders = [np.random.default_rng(seed).permutation(rows).astype(np.int32) for seed in range(3)]
    return [Split.of(ionosphere.dataset, order[:train], order[train:]) for order in orders]


@pytest.fixture(scope="session")
def small(ionosphere: Split) -> TrainingSpec:
    return TrainingSpec(ionosphere, Architecture(34, 2, (8,)), epochs=3, batch_size=28, nesterov=True)


@pytest.fixture(scope="session")
def candidates() -> list[Candidate]:
    """Settings of every kind, all of them on the stable side of the learning rate."""
    return [from_params(params) for params in SETTINGS]


SETTINGS: list[dict[str, float | int | bool | str]] = [
    {"schedule": "constant", "learning_rate": 0.01},
    {"schedule": "constant", "learning_rate": 0.1},
    {"schedule": "constant", "learning_rate": 0.05, "momentum": 0.9},
    {"schedule": "time", "learning_rate": 0.1, "time.decay": 0.02, "momentum": 0.5},
    {"schedule": "time_by_batch", "learning_rate": 0.1, "time_by_batch.decay": 0.002, "momentum": 0.8},
    {"schedule": "time_compounding", "learning_rate": 0.2, "time_compounding.decay": 0.01},
    {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 10, "momentum": 0.8},
    {"schedule": "step_from_zero", "learning_rate": 0.2, "step_from_zero.drop": 0.3, "step_from_zero.epochs_drop": 7},
    {"schedule": "constant", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    {
        "schedule": "time",
        "learning_rate": 0.05,
        "momentum": 0.8,
        "nesterov": True,
    },
]
