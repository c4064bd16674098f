"""From a record to its verdict: computed from the stored runs alone, always the same; nothing is trained or read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sweep.config.study_file import Plan
from sweep.errors import NotYet
from sweep.space import Range, near_bound
from sweep.stats.comparison import compare, indistinguishable, judge_new_rows, judge_these_rows, pairs_needed
from sweep.stats.counts import balanced_accuracy, dispersion, mcnemar_limit, recalls
from sweep.stats.estimate import optimism
from sweep.stats.verdict import ONE_ROW, Judgement, Word
from sweep.store.queries import StoredStudy
from sweep.verdict.baselines import Role
from sweep.verdict.findings import find
from sweep.verdict.record import Contender, Entry, SplitFacts, VerdictRecord, read_record, scores
from sweep.verdict.result import (
    Confirmed,
    Finding,
    LadderStep,
    Majority,
    QuotedResult,
    Scored,
    Setting,
    SplitAnswer,
    Unresolved,
    Verdict,
)


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
    return _Analysis(plan, record, find(plan, record)).verdict(current=current)


def _setting(contender: Contender) -> Setting:
    return Setting.model_validate(contender, from_attributes=True)


def scored(entry: Entry, split: SplitFacts) -> Scored:
    """Sum up a candidate's confirmation runs on the study's own split."""
    runs = entry.confirmation
    totals = np.array(split.class_rows) * len(runs.correct)
    shares = recalls(runs.class_correct, totals).tolist()
    return Scored(
        **_confirmed(entry),
        log_loss=runs.log_loss,
        diverged=runs.diverged,
        recall={
            label: None if math.isnan(share) else share for label, share in zip(split.classes, shares, strict=True)
        },
        balanced_accuracy=balanced_accuracy(runs.class_correct, totals),
        spread=dispersion(runs.correct, sum(split.class_rows)),
    )


def _confirmed(entry: Entry) -> dict[str, Any]:
    """Return the fields of `Confirmed`."""
    return dict(_setting(entry.contender)) | {
        "correct_mean": entry.confirmation.correct_mean,
        "correct_counts": dict(sorted(Counter(entry.confirmation.correct).items(), reverse=True)),
        "new_rows_mean": entry.new_rows_mean,
    }


@dataclass(frozen=True)
class _Analysis:
    """Computes the parts of one verdict."""

    plan: Plan
    record: VerdictRecord
    finding: Finding | None

    @property
    def _void(self) -> Word | None:
        return None if self.finding is None else self.finding.word

    def verdict(self, *, current: bool) -> Verdict:
        record, split, winner = self.record, self.record.split, self.record.winner
        ours, theirs = winner.confirmation.correct, record.constant.confirmation.correct
        rerun, worthwhile = record.reruns[0].confirmation, record.basis.verdict.smallest_effect or ONE_ROW
        spread = float(np.std(np.subtract(ours, theirs, dtype=np.float64), ddof=1))
        equals, quoted, ladder = self._as_good(), self._quoted(), tuple(self._ladder())
        commonest = int(np.argmax(split.class_rows))
        to_beat = round(rerun.correct_mean) if quoted is None else quoted.correct
        found, chosen = winner.contender.search, winner.contender.selection
        assert found is not None  # a search found it
        assert chosen is not None  # and a race chose it
        return Verdict(
            study=self.plan.name,
            current=current,
            confirmations=record.confirmations,
            learned=self._void is not Word.NOTHING_LEARNED,
            finding=self.finding,
            on_these_rows=judge_these_rows(
                ours, theirs, split.validation_rows, smallest_of_interest=worthwhile, void=self._void
            ),
            on_new_rows=self._on_new_rows(),
            winner=scored(winner, split),
            tuned_constant=scored(record.constant, split),
            reruns=tuple(Confirmed(**_confirmed(entry)) for entry in record.reruns),
            quoted=quoted,
            ladder=ladder,
            falling=tuple(self._falling(ladder)),
            effect_of_tuning=compare(ours, rerun.correct).effect,
            optimism=optimism(found.correct, chosen.correct, ours),
            candidates=record.basis.trials,
            raced=len(record.race),
            as_good=tuple(map(_setting, equals)),
            simplest=_setting(min(equals, key=lambda each: each.simplicity)),
            majority=Majority(label=split.classes[commonest], rows=split.class_rows[commonest]),
            seeds_needed=pairs_needed(spread, worthwhile) if spread > 0 else None,
            to_beat=to_beat,
            whom_to_beat="the first re-run" if quoted is None else "the quoted one",
            mcnemar_limit=mcnemar_limit(to_beat, split.validation_rows),
            unstable=tuple(self._unstable()),
            at_an_end=tuple(self._near_bounds()),
            split=SplitAnswer(
                train_rows=split.train_rows,
                validation_rows=split.validation_rows,
                class_rows=dict(zip(split.classes, split.class_rows, strict=True)),
                warnings=split.warnings,
            ),
        )

    def _as_good(self) -> list[Contender]:
        """Return the finalists that stayed in the race to its end and cannot be told from the winner, itself first."""
        race = self.record.race
        runs = [0 if contender.selection is None else len(contender.selection.correct) for contender in race]
        stayed = [contender for contender, number in zip(race, runs, strict=True) if number == max(runs)]
        return [stayed[place] for place in indistinguishable(scores(stayed, self.record.metric))]

    def _on_new_rows(self) -> Judgement | Unresolved:
        new, rows = self.record.new_rows, self.record.split.validation_rows
        if not new.split_seeds:
            return Unresolved(word=Word.NOT_RESOLVED, problem=new.problem)
        both = self.record.winner, self.record.constant
        ours, theirs = ([runs.correct for runs in entry.new_rows] for entry in both)
        # The same share of other rows.
        worthwhile = (self.record.basis.verdict.smallest_effect or ONE_ROW) * new.test_rows / rows
        sizes = new.train_rows, new.test_rows
        return judge_new_rows(ours, theirs, *sizes, smallest_of_interest=worthwhile, void=self._void)

    def _quoted(self) -> QuotedResult | None:
        baseline = self.record.basis.baseline
        if baseline is None:
            return None
        correct = round(baseline.accuracy * self.record.split.validation_rows)
        winner, rerun = (
            float(np.mean(np.array(entry.confirmation.correct) > correct))
            for entry in (self.record.winner, self.record.reruns[0])
        )
        return QuotedResult(
            accuracy=baseline.accuracy, source=baseline.source, correct=correct, winner_above=winner, rerun_above=rerun
        )

    def _ladder(self) -> Iterator[LadderStep]:
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
                runs = entry.confirmation.correct
                change = None if before is None else compare(runs, before).effect
                yield LadderStep(**_confirmed(entry), adds=adds, change=change)
                before = runs

    @staticmethod
    def _falling(ladder: Sequence[LadderStep]) -> Iterator[str]:
        """Yield the steps to the tuned constant that are surely worse than the one before."""
        for before, step in pairwise(ladder[:-1]):
            if step.change is not None and step.change.interval.high < 0:
                yield (
                    f"`{step.adds}` ({step.label}) is {-step.change.mean:.2f} rows behind `{before.adds}`, surely: "
                    "its search chose it by luck, and wants more trials or run seeds"
                )

    def _unstable(self) -> Iterator[str]:
        """Yield whose confirmation runs spread far more than those of well-trained networks."""
        for entry in self.record.entries:
            spread = dispersion(entry.confirmation.correct, sum(self.record.split.class_rows))
            if spread.flagged:
                found = f"{entry.role} {entry.contender.label}: a spread of {spread.deviation:.2f} rows"
                yield f"{found} is far above the {spread.expected:.2f} of well-trained networks"

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
