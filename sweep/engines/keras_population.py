"""Any Keras model as a population: Keras' own training step under JAX, mapped over all members and compiled once.

What a step does is the model's `train_step`, the function that Keras' `fit` compiles: its loss with all that layers add
to it, the optimizer with all its settings, constraints, metrics, and the state of normalisations and random layers.
A member has variables of its own for all of them; members of one run seed share their minibatches.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from sweep.data.table import Split
from sweep.engines.convolution import as_matrix_products
from sweep.engines.keras_models import SCORE, Followed, compile_model, initial_state, training_rows
from sweep.engines.scoring import class_shares, right_rows, scores_of
from sweep.engines.spec import Curves, Float32, Job, Shape, Tell, TrainingSpec, batch_order, in_silence
from sweep.engines.watching import MONITORS, State, Watching
from sweep.schedules import closed_loop_class

VALIDATED_ROWS = 256  # at once, where the loss is a mean over rows
PREDICTED_VALUES = 2**22  # at once
TELL_SECONDS = 1.0  # between two words on how far a job is
TILE_BYTES = 2**30  # of a program, with all that it is given


class Members(NamedTuple):
    """The variables of every member, `[seeds, candidates, ...]`: Keras' groups, in Keras' order.

    The state of a random generator is `[seeds, ...]`: candidates of a run seed draw as often, so they share masks.
    """

    trained: list[Any]
    others: list[Any]
    optimizer: list[Any]


class Table(NamedTuple):
    """Rates without gain and momenta, `[epochs, steps, candidates]`, and who uses Nesterov's, `[candidates]`."""

    rates: Any
    momenta: Any
    nesterov: Any

    @classmethod
    def of(cls, job: Job) -> Table:
        """Build the table of a job, filled up to its shape with rates of 0."""
        timeline, candidates = job.spec.timeline, job.shape.candidates
        rates, momenta = np.zeros((2, timeline.epochs, timeline.steps_per_epoch, candidates), np.float32)
        nesterov = np.zeros(candidates, np.bool_)
        for place, candidate in enumerate(job.candidates):
            rates[:, :, place] = candidate.schedule.base_rates(timeline)
            momenta[:, :, place] = candidate.schedule.momenta(timeline, candidate.momentum)
            nesterov[place] = candidate.nesterov
        return cls(rates, momenta, nesterov)


class Rows(NamedTuple):
    """Inputs and targets, and the weight of each row in the training loss or None, by row."""

    inputs: Any
    targets: Any
    weights: Any

    def at(self, places: Any) -> Rows:
        """Return the rows at `places`."""
        return Rows(*(None if array is None else array[places] for array in self))

    @property
    def batch(self) -> tuple[Any, ...]:
        """What Keras takes as the data of a step."""
        return (self.inputs, self.targets) if self.weights is None else tuple(self)


class Course(NamedTuple):
    """What steers a training: rates, closed-loop schedules, and the order of rows, `[epochs, seeds, rows]`."""

    table: Table
    watching: dict[str, Watching]
    orders: Any


class Progress(NamedTuple):
    """Where a training is: members, closed-loop states, and curves `[epochs, seeds, candidates]`."""

    members: Members
    states: dict[str, State]
    curves: dict[str, Any]


class Program(NamedTuple):
    """A compiled training, and the bytes of memory that it needs."""

    run: Any
    memory: int


class KerasPopulation:
    """The compiled training of one Keras model, on the rows of one spec and of its re-splits.

    Attributes:
        spec: that of the last job. Rows go into the program as arguments, so re-splits of equal shape compile nothing.
        weight_count: the number of one member's weights, trained or not.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.study = compile_model(spec, run_seed=0)
        self.model = self.study.model
        self.weight_count = int(self.model.count_params())
        self._drawn: dict[int, list[list[NDArray[Any]]]] = {0: list(initial_state(self.study))}
        variables = self.model.optimizer.variables
        own = [
            [variable for variable in inner.variables if variable.name == "learning_rate"]
            for inner, _ in self.study.optimizers
        ]
        self._rates = [
            (next(place for place, each in enumerate(variables) if each is rate), factor)
            for (rate,), (_, factor) in zip(own, self.study.optimizers, strict=True)
        ]
        others = [None if "seed_generator" in each.path else 0 for each in self.model.non_trainable_variables]
        self._axes = Members(0, others, 0)  # type: ignore[arg-type]  # of the candidates, as `vmap` takes them
        self._kept: tuple[Split, tuple[Rows, Rows]] | None = None
        self._closed_loop = {name: closed_loop_class(name) for name in spec.closed_loop}
        self._metrics = self._built_metrics()
        self._counts_batches = self._finds_batchwise()
        self._run = jax.jit(self._epochs, donate_argnums=0)
        self._programs: dict[tuple[Shape, int, int], Program] = {}
        self._fitting: dict[tuple[Shape, int, int], Shape] = {}
        self._predict = jax.jit(self._predicted)

    def accepts(self, spec: TrainingSpec) -> bool:
        """Say whether `spec` differs in its rows alone."""
        return spec.is_resplit_of(self.spec)

    def train(self, job: Job, tell: Tell = in_silence) -> Curves:
        """Train every member of `job`, in several calls of a smaller program if they do not fit the memory at once."""
        shape = self.fitting(job)
        if shape == job.shape:
            return self.train_with_weights(job, tell)[0]
        divided = job.divided(shape)
        done, size = count(), len(divided) * len(divided[0])

        def trained(part: Job) -> Curves:
            before = next(done)
            return self.train_with_weights(part, lambda share: tell((before + share) / size))[0]

        groups = [[trained(part) for part in parts] for parts in divided]
        return Curves.joined([Curves.joined(parts, axis=1) for parts in groups], axis=0)

    def fitting(self, job: Job) -> Shape:
        """Return the largest shape within the job's whose program, as compiled, fits the memory."""
        key = (job.shape, job.spec.split.train_rows, job.spec.split.validation_rows)
        if key not in self._fitting:
            shape = job.shape.within_memory(self.weight_count)
            while shape != Shape(1, 1) and self._memory(job, shape) > TILE_BYTES:
                wide = shape.candidates > 1
                shape = Shape(-(-shape.candidates // 2), shape.seeds) if wide else Shape(1, -(-shape.seeds // 2))
            self._fitting[key] = shape
        return self._fitting[key]

    def _memory(self, job: Job, shape: Shape) -> int:
        part = job.divided(shape)[0][0]
        return self._program(part, self._arguments(part)).memory

    def train_with_weights(
        self, job: Job, tell: Tell = in_silence, epochs: int | None = None
    ) -> tuple[Curves, Members]:
        """Train every member of `job`; return its curves, and all members of its shape as they ended.

        With `epochs`, the training ends after as many, and its curves are zeros from there on.
        """
        began = time.perf_counter()
        arguments = self._arguments(job)
        program = self._program(job, arguments)
        progress, given = arguments[0], jax.device_put(arguments[1:])
        end, first, chunk = job.spec.epochs if epochs is None else epochs, 0, 1
        while first < end:
            last, started = min(first + chunk, end), time.perf_counter()
            progress = jax.block_until_ready(program.run(progress, np.int32(first), np.int32(last), *given))
            chunk = max(1, int((last - first) * TELL_SECONDS / (time.perf_counter() - started)))
            first = last
            tell(first / end)
        members = self._finished(progress.members)
        shown = {name: np.asarray(curve).transpose(2, 1, 0) for name, curve in progress.curves.items()}
        return self._curves(job, shown, members, arguments[-1], began), members

    def _arguments(self, job: Job) -> tuple[Progress, Course, Rows, Rows]:
        self.spec, epochs, run_seeds = job.spec, job.spec.epochs, job.all_run_seeds
        shape = (job.shape.seeds, job.shape.candidates)
        curves = {name: np.zeros((epochs, *shape), np.float32) for name in (*MONITORS, "gain")}
        states = {
            name: {key: np.full(shape, value, np.float32) for key, value in kind.initial_state.items()}
            for name, kind in self._closed_loop.items()
        }
        progress = Progress(self._initial(run_seeds, job.shape.candidates), states, curves)
        watching = {name: Watching.of(job, name) for name in self._closed_loop}
        orders = np.stack([batch_order(job.spec.split.train_rows, epochs, seed) for seed in run_seeds], axis=1)
        return progress, Course(Table.of(job), watching, orders), *self._rows(job.spec)

    def _program(self, job: Job, arguments: tuple[Any, ...]) -> Program:
        """Return the program for jobs of this shape and as many rows; compiled if it is new."""
        split = job.spec.split
        key = (job.shape, split.train_rows, split.validation_rows)
        if key not in self._programs:
            progress, *rest = arguments
            with as_matrix_products():
                compiled = self._run.lower(progress, np.int32(0), np.int32(1), *rest).compile()
            found = compiled.memory_analysis()
            used = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes
            shared = sum(array.nbytes for array in jax.tree.leaves(rest[1:]))  # rows, whatever the shape of the job
            self._programs[key] = Program(compiled, used - found.alias_size_in_bytes - shared)
        return self._programs[key]

    def _rows(self, spec: TrainingSpec) -> tuple[Rows, Rows]:
        """Return the rows to train on and to validate on; those of the last split are kept."""
        split = spec.split
        if self._kept is not None and self._kept[0] is split:
            return self._kept[1]
        held_targets = self.study.targets(split.validation_targets, spec.architecture.classes)
        rows = Rows(*training_rows(spec, self.study)), Rows(split.validation_inputs, held_targets, None)
        self._kept = split, rows
        return rows

    def _curves(self, job: Job, shown: dict[str, Float32], members: Members, held: Rows, began: float) -> Curves:
        split, wanted = job.spec.split, np.s_[: len(job.candidates), : len(job.run_seeds)]
        found = {name: np.asfortranarray(curve[wanted]) for name, curve in shown.items()}
        loss, held_loss = found["loss"], found["val_loss"]
        diverged = np.asarray(~(np.isfinite(loss) & np.isfinite(held_loss)).all(axis=-1))
        scores, class_correct = scores_of(
            job, lambda seed: self._outputs(members, seed, held.inputs), split.validation_targets, diverged
        )
        rows = {"accuracy": split.train_rows, "val_accuracy": split.validation_rows}
        right = [right_rows(found[name] * count, job.spec) for name, count in rows.items()]
        right[1][..., -1] = class_correct.sum(axis=-1)  # the optimizer may leave other weights than the last epoch's
        return Curves(
            loss, right[0], held_loss, right[1], found["gain"], class_correct, time.perf_counter() - began, scores
        )

    def _initial(self, run_seeds: Sequence[int], candidates: int) -> Members:
        """Return what each run seed starts from, `[seeds, candidates, ...]`.

        Building a model takes longer than training a member for an epoch, and jobs of one round share their run
        seeds; so what the last seeds drew is kept, and no more.
        """
        kept, self._drawn = self._drawn, {}
        for seed in dict.fromkeys(run_seeds):
            self._drawn[seed] = kept.get(seed) or list(initial_state(compile_model(self.spec, seed)))
        trained, others, optimizer = (
            [np.stack(arrays) for arrays in zip(*group, strict=True)]
            for group in zip(*(self._drawn[seed] for seed in run_seeds), strict=True)
        )

        def repeated(stacked: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(stacked[:, None], candidates, axis=1)

        axes = self._axes.others
        return Members(
            list(map(repeated, trained)),
            [repeated(each) if axis == 0 else each for each, axis in zip(others, axes, strict=True)],
            list(map(repeated, optimizer)),
        )

    def _epochs(self, progress: Progress, first: Any, end: Any, course: Course, training: Rows, held: Rows) -> Progress:
        """Train through the epochs from `first` to before `end`."""
        table, watching, orders = course
        rows, held_rows = orders.shape[2], held.targets.shape[0]
        shape = (orders.shape[1], table.rates.shape[-1])

        def epoch(number: Any, progress: Progress) -> Progress:
            gain = jnp.ones(shape, jnp.float32)
            for name, followed in watching.items():
                gain = jnp.where(followed.chosen, progress.states[name]["gain"], gain)
            members, loss, right = self._epoch(progress.members, table, number, gain, orders[number], training)
            members, held_loss, held_right = self._validate(members, held)
            shown = dict(zip(MONITORS, (loss, right / rows, held_loss, held_right / held_rows), strict=True))
            curves = {
                name: progress.curves[name].at[number].set(value) for name, value in (shown | {"gain": gain}).items()
            }
            states = {
                name: watching[name].advance(jnp, kind, progress.states[name], shown, number)
                for name, kind in self._closed_loop.items()
            }
            return Progress(members, states, curves)

        return Progress(*jax.lax.fori_loop(first, end, epoch, progress))

    def _epoch(
        self, members: Members, table: Table, number: Any, gain: Any, order: Any, training: Rows
    ) -> tuple[Members, Any, Any]:
        """Train through one epoch; return its loss as Keras reports it, and the rows that were right."""
        size, (seeds, rows) = self.spec.batch_size, order.shape
        full, candidates = rows // size, gain.shape[1]
        inner = jax.vmap(self._step, (self._axes, 0, None, 0, 0, 0), (self._axes, 0, 0))
        train = jax.vmap(inner, (0, 0, 0, 0, None, None))

        def step(carried: Any, at: Any, places: Any) -> Any:
            members, metrics, right, _ = carried
            rates = table.rates[number, at] * gain
            members, metrics, logs = train(
                members, metrics, training.at(places).batch, rates, table.momenta[number, at], table.nesterov
            )
            return members, metrics, right + logs.get(SCORE, 0.0), logs["loss"]

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
            logs, (trained, others, optimizer, metrics) = self.model.train_step(state, batch)
        if self.spec.nesterov:  # of two equal steps, which XLA computes once but for the last sum
            with self._following(momentum, ahead=True):
                _, (looking_ahead, *_) = self.model.train_step(state, batch)
            trained = [jnp.where(nesterov, *pair) for pair in zip(looking_ahead, trained, strict=True)]
        return Members(list(trained), list(others), list(optimizer)), list(metrics), logs

    @contextlib.contextmanager
    def _following(self, momentum: Any, ahead: bool) -> Iterator[None]:
        """Let the optimizers read their momentum from a member's, while the step is traced."""
        name, before = str(self.study.momentum), []
        for optimizer, _ in self.study.optimizers if self.study.momentum else ():
            before.append((optimizer, getattr(optimizer, name), getattr(optimizer, "nesterov", None)))
            setattr(optimizer, name, Followed(momentum))
            if self.spec.nesterov:
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
        rows = held.targets.shape[0]
        size = min(self.spec.batch_size if self._counts_batches else VALIDATED_ROWS, rows)
        seeds, candidates = members.optimizer[0].shape[:2]
        test = jax.vmap(jax.vmap(self._test, (self._axes, 0, None), (self._axes.others, 0, 0)), (0, 0, None))

        def step(carried: Any, places: Any) -> Any:
            others, metrics, right, _ = carried
            others, metrics, logs = test(members._replace(others=others), metrics, held.at(places).batch)
            return others, metrics, right + logs.get(SCORE, 0.0), logs["loss"]

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

    def _test(self, members: Members, metrics: list[Any], batch: tuple[Any, ...]) -> tuple[list[Any], list[Any], Any]:
        logs, (_, others, metrics) = self.model.test_step((members.trained, members.others, metrics), batch)
        return list(others), list(metrics), logs

    def _built_metrics(self) -> list[NDArray[Any]]:
        """Let the model's metrics make their variables, and return the values that these begin with."""
        training, _ = self._rows(self.spec)
        self.model.test_on_batch(*training.at(slice(0, 2)).batch)
        self.model.reset_metrics()
        return [np.asarray(variable) for variable in self.model.metrics_variables]

    def _finds_batchwise(self) -> bool:
        """Say whether validation depends on its batches: layers add to the loss, or count or draw each time."""
        (trained, others, _), inputs = self._drawn[0], self.spec.split.train_inputs[:2]
        known = {"training": False} if "training" in inspect.signature(self.model.call).parameters else {}

        def called(others: list[Any]) -> Any:
            return self.model.stateless_call(trained, others, inputs, return_losses=True, **known)[1:]

        traced, (after, losses) = jax.make_jaxpr(called, return_shape=True)(others)
        return bool(losses) or list(traced.jaxpr.outvars[: len(after)]) != list(traced.jaxpr.invars)

    def _fresh_metrics(self, seeds: int, candidates: int) -> list[Any]:
        return [jnp.broadcast_to(value, (seeds, candidates, *value.shape)) for value in self._metrics]

    def _finished(self, members: Members) -> Members:
        """Return the members with the weights that `fit` leaves behind: averaged ones if the optimizer averages."""
        optimizer = self.model.optimizer
        if not getattr(optimizer, "use_ema", False):
            return members

        def averaged(members: Members) -> list[Any]:
            mapping = [*zip(optimizer.variables, members.optimizer, strict=True)]
            mapping += [*zip(self.model.trainable_variables, members.trained, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                optimizer.finalize_variable_values(self.model.trainable_variables)
            return [scope.get_current_value(variable) for variable in self.model.trainable_variables]

        return members._replace(trained=jax.jit(jax.vmap(jax.vmap(averaged, (self._axes,))))(members))

    def _outputs(self, members: Members, seed: int, inputs: Any) -> Float32:
        """Return what a seed's members predict, `[candidates, rows, outputs]`: a share for each class, or a number."""
        rows, candidates = len(inputs), members.optimizer[0].shape[1]
        size = max(
            1, min(rows, PREDICTED_VALUES // (candidates * max(self.study.width, int(np.prod(inputs.shape[1:])))))
        )
        found = []
        for start in range(0, rows, size):
            places = np.minimum(np.arange(start, start + size), rows - 1)
            with as_matrix_products():
                part = self._predict(members.trained, members.others, seed, inputs[places])
            found.append(np.asarray(part)[:, : rows - start])
        return class_shares(np.concatenate(found, axis=1), self.study.outputs)

    def _predicted(self, trained: list[Any], others: list[Any], seed: Any, inputs: Any) -> Any:
        def member(trained: list[Any], others: list[Any]) -> Any:
            return self.model.predict_step((trained, others), (inputs,))[0]

        of_seed = [each[seed] for each in trained], [each[seed] for each in others]
        return jax.vmap(member, (0, self._axes.others))(*of_seed)
