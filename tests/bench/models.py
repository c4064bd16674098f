"""Section `models`: Keras models of several kinds, by the population, by Keras' `fit`, and by hand-written `vmap`.

Each measurement is a process of its own on one core (`python -m tests.bench.models WAY MODEL`), in turns: epochs of
training a second, summed over members, on scikit-learn's digits: 1,257 rows in batches of 32.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from sweep.execution.worker import environment
from tests.bench.default_study import ROOT
from tests.bench.report import Bar, Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from sweep.engines.spec import TrainingSpec

WAYS = ("ours", "vmap", "fit on JAX", "fit on TensorFlow")
CANDIDATES, SEEDS, ROWS, BATCH = 8, 4, 1257, 32
SECONDS = 4.0  # of training at least


def measure(quick: bool) -> Section:
    """Train every model in every way, in turns."""
    from tests.whole_models import MODELS

    turns, models = (1, [*MODELS][:1]) if quick else (2, [*MODELS])
    found: dict[str, dict[str, list[dict[str, float]]]] = {model: {way: [] for way in WAYS} for model in models}
    for model in models:
        for _ in range(turns):
            for way in WAYS:
                found[model][way].append(probe(way, model))
    section, rows = Section("models", {"epochs_a_second": found}), []
    for model, by_way in found.items():
        pace = {way: median(each["epochs"] for each in turns) for way, turns in by_way.items()}
        start = median(each["start"] for each in by_way["ours"])
        ratios = {way: pace["ours"] / pace[way] for way in WAYS[1:]}
        told = [f"{pace[way]:,.3g}" for way in WAYS]
        rows.append((model, *told, *(f"{ratio:,.3g}" for ratio in ratios.values()), f"{start:.1f}"))
        limits = {"vmap": 5.0 if model == "convolved" else 1.2, "fit on JAX": 5.0, "fit on TensorFlow": 40.0}
        section.bars += [
            Bar(f"{model}: beside {way}", ratios[way], limit, " x", at_least=True) for way, limit in limits.items()
        ]
        section.bars.append(Bar(f"{model}: compiling", start, 15.0, " s"))
    if {"dense", "dropout"} <= found.keys():
        paces = [median(each["epochs"] for each in found[model]["ours"]) for model in ("dropout", "dense")]
        section.bars.append(Bar("with Dropout beside without", paces[0] / paces[1], 0.6, at_least=True))
    headers = ("model", *WAYS, *(f"ours / {way}" for way in WAYS[1:]), "seconds to compile")
    section.add_table("epochs a second, summed over members, on one core", headers, rows)
    return section


def probe(way: str, model: str) -> dict[str, float]:
    """Measure one way on one model in a process of its own, on one core."""
    backend = "tensorflow" if way == "fit on TensorFlow" else "jax"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.models", way, model],
        cwd=ROOT,
        env=environment(backend=backend),  # type: ignore[arg-type]
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


MODEL = ""


def build() -> Any:
    """Build the model of this process, as `model.build` names it."""
    from tests.whole_models import MODELS

    return MODELS[MODEL]()


def task(epochs: int) -> TrainingSpec:
    """Return the training of the model of this process."""
    import numpy as np
    from sklearn.datasets import load_digits

    from sweep.data.table import Dataset, Split
    from sweep.engines.spec import Architecture, TrainingSpec

    inputs, targets = load_digits(return_X_y=True)
    scale = 1.0 if MODEL == "embedding" else 16.0
    rows = np.arange(len(inputs), dtype=np.int32)
    dataset = Dataset.of_arrays(inputs / scale, targets, tuple("0123456789"))
    architecture = Architecture(64, 10, build="tests.bench.models:build")
    return TrainingSpec(Split.of(dataset, rows[:ROWS], rows[ROWS:]), architecture, epochs, BATCH)


def ours() -> dict[str, float]:
    """Train tiles by the population engine."""
    from sweep.candidate import from_params
    from sweep.engines.keras_population import KerasPopulation
    from sweep.engines.spec import Job, Shape

    spec = task(epochs=4)
    rate = from_params({"schedule": "constant", "learning_rate": 0.01, "momentum": 0.9})
    job = Job(spec, (rate,) * CANDIDATES, tuple(range(SEEDS)), Shape(CANDIDATES, SEEDS))
    began = time.perf_counter()
    population = KerasPopulation(spec)
    population.fitting(job)
    started = time.perf_counter() - began
    population.train(job)
    return {"start": started, "epochs": paced(lambda: population.train(job), CANDIDATES * SEEDS * 4)}


def vmap() -> dict[str, float]:
    """Train as many members by `vmap` of `stateless_call`, SGD with momentum written out; nothing is validated."""
    import jax
    import jax.numpy as jnp
    import keras
    import numpy as np

    spec = task(epochs=1)
    model, members = build(), CANDIDATES * SEEDS
    inputs, targets = jnp.asarray(spec.split.train_inputs), jnp.asarray(spec.split.train_targets)
    model(inputs[:1])  # a subclassed one makes its weights now
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    def loss(trained: Any, others: Any, x: Any, y: Any) -> Any:
        outputs, others, more = model.stateless_call(trained, others, x, training=True, return_losses=True)
        return loss_of(y, outputs) + sum(more), others

    def step(state: Any, places: Any) -> Any:
        trained, others, moving = state
        (value, others), slopes = jax.value_and_grad(loss, has_aux=True)(
            trained, others, inputs[places], targets[places]
        )
        moving = [0.9 * before - 0.01 * slope for before, slope in zip(moving, slopes, strict=True)]
        return ([weight + move for weight, move in zip(trained, moving, strict=True)], others, moving), value

    run = jax.jit(jax.vmap(lambda state, order: jax.lax.scan(step, state, order)))
    groups = (
        [np.asarray(each) for each in model.trainable_variables],
        [np.asarray(each) for each in model.non_trainable_variables],
    )
    repeated = [[jnp.asarray(np.repeat(each[None], members, axis=0)) for each in group] for group in groups]
    state = (repeated[0], repeated[1], [jnp.zeros_like(each) for each in repeated[0]])
    steps = ROWS // BATCH
    order = np.stack([np.random.default_rng(seed).permutation(ROWS)[: steps * BATCH] for seed in range(members)])
    order = order.reshape(members, steps, BATCH)
    began = time.perf_counter()
    jax.block_until_ready(run(state, order))
    started = time.perf_counter() - began
    share = ROWS / (steps * BATCH)
    return {"start": started, "epochs": paced(lambda: jax.block_until_ready(run(state, order)), members) / share}


def by_fit() -> dict[str, float]:
    """Train one model by Keras' `fit`, validated after each epoch as the population is."""
    import keras

    spec = task(epochs=1)
    model, split = build(), spec.split
    if not model.compiled:
        sgd = keras.optimizers.SGD(0.01, momentum=0.9)
        model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])

    def epoch() -> None:
        held = (split.validation_inputs, split.validation_targets)
        model.fit(split.train_inputs, split.train_targets, batch_size=BATCH, validation_data=held, verbose=0)

    began = time.perf_counter()
    epoch()
    started = time.perf_counter() - began
    return {"start": started, "epochs": paced(epoch, 1)}


def paced(work: Callable[[], object], epochs: int) -> float:
    """Return epochs a second, over as many turns as fill `SECONDS`."""
    began, turns = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        work()
        turns += 1
    return epochs * turns / (time.perf_counter() - began)


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import tests.bench.models as own

    own.MODEL = sys.argv[2]
    print(json.dumps({"ours": own.ours, "vmap": own.vmap}.get(sys.argv[1], own.by_fit)()))
