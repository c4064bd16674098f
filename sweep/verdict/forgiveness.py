"""How much a wrong learning rate costs: the best candidate of each schedule at other rates, on re-splits of the rows.

A schedule that is no better than another may forgive a rate that was not tuned, on other data or in another network.
So the best candidate of each schedule is trained again with its learning rate times each of `FACTORS`, and all else of
it as it is: floors, ends and peaks of a schedule are shares of its learning rate, and a schedule within a join that
states a rate of its own has that times the factor, too. All of them share re-splits and run seeds, which no other stage
has, so that they are compared pair by pair. The tuned constant rate stands for constant rates, and who has raced comes
before who has not; where a run has not the trainings for all schedules, the best ones are tried.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.table import Split
from sweep.engines.spec import cut
from sweep.errors import BadInput
from sweep.execution.batches import Outcome, Trainer
from sweep.model import Record
from sweep.schedules import Schedule, Timeline, build
from sweep.seeds import Stage, run_seeds
from sweep.stats.rates import Forgiveness, Tried, forgiving
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents, write_documents
from sweep.task import METRICS, MetricName
from sweep.verdict.finalists import contender_of
from sweep.verdict.parts import PART
from sweep.verdict.record import Contender, ForgivenessRecord, ForgivingFamily, Score, VerdictRecord
from sweep.verdict.result import Verdict
from sweep.verdict.timing import FACTORS, FEWEST_RATE_SPLITS

RATES_PART = f"{PART}rates "


class RatesPart(Record):
    """A finished re-split, kept like a `Part`."""

    asked: str
    scores: tuple[tuple[Score, ...], ...]  # `[families, factors]`


def at_factor(schedule: Schedule, factor: float) -> Schedule:
    """Return a schedule at its learning rate times a factor, and so all rates of it that it does not call shares.

    >>> from sweep.schedules import read_schedule
    >>> at_factor(read_schedule({"name": "linear", "learning_rate": 0.1, "final_ratio": 0.2}), 3).by_epoch(2)
    [0.3, 0.18]

    Raises:
        BadInput: if there is no such rate.
    """
    values = {name: getattr(schedule, name) for name in type(schedule).model_fields}
    scaled = {name: at_factor(value, factor) for name, value in values.items() if isinstance(value, Schedule)}
    return build(type(schedule), values | scaled | {"learning_rate": schedule.learning_rate * factor})


def follows(schedule: Schedule, timeline: Timeline) -> bool:
    """Say whether all rates are multiples of the learning rate; those of a user's own function need not be."""
    try:
        others = [at_factor(schedule, factor) for factor in FACTORS]
        if not schedule.foreign_functions:
            return True
        rates = schedule.base_rates(timeline)
        return all(
            np.allclose(other.base_rates(timeline), rates * factor, rtol=1e-6, atol=0.0)
            for other, factor in zip(others, FACTORS, strict=True)
        )
    except BadInput:
        return False


def families(
    database: Database, plan: Plan, record: VerdictRecord, most: int, timeline: Timeline
) -> dict[str, Contender]:
    """Return the best candidate of each schedule by its name: the tuned constant rate, and the best others."""
    with StoredStudy(database, plan.name).reading() as study:
        tried = [each.best for each in study.best_of_each_schedule()]
    others = [contender_of(plan, trial) for trial in tried if trial.schedule and trial.record.by_seed(plan.metric)]
    found: dict[str, Contender] = {}
    for contender in (record.constant.contender, *record.race, *others):
        if len(found) < most and contender.name not in found and follows(contender.candidate.schedule, timeline):
            found[contender.name] = contender.model_copy(update={"search": None, "selection": None})
    return found


@dataclass(frozen=True)
class OtherRates:
    """Trains candidates at other rates, and keeps what each re-split has told."""

    database: Database
    study_id: int
    trainer: Trainer
    metric: MetricName
    seeds: int

    def run(self, families: Mapping[str, Contender], splits: Mapping[int, Split]) -> ForgivenessRecord:
        """Return the scores on the re-splits, by their seeds; fewer if the trainer has no time for all of them."""
        candidates = [_at(each.candidate, factor) for each in families.values() for factor in FACTORS]
        own = [run_seeds(Stage.FORGIVENESS, self.seeds, place * self.seeds) for place in range(len(splits))]
        settings = [each.setting for each in families.values()]
        asked = [json.dumps([settings, FACTORS, list(each), self.metric]) for each in own]
        with self.database.reading() as connection:
            parts = read_documents(connection, self.study_id, RATES_PART)
        found: dict[int, RatesPart] = {}
        for place, seed in enumerate(splits):
            kept = parts.get(f"{RATES_PART}{seed}")
            part = None if kept is None else RatesPart.model_validate_json(kept)
            if part is not None and part.asked == asked[place]:
                found[seed] = part
        left = [(place, seed) for place, seed in enumerate(splits) if seed not in found]
        rest = [splits[seed] for _, seed in left], candidates, [own[place] for place, _ in left]
        for number, outcomes in self.trainer.train_on(*rest):
            place, seed = left[number]
            scores = [self._score(each) for each in outcomes]
            found[seed] = part = RatesPart(asked=asked[place], scores=tuple(map(tuple, cut(scores, len(FACTORS)))))
            write_documents(self.database, self.study_id, {f"{RATES_PART}{seed}": part.model_dump_json()})
        if len(found) < FEWEST_RATE_SPLITS:
            return ForgivenessRecord(problem="the time budget was over before two re-splits of it")
        one, seeds = next(iter(splits.values())), tuple(seed for seed in splits if seed in found)
        by_family = zip(*(found[seed].scores for seed in seeds), strict=True)
        return ForgivenessRecord(
            split_seeds=seeds,
            train_rows=one.train_rows,
            test_rows=one.validation_rows,
            runs=self.seeds,
            families=tuple(
                ForgivingFamily(name=name, contender=each, factors=FACTORS, scores=tuple(zip(*scores, strict=True)))
                for (name, each), scores in zip(families.items(), by_family, strict=True)
            ),
        )

    def _score(self, outcome: Outcome) -> float:
        """Return the mean score over the runs; NaN if one diverged and there is no worst score."""
        metric = METRICS[self.metric]
        if metric.worst is not None:
            return outcome.value(self.metric)
        mean = float(np.mean(outcome.by_metric(self.metric)))
        return mean if math.isfinite(mean) else math.nan


def _at(candidate: Candidate, factor: float) -> Candidate:
    return candidate.model_copy(update={"schedule": at_factor(candidate.schedule, factor)})


def with_forgiveness(record: VerdictRecord, verdict: Verdict) -> Verdict:
    """Return the verdict with what its record says of other rates; one of before says nothing."""
    kept, metric = record.forgiveness, METRICS[record.metric]
    if kept is None:
        return verdict
    tried = {
        each.name: Tried(
            each.name,
            each.contender.label,
            float(each.contender.schedule["learning_rate"]),
            each.factors,
            np.array(each.scores, np.float64),
        )
        for each in kept.families
    }
    found = [forgiving(each, tried.get("constant"), metric) for each in tried.values()]
    answer = Forgiveness(
        metric=record.metric,
        splits=len(kept.split_seeds),
        runs=kept.runs,
        families=tuple(each for each in found if each is not None),
        problem=kept.problem,
    )
    return verdict.model_copy(update={"forgiveness": answer})
