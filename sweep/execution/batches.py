"""What the layers above ask for: candidates and run seeds in, one outcome for each candidate out.

Work is cut into jobs of a fixed shape, so that one compiled program and a bounded amount of memory serve any number of
candidates; the curves that come back are put together again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, takewhile
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sweep.candidate import Candidate
from sweep.data.table import Split
from sweep.engines.row_outcomes import RowOutcomes
from sweep.engines.spec import (
    BY_RUN,
    BYTES_PER_WEIGHT,
    FEWEST_SEEDS,
    MEMORY_BYTES,
    Curves,
    Float32,
    Int32,
    Item,
    Job,
    Shape,
    TrainingSpec,
    cut,
)
from sweep.schedules import Numbers
from sweep.seeds import SEEDS_A_TURN
from sweep.task import METRICS, MetricName, Scores

LANES = 16
WIDEST = 64
MEMBERS = 128
# A job of 16 takes twice as long as one of 8, so that narrower ones serve up to 16 candidates (tests/bench/README.md).
NARROW = 8
NARROW_MEMBERS = 32
ASSUMED_WEIGHTS = 1_000_000  # of a Keras model; the engine, which builds it, divides jobs that are too large for it
# Of any model but one hidden layer: one program for the search and the verdict, whose four candidates fill it.
GENERAL = Shape(4, 4)
WIDE = Shape(64, 16)  # on a GPU
BAND = (10, 90)  # percent of the runs


@dataclass(frozen=True)
class Outcome:
    """All runs of one candidate."""

    run_seeds: tuple[int, ...]
    correct: Int32  # validation rows classified right after the last epoch, `[runs]`; empty for numbers
    class_correct: Int32  # those of each class, `[runs, classes]`
    log_loss: Float32  # validation cross-entropy after the last epoch; not finite where a run diverged; as `correct`
    diverged: NDArray[np.bool_]  # whether a run ended in NaN or infinity, `[runs]`
    rate: Numbers  # at the start of each epoch, `[epochs]`; mean over runs if the schedule is closed-loop
    loss: Numbers  # training loss by epoch, mean over runs that did not diverge, `[epochs]`
    # Training accuracy by epoch, mean over all runs, `[epochs]`; for numbers the root mean squared error in the
    # target's unit, and for several outputs the loss, mean over the runs that did not diverge.
    accuracy: Numbers
    validation_loss: Numbers  # as `loss`, on the validation rows
    validation_accuracy: Numbers  # as `accuracy`, on the validation rows
    spread: Numbers  # 10th and 90th percentile over the same runs of `validation_accuracy`, `[2, epochs]`
    validation_rows: int
    seconds: float  # this candidate's share of its jobs' time
    scores: Mapping[MetricName, Scores] = field(default_factory=dict)  # `[runs]` by metric; NaN where a run diverged
    rows: RowOutcomes | None = None  # of each run and validation row, on re-splits

    def by_metric(self, metric: MetricName) -> Scores:
        """Return the score of each run, `[runs]`; a run that diverged has the rows right that it had, and NaN else."""
        if metric == "accuracy":
            return self.correct / self.validation_rows
        return np.asarray(self.log_loss, np.float64) if metric == "log_loss" else self.scores[metric]

    def value(self, metric: MetricName) -> float:
        """Return the mean score over the runs, as `Metric.mean` takes it; always finite."""
        if metric == "accuracy":  # so that equal sums of rows are equal accuracies, to the last bit
            return float(self.correct.mean()) / self.validation_rows
        return METRICS[metric].mean(self.by_metric(metric))


@dataclass(frozen=True)
class Work:
    """Candidates and run seeds to be trained, each with each, on other rows than a study's own.

    `keep_rows` asks for `Outcome.rows`.
    """

    split: Split
    candidates: Sequence[Candidate]
    run_seeds: Sequence[int]
    keep_rows: bool = False


class Executor(Protocol):
    """Where jobs are trained: on processes of this machine (`sweep.execution.local.Pool`), or by a test itself."""

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
        """Yield each job's place and curves as it finishes, in any order; `SweepError` if one cannot be trained."""


class Trainer(Protocol):
    """Trains candidates: a `BatchTrainer`, or a few lines in a test."""

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        """Yield each candidate's place and outcome once all its runs are done."""

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Train on other rows, each split with run seeds of its own, and keep the outcome of each row.

        Yield each split's place and its outcomes, in the candidates' order, once it is done.
        """


class WorkTrainer(Protocol):
    """Trains several pieces of work side by side: a `BatchTrainer`, or a few lines in a test."""

    def train_each(self, work: Sequence[Work]) -> Iterator[tuple[int, list[Outcome]]]:
        """Train each on its own rows: yield its place and its outcomes, in the candidates' order, once it is done."""


def tile_shape(spec: TrainingSpec, round_size: int, replicates: int) -> Shape:
    """Choose the shape that measured best for whole rounds.

    Candidates fill whole vector registers; seeds follow until a job fits the processor's cache no longer, or has all
    those of a split.
    """
    if spec.split.turns:
        replicates = min(replicates, SEEDS_A_TURN)
        if not spec.is_hidden_layer:
            return _bounded(spec, GENERAL.members // SEEDS_A_TURN, GENERAL.members, SEEDS_A_TURN)
    if not spec.is_hidden_layer:
        return _bounded(spec, GENERAL.candidates, GENERAL.members, max(GENERAL.seeds, replicates))
    return _bounded(spec, min(-(-round_size // LANES) * LANES, WIDEST), MEMBERS, replicates)


def narrow_shape(spec: TrainingSpec, run_seeds: int) -> Shape:
    """Return the shape that measured best for few candidates of one hidden layer with `run_seeds` runs each."""
    return _bounded(spec, NARROW, NARROW_MEMBERS, run_seeds)


def _bounded(spec: TrainingSpec, wanted: int, members: int, run_seeds: int) -> Shape:
    """Keep a shape within `members`, and within the memory for the weights of a job or little above it."""
    fitting = max(1, MEMORY_BYTES // (BYTES_PER_WEIGHT * (spec.architecture.weight_count or ASSUMED_WEIGHTS)))
    candidates = min(wanted, fitting)
    return Shape(candidates, max(FEWEST_SEEDS, min(run_seeds, members // candidates, fitting // candidates)))


@dataclass
class BatchTrainer:
    """Trains the candidates of one spec on an executor.

    `few` takes over where its narrower shape holds all candidates, such as those of a search's last round. Once
    `goes_on` says no, no job begins any more; candidates and splits that lack one do not come.
    """

    executor: Executor
    spec: TrainingSpec
    shape: Shape
    on_runs: Callable[[int], None] | None = None
    few: BatchTrainer | None = None
    goes_on: Callable[[], bool] = lambda: True

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        """Yield each candidate's place and outcome once all its runs are done."""
        if self.few is not None and len(candidates) <= self.few.shape.candidates:
            yield from self.few.train(candidates, run_seeds)
            return
        groups = cut(candidates, self.shape.candidates)
        own = [(self.spec, Work(self.spec.split, group, run_seeds)) for group in groups]
        for number, found in self._train(own):
            yield from enumerate(found, number * self.shape.candidates)

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Train on other rows, each split with run seeds of its own, and keep the outcome of each row.

        All splits are trained in one go; those of equal shape share one compiled program.
        """
        pairs = zip(splits, run_seeds, strict=True)
        return self.train_each([Work(split, candidates, own, keep_rows=True) for split, own in pairs])

    def train_each(self, work: Sequence[Work]) -> Iterator[tuple[int, list[Outcome]]]:
        """Train on other rows, each with candidates and run seeds of its own: yield its place and its outcomes.

        All of it is trained in one go, as by `train_on`.
        """
        every, sizes = [], []
        for each in work:
            spec, groups = replace(self.spec, split=each.split), cut(each.candidates, self.shape.candidates)
            every += [(spec, replace(each, candidates=group)) for group in groups]
            sizes.append(len(groups))
        for place, parts in _collected(self._train(every), sizes):
            yield place, list(chain.from_iterable(parts))

    def with_few(self, few: BatchTrainer) -> BatchTrainer:
        """Return this trainer with `few` for few candidates, if a member's bits are the same in a job of any shape."""
        return replace(self, few=few) if self.spec.engine_name == "hidden layer" else self

    def narrow(self, run_seeds: int) -> BatchTrainer:
        """Return a trainer on the same executor for few candidates with `run_seeds` runs each, on any rows.

        It compiles a program of its own, which on the default study pays from about 80 runs of each candidate on.
        """
        if self.spec.engine_name != "hidden layer":
            return self
        return replace(self, shape=narrow_shape(self.spec, run_seeds))

    def _train(self, work: Sequence[tuple[TrainingSpec, Work]]) -> Iterator[tuple[int, list[Outcome]]]:
        """Yield each place and the outcomes of its candidates, which one job holds, once all their runs are done."""
        parts = [self._parts(spec, each.run_seeds) for spec, each in work]
        every = (
            Job(spec, tuple(each.candidates), part, self.shape, keep_rows=each.keep_rows)
            for (_, each), own in zip(work, parts, strict=True)
            for spec, part in own
        )
        jobs = takewhile(lambda _: self.goes_on(), every)  # asked when a trainer is free
        for place, arrived in _collected(self._counted(self.executor.map(jobs)), list(map(len, parts))):
            (spec, each), own = work[place], parts[place]
            unit = spec.split.target_unit[1]  # a split scales numbers by its own training rows
            scales = [part.split.target_unit[1] / unit for part, _ in own]
            in_unit = [_with_losses(curves, scale**2) for curves, scale in zip(arrived, scales, strict=True)]
            joined, trained = Curves.joined(in_unit, axis=1), [seed for _, part in own for seed in part]
            if trained != list(each.run_seeds):
                joined = _of_seeds(joined, [trained.index(seed) for seed in each.run_seeds])
            shared, run_seeds = replace(joined, seconds=joined.seconds / self.shape.candidates), tuple(each.run_seeds)
            yield place, [outcome(spec, one, run_seeds, shared[where]) for where, one in enumerate(each.candidates)]

    def _parts(self, spec: TrainingSpec, run_seeds: Sequence[int]) -> list[tuple[TrainingSpec, tuple[int, ...]]]:
        """Return the run seeds of each job, with what it trains: those of one job have one split."""
        if not spec.split.turns:
            return [(spec, part) for part in cut(run_seeds, self.shape.seeds)]
        by_split: dict[int, tuple[TrainingSpec, list[int]]] = {}
        for seed in run_seeds:
            split = spec.split.for_seed(seed)
            by_split.setdefault(id(split), (replace(spec, split=split), []))[1].append(seed)
        return [(part, seeds) for part, own in by_split.values() for seeds in cut(own, self.shape.seeds)]

    def _counted(self, trained: Iterator[tuple[int, Curves]]) -> Iterator[tuple[int, Curves]]:
        for number, curves in trained:
            if self.on_runs is not None:
                self.on_runs(curves.diverged.size)
            yield number, curves


def _of_seeds(curves: Curves, places: Sequence[int]) -> Curves:
    """Return the curves of the run seeds at these places, in this order."""
    arrays = {name: getattr(curves, name)[:, places] for name in BY_RUN}
    scores, rows = {name: by_run[:, places] for name, by_run in curves.scores.items()}, curves.rows
    rows = None if rows is None else RowOutcomes(rows.bits[:, places], rows.loss[:, places])
    return replace(curves, **arrays, scores=scores, rows=rows)


def _with_losses(curves: Curves, factor: float) -> Curves:
    """Return the curves with their losses in another unit."""
    scaled = {name: getattr(curves, name) * np.float32(factor) for name in ("loss", "validation_loss")}
    return curves if factor == 1 else replace(curves, **scaled)


def _collected(parts: Iterator[tuple[int, Item]], sizes: Sequence[int]) -> Iterator[tuple[int, list[Item]]]:
    """Yield each place with its parts in their order, once all have come; they are numbered place by place.

    `sizes` has the number of parts of each place.
    """
    ends, arrived = list(accumulate(sizes)), dict[int, dict[int, Item]]()
    for number, part in parts:
        place = bisect_right(ends, number)
        arrived.setdefault(place, {})[number] = part
        if len(arrived[place]) == sizes[place]:
            found = arrived.pop(place)
            yield place, [found[number] for number in sorted(found)]


def in_order(parts: Iterator[tuple[int, Item]]) -> Iterator[tuple[int, Item]]:
    """Yield what arrives in any order by its place, from 0 on, as far as none is missing.

    >>> list(in_order(iter([(1, "b"), (0, "a"), (3, "d")])))
    [(0, 'a'), (1, 'b')]
    """
    place, waiting = 0, dict[int, Item]()
    for number, part in parts:
        waiting[number] = part
        while place in waiting:
            yield place, waiting.pop(place)
            place += 1


def outcome(spec: TrainingSpec, candidate: Candidate, run_seeds: tuple[int, ...], runs: Curves) -> Outcome:
    """Sum up one candidate's runs; `runs` holds curves `[runs, epochs]`."""
    split, kept = spec.split, ~runs.diverged
    loss, validation_loss = runs.loss[kept], runs.validation_loss[kept]
    if spec.architecture.task.counts_rows:
        shown, validation_shown = runs.correct, runs.validation_correct
        of, validation_of, counted = float(split.train_rows), float(split.validation_rows), slice(None)
    else:
        shown, validation_shown = loss.astype(np.float64), validation_loss.astype(np.float64)
        if not spec.architecture.heads:
            shown, validation_shown = np.sqrt(shown), np.sqrt(validation_shown)
        of, validation_of, counted = 1 / split.target_unit[1], 1 / split.target_unit[1], slice(0)
    log_loss = runs.validation_loss[counted, -1]
    if spec.architecture.build is not None and "log_loss" in runs.scores:  # whose loss may be another one
        log_loss = runs.scores["log_loss"].astype(np.float32)
    nothing = np.full((1, runs.loss.shape[1]), np.nan)  # where all runs diverged
    return Outcome(
        run_seeds=run_seeds,
        correct=runs.validation_correct[counted, -1],
        class_correct=runs.class_correct,
        log_loss=log_loss,
        diverged=runs.diverged,
        # At the start of each epoch; the gain of a closed-loop schedule differs between runs.
        rate=candidate.schedule.base_rates(spec.timeline)[:, 0] * runs.gain.mean(axis=0, dtype=np.float64),
        loss=_mean(loss),
        accuracy=_mean(shown) / of,
        validation_loss=_mean(validation_loss),
        validation_accuracy=_mean(validation_shown) / validation_of,
        spread=np.percentile(validation_shown if len(validation_shown) else nothing, BAND, axis=0) / validation_of,
        validation_rows=split.validation_rows,
        seconds=runs.seconds,
        scores=runs.scores,
        rows=runs.rows,
    )


def _mean(curves: NDArray[Any]) -> Numbers:
    """Return the mean over runs, `[epochs]`; NaN if there are none."""
    return np.asarray(curves.mean(axis=0, dtype=np.float64)) if len(curves) else np.full(curves.shape[1], np.nan)
