"""Which engine trains a study's networks: found out in a trainer, by building, compiling and timing them."""

from __future__ import annotations

import time
from dataclasses import replace

import keras

from sweep.engines.compiled import said
from sweep.engines.keras_models import batches, check_training
from sweep.engines.spec import Backend, Choice, Engine, Probe, Shape, TrainingSpec
from sweep.errors import BadInput

FASTEST_FIT = 2e-4  # seconds that a step of `fit` takes at least, however small the model
TIMED_STEPS, TIMED_EPOCHS = 4, 3


def probe(asked: Probe) -> tuple[Choice, Engine | None]:
    """Return the engine for a job, and, if it was made already, the engine itself.

    Raises:
        BadInput: for a model that no engine can train.
    """
    job, spec = asked.job, asked.spec
    if spec.architecture.is_hidden_layer and asked.wanted is None:
        return _hidden_layer(asked)
    reason = "stated" if asked.wanted == "fit" else ""
    if keras.backend.backend() != "jax":
        return _by_fit(spec, "it cannot be trained on Keras' JAX backend"), None
    if not reason:
        began = time.perf_counter()
        from sweep.engines.keras_population import KerasPopulation  # noqa: PLC0415 - the test of layers is apart

        try:
            engine = KerasPopulation(replace(spec, engine="population"))
            job = replace(job, spec=engine.spec)
            shape = engine.fitting(job)
            part = job.divided(shape)[0][0]
            nothing = engine.train_with_weights(part, epochs=0)[0].seconds  # and it compiles what predicts
            started = time.perf_counter() - began
            nothing = min(nothing, engine.train_with_weights(part, epochs=0)[0].seconds)
            epochs = min(TIMED_EPOCHS, spec.epochs)
            seconds = max(0.0, engine.train_with_weights(part, epochs=epochs)[0].seconds - nothing) / epochs
        except BadInput:
            raise
        except Exception as error:
            if asked.wanted == "population":
                check_training(spec)
                raise BadInput(
                    "training.engine", f"no population of this model can be trained: {said(error)}."
                ) from error
            reason = f"no population of it can be trained: {said(error)}"
        else:
            step = seconds / (shape.candidates * shape.seeds * spec.timeline.steps_per_epoch)
            choice = Choice("population", "jax", shape, "", started, step, engine.study.without_momentum)
            if asked.wanted == "population" or step < FASTEST_FIT:
                return choice, engine
            by_fit = _by_fit(spec, "")
            if step <= by_fit.step_seconds:
                return choice, engine
            reason = f"a step takes {1000 * by_fit.step_seconds:.3g} ms so, and {1000 * step:.3g} ms in a population"
    return _by_fit(spec, reason), None


def _hidden_layer(asked: Probe) -> tuple[Choice, Engine]:
    from sweep.engines.population import Population  # noqa: PLC0415 - it needs TensorFlow

    began, job = time.perf_counter(), asked.job
    engine = Population(job.spec)
    engine.train(job)
    started = time.perf_counter() - began
    step = engine.train(job).seconds / (job.shape.candidates * job.shape.seeds)
    step /= job.spec.epochs * job.spec.timeline.steps_per_epoch
    return Choice("hidden layer", "tensorflow", job.shape, "", started, step), engine


def _by_fit(spec: TrainingSpec, reason: str) -> Choice:
    """Time a few steps of Keras' own training.

    Raises:
        BadInput: if Keras cannot train the model on this backend.
    """
    began = time.perf_counter()
    study = check_training(spec)
    steps = batches(spec, study, 0)
    ready = time.perf_counter()
    done = 0
    for batch in steps:
        study.model.train_on_batch(*batch)
        done += 1
        if done == TIMED_STEPS:
            break
    seconds = (time.perf_counter() - ready) / max(1, done)
    backend: Backend = "jax" if keras.backend.backend() == "jax" else "tensorflow"
    return Choice("fit", backend, Shape(1, 1), reason, ready - began, seconds, study.without_momentum)
