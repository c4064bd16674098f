"""Cross-entropy of logits, its gradient and the right rows, for all members at once.

Logits are `[seeds, outputs, rows, candidates]`: one output means two classes and a sigmoid, more mean a softmax.
Keras' `fit` computes the same from the logits behind a sigmoid or softmax output.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Gradient(NamedTuple):
    """What one minibatch gives: logits, the gradient by each weight, and the untrained state afterwards."""

    logits: tf.Tensor
    weights: list[tf.Tensor]
    state: list[tf.Tensor]


def logits_gradient(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the gradient of the mean cross-entropy over rows by the logits, for `targets` `[seeds, rows]`."""
    probabilities = tf.sigmoid(logits) if logits.shape[1] == 1 else tf.nn.softmax(logits, axis=1)
    return (probabilities - _wanted(logits, targets)) / logits.shape[2]


def score(logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the summed cross-entropy, `[seeds, candidates]`, and which rows are right, `[seeds, rows, candidates]`."""
    if logits.shape[1] == 1:
        scores, wanted = logits[:, 0], _wanted(logits, targets)[:, 0]
        losses = tf.nn.relu(scores) - scores * wanted + tf.math.log1p(tf.exp(-tf.abs(scores)))
        right = tf.equal(tf.sigmoid(scores) > 0.5, wanted > 0.5)
    else:
        losses = -tf.reduce_sum(tf.nn.log_softmax(logits, axis=1) * _wanted(logits, targets), axis=1)
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), targets[:, :, None])
    return tf.reduce_sum(losses, axis=1), right


def count(right: tf.Tensor) -> tf.Tensor:
    """Return the number of right rows, `[seeds, candidates]`."""
    return tf.reduce_sum(tf.cast(right, tf.int32), axis=1)


def count_by_class(right: tf.Tensor, targets: tf.Tensor, classes: int) -> tf.Tensor:
    """Return the number of right rows of each class, `[seeds, classes, candidates]`, for `targets` `[1, rows]`."""
    members = tf.one_hot(targets, classes, axis=1, on_value=True, off_value=False)
    return tf.reduce_sum(tf.cast(right[:, None] & members[..., None], tf.int32), axis=2)


def _wanted(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the perfect probabilities, `[seeds, outputs, rows, 1]`."""
    if logits.shape[1] == 1:
        return tf.cast(targets, tf.float32)[:, None, :, None]
    return tf.one_hot(targets, logits.shape[1], axis=1)[..., None]
