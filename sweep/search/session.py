"""From a study file to what trains it: the problem, the pool of processes and the objective."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna

from sweep.config.study_file import Plan, StudyFile, check_rates, read_study_file
from sweep.data.table import Dataset, Split, read_csv, split_stratified, split_tail
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.execution.batches import BatchTrainer, tile_shape
from sweep.execution.local import Pool
from sweep.optimizer import layer_factors
from sweep.schedules import CATALOGUE, ClosedLoop
from sweep.search.distributions import SearchSpace
from sweep.search.objective import Objective


def quiet_optuna() -> None:
    """Keep Optuna's own messages to warnings: a run shows its progress itself."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def read_data(study_file: StudyFile) -> Dataset:
    """Read the study file's data."""
    data = study_file.plan.data
    return read_csv(study_file.data_path, header=data.header, label=data.label)


def make_spec(study_file: StudyFile, dataset: Dataset) -> TrainingSpec:
    """Return what all trainings of the study share."""
    plan = study_file.plan
    architecture = Architecture(
        features=dataset.inputs.shape[1],
        classes=len(dataset.classes),
        hidden=plan.model.hidden,
        activation=plan.model.activation,
        build=study_file.build,
    )
    if architecture.build is None:  # another model's layers are known once it is built
        layer_factors(plan.optimizer, architecture.layers)
    return TrainingSpec(
        split_rows(study_file, dataset),
        architecture,
        plan.training.epochs,
        plan.training.batch_size,
        optimizer=plan.optimizer,
        nesterov=plan.nesterov,
        closed_loop=tuple(name for name in plan.schedules if issubclass(CATALOGUE[name], ClosedLoop)),
    )


def split_rows(study_file: StudyFile, dataset: Dataset) -> Split:
    """Split the rows as the study file says."""
    split = study_file.plan.split
    if split.kind == "tail":
        return split_tail(dataset, split.fraction)
    return split_stratified(dataset, split.fraction, split.split_seed)


def make_trainer(
    pool: Pool, problem: TrainingSpec, plan: Plan, on_runs: Callable[[int], None] | None = None
) -> BatchTrainer:
    """Return a trainer whose tiles fit the plan's rounds."""
    shape = tile_shape(problem, plan.search.round_size, plan.search.replicates)
    return BatchTrainer(pool, problem, shape, on_runs)


def default_workers() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def objective_from(study_file: str | Path, workers: int | None = None) -> Iterator[Objective]:
    """Open the objective of a study file, for use with Optuna alone.

    >>> import optuna
    >>> with objective_from("studies/smoke.toml", workers=1) as objective:  # doctest: +SKIP
    ...     study = optuna.create_study(direction="maximize")
    ...     study.optimize(objective, n_trials=20)
    """
    read = read_study_file(Path(study_file))
    check_rates(read.plan)
    problem = make_spec(read, read_data(read))
    replicates = read.plan.search.replicates
    with Pool(workers or default_workers()) as pool:
        trainer = BatchTrainer(pool, problem, tile_shape(problem, 1, replicates))
        yield Objective(SearchSpace(read.plan.search), trainer, range(replicates))
