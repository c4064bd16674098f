"""Keras models that a study file could name; `sweep.engines.keras_models` finds them by `module:function`."""

from __future__ import annotations

import sys
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


def two_logits(features: int) -> Any:
    return keras.Sequential([keras.Input((features,)), layers.Dense(2)])


def three_outputs(features: int, classes: int) -> Any:
    return keras.Sequential([keras.Input((features,)), layers.Dense(3, "softmax")])


def a_list(features: int) -> Any:
    return [layers.Dense(features)]


def failing(features: int) -> Any:
    return features / 0


def leaving() -> Any:
    sys.exit(3)


def asking(depth: int) -> Any:
    return depth


def too_wide() -> Any:
    return keras.Sequential([keras.Input((9,)), layers.Dense(1, "sigmoid")])


def _small(width: int) -> Any:
    return keras.Sequential([keras.Input((width,)), layers.Dense(1, "sigmoid")])


def by_name(classes: int, features: int) -> Any:
    assert classes == 2
    return _small(features)


def by_place(inputs: int, labels: int) -> Any:
    assert labels == 2
    return _small(inputs)


def by_shape(input_shape: tuple[int, ...], outputs: int, task: str) -> Any:
    assert (outputs, task) == (1, "classes")
    return _small(input_shape[0])


def without_parameters() -> Any:
    return _small(34)


def with_any(**asked: Any) -> Any:
    return _small(asked["features"])


def with_defaults(features: int, width: int = 8) -> Any:
    return keras.Sequential([keras.Input((features,)), layers.Dense(width), layers.Dense(1, "sigmoid")])


class Subclassed(keras.Model):  # type: ignore[misc]  # Keras ships no types
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden, self.out = layers.Dense(6, "relu"), layers.Dense(classes)

    def call(self, inputs: Any) -> Any:
        return keras.ops.softmax(self.out(self.hidden(inputs)))


def subclassed(classes: int) -> Any:
    return Subclassed(classes)


def compiled(features: int, classes: int) -> Any:
    model = branched(features, classes)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.02, clipnorm=1.0, beta_2=0.98)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy", "auc"])
    return model


def scheduled(features: int, classes: int) -> Any:
    model = branched(features, classes)
    rate = keras.optimizers.schedules.CosineDecay(0.1, 100)
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def noisy(features: int, classes: int) -> Any:
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.GaussianNoise(0.1),
            layers.Dense(8, "relu"),
            layers.Dropout(0.4),
            layers.Dense(classes, "softmax"),
        ]
    )


def regularised(features: int, classes: int) -> Any:
    hidden = layers.Dense(8, "relu", kernel_regularizer="l2", activity_regularizer="l1", kernel_constraint="max_norm")
    out = layers.Dense(classes, "softmax", bias_regularizer="l1", kernel_constraint="unit_norm")
    return keras.Sequential([keras.Input((features,)), hidden, out])


def frozen(features: int, classes: int) -> Any:
    hidden = layers.Dense(8, "relu", trainable=False)
    return keras.Sequential([keras.Input((features,)), hidden, layers.Dense(classes, "softmax")])


class Adding(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    def call(self, inputs: Any) -> Any:
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
        return inputs


def adding(features: int, classes: int) -> Any:
    out = layers.Dense(classes, "softmax")
    return keras.Sequential([keras.Input((features,)), layers.Dense(8, "relu"), Adding(), out])


def averaged(features: int, classes: int) -> Any:
    model = branched(features, classes)
    model.compile(keras.optimizers.Adam(use_ema=True, ema_momentum=0.9), "sparse_categorical_crossentropy")
    return model


def _hardened(truth: Any, shares: Any) -> Any:
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(truth, shares) ** 2, axis=-1)


def own_loss(features: int, classes: int) -> Any:
    model = branched(features, classes)
    model.compile(keras.optimizers.Lion(), _hardened, metrics=[_hardened, "accuracy"])
    return model


class OwnStep(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Turns its gradients back by half, as only a training step of one's own can; for JAX."""

    def train_step(self, state: Any, data: Any) -> Any:
        logs, after = super().train_step(state, data)
        halfway = [(one + other) / 2 for one, other in zip(state[0], after[0], strict=True)]
        return logs, (halfway, *after[1:])


def own_step(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    model = OwnStep(inputs, layers.Dense(classes, "softmax")(layers.Dense(6, "relu")(inputs)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class PairSteps(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Takes a batch apart as Keras' guides do: `x, y = data`."""

    def train_step(self, state: Any, data: Any) -> Any:
        x, y = data
        return super().train_step(state, (x, y))

    def test_step(self, state: Any, data: Any) -> Any:
        x, y = data
        return super().test_step(state, (x, y))


def pair_steps(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    model = PairSteps(inputs, layers.Dense(classes, "softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class GuideSteps(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Updates its metrics one by one, as Keras' guide for JAX does, and never asks `compute_metrics`."""

    def loss_and_outputs(self, trained: Any, others: Any, x: Any, y: Any, training: bool) -> Any:
        outputs, others = self.stateless_call(trained, others, x, training=training)
        return self.compute_loss(x, y, outputs), (outputs, others)

    def train_step(self, state: Any, data: Any) -> Any:
        import jax

        (trained, others, optimizer, counts), (x, y) = state, data
        slope = jax.value_and_grad(self.loss_and_outputs, has_aux=True)
        (loss, (outputs, others)), slopes = slope(trained, others, x, y, True)
        trained, optimizer = self.optimizer.stateless_apply(optimizer, slopes, trained)
        logs, counts = self.counted(counts, loss, y, outputs)
        return logs, (trained, others, optimizer, counts)

    def test_step(self, state: Any, data: Any) -> Any:
        (trained, others, counts), (x, y) = state, data
        loss, (outputs, others) = self.loss_and_outputs(trained, others, x, y, False)
        logs, counts = self.counted(counts, loss, y, outputs)
        return logs, (trained, others, counts)

    def counted(self, counts: Any, loss: Any, y: Any, outputs: Any) -> Any:
        logs, after = {}, list[Any]()
        for metric in self.metrics:
            own = counts[len(after) : len(after) + len(metric.variables)]
            given = (loss,) if metric.name == "loss" else (y, outputs)
            own = metric.stateless_update_state(own, *given)
            logs[metric.name] = metric.stateless_result(own)
            after += own
        return logs, after


def guide_steps(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    model = GuideSteps(inputs, layers.Dense(classes, "softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class PairStepsOfTensorFlow(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """The same for Keras on TensorFlow."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        return super().train_step((x, y))

    def test_step(self, data: Any) -> Any:
        x, y = data
        return super().test_step((x, y))


def pair_steps_of_tensorflow(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    model = PairStepsOfTensorFlow(inputs, layers.Dense(classes, "softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class WithoutLoss(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Returns what it lost under a name of its own; for TensorFlow."""

    def train_step(self, data: Any) -> Any:
        return {"lost": super().train_step(data)["loss"]}


def step_without_loss(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    model = WithoutLoss(inputs, layers.Dense(classes, "softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def huber(features: int) -> Any:
    model = regression(features, 0)
    model.compile("rmsprop", "huber", metrics=["mae"])
    return model


class Eager(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Asks for a number on the host, which a compiled program does not have."""

    def train_step(self, state: Any, data: Any) -> Any:
        logs, after = super().train_step(state, data)
        return logs, after if float(logs["loss"]) < 1e9 else state


def eager(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    model = Eager(inputs, layers.Dense(classes, "softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def embedded(features: int, classes: int) -> Any:
    return keras.Sequential(
        [
            keras.Input((features,), dtype="int32"),
            layers.Embedding(10, 3),
            layers.Flatten(),
            layers.Dense(classes, "softmax"),
        ]
    )


def heavy(features: int) -> Any:
    """Decay so fast that one class alone is left."""
    hidden = layers.Dense(16, "relu", kernel_regularizer=keras.regularizers.L2(1.0))
    out = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1.0))
    return keras.Sequential([keras.Input((features,)), hidden, out])


def _compiled(features: int, loss: Any, metrics: Any = (), width: int = 1, optimizer: Any = "sgd") -> Any:
    last = layers.Dense(width, "sigmoid" if width == 1 else "softmax")
    model = keras.Sequential([keras.Input((features,)), last])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def sparse_of_one(features: int) -> Any:
    return _compiled(features, "sparse_categorical_crossentropy")


def binary_of_two(features: int) -> Any:
    return _compiled(features, "binary_crossentropy", width=2)


def unknown_loss(features: int) -> Any:
    return _compiled(features, "crossentropie")


def without_loss(features: int) -> Any:
    return _compiled(features, None)


def squared(features: int) -> Any:
    return _compiled(features, "mse", width=2)


def schedule_free(features: int) -> Any:
    return _compiled(features, "binary_crossentropy", optimizer=keras.optimizers.ScheduleFreeAdamW())


def scaled(features: int) -> Any:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    return _compiled(features, "binary_crossentropy", optimizer=optimizer)


def _broken(truth: Any, shares: Any) -> Any:
    raise ArithmeticError("it is broken")


def broken_metric(features: int) -> Any:
    return _compiled(features, "binary_crossentropy", metrics=[_broken])


def unknown_metric(features: int) -> Any:
    return _compiled(features, "binary_crossentropy", metrics=["acuracy"])


def broken_loss(features: int) -> Any:
    return _compiled(features, _broken)


LOSSES = {"kind": "sparse_categorical_crossentropy", "size": "mse"}


def _of_heads(loss: Any = None, by_name: bool = True, **settings: Any) -> Any:
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, "tanh", kernel_regularizer="l2")(inputs)
    outputs = {"size": layers.Dense(2, name="size")(hidden), "kind": layers.Dense(3, "softmax", name="kind")(hidden)}
    model = keras.Model(inputs, outputs if by_name else [outputs["kind"], outputs["size"]])
    if loss != "none":
        model.compile("sgd", LOSSES if loss is None else loss, **settings)
    return model


def heads() -> Any:
    return _of_heads(loss_weights={"kind": 1.0, "size": 0.25}, metrics={"kind": ["accuracy"]})


def _farthest(truth: Any, given: Any) -> Any:
    errors = keras.ops.mean(keras.ops.abs(truth - given), axis=-1)
    return errors + keras.ops.max(errors)


def heads_in_order() -> Any:
    losses = {"kind": keras.losses.SparseCategoricalCrossentropy(), "size": _farthest}
    return _of_heads(losses, by_name=False, loss_weights={"kind": 0.5, "size": 2.0})


class SubclassedHeads(keras.Model):  # type: ignore[misc]  # Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.kind, self.size = layers.Dense(3, "softmax"), layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return {"kind": self.kind(inputs), "size": self.size(inputs)}


def subclassed_heads() -> Any:
    model = SubclassedHeads()
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
    return model


def uncompiled_heads() -> Any:
    return _of_heads("none")


def heads_without_a_loss() -> Any:
    return _of_heads({"kind": LOSSES["kind"]})


def heads_with_another_loss() -> Any:
    return _of_heads({**LOSSES, "age": "mse"})


def heads_of_shares() -> Any:
    return _of_heads({**LOSSES, "kind": "categorical_crossentropy"})


def heads_of_one_loss() -> Any:
    return _of_heads("mse")


def heads_of_classes() -> Any:
    return _of_heads({**LOSSES, "size": "sparse_categorical_crossentropy"})


def heads_of_probabilities() -> Any:
    return _of_heads({**LOSSES, "size": "binary_crossentropy"})


def untrained(features: int) -> Any:
    model = _small(features)
    model.trainable = False
    return model


def of_two_inputs(features: int) -> Any:
    one, other = keras.Input((features,)), keras.Input((features,))
    return keras.Model([one, other], layers.Dense(1, "sigmoid")(layers.Add()([one, other])))


def of_two_outputs(features: int) -> Any:
    inputs = keras.Input((features,))
    return keras.Model(inputs, {"one": layers.Dense(1)(inputs), "other": layers.Dense(3)(inputs)})


def of_parts(input_shape: dict[str, tuple[int, ...]], classes: int) -> Any:
    inputs = {name: keras.Input(input_shape[name], name=name) for name in ("words", "image", "age")}
    words = layers.GlobalAveragePooling1D()(layers.Embedding(9, 3)(inputs["words"]))
    joined = layers.Concatenate()([layers.Flatten()(inputs["image"]), words, inputs["age"]])
    return keras.Model(inputs, layers.Dense(classes, "softmax")(joined))


def of_named_list(input_shape: dict[str, tuple[int, ...]]) -> Any:
    age, image = keras.Input((1,), name="age"), keras.Input((4,), name="image")
    return keras.Model([age, image], layers.Dense(1, "sigmoid")(layers.Concatenate()([age, image])))


class InOrder(keras.Model):  # type: ignore[misc]  # Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3, "softmax")

    def call(self, inputs: Any) -> Any:
        image, age = inputs
        return self.dense(keras.ops.concatenate([image, age], axis=-1))


def by_shape_of_one() -> Any:
    return _small(4)


def in_order() -> Any:
    return InOrder()


def of_labels(features: int, outputs: int, task: str) -> Any:
    assert task == "labels"
    model = keras.Sequential([keras.Input((features,)), layers.Dense(6, "tanh"), layers.Dense(outputs)])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def of_labels_by_class(features: int, outputs: int) -> Any:
    model = keras.Sequential([keras.Input((features,)), layers.Dense(outputs, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


def of_labels_by_softmax(features: int, outputs: int) -> Any:
    return keras.Sequential([keras.Input((features,)), layers.Dense(outputs, "softmax")])


def misshapen() -> Any:
    return keras.Sequential([layers.Reshape((7, 9)), layers.Flatten(), layers.Dense(1, "sigmoid")])


class Untraceable(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Can be built into a model, and not called with numbers."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def call(self, inputs: Any) -> Any:
        if isinstance(inputs, keras.KerasTensor):
            return inputs * 2
        raise RuntimeError("no numbers, please")


def untraceable(features: int, classes: int) -> Any:
    inputs = keras.Input((features,))
    return keras.Model(inputs, layers.Dense(classes, "softmax")(Untraceable()(inputs)))
