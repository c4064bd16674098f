"""All that Keras exports is decided, and what can be trained agrees with `fit`."""

from __future__ import annotations

import inspect
import os
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from sweep.candidate import from_params
from sweep.data.table import Split
from sweep.engines.keras_models import compile_model
from sweep.engines.spec import Architecture, Job, Shape, TrainingSpec
from sweep.errors import BadInput
from tests.engines import exported
from tests.engines import side_by_side as jax
from tests.engines.on_jax import OnJax

# They compile for minutes in all; the others are the ones that every run of the tests can bear.
EVERY = ("sequences", "recurrent", "images", "volumes", "augmenting")
ALWAYS = (*(name for name in exported.FAMILIES if name not in EVERY), "settings", "all_losses")
LONG = pytest.mark.skipif("SWEEP_EVERY_LAYER" not in os.environ, reason="takes minutes; set SWEEP_EVERY_LAYER=1")
CASES = {
    **{name: {"optimizer": (name, arguments)} for name, arguments in exported.OPTIMIZERS.items()},
    **{name: {"optimizer": ("SGD", arguments)} for name, arguments in exported.OPTIONS.items()},
}


@pytest.fixture(scope="module")
def few(three_classes: Split) -> Split:
    """Rows that divide into three whole batches of 16, to train and to validate on."""
    return replace(
        three_classes, train_index=three_classes.train_index[:48], validation_index=np.arange(16, dtype=np.int32)
    )


def job(split: Split, build: str) -> Job:
    spec = TrainingSpec(split, Architecture(4, 3, build=f"tests.engines.exported:{build}"), 2, 16)
    candidate = from_params({"schedule": "constant", "learning_rate": 0.05, "momentum": 0.6})
    return Job(spec, (candidate,), (3, 4), Shape(1, 2))


def check(found: jax.Both, name: str) -> None:
    ours = found.population
    assert np.isfinite(ours.loss).all(), name
    for field, curve in {"loss": "loss", "validation_loss": "val_loss"}.items():
        np.testing.assert_allclose(
            getattr(ours, field)[0, 0], found.curves[curve], rtol=1e-4, atol=1e-5, err_msg=f"{name}: {field}"
        )
    numbers = [pair for pair in found.weights if np.issubdtype(pair[1].dtype, np.floating)]
    for place, (our, their) in enumerate(numbers):  # what is left counts draws, and `fit` was asked to predict
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4, err_msg=f"{name}: {place}")


@pytest.mark.parametrize("module", exported.DECIDED)
def test_every_class_that_keras_exports_is_decided_once(module: str) -> None:
    decided = [name for names in exported.DECIDED[module] for name in names]
    assert sorted(decided) == sorted(exported.exported(module))


def test_every_option_of_keras_optimizers_is_decided() -> None:
    kinds = [getattr(keras.optimizers, name) for name in exported.OPTIMIZERS]
    common = set.intersection(*(set(inspect.signature(kind).parameters) for kind in kinds))
    trained = {name for arguments in exported.OPTIONS.values() for name in arguments}
    assert common == trained | set(exported.NOT_OPTIONS)


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=LONG) for name in EVERY), *ALWAYS])
def test_layers_and_their_settings_agree_with_fit(name: str, few: Split, on_jax: OnJax) -> None:
    (found,) = on_jax(jax.each_side_by_side, [job(few, name)])
    check(found, name)


def test_optimizers_and_their_options_agree_with_fit(few: Split, on_jax: OnJax) -> None:
    for name, found in zip(
        CASES, on_jax(jax.each_side_by_side, [job(few, "chosen")] * len(CASES), list(CASES.values())), strict=True
    ):
        check(found, name)


@pytest.mark.parametrize("name", exported.ONE_HOT_LOSSES + exported.INDEX_LOSSES)
def test_losses_get_the_targets_that_they_compare(name: str, few: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "current", {"loss": name})
    if name.startswith("Binary"):
        with pytest.raises(BadInput, match="needs a single output, got 3; use sparse_categorical_crossentropy"):
            compile_model(job(few, "chosen").spec, run_seed=0)
        return
    study = compile_model(job(few, "chosen").spec, run_seed=0)
    assert study.one_hot == (name in exported.ONE_HOT_LOSSES)


@pytest.mark.parametrize("name", ["LossScaleOptimizer", "MultiOptimizer", "ScheduleFreeAdamW"])
def test_optimizers_without_one_rate_of_their_own_are_refused(
    name: str, few: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = keras.optimizers.SGD()
    arguments: dict[str, dict[str, Any]] = {
        "LossScaleOptimizer": {"inner_optimizer": inner},
        "MultiOptimizer": {"optimizer_map": keras.optimizers.OptimizerMap(inner)},
    }
    monkeypatch.setattr(exported, "current", {"optimizer": (name, arguments.get(name, {}))})
    with pytest.raises(BadInput, match=f"must have one learning rate to set; {name} "):
        compile_model(job(few, "chosen").spec, run_seed=0)
