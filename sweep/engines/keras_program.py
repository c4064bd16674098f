"""What a population of Keras models compiles: the model's own training step, mapped over members, looped over epochs.

What a step does is the model's `train_step`, the function that Keras' `fit` compiles: its loss with all that layers add
to it, the optimizer with all its settings, constraints, metrics, and the state of normalisations and random layers.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from sweep.data.rows import row_count
from sweep.engines.keras_models import SCORE, Followed, StudyModel
from sweep.engines.spec import TrainingSpec
from sweep.engines.steering import MONITORS, State, Table, Watching
from sweep.schedules import closed_loop_class

VALIDATED_ROWS = 256  # at once, where the loss is a mean over rows


class Members(NamedTuple):
    """The variables of every member, `[seeds, candidates, ...]`: Keras' groups, in Keras' order.

    The state of a random generator is `[seeds, ...]`: candidates of a run seed draw as often, so they share masks.
    """

    trained: list[Any]
    others: list[Any]
    optimizer: list[Any]


class Rows(NamedTuple):
    """Inputs and targets, and the weight of each row in the training loss or None, by row."""

    inputs: Any
    targets: Any
    weights: Any

    def at(self, places: Any) -> Rows:
        """Return the rows at `places`."""
        return jax.tree.map(lambda array: array[places], self)  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays."""
        return sum(array.nbytes for array in jax.tree.leaves(self))

    @property
    def batch(self) -> tuple[Any, ...]:
        """What Keras takes as the data of a step."""
        return (self.inputs, self.targets) if self.weights is None else tuple(self)


class Course(NamedTuple):
    """What steers some epochs of a training: rates, closed-loop schedules, and the order of rows.

    Tables and orders, `[epochs, seeds, rows]`, begin with the epoch `first`.
    """

    table: Table
    watching: dict[str, Watching]
    orders: Any
    first: Any


class Stopping(NamedTuple):
    """Where early stopping is: all `[seeds, candidates]`, but the weights of the best epochs, if they are kept."""

    best: Any
    begun: Any  # whether any epoch was watched
    wait: Any
    stopped: Any
    epoch: Any  # the best one
    kept: Members | None

    @classmethod
    def begin(cls, shape: tuple[int, int], members: Members, *, keep: bool) -> Stopping:
        """Return where it begins."""
        no, zero = np.zeros(shape, np.bool_), np.zeros(shape, np.int32)
        kept = jax.tree.map(np.array, members._replace(optimizer=[])) if keep else None
        return cls(np.zeros(shape, np.float32), no, zero, no.copy(), zero.copy(), kept)


class Progress(NamedTuple):
    """Where a training is: members, closed-loop states, curves `[epochs, seeds, candidates]`, and who has stopped."""

    members: Members
    states: dict[str, State]
    curves: dict[str, Any]
    stopping: Stopping | None = None


class KerasProgram:
    """The training, validation and prediction of one Keras model, as functions that JAX can compile.

    A member's rate, momentum and closed-loop state are arrays; the model, its optimizer and the batch size are fixed.

    Attributes:
        study: the model.
        axes: those of the candidates in each of a member's variables, as `vmap` takes them.
    """

    def __init__(self, spec: TrainingSpec, study: StudyModel, state: list[list[NDArray[Any]]], some: Rows) -> None:
        """Read what the model is: `state` is that of a member, and `some` are two rows to train on."""
        self.study, self._spec, self._model = study, spec, study.model
        variables = self._model.optimizer.variables
        own = [
            [variable for variable in inner.variables if variable.name == "learning_rate"]
            for inner, _ in study.optimizers
        ]
        self._rates = [
            (next(place for place, each in enumerate(variables) if each is rate), factor)
            for (rate,), (_, factor) in zip(own, study.optimizers, strict=True)
        ]
        others = [None if "seed_generator" in each.path else 0 for each in self._model.non_trainable_variables]
        self.axes = Members(0, others, 0)  # type: ignore[arg-type]
        self._closed_loop = {name: closed_loop_class(name) for name in spec.closed_loop}
        self._metrics = self._built_metrics(some)
        self._counts_batches = study.by_batch or self._finds_batchwise(state, some)

    def epochs(self, progress: Progress, first: Any, end: Any, course: Course, training: Rows, held: Rows) -> Progress:
        """Train through the epochs from `first` to before `end`."""
        table, watching, orders, begun = course
        rows, held_rows = orders.shape[2], row_count(held.targets)
        shape = (orders.shape[1], table.rates.shape[-1])

        def epoch(number: Any, progress: Progress) -> Progress:
            gain = jnp.ones(shape, jnp.float32)
            for name, followed in watching.items():
                gain = jnp.where(followed.chosen, progress.states[name]["gain"], gain)
            at = number - begun
            members, loss, right = self._epoch(progress.members, table, at, gain, orders[at], training)
            members, held_loss, held_right = self._validate(members, held)
            shown = dict(zip(MONITORS, (loss, right / rows, held_loss, held_right / held_rows), strict=True))
            curves = {
                name: progress.curves[name].at[number].set(value) for name, value in (shown | {"gain": gain}).items()
            }
            states = {
                name: watching[name].advance(jnp, kind, progress.states[name], shown, number)
                for name, kind in self._closed_loop.items()
            }
            after = Progress(members, states, curves, progress.stopping)
            return after if progress.stopping is None else self._stopped(progress, after, shown, number)

        return Progress(*jax.lax.fori_loop(first, end, epoch, progress))

    def _stopped(self, before: Progress, after: Progress, shown: dict[str, Any], number: Any) -> Progress:
        """Return a training after an epoch, in which whoever had stopped stays, as Keras' callback decides."""
        rule, was = self._spec.early_stopping, before.stopping
        assert rule is not None
        assert was is not None

        def frozen(old: Any, new: Any) -> Any:
            return jnp.where(was.stopped, old, new)

        members = self.chosen(was.stopped, before.members, after.members)
        states = jax.tree.map(frozen, before.states, after.states)
        last = jnp.maximum(number - 1, 0)
        curves = {
            name: curve.at[number].set(frozen(curve[last], curve[number])) for name, curve in after.curves.items()
        }
        current = rule.sign * shown[rule.monitor] + rule.min_delta
        watched = ~was.stopped & (number >= rule.start_from_epoch)
        better = watched & (~was.begun | (current < was.best))
        beaten = True if rule.baseline is None else current < rule.sign * rule.baseline
        wait = jnp.where(watched, jnp.where(better & beaten, 0, was.wait + 1), was.wait)
        stopped = was.stopped | (watched & ~better & (wait >= rule.patience) & (number > 0))
        best = jnp.where(better, current - rule.min_delta, was.best)
        epoch, kept = jnp.where(better, number, was.epoch), was.kept
        if kept is not None:
            kept = self.chosen(better, members._replace(optimizer=[]), kept)
        return Progress(members, states, curves, Stopping(best, was.begun | watched, wait, stopped, epoch, kept))

    def chosen(self, condition: Any, yes: Members, no: Members) -> Members:
        """Return each member's own variables of two, by a condition `[seeds, candidates]`; of shared ones, `no`."""

        def of_two(one: Any, other: Any, axis: int | None = 0) -> Any:
            own = condition.reshape(*condition.shape, *(1,) * (one.ndim - condition.ndim))
            return other if axis is None else jnp.where(own, one, other)

        return Members(
            list(map(of_two, yes.trained, no.trained)),
            list(map(of_two, yes.others, no.others, self.axes.others)),
            list(map(of_two, yes.optimizer, no.optimizer)),
        )

    def _epoch(
        self, members: Members, table: Table, number: Any, gain: Any, order: Any, training: Rows
    ) -> tuple[Members, Any, Any]:
        """Train through one epoch; return its loss as Keras reports it, and the rows that were right."""
        size, (seeds, rows) = self._spec.batch_size, order.shape
        full, candidates = rows // size, gain.shape[1]
        inner = jax.vmap(self._step, (self.axes, 0, None, 0, 0, 0), (self.axes, 0, 0))
        train = jax.vmap(inner, (0, 0, 0, 0, None, None))

        def step(carried: Any, at: Any, places: Any) -> Any:
            members, metrics, right, _ = carried
            rates = table.rates[number, at] * gain
            members, metrics, logs = train(
                members, metrics, training.at(places).batch, rates, table.momenta[number, at], table.nesterov
            )
            return members, metrics, right + logs[SCORE], logs["loss"]

        zero = jnp.zeros((seeds, candidates), jnp.float32)
        carried = (members, self._fresh_metrics(seeds, candidates), zero, zero)
        if full:

            def full_step(carried: Any, at: Any) -> Any:
                places = jax.lax.dynamic_slice(order, (0, at * size), (seeds, size))
                return step(carried, at, places), None

            carried, _ = jax.lax.scan(full_step, carried, jnp.arange(full))
        if rows % size:
            carried = step(carried, full, order[:, full * size :])
        members, _, right, loss = carried
        return members, loss, right

    def _step(
        self, members: Members, metrics: list[Any], batch: tuple[Any, ...], rate: Any, momentum: Any, nesterov: Any
    ) -> tuple[Members, list[Any], dict[str, Any]]:
        """Do one member's step of the optimizer."""
        optimizer = list(members.optimizer)
        for place, factor in self._rates:
            optimizer[place] = rate * factor
        state = (members.trained, members.others, optimizer, metrics)

        with self._following(momentum, ahead=False):
            logs, (trained, others, optimizer, metrics) = self._model.train_step(state, batch)
        if self._spec.nesterov:  # of two equal steps, which XLA computes once but for the last sum
            with self._following(momentum, ahead=True):
                _, (looking_ahead, *_) = self._model.train_step(state, batch)
            trained = [jnp.where(nesterov, *pair) for pair in zip(looking_ahead, trained, strict=True)]
        after = Members(list(trained), list(others), list(optimizer))
        return after, list(metrics), self._scored(logs, after, batch)

    def _scored(self, logs: dict[str, Any], members: Members, batch: tuple[Any, ...]) -> dict[str, Any]:
        """Return the logs of a member's step with its score; if a step of the model's own logs none, of its weights."""
        if SCORE in logs:
            return logs
        outputs, _ = self._model.predict_step((members.trained, members.others), (batch[0],))
        return {**logs, SCORE: self.study.score(batch[1], outputs)}

    @contextlib.contextmanager
    def _following(self, momentum: Any, ahead: bool) -> Iterator[None]:
        """Let the optimizers read their momentum from a member's, while the step is traced."""
        name, before = str(self.study.momentum), []
        for optimizer, _ in self.study.optimizers if self.study.momentum else ():
            before.append((optimizer, getattr(optimizer, name), getattr(optimizer, "nesterov", None)))
            setattr(optimizer, name, Followed(momentum))
            if self._spec.nesterov:
                optimizer.nesterov = ahead
        try:
            yield
        finally:
            for optimizer, value, nesterov in before:
                setattr(optimizer, name, value)
                if nesterov is not None:
                    optimizer.nesterov = nesterov

    def _validate(self, members: Members, held: Rows) -> tuple[Members, Any, Any]:
        """Return all members with what validation leaves behind, their losses as Keras reports them, and right rows."""
        rows = row_count(held.targets)
        size = min(self._spec.batch_size if self._counts_batches else VALIDATED_ROWS, rows)
        seeds, candidates = members.optimizer[0].shape[:2]
        test = jax.vmap(jax.vmap(self._test, (self.axes, 0, None), (self.axes.others, 0, 0)), (0, 0, None))

        def step(carried: Any, places: Any) -> Any:
            others, metrics, right, _ = carried
            others, metrics, logs = test(members._replace(others=others), metrics, held.at(places).batch)
            return others, metrics, right + logs[SCORE], logs["loss"]

        zero = jnp.zeros((seeds, candidates), jnp.float32)
        carried = (members.others, self._fresh_metrics(seeds, candidates), zero, zero)
        full = rows // size
        if full == 1:
            carried = step(carried, slice(0, size))
        else:
            places = jnp.arange(full * size).reshape(full, size)
            carried, _ = jax.lax.scan(lambda carried, at: (step(carried, at), None), carried, places)
        if rows % size:
            carried = step(carried, slice(full * size, rows))
        others, _, right, loss = carried
        return members._replace(others=others), loss, right

    def validated(self, members: Members, held: Rows) -> Any:
        """Return the validation loss of all members, `[seeds, candidates]`."""
        return self._validate(members, held)[1]

    def _test(self, members: Members, metrics: list[Any], batch: tuple[Any, ...]) -> tuple[list[Any], list[Any], Any]:
        logs, (_, others, metrics) = self._model.test_step((members.trained, members.others, metrics), batch)
        return list(others), list(metrics), self._scored(logs, members, batch)

    def _built_metrics(self, some: Rows) -> list[NDArray[Any]]:
        """Let the model's metrics make their variables, and return the values that these begin with."""
        size = row_count(some.targets)
        self._model.evaluate(some.inputs, some.targets, size, sample_weight=some.weights, verbose=0)
        self._model.reset_metrics()
        return [np.asarray(variable) for variable in self._model.metrics_variables]

    def _finds_batchwise(self, state: list[list[NDArray[Any]]], some: Rows) -> bool:
        """Say whether validation depends on its batches: layers add to the loss, or count or draw each time."""
        trained, others, _ = state
        known = {"training": False} if "training" in inspect.signature(self._model.call).parameters else {}

        def called(others: list[Any]) -> Any:
            return self._model.stateless_call(trained, others, some.inputs, return_losses=True, **known)[1:]

        traced, (after, losses) = jax.make_jaxpr(called, return_shape=True)(others)
        return bool(losses) or list(traced.jaxpr.outvars[: len(after)]) != list(traced.jaxpr.invars)

    def _fresh_metrics(self, seeds: int, candidates: int) -> list[Any]:
        return [jnp.broadcast_to(value, (seeds, candidates, *value.shape)) for value in self._metrics]

    def finished(self, members: Members) -> Members:
        """Return the members with the weights that `fit` leaves behind: averaged ones if the optimizer averages."""
        optimizer = self._model.optimizer
        if not getattr(optimizer, "use_ema", False):
            return members

        def averaged(members: Members) -> list[Any]:
            mapping = [*zip(optimizer.variables, members.optimizer, strict=True)]
            mapping += [*zip(self._model.trainable_variables, members.trained, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                optimizer.finalize_variable_values(self._model.trainable_variables)
            return [scope.get_current_value(variable) for variable in self._model.trainable_variables]

        return members._replace(trained=jax.jit(jax.vmap(jax.vmap(averaged, (self.axes,))))(members))

    def predicted(self, trained: list[Any], others: list[Any], seed: Any, inputs: Any) -> Any:
        """Return what the members of a run seed, by its place, predict: `[candidates, rows, outputs]`."""

        def member(trained: list[Any], others: list[Any]) -> Any:
            return self._model.predict_step((trained, others), (inputs,))[0]

        of_seed = [each[seed] for each in trained], [each[seed] for each in others]
        return jax.vmap(member, (0, self.axes.others))(*of_seed)
