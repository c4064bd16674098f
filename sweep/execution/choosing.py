"""Choose the engine that trains a study's networks, with the shape of its jobs, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from sweep.candidate import from_params
from sweep.engines.spec import Backend, Choice, EngineName, Item, Job, Probe, Shape, TrainingSpec
from sweep.errors import BadInput, OtherBackend, WrittenForAnother
from sweep.execution.batches import WIDE, narrow_shape, tile_shape
from sweep.execution.local import Pool


def choose_engine(
    pool: Pool,
    spec: TrainingSpec,
    round_size: int,
    replicates: int,
    wanted: EngineName | None = None,
    *,
    timed: int = 0,
) -> Choice:
    """Return the engine for `spec`, and leave the pool with trainers for it.

    One hidden layer has a program of its own. Any other model is tried in every trainer at once, since each of them has
    to compile it and all will be busy later: as a population on Keras' JAX backend, and by Keras' own `fit`, which is
    taken if it is faster or nothing else works.

    Args:
        pool: the trainers.
        spec: what is to be trained.
        round_size: candidates of a round.
        replicates: run seeds of each.
        wanted: the engine, if it is stated.
        timed: run seeds of each candidate after the search, if programs of one hidden layer are timed, too; those of
            other models always are.

    Raises:
        BadInput: for a model that cannot be trained.
    """
    shape = WIDE if pool.gpus else tile_shape(spec, round_size, replicates)
    if first_backend(spec.is_hidden_layer, wanted, on_gpu=bool(pool.gpus)) == "tensorflow":
        pool.use("tensorflow")
        if not timed:
            return Choice("hidden layer", "tensorflow", shape)
    rate = from_params({"schedule": "constant", "learning_rate": 0.01})
    job = Job(spec, (rate,) * shape.candidates, tuple(range(shape.seeds)), shape)
    if timed and pool.backend == "tensorflow":
        return agreed(pool.ask_all(Probe(job, narrow=narrow_shape(spec, timed))))
    only_jax = wanted == "population" or spec.architecture.build is None
    found, failed = on_either_backend(pool, lambda: agreed(pool.ask_all(Probe(job, wanted))), only_jax=only_jax)
    if failed is not None:
        return replace(found, reason=f"{found.reason} ({failed.reason.rstrip('.')})")
    if found.engine == "population" and found.shape != shape:
        place = "the GPU's memory" if pool.gpus else "a core's cache"
        pool.on_notice(f"tiles hold {found.shape} candidates x run seeds: {shape} would not fit {place}")
    return replace(found, device="gpu" if pool.gpus else "cpu")


def on_either_backend(
    pool: Pool, ask: Callable[[], Item], *, only_jax: bool = False
) -> tuple[Item, OtherBackend | None]:
    """Return what the pool's trainers answer on JAX, or else on TensorFlow with what failed on JAX.

    Raises:
        BadInput: for a model that no backend can train; what failed on the one that it is written for, or on JAX.
    """
    pool.use("jax")
    try:
        return ask(), None
    except OtherBackend as failed:
        if only_jax:
            raise
        pool.use("tensorflow")
        try:
            return ask(), failed
        except BadInput as there:
            raise (there if isinstance(failed, WrittenForAnother) else failed) from None


def agreed(choices: Sequence[Choice]) -> Choice:
    """Return the first trainer's choice, at the mean pace of all that chose the same."""
    first = choices[0]
    same = [each for each in choices if (each.engine, each.shape) == (first.engine, first.shape)]
    return replace(
        first,
        start_seconds=max(each.start_seconds for each in same),
        step_seconds=fmean(each.step_seconds for each in same),
        job_seconds=fmean(each.job_seconds for each in same),
    )


def first_backend(hidden_layer: bool, wanted: EngineName | None, *, on_gpu: bool = False) -> Backend:
    """Return the backend that trainers begin with: TensorFlow for one hidden layer on cores, else JAX."""
    return "tensorflow" if hidden_layer and wanted != "fit" and not on_gpu else "jax"


def with_engine(spec: TrainingSpec, choice: Choice) -> tuple[TrainingSpec, Shape]:
    """Return the spec with its engine, and the shape of its jobs."""
    return replace(spec, engine=choice.engine), choice.shape
