"""Every optimizer's step beside Keras' own, and the laws that let members share it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from sweep.candidate import Adam, AdamW, Optimizer, RMSprop, Sgd
from sweep.engines.keras_models import keras_optimizer, make_optimizer
from sweep.engines.spec import Float32
from sweep.engines.updates import SLOTS, Rule, update

STEPS = 25
SHAPES = ((3, 4), (4,), (2, 3, 2))
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Sgd(),
    "adam": Adam(),
    "adam with its own settings": Adam(beta_2=0.9, epsilon=1e-3),
    "adamw": AdamW(),
    "adamw with its own settings": AdamW(beta_2=0.99, weight_decay=0.3),
    "adamw without decay": AdamW(weight_decay=0.0),
    "rmsprop": RMSprop(),
    "rmsprop with its own settings": RMSprop(rho=0.99, epsilon=1e-3),
}
COMPILED: dict[str, Any] = {}

each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


class Training(NamedTuple):
    """What two optimizers are given alike: `[steps]` settings and each weight's start and gradients."""

    rates: Float32
    momenta: Float32
    starts: list[Float32]
    gradients: list[Float32]


def draw(seed: int, momentum: float | None, shapes: Sequence[tuple[int, ...]] = SHAPES) -> Training:
    """Draw rates from 0.001 to 0.1, and momenta from 0.5 to 0.95 unless one is given."""
    generator = np.random.default_rng(seed)
    rates = (10 ** generator.uniform(-3, -1, STEPS)).astype(np.float32)
    drawn = generator.uniform(0.5, 0.95, STEPS) if momentum is None else np.full(STEPS, momentum)
    starts = [generator.normal(size=shape).astype(np.float32) for shape in shapes]
    scales = 10 ** generator.uniform(-2, 1, (STEPS, len(shapes)))
    gradients = [
        (generator.normal(size=(STEPS, *shape)) * scales[:, place].reshape(-1, *[1] * len(shape))).astype(np.float32)
        for place, shape in enumerate(shapes)
    ]
    return Training(rates, drawn.astype(np.float32), starts, gradients)


def ours(
    optimizer: Optimizer, training: Training, nesterov: bool | None = None, *, compiled: bool = False
) -> list[Float32]:
    """Return each weight after each step, `[steps, ...]`."""
    histories = []
    for start, gradients in zip(training.starts, training.gradients, strict=True):
        told = None if nesterov is None else tf.constant(nesterov)
        histories.append(walk(optimizer, start, gradients, (training.rates, training.momenta, told), compiled))
    return histories


def walk(
    optimizer: Optimizer, start: Float32, gradients: Float32, settings: tuple[Float32, Float32, Any], compiled: bool
) -> Float32:
    """Step one weight; rates and momenta are `[steps, ...]`."""
    rates, momenta, nesterov = settings
    run: Any = partial(update, optimizer)
    if compiled:  # once for each optimizer, since that takes longer than all the steps
        run = COMPILED.setdefault(repr(optimizer), tf.function(run, jit_compile=True, autograph=False))
    weight, history = tf.constant(start), []
    slots = [tf.zeros_like(weight) for _ in range(SLOTS[optimizer.name])]
    for number in range(STEPS):
        rule = Rule(tf.constant(rates[number]), tf.constant(momenta[number]), nesterov, tf.constant(np.float32(number)))
        weight, slots = run(rule, weight, tf.constant(gradients[number]), slots)
        history.append(weight.numpy())
    return np.stack(history)


def by_keras(optimizer: Optimizer, training: Training, nesterov: bool = False) -> list[Float32]:
    """Return the same by Keras, eagerly, with the settings of every step set before it."""
    variables = [keras.Variable(start) for start in training.starts]
    theirs = keras_optimizer(optimizer, 0.5, float(training.momenta[0]), nesterov)
    histories: list[list[Float32]] = [[] for _ in variables]
    for number in range(STEPS):
        theirs.learning_rate = training.rates[number]
        setattr(theirs, momentum_name(optimizer), float(training.momenta[number]))
        theirs.apply([tf.constant(gradients[number]) for gradients in training.gradients], variables)
        for history, variable in zip(histories, variables, strict=True):
            history.append(variable.numpy())
    return [np.stack(history) for history in histories]


def momentum_name(optimizer: Optimizer) -> str:
    return "beta_1" if isinstance(optimizer, Adam | AdamW) else "momentum"


def assert_close(left: Sequence[Float32], right: Sequence[Float32]) -> None:
    """Hold two histories together after each step."""
    for one, other in zip(left, right, strict=True):
        assert np.isfinite(other).all()
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=2e-7)


def test_slots_are_as_many_as_keras_makes_for_a_weight() -> None:
    for optimizer in OPTIMIZERS.values():
        theirs = keras_optimizer(optimizer, 0.1, 0.9)
        theirs.build([keras.Variable(np.zeros(3, np.float32))])
        beside_the_weight = len({"iteration", "learning_rate"})
        assert SLOTS[optimizer.name] == len(theirs.variables) - beside_the_weight


@each_optimizer
def test_a_step_is_that_of_keras_and_momentum_may_change_at_every_step(optimizer: Optimizer) -> None:
    for seed, momentum in enumerate((0.0, 0.5, 0.9, None)):
        training = draw(seed, momentum)
        assert_close(ours(optimizer, training), by_keras(optimizer, training))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9, None])
def test_nesterov_is_that_of_keras(nesterov: bool, momentum: float | None) -> None:
    training = draw(2, momentum)
    assert_close(ours(Sgd(), training, nesterov), by_keras(Sgd(), training, nesterov))


@each_optimizer
def test_a_compiled_step_is_the_same(optimizer: Optimizer) -> None:
    training = draw(3, None)
    nesterov = True if isinstance(optimizer, Sgd) else None
    assert_close(ours(optimizer, training, nesterov, compiled=True), ours(optimizer, training, nesterov))


@each_optimizer
def test_each_of_many_members_is_stepped_as_if_alone(optimizer: Optimizer) -> None:
    members = [draw(seed, momentum, [(3, 2)]) for seed, momentum in enumerate((0.0, 0.5, 0.9, None, 0.99))]
    nesterov = np.arange(len(members)) % 2 == 0
    alone = [
        ours(optimizer, training, bool(nesterov[place]), compiled=True)[0] for place, training in enumerate(members)
    ]
    for axis, spread in ((0, (-1, 1, 1)), (-1, (-1,))):  # members first, and members last
        by_step = axis + 1 if axis == 0 else axis
        settings = (
            np.stack([training.rates for training in members], axis=1).reshape(STEPS, *spread),
            np.stack([training.momenta for training in members], axis=1).reshape(STEPS, *spread),
            tf.constant(nesterov.reshape(spread)),
        )
        starts = np.stack([training.starts[0] for training in members], axis=axis)
        gradients = np.stack([training.gradients[0] for training in members], axis=by_step)
        together = walk(optimizer, starts, gradients, settings, compiled=True)
        for place, wanted in enumerate(alone):
            np.testing.assert_array_equal(together.take(place, axis=by_step), wanted)


def test_a_rate_of_zero_leaves_the_weight_alone() -> None:
    for optimizer in OPTIMIZERS.values():
        training = draw(4, 0.9)._replace(rates=np.zeros(STEPS, np.float32))
        for history, start in zip(ours(optimizer, training), training.starts, strict=True):
            np.testing.assert_array_equal(history, np.broadcast_to(start, history.shape))


def test_decay_shrinks_a_weight_without_gradient_by_the_rate_of_the_step() -> None:
    training = draw(5, 0.9, [(4,)])
    still = training._replace(gradients=[np.zeros_like(training.gradients[0])])
    shares = np.cumprod(1 - 0.3 * training.rates.astype(np.float64))
    np.testing.assert_allclose(ours(AdamW(weight_decay=0.3), still)[0], np.outer(shares, still.starts[0]), rtol=1e-5)


def two_layers() -> Any:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, "tanh", name="hidden"), keras.layers.Dense(1, name="output")]
    return keras.Sequential([keras.Input((4,)), *layers])


@each_optimizer
def test_a_layers_share_of_the_rate_is_that_of_keras(optimizer: Optimizer) -> None:
    layered, model = optimizer.model_copy(update={"layer_decay": 0.25}), two_layers()
    theirs, held = make_optimizer(layered, model, 0.75)
    variables = model.trainable_variables
    training = draw(6, 0.75, [tuple(variable.shape) for variable in variables])
    training = training._replace(starts=[variable.numpy() for variable in variables])
    for number in range(STEPS):
        for inner, factor in held:
            inner.learning_rate = training.rates[number] * factor
        theirs.apply([tf.constant(gradients[number]) for gradients in training.gradients], variables)
    hidden = training._replace(rates=training.rates * np.float32(0.25))
    ends = [history[-1] for history in [*ours(layered, hidden)[:2], *ours(layered, training)[2:]]]
    assert_close(ends, [variable.numpy() for variable in variables])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, with NumPy 2
def test_a_layered_optimizer_trains_and_comes_back_from_a_file(tmp_path: Any) -> None:
    inputs, model = np.ones((8, 4), np.float32), two_layers()
    frozen = model.get_layer("hidden").get_weights()
    optimizer, held = make_optimizer(Sgd(layer_rates={"hidden": 0.0}), model, 0.9)
    for inner, factor in held:
        inner.learning_rate = 0.1 * factor
    model.compile(optimizer, "mse", run_eagerly=True)
    model.fit(inputs, inputs[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for twin in (model, loaded):
        twin.fit(inputs, inputs[:, :1], epochs=3, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(loaded.get_layer("hidden").get_weights()[0], frozen[0])
    assert not np.array_equal(loaded.get_layer("output").get_weights()[0], two_layers().get_weights()[2])


class Borrowed(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A layer whose weights were made, and named, by another one."""

    def __init__(self, inner: Any) -> None:
        super().__init__(name="borrowed")
        self.inner = inner

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)


def test_a_variable_that_is_not_named_after_its_layer_is_refused() -> None:
    inner = keras.layers.Dense(1, name="inner")
    inner.build((None, 4))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="first"), Borrowed(inner)])
    with pytest.raises(ValueError, match="`inner/kernel` is not named after its layer `borrowed`"):
        make_optimizer(Sgd(layer_decay=0.5), model, 0.9)
