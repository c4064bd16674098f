"""Layers of every kind that convolves or pools beside what plain Keras computes, for a process with Keras on JAX."""

from __future__ import annotations

from typing import Any

ROWS = 3
SLOW = ("conv_general_dilated", "reduce_window", "select_and_scatter")
FIRST = {"data_format": "channels_first"}

# By name: Keras' layer, the shape of one row, the layer's arguments.
CASES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "conv1d": ("Conv1D", (9, 3), {"filters": 4, "kernel_size": 3}),
    "conv1d causal": ("Conv1D", (9, 3), {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    "conv1d same strided": ("Conv1D", (9, 3), {"filters": 4, "kernel_size": 4, "padding": "same", "strides": 2}),
    "conv2d": ("Conv2D", (7, 6, 3), {"filters": 4, "kernel_size": (3, 2)}),
    "conv2d same": ("Conv2D", (7, 6, 3), {"filters": 4, "kernel_size": (3, 2), "padding": "same"}),
    "conv2d strided": ("Conv2D", (7, 6, 3), {"filters": 4, "kernel_size": 3, "strides": (2, 3), "padding": "same"}),
    "conv2d dilated": ("Conv2D", (7, 8, 3), {"filters": 4, "kernel_size": (2, 3), "dilation_rate": (3, 2)}),
    "conv2d groups": ("Conv2D", (7, 6, 4), {"filters": 6, "kernel_size": 3, "groups": 2, "padding": "same"}),
    "conv2d a group a channel": ("Conv2D", (7, 6, 3), {"filters": 6, "kernel_size": 3, "groups": 3}),
    "conv2d first": ("Conv2D", (3, 7, 6), {"filters": 4, "kernel_size": (3, 2), "padding": "same", **FIRST}),
    "conv2d half": ("Conv2D", (7, 6, 3), {"filters": 4, "kernel_size": 3, "dtype": "mixed_bfloat16"}),
    "conv3d": ("Conv3D", (5, 4, 6, 2), {"filters": 3, "kernel_size": (2, 3, 2), "padding": "same"}),
    "conv3d strided": ("Conv3D", (5, 4, 6, 2), {"filters": 3, "kernel_size": 2, "strides": (1, 2, 2)}),
    "depthwise 1d": ("DepthwiseConv1D", (9, 3), {"kernel_size": 3, "depth_multiplier": 2, "strides": 2}),
    "depthwise 2d": ("DepthwiseConv2D", (7, 6, 3), {"kernel_size": (3, 2), "depth_multiplier": 2, "padding": "same"}),
    "depthwise 2d first": ("DepthwiseConv2D", (3, 7, 6), {"kernel_size": 3, "strides": 2, **FIRST}),
    "separable 1d": ("SeparableConv1D", (9, 3), {"filters": 4, "kernel_size": 3, "dilation_rate": 2}),
    "separable 2d": ("SeparableConv2D", (7, 6, 3), {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}),
    "transpose 1d same": ("Conv1DTranspose", (5, 3), {"filters": 4, "kernel_size": 4, "strides": 3, "padding": "same"}),
    "transpose 2d": ("Conv2DTranspose", (4, 5, 3), {"filters": 4, "kernel_size": (3, 2), "strides": (2, 3)}),
    "transpose 2d one step": ("Conv2DTranspose", (4, 5, 3), {"filters": 4, "kernel_size": 3, "padding": "same"}),
    "transpose 2d mixed": ("Conv2DTranspose", (4, 5, 3), {"filters": 4, "kernel_size": 3, "strides": (1, 2)}),
    "transpose 2d narrow": ("Conv2DTranspose", (4, 5, 3), {"filters": 4, "kernel_size": 2, "strides": 3}),
    "transpose 2d padded": (
        "Conv2DTranspose",
        (4, 5, 3),
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
    ),
    "transpose 2d first": ("Conv2DTranspose", (3, 4, 5), {"filters": 4, "kernel_size": 3, "strides": 2, **FIRST}),
    "transpose 3d": ("Conv3DTranspose", (3, 4, 2, 2), {"filters": 3, "kernel_size": 3, "strides": 2}),
    "max 1d same": ("MaxPooling1D", (9, 3), {"pool_size": 3, "strides": 2, "padding": "same"}),
    "max 2d": ("MaxPooling2D", (7, 6, 3), {"pool_size": 2}),
    "max 2d overlapping": ("MaxPooling2D", (7, 6, 3), {"pool_size": (3, 2), "strides": 1, "padding": "same"}),
    "max 2d one axis": ("MaxPooling2D", (7, 6, 3), {"pool_size": (2, 1)}),
    "max 2d first": ("MaxPooling2D", (3, 7, 6), {"pool_size": 2, "padding": "same", **FIRST}),
    "max 3d": ("MaxPooling3D", (5, 4, 6, 2), {"pool_size": (2, 3, 2), "padding": "same"}),
    "average 1d": ("AveragePooling1D", (9, 3), {"pool_size": 3, "strides": 2, "padding": "same"}),
    "average 2d": ("AveragePooling2D", (7, 6, 3), {"pool_size": 2}),
    "average 2d same": ("AveragePooling2D", (7, 6, 3), {"pool_size": 3, "strides": 2, "padding": "same"}),
    "average 2d first": ("AveragePooling2D", (3, 7, 6), {"pool_size": (3, 1), "strides": 1, **FIRST}),
    "average 3d": ("AveragePooling3D", (5, 4, 6, 2), {"pool_size": 2}),
    "adaptive average 1d": ("AdaptiveAveragePooling1D", (9, 3), {"output_size": 4}),
    "adaptive average 3d": ("AdaptiveAveragePooling3D", (5, 4, 6, 2), {"output_size": 2}),
    "adaptive max 2d": ("AdaptiveMaxPooling2D", (3, 7, 6), {"output_size": (3, 2), **FIRST}),
    "adaptive max 3d": ("AdaptiveMaxPooling3D", (5, 4, 6, 2), {"output_size": 2}),
}


def compared(kind: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return how far values and gradients under two `vmap` are from plain Keras' one by one, and what XLA still runs.

    Differences are relative to the largest number. Inputs are small whole numbers, so that maxima tie.
    """
    import jax
    import keras
    import numpy as np
    from jax import lax

    from sweep.engines.convolution import as_matrix_products

    layer = getattr(keras.layers, kind)(**arguments)
    layer.build((None, *shape))
    generator = np.random.default_rng(0)
    inputs = generator.integers(-2, 3, (2, ROWS, *shape)).astype("float32")
    variables = [generator.normal(size=(2, 2, *v.shape)).astype("float32") for v in layer.trainable_variables]
    factors = generator.normal(size=layer.compute_output_shape((ROWS, *shape))).astype("float32")

    def loss(variables: list[Any], inputs: Any) -> tuple[Any, Any]:
        outputs = layer.stateless_call(variables, layer.non_trainable_variables, inputs)[0].astype("float32")
        return (factors * outputs).sum(), outputs

    single = jax.value_and_grad(loss, (0, 1), has_aux=True)
    by_candidate = jax.vmap(single, (0, None), axis_size=2)

    def loop(variables: list[Any], inputs: Any) -> Any:
        def candidates(seed: Any) -> Any:
            return lax.map(lambda own: single(own[1], seed[1]), (np.arange(2), seed[0]))

        return lax.map(candidates, (variables, inputs))

    with as_matrix_products():
        here = jax.jit(jax.vmap(by_candidate)).trace(variables, inputs)
    plain = jax.jit(loop).trace(variables, inputs)
    got, wanted = (jax.tree.leaves(program.lower().compile()(variables, inputs)) for program in (here, plain))
    errors = [np.abs(np.subtract(a, b)).max() / (np.abs(b).max() or 1) for a, b in zip(got, wanted, strict=True)]
    programs = {"here": here, "plain": plain}
    slow = {name: [word for word in SLOW if word in str(program.jaxpr)] for name, program in programs.items()}
    return {"error": float(np.max(errors)), **slow}


def every_case() -> dict[str, dict[str, Any]]:
    return {name: compared(*case) for name, case in CASES.items()}


def check_nan() -> None:
    import jax.numpy as jnp
    import keras
    import numpy as np

    from sweep.engines.convolution import as_matrix_products

    x = jnp.arange(6.0).at[jnp.array([0, 3])].set(jnp.nan).reshape(1, 6, 1)
    with as_matrix_products():
        np.testing.assert_array_equal(keras.layers.MaxPooling1D(2)(x).ravel(), [np.nan, np.nan, 5])


def check_second_derivatives() -> None:
    import jax
    import jax.numpy as jnp
    import keras
    import numpy as np

    from sweep.engines.convolution import as_matrix_products

    layers = [keras.layers.Conv1D(2, 3), keras.layers.MaxPooling1D(2), keras.layers.Conv1DTranspose(1, 3, strides=2)]
    model = keras.Sequential([keras.Input((8, 1)), *layers])

    def loss(x: Any) -> Any:
        return (model.stateless_call(model.variables, [], x)[0] ** 2).sum()

    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 1)), "float32")
    plain = jax.jit(jax.hessian(loss))(x)
    with as_matrix_products():
        here = jax.jit(jax.hessian(loss)).trace(x)
    assert not any(word in str(here.jaxpr) for word in SLOW)
    np.testing.assert_allclose(here.lower().compile()(x), plain, atol=1e-5)


def check_what_is_not_covered() -> None:
    import jax
    import jax.numpy as jnp
    import keras
    import numpy as np
    import pytest
    from jax import lax

    from sweep.engines.convolution import as_matrix_products

    x, kernel = jnp.arange(12.0).reshape(1, 2, 6), jnp.arange(12.0).reshape(2, 2, 3)

    def answers() -> tuple[Any, ...]:
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
    with as_matrix_products():
        jax.tree.map(np.testing.assert_allclose, answers(), plain)
    assert [getattr(lax, name) for name in names] == before
    with pytest.raises(ValueError, match="empty output"), as_matrix_products():
        keras.ops.conv(x, jnp.ones((7, 6, 1)))
    assert [getattr(lax, name) for name in names] == before
