"""From a study file to what trains it: rows, training spec, and an objective for Optuna alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna

from sweep.candidate import Candidate, layer_factors
from sweep.config.plan import ClassWeight, Plan, check_rates
from sweep.config.study_file import StudyFile, read_study_file
from sweep.data.resplitting import has_value
from sweep.data.splitting import split_rows
from sweep.data.table import Dataset, Split, read_dataset
from sweep.engines.spec import Architecture, Choice, TrainingSpec
from sweep.errors import BadInput, nearest
from sweep.execution.batches import BatchTrainer, Trainer
from sweep.execution.choosing import choose_engine, first_backend, with_engine
from sweep.execution.compile_cache import CompileCache, default_cache
from sweep.execution.devices import find_gpus
from sweep.execution.local import Pool
from sweep.schedules import CATALOGUE, ClosedLoop
from sweep.search.loop import to_record
from sweep.search.space import SearchSpace
from sweep.space import extremes
from sweep.task import METRICS, MetricName


def read_data(study_file: StudyFile) -> tuple[StudyFile, Dataset]:
    """Read the study file's data; return it behind the study file, in which what was found in the data is stated."""
    plan = study_file.plan
    dataset = read_dataset(study_file.source(), plan.data.keys, plan.search.metric, plan.split.beside)
    if study_file.build is None and not dataset.layout.width:
        dataset = dataset.flattened()
    return study_file.settled(dataset), dataset


def make_spec(study_file: StudyFile, dataset: Dataset) -> TrainingSpec:
    """Return what all trainings of the study share."""
    plan = study_file.plan
    own = plan.split
    split = split_rows(dataset, own.kind, own.fraction, own.split_seed, own.turns)
    architecture = Architecture(
        features=dataset.features,
        classes=len(dataset.classes),
        hidden=plan.model.hidden,
        activation=plan.model.activation,
        build=study_file.build,
        shape=dataset.row_shape,
        outputs=1 if dataset.classes else dataset.task.outputs,
        labels=dataset.task.name == "labels",
        heads=dataset.heads,
    )
    if architecture.build is None:  # another model's layers are known once it is built
        layer_factors(plan.optimizer, architecture.layers)
    check_metric(plan.metric, split)
    return TrainingSpec(
        split,
        architecture,
        plan.training.epochs,
        plan.training.batch_size,
        optimizer=plan.optimizer,
        nesterov=plan.nesterov,
        closed_loop=tuple(name for name in plan.schedules if issubclass(CATALOGUE[name], ClosedLoop)),
        class_weights=class_weights(plan.training.class_weight, dataset),
        early_stopping=plan.training.early_stopping,
    )


def check_metric(metric: MetricName, split: Split) -> None:
    """Raise `BadInput` for a metric that compares different targets if all validation rows have the same one."""
    lacking = next((each for each in split.each if not has_value(metric, each.validation_targets)), None)
    if lacking is not None:
        targets = lacking.validation_targets
        what = f"label, {split.dataset.classes[int(targets[0])]!r}" if split.dataset.classes else "number"
        what = "labels" if split.dataset.task.name == "labels" else what
        reason = f"{metric} has no value where all validation rows have the same {what}; take another metric or split."
        raise BadInput("search.metric", reason)


def class_weights(given: ClassWeight | None, dataset: Dataset) -> tuple[float, ...]:
    """Return the weight of each class, by its index; empty if all weigh 1.

    `balanced` gives each class the same weight in all, and the average row 1, as scikit-learn does.

    Raises:
        BadInput: for a label that the data set does not have.
    """
    if given is None:
        return ()
    if given == "balanced":
        counts = np.bincount(dataset.targets, minlength=len(dataset.classes))
        weights = (dataset.rows / (len(counts) * counts)).tolist()
    else:
        for label in given:
            if label not in dataset.classes:
                known = nearest(label, dataset.classes) or f"; the first ones are {', '.join(dataset.classes[:5])}."
                raise BadInput(f"training.class_weight.{label}", f"no row has the label {label!r}{known}")
        weights = [given.get(label, 1.0) for label in dataset.classes]
    return () if set(weights) == {1.0} else tuple(weights)


def default_workers() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_pool(plan: Plan, workers: int | None = None, *, keep_programs: bool = True, **told: Any) -> Pool:
    """Return the trainers of a study, not started yet, for the engine that its study file alone leads to expect.

    Args:
        plan: the study's plan.
        workers: trainers; one for each core by default, and for each GPU where these are used.
        keep_programs: whether to use the compile cache.
        told: the pool's `on_shares` and `on_notice`.
    """
    training, hidden_layer = plan.training, plan.model.is_hidden_layer and plan.training.early_stopping is None
    gpus = find_gpus(training.device, hidden_layer=hidden_layer)
    backend = first_backend(hidden_layer, training.wanted, on_gpu=bool(gpus))
    cache = default_cache() if keep_programs else CompileCache(None)
    return Pool(workers or default_workers(), cache, backend=backend, gpus=gpus, **told)


def check_momentum(plan: Plan, choice: Choice) -> None:
    """Refuse to search the momentum of an optimizer that has none.

    Raises:
        BadInput: if any candidate of the search would have one.
    """
    if choice.without_momentum and set(extremes(plan.search.momentum)) != {0.0}:
        raise BadInput(
            "search.momentum", f"must be 0.0, since the model's optimizer, {choice.without_momentum}, has no momentum."
        )


@dataclass(frozen=True)
class Objective:
    """Call it with an Optuna trial: it returns the mean final score over the run seeds, which `direction` improves."""

    space: SearchSpace
    trainer: Trainer
    run_seeds: Sequence[int]
    metric: MetricName = "accuracy"

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """What an Optuna study of it is to do."""
        return METRICS[self.metric].direction

    def __call__(self, trial: optuna.Trial) -> float:
        """Train one candidate drawn by `trial` and record its runs as the trial's user attributes."""
        candidate = self.space.suggest(trial)
        ((_, outcome),) = self.trainer.train([candidate], self.run_seeds)
        for key, value in to_record(candidate, outcome).attributes().items():
            trial.set_user_attr(key, value)
        return outcome.value(self.metric)

    def enqueue(self, study: optuna.Study, candidates: Iterable[Candidate]) -> None:
        """Queue candidates, such as a study file's recipes, ahead of what the sampler proposes."""
        for candidate in candidates:
            study.enqueue_trial(self.space.params(candidate), skip_if_exists=True)


@contextlib.contextmanager
def objective_from(study_file: str | Path, workers: int | None = None) -> Iterator[Objective]:
    """Open the objective of a study file, for use with Optuna alone.

    >>> import optuna
    >>> with objective_from("studies/smoke.toml", workers=1) as objective:  # doctest: +SKIP
    ...     study = optuna.create_study(direction=objective.direction)
    ...     study.optimize(objective, n_trials=20)
    """
    read = read_study_file(Path(study_file))
    check_rates(read.plan)
    read, dataset = read_data(read)
    spec, replicates, wanted = make_spec(read, dataset), read.plan.search.replicates, read.plan.training.wanted
    with make_pool(read.plan, workers) as pool:
        choice = choose_engine(pool, spec, 1, replicates, wanted)
        check_momentum(read.plan, choice)
        spec, shape = with_engine(spec, choice)
        trainer = BatchTrainer(pool, spec, shape)
        yield Objective(SearchSpace(read.plan.search), trainer, range(replicates), read.plan.metric)
