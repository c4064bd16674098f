"""The same trainings as a population and by Keras' `fit`, in a process whose Keras computes with JAX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from sweep.data.table import Split
from sweep.engines.spec import Curves, Float32, Job, Probe, Shape, TrainingSpec
from sweep.task import MetricName


class Both(NamedTuple):
    """All members as a population; the first one by `fit`: its curves by epoch, its scores, and its weights by both."""

    population: Curves
    curves: dict[str, Any]
    scores: dict[MetricName, float]
    weights: list[tuple[Float32, Float32]]


def side_by_side(job: Job) -> Both:
    """Train a job as a population, and its first member by `fit`."""
    from sweep.engines.keras_fit import train_member
    from sweep.engines.keras_population import KerasPopulation

    split, task = job.spec.split, job.spec.architecture.task
    curves, members = KerasPopulation(job.spec).train_with_weights(job)
    alone = train_member(job.spec, job.candidates[0], job.run_seeds[0])
    groups = [(members.trained, alone.model.trainable_variables), (members.others, alone.model.non_trainable_variables)]
    pairs = [
        (np.asarray(ours).reshape(-1, *theirs.shape)[0], np.asarray(theirs))
        for group, variables in groups
        for ours, theirs in zip(group, variables, strict=True)
    ]
    scores = {each.name: float(each.score(alone.outputs[None], split.validation_targets)[0]) for each in task.metrics}
    return Both(curves, alone.curves, scores, pairs)


def each_side_by_side(jobs: list[Job], compiled: list[dict[str, Any]] | None = None) -> list[Both]:
    """Train jobs side by side, in programs that are compiled in haste.

    With `compiled`, the models are `tests.engines.exported:chosen`, each with its own loss and optimizer.
    """
    import jax

    from tests.engines import exported

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        found = []
        for job, chosen in zip(jobs, compiled or [{} for _ in jobs], strict=True):
            exported.current = chosen
            found.append(side_by_side(job))
        return found
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def trained(jobs: list[Job]) -> list[Curves]:
    """Train jobs one after the other on one engine."""
    from sweep.engines.keras_population import KerasPopulation

    population = KerasPopulation(jobs[0].spec)
    return [population.train(job) for job in jobs]


def by_both_engines(job: Job) -> tuple[Curves, Curves]:
    """Train a job by either engine."""
    from sweep.engines.keras_fit import KerasFit
    from sweep.engines.keras_population import KerasPopulation

    return KerasPopulation(job.spec).train(job), KerasFit(job.spec).train(job)


def second_seed_by_fit(job: Job) -> tuple[Curves, dict[str, Any]]:
    """Train a job by `fit`, and the member of its second run seed once more, on a model of its own."""
    from sweep.engines.keras_fit import KerasFit, train_member

    return KerasFit(job.spec).train(job), train_member(job.spec, job.candidates[0], job.run_seeds[1]).curves


def divided(job: Job, tile_bytes: int) -> tuple[Shape, Curves]:
    """Train a job in so much memory, with orders for one epoch at once; return the shape that fits, and the curves."""
    from sweep.engines import keras_population

    before = keras_population.TILE_BYTES, keras_population.COURSE_BYTES
    keras_population.TILE_BYTES, keras_population.COURSE_BYTES = tile_bytes, 1
    try:
        population = keras_population.KerasPopulation(job.spec)
        return population.fitting(job), population.train(job)
    finally:
        keras_population.TILE_BYTES, keras_population.COURSE_BYTES = before


def choice(question: Probe) -> Any:
    """Return the engine for a question."""
    from sweep.engines.probing import probe

    return probe(question)[0]


def plain_fit(spec: TrainingSpec, rate: float, run_seed: int) -> dict[str, list[float]]:
    """Train a dense stack by `fit(sample_weight=)` as a user would, all rows in one batch; return what it reports."""
    import keras

    from sweep.engines.building import build_model

    split, task = spec.split, spec.architecture.task
    weights = np.ones(split.train_rows, np.float32) if split.train_weights is None else split.train_weights
    if spec.class_weights:
        weights = weights * np.array(spec.class_weights, np.float32)[split.train_targets]
    model = build_model(spec.architecture, run_seed)
    model.compile(keras.optimizers.SGD(rate), task.loss)
    found: dict[str, list[float]] = model.fit(
        split.train_inputs,
        split.train_targets,
        batch_size=split.train_rows,
        epochs=spec.epochs,
        validation_data=(split.validation_inputs, split.validation_targets),
        validation_batch_size=split.validation_rows,
        sample_weight=weights,
        verbose=0,
    ).history
    return found


def with_weights(split: Split) -> Split:
    """Return a split whose rows have weights from 0 to 3."""
    weights = (np.arange(split.dataset.rows) % 7 / 2).astype(np.float32)
    return replace(split, dataset=replace(split.dataset, weights=weights))
