"""Networks of one hidden layer: one compiled program trains all members of a batch, epoch after epoch.

Everything that differs between members (rate, momentum, seed) is an array; everything fixed (architecture,
optimizer, batch size, the job's shape) is a Python value, so one program serves every job of a study.

Closed-loop schedules decide inside the program: going back to the host after each epoch made a training of the
default study 20 to 30 % slower (tests/bench/README.md). Their rules are functions on arrays, so the program runs the
very text that NumPy runs elsewhere; in single precision, so that what lies on the very edge of a threshold may fall to
its other side.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops

from sweep.candidate import layer_factors
from sweep.engines import steering
from sweep.engines.dense import HiddenLayerNetwork
from sweep.engines.scoring import scored
from sweep.engines.spec import Curves, Job, Tell, TrainingSpec, batch_orders, in_silence, next_orders
from sweep.engines.steering import MONITORS, State, Watching
from sweep.engines.updates import SLOTS, Rule, score, update
from sweep.schedules import closed_loop_class

TRACED: Counter[str] = Counter()  # how often this process has traced each program


class Members(NamedTuple):
    """What a training moves: weights, the optimizer's slots for each, and the state of the forward pass."""

    weights: list[tf.Tensor]
    slots: list[list[tf.Tensor]]
    state: list[tf.Tensor]


class Table(NamedTuple):
    """Rates and momenta `[epochs, steps, 1 or seeds, candidates]`, and who uses Nesterov's, `[1, candidates]` or None.

    `number` is the count of steps before the first of the table. Rates are without the gain of a closed-loop schedule.
    """

    rates: Any
    momenta: Any
    nesterov: Any
    number: Any = 0.0

    @classmethod
    def of(cls, job: Job) -> Table:
        """Build the table of a job, filled up to its shape with rates of 0."""
        rates, momenta, nesterov = steering.Table.of(job)
        return cls(rates[:, :, None], momenta[:, :, None], nesterov[None] if job.spec.nesterov else None)

    def at_epoch(self, epoch: tf.Tensor, gain: tf.Tensor | None) -> Table:
        """Return one epoch's table: rates and momenta `[steps, 1 or seeds, candidates]`."""
        rates = self.rates[epoch] if gain is None else self.rates[epoch] * gain
        number = tf.cast(epoch * self.rates.shape[1], tf.float32)
        return self._replace(rates=rates, momenta=self.momenta[epoch], number=number)


class Rows(NamedTuple):
    """Inputs `[..., rows, features]`, targets `[..., rows]`, and weights of rows like these; None if they have none."""

    inputs: Any
    targets: Any
    weights: Any = None

    def mapped(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Rows:
        """Return what a function makes of each array."""
        return Rows(*(None if array is None else function(array) for array in self))

    def in_batches(self, full: int, size: int) -> Rows:
        """Cut `[seeds, rows, ...]` into `[batches, seeds, size, ...]`, leaving the rest out."""

        def cut(array: tf.Tensor) -> tf.Tensor:
            seeds, tail = array.shape[0], array.shape[2:]
            batches = tf.reshape(array[:, : full * size], (seeds, full, size, *tail))
            return tf.transpose(batches, (1, 0, 2, *range(3, 3 + len(tail))))

        return self.mapped(cut)


class Population:
    """The compiled training of one spec and of its re-splits.

    Attributes:
        spec: that of the last job. Rows go into the program as arguments, so re-splits of equal shape compile nothing.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.network = HiddenLayerNetwork(spec.architecture, spec.class_weights)
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

    def train(self, job: Job, tell: Tell = in_silence) -> Curves:
        """Train every member of `job`, in about a second."""
        del tell
        return self.train_with_weights(job)[0]

    def train_with_weights(self, job: Job) -> tuple[Curves, Members]:
        """Train every member of `job`; return its curves, and all members of its shape as they ended.

        Seeds are filled up to the shape with the last one.
        """
        began = time.perf_counter()
        self.spec, split = job.spec, job.spec.split
        run_seeds = job.run_seeds + job.run_seeds[-1:] * (job.shape.seeds - len(job.run_seeds))
        weights, state = self.network.initial(run_seeds, job.shape.candidates)
        slots = [[tf.zeros_like(weight) for weight in weights] for _ in range(SLOTS[job.spec.optimizer.name])]
        held = Rows(split.validation_inputs, split.validation_targets)
        own = None if split.train_weights is None else job.spec.row_weights
        with self._stable_names(job):
            members, shown, by_class = self._run(
                Members(weights, slots, state),
                Table.of(job),
                {name: Watching.of(job, name) for name in self._closed_loop},
                next_orders([batch_orders(split.train_rows, seed) for seed in run_seeds], job.spec.epochs),
                Rows(split.train_inputs, split.train_targets, own),
                held,
            )
        wanted = np.s_[: len(job.candidates), : len(job.run_seeds)]
        # In Fortran's order whatever is left out, because NumPy's means over runs round by the layout.
        by_epoch = [np.asfortranarray(curve.numpy().transpose(2, 1, 0)[wanted]) for curve in shown]
        loss, correct, held_loss, held_correct, *gains = by_epoch
        gain = gains[0] if gains else np.ones_like(loss)
        class_correct = by_class.numpy().transpose(2, 0, 1)[wanted]
        curves = Curves(loss, correct, held_loss, held_correct, gain, class_correct, seconds=0.0)
        curves = scored(job, curves, self.network, members, held.inputs, held.targets)
        return replace(curves, seconds=time.perf_counter() - began), members

    @contextlib.contextmanager
    def _stable_names(self, job: Job) -> Iterator[None]:
        """Number the functions of a program by what it is, and not by all that its process made before.

        TensorFlow puts these numbers into their names, and the compile cache finds a program by its names.
        """
        if not hasattr(ops, "uid"):  # TensorFlow's own, which may go; then later runs compile some programs again
            yield
            return
        split, uid, before = job.spec.split, ops.uid, self.programs
        facts = replace(job.spec, split=None), job.shape, split.train_rows, split.validation_rows  # type: ignore[arg-type]
        program = repr(facts) + (" weighted" if split.train_weights is not None else "")
        tf.compat.v1.get_default_graph()  # which takes a number when it is first asked for
        first = hashlib.sha256(f"{program} {TRACED[program]}".encode()).digest()[:6]
        ops.uid = count(int.from_bytes(first, "big")).__next__
        try:
            yield
        finally:
            ops.uid = uid
            TRACED[program] += self.programs - before  # a name must not come twice in a process

    def _epochs(
        self,
        members: Members,
        table: Table,
        watching: dict[str, Watching],
        orders: tf.Tensor,
        training: Rows,
        held: Rows,
    ) -> tuple[Members, list[tf.Tensor], tf.Tensor]:
        """Train through `orders` `[epochs, seeds, rows]`.

        Returns curves `[epochs, seeds, candidates]` and the last epoch's right rows `[seeds, classes, candidates]`.
        """
        (epochs, seeds, rows), held_rows, classes = orders.shape, held.targets.shape[0], self.spec.architecture.classes
        held = Rows(tf.broadcast_to(held.inputs[None], (seeds, *held.inputs.shape)), held.targets[None])
        if classes:
            of_class = tf.one_hot(held.targets, classes, axis=1, on_value=True, off_value=False)[..., None]
        else:
            of_class = tf.zeros((1, 0, held_rows, 1), tf.bool)
        shape = (seeds, table.rates.shape[-1])
        kinds = (tf.float32, tf.int32, tf.float32, tf.int32, *[tf.float32] * bool(watching))
        histories = [tf.TensorArray(kind, epochs, element_shape=shape) for kind in kinds]
        states = {
            name: {key: tf.fill(shape, tf.constant(value, tf.float32)) for key, value in kind.initial_state.items()}
            for name, kind in self._closed_loop.items()
        }

        def epoch(
            number: tf.Tensor, members: Members, states: dict[str, State], histories: list[tf.TensorArray], _: tf.Tensor
        ) -> Any:
            gain = None  # `[seeds, candidates]`
            for name, followed in watching.items():
                its = states[name]["gain"]
                gain = tf.where(followed.chosen, its, tf.ones_like(its) if gain is None else gain)
            shuffled = training.mapped(lambda array: tf.gather(array, orders[number]))
            members, loss, correct = self._epoch(members, table.at_epoch(number, gain), shuffled)
            held_loss, right = score(self.network.logits(members.weights, members.state, held.inputs), held.targets)
            by_class = tf.reduce_sum(tf.cast(right[:, None] & of_class, tf.int32), axis=2)
            scores = (loss / rows, correct, held_loss / held_rows, tf.reduce_sum(by_class, axis=1))
            written = [history.write(number, value) for history, value in zip(histories, (*scores, gain), strict=False)]
            accuracies = [tf.cast(count, tf.float32) / of for count, of in ((scores[1], rows), (scores[3], held_rows))]
            shown = dict(zip(MONITORS, (scores[0], accuracies[0], scores[2], accuracies[1]), strict=True))
            after = {
                name: watching[name].advance(tf, kind, states[name], shown, number)
                for name, kind in self._closed_loop.items()
            }
            return number + 1, members, after, written, by_class

        # A loop carries what it returns from the beginning on, so the counts by class need a first value.
        unknown = tf.zeros((seeds, classes, shape[1]), tf.int32)
        _, members, _, histories, by_class = tf.while_loop(
            lambda number, *_: number < epochs, epoch, (0, members, states, histories, unknown)
        )
        return members, [history.stack() for history in histories], by_class

    def _epoch(self, members: Members, table: Table, shuffled: Rows) -> tuple[Members, tf.Tensor, tf.Tensor]:
        """Train through one epoch's `table`; return summed loss and right rows of the epoch."""
        size, (seeds, rows) = self.spec.batch_size, shuffled.targets.shape
        full, shape = rows // size, (seeds, table.rates.shape[-1])

        def step(batch: Rows, number: tf.Tensor, members: Members, loss: tf.Tensor, correct: tf.Tensor) -> Any:
            members, logits = self._step(members, table, number, batch)
            more_loss, right = score(logits, batch.targets, self.spec.class_weights, batch.weights)
            return number + 1, members, loss + more_loss, correct + tf.reduce_sum(tf.cast(right, tf.int32), axis=1)

        carried = (0, members, tf.zeros(shape), tf.zeros(shape, tf.int32))
        if full:
            batches = shuffled.in_batches(full, size)

            def full_step(number: tf.Tensor, *carried: Any) -> Any:
                return step(batches.mapped(lambda array: array[number]), number, *carried)

            carried = tf.while_loop(lambda number, *_: number < full, full_step, carried)
        if rows % size:
            carried = step(shuffled.mapped(lambda array: array[:, full * size :]), full, *carried[1:])
        return carried[1:]

    def _step(self, members: Members, table: Table, number: tf.Tensor, batch: Rows) -> tuple[Members, tf.Tensor]:
        """Do one step of the optimizer; `number` counts within the epoch."""
        logits, gradients, state = self.network.gradient(members.weights, members.state, *batch)
        spread, rate, momentum = self.network.spread, table.rates[number], table.momenta[number]
        weights, slots = [], []
        for weight, gradient, factor, *own in zip(
            members.weights, gradients, self._factors, *members.slots, strict=True
        ):
            rule = Rule(
                spread(rate if factor == 1 else rate * factor, weight),
                spread(momentum, weight),
                None if table.nesterov is None else spread(table.nesterov, weight),
                table.number + tf.cast(number, tf.float32),
            )
            moved, after = update(self.spec.optimizer, rule, weight, gradient, own)
            weights.append(moved)
            slots.append(after)
        return Members(weights, [list(slot) for slot in zip(*slots, strict=True)], state), logits
