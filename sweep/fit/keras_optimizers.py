"""The same optimizers by Keras itself: what `fit` uses, and what the population's arithmetic is held against.

They stand alone because Keras takes half a second to load, which a population of one hidden layer never needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras

from sweep.optimizer import Adam, AdamW, Optimizer, RMSprop, Sgd


def keras_optimizer(
    optimizer: Optimizer, learning_rate: float, momentum: float, nesterov: bool = False
) -> keras.optimizers.Optimizer:
    """Return the same optimizer by Keras; `nesterov` is SGD's alone, and `learning_rate` may be a Keras schedule."""
    rest = optimizer.model_dump(exclude={"name", "layer_rates", "layer_decay"})
    match optimizer:
        case Sgd():
            return keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=nesterov)
        case Adam():
            return keras.optimizers.Adam(learning_rate, beta_1=momentum, **rest)
        case AdamW():
            return keras.optimizers.AdamW(learning_rate, beta_1=momentum, **rest)
        case RMSprop():
            return keras.optimizers.RMSprop(learning_rate, momentum=momentum, **rest)


def keras_layered(
    optimizer: Optimizer,
    factors: Mapping[str, float],
    model: keras.Model,
    learning_rate: float,
    momentum: float,
    nesterov: bool = False,
) -> keras.optimizers.MultiOptimizer:
    """Return Keras' optimizer for each layer of a built model, at the layer's factor of `learning_rate`.

    Args:
        optimizer: what all layers share.
        factors: factor of the learning rate for each layer that has weights to train; see `layer_factors`.
        model: the model to be trained.
        learning_rate: rate of a layer whose factor is 1; `set_learning_rate` changes it.
        momentum: momentum or `beta_1` of all layers.
        nesterov: whether SGD looks ahead.
    """
    made = {
        name: keras_optimizer(optimizer, learning_rate * factor, momentum, nesterov) for name, factor in factors.items()
    }
    # By name and not by path, because a Sequential's paths lose the model's name when it is loaded.
    by_name = {rf"(.*/)?{re.escape(name)}/.*": inner for name, inner in made.items()}
    chosen = keras.optimizers.OptimizerMap(next(iter(made.values())), by_name)
    _check_choice(chosen, made, model)
    return keras.optimizers.MultiOptimizer(chosen)


def _check_choice(
    chosen: keras.optimizers.OptimizerMap, made: Mapping[str, keras.optimizers.Optimizer], model: keras.Model
) -> None:
    """Raise `ValueError` for a variable that Keras would give to another layer's optimizer, without a word."""
    for layer in model.layers:
        for variable in layer.trainable_variables:
            if chosen(variable) is not made.get(layer.name):
                raise ValueError(f"`{variable.path}` is not named after its layer `{layer.name}`.")


def set_learning_rate(
    layered: keras.optimizers.MultiOptimizer, factors: Mapping[str, float], learning_rate: float
) -> None:
    """Set the rate of what `keras_layered` made from the same `factors`: a `MultiOptimizer` refuses to."""
    for inner, factor in zip(layered.optimizers, factors.values(), strict=True):
        inner.learning_rate = learning_rate * factor
