"""The Optuna objective: draw a candidate, train its replicates, record what they showed, return their mean.

The coordinator uses its parts round by round; `study.optimize(objective)` uses it whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import optuna

from sweep.candidate import Candidate
from sweep.execution.batches import Outcome, Trainer
from sweep.search.distributions import SearchSpace

Json: TypeAlias = float | int | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True)
class Objective:
    """Call it with an Optuna trial: it returns the mean final validation accuracy over the run seeds."""

    space: SearchSpace
    trainer: Trainer
    run_seeds: Sequence[int]

    def __call__(self, trial: optuna.Trial) -> float:
        """Train one candidate drawn by `trial` and record its runs as the trial's user attributes."""
        candidate = self.space.suggest(trial)
        ((_, outcome),) = self.trainer.train([candidate], self.run_seeds)
        for key, value in attributes(candidate, outcome).items():
            trial.set_user_attr(key, value)
        return outcome.value

    def enqueue(self, study: optuna.Study, candidates: Iterable[Candidate]) -> None:
        """Queue candidates, such as a study file's recipes, ahead of what the sampler proposes."""
        for candidate in candidates:
            study.enqueue_trial(self.space.params(candidate), skip_if_exists=True)


def attributes(candidate: Candidate, outcome: Outcome) -> dict[str, Json]:
    """Return what a finished trial keeps of its candidate and its runs, as JSON without NaN or infinity.

    The schedule is kept whole: its params tell what the search varied, not what was left to a default.
    """
    finite = outcome.log_loss[np.isfinite(outcome.log_loss)]
    return {
        "schedule": candidate.schedule.document,
        "correct": [int(count) for count in outcome.correct],
        "class_correct": [int(count) for count in outcome.class_correct.sum(axis=0)],
        "validation_rows": outcome.validation_rows,
        "log_loss": _number(float(finite.mean())) if len(finite) else None,
        "log_losses": [_number(float(loss)) for loss in outcome.log_loss],
        "run_seeds": list(outcome.run_seeds),
        "diverged": int(outcome.diverged.sum()),
        "training_seconds": round(outcome.seconds, 4),
        "curves": {
            "rate": [float(rate) for rate in outcome.rate],
            "loss": [_number(float(loss)) for loss in outcome.loss],
            "accuracy": [_number(float(share)) for share in outcome.accuracy],
            "validation_loss": [_number(float(loss)) for loss in outcome.validation_loss],
            "validation_accuracy": [_number(float(share)) for share in outcome.validation_accuracy],
        },
    }


def _number(value: float) -> float | None:
    """Keep seven digits, a float32's worth; a value that is not finite becomes None."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
