"""Laws of the rule that fits a study to a time, at made-up paces, and of a run that keeps to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.table import Split
from sweep.engines.spec import Choice, Shape
from sweep.errors import BadInput
from sweep.execution.batches import Outcome, Work
from sweep.schedules import Timeline
from sweep.seeds import Stage, run_seeds
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import read_result
from sweep.verdict.budget import KEPT_BACK, LEAST, TimeBudget, largest_share, least_of, share_of
from sweep.verdict.extent import Extent
from sweep.verdict.nested import NestedSearches
from sweep.verdict.progress import count_searched, is_made, read_decision, work_left
from sweep.verdict.protocol import Protocol
from sweep.verdict.record import read_record
from sweep.verdict.results import read_status
from sweep.verdict.timing import Pace, time_plan, total
from tests.fakes import FakeTrainer, make_plan, rows_of
from tests.protocols import few, make_protocol

WHOLE = make_plan(recipes=(), trials=200, replicates=16, round_size=64)
PLANS = [
    WHOLE,
    few(make_plan(recipes=(), trials=32, replicates=4, round_size=16)),
    few(make_plan(recipes=(), trials=5, replicates=1, round_size=4), finalists=1, splits=2, split_seeds=2),
    few(make_plan(recipes=(), trials=3000, replicates=64, round_size=128), selection_seeds=500, splits=300),
]
SHAPES = [(Shape(64, 2), Shape(8, 4)), (Shape(8, 4), Shape(8, 4)), (Shape(1, 1), Shape(1, 1))]
SHARES = [0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 1]


def pace_of(shapes: tuple[Shape, Shape] = SHAPES[1], workers: int = 2, step: float = 1e-4, job: float = 0.0) -> Pace:
    wide, narrow = shapes
    choice = Choice("population", "jax", wide, "", start_seconds=3.0, step_seconds=step, job_seconds=job)
    return Pace(choice, Timeline(epochs=10, steps_per_epoch=10), workers, narrow)


def budgeted(plan: Plan, seconds: float) -> Plan:
    return plan.model_copy(update={"search": plan.search.model_copy(update={"budget": seconds})})


def fitted(plan: Plan, seconds: float, pace: Pace) -> TimeBudget:
    return TimeBudget.fitted(budgeted(plan, seconds), pace, time.monotonic(), {})


def numbers(extent: Extent) -> list[int]:
    return list(extent.model_dump().values())


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("shapes", SHAPES)
class TestRule:
    def test_no_number_falls_as_the_share_rises_nor_leaves_its_bounds(
        self, plan: Plan, shapes: tuple[Shape, Shape]
    ) -> None:
        whole, pace = Extent.of(plan), pace_of(shapes)
        found = [numbers(share_of(whole, share, pace, plan.search.round_size)) for share in SHARES]
        for before, after in pairwise(found):
            assert all(one <= other for one, other in zip(before, after, strict=True))
        least = numbers(least_of(whole, pace))
        assert all(one <= other for one, other in zip(least, found[0], strict=True))
        assert found[-1] == numbers(whole)

    def test_it_is_never_over_and_monotone_in_the_budget(self, plan: Plan, shapes: tuple[Shape, Shape]) -> None:
        pace, whole = pace_of(shapes), Extent.of(plan)
        every = total(time_plan(plan, {}, pace, search_only=False))
        last = [0] * len(numbers(whole))
        for part in (0.05, 0.2, 0.5, 0.8, 1.0, 1.5, 10):
            try:
                budget = fitted(plan, part * every + 5, pace)
            except BadInput:
                assert part < 1.5
                continue
            found = numbers(budget.decision.extent)
            assert all(one <= other for one, other in zip(last, found, strict=True))
            assert budget.takes(budget.decision.extent) <= (1 - KEPT_BACK) * part * every + 5
            last = found
        assert last == numbers(whole)

    def test_the_parts_stay_in_proportion(self, plan: Plan, shapes: tuple[Shape, Shape]) -> None:
        """Where no number is at its least, and but for what fills a job."""
        whole, pace = Extent.of(plan), pace_of((Shape(1, 1), Shape(1, 1)))
        found = share_of(whole, 0.5, pace, plan.search.round_size)
        least = least_of(whole, pace)
        for one, other in (("trials", "replicates"), ("finalists", "selection_seeds"), ("splits", "split_seeds")):
            pairs = [(getattr(each, one), getattr(each, other)) for each in (found, whole, least)]
            (ours, of_ours), (all_of, of_all), (fewest, of_fewest) = pairs
            if fewest * of_fewest < 0.2 * all_of * of_all:
                assert 0.3 <= ours * of_ours / (all_of * of_all) <= 0.6
        del shapes


def test_the_largest_share_is_found_and_none_where_nothing_fits() -> None:
    assert largest_share(lambda share: 10 * share, 20) == 1
    assert largest_share(lambda share: 10 * share, 4) == pytest.approx(0.4, abs=1e-4)
    assert largest_share(lambda share: 1 + 10 * share, 0.5) is None


def test_run_seeds_that_a_job_holds_anyway_are_not_cut() -> None:
    whole = Extent.of(PLANS[1])
    assert share_of(whole, 0.0, pace_of(), 16).replicates == 4
    assert share_of(whole, 0.0, pace_of(SHAPES[2]), 16).replicates == LEAST.replicates


def test_what_is_decided_is_told_with_what_a_longer_budget_buys() -> None:
    budget = fitted(WHOLE, 60.0, pace_of(step=1e-3))
    told, extent = budget.decision.told, budget.decision.extent
    assert told.startswith(f"budget of 60 s: {extent.trials} of 200 trials, {extent.replicates} of 16 run seeds, ")
    assert f"would buy {200 - extent.trials} more trials and intervals 0." in told
    large = fitted(WHOLE, 1e6, pace_of())
    assert large.decision.is_whole
    assert large.decision.told.startswith("budget of 277 h 46 min 40 s: the whole study fits, in about ")


def test_a_budget_in_which_nothing_fits_says_how_long_the_least_takes() -> None:
    with pytest.raises(BadInput, match=r"must be at least about \d+ s, got 5 s; the least that means anything is 8 of"):
        fitted(WHOLE, 5.0, pace_of(step=1e-3))


@dataclass
class Clock:
    """A time that passes only as trainings do, in place of that of every module that keeps to a budget."""

    now: float = 1000.0
    perf_counter: Callable[[], float] = time.perf_counter

    def monotonic(self) -> float:
        return self.now


@dataclass
class SlowTrainer(FakeTrainer):
    """Takes a time for each outcome, and begins none once the gate is closed, as a `BatchTrainer` does.

    On re-splits a schedule is ahead of a constant rate by 10 rows, and by as many more or less in every other run.
    """

    clock: Clock = field(default_factory=Clock)
    seconds: float = 1.0
    goes_on: Callable[[], bool] = lambda: True
    apart: int | None = None

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        found = super()._train(candidate, run_seeds, split)
        if split is None or self.apart is None:
            return found
        ahead = [10 + self.apart * (1 if seed % 2 else -1) for seed in run_seeds]
        correct = 70 + np.array(ahead if candidate.schedule.name == "step" else [0] * len(ahead), np.int32)
        return replace(found, correct=correct, rows=rows_of(split, correct, found.log_loss))

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        for place, candidate in enumerate(candidates):
            if self.goes_on():
                self.clock.now += self.seconds * len(run_seeds)
                yield place, self._train(candidate, run_seeds, None)

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        for place, (split, own) in enumerate(zip(splits, run_seeds, strict=True)):
            if self.goes_on():
                self.clock.now += self.seconds * len(own) * len(candidates)
                yield place, [self._train(candidate, own, split) for candidate in candidates]

    def train_each(self, work: Sequence[Work]) -> Iterator[tuple[int, list[Outcome]]]:
        for place, each in enumerate(work):
            if self.goes_on():
                self.clock.now += self.seconds * len(each.run_seeds) * len(each.candidates)
                yield place, [self._train(candidate, each.run_seeds, each.split) for candidate in each.candidates]


PLAN = few(make_plan(trials=24, replicates=4), splits=12)
ONE = Choice("fit", "jax", Shape(1, 1), "stated", start_seconds=0.0, step_seconds=1.0)


@dataclass
class Run:
    """Runs of `PLAN` within budgets, at a second for each training, unless it really takes longer."""

    database: Database
    clock: Clock
    plan: Plan = PLAN
    apart: int | None = None

    def __call__(
        self, seconds: float | None, *, really: float = 1.0, interrupted: int | None = None, nested: int = 0
    ) -> bool:
        plan, began = budgeted(self.plan, seconds) if seconds else self.plan, self.clock.now
        trainer = SlowTrainer(interrupted_after=interrupted, clock=self.clock, seconds=really, apart=self.apart)
        protocol: Protocol = make_protocol(self.database, plan, trainer)
        if seconds:
            pace = Pace(ONE, Timeline(epochs=1, steps_per_epoch=1), 1, ONE.shape)
            done = count_searched(self.database, plan, search_only=False)
            budget = TimeBudget.fitted(plan, pace, began, done, kept=read_decision(self.database, plan))
            trainer.goes_on = budget.gate.is_open
            searches = NestedSearches(plan, protocol.split, nested, trainer, trainer)
            protocol = replace(protocol, budget=budget, nested=searches)
        ended = protocol.run()
        self.took = self.clock.now - began
        return ended

    def verdict(self) -> Any:
        return read_result(StoredStudy(self.database, "tiny")).verdict


@pytest.fixture
def run(database: Database, monkeypatch: pytest.MonkeyPatch) -> Run:
    clock = Clock()
    known = SimpleNamespace(monotonic=clock.monotonic, perf_counter=time.perf_counter)
    for module in ("search.loop", "verdict.protocol", "verdict.resplits", "verdict.budget"):
        monkeypatch.setattr(f"sweep.{module}.time", known)
    return Run(database, clock)


class TestRuns:
    @pytest.mark.parametrize("budget", [400, 700, 5000])
    def test_nested_searches_are_left_out_first(self, run: Run, budget: float) -> None:
        assert run(budget, nested=2)
        assert run.took <= budget
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert record.nested is not None
        assert (record.nested.problem, len(record.nested.splits)) == (
            (None, 2) if budget == 5000 else ("the time budget left no time for it", 0)
        )
        assert (record.within is None) == (budget > 400)
        assert read_result(StoredStudy(run.database, "tiny")).verdict.nested is not None

    def test_a_run_ends_with_a_verdict_within_its_budget(self, run: Run) -> None:
        assert run(400)
        assert 280 < run.took <= 400
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert record.within is not None
        extent = record.within.extent
        assert extent.trials < 24
        assert len(record.winner.confirmation.run_seeds) == extent.confirmation_seeds
        assert len(record.new_rows.split_seeds) == extent.splits
        found = run.verdict()
        assert found.current
        assert found.sentences[-1].startswith("Within a time budget of 6 min 40 s: ")

    def test_no_search_ends_without_a_candidate_however_slow(self, run: Run) -> None:
        assert not run(400, really=9.0)
        assert run.took <= 400 + 12 * 9
        assert min(count_searched(run.database, PLAN, search_only=False).values()) >= 1
        assert run(None)

    @pytest.mark.parametrize("really", [0.5, 1.5, 2.0])
    def test_a_pace_that_is_wrong_is_corrected(self, run: Run, really: float) -> None:
        assert run(400, really=really)
        assert run.took <= 400 + 6 * really

    def test_the_same_budget_again_has_nothing_to_do_and_no_budget_goes_on(self, run: Run) -> None:
        run(400)
        within, whole = budgeted(PLAN, 400.0), PLAN
        assert is_made(run.database, within)
        assert not work_left(run.database, within, search_only=False)
        assert work_left(run.database, whole, search_only=False)
        status = read_status(StoredStudy(run.database, "tiny"))
        assert (status.verdict, status.within is not None) == ("made", True)
        assert run(None)
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert (record.within, record.confirmations, record.basis.trials["tiny"]) == (None, 2, 24)
        assert len(record.winner.confirmation.run_seeds) == 8
        assert not work_left(run.database, whole, search_only=False)
        assert not work_left(run.database, within, search_only=False)

    @pytest.mark.parametrize("interrupted", [8, 30, 50, 62])
    def test_a_run_that_goes_on_uses_the_seeds_that_were_decided(self, run: Run, interrupted: int) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(400, interrupted=interrupted)
        before = read_decision(run.database, budgeted(PLAN, 400.0))
        assert run(400)
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert record.within is not None
        assert before is not None
        decided = before.extent
        assert (record.within.extent.trials, record.within.extent.replicates) == (decided.trials, decided.replicates)
        runs = [found.contender.search for found in record.entries if found.contender.search]
        assert {len(each.run_seeds) for each in runs} == {decided.replicates}
        assert record.winner.confirmation.run_seeds[0] == run_seeds(Stage.CONFIRMATION, 1)[0]

    def test_a_larger_budget_goes_on_from_a_smaller_one(self, run: Run) -> None:
        run(300)
        small = StoredStudy(run.database, "tiny").count_finished()
        assert run(500)
        assert StoredStudy(run.database, "tiny").count_finished() >= small
        assert run.took <= 500
        assert run(100_000)
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert (record.within, record.basis.trials["tiny"]) == (None, 24)

    def test_more_looks_have_what_time_is_left(self, run: Run) -> None:
        run.plan, run.apart = few(make_plan(trials=24, replicates=4), splits=12, most_splits=48), 30
        assert run(700)
        assert 650 < run.took <= 700
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert record.within is not None
        number = len(record.new_rows.split_seeds)
        assert 12 < number < 48
        assert record.new_rows.looks == (12, 24, 48)
        assert (record.within.extent.splits, record.within.extent.most_splits) == (12, number)
        assert f"{number} of 48 re-splits where fewer do not tell" in record.within.told
        assert is_made(run.database, budgeted(run.plan, 700.0))
        assert work_left(run.database, run.plan, search_only=False)
        assert run(None)
        record = read_record(StoredStudy(run.database, "tiny"))
        assert record is not None
        assert (record.within, len(record.new_rows.split_seeds)) == (None, 48)
