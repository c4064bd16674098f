"""Whole models of the kinds that people bring, for digits as rows of 64 numbers and ten classes; by Keras alone.

`tests/engines/test_whole_models.py` trains each beside `fit`, and `make bench ARGS=models` measures how fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

ROWS, COLUMNS, CLASSES = 8, 8, 10


def _stack(*inner: Any) -> Any:
    return keras.Sequential([keras.Input((ROWS * COLUMNS,)), *inner, layers.Dense(CLASSES, "softmax")])


def _steps() -> Any:
    return layers.Reshape((ROWS, COLUMNS))


def _square() -> Any:
    return layers.Reshape((ROWS, COLUMNS, 1))


def dense() -> Any:
    return _stack(layers.Dense(128, "relu"), layers.Dense(64, "relu"))


def dropout() -> Any:
    return _stack(layers.Dense(128, "relu"), layers.Dropout(0.3), layers.Dense(64, "relu"), layers.Dropout(0.3))


def normalised() -> Any:
    return _stack(layers.Dense(128), layers.BatchNormalization(), layers.ReLU(), layers.Dense(64, "relu"))


def regularised() -> Any:
    return _stack(*(layers.Dense(units, "relu", kernel_regularizer="l2") for units in (128, 64)))


def self_normalising() -> Any:
    def hidden(units: int) -> Any:
        return layers.Dense(units, "selu", kernel_initializer="lecun_normal")

    return _stack(layers.GaussianNoise(0.1), hidden(64), layers.AlphaDropout(0.1), hidden(32))


def wide_and_deep() -> Any:
    inputs = keras.Input((ROWS * COLUMNS,))
    deep = layers.Dropout(0.2)(layers.Dense(32, "gelu")(layers.Dense(64, "gelu")(inputs)))
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(layers.Concatenate()([inputs, deep])))


def convolved() -> Any:
    return _stack(
        _square(),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
    )


def residual() -> Any:
    inputs = keras.Input((ROWS * COLUMNS,))
    images = layers.Conv2D(8, 3, padding="same", use_bias=False)(_square()(inputs))
    for strides in (1, 2):
        inner = layers.ReLU()(layers.BatchNormalization()(images))
        inner = layers.Conv2D(8, 3, strides, padding="same", use_bias=False)(inner)
        images = layers.Add()([inner, layers.Conv2D(8, 1, strides)(images)])
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(layers.GlobalAveragePooling2D()(images)))


def separable() -> Any:
    return _stack(
        _square(),
        layers.SeparableConv2D(8, 3, padding="same", activation="relu6"),
        layers.SpatialDropout2D(0.1),
        layers.DepthwiseConv2D(3, 2, depth_multiplier=2),
        layers.GlobalMaxPooling2D(),
    )


def temporal() -> Any:
    convolutions = [layers.Conv1D(12, 3, padding="causal", dilation_rate=rate, activation="relu") for rate in (1, 2)]
    return _stack(_steps(), *convolutions, layers.GlobalAveragePooling1D())


def lstm() -> Any:
    return _stack(_steps(), layers.LSTM(16))


def gru() -> Any:
    return _stack(_steps(), layers.GRU(16))


def bidirectional() -> Any:
    both = layers.Bidirectional(layers.LSTM(8, return_sequences=True))
    return _stack(_steps(), both, layers.TimeDistributed(layers.Dense(8, "tanh")), layers.GlobalMaxPooling1D())


def attention() -> Any:
    inputs = keras.Input((ROWS * COLUMNS,))
    steps = layers.Dense(16)(_steps()(inputs))
    mixed = layers.LayerNormalization()(steps + layers.MultiHeadAttention(2, 8)(steps, steps))
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(layers.Flatten()(mixed)))


def embedding() -> Any:
    return _stack(layers.Embedding(17, 8), layers.Flatten(), layers.Dense(32, "relu"))


class Gate(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Lets a learned share of each input through, and makes open gates cost something."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight((shape[-1], shape[-1]), "glorot_uniform", name="kernel")

    def call(self, inputs: Any) -> Any:
        opened = keras.ops.sigmoid(inputs @ self.kernel)
        self.add_loss(0.01 * keras.ops.mean(opened))
        return inputs * opened


class Gated(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A subclassed model with a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.gate, self.out = layers.Dense(32, "relu"), Gate(), layers.Dense(CLASSES, "softmax")

    def call(self, inputs: Any) -> Any:
        return self.out(self.gate(self.hidden(inputs)))


def gated() -> Any:
    model = Gated()
    model.compile(keras.optimizers.AdamW(weight_decay=0.01, global_clipnorm=1.0), "sparse_categorical_crossentropy")
    return model


MODELS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        *(dense, dropout, normalised, regularised, self_normalising, wide_and_deep),
        *(convolved, residual, separable, temporal, lstm, gru, bidirectional, attention, embedding, gated),
    )
}
