"""The arithmetic of a step for any number of members at once, as Keras 3 does it: losses, and optimizers.

Logits are `[seeds, outputs, rows, candidates]`: one output means two classes and a sigmoid, more mean a softmax;
Keras' `fit` computes the same from the logits behind a sigmoid or softmax output. With targets that are no class
indices the one output is a number, and the loss the squared error.

An optimizer's step is `update_step` in `keras/src/optimizers/{sgd,adam,rmsprop}.py`, in the same order, and
`_apply_weight_decay` in `keras/src/backend/tensorflow/optimizer.py`. A momentum of 0 needs no case of its own:
Keras leaves the slot out, and `0 * slot` adds nothing. Only where a momentum is 0 for some steps and not for others
do the two part: SGD and RMSprop in Keras then keep the slot of the last step that had one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from sweep.candidate import Adam, AdamW, Optimizer, RMSprop, Sgd

# How many tensors of a weight's shape `update` carries from step to step, from zeros on.
SLOTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2}


class Gradient(NamedTuple):
    """What one minibatch gives: logits, the gradient by each weight, and the untrained state afterwards."""

    logits: tf.Tensor
    weights: list[tf.Tensor]
    state: list[tf.Tensor]


class Rule(NamedTuple):
    """The settings of one step, each shaped so that it broadcasts against the weight.

    `momentum` is Adam's `beta_1`; `nesterov` is None if no member may use it, and SGD alone reads it. `number` is the
    count of finished steps, a float scalar.
    """

    rate: tf.Tensor
    momentum: tf.Tensor
    nesterov: tf.Tensor | None
    number: tf.Tensor


def update(
    optimizer: Optimizer, rule: Rule, weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Return a weight and its slots after one step."""
    match optimizer:
        case Sgd():
            (velocity,) = slots
            velocity = rule.momentum * velocity - rule.rate * gradient
            if rule.nesterov is None:
                return weight + velocity, [velocity]
            ahead = rule.momentum * velocity - rule.rate * gradient
            return weight + tf.where(rule.nesterov, ahead, velocity), [velocity]
        case Adam() | AdamW():
            if isinstance(optimizer, AdamW):
                weight -= weight * optimizer.weight_decay * rule.rate
            mean, square = slots
            mean += (gradient - mean) * (1 - rule.momentum)
            # Keras rounds `1 - beta_2` once, from double precision.
            square += (tf.square(gradient) - square) * (1 - optimizer.beta_2)
            # The averages began at zero; the rate is corrected for it, in its own small shape.
            step = rule.number + 1
            rate = rule.rate * tf.sqrt(1 - tf.pow(optimizer.beta_2, step)) / (1 - tf.pow(rule.momentum, step))
            return weight - mean * rate / (tf.sqrt(square) + optimizer.epsilon), [mean, square]
        case RMSprop():
            square, velocity = slots
            square = optimizer.rho * square + (1 - optimizer.rho) * tf.square(gradient)
            velocity = rule.momentum * velocity + rule.rate * gradient / tf.sqrt(square + optimizer.epsilon)
            return weight - velocity, [square, velocity]


def wanted(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the perfect probabilities or numbers, `[seeds, outputs, rows, 1]`, for `targets` `[seeds, rows]`."""
    if logits.shape[1] == 1:
        return tf.cast(targets, tf.float32)[:, None, :, None]
    return tf.one_hot(targets, logits.shape[1], axis=1)[..., None]


def weighted(
    values: tf.Tensor, targets: tf.Tensor, class_weights: Sequence[float], weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Multiply `[seeds, ..., rows, candidates]` by the weight of each row: `weights`, or those of the rows' classes.

    `targets` and `weights` are `[seeds, rows]`.
    """
    if not class_weights and weights is None:
        return values
    by_row = tf.gather(tf.constant(class_weights, tf.float32), targets) if weights is None else weights
    return values * tf.reshape(by_row, (by_row.shape[0], *[1] * (len(values.shape) - 3), by_row.shape[1], 1))


def score(
    logits: tf.Tensor, targets: tf.Tensor, class_weights: Sequence[float] = (), weights: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the summed loss, `[seeds, candidates]`, and which rows are right, `[seeds, rows, candidates]`.

    No row of numbers is right.
    """
    perfect = wanted(logits, targets)
    if targets.dtype.is_floating:
        squares = weighted(tf.square(logits - perfect)[:, 0], targets, (), weights)
        return tf.reduce_sum(squares, axis=1), tf.zeros_like(logits[:, 0], tf.bool)
    if logits.shape[1] == 1:
        scores, perfect = logits[:, 0], perfect[:, 0]
        losses = tf.nn.relu(scores) - scores * perfect + tf.math.log1p(tf.exp(-tf.abs(scores)))
        right = tf.equal(tf.sigmoid(scores) > 0.5, perfect > 0.5)
    else:
        losses = -tf.reduce_sum(tf.nn.log_softmax(logits, axis=1) * perfect, axis=1)
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), targets[:, :, None])
    return tf.reduce_sum(weighted(losses, targets, class_weights, weights), axis=1), right
