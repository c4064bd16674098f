"""Keras models that a study file could name; `sweep.engines.keras_model` finds them by `module:function`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def normalised(features: int, classes: int) -> Any:
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(12),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dense(1, "sigmoid"),
        ]
    )


def convolved(features: int, classes: int) -> Any:
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Reshape((features, 1)),
            layers.Conv1D(2, 5, activation="relu"),
            layers.Flatten(),
            layers.Dense(1, "sigmoid"),
        ]
    )


def branched(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    joined = layers.Concatenate()([layers.Dense(6, "relu")(inputs), layers.Dense(6, "tanh")(inputs)])
    return keras.Model(inputs, layers.Dense(classes, "softmax")(joined))


def regression(features: int, classes: int) -> Any:
    assert classes == 0
    return keras.Sequential([keras.Input((features,)), layers.Dense(6, "tanh"), layers.Dense(1)])


def two_outputs(features: int, classes: int) -> Any:
    return keras.Sequential([keras.Input((features,)), layers.Dense(2, "softmax")])


def no_model(features: int, classes: int) -> Any:
    return None


def linear_output(features: int, classes: int) -> Any:
    return keras.Sequential([keras.Input((features,)), layers.Dense(1)])
