"""Section `scale`: the coordinator on a warm pool, over ever more trainings; the cost of each should not grow."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from sweep.engines.spec import TrainingSpec
from sweep.execution.batches import BatchTrainer, tile_shape
from sweep.execution.local import Pool
from sweep.search.session import default_workers
from tests.bench.default_study import make_coordinator, read_default
from tests.bench.report import Bar, Section

FULL, QUICK = (64, 256, 1024, 3125), (64, 128)


class Cost(NamedTuple):
    """Seconds of one sweep after start-up, and its parts."""

    trainings: int
    wall: float
    training: float
    sampling: float
    storage: float

    @property
    def each(self) -> float:
        """Milliseconds a training."""
        return 1000 * self.wall / self.trainings


def measure(quick: bool) -> Section:
    """Run sweeps of growing budgets on one warm pool, each into a new database."""
    _, problem = read_default()
    with Pool(default_workers()) as pool:
        run_sweep(pool, problem, 64)  # trainers load and compile
        costs = [run_sweep(pool, problem, trials) for trials in (QUICK if quick else FULL)]
    section = Section("scale", {"sweeps": [cost._asdict() for cost in costs]})
    rows = [
        (f"{cost.trainings:,}", f"{cost.each:.3f}", *(f"{part:.2f}" for part in cost[1:]), f"{1000 / cost.each:,.0f}")
        for cost in costs
    ]
    headers = ("trainings", "ms each", "wall, s", "training, s", "sampling, s", "storage, s", "trainings/s")
    section.add_table(f"cost after start-up, {default_workers()} workers", headers, rows)
    growth = costs[-1].each / costs[0].each
    section.bars.append(Bar("a training's cost, largest / smallest budget", growth, 1.25))
    return section


def run_sweep(pool: Pool, problem: TrainingSpec, trials: int) -> Cost:
    """Run a sweep of `trials` candidates into a new database."""
    study_file, _ = read_default(trials=trials)
    with tempfile.TemporaryDirectory() as folder:
        search = study_file.plan.search
        trainer = BatchTrainer(pool, problem, tile_shape(problem, search.round_size, search.replicates))
        coordinator = make_coordinator(Path(folder) / "scale.db", study_file, trainer)
        began = time.perf_counter()
        coordinator.run()
        wall = time.perf_counter() - began
        coordinator.database.engine.dispose()
    spent = coordinator.seconds
    trainings = trials * study_file.plan.search.replicates
    return Cost(trainings, wall, spent.training, spent.sampling, spent.storage)
