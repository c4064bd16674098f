"""Any Keras model as a population: one forward pass and gradient, mapped over all members.

A builder `build(features, classes)` is called once per run seed under Keras' own seed, so that initial weights are
what the model's initializers draw; dense stacks of the study file start from NumPy's draw, which is faster. Layers
that TensorFlow cannot vectorise (convolutions, pooling) are trained member by member, still inside the one program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.engines.initial import initial_weights
from sweep.engines.spec import Architecture, Float32
from sweep.engines.updates import Gradient
from sweep.errors import BadInput
from sweep.user_code import find_function


def build_model(architecture: Architecture, run_seed: int) -> keras.Model:
    """Build the network as Keras knows it, with the weights that a run seed starts from.

    Raises:
        BadInput: if `module:function` cannot be imported, is no function, or returns no fitting Keras model.
    """
    task = architecture.task
    if architecture.build is not None:
        return _call_builder(architecture.build, architecture, run_seed)
    *names, output_name = architecture.layers
    hidden = [
        keras.layers.Dense(units, architecture.activation, name=name)
        for units, name in zip(architecture.hidden, names, strict=True)
    ]
    output = keras.layers.Dense(task.outputs, task.activation, name=output_name)
    model = keras.Sequential([keras.Input((architecture.features,)), *hidden, output])
    model.set_weights(initial_weights(architecture, run_seed))
    return model


def _call_builder(name: str, architecture: Architecture, run_seed: int) -> keras.Model:
    keras.utils.set_random_seed(run_seed)
    model = find_function(name, "model.build")(architecture.features, architecture.classes)
    if not isinstance(model, keras.Model):
        raise BadInput("model.build", f"`{name}` must return a Keras model, got {type(model).__name__}.")
    if not model.built:
        model.build((None, architecture.features))
    if tuple(model.output_shape) != (None, architecture.task.outputs):
        wanted = f"(None, {architecture.task.outputs})"
        raise BadInput("model.build", f"the model's output shape must be {wanted}, got {model.output_shape}.")
    return model


class MappedNetwork:
    """A Keras model for all members of a batch; every weight has the members as its first axis."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.model = build_model(architecture, run_seed=0)
        self._drawn: dict[int, tuple[list[Float32], list[Float32]]] = {}
        self._map = self._choose_map()

    def initial_weights(self, run_seeds: Sequence[int], candidates: int) -> list[tf.Tensor]:
        """Return the trainable variables that each run seed starts from, `[seeds * candidates, ...]`."""
        return _repeat([trained for trained, _ in self._draw(run_seeds)], candidates)

    def initial_state(self, run_seeds: Sequence[int], candidates: int) -> list[tf.Tensor]:
        """Return the untrained variables (moving averages and the like), `[seeds * candidates, ...]`."""
        return _repeat([untrained for _, untrained in self._draw(run_seeds)], candidates)

    @property
    def layers(self) -> tuple[str, ...]:
        """The name of each trainable variable's layer; a model within the model counts as one layer."""
        names = {id(variable): layer.name for layer in self.model.layers for variable in layer.trainable_variables}
        return tuple(names[id(variable)] for variable in self.model.trainable_variables)

    @property
    def weight_count(self) -> int:
        """The number of one member's weights, trained or not."""
        return int(self.model.count_params())

    def spread(self, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Shape `[1 or seeds, candidates]` so that it multiplies `weight`."""
        members = tf.tile(values, (weight.shape[0] // (values.shape[0] * values.shape[1]), 1))
        return tf.reshape(members, (-1, *[1] * (len(weight.shape) - 1)))

    def logits(self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Return the logits for `inputs` `[seeds, rows, features]`: `[seeds, outputs, rows, candidates]`."""
        candidates = weights[0].shape[0] // inputs.shape[0]

        def member(taken: tuple[Any, ...]) -> tf.Tensor:
            member_weights, member_state, rows = taken
            return self._call(member_weights, member_state, rows, training=False)[0]

        mapped = self._map(member, (list(weights), list(state), tf.repeat(inputs, candidates, axis=0)))
        return self._arrange(mapped, inputs)

    def gradient(
        self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor
    ) -> Gradient:
        """Return the logits and the mean cross-entropy's gradient, for `targets` `[seeds, rows]`."""
        candidates = weights[0].shape[0] // inputs.shape[0]

        def member(taken: tuple[Any, ...]) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
            member_weights, member_state, rows, wanted = taken
            with tf.GradientTape() as tape:
                tape.watch(member_weights)
                logits, after = self._call(member_weights, member_state, rows, training=True)
                if logits.shape[-1] == 1:
                    wanted = tf.cast(wanted, tf.float32)[:, None]
                    losses = tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
                else:
                    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
                loss = tf.reduce_mean(losses)
            return logits, tape.gradient(loss, member_weights), after

        repeated = [tf.repeat(array, candidates, axis=0) for array in (inputs, targets)]
        logits, gradients, after = self._map(member, (list(weights), list(state), *repeated))
        pinned = [tf.ensure_shape(new, old.shape) for new, old in zip(gradients, weights, strict=True)]
        kept = [tf.ensure_shape(new, old.shape) for new, old in zip(after, state, strict=True)]
        return Gradient(self._arrange(logits, inputs), pinned, kept)

    def keras_weights(
        self,
        weights: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        seed: int,
        candidate: int,
        candidates: int,
    ) -> list[Float32]:
        """Return one member's weights as `Model.get_weights` orders them; `seed` is its place in the batch."""
        member = seed * candidates + candidate
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        values = {
            id(variable): value.numpy()[member] for variable, value in zip(variables, [*weights, *state], strict=True)
        }
        return [values[id(variable)] for variable in self.model.weights]

    def _draw(self, run_seeds: Sequence[int]) -> list[tuple[list[Float32], list[Float32]]]:
        """Return each seed's trainable and untrained variables.

        Building a model takes much longer than training a member for an epoch, and jobs of one round share their run
        seeds; so what the last seeds drew is kept, and no more.
        """
        kept, self._drawn = self._drawn, {}
        for seed in run_seeds:
            if seed not in self._drawn:
                self._drawn[seed] = kept[seed] if seed in kept else self._initial_variables(seed)
        return [self._drawn[seed] for seed in run_seeds]

    def _initial_variables(self, run_seed: int) -> tuple[list[Float32], list[Float32]]:
        model = build_model(self.architecture, run_seed)
        groups = (model.trainable_variables, model.non_trainable_variables)
        trained, untrained = ([np.asarray(variable) for variable in group] for group in groups)
        return trained, untrained

    def _call(
        self, weights: list[tf.Tensor], state: list[tf.Tensor], inputs: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        outputs, after = self.model.stateless_call(weights, state, inputs, training=training)
        # Keras attaches to its result what the output layer's sigmoid or softmax was given.
        logits = getattr(outputs, "_keras_logits", None)
        if logits is None:
            raise BadInput("model.build", "the model must end in a sigmoid (two classes) or softmax activation.")
        return logits, list(after)

    def _arrange(self, mapped: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Turn `[seeds * candidates, rows, outputs]` into `[seeds, outputs, rows, candidates]`."""
        seeds, rows = inputs.shape[:2]
        return tf.transpose(tf.reshape(mapped, (seeds, -1, rows, self.architecture.task.outputs)), (0, 3, 2, 1))

    def _choose_map(self) -> Callable[[Callable[..., Any], Any], Any]:
        """Vectorise over members where every layer of the model can be, and loop over them where not."""
        features = self.architecture.features
        probe = (self.initial_weights((0,), 2), self.initial_state((0,), 2), tf.zeros((2, 3, features)))

        def member(taken: tuple[Any, ...]) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(taken[0])
                loss = tf.reduce_sum(self._call(*taken, training=True)[0])
            return tape.gradient(loss, taken[0])

        try:
            tf.function(lambda: _vectorised(member, probe), autograph=False).get_concrete_function()
        except (ValueError, NotImplementedError):
            return _one_by_one
        return _vectorised


def _vectorised(member: Callable[..., Any], taken: Any) -> Any:
    return tf.vectorized_map(member, taken, fallback_to_while_loop=False)


def _one_by_one(member: Callable[..., Any], taken: Any) -> Any:
    """Map without vectorising; the number of members is static, so the results are written out in a loop."""
    first = tf.nest.map_structure(lambda array: array[0], taken)
    kinds = tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), member(first))
    return tf.map_fn(member, taken, fn_output_signature=kinds)


def _repeat(by_seed: Sequence[Sequence[Float32]], candidates: int) -> list[tf.Tensor]:
    stacked = (np.stack(arrays) for arrays in zip(*by_seed, strict=True))
    return [tf.constant(np.repeat(array, candidates, axis=0)) for array in stacked]
