"""The whole search again on outer splits: is *searching schedules* better than *searching constant rates*?

A verdict on the best schedule of one search says nothing of the search's own luck. So on each outer split, of rows to
train on and rows to judge by as a re-split has them, both searches are repeated on the training rows alone, divided
again as the study's split would. The winners then meet on the rows that neither search saw.

What is smaller than in the study, so that ten outer splits cost about as much as the rest of it:

- a candidate has 4 run seeds, or the study's if these are fewer;
- each search has whole rounds only, as the last few candidates take a trainer as long as a round;
- the winner is the best of its search by the ranking of a study's trials; there is no race.

A winner is trained for its judgement on all outer training rows, as a re-split trains it and as a user would: to leave
the inner validation rows out would judge it on fewer rows than it is for. Its schedule follows the timeline of that
many rows, of more steps an epoch. A closed-loop schedule watches the rows that it is judged by, as on re-splits.

Each outer split has run seeds of its own for the searches and for the judgement, which both searches share, and each
search a sampler seed of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from sweep.config.plan import Plan
from sweep.data.nesting import Nested, nested_splits
from sweep.data.table import Split
from sweep.engines.spec import cut
from sweep.errors import BadInput
from sweep.execution.batches import BatchTrainer, Outcome, Work, WorkTrainer
from sweep.search.in_memory import MemorySearch
from sweep.seeds import Stage, outer_seeds, run_seeds
from sweep.verdict.baselines import Role, tuning_plans
from sweep.verdict.record import Contender, NestedRecord, OuterSplit, Runs
from sweep.verdict.timing import JUDGED_SEEDS, SEARCH_SEEDS, nested_seeds, nested_shape, nested_trials, side_by_side


class Unfinished(Exception):
    """The time was over before the work on some outer splits was done."""


def nested_plans(plan: Plan, number: int) -> tuple[Plan, Plan]:
    """Return the plans of the searches over schedules and over constants on the outer split of a number."""
    seeds = np.random.SeedSequence((plan.search.sampler_seed, number)).generate_state(2).tolist()
    size = {"trials": nested_trials(plan), "replicates": nested_seeds(plan), "budget": None}
    over_schedules, over_constants = (
        each.model_copy(update={"search": each.search.model_copy(update=size | {"sampler_seed": seed})})
        for each, seed in zip((plan, tuning_plans(plan)[Role.CONSTANT]), seeds, strict=True)
    )
    return over_schedules, over_constants


@dataclass(frozen=True)
class NestedSearches:
    """Repeats a study's search on outer splits.

    Attributes:
        plan: the study's.
        split: the study's own.
        wanted: the number of outer splits.
        trainer: trains rounds.
        narrow: trains winners.
        at_once: how many outer splits are searched on at the same time.
    """

    plan: Plan
    split: Split
    wanted: int
    trainer: WorkTrainer
    narrow: WorkTrainer
    at_once: int = 1

    @classmethod
    def of(cls, plan: Plan, wanted: int, workers: int, trainer: BatchTrainer, narrow: BatchTrainer) -> NestedSearches:
        """Return what repeats the search that `trainer` trains, on so many trainer processes."""
        shape = nested_shape(plan, trainer.shape)
        rounds = replace(trainer, shape=shape, few=None)  # whose program would be another one to compile
        return cls(plan, trainer.spec.split, wanted, rounds, narrow, side_by_side(plan, shape, workers))

    @property
    def record(self) -> NestedRecord:
        """What the record is before the first outer split."""
        return NestedRecord.begun(self.plan, self.wanted)

    def run(
        self, kept: Mapping[int, OuterSplit], keep: Callable[[OuterSplit], None], goes_on: Callable[[], bool]
    ) -> NestedRecord:
        """Search on the outer splits that are not kept yet, keep each, and return all that there are.

        Args:
            kept: those that an earlier run has finished, by their seeds.
            keep: is given each that has finished.
            goes_on: says whether more may begin.
        """
        record = self.record
        if set(self.plan.search.schedules) <= {"constant"}:
            return record.model_copy(update={"problem": "the search has no schedule but the constant rate"})
        own, seeds = self.plan.split, outer_seeds(self.wanted, self.plan.split.split_seed)
        try:
            nested = nested_splits(self.split, own.kind, own.fraction, seeds, self.plan.metric)
        except BadInput as error:
            return record.model_copy(update={"problem": str(error)})
        found = {seed: kept[seed] for seed in nested if seed in kept}
        told: dict[str, Any] = {}
        for together in cut([(place, seed) for place, seed in enumerate(nested) if seed not in found], self.at_once):
            try:
                if not goes_on():
                    raise Unfinished
                finished = self._search({place: (seed, nested[seed]) for place, seed in together})
            except Unfinished:
                problem = f"the time was over after {len(found)} of {len(nested)} outer splits"
                told = {"problem": problem, "out_of_time": True}
                break
            for each in finished:
                keep(each)
                found[each.split_seed] = each
        outer = next(iter(nested.values())).outer
        sizes = {"train_rows": outer.train_rows, "test_rows": outer.validation_rows}
        splits = tuple(found[seed] for seed in nested if seed in found)
        return record.model_copy(update=sizes | told | {"splits": splits})

    def _search(self, outer: Mapping[int, tuple[int, Nested]]) -> list[OuterSplit]:
        """Search on some outer splits side by side, and judge the winners; they come by their places and seeds."""
        seeds = {place: self._run_seeds(place) for place in outer}
        both = {place: tuple(map(MemorySearch, nested_plans(self.plan, place))) for place in outer}
        while rounds := {
            place: proposed
            for place, searches in both.items()
            if any(proposed := [search.next_round() for search in searches])
        }:
            work = [
                Work(outer[place][1].inner, list(chain.from_iterable(rounds[place])), seeds[place][0])
                for place in rounds
            ]
            for (place, proposed), outcomes in zip(rounds.items(), _all(self.trainer, work), strict=True):
                arrived = iter(outcomes)
                for search, candidates in zip(both[place], proposed, strict=True):
                    search.finish_round(candidates, [next(arrived) for _ in candidates])
        best = {place: [search.best for search in searches] for place, searches in both.items()}
        work = [
            Work(outer[place][1].outer, [each.candidate for each in best[place]], seeds[place][1]) for place in best
        ]
        found = []
        for place, outcomes in zip(best, _all(self.narrow, work), strict=True):
            winners = [
                Contender.of(trial.candidate, params=trial.params, search=Runs.of(trial.outcome))
                for trial in best[place]
            ]
            first, second = map(Runs.of, outcomes)
            found.append(OuterSplit(split_seed=outer[place][0], winners=(winners[0], winners[1]), runs=(first, second)))
        return found

    def _run_seeds(self, place: int) -> tuple[range, range]:
        """Return the run seeds of the searches and of the judgement on the outer split at a place."""
        searching = nested_seeds(self.plan)
        every = run_seeds(Stage.NESTED, searching + JUDGED_SEEDS, place * (SEARCH_SEEDS + JUDGED_SEEDS))
        return every[:searching], every[searching:]


def _all(trainer: WorkTrainer, work: Sequence[Work]) -> list[list[Outcome]]:
    """Return the outcomes of all work, or raise `Unfinished`."""
    found = dict(trainer.train_each(work))
    if len(found) < len(work):
        raise Unfinished
    return [found[place] for place in range(len(work))]
