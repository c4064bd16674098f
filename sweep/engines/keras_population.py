"""Any Keras model as a population: Keras' own training step under JAX, mapped over all members and compiled once.

A member has variables of its own for all that a step moves; members of one run seed share their minibatches.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from sweep.data.rows import named, row_count, rows_at
from sweep.data.table import Split
from sweep.engines.convolution import as_matrix_products
from sweep.engines.keras_models import compile_model, initial_state, training_rows
from sweep.engines.keras_program import Course, KerasProgram, Members, Progress, Rows, Stopping
from sweep.engines.scoring import class_shares, curves_of
from sweep.engines.spec import (
    Curves,
    Float32,
    Job,
    Shape,
    Tell,
    TrainingSpec,
    batch_orders,
    in_silence,
    next_orders,
    train_divided,
)
from sweep.engines.steering import MONITORS, Table, Watching
from sweep.schedules import closed_loop_class

PREDICTED_VALUES = 2**22  # at once
TELL_SECONDS = 1.0  # between two words on how far a job is
COURSE_BYTES = 2**26  # of the orders and rates of some epochs
TILE_BYTES = 2**24  # of a program, with all that it is given: members beyond a core's cache slow one another down
GPU_TILE_BYTES = 2**33
DRAWN_BYTES = 2**27  # of what run seeds start from, kept for the jobs that follow


class Compiled(NamedTuple):
    """A compiled program, and the bytes of memory that it needs."""

    run: Any
    memory: int


class KerasPopulation:
    """The compiled training of one Keras model, on the rows of one spec and of its re-splits.

    Attributes:
        spec: that of the last job. Rows go into the program as arguments, so re-splits of equal shape compile nothing.
        study: the model.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.study = compile_model(spec, run_seed=0)
        self._drawn: dict[int, list[list[NDArray[Any]]]] = {0: list(initial_state(self.study))}
        self._kept: tuple[Split, tuple[Rows, Rows]] | None = None
        some = self._rows(spec)[0].at(slice(0, 2))
        self._program = KerasProgram(spec, self.study, self._drawn[0], some)
        self._closed_loop = {name: closed_loop_class(name) for name in spec.closed_loop}
        self._run = jax.jit(self._program.epochs, donate_argnums=0)
        self._compiled: dict[tuple[Shape, int, int], Compiled] = {}
        self._fitting: dict[tuple[Shape, int, int], Shape] = {}
        self._predict = jax.jit(self._program.predicted)

    def accepts(self, spec: TrainingSpec) -> bool:
        """Say whether `spec` differs in its rows alone."""
        return spec.is_resplit_of(self.spec)

    def train(self, job: Job, tell: Tell = in_silence) -> Curves:
        """Train every member of `job`, in several calls of a smaller program if they do not fit the memory at once."""
        shape = self.fitting(job)
        if shape == job.shape:
            return self.train_with_weights(job, tell)[0]
        return train_divided(job, shape, lambda part, told: self.train_with_weights(part, told)[0], tell)

    def fitting(self, job: Job) -> Shape:
        """Return the largest shape within the job's whose program, as compiled, fits the memory for one."""
        key = (job.shape, job.spec.split.train_rows, job.spec.split.validation_rows)
        if key not in self._fitting:
            shape = job.shape.within_memory(int(self.study.model.count_params()))
            limit = TILE_BYTES if jax.default_backend() == "cpu" else GPU_TILE_BYTES
            while shape.members > 1 and (needed := self._memory(job, shape)) > limit:
                most = shape.members * limit / needed
                shape = shape.halved
                while shape.members > max(1, most):
                    shape = shape.halved
            self._fitting[key] = shape
        return self._fitting[key]

    def _memory(self, job: Job, shape: Shape) -> int:
        part = job.divided(shape)[0][0]
        progress, *rows = self._beginning(part)
        return self._compile(part, (progress, next(self._courses(part)), *rows)).memory

    def train_with_weights(
        self, job: Job, tell: Tell = in_silence, epochs: int | None = None
    ) -> tuple[Curves, Members]:
        """Train every member of `job`; return its curves, and all members of its shape as they ended.

        With `epochs`, the training ends after as many, and its curves are zeros from there on.
        """
        began = time.perf_counter()
        progress, training, held = self._beginning(job)
        courses = self._courses(job)
        course = next(courses)
        run = self._compile(job, (progress, course, training, held)).run
        end, first, chunk = job.spec.epochs if epochs is None else epochs, 0, 1
        while first < end:
            loaded = int(course.first) + len(course.orders)
            if first == loaded:
                course = next(courses)
                continue
            last, started = min(first + chunk, loaded, end), time.perf_counter()
            progress = jax.block_until_ready(run(progress, np.int32(first), np.int32(last), course, training, held))
            chunk = max(1, int((last - first) * TELL_SECONDS / (time.perf_counter() - started)))
            first = last
            tell(first / end)
            if progress.stopping is not None and np.asarray(progress.stopping.stopped).all():
                break
        members, curves = self._program.finished(progress.members), jax.tree.map(np.array, progress.curves)
        for curve in curves.values() if epochs is None else ():
            curve[first:] = curve[first - 1]
        stopping = progress.stopping
        if stopping is not None and stopping.kept is not None:
            best = self._program.chosen(stopping.begun, stopping.kept, members._replace(optimizer=[]))
            members = best._replace(optimizer=members.optimizer)
            places = np.where(stopping.begun, stopping.epoch, job.spec.epochs - 1)[None]
            curves["val_loss"][-1] = np.take_along_axis(curves["val_loss"], places, axis=0)[0]
        if getattr(self.study.model.optimizer, "use_ema", False) and epochs is None:  # it ends with averaged weights
            with as_matrix_products():
                curves["val_loss"][-1] = jax.jit(self._program.validated)(members, held)
        shown = {name: curve.transpose(2, 1, 0) for name, curve in curves.items()}
        return self._curves(job, shown, members, held, began), members

    def _courses(self, job: Job) -> Iterator[Course]:
        """Yield what steers a job, by as many epochs as may lie in memory; the last part is filled up with zeros."""
        spec, table = job.spec, Table.of(job)
        rows, steps = spec.split.train_rows, spec.timeline.steps_per_epoch
        of_an_epoch = 4 * (rows * job.shape.seeds + 2 * steps * job.shape.candidates)
        size = min(spec.epochs, max(1, COURSE_BYTES // of_an_epoch))
        watching = {name: Watching.of(job, name) for name in self._closed_loop}
        of_seeds = [batch_orders(rows, seed) for seed in job.all_run_seeds]

        def filled(part: Float32) -> Float32:
            return np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), np.float32)])

        for first in range(0, spec.epochs, size):
            rates, momenta = (filled(whole[first : first + size]) for whole in (table.rates, table.momenta))
            orders = next_orders(of_seeds, size)
            yield jax.device_put(Course(Table(rates, momenta, table.nesterov), watching, orders, np.int32(first)))

    def _beginning(self, job: Job) -> tuple[Progress, Rows, Rows]:
        """Return where a job begins, and its rows to train on and to validate on."""
        self.spec, epochs, run_seeds = job.spec, job.spec.epochs, job.all_run_seeds
        shape = (job.shape.seeds, job.shape.candidates)
        curves = {name: np.zeros((epochs, *shape), np.float32) for name in (*MONITORS, "gain")}
        states = {
            name: {key: np.full(shape, value, np.float32) for key, value in kind.initial_state.items()}
            for name, kind in self._closed_loop.items()
        }
        members, rule = self._initial(run_seeds, job.shape.candidates), job.spec.early_stopping
        stopping = None if rule is None else Stopping.begin(shape, members, keep=rule.restore_best_weights)
        return Progress(members, states, curves, stopping), *self._rows(job.spec)

    def _compile(self, job: Job, arguments: tuple[Any, ...]) -> Compiled:
        """Return the program for jobs of this shape and as many rows; compiled if it is new."""
        split = job.spec.split
        key = (job.shape, split.train_rows, split.validation_rows)
        if key not in self._compiled:
            progress, *rest = arguments
            with as_matrix_products():
                compiled = self._run.lower(progress, np.int32(0), np.int32(1), *rest).compile()
            found = compiled.memory_analysis()
            used = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes
            shared = sum(rows.nbytes for rows in rest[1:])  # rows, whatever the shape of the job
            self._compiled[key] = Compiled(compiled, used - found.alias_size_in_bytes - shared)
        return self._compiled[key]

    def _rows(self, spec: TrainingSpec) -> tuple[Rows, Rows]:
        """Return the rows to train on and to validate on; those of the last split are kept."""
        split = spec.split
        if self._kept is not None and self._kept[0] is split:
            return self._kept[1]
        self._kept = None  # before there are others
        training = jax.device_put(Rows(*training_rows(spec, self.study)))
        held_targets = self.study.targets(split.validation_targets, spec.architecture.classes)
        rows = training, jax.device_put(Rows(split.validation_inputs, held_targets, None))
        self._kept = split, rows
        return rows

    def _curves(self, job: Job, shown: dict[str, Float32], members: Members, held: Rows, began: float) -> Curves:
        split, wanted = job.spec.split, np.s_[: len(job.candidates), : len(job.run_seeds)]
        found = {name: np.asfortranarray(curve[wanted]) for name, curve in shown.items()}
        rows = {"score": ("accuracy", split.train_rows), "val_score": ("val_accuracy", split.validation_rows)}
        found |= {name: found[share] * count for name, (share, count) in rows.items()}
        predicted = functools.partial(self._outputs, members, inputs=held.inputs)
        return curves_of(job, found, predicted, split.validation_targets, began)

    def _initial(self, run_seeds: Sequence[int], candidates: int) -> Members:
        """Return what each run seed starts from, `[seeds, candidates, ...]`.

        Building a model takes longer than training a member for an epoch, and jobs of one round share their run
        seeds; so what seeds drew is kept, the last ones first.
        """
        for seed in dict.fromkeys(run_seeds):
            kept = self._drawn.pop(seed, None)
            self._drawn[seed] = kept or list(initial_state(compile_model(self.spec, seed)))
        size = sum(array.nbytes for array in jax.tree.leaves(self._drawn[run_seeds[0]]))
        while len(self._drawn) > max(len(set(run_seeds)), DRAWN_BYTES // max(1, size)):
            del self._drawn[next(iter(self._drawn))]
        trained, others, optimizer = (
            [np.stack(arrays) for arrays in zip(*group, strict=True)]
            for group in zip(*(self._drawn[seed] for seed in run_seeds), strict=True)
        )

        def repeated(stacked: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(stacked[:, None], candidates, axis=1)

        axes = self._program.axes.others
        return Members(
            list(map(repeated, trained)),
            [repeated(each) if axis == 0 else each for each, axis in zip(others, axes, strict=True)],
            list(map(repeated, optimizer)),
        )

    def _outputs(self, members: Members, seed: int, inputs: Any) -> Float32:
        """Return what a seed's members predict, `[candidates, rows, outputs]`: a share for each class, or a number."""
        inputs = jax.tree.map(np.asarray, inputs)
        rows, candidates = row_count(inputs), members.optimizer[0].shape[1]
        values = sum(array[:1].size for array in named(inputs).values())
        size = max(1, min(rows, PREDICTED_VALUES // (candidates * max(self.study.width, values))))
        found = []
        for start in range(0, rows, size):
            places = np.minimum(np.arange(start, start + size), rows - 1)
            with as_matrix_products():
                part = self._predict(members.trained, members.others, seed, rows_at(inputs, places))
            found.append(np.asarray(part)[:, : rows - start])
        return class_shares(np.concatenate(found, axis=1), self.study.outputs)
