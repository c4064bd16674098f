"""The engine: one compiled program that trains all members of a batch, epoch after epoch.

Everything that differs between members (rate, momentum, seed) is an array; everything fixed (architecture,
optimizer, batch size, the job's shape) is a Python value, so one program serves every job of a study.

Closed-loop schedules decide inside the program: going back to the host after each epoch made a training of the
default study 20 to 30 % slower (tests/bench/README.md). Their rules are functions on arrays, so the program runs the
very text that NumPy runs elsewhere; in single precision, so that what lies on the very edge of a threshold may fall to
its other side.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from sweep.candidate import layer_factors
from sweep.engines.dense import HiddenLayerNetwork
from sweep.engines.initial import batch_order
from sweep.engines.members import MONITORS, ClosedLoopSettings, MemberBatch, make_batch
from sweep.engines.spec import Architecture, Curves, Float32, Job, TrainingSpec
from sweep.engines.updates import Gradient, Rule, count, count_by_class, score, slot_count, update
from sweep.schedules import ClosedLoop, closed_loop_class


class Network(Protocol):
    """A forward pass and its gradient for all members of a batch; weights in a layout of its own."""

    def initial_weights(self, run_seeds: Sequence[int], candidates: int) -> list[tf.Tensor]:
        """Return the weights that each run seed starts from."""

    def initial_state(self, run_seeds: Sequence[int], candidates: int) -> list[tf.Tensor]:
        """Return the variables that the forward pass itself changes, such as moving averages."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The name of each weight's layer, from input to output."""

    @property
    def weight_count(self) -> int:
        """The number of one member's weights."""

    def spread(self, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Shape `[1 or seeds, candidates]` so that it multiplies `weight`."""

    def logits(self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Return logits `[seeds, outputs, rows, candidates]` for inputs `[seeds, rows, features]`."""

    def gradient(
        self, weights: Sequence[tf.Tensor], state: Sequence[tf.Tensor], inputs: tf.Tensor, targets: tf.Tensor
    ) -> Gradient:
        """Return the logits, the mean cross-entropy's gradient, and the state after the pass."""

    def keras_weights(
        self,
        weights: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        seed: int,
        candidate: int,
        candidates: int,
    ) -> list[Float32]:
        """Return one member's weights as `Model.get_weights` orders them."""


class Members(NamedTuple):
    """What a training moves: weights, the optimizer's slots for each, and the state of the forward pass."""

    weights: list[tf.Tensor]
    slots: list[list[tf.Tensor]]
    state: list[tf.Tensor]


class Table(NamedTuple):
    """Rates and momenta `[epochs, steps, 1 or seeds, candidates]`, and which candidates use Nesterov's, or None.

    `number` is the count of steps before the first of the table.
    """

    rates: tf.Tensor
    momenta: tf.Tensor
    nesterov: tf.Tensor | None
    number: tf.Tensor

    def at_epoch(self, number: tf.Tensor, gain: tf.Tensor | None) -> Table:
        """Return one epoch's table: rates and momenta `[steps, 1 or seeds, candidates]`."""
        rates = self.rates[number] if gain is None else self.rates[number] * gain
        before = self.number + tf.cast(number * self.rates.shape[1], tf.float32)
        return self._replace(rates=rates, momenta=self.momenta[number], number=before)


# By schedule, then by name: what each member remembers between epochs, `[seeds, candidates]`.
States = dict[str, dict[str, tf.Tensor]]


class Rows(NamedTuple):
    """Inputs `[..., rows, features]` and targets `[..., rows]`."""

    inputs: tf.Tensor
    targets: tf.Tensor

    def in_batches(self, full: int, size: int) -> Rows:
        """Cut `[seeds, rows, ...]` into `[batches, seeds, size, ...]`, leaving the rest out."""

        def cut(array: tf.Tensor) -> tf.Tensor:
            seeds, tail = array.shape[0], array.shape[2:]
            batches = tf.reshape(array[:, : full * size], (seeds, full, size, *tail))
            return tf.transpose(batches, (1, 0, 2, *range(3, 3 + len(tail))))

        return Rows(cut(self.inputs), cut(self.targets))


def network_for(architecture: Architecture) -> Network:
    """Return the fast network where one hidden layer is all there is, and the general one for the rest."""
    if architecture.is_hidden_layer:
        return HiddenLayerNetwork(architecture)
    from sweep.engines.keras_model import MappedNetwork  # noqa: PLC0415 - it loads Keras, half a second

    return MappedNetwork(architecture)


class Population:
    """The compiled training of one spec and of its re-splits.

    Attributes:
        spec: that of the last job. Rows go into the program as arguments, so re-splits of equal shape compile nothing.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.network = network_for(spec.architecture)
        layers = self.network.layers
        factors = layer_factors(spec.optimizer, tuple(dict.fromkeys(layers)))
        self._factors = [factors[layer] for layer in layers]
        self._closed_loop = {name: closed_loop_class(name) for name in spec.closed_loop}
        self._run = tf.function(self._epochs, jit_compile=True, autograph=False)

    @property
    def programs(self) -> int:
        """How many programs were compiled so far: one for each shape of job and of rows."""
        return int(self._run.experimental_get_tracing_count())

    def accepts(self, spec: TrainingSpec) -> bool:
        """Say whether `spec` differs in its rows alone."""
        return spec.is_resplit_of(self.spec)

    def train(self, job: Job) -> Curves:
        """Train every member of `job`, in several calls of the program if they do not fit the memory at once."""
        shape = job.shape
        if job.spec.architecture.weight_count is None:  # known since the model is built, and guessed before
            shape = shape.within_memory(self.network.weight_count)
        if shape == job.shape:
            return self.train_with_weights(job)[0]
        groups = [[self.train_with_weights(part)[0] for part in parts] for parts in job.divided(shape)]
        return Curves.joined([Curves.joined(parts, axis=1) for parts in groups], axis=0)

    def train_with_weights(self, job: Job) -> tuple[Curves, Members]:
        """Train every member of `job`; return its curves, and all members of its shape as they ended."""
        began = time.perf_counter()
        self.spec, batch, split = job.spec, make_batch(job), job.spec.split
        targets = split.train_targets
        orders = np.stack([batch_order(len(targets), job.spec.epochs, seed) for seed in batch.run_seeds], axis=1)
        members, curves, by_class = self._run(
            self._start(batch),
            self._table(batch),
            {name: Watching.of(batch.watchers[name]) for name in self._closed_loop},
            tf.constant(orders),
            Rows(tf.constant(split.train_inputs), tf.constant(targets)),
            Rows(tf.constant(split.validation_inputs), tf.constant(split.validation_targets)),
        )
        wanted = np.s_[: len(job.candidates), : len(job.run_seeds)]
        # In Fortran's order whatever is left out, because NumPy's means over runs round by the layout.
        by_epoch = [np.asfortranarray(curve.numpy().transpose(2, 1, 0)[wanted]) for curve in curves]
        loss, correct, held_loss, held_correct, *gains = by_epoch
        gain = gains[0] if gains else np.ones_like(loss)
        class_correct = by_class.numpy().transpose(2, 0, 1)[wanted]
        seconds = time.perf_counter() - began
        return Curves(loss, correct, held_loss, held_correct, gain, class_correct, seconds), members

    def _start(self, batch: MemberBatch) -> Members:
        candidates = len(batch.rates)
        weights = self.network.initial_weights(batch.run_seeds, candidates)
        slots = [[tf.zeros_like(weight) for weight in weights] for _ in range(slot_count(self.spec.optimizer))]
        return Members(weights, slots, self.network.initial_state(batch.run_seeds, candidates))

    def _table(self, batch: MemberBatch) -> Table:
        # Members come last, so that the program reads the rates of one step from contiguous memory.
        rates, momenta = (np.moveaxis(array, 0, -1)[:, :, None] for array in (batch.rates, batch.momenta))
        nesterov = tf.constant(batch.nesterov[None]) if self.spec.nesterov else None
        return Table(tf.constant(rates), tf.constant(momenta), nesterov, tf.constant(0.0))

    def _epochs(
        self,
        members: Members,
        table: Table,
        watchers: dict[str, Watching],
        orders: tf.Tensor,
        training: Rows,
        held: Rows,
    ) -> tuple[Members, list[tf.Tensor], tf.Tensor]:
        """Train through `orders` `[epochs, seeds, rows]`.

        Returns curves `[epochs, seeds, candidates]` and the last epoch's right rows `[seeds, classes, candidates]`.
        """
        epochs, seeds, rows = orders.shape
        held = Rows(tf.broadcast_to(held.inputs[None], (seeds, *held.inputs.shape)), held.targets[None])
        shape, held_rows = (seeds, table.rates.shape[-1]), held.targets.shape[1]
        kinds = (tf.float32, tf.int32, tf.float32, tf.int32, *[tf.float32] * bool(watchers))
        histories = [tf.TensorArray(kind, epochs, element_shape=shape) for kind in kinds]
        states = {name: _begin(kind, shape) for name, kind in self._closed_loop.items()}

        def epoch(
            number: tf.Tensor, members: Members, states: States, histories: list[tf.TensorArray], _: tf.Tensor
        ) -> Any:
            order, gain = orders[number], _gain(watchers, states)
            shuffled = Rows(tf.gather(training.inputs, order), tf.gather(training.targets, order))
            members, loss, correct = self._epoch(members, table.at_epoch(number, gain), shuffled)
            held_loss, right = score(self.network.logits(members.weights, members.state, held.inputs), held.targets)
            by_class = count_by_class(right, held.targets, self.spec.architecture.classes)
            scores = (loss / rows, correct, held_loss / held_rows, tf.reduce_sum(by_class, axis=1))
            written = [history.write(number, value) for history, value in zip(histories, (*scores, gain), strict=False)]
            after = self._advance(watchers, states, scores, (rows, held_rows), number)
            return number + 1, members, after, written, by_class

        # A loop carries what it returns from the beginning on, so the counts by class need a first value.
        unknown = tf.zeros((seeds, self.spec.architecture.classes, shape[1]), tf.int32)
        _, members, _, histories, by_class = tf.while_loop(
            lambda number, *_: number < epochs, epoch, (0, members, states, histories, unknown)
        )
        return members, [history.stack() for history in histories], by_class

    def _advance(
        self,
        watchers: dict[str, Watching],
        states: States,
        scores: Sequence[tf.Tensor],
        rows: tuple[int, int],
        epoch: tf.Tensor,
    ) -> States:
        """Let each closed-loop schedule decide for all members; for members that do not follow it, to no effect.

        `scores` are loss and right rows of an epoch, in training and in validation, out of `rows`.
        """
        loss, correct, held_loss, held_correct = scores
        accuracy, held_accuracy = (
            tf.cast(right, tf.float32) / total for right, total in zip((correct, held_correct), rows, strict=True)
        )
        values = {"loss": loss, "accuracy": accuracy, "val_loss": held_loss, "val_accuracy": held_accuracy}
        monitored = [values[monitor] for monitor in MONITORS]
        after = {}
        for name, kind in self._closed_loop.items():
            watching = watchers[name]
            advanced = kind.advance(tf, states[name], watching.cost(monitored), SimpleNamespace(**watching.settings))
            decides = epoch >= watching.first_epoch
            after[name] = {key: tf.where(decides, advanced[key], before) for key, before in states[name].items()}
        return after

    def _epoch(self, members: Members, table: Table, shuffled: Rows) -> tuple[Members, tf.Tensor, tf.Tensor]:
        """Train through one epoch's `table`; return summed loss and right rows of the epoch."""
        size, (seeds, rows) = self.spec.batch_size, shuffled.targets.shape
        full, shape = rows // size, (seeds, table.rates.shape[-1])

        def step(number: tf.Tensor, members: Members, loss: tf.Tensor, correct: tf.Tensor, batch: Rows) -> Any:
            members, logits = self._step(members, table, number, batch)
            more_loss, right = score(logits, batch.targets)
            return number + 1, members, loss + more_loss, correct + count(right)

        carried = (0, members, tf.zeros(shape), tf.zeros(shape, tf.int32))
        if full:
            batches = shuffled.in_batches(full, size)

            def full_step(number: tf.Tensor, members: Members, loss: tf.Tensor, correct: tf.Tensor) -> Any:
                batch = Rows(batches.inputs[number], batches.targets[number])
                return step(number, members, loss, correct, batch)

            carried = tf.while_loop(lambda number, *_: number < full, full_step, carried)
        if rows % size:
            rest = Rows(*(array[:, full * size :] for array in shuffled))
            carried = step(full, carried[1], carried[2], carried[3], rest)
        return carried[1], carried[2], carried[3]

    def _step(self, members: Members, table: Table, number: tf.Tensor, batch: Rows) -> tuple[Members, tf.Tensor]:
        """Do one step of the optimizer; `number` counts within the epoch."""
        logits, gradients, state = self.network.gradient(members.weights, members.state, *batch)
        weights, slots = [], []
        for weight, gradient, factor, *own in zip(
            members.weights, gradients, self._factors, *members.slots, strict=True
        ):
            moved, after = update(self.spec.optimizer, self._rule(table, number, weight, factor), weight, gradient, own)
            weights.append(moved)
            slots.append(after)
        return Members(weights, [list(slot) for slot in zip(*slots, strict=True)], state), logits

    def _rule(self, table: Table, number: tf.Tensor, weight: tf.Tensor, factor: float) -> Rule:
        spread, rate = self.network.spread, table.rates[number]
        return Rule(
            spread(rate if factor == 1 else rate * factor, weight),
            spread(table.momenta[number], weight),
            None if table.nesterov is None else spread(table.nesterov, weight),
            table.number + tf.cast(number, tf.float32),
        )


class Watching(NamedTuple):
    """`ClosedLoopSettings` as tensors."""

    chosen: tf.Tensor
    monitor: tf.Tensor
    sign: tf.Tensor
    first_epoch: tf.Tensor
    settings: dict[str, tf.Tensor]

    @classmethod
    def of(cls, watchers: ClosedLoopSettings) -> Watching:
        """Convert the arrays."""
        first = (watchers.chosen, watchers.monitor, watchers.sign, watchers.first_epoch)
        chosen, monitor, sign, first_epoch = map(tf.constant, first)
        settings = {name: tf.constant(values) for name, values in watchers.settings.items()}
        return cls(chosen, monitor, sign, first_epoch, settings)

    def cost(self, monitored: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return what each member watches, `[seeds, candidates]`, turned so that less is better."""
        watched = monitored[0]
        for place, values in enumerate(monitored):
            watched = tf.where(self.monitor == place, values, watched)
        return self.sign * watched


def _begin(kind: type[ClosedLoop], shape: tuple[int, int]) -> dict[str, tf.Tensor]:
    return {name: tf.fill(shape, tf.constant(value, tf.float32)) for name, value in kind.initial_state.items()}


def _gain(watchers: Mapping[str, Watching], states: States) -> tf.Tensor | None:
    """Return what the rates are multiplied by, `[seeds, candidates]`; None without closed-loop schedules."""
    gain = None
    for name, watching in watchers.items():
        its = states[name]["gain"]
        gain = tf.where(watching.chosen, its, tf.ones_like(its) if gain is None else gain)
    return gain
