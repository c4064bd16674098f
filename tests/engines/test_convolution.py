"""Convolutions and pooling of a population equal Keras' own; they run in processes whose Keras is on JAX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.convolution_cases import CASES


def on_jax(*arguments: str) -> str:
    """Run Python with Keras on JAX; compiling takes most of the time, so it is done lightly and kept."""
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(root / ".pytest_cache" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def comparisons() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(on_jax("-m", "tests.engines.convolution_cases"))
    return answer


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_plain_keras_without_its_slow_operations(
    comparisons: dict[str, Any], case: str
) -> None:
    assert comparisons[case]["error"] < 1e-5
    assert comparisons[case]["here"] == []
    assert comparisons[case]["plain"]


HEAD = """
import jax, jax.numpy as jnp, keras, numpy as np, pytest
from jax import lax
from sweep.engines.convolution import as_matrix_products
"""


def test_a_nan_stays_in_its_window() -> None:
    on_jax(
        "-c",
        f"""{HEAD}
x = jnp.arange(6.0).at[jnp.array([0, 3])].set(jnp.nan).reshape(1, 6, 1)
with as_matrix_products():
    np.testing.assert_array_equal(keras.layers.MaxPooling1D(2)(x).ravel(), [np.nan, np.nan, 5])
""",
    )


def test_derivatives_of_every_mode_and_order_are_there() -> None:
    on_jax(
        "-c",
        f"""{HEAD}
layers = [keras.layers.Conv1D(2, 3), keras.layers.MaxPooling1D(2), keras.layers.Conv1DTranspose(1, 3, strides=2)]
model = keras.Sequential([keras.Input((8, 1)), *layers])
def loss(x): return (model.stateless_call(model.variables, [], x)[0] ** 2).sum()
x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 1)), "float32")
plain = jax.hessian(lambda x: loss(x))(x)
with as_matrix_products():
    np.testing.assert_allclose(jax.hessian(loss)(x), plain, atol=1e-5)
""",
    )


def test_what_is_not_covered_goes_to_jax_and_everything_does_afterwards() -> None:
    on_jax(
        "-c",
        f"""{HEAD}
x, kernel = jnp.arange(12.0).reshape(1, 2, 6), jnp.arange(12.0).reshape(2, 2, 3)
def answers():
    return (
        lax.conv_general_dilated(x, kernel, (2,), [(1, 1)], (2,)),
        lax.conv_general_dilated(x, kernel, (1,), "SAME", None, None, None, 1, 2 - 1, "highest"),
        lax.conv_general_dilated(x, kernel[:, :1], (1,), "SAME_LOWER", feature_group_count=2),
        lax.conv_transpose(x, kernel, (2,), "SAME", dimension_numbers=("NCH", "OIH", "NCH")),
        lax.reduce_window(x, jnp.inf, lax.min, (1, 1, 2), (1, 1, 2)),
        lax.reduce_window(x.astype(int), 0, lax.add, (1, 1, 2)),
        lax.reduce_window(x, 0.0, lax.add, (1, 2, 2), (1, 1, 1), "SAME", window_dilation=(1, 1, 2)),
        lax.reduce_window(x, 0.0, lax.add, (1, 2, 2), padding=[(0, 0), (1, 0), (0, 2)]),
    )
names = ("conv_general_dilated", "conv_transpose", "reduce_window")
before, plain = [getattr(lax, name) for name in names], answers()
with pytest.raises(ValueError, match="empty output"), as_matrix_products():
    jax.tree.map(np.testing.assert_allclose, answers(), plain)
    keras.ops.conv(x, jnp.ones((7, 6, 1)))
assert [getattr(lax, name) for name in names] == before
""",
    )
