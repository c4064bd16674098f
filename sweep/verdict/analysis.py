"""From a record to its verdict: computed from the stored runs alone, always the same; nothing is trained or read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from sweep.config.plan import Plan
from sweep.config.verdict_plan import MOST_OUTER_SPLITS
from sweep.errors import NotYet
from sweep.space import Range, near_bound
from sweep.stats.comparison import compare, indistinguishable, judge_these_rows, pairs_needed
from sweep.stats.counts import balanced_accuracy, dispersion, mcnemar_limit, recalls
from sweep.stats.estimate import FEWEST_DIFFERENCES, Numbers, Optimism, optimism
from sweep.stats.new_rows import effect_on_new_rows, judge_new_rows, missing
from sweep.stats.verdict import ONE_ROW, Judgement, OfSearching, Unit, Word, judge
from sweep.store.queries import StoredStudy
from sweep.task import METRICS, Metric, MetricName
from sweep.verdict.baselines import Role
from sweep.verdict.beside import look_beside, other_metric
from sweep.verdict.findings import find, unstable
from sweep.verdict.forgiveness import with_forgiveness
from sweep.verdict.recommendation import recommend
from sweep.verdict.record import (
    Contender,
    Entry,
    NestedRecord,
    Runs,
    SplitFacts,
    VerdictRecord,
    read_record,
    row_leads,
    scores,
)
from sweep.verdict.result import (
    Beside,
    Confirmed,
    Finding,
    LadderStep,
    NestedAnswer,
    QuotedResult,
    Scored,
    Setting,
    SplitAnswer,
    Unresolved,
    Verdict,
)
from sweep.verdict.rungs import linear_model, majority, uninformed


@dataclass(frozen=True)
class StudyResult:
    """A study's verdict with what it was computed from: the study file and the stored runs."""

    plan: Plan
    record: VerdictRecord
    verdict: Verdict


def read_result(stored: StoredStudy) -> StudyResult:
    """Read the runs that a study's verdict rests on, and compute it.

    Raises:
        NotFound: if there is no such study.
        NotYet: if it has no verdict yet.
    """
    with stored.reading() as found:
        plan = found.plan
    record = read_record(stored)
    if plan is None or record is None:
        raise NotYet(f"the study `{stored.name}` has no verdict yet; `sweep run` makes it.")
    return StudyResult(plan, record, compute_verdict(plan, record, current=record.is_current(stored.database, plan)))


def compute_verdict(plan: Plan, record: VerdictRecord, *, current: bool = True) -> Verdict:
    """Compute what a record says; `current` is whether nothing has changed under it since it was made."""
    verdict = with_forgiveness(record, _Analysis(plan, record, find(plan, record)).verdict(current=current))
    return verdict.model_copy(update={"recommendation": recommend(plan, record, verdict)})


def on_new_rows(plan: Plan, record: VerdictRecord) -> Judgement | Unresolved:
    """Judge the re-splits of a record, as its verdict does."""
    return _Analysis(plan, record, find(plan, record)).on_new_rows()


def _setting(contender: Contender) -> Setting:
    return Setting.model_validate(contender, from_attributes=True)


def scored(entry: Entry, split: SplitFacts, metric: MetricName = "accuracy") -> Scored:
    """Sum up a candidate's confirmation runs on the study's own split, by a metric in its unit."""
    runs, unit = entry.confirmation, Unit(METRICS[metric], split.validation_rows)
    values = runs.by_metric(metric, split.validation_rows) * unit.factor
    means = {
        each.name: each.mean(known)
        for each in METRICS.values()
        if (each.name != "loss" or unit.metric is each)
        and len(known := runs.by_metric(each.name, split.validation_rows))
    }
    told: dict[str, Any] = {
        "log_loss": runs.log_loss,
        "diverged": runs.diverged,
        "deviation": float(np.nanstd(values, ddof=1)) if np.isfinite(values).sum() > 1 else 0.0,
        "by_metric": means,
    }
    if not split.classes:
        turns = split.turns_of(runs.run_seeds)
        spread = dispersion(runs.correct, split.validation_rows, turns) if split.labels else None
        return Scored(**_confirmed(entry, unit), **told, recall={}, balanced_accuracy=None, spread=spread)
    totals = np.array(split.class_rows) * len(runs.correct)
    shares = recalls(runs.class_correct, totals).tolist()
    return Scored(
        **_confirmed(entry, unit),
        **told,
        recall={
            label: None if math.isnan(share) else share for label, share in zip(split.classes, shares, strict=True)
        },
        balanced_accuracy=balanced_accuracy(runs.class_correct, totals),
        spread=dispersion(runs.correct, sum(split.class_rows), split.turns_of(runs.run_seeds)),
    )


def _confirmed(entry: Entry, unit: Unit) -> dict[str, Any]:
    """Return the fields of `Confirmed`."""
    runs, new, metric = entry.confirmation, entry.new_rows, unit.metric
    if unit.counts_rows:
        found: dict[str, Any] = {"score": runs.correct_mean, "new_score": entry.new_rows_mean}
    else:
        on_splits = [metric.mean(each.by_metric(metric.name, unit.rows)) * unit.factor for each in new]
        values = runs.by_metric(metric.name, unit.rows)
        found = {
            "score": metric.mean(values) * unit.factor,
            "new_score": sum(on_splits) / len(on_splits) if on_splits else None,
            "scores": tuple(sorted((values[np.isfinite(values)] * unit.factor).tolist())),
        }
    return (
        dict(_setting(entry.contender))
        | {
            "correct_mean": runs.correct_mean if runs.correct else None,
            "correct_counts": dict(sorted(Counter(runs.correct).items(), reverse=True)),
            "new_rows_mean": entry.new_rows_mean,
        }
        | found
    )


@dataclass(frozen=True)
class _Analysis:
    """Computes the parts of one verdict."""

    plan: Plan
    record: VerdictRecord
    finding: Finding | None

    @property
    def _void(self) -> Word | None:
        return None if self.finding is None else self.finding.word

    @property
    def _metric(self) -> Metric:
        return METRICS[self.record.metric]

    @cached_property
    def _unit(self) -> Unit:
        return Unit(self._metric, self.record.split.validation_rows)

    @property
    def _stated(self) -> float | None:
        """The smallest effect worth having, if the study file states it; earlier versions wrote down one row if not."""
        stated, before = self.record.basis.verdict.smallest_effect, self.record.is_of_before
        return None if before and stated == ONE_ROW and self._metric.name in ("accuracy", "log_loss") else stated

    def _leads(self, unit: Unit, *runs: Runs) -> list[Numbers]:
        """Return scores in a unit, higher is better, `[runs]` each.

        A run that diverged, and so has no score, is as bad as a network that reads no input, or as the worst one here.
        """
        if unit.counts_rows:
            return [np.array(each.correct, np.float64) for each in runs]
        tables = [unit.sign * unit.factor * each.by_metric(unit.metric.name, unit.rows) for each in runs]
        known = self.record.split.score_of_guessing(unit.metric.name)
        finite = np.concatenate([table[np.isfinite(table)] for table in tables])
        worst = min([*finite.tolist(), *([] if known is None else [unit.sign * unit.factor * known])], default=0.0)
        return [np.where(np.isfinite(table), table, worst) for table in tables]

    def verdict(self, *, current: bool) -> Verdict:
        record, split, winner, unit = self.record, self.record.split, self.record.winner, self._unit
        rerun = record.reruns[0].confirmation
        ours, theirs, of_rerun = self._confirmed_leads
        unit = replace(unit, reference=unit.sign * float(theirs.mean()))
        worthwhile, by_rows = self._worthwhile, unit.counts_rows and split.turns == 1  # one model has one split
        spread = float(np.std(ours - theirs, ddof=1))
        equals, quoted, ladder = self._as_good(), self._quoted(), tuple(self._ladder(worthwhile))
        to_beat = quoted.correct if quoted else round(rerun.correct_mean) if by_rows else 0
        on_new_rows = self.on_new_rows()
        return Verdict(
            study=self.plan.name,
            current=current,
            confirmations=record.confirmations,
            metric=unit.metric.name,
            learned=self._void is not Word.NOTHING_LEARNED,
            finding=self.finding,
            on_these_rows=self._on_these_rows(unit, worthwhile),
            on_new_rows=on_new_rows,
            beside=self._beside(on_new_rows),
            resplits=record.new_rows.told,
            winner=scored(winner, split, unit.metric.name),
            tuned_constant=scored(record.constant, split, unit.metric.name),
            reruns=tuple(Confirmed(**_confirmed(entry, unit)) for entry in record.reruns),
            quoted=quoted,
            ladder=ladder,
            falling=tuple(self._falling(ladder)),
            effect_of_tuning=compare(ours, of_rerun, tie=self._tie(worthwhile)).effect,
            optimism=self._optimism(),
            candidates=record.basis.trials,
            raced=len(record.race),
            as_good=tuple(map(_setting, equals)),
            simplest=_setting(self._simplest(equals)),
            majority=majority(record),
            uninformed=uninformed(record),
            linear=linear_model(record),
            seeds_needed=pairs_needed(spread, worthwhile) if spread > 0 else None,
            to_beat=to_beat if by_rows else None,
            whom_to_beat=("the first re-run" if quoted is None else "the quoted one") if by_rows else None,
            mcnemar_limit=mcnemar_limit(to_beat, split.validation_rows) if by_rows else None,
            unstable=tuple(unstable(record)),
            at_an_end=tuple(self._near_bounds()),
            split=SplitAnswer(
                train_rows=split.train_rows,
                validation_rows=split.validation_rows,
                class_rows=dict(zip(split.classes, split.class_rows, strict=True)),
                warnings=split.warnings,
                turns=split.turns,
            ),
            within=record.within,
            of_before=record.is_of_before,
            nested=None if record.nested is None else self._of_searching(record.nested),
        )

    def _on_these_rows(self, unit: Unit, worthwhile: float) -> Judgement:
        ours, theirs, _ = self._confirmed_leads
        found = judge_these_rows(ours, theirs, unit.rows, smallest_of_interest=worthwhile, unit=unit, void=self._void)
        if self.record.split.turns == 1:
            return found
        told = found.sentence.replace("On these rows:", "On the splits of the search:", 1)
        return found.model_copy(update={"sentence": told})

    @cached_property
    def _confirmed_leads(self) -> list[Numbers]:
        """The confirmation runs of the winner, the tuned constant and the first re-run."""
        entries = (self.record.winner, self.record.constant, self.record.reruns[0])
        return self._leads(self._unit, *(entry.confirmation for entry in entries))

    @cached_property
    def _worthwhile(self) -> float:
        return self._unit.smallest_of_interest(self._stated, float(self._confirmed_leads[1].mean()))

    def _tie(self, worthwhile: float) -> float:
        return ONE_ROW if self._unit.counts_rows else worthwhile

    def _optimism(self) -> Optimism:
        """Return the winner's mean scores in the unit, and by how much the search flattered it."""
        unit, winner = self._unit, self.record.winner
        found, chosen = winner.contender.search, winner.contender.selection
        assert found is not None  # a search found it
        assert chosen is not None  # and a race chose it
        stages = optimism(*self._leads(unit, found, chosen, winner.confirmation))
        means = {name: unit.sign * getattr(stages, name) for name in ("search", "selection", "confirmation")}
        return replace(stages, **means, **(self.record.selection.told_in(unit) if self.record.selection else {}))

    def _as_good(self) -> list[Contender]:
        """Return the finalists that stayed in the race to its end and cannot be told from the winner, itself first."""
        race = self.record.race
        runs = [0 if contender.selection is None else len(contender.selection.run_seeds) for contender in race]
        stayed = [contender for contender, number in zip(race, runs, strict=True) if number == max(runs)]
        return [stayed[place] for place in indistinguishable(scores(stayed, self.record.metric))]

    def _simplest(self, equals: Sequence[Contender]) -> Contender:
        """Return the one with the fewest parameters, and of those the best in the race."""

        def key(contender: Contender) -> tuple[int, float]:
            assert contender.selection is not None  # it raced
            (leads,) = self._leads(self._unit, contender.selection)
            return contender.complexity, -float(leads.mean())

        return min(equals, key=key)

    def on_new_rows(self) -> Judgement | Unresolved:
        new = self.record.new_rows
        if not new.split_seeds:
            return Unresolved(problem=new.problem)
        unit, both = Unit(self._metric, new.test_rows), (self.record.winner, self.record.constant)
        ours, theirs = self._new_leads(unit, *both)
        unit, worthwhile = self._on_other_rows(unit, theirs)
        return judge_new_rows(
            ours - theirs,
            new.train_rows,
            unit,
            row_leads=row_leads(self.record, *both, self._metric.name),
            looks=self._looks,
            smallest_of_interest=worthwhile,
            void=self._void,
        )

    def _on_other_rows(self, unit: Unit, constant: Numbers) -> tuple[Unit, float]:
        """Return a unit of other rows, with the constant rate's scores there, and what is worth having in it."""
        mean = float(constant.mean())
        worthwhile = self._worthwhile * unit.rows / self.record.split.validation_rows  # the same share of them
        if not unit.counts_rows:
            worthwhile = unit.smallest_of_interest(self._stated, mean)
        return replace(unit, reference=unit.sign * mean), worthwhile

    @property
    def _looks(self) -> int:
        """How many looks at the re-splits were planned."""
        return max(1, len(self.record.new_rows.looks))

    def _new_leads(self, unit: Unit, *entries: Entry) -> list[Numbers]:
        """Return the scores of each entry on the re-splits in a unit, higher is better, `[splits, runs]` each."""
        found = self._leads(unit, *(runs for entry in entries for runs in entry.new_rows))
        splits = len(self.record.new_rows.split_seeds)
        return [np.array(found[first : first + splits]) for first in range(0, len(found), splits)]

    def _beside(self, judged: Judgement | Unresolved) -> Beside | None:
        """Return what another metric says on new rows; None if there is none, or nothing to compare."""
        record, new, split = self.record, self.record.new_rows, self.record.split
        other, entries = other_metric(self._metric), (record.winner, record.constant, record.reruns[0])
        if isinstance(judged, Unresolved) or judged.word.is_void or not (split.classes or split.labels):
            return None
        if not all(len(runs.by_metric(other.name, 1)) for entry in entries for runs in entry.new_rows):
            return None
        unit = Unit(other, new.test_rows)
        ours, *others = self._new_leads(unit, *entries)
        effects = [
            effect_on_new_rows(
                ours - theirs,
                new.train_rows,
                new.test_rows,
                row_leads=row_leads(record, record.winner, entry, other.name),
                whole=None if unit.counts_rows else unit.factor,
                looks=self._looks,
            )
            for entry, theirs in zip(entries[1:], others, strict=True)
        ]
        return look_beside(judged, unit, [float(table.mean()) for table in (ours, *others)], effects)

    def _of_searching(self, nested: NestedRecord) -> NestedAnswer:
        """Return what the search repeated on outer splits says."""
        given: dict[str, Any] = {"splits": len(nested.splits), "trials": nested.trials, "replicates": nested.replicates}
        if len(nested.splits) < 2:
            problem = (nested.problem or "there is one outer split alone").rstrip(".")
            return NestedAnswer(answer=Unresolved(problem=problem), problem=problem, **given)
        unit = Unit(self._metric, nested.test_rows)
        every = self._leads(unit, *(runs for each in nested.splits for runs in each.runs))
        ours, theirs = np.array(every[::2]), np.array(every[1::2])
        leads, (unit, worthwhile) = ours - theirs, self._on_other_rows(unit, theirs)
        effect = effect_on_new_rows(leads, nested.train_rows, nested.test_rows)
        judged = judge(OfSearching.AGAIN, effect, unit, worthwhile, void=self._void)
        lacking = missing(effect, worthwhile, nested.train_rows + nested.test_rows)
        able = lacking is not None and (lacking.kind == "rows" or lacking.number <= MOST_OUTER_SPLITS)
        if able and effect.samples >= FEWEST_DIFFERENCES:
            judged = judged.lacking(lacking, OfSearching.AGAIN)
        signs = np.sign(leads.mean(axis=1)).tolist()
        return NestedAnswer(
            answer=judged,
            runs=leads.shape[1],
            chosen=dict(Counter(each.winners[0].name for each in nested.splits).most_common()),
            ahead=signs.count(1),
            level=signs.count(0),
            behind=signs.count(-1),
            problem=nested.problem,
            **given,
        )

    def _quoted(self) -> QuotedResult | None:
        baseline = self.record.basis.baseline
        if baseline is None or not self._unit.counts_rows:
            return None
        correct = round(baseline.accuracy * self.record.split.validation_rows)
        winner, rerun = (
            float(np.mean(np.array(entry.confirmation.correct) > correct))
            for entry in (self.record.winner, self.record.reruns[0])
        )
        return QuotedResult(
            accuracy=baseline.accuracy, source=baseline.source, correct=correct, winner_above=winner, rerun_above=rerun
        )

    def _ladder(self, worthwhile: float) -> Iterator[LadderStep]:
        record, rate, before = self.record, self.record.entry(Role.RATE), None
        if rate is not None and rate.contender.setting == record.constant.contender.setting:
            rate = None  # the best constant rate known
        for adds, entry in (
            ("quoted setting, run again" if record.reruns_are_quoted else "defaults in Keras", record.reruns[0]),
            ("rate tuned", rate),
            ("rate tuned" if rate is None else "and momentum", record.constant),
            ("and no schedule" if record.winner.contender.name == "constant" else "and schedule", record.winner),
        ):
            if entry is not None:
                runs, change = entry.confirmation, None
                if before is not None:
                    change = compare(*self._leads(self._unit, runs, before), tie=self._tie(worthwhile)).effect
                yield LadderStep(**_confirmed(entry, self._unit), adds=adds, change=change)
                before = runs

    def _falling(self, ladder: Sequence[LadderStep]) -> Iterator[str]:
        """Yield the steps to the tuned constant that are surely worse than the one before."""
        for before, step in pairwise(ladder[:-1]):
            if step.change is not None and step.change.interval.high < 0:
                behind = f"{self._unit.told(-step.change.mean)} {self._unit.noun or 'worse'}"
                yield (
                    f"`{step.adds}` ({step.label}) is {behind} {'behind' if self._unit.noun else 'than'} "
                    f"`{before.adds}`, surely: its search chose it by luck, and wants more trials or run seeds"
                )

    def _near_bounds(self) -> Iterator[str]:
        """Yield what of winner and tuned baselines lies in the outer fiftieth of its range; 0 has nothing below it."""
        for role in (Role.WINNER, Role.CONSTANT, Role.RATE):
            entry, spaces = self.record.entry(role), {"learning_rate": self.plan.search.learning_rate}
            if role is not Role.RATE:
                spaces["momentum"] = self.plan.search.momentum
            for name, space in spaces.items():
                value = None if entry is None else entry.contender.params.get(name)
                if not isinstance(space, Range) or not isinstance(value, float | int):
                    continue
                if value > 0 and near_bound(space, value):
                    yield f"the {role}'s {name} of {value:.3g} lies at an end of its range"
