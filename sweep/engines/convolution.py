"""Convolutions and pooling of a population, as matrix products and shifted maxima on a CPU.

Under `jax.vmap`, kernels of their own turn the members' convolutions into a grouped one, which XLA runs slowly on a
CPU; the gradient of max pooling is slow there too. `as_matrix_products` lets Keras trace the same values and gradients
as slices, one matrix product a convolution, and maxima. Training steps against plain `vmap` on one core, the best of 4
to 6 turns side by side, by processor time:

| model | members | plain | here |
|---|---|---|---|
| 8 x 8 digits: Conv 16, pool, Conv 32, Dense 10 (epochs a second, summed) | 16 | 39 | 358 |
| the same | 32 | 25 | 308 |
| the same | 64 | 18 | 271 |
| the same, padding "same" | 16 | 4.7 | 52 |
| 28 x 28: Conv 32, pool, Conv 64, pool, Dense 128 | 4 | 0.034 | 0.91 |
| the same | 8 | 0.033 | 0.88 |
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Pads: TypeAlias = str | Sequence[tuple[int, int]]

CONVOLUTION, TRANSPOSED, WINDOWS = lax.conv_general_dilated, lax.conv_transpose, lax.reduce_window


@contextmanager
def as_matrix_products() -> Iterator[None]:
    """Replace what Keras' JAX backend calls for convolutions and pooling while a call is traced for the processor.

    Three functions of `jax.lax` are replaced in the whole process; what the new ones do not cover goes to the old ones.
    A function that `jax.jit` traced outside keeps its convolutions. Patches take the memory of a layer's input times
    the size of its window, so that an evaluation should go by batches as training does.
    """
    if jax.default_backend() == "cpu":  # a GPU has grouped convolutions of its own
        lax.conv_general_dilated, lax.conv_transpose, lax.reduce_window = convolution, transposed_convolution, pooling
    try:
        yield
    finally:
        lax.conv_general_dilated, lax.conv_transpose, lax.reduce_window = CONVOLUTION, TRANSPOSED, WINDOWS


def convolution(  # noqa: PLR0913, PLR0917 - what it stands for has these parameters
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: Pads,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    *others: Any,
    **named: Any,
) -> jax.Array:
    """Do what `jax.lax.conv_general_dilated` does.

    It computes in `[groups, channels, *space, rows]`: slices and maxima then move whole runs of rows, and the
    transpositions of neighbouring layers cancel.
    """
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    kernel = jnp.transpose(rhs, (*numbers.rhs_spec[2:], numbers.rhs_spec[1], numbers.rhs_spec[0]))
    inputs = jnp.transpose(lhs, (*numbers.lhs_spec[1:], numbers.lhs_spec[0]))
    window, space = kernel.shape[:-2], inputs.shape[1:-1]
    strides, spread = tuple(window_strides), tuple(lhs_dilation or (1,) * len(space))
    dilation = tuple(rhs_dilation or (1,) * len(space))
    reach = [(size - 1) * step for size, step in zip(window, dilation, strict=True)]
    pads = lax.padtype_to_pads(space, [r + 1 for r in reach], strides, padding) if isinstance(padding, str) else padding
    outer = [(s - 1) * step + 1 + sum(p) for s, step, p in zip(space, spread, pads, strict=True)]
    upsampled = max(spread, default=1) > 1
    computable = lhs.dtype == rhs.dtype and lhs.size and min(np.subtract(outer, reach), default=0) > 0
    if others or named or not computable or (upsampled and (max(strides) > 1 or isinstance(padding, str))):
        settings = (window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count)
        return CONVOLUTION(lhs, rhs, *settings, *others, **named)

    inputs = inputs.reshape(feature_group_count, -1, *inputs.shape[1:])
    kernel = kernel.reshape(*kernel.shape[:-1], feature_group_count, -1)
    if upsampled:
        outputs = padded(
            scattered(inputs, kernel, spread, dilation),
            [(low - r, high - r) for (low, high), r in zip(pads, reach, strict=True)],
        )
    else:
        outputs = gathered(padded(inputs, pads), kernel, strides, dilation)
    outputs = outputs.reshape(-1, *outputs.shape[2:])
    rows_axis, channels_axis, *space_axes = numbers.out_spec
    return jnp.transpose(outputs, np.argsort([channels_axis, *space_axes, rows_axis]).tolist())


def transposed_convolution(
    lhs: jax.Array,
    rhs: jax.Array,
    strides: Sequence[int],
    padding: Pads,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    *others: Any,
    **named: Any,
) -> jax.Array:
    """Do what `jax.lax.conv_transpose` does."""
    if others or named or isinstance(padding, str) or dimension_numbers is None:
        settings = (strides, padding, rhs_dilation, dimension_numbers, transpose_kernel)
        return TRANSPOSED(lhs, rhs, *settings, *others, **named)
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    if transpose_kernel:
        filters, channels, *window = numbers.rhs_spec
        rhs = jnp.flip(rhs, window).swapaxes(filters, channels)
    return convolution(lhs, rhs, (1,) * len(strides), padding, strides, rhs_dilation, numbers)


def pooling(
    operand: jax.Array,
    init_value: Any,
    computation: Any,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: Pads = "VALID",
    *others: Any,
    **named: Any,
) -> jax.Array:
    """Do what `jax.lax.reduce_window` does for maxima and sums, axis by axis."""
    empty, combine = {lax.max: (-np.inf, maximum), lax.add: (0.0, lax.add)}.get(computation, (None, computation))
    strides = window_strides or (1,) * len(window_dimensions)
    covered = not (others or named) and isinstance(init_value, float) and init_value == empty and operand.ndim > 2
    if covered := covered and jnp.issubdtype(operand.dtype, jnp.floating):
        is_string = isinstance(padding, str)
        pads = lax.padtype_to_pads(operand.shape, window_dimensions, strides, padding) if is_string else padding
        covered = operand.size and min(np.add(operand.shape, np.sum(pads, 1)) - window_dimensions) >= 0
    if not covered:
        settings = (window_dimensions, window_strides, padding)
        return WINDOWS(operand, init_value, computation, *settings, *others, **named)

    channels = operand.ndim - 1 if window_dimensions[-1] == 1 else 1
    order = (channels, *(axis for axis in range(1, operand.ndim) if axis != channels), 0)
    pooled = lax.pad(
        jnp.transpose(operand, order),
        jnp.asarray(init_value, operand.dtype),
        [(*pads[axis], 0) for axis in order],
    )
    for place, axis in reversed(list(enumerate(order))):
        pooled = reduce(combine, shifts(pooled, place, window_dimensions[axis], strides[axis]))
    return jnp.transpose(pooled, np.argsort(order).tolist())


def _first_maximum(operands: Sequence[jax.Array], tangents: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return lax.max(*operands), jnp.where(operands[0] >= operands[1], *tangents)


# Of equal values the first passes the gradient on, as XLA's select_and_scatter has it; `lax.max` would halve it.
maximum = jax.custom_jvp(lax.max)
maximum.defjvp(_first_maximum)


def shifts(x: jax.Array, axis: int, window: int, stride: int = 1, dilation: int = 1) -> list[jax.Array]:
    """Return what each place of a window sees while it moves along `axis`."""
    last = (x.shape[axis] - (window - 1) * dilation - 1) // stride * stride
    starts = range(0, window * dilation, dilation)
    return [lax.slice_in_dim(x, start, start + last + 1, stride, axis) for start in starts]


def patches(x: jax.Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> jax.Array:
    """Turn `[groups, channels, *space, rows]` into `[groups, window * channels, *outputs, rows]`, axis by axis."""
    for axis, settings in reversed(list(enumerate(zip(window, strides, dilation, strict=True), start=2))):
        x = jnp.concatenate(shifts(x, axis, *settings), 1)
    return x


def padded(x: jax.Array, pads: Sequence[tuple[int, int]]) -> jax.Array:
    """Pad the space of `[groups, channels, *space, rows]` with zeros, or cut it where a pad is negative."""
    none = (0, 0, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), [none, none, *((*pad, 0) for pad in pads), none])


def gathered(x: jax.Array, kernel: jax.Array, strides: Sequence[int], dilation: Sequence[int]) -> jax.Array:
    """Multiply the patches by the kernel `[*window, channels, groups, filters]`."""
    seen = patches(x, kernel.shape[:-3], strides, dilation)
    weights = kernel.reshape(-1, *kernel.shape[-2:])
    outputs = lax.dot_general(weights, seen.reshape(*seen.shape[:2], -1), (((0,), (1,)), ((1,), (0,))))
    return outputs.reshape(*outputs.shape[:2], *seen.shape[2:])


def scattered(x: jax.Array, kernel: jax.Array, strides: Sequence[int], dilation: Sequence[int]) -> jax.Array:
    """Multiply before the steps are spread, so that no product is by the zeros between them; add the overlaps."""
    *window, _, groups, filters = kernel.shape
    kernel = jnp.moveaxis(jnp.flip(kernel, range(len(window))), -3, 0).reshape(kernel.shape[-3], -1, groups, filters)
    weights = jnp.swapaxes(kernel, 1, 2).reshape(kernel.shape[0], groups, -1)
    parts = lax.dot_general(weights, x.reshape(*x.shape[:2], -1), (((0,), (1,)), ((1,), (0,))))
    spans = zip(x.shape[2:-1], strides, window, dilation, strict=True)
    full = [(size - 1) * stride + (width - 1) * gap + 1 for size, stride, width, gap in spans]
    sheet = jax.ShapeDtypeStruct((groups, filters, *full, x.shape[-1]), x.dtype)
    spread = jax.linear_transpose(partial(patches, window=window, strides=strides, dilation=dilation), sheet)
    (outputs,) = spread(parts.reshape(*parts.shape[:2], *x.shape[2:]))
    return outputs
