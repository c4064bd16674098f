"""Any Keras model as a population: one forward pass and gradient, mapped over all members.

A builder `build(features, classes)`, 0 classes for numbers, is called once per run seed under Keras' own seed, so that
initial weights are what the model's initializers draw; dense stacks of the study file start from NumPy's draw, which is
faster. Layers that TensorFlow cannot vectorise (convolutions, pooling) are trained member by member, still inside the
one program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.engines.spec import Architecture, Block, Float32, initial_weights
from sweep.engines.updates import Gradient
from sweep.errors import BadInput
from sweep.user_code import find_function


def build_model(architecture: Architecture, run_seed: int) -> keras.Model:
    """Build the network as Keras knows it, with the weights that a run seed starts from.

    Raises:
        BadInput: if `module:function` cannot be imported, is no function, or returns no fitting Keras model.
    """
    task, name, features = architecture.task, architecture.build, architecture.features
    if name is None:
        layers = [
            keras.layers.Dense(units, architecture.activation, name=layer)
            for units, layer in zip(architecture.hidden, architecture.layers, strict=False)
        ]
        output = keras.layers.Dense(task.outputs, task.activation, name=architecture.layers[-1])
        model = keras.Sequential([keras.Input((features,)), *layers, output])
        model.set_weights(initial_weights(architecture, run_seed))
        return model
    keras.utils.set_random_seed(run_seed)
    model = find_function(name, "model.build")(features, architecture.classes)
    if not isinstance(model, keras.Model):
        raise BadInput("model.build", f"`{name}` must return a Keras model, got {type(model).__name__}.")
    if not model.built:
        model.build((None, features))
    if tuple(model.output_shape) != (None, task.outputs):
        expected = f"(None, {task.outputs})"
        raise BadInput("model.build", f"the model's output shape must be {expected}, got {model.output_shape}.")
    return model


class MappedNetwork:
    """A Keras model for all members of a batch; every weight has the members as its first axis.

    Its interface is that of `sweep.engines.dense.HiddenLayerNetwork`. `weight_count` is the number of one member's
    weights, trained or not.
    """

    def __init__(self, architecture: Architecture, class_weights: tuple[float, ...] = ()) -> None:
        self.architecture, self.class_weights = architecture, class_weights
        self.model = build_model(architecture, run_seed=0)
        self.weight_count = int(self.model.count_params())
        self._drawn: dict[int, list[Float32]] = {}
        self._vectorised = self._can_be_vectorised()
        self._predict = tf.function(self._forward, autograph=False)

    def initial(self, run_seeds: Sequence[int], candidates: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Return what each run seed starts from: the variables to train, and the others, such as moving averages.

        Building a model takes much longer than training a member for an epoch, and jobs of one round share their run
        seeds; so what the last seeds drew is kept, and no more.
        """
        kept, self._drawn = self._drawn, {}
        for seed in dict.fromkeys(run_seeds):
            self._drawn[seed] = kept.get(seed) or self._draw(seed)
        by_variable = zip(*(self._drawn[seed] for seed in run_seeds), strict=True)
        repeated = [tf.constant(np.repeat(np.stack(arrays), candidates, axis=0)) for arrays in by_variable]
        trained = len(self.model.trainable_variables)
        return repeated[:trained], repeated[trained:]

    @property
    def layers(self) -> tuple[str, ...]:
        """The name of each trainable variable's layer; a model within the model counts as one layer."""
        names = {id(variable): layer.name for layer in self.model.layers for variable in layer.trainable_variables}
        return tuple(names[id(variable)] for variable in self.model.trainable_variables)

    def spread(self, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Shape `[1 or seeds, candidates]` so that it multiplies `weight`."""
        members = tf.tile(values, (weight.shape[0] // (values.shape[0] * values.shape[1]), 1))
        return tf.reshape(members, (-1, *[1] * (len(weight.shape) - 1)))

    def logits(self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Return the logits for `inputs` `[seeds, rows, features]`: `[seeds, outputs, rows, candidates]`."""
        candidates = weights[0].shape[0] // inputs.shape[0]
        return self._arrange(self._forward(list(weights), list(state), tf.repeat(inputs, candidates, axis=0)), inputs)

    def predict(
        self,
        weights: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        inputs: Float32,
        block: Block,
    ) -> Float32:
        """Return the logits of some members for `inputs` `[rows, features]`: `[seeds, candidates, rows, outputs]`."""
        members = [seed * block.width + candidate for seed in block.seeds for candidate in block.candidates]
        chosen = [[tf.gather(array, members) for array in arrays] for arrays in (weights, state)]
        found: Float32 = self._predict(*chosen, tf.repeat(inputs[None], len(members), axis=0)).numpy()
        return found.reshape(len(block.seeds), len(block.candidates), *found.shape[1:])

    def _forward(self, weights: list[tf.Tensor], state: list[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Return the logits of every member, `[members, rows, outputs]`, for inputs of its own."""

        def member(taken: tuple[Any, ...]) -> tf.Tensor:
            return self._call(*taken, training=False)[0]

        return self._map(member, (weights, state, inputs))

    def gradient(
        self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor
    ) -> Gradient:
        """Return the logits, the mean loss' gradient for `targets` `[seeds, rows]`, and the state after."""
        candidates = weights[0].shape[0] // inputs.shape[0]

        def member(taken: tuple[Any, ...]) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
            member_weights, member_state, rows, classes = taken
            with tf.GradientTape() as tape:
                tape.watch(member_weights)
                logits, after = self._call(member_weights, member_state, rows, training=True)
                if classes.dtype.is_floating:
                    losses = tf.square(logits[:, 0] - classes)
                elif logits.shape[-1] == 1:
                    perfect = tf.cast(classes, tf.float32)[:, None]
                    losses = tf.nn.sigmoid_cross_entropy_with_logits(perfect, logits)
                else:
                    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
                if self.class_weights:
                    losses = tf.reshape(losses, (-1,)) * tf.gather(tf.constant(self.class_weights), classes)
                loss = tf.reduce_mean(losses)
            return logits, tape.gradient(loss, member_weights), after

        repeated = [tf.repeat(array, candidates, axis=0) for array in (inputs, targets)]
        logits, gradients, after = self._map(member, (list(weights), list(state), *repeated))
        pinned = [tf.ensure_shape(new, old.shape) for new, old in zip(gradients, weights, strict=True)]
        kept = [tf.ensure_shape(new, old.shape) for new, old in zip(after, state, strict=True)]
        return Gradient(self._arrange(logits, inputs), pinned, kept)

    def _draw(self, run_seed: int) -> list[Float32]:
        model = build_model(self.architecture, run_seed)
        return [np.asarray(variable) for variable in (*model.trainable_variables, *model.non_trainable_variables)]

    def _call(
        self, weights: list[tf.Tensor], state: list[tf.Tensor], inputs: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        outputs, after = self.model.stateless_call(weights, state, inputs, training=training)
        # Keras attaches to its result what the output layer's sigmoid or softmax was given.
        logits = getattr(outputs, "_keras_logits", None)
        if self.architecture.task.name == "numbers":
            if logits is not None:
                raise BadInput("model.build", "the model must end in a linear unit, since the label holds numbers.")
            return outputs, list(after)
        if logits is None:
            raise BadInput("model.build", "the model must end in a sigmoid (two classes) or softmax activation.")
        return logits, list(after)

    def _arrange(self, mapped: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Turn `[seeds * candidates, rows, outputs]` into `[seeds, outputs, rows, candidates]`."""
        seeds, rows = inputs.shape[:2]
        return tf.transpose(tf.reshape(mapped, (seeds, -1, rows, self.architecture.task.outputs)), (0, 3, 2, 1))

    def _map(self, member: Callable[..., Any], taken: Any) -> Any:
        """Compute `member` of every member: all at once, or one after the other, whose number is static."""
        if self._vectorised:
            return tf.vectorized_map(member, taken, fallback_to_while_loop=False)
        first = tf.nest.map_structure(lambda array: array[0], taken)
        kinds = tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), member(first))
        return tf.map_fn(member, taken, fn_output_signature=kinds)

    def _can_be_vectorised(self) -> bool:
        """Say whether every layer of the model has a form for all members at once."""
        probe = (*self.initial((0,), 2), tf.zeros((2, 3, self.architecture.features)))

        def member(taken: tuple[Any, ...]) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(taken[0])
                loss = tf.reduce_sum(self._call(*taken, training=True)[0])
            return tape.gradient(loss, taken[0])

        def vectorised() -> Any:
            return tf.vectorized_map(member, probe, fallback_to_while_loop=False)

        try:
            tf.function(vectorised, autograph=False).get_concrete_function()
        except (ValueError, NotImplementedError):
            return False
        return True
