"""The rates of Keras' own schedules, in double precision, for the tests that hold ours against them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweep.schedules import Numbers, Timeline


def keras_rates(name: str, timeline: Timeline, *arguments: Any, **options: Any) -> Numbers:
    """Return what `keras.optimizers.schedules.<name>` gives for each step, `[epochs, steps_per_epoch]`."""
    import keras
    import tensorflow as tf

    exact = {key: _exact(value) for key, value in options.items()}
    schedule = getattr(keras.optimizers.schedules, name)(*map(_exact, arguments), **exact)
    steps = tf.range(timeline.batches, dtype=tf.float64)
    alone = "warmup_steps" in options  # Keras asks each step whether it is before the end of a warm-up
    rates = [float(schedule(step)) for step in steps] if alone else schedule(steps).numpy()
    return np.reshape(rates, (timeline.epochs, timeline.steps_per_epoch))


def _exact(value: Any) -> Any:
    """Return a float, or those of a list, as NumPy has it: Keras makes single precision of Python's."""
    if isinstance(value, list):
        return [_exact(each) for each in value]
    return np.float64(value) if isinstance(value, float) else value
