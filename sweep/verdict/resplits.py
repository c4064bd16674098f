"""Runs on re-splits of the rows: look by look, until they tell who is better on rows that nothing was chosen by."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise

import numpy as np

from sweep.config.plan import Plan
from sweep.config.verdict_plan import VerdictPlan
from sweep.data.resplitting import Resplits, resplit
from sweep.data.table import Split
from sweep.engines.row_outcomes import uninformed_scores
from sweep.errors import BadInput
from sweep.search.session import class_weights
from sweep.seeds import Stage, run_seeds, split_seeds
from sweep.stats.verdict import Judgement, Word
from sweep.task import MetricName
from sweep.verdict.analysis import on_new_rows
from sweep.verdict.budget import TimeBudget
from sweep.verdict.by_row import Tally
from sweep.verdict.linear import LinearScores
from sweep.verdict.parts import OutOfTime, Part, Parts
from sweep.verdict.record import Entry, NewRows, Runs, VerdictRecord


@dataclass(frozen=True)
class ReSplits:
    """Trains the confirmed of a study on re-splits of its rows.

    Attributes:
        plan: the study's.
        verdict: its numbers, as they were decided within a time budget.
        split: the study's own.
        parts: trains and keeps each look.
        budget: what keeps the run within a time, if it has one.
        spared: the seconds of the budget that no look after the first may take.
    """

    plan: Plan
    verdict: VerdictPlan
    split: Split
    parts: Parts
    budget: TimeBudget | None = None
    spared: float = 0.0

    def tested(self, record: VerdictRecord, deadline: float) -> VerdictRecord:
        """Return the record with runs on re-splits, or with the reason why there are none.

        Raises:
            OutOfTime: if the next look would begin after the deadline.
        """
        looks, weights = self.verdict.looks, class_weights(self.plan.training.class_weight, self.split.dataset)
        linear = LinearScores.of(self.split, weights) if self._has_time() else None
        record = record.model_copy(update={"linear": linear})
        try:
            found = self.first_look
        except BadInput as error:
            return record.model_copy(update={"new_rows": NewRows(problem=str(error))})
        if self.plan.split.kind in ("group", "time"):  # whose divisions depend on how many there are
            looks = tuple(dict.fromkeys(min(look, len(found.splits)) for look in looks))
        one = next(iter(found.splits.values()))
        new = NewRows(train_rows=one.train_rows, test_rows=one.validation_rows, looks=looks)
        runs, guesses = list[tuple[Runs, ...]](), list[dict[MetricName, float]]()
        tally = Tally(self.split.dataset.rows, len(record.entries))
        for number, (first, last) in enumerate(pairwise((0, *looks)), start=1):
            if first and not self._goes_on(record, deadline):
                break
            if last <= len(found.splits):
                splits = dict(islice(found.splits.items(), first, last))
            else:
                splits = dict(self._divided(first, last).splits)
            part = self._look(number, len(looks), record, splits, first)
            splits = dict(islice(splits.items(), len(part.runs)))
            runs += part.runs
            guesses += [uninformed_scores(each) for each in splits.values()] if found.told else []
            tally.join(part.tested, part.on_rows)
            if len(runs) < last and self.budget is not None:
                self.budget.end_re_splits(len(runs))
            if len(runs) < 2:
                problem = "the time budget was over before two of them"
                return record.model_copy(update={"new_rows": NewRows(problem=problem)})
            told = {"told": f"{len(runs):,} {found.told}" if found.told else "", "uninformed": mean_scores(guesses)}
            new = new.model_copy(update={"split_seeds": (*new.split_seeds, *splits), "tested": tally.tested, **told})
            record = record.model_copy(update={"new_rows": new, "entries": _tested(record.entries, runs, tally)})
            if linear is not None:
                linear = linear.tested(splits.values(), weights, self._has_time)
                record = record.model_copy(update={"linear": linear})
            if len(runs) < last:
                break
        return record

    @cached_property
    def first_look(self) -> Resplits:
        """The re-splits of the first look; of groups all that there are, as others depend on how many there are.

        Raises:
            BadInput: if there are no two such divisions.
        """
        looks = self.verdict.looks
        return self._divided(0, looks[-1] if self.plan.split.kind == "group" else looks[0])

    def _has_time(self) -> bool:
        return self.budget is None or self.budget.gate.has_time()

    def _divided(self, first: int, last: int) -> Resplits:
        """Return re-splits from the `first`-th on."""
        own = self.plan.split
        seeds = split_seeds(last, own.split_seed)[first:]
        return resplit(self.split, own.kind, own.fraction, seeds, self.plan.metric)

    def _look(self, number: int, looks: int, record: VerdictRecord, splits: Mapping[int, Split], first: int) -> Part:
        """Return the runs of a look on its re-splits, the `first`-th and those after it."""
        each, contenders = self.verdict.split_seeds, [entry.contender for entry in record.entries]
        seeds = [run_seeds(Stage.NEW_ROWS, each, (first + place) * each) for place in range(len(splits))]
        shown = f"new rows, look {number} of {looks}" if looks > 1 else "new rows"
        return self.parts.on_splits(f"new rows {number}" if first else "new rows", shown, contenders, splits, seeds)

    def _goes_on(self, record: VerdictRecord, deadline: float) -> bool:
        """Say whether there is to be another look, and whether the budget has time for some of it.

        Raises:
            OutOfTime: if it would begin after the deadline.
        """
        if not needs_more(self.plan, record):
            return False
        if time.monotonic() >= deadline:
            raise OutOfTime
        if self.budget is None:
            return True
        if self.budget.spares(self.spared):
            return True
        self.budget.end_re_splits(len(record.new_rows.split_seeds))
        return False


def needs_more(plan: Plan, record: VerdictRecord) -> bool:
    """Say whether more re-splits would tell more: the interval leaves the answer open, and not for want of rows."""
    found = on_new_rows(plan, record)
    if not isinstance(found, Judgement) or found.word is not Word.OPEN:
        return False
    return found.missing is None or found.missing.kind == "computing"


def _tested(entries: Sequence[Entry], runs: Sequence[Sequence[Runs]], tally: Tally) -> tuple[Entry, ...]:
    """Return the entries with their runs on re-splits, `[splits, entries]`, and what these did on each row."""
    on_rows, by_entry = tally.on_rows or [None] * len(entries), zip(*runs, strict=True)
    return tuple(
        entry.model_copy(update={"new_rows": own, "on_rows": each})
        for entry, own, each in zip(entries, by_entry, on_rows, strict=True)
    )


def mean_scores(scores: Sequence[Mapping[MetricName, float]]) -> dict[str, float]:
    """Return the mean of each score, without those that are not finite."""
    means: dict[str, float] = {
        name: float(np.mean([each[name] for each in scores])) for name in (scores[0] if scores else ())
    }
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}
