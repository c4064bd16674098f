"""Findings as one JSON document, for whoever asks by a program."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from sweep.evidence.verdict import Verdict, Word
from sweep.review.dossier import Contender, Entry
from sweep.review.findings import Findings, Score


def document(found: Findings) -> dict[str, Any]:
    """Return a verdict and all that it rests on, but for the single runs."""
    split, new = found.dossier.split, found.dossier.new_rows
    return {
        "study": found.study,
        "current": found.current,
        "confirmations": found.dossier.confirmations,
        "on_these_rows": _verdict(found.these_rows),
        "on_new_rows": _unresolved(new.problem) if found.new_rows is None else _verdict(found.new_rows),
        "winner": _entry(found.ladder[-1].entry) | _score(found.winner, split.classes),
        "tuned_constant": _entry(found.ladder[-2].entry) | _score(found.constant, split.classes),
        "reruns": [_entry(entry) for entry in found.reruns],
        "quoted": None if found.quoted is None else asdict(found.quoted),
        "ladder": [
            {"adds": rung.label, **_entry(rung.entry), "change": None if rung.change is None else asdict(rung.change)}
            for rung in found.ladder
        ],
        "effect_of_tuning": asdict(found.tuning),
        "optimism": asdict(found.optimism) | {"total": found.optimism.total},
        "candidates": found.looked_at,
        "as_good": [_contender(contender) for contender in found.equals],
        "simplest": _contender(found.simplest),
        "majority": {"label": found.majority[0], "rows": found.majority[1]},
        "seeds_needed": found.seeds_needed,
        "mcnemar_limit": found.mcnemar_limit,
        "unstable": list(found.unstable),
        "at_an_end": list(found.edges),
        "split": {
            "train_rows": split.train_rows,
            "validation_rows": split.validation_rows,
            "class_rows": dict(zip(split.classes, split.class_rows, strict=True)),
            "warnings": list(split.warnings),
        },
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "word": str(verdict.word),
        "sentence": verdict.sentence,
        "rows": verdict.rows,
        "effect_rows": asdict(verdict.effect),
        "effect_points": asdict(verdict.points),
        "smallest_of_interest": verdict.smallest_of_interest,
        "runs": None if verdict.run_chances is None else asdict(verdict.run_chances),
        "mean": None if verdict.mean_chances is None else asdict(verdict.mean_chances),
    }


def _unresolved(problem: str | None) -> dict[str, Any]:
    return {"word": str(Word.NOT_RESOLVED), "problem": problem}


def _contender(contender: Contender) -> dict[str, Any]:
    return {
        "study": contender.study,
        "trial": contender.trial,
        "schedule": contender.schedule,
        "momentum": contender.momentum,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    counts = sorted(Counter(entry.confirmation.correct).items(), reverse=True)
    return _contender(entry.contender) | {
        "correct_mean": entry.confirmation.correct_mean,
        "correct_counts": {str(rows): runs for rows, runs in counts},
        "new_rows_mean": entry.new_rows_mean,
    }


def _score(score: Score, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "log_loss": score.log_loss,
        "diverged": score.diverged,
        "recall": dict(zip(classes, score.recalls, strict=True)),
        "balanced_accuracy": score.balanced_accuracy,
        "spread": asdict(score.dispersion),
    }
