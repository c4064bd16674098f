"""Whole models as a population beside Keras' `fit`: from the same weights, in the same batches, for ten epochs."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.candidate import from_params
from sweep.data.table import Dataset, Split
from sweep.engines.spec import Architecture, Job, Shape, TrainingSpec
from tests.engines import side_by_side as jax
from tests.engines.on_jax import OnJax
from tests.whole_models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_member_is_what_fit_trains(name: str, on_jax: OnJax) -> None:
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    dataset = Dataset.of_arrays(inputs / (1 if name == "embedding" else 16), targets, tuple("0123456789"))
    rows = np.arange(80, dtype=np.int32)
    architecture = Architecture(64, 10, build=f"tests.whole_models:{name}")
    spec = TrainingSpec(Split.of(dataset, rows[:64], rows[64:]), architecture, 10, 16)
    candidate = from_params({"schedule": "cosine", "learning_rate": 0.01, "momentum": 0.9})
    found = on_jax(jax.side_by_side, Job(spec, (candidate,), (3, 4), Shape(1, 2)))
    ours = found.population
    for field, curve in {"loss": "loss", "validation_loss": "val_loss"}.items():
        np.testing.assert_allclose(getattr(ours, field)[0, 0], found.curves[curve], rtol=1e-4, atol=1e-5)
    assert ours.correct[0, 0].tolist() == np.round(found.curves["score"]).tolist()
    assert ours.validation_correct[0, 0].tolist() == np.round(found.curves["val_score"]).tolist()
    for our, their in found.weights:
        np.testing.assert_allclose(our, their, rtol=1e-3, atol=1e-3)
