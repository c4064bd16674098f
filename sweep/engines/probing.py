"""Which engine trains a study's networks: found out in a trainer, by building, compiling and timing them."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import keras

from sweep.engines.keras_models import batches, compile_model, said
from sweep.engines.spec import Backend, Choice, Engine, Probe, Shape, TrainingSpec
from sweep.errors import BadInput

CALLED = re.compile(r"calling (?:layer )?[`'\"]?(\w+)\.call\(\)|calling layer \"(\w+)\"")
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
        return _by_fit(spec, "it cannot be built on Keras' JAX backend"), None
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
                raise BadInput(
                    "training.engine", f"no population of this model can be trained: {_obstacle(error)}."
                ) from error
            reason = f"no population of it can be trained: {_obstacle(error)}"
        else:
            step = seconds / (shape.candidates * shape.seeds * spec.timeline.steps_per_epoch)
            choice = Choice("population", "jax", shape, "", started, step)
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
    """Time a few steps of Keras' own training."""
    began = time.perf_counter()
    study = compile_model(spec, run_seed=0)
    steps = batches(spec, study, 0)
    study.model.train_on_batch(*next(steps))
    ready = time.perf_counter()
    done = 0
    for batch in steps:
        study.model.train_on_batch(*batch)
        done += 1
        if done == TIMED_STEPS:
            break
    seconds = (time.perf_counter() - ready) / max(1, done)
    backend: Backend = "jax" if keras.backend.backend() == "jax" else "tensorflow"
    return Choice("fit", backend, Shape(1, 1), reason, ready - began, seconds)


def _obstacle(error: Exception) -> str:
    """Return what stood in the way, with the layer that raised it if Keras names one."""
    found = CALLED.search(str(error))
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not CALLED.search(line)]
    what = f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else said(error)
    return f"`{found.group(1) or found.group(2)}` raised {what}" if found else what
