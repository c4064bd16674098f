"""One step of each optimizer, for any number of members at once, as Keras 3 computes it.

The arithmetic is that of `update_step` in `keras/src/optimizers/{sgd,adam,rmsprop}.py`, in the same order, and of
`_apply_weight_decay` in `keras/src/backend/tensorflow/optimizer.py`. A momentum of 0 needs no case of its own:
Keras leaves the slot out, and `0 * slot` adds nothing. Only where a momentum is 0 for some steps and not for others
do the two part: SGD and RMSprop in Keras then keep the slot of the last step that had one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from sweep.optimizer import Adam, AdamW, AdaptiveMoments, Optimizer, RMSprop, Sgd

Moved = tuple[tf.Tensor, list[tf.Tensor]]


class Rule(NamedTuple):
    """The settings of one step, each shaped so that it broadcasts against the weight.

    `momentum` is Adam's `beta_1`; `nesterov` is None if nobody may use it, and SGD alone reads it. `number` is the
    count of finished steps, a float scalar.
    """

    rate: tf.Tensor
    momentum: tf.Tensor
    nesterov: tf.Tensor | None
    number: tf.Tensor


def slot_count(optimizer: Optimizer) -> int:
    """Return how many tensors of a weight's shape `update` carries from step to step, from zeros on."""
    return 1 if isinstance(optimizer, Sgd) else 2


def update(
    optimizer: Optimizer, rule: Rule, weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor]
) -> Moved:
    """Return a weight and its slots after one step."""
    match optimizer:
        case Sgd():
            return _sgd(rule, weight, gradient, slots)
        case Adam():
            return _adam(optimizer, rule, weight, gradient, slots)
        case AdamW():
            decayed = weight - weight * optimizer.weight_decay * rule.rate
            return _adam(optimizer, rule, decayed, gradient, slots)
        case RMSprop():
            return _rmsprop(optimizer, rule, weight, gradient, slots)


def _sgd(rule: Rule, weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor]) -> Moved:
    (velocity,) = slots
    velocity = rule.momentum * velocity - rule.rate * gradient
    if rule.nesterov is None:
        return weight + velocity, [velocity]
    ahead = rule.momentum * velocity - rule.rate * gradient
    return weight + tf.where(rule.nesterov, ahead, velocity), [velocity]


def _adam(
    optimizer: AdaptiveMoments, rule: Rule, weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor]
) -> Moved:
    mean, square = slots
    mean += (gradient - mean) * (1 - rule.momentum)
    # Keras rounds `1 - beta_2` once, from double precision.
    square += (tf.square(gradient) - square) * (1 - optimizer.beta_2)
    moved = weight - mean * _unbiased_rate(optimizer, rule) / (tf.sqrt(square) + optimizer.epsilon)
    return moved, [mean, square]


def _unbiased_rate(optimizer: AdaptiveMoments, rule: Rule) -> tf.Tensor:
    """Return the rate, corrected for averages that began at zero, in the rate's own small shape."""
    step = rule.number + 1
    return rule.rate * tf.sqrt(1 - tf.pow(optimizer.beta_2, step)) / (1 - tf.pow(rule.momentum, step))


def _rmsprop(
    optimizer: RMSprop, rule: Rule, weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor]
) -> Moved:
    square, velocity = slots
    square = optimizer.rho * square + (1 - optimizer.rho) * tf.square(gradient)
    velocity = rule.momentum * velocity + rule.rate * gradient / tf.sqrt(square + optimizer.epsilon)
    return weight - velocity, [square, velocity]
