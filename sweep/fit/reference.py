"""One training by Keras' own `fit`, with Keras' own optimizers: slow, obvious, and what the engines are tested against.

It shares with the population only what both are given: initial weights, batch order, and the rate and momentum of
each step. `sweep train` trains by it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from sweep.candidate import Adam, AdamW, Candidate, Optimizer, RMSprop, Sgd, layer_factors
from sweep.engines.initial import batch_order
from sweep.engines.keras_model import build_model
from sweep.engines.spec import Float32, Int32, TrainingSpec
from sweep.schedules import ClosedLoop
from sweep.schedules.keras import ClosedLoopRates, MomentumTable, RatesByStep


class Training:
    """One network, ready for `Model.fit`, whose rate and momentum follow the candidate's schedule.

    Attributes:
        model: the compiled network, with the weights that the run seed starts from.
        rates: the callback that sets the rate of each step and keeps a closed-loop schedule's state.
    """

    def __init__(self, spec: TrainingSpec, candidate: Candidate, run_seed: int) -> None:
        self.spec = spec
        self.model = build_model(spec.architecture, run_seed)
        self._order = batch_order(spec.split.train_rows, spec.epochs, run_seed)
        momenta = candidate.schedule.momenta(spec.timeline, candidate.momentum)
        optimizer, set_rate = _optimizer(spec, self.model, float(momenta.max()), candidate.nesterov)
        task, schedule = spec.architecture.task, candidate.schedule
        self.model.compile(optimizer=optimizer, loss=task.loss, metrics=[task.score])
        if isinstance(schedule, ClosedLoop):
            self.rates: RatesByStep = ClosedLoopRates(schedule, spec.timeline, set_rate)
        else:
            self.rates = RatesByStep(schedule.rates(spec.timeline), set_rate)
        # A momentum that never changes stays as the optimizer was made with it.
        self._follow = [self.rates, *([MomentumTable(momenta)] if np.ptp(momenta) > 0 else [])]

    def run(
        self, first_epoch: int, end_epoch: int, observers: Sequence[keras.callbacks.Callback] = ()
    ) -> dict[str, list[float]]:
        """Train from `first_epoch`, counted from 0, to before `end_epoch`; return what each epoch showed."""
        split, spec = self.spec.split, self.spec
        history: dict[str, list[float]] = self.model.fit(
            self._batches(first_epoch),
            steps_per_epoch=spec.timeline.steps_per_epoch,
            initial_epoch=first_epoch,
            epochs=end_epoch,
            shuffle=False,
            validation_data=(split.validation_inputs, split.validation_targets),
            callbacks=[*self._follow, *observers],
            verbose=0,
        ).history
        return history

    def _batches(self, first_epoch: int) -> Iterator[tuple[Float32, Int32]]:
        inputs, targets, size = self.spec.split.train_inputs, self.spec.split.train_targets, self.spec.batch_size
        for order in self._order[first_epoch:]:
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                yield inputs[rows], targets[rows]


def _optimizer(
    spec: TrainingSpec, model: keras.Model, momentum: float, nesterov: bool
) -> tuple[Any, Callable[[float], None] | None]:
    """Return the spec's optimizer by Keras, and how to set its rate if it has several."""
    chosen = spec.optimizer
    if not chosen.layered:
        return keras_optimizer(chosen, 0.0, momentum, nesterov), None
    factors = layer_factors(chosen, [layer.name for layer in model.layers if layer.trainable_variables])
    layered = keras_layered(chosen, factors, model, 0.0, momentum, nesterov)
    return layered, partial(set_learning_rate, layered, factors)


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

    Raises:
        ValueError: for a variable that is not named after its layer, or a layer without a factor.
    """
    made = {
        name: keras_optimizer(optimizer, learning_rate * factor, momentum, nesterov) for name, factor in factors.items()
    }
    # By name and not by path, because a Sequential's paths lose the model's name when it is loaded.
    by_name = {rf"(.*/)?{re.escape(name)}/.*": inner for name, inner in made.items()}
    chosen = keras.optimizers.OptimizerMap(next(iter(made.values())), by_name)
    for layer in model.layers:
        for variable in layer.trainable_variables:  # which Keras would give to another layer's optimizer in silence
            if chosen(variable) is not made.get(layer.name):
                raise ValueError(f"`{variable.path}` is not named after its layer `{layer.name}`.")
    return keras.optimizers.MultiOptimizer(chosen)


def set_learning_rate(
    layered: keras.optimizers.MultiOptimizer, factors: Mapping[str, float], learning_rate: float
) -> None:
    """Set the rate of what `keras_layered` made from the same `factors`: a `MultiOptimizer` refuses to."""
    for inner, factor in zip(layered.optimizers, factors.values(), strict=True):
        inner.learning_rate = learning_rate * factor
