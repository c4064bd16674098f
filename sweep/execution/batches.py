"""What the layers above ask for: candidates and run seeds in, one outcome for each candidate out.

It cuts the work into tiles of a fixed shape, so that one compiled program and a bounded amount of memory serve any
number of candidates, and puts the curves that come back together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, pairwise, product
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sweep.candidate import Candidate
from sweep.data.table import Split
from sweep.engines.spec import (
    MONITORS,
    Architecture,
    ClosedLoopSettings,
    Curves,
    Float32,
    Int32,
    MemberBatch,
    TrainingSpec,
)
from sweep.execution.local import Pool
from sweep.schedules import ClosedLoop, Numbers, Schedule, Timeline, closed_loop_class

Item = TypeVar("Item")

LANES = 16
WIDEST = 64
MEMBERS = 128
# A tile of 16 takes twice as long as one of 8, so that narrower ones serve up to 16 candidates (tests/bench/README.md).
NARROW = 8
NARROW_MEMBERS = 32
MEMORY_BYTES = 512 * 2**20
# With a single seed XLA drops the axis and multiplies in another order, so that the last bits would depend on the
# tile's shape.
FEWEST_SEEDS = 2
BY_RUN = tuple(field.name for field in fields(Curves) if field.name != "seconds")  # `[candidates, seeds, ...]`
BAND = (10, 90)  # percent of the runs


@dataclass(frozen=True)
class Outcome:
    """All runs of one candidate.

    Attributes:
        run_seeds: the seed of each run.
        correct: validation rows classified right after the last epoch, `[runs]`.
        class_correct: those of each class, `[runs, classes]`.
        log_loss: validation cross-entropy after the last epoch, `[runs]`; not finite where a run diverged.
        diverged: whether a run ended in NaN or infinity, `[runs]`.
        rate: learning rate at the start of each epoch, `[epochs]`; mean over runs if the schedule is closed-loop.
        loss: training cross-entropy by epoch, mean over runs that did not diverge, `[epochs]`.
        accuracy: training accuracy by epoch, mean over all runs, `[epochs]`.
        validation_loss: as `loss`, on the validation rows.
        validation_accuracy: as `accuracy`, on the validation rows.
        spread: 10th and 90th percentile over all runs of the validation accuracy by epoch, `[2, epochs]`.
        validation_rows: how many there are.
        seconds: this candidate's share of its tiles' time.
    """

    run_seeds: tuple[int, ...]
    correct: Int32
    class_correct: Int32
    log_loss: Float32
    diverged: NDArray[np.bool_]
    rate: Numbers
    loss: Numbers
    accuracy: Numbers
    validation_loss: Numbers
    validation_accuracy: Numbers
    spread: Numbers
    validation_rows: int
    seconds: float

    @property
    def value(self) -> float:
        """Mean validation accuracy after the last epoch, over all runs."""
        return float(self.correct.mean()) / self.validation_rows


class Trainer(Protocol):
    """Whoever can train candidates: the pool of processes, or two lines in a test."""

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        """Yield each candidate's place and outcome once all its runs are done."""

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[int]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Train on other rows: yield each split's place and its outcomes, in the candidates' order, once it is done."""


@dataclass(frozen=True)
class Shape:
    """How many candidates and run seeds one tile holds."""

    candidates: int
    seeds: int


def tile_shape(problem: TrainingSpec, round_size: int, replicates: int) -> Shape:
    """Choose the shape that measured best for whole rounds.

    Candidates fill whole vector registers; seeds follow until the tile fits the processor's cache no longer.
    """
    return _bounded(problem, min(-(-round_size // LANES) * LANES, WIDEST), MEMBERS, replicates)


def narrow_shape(problem: TrainingSpec, run_seeds: int) -> Shape:
    """Choose the shape that measured best for up to 16 candidates; 24 lose little."""
    return _bounded(problem, NARROW, NARROW_MEMBERS, run_seeds)


def _bounded(problem: TrainingSpec, wanted: int, members: int, run_seeds: int) -> Shape:
    """Keep a shape within `members`, and within `MEMORY_BYTES` for the weights of a tile."""
    bytes_each = 16 * weight_count(problem.architecture)  # weight, velocity, gradient and a copy, 4 bytes each
    fitting = max(1, MEMORY_BYTES // bytes_each)
    candidates = min(wanted, fitting)
    seeds = max(FEWEST_SEEDS, min(run_seeds, members // candidates, fitting // candidates))
    return Shape(candidates, seeds)


def weight_count(architecture: Architecture) -> int:
    """Return the number of weights of a dense stack; a guess of a million for a model of the user's own."""
    if architecture.build is not None:
        return 1_000_000
    sizes = (architecture.features, *architecture.hidden, architecture.outputs)
    return sum((inputs + 1) * units for inputs, units in pairwise(sizes))


@dataclass
class PoolTrainer:
    """Trains the candidates of one problem on a pool of processes.

    `few` takes over where its narrower tile holds all candidates, such as those of a search's last round.
    """

    pool: Pool
    problem: TrainingSpec
    shape: Shape
    on_runs: Callable[[int], None] | None = None
    few: PoolTrainer | None = None

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        """Yield each candidate's place and outcome once all its runs are done."""
        if self.few is not None and len(candidates) <= self.few.shape.candidates:
            yield from self.few.train(candidates, run_seeds)
            return
        groups = cut(candidates, self.shape.candidates)
        for number, found in self._train([(self.problem, group) for group in groups], run_seeds):
            yield from enumerate(found, number * self.shape.candidates)

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[int]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Train on other rows: yield each split's place and its outcomes, in the candidates' order, once it is done.

        All splits are trained in one go; those of equal shape share one compiled program.
        """
        groups = cut(candidates, self.shape.candidates)
        problems = [replace(self.problem, split=split) for split in splits]
        arrived: dict[int, dict[int, list[Outcome]]] = {place: {} for place in range(len(splits))}
        for number, found in self._train(list(product(problems, groups)), run_seeds):
            place, part = divmod(number, len(groups))
            arrived[place][part] = found
            if len(arrived[place]) == len(groups):
                yield place, list(chain.from_iterable(in_order(arrived.pop(place))))

    def with_few(self, few: PoolTrainer) -> PoolTrainer:
        """Return this trainer with `few` for few candidates, if a member's bits are the same in any shape of tile."""
        return replace(self, few=few) if self.problem.architecture.is_hidden_layer else self

    def narrow(self, run_seeds: int) -> PoolTrainer:
        """Return a trainer on the same pool for few candidates with `run_seeds` runs each, on any rows.

        One of them should serve all such work, since it compiles a program of its own: on the default study that pays
        from about 80 runs of each candidate on, where trainings take longer sooner, and for up to 24 candidates.
        """
        return replace(self, shape=narrow_shape(self.problem, run_seeds))

    def _train(
        self, work: Sequence[tuple[TrainingSpec, Sequence[Candidate]]], run_seeds: Sequence[int]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Yield the place of each problem and group, and the group's outcomes, once all its runs are done."""
        parts = cut(run_seeds, self.shape.seeds)
        jobs = ((problem, tile) for problem, group in work for tile in make_batches(group, parts, problem, self.shape))
        arrived: dict[int, dict[int, Curves]] = {place: {} for place in range(len(work))}
        for number, curves in self.pool.train(jobs):
            place, part = divmod(number, len(parts))
            problem, group = work[place]
            if self.on_runs is not None:
                self.on_runs(len(group) * len(parts[part]))
            arrived[place][part] = curves
            if len(arrived[place]) == len(parts):
                yield place, outcomes_of(problem, group, tuple(run_seeds), in_order(arrived.pop(place)))


def cut(items: Sequence[Item], size: int) -> list[tuple[Item, ...]]:
    """Cut `items` into parts of `size`; the last may be smaller."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def in_order(arrived: Mapping[int, Item]) -> list[Item]:
    """Return what arrived by its place."""
    return [arrived[place] for place in sorted(arrived)]


def make_batches(
    group: Sequence[Candidate], parts: Sequence[tuple[int, ...]], problem: TrainingSpec, shape: Shape
) -> list[MemberBatch]:
    """Build the tiles of `group`, one for each part of its run seeds; a table of rates costs more than a copy."""
    first = make_batch(group, parts[0], problem, shape)
    return [replace(first, run_seeds=fill(part, shape)) for part in parts]


def make_batch(
    group: Sequence[Candidate], run_seeds: tuple[int, ...], problem: TrainingSpec, shape: Shape
) -> MemberBatch:
    """Build the tile of `group` and `run_seeds`, filled up to `shape` with members that nobody looks at."""
    timeline = problem.timeline
    rates, momenta = np.zeros((2, shape.candidates, timeline.epochs, timeline.steps_per_epoch), np.float32)
    nesterov = np.zeros(shape.candidates, np.bool_)
    for place, candidate in enumerate(group):
        schedule = candidate.schedule
        rates[place] = schedule.base_rates(timeline)
        momenta[place] = schedule.momenta(timeline, candidate.momentum)
        nesterov[place] = candidate.nesterov
    schedules = [candidate.schedule for candidate in group]
    watchers = {name: watch(name, schedules, timeline, shape) for name in problem.closed_loop}
    return MemberBatch(rates, momenta, nesterov, fill(run_seeds, shape), watchers)


def fill(run_seeds: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """Repeat the last seed up to the tile's height."""
    return run_seeds + run_seeds[-1:] * (shape.seeds - len(run_seeds))


def watch(name: str, schedules: Sequence[Schedule], timeline: Timeline, shape: Shape) -> ClosedLoopSettings:
    """Return who of a tile's candidates follows the closed-loop schedule `name`, and with which settings."""
    kind, zeros = closed_loop_class(name), np.zeros(shape.candidates, np.float32)
    settings = {setting: zeros.copy() for setting in kind.numbers()}
    watchers = ClosedLoopSettings(zeros > 0, zeros.astype(np.int32), zeros.copy(), zeros.astype(np.int32), settings)
    for place, schedule in enumerate(schedules):
        if isinstance(schedule, ClosedLoop) and schedule.name == name:
            watchers.chosen[place] = True
            watchers.monitor[place] = MONITORS.index(schedule.monitor)
            watchers.sign[place] = schedule.sign
            watchers.first_epoch[place] = schedule.first_watched(timeline)
            for setting, values in settings.items():
                values[place] = getattr(schedule, setting)
    return watchers


def join(parts: Sequence[Curves], runs: int) -> Curves:
    """Put the tiles of one group side by side along the seeds, without the filling."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts], axis=1)[:, :runs] for name in BY_RUN}
    return Curves(**arrays, seconds=sum(part.seconds for part in parts) / len(arrays["loss"]))


def pick(curves: Curves, place: int) -> Curves:
    """Return one candidate's curves, `[runs, epochs]`."""
    return Curves(**{name: getattr(curves, name)[place] for name in BY_RUN}, seconds=curves.seconds)


def outcomes_of(
    problem: TrainingSpec, group: Sequence[Candidate], run_seeds: tuple[int, ...], parts: Sequence[Curves]
) -> list[Outcome]:
    """Return each candidate's outcome, from the tiles of its group."""
    joined = join(parts, len(run_seeds))
    return [outcome(problem, candidate, run_seeds, pick(joined, place)) for place, candidate in enumerate(group)]


def outcome(problem: TrainingSpec, candidate: Candidate, run_seeds: tuple[int, ...], runs: Curves) -> Outcome:
    """Sum up one candidate's runs; `runs` holds curves `[runs, epochs]`."""
    kept = ~runs.diverged
    return Outcome(
        run_seeds=run_seeds,
        correct=runs.validation_correct[:, -1],
        class_correct=runs.class_correct,
        log_loss=runs.validation_loss[:, -1],
        diverged=runs.diverged,
        rate=first_rates(candidate.schedule, problem.timeline, runs),
        loss=mean_of(runs.loss[kept]),
        accuracy=runs.correct.mean(axis=0) / problem.split.train_rows,
        validation_loss=mean_of(runs.validation_loss[kept]),
        validation_accuracy=runs.validation_correct.mean(axis=0) / problem.split.validation_rows,
        spread=np.percentile(runs.validation_correct, BAND, axis=0) / problem.split.validation_rows,
        validation_rows=problem.split.validation_rows,
        seconds=runs.seconds,
    )


def first_rates(schedule: Schedule, timeline: Timeline, runs: Curves) -> Numbers:
    """Return the learning rate at the start of each epoch, `[epochs]`; the mean over runs where they differ."""
    gain: Numbers = runs.gain.mean(axis=0, dtype=np.float64)
    return schedule.base_rates(timeline)[:, 0] * gain


def mean_of(curves: Float32) -> Numbers:
    """Return the mean over runs, `[epochs]`; NaN if there are none."""
    if not len(curves):
        return np.full(curves.shape[1], np.nan)
    mean: Numbers = curves.mean(axis=0, dtype=np.float64)
    return mean
