"""Findings summed up as the answer that leaves this layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from sweep.stats.verdict import Verdict, Word
from sweep.store.queries import StoredStudy
from sweep.verdict import analysis
from sweep.verdict.analysis import Findings, Score, label_of, read_findings
from sweep.verdict.record import Contender, Entry
from sweep.verdict.result import (
    Confirmed,
    Judged,
    LadderStep,
    Luck,
    Majority,
    QuotedResult,
    Scored,
    Setting,
    SplitAnswer,
    Spread,
    Unresolved,
    VerdictAnswer,
)


def read_verdict(stored: StoredStudy) -> VerdictAnswer:
    """Read the verdict of a study.

    Raises:
        NotFound: if there is no such study.
        NotYet: if it has no verdict yet.
    """
    return summarize(read_findings(stored))


def summarize(found: Findings) -> VerdictAnswer:
    """Return a verdict and all that it rests on, but for the single runs."""
    split, (label, rows), stages = found.record.split, found.majority, found.optimism
    return VerdictAnswer(
        study=found.study,
        current=found.current,
        confirmations=found.record.confirmations,
        on_these_rows=_judged(found.these_rows),
        on_new_rows=_on_new_rows(found),
        winner=_scored(found.ladder[-1].entry, found.winner, split.classes),
        tuned_constant=_scored(found.ladder[-2].entry, found.constant, split.classes),
        reruns=tuple(Confirmed(**_confirmed(entry)) for entry in found.reruns),
        quoted=None if found.quoted is None else QuotedResult(**asdict(found.quoted)),
        ladder=tuple(map(_step, found.ladder)),
        effect_of_tuning=found.tuning,
        optimism=Luck(**asdict(stages), total=stages.total),
        candidates=found.looked_at,
        raced=len(found.record.race),
        as_good=tuple(Setting(**_setting(contender)) for contender in found.equals),
        simplest=Setting(**_setting(found.simplest)),
        majority=Majority(label=label, rows=rows),
        seeds_needed=found.seeds_needed,
        to_beat=found.to_beat,
        whom_to_beat=found.whom_to_beat,
        mcnemar_limit=found.mcnemar_limit,
        unstable=found.unstable,
        at_an_end=found.edges,
        split=SplitAnswer(
            train_rows=split.train_rows,
            validation_rows=split.validation_rows,
            class_rows=dict(zip(split.classes, split.class_rows, strict=True)),
            warnings=split.warnings,
        ),
    )


def _on_new_rows(found: Findings) -> Judged | Unresolved:
    if found.new_rows is None:
        return Unresolved(word=Word.NOT_RESOLVED.value, problem=found.record.new_rows.problem)
    return _judged(found.new_rows)


def _judged(verdict: Verdict) -> Judged:
    return Judged(
        word=verdict.word.value,
        sentence=verdict.sentence,
        rows=verdict.rows,
        effect_rows=verdict.effect,
        effect_points=verdict.points,
        smallest_of_interest=verdict.smallest_of_interest,
        runs=verdict.run_chances,
        mean=verdict.mean_chances,
    )


def _setting(contender: Contender) -> dict[str, Any]:
    return {
        "study": contender.study,
        "trial": contender.trial,
        "schedule": contender.schedule,
        "momentum": contender.momentum,
        "label": label_of(contender),
    }


def _confirmed(entry: Entry) -> dict[str, Any]:
    return _setting(entry.contender) | {
        "correct_mean": entry.confirmation.correct_mean,
        "correct_counts": dict(sorted(Counter(entry.confirmation.correct).items(), reverse=True)),
        "new_rows_mean": entry.new_rows_mean,
    }


def _step(rung: analysis.LadderStep) -> LadderStep:
    return LadderStep(**_confirmed(rung.entry), adds=rung.label, change=rung.change)


def _scored(entry: Entry, score: Score, classes: tuple[str, ...]) -> Scored:
    return Scored(
        **_confirmed(entry),
        log_loss=score.log_loss,
        diverged=score.diverged,
        recall=dict(zip(classes, score.recalls, strict=True)),
        balanced_accuracy=score.balanced_accuracy,
        spread=Spread(**asdict(score.dispersion)),
    )
