"""Small problems that every test of the trainers can train in a second."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.table import Split, read_csv, split_tail
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.execution.worker import environment

# Tests that train in this process compute as a trainer does: XLA reads its flags when it is first used.
os.environ.update(environment())

IONOSPHERE = Path(__file__).parents[2] / "data" / "ionosphere.csv"


@pytest.fixture(scope="session")
def ionosphere() -> Split:
    return split_tail(read_csv(IONOSPHERE, header=False, label=-1), 0.33)


@pytest.fixture(scope="session")
def three_classes() -> Split:
    """Three noisy clusters, 50 training and 25 validation rows of 4 numbers."""
    generator = np.random.default_rng(0)
    targets = np.arange(75, dtype=np.int32) % 3
    inputs = (generator.normal(size=(75, 4)) + targets[:, None]).astype(np.float32)
    return Split(inputs[:50], targets[:50], inputs[50:], targets[50:])


@pytest.fixture(scope="session")
def resplits(ionosphere: Split) -> list[Split]:
    """The same rows, divided three times at random into as many of each kind."""
    inputs = np.concatenate([ionosphere.train_inputs, ionosphere.validation_inputs])
    targets = np.concatenate([ionosphere.train_targets, ionosphere.validation_targets])
    orders = [np.random.default_rng(seed).permutation(len(targets)) for seed in range(3)]
    ends = [(order[: ionosphere.train_rows], order[ionosphere.train_rows :]) for order in orders]
    return [Split(inputs[train], targets[train], inputs[held], targets[held]) for train, held in ends]


@pytest.fixture(scope="session")
def small(ionosphere: Split) -> TrainingSpec:
    return TrainingSpec(ionosphere, Architecture(34, 2, (8,)), epochs=3, batch_size=28, nesterov=True)


@pytest.fixture(scope="session")
def candidates() -> list[Candidate]:
    """Settings of every kind, all of them on the stable side of the learning rate."""
    return [from_params(params) for params in SETTINGS]


@pytest.fixture(scope="session")
def drawn() -> list[Candidate]:
    """Ten more, drawn at random from the stable side."""
    generator, names = np.random.default_rng(0), ("constant", "time", "time_compounding", "time_by_batch", "step")
    return [draw(generator, names[number % len(names)]) for number in range(10)]


def draw(generator: np.random.Generator, name: str) -> Candidate:
    """Draw a setting whose effective rate, `learning_rate / (1 - momentum)`, is at most 0.5."""
    momentum = float(generator.uniform(0, 0.9))
    rate = float(10 ** generator.uniform(-2, np.log10(0.5))) * (1 - momentum)
    own: dict[str, Any] = {"decay": float(10 ** generator.uniform(-3, -1))} if "time" in name else {}
    if "step" in name:
        own = {"drop": float(generator.uniform(0.2, 0.8)), "epochs_drop": int(generator.integers(3, 25))}
    params: dict[str, Any] = {
        "schedule": name,
        "learning_rate": rate,
        "momentum": momentum,
        "nesterov": bool(generator.integers(2)),
    }
    return from_params(params | {f"{name}.{key}": value for key, value in own.items()})


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
