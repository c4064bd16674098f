"""Section `gpu`: trainings a second on one GPU, by the population and by a hand-written `jit(vmap(scan))` in JAX.

Two models on 1,257 rows of digits, 20 epochs in batches of 32: a dense network with one hidden layer of 34 units, and
the CNN of the section `models`. Each way is a process of its own: `python -m tests.bench.gpu ours|vmap MODEL MEMBERS`.
Needs `jax[cuda12]`; where JAX sees no GPU the section says so and measures nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from sweep.execution.devices import gpus
from sweep.execution.worker import environment
from tests.bench.default_study import ROOT
from tests.bench.report import Section

EPOCHS = 20
WIDTHS = (64, 256, 1024)  # members at once
MODELS, WAYS = ("small", "convolved"), ("ours", "vmap")


def measure(quick: bool) -> Section:
    """Measure both models in both ways, at several widths."""
    section, rows = Section("gpu"), []
    if not gpus():
        section.add_table("JAX sees no GPU: nothing is measured", ("way",), [])
        return section
    for model in MODELS:
        for width in WIDTHS[: 1 if quick else None]:
            found = {way: probe(way, model, width) for way in WAYS}
            section.data[f"{model}, {width}"] = found
            paces = [found[way]["trainings"] for way in WAYS]
            rows.append((model, f"{width:,}", *(f"{pace:,.0f}" for pace in paces), f"{paces[0] / paces[1]:.2f}"))
    section.add_table("trainings a second on one GPU", ("model", "members", *WAYS, "ours / vmap"), rows)
    return section


def probe(way: str, model: str, width: int) -> dict[str, float]:
    """Measure one way in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.gpu", way, model, str(width)],
        cwd=ROOT,
        env=environment(backend="jax", gpu=(gpus() or (None,))[0]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def small() -> Any:
    """Build the small dense network."""
    from keras import Input, Sequential, layers

    return Sequential([Input((64,)), layers.Dense(34, "relu"), layers.Dense(10, "softmax")])


def spec(model: str) -> Any:
    """Return the training of a model."""
    from dataclasses import replace

    from sweep.engines.spec import Architecture
    from tests.bench.models import task

    build = "tests.bench.gpu:small" if model == "small" else f"tests.whole_models:{model}"
    return replace(task(EPOCHS), architecture=Architecture(64, 10, build=build))


def ours(model: str, width: int) -> dict[str, float]:
    """Train tiles by the population."""
    from sweep.candidate import from_params
    from sweep.engines.keras_population import KerasPopulation
    from sweep.engines.spec import Job, Shape

    seeds = 16
    rates = tuple(
        from_params({"schedule": "constant", "learning_rate": 0.01, "momentum": 0.9}) for _ in range(width // seeds)
    )
    job = Job(spec(model), rates, tuple(range(seeds)), Shape(len(rates), seeds))
    population = KerasPopulation(job.spec)
    return timed(lambda: population.train(job), width)


def vmap(model: str, width: int) -> dict[str, float]:
    """Train as many members by `jit(vmap(scan))`, SGD with momentum written out; nothing is validated."""
    import jax
    import jax.numpy as jnp
    import keras
    import numpy as np

    training = spec(model)
    built = small() if model == "small" else __import__("tests.whole_models", fromlist=["MODELS"]).MODELS[model]()
    inputs, targets = jnp.asarray(training.split.train_inputs), jnp.asarray(training.split.train_targets)
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    def loss(trained: Any, x: Any, y: Any) -> Any:
        return loss_of(y, built.stateless_call(trained, [], x, training=True)[0])

    def step(state: Any, places: Any) -> Any:
        trained, moving = state
        value, slopes = jax.value_and_grad(loss)(trained, inputs[places], targets[places])
        moving = [0.9 * before - 0.01 * slope for before, slope in zip(moving, slopes, strict=True)]
        return ([weight + move for weight, move in zip(trained, moving, strict=True)], moving), value

    run = jax.jit(jax.vmap(lambda state, order: jax.lax.scan(step, state, order)))
    weights = [jnp.repeat(jnp.asarray(each)[None], width, axis=0) for each in built.trainable_variables]
    rows, size = training.split.train_rows, training.batch_size
    steps = EPOCHS * (rows // size)
    draw = np.random.default_rng(0).integers(0, rows, (width, steps, size)).astype(np.int32)
    state, order = (weights, [jnp.zeros_like(each) for each in weights]), jnp.asarray(draw)
    return timed(lambda: jax.block_until_ready(run(state, order)), width)


def timed(work: Any, trainings: int) -> dict[str, float]:
    """Return the seconds of the first call, and trainings a second of the second."""
    began = time.perf_counter()
    work()
    first = time.perf_counter()
    work()
    return {"start": first - began, "trainings": trainings / (time.perf_counter() - first)}


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "vmap": vmap}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
