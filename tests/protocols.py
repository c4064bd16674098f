"""A whole protocol over a fake trainer: search, baselines, race, confirmation, re-splits, in a real database."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sweep.config.plan import Plan
from sweep.data.splitting import split_tail
from sweep.data.table import Dataset
from sweep.execution.batches import Trainer
from sweep.search.loop import SearchProgress
from sweep.store.database import Database
from sweep.verdict.protocol import Protocol
from tests.fakes import DATA_SHA256, ROWS, FakeTrainer

# One look at the re-splits, and no search on outer splits, which takes half the time of a small study.
FEW = {
    "finalists": 3,
    "selection_seeds": 12,
    "confirmation_seeds": 8,
    "splits": 6,
    "split_seeds": 2,
    "most_splits": 6,
    "nested": 0,
}


def made_dataset(rows: int = 351, classes: tuple[str, ...] = ("b", "g")) -> Dataset:
    """Return random rows whose last third is as large as the fake trainer's validation rows."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(rows, 3)).astype(np.float32)
    targets = generator.integers(0, len(classes), rows).astype(np.int32)
    return Dataset.of_arrays(inputs, targets, classes, DATA_SHA256)


def make_protocol(
    database: Database,
    plan: Plan,
    trainer: Trainer | None = None,
    *,
    dataset: Dataset | None = None,
    announce: Callable[[str, int], None] = lambda _part, _runs: None,
    on_progress: Callable[[SearchProgress], None] = lambda _progress: None,
) -> Protocol:
    """Return the protocol of `plan`, with few runs in each stage."""
    rows = dataset or made_dataset()
    split = split_tail(rows, plan.split.fraction)
    assert split.validation_rows == ROWS or dataset is not None
    chosen = trainer or FakeTrainer()
    return Protocol(database, plan, split, chosen, chosen, announce, on_progress)


def few(plan: Plan, **verdict: object) -> Plan:
    """Return the plan with few runs after the search, and one look at the re-splits."""
    table = FEW | {"most_splits": verdict.get("splits", FEW["splits"])} | verdict
    return Plan.model_validate(plan.model_dump(mode="json") | {"verdict": table})
