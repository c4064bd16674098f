"""Which engine trains a study's networks: found out in a trainer, by building, compiling and timing them."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import keras

from sweep.engines.compiled import said
from sweep.engines.keras_fit import PREDICTED_ROWS
from sweep.engines.keras_models import StudyModel, batches, check_training, compile_model
from sweep.engines.spec import Backend, Choice, Engine, Job, Probe, Shape
from sweep.errors import BadInput, OutOfMemory

FASTEST_FIT = 2e-4  # seconds that a step of `fit` takes at least, however small the model
FASTEST_TRAINING = 0.02  # and a training, of what a population takes to be compiled: it compiles in each
TIMED_STEPS, TIMED_EPOCHS = 8, 3
UNTIMED_STEPS = 3  # each of the first two compiles


def probe(asked: Probe) -> tuple[Choice, Engine | None]:
    """Return the engine for a job, and, if it was made already, the engine itself.

    Raises:
        BadInput: for a model that no engine can train.
    """
    job, spec = asked.job, asked.spec
    if spec.is_hidden_layer and asked.wanted is None and keras.backend.backend() == "tensorflow":
        return _hidden_layer(asked)
    reason = "`training.engine` states it" if asked.wanted == "fit" else ""
    if keras.backend.backend() != "jax":
        return _by_fit(asked, "it cannot be trained on Keras' JAX backend"), None
    if not reason:
        began = time.perf_counter()
        from sweep.engines.keras_population import KerasPopulation  # noqa: PLC0415 - the test of layers is apart

        try:
            engine = KerasPopulation(replace(spec, engine="population"))
            job = replace(job, spec=engine.spec)
            shape = engine.fitting(job)
            part = job.divided(shape)[0][0]
            engine.train_with_weights(part, epochs=0)  # which compiles what predicts
            started = time.perf_counter() - began
            first, second = (_of_other_seeds(part, turn) for turn in (1, 2))
            nothing, epochs = engine.train_with_weights(first, epochs=0)[0].seconds, min(TIMED_EPOCHS, spec.epochs)
            seconds = max(0.0, engine.train_with_weights(second, epochs=epochs)[0].seconds - nothing) / epochs
        except BadInput:
            raise
        except Exception as error:
            if OutOfMemory.told_by(error):
                raise
            if asked.wanted == "population":
                check_training(spec)
                raise BadInput(
                    "training.engine", f"no population of this model can be trained: {said(error)}."
                ) from error
            reason = f"no population of it can be trained: {said(error)}"
        else:
            step = seconds / (shape.members * spec.timeline.steps_per_epoch)
            choice = Choice("population", "jax", shape, "", started, step, engine.study.without_momentum, nothing)
            ours = choice.training_takes(spec.timeline)
            if asked.wanted == "population" or step < FASTEST_FIT or ours < FASTEST_TRAINING * started:
                return choice, engine
            by_fit = _by_fit(asked, "", ours)
            theirs = by_fit.training_takes(spec.timeline)
            if ours <= theirs:
                return choice, engine
            reason = f"a training takes {theirs:.3g} s so, and {ours:.3g} s in a population"
    return _by_fit(asked, reason), None


def _hidden_layer(asked: Probe) -> tuple[Choice, Engine]:
    from sweep.engines.population import Population  # noqa: PLC0415 - it needs TensorFlow

    began, job = time.perf_counter(), replace(asked.job, spec=replace(asked.spec, engine="hidden layer"))
    engine, steps = Population(job.spec), job.spec.epochs * job.spec.timeline.steps_per_epoch

    def timed(shape: Shape) -> tuple[int, float]:
        part = job.divided(shape)[0][0]
        engine.train(part)
        took = min(engine.train(_of_other_seeds(part, turn)).seconds for turn in (1, 2))
        return shape.members, took

    members, seconds = timed(job.shape)
    started, nothing = time.perf_counter() - began, 0.0
    if asked.narrow is not None and asked.narrow.members < members:
        fewer, quicker = timed(asked.narrow)
        nothing = min(seconds, quicker, max(0.0, quicker - fewer * (seconds - quicker) / (members - fewer)))
    step = (seconds - nothing) / (members * steps)
    return Choice("hidden layer", "tensorflow", job.shape, "", started, step, "", nothing), engine


def _of_other_seeds(job: Job, turn: int) -> Job:
    """Return the job with run seeds that no earlier turn had, so that an engine has kept nothing of them."""
    return replace(job, run_seeds=tuple(seed + turn * len(job.run_seeds) for seed in job.run_seeds))


def _by_fit(asked: Probe, reason: str, limit: float = math.inf) -> Choice:
    """Time Keras' own training: what each one takes besides its steps, and a few steps.

    A candidate is compiled once for the run seeds of a job. If that alone takes longer than
    trainings of `limit` seconds each, nothing more is timed.

    Raises:
        BadInput: if Keras cannot train the model on this backend.
    """
    spec, sharing, began = asked.spec, len(asked.job.run_seeds), time.perf_counter()
    check_training(spec)
    ready = time.perf_counter()
    if ready - began > limit * sharing:
        return Choice("fit", _backend(), Shape(1, 1), reason, ready - began, 0.0, "", (ready - began) / sharing)
    timeline, targets = spec.timeline, spec.split.validation_targets

    def fit(study: StudyModel, steps: int) -> float:
        started = time.perf_counter()
        study.model.fit(batches(spec, study, 1), steps_per_epoch=steps, shuffle=False, verbose=0)
        return time.perf_counter() - started

    def validate(study: StudyModel) -> float:
        started, held = time.perf_counter(), study.targets(targets, spec.architecture.classes)
        study.model.evaluate(spec.split.validation_inputs, held, batch_size=spec.batch_size, verbose=0)
        return time.perf_counter() - started

    def begun(kept: StudyModel | None = None) -> StudyModel:
        study = compile_model(spec, run_seed=1) if kept is None else kept.begun_again(spec, run_seed=1)
        fit(study, min(UNTIMED_STEPS, timeline.steps_per_epoch))
        validate(study)
        study.model.predict(spec.split.validation_inputs, batch_size=PREDICTED_ROWS, verbose=0)
        return study

    try:
        begun()  # what it compiles may be kept, as for all trainings but the first
        ready = time.perf_counter()
        study = begun()
        compiled = time.perf_counter()
        begun(study)
        whole = compiled - ready + (sharing - 1) * (time.perf_counter() - compiled)
        timed = min(TIMED_STEPS, timeline.steps_per_epoch)
        step = fit(study, timed) / timed + validate(study) / timeline.steps_per_epoch
    except Exception as error:
        raise BadInput("model.build", f"the model cannot be trained by `fit`: {said(error)}.") from error
    return Choice("fit", _backend(), Shape(1, 1), reason, ready - began, step, study.without_momentum, whole / sharing)


def _backend() -> Backend:
    return "jax" if keras.backend.backend() == "jax" else "tensorflow"
