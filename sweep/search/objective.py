"""From a candidate to a trial and back: the record of its runs, and the objective that `study.optimize` takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from sweep.candidate import Candidate
from sweep.config.study_file import Plan
from sweep.execution.batches import Outcome, Trainer
from sweep.schedules import read_schedule
from sweep.search.distributions import SearchSpace
from sweep.store.queries import Best
from sweep.store.trials import TrialCurves, TrialRecord


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
        for key, value in to_record(candidate, outcome).attributes().items():
            trial.set_user_attr(key, value)
        return outcome.value

    def enqueue(self, study: optuna.Study, candidates: Iterable[Candidate]) -> None:
        """Queue candidates, such as a study file's recipes, ahead of what the sampler proposes."""
        for candidate in candidates:
            study.enqueue_trial(self.space.params(candidate), skip_if_exists=True)


def to_record(candidate: Candidate, outcome: Outcome, position: int | None = None) -> TrialRecord:
    """Return what a finished trial keeps of its candidate and its runs.

    The schedule is kept whole: a trial's params hold what the search varied, not what was left to a default.
    """
    finite = outcome.log_loss[np.isfinite(outcome.log_loss)]
    return TrialRecord(
        schedule=candidate.schedule.document,
        correct=tuple(outcome.correct.tolist()),
        class_correct=tuple(outcome.class_correct.sum(axis=0).tolist()),
        validation_rows=outcome.validation_rows,
        log_losses=_numbers(outcome.log_loss),
        run_seeds=outcome.run_seeds,
        training_seconds=round(outcome.seconds, 4),
        curves=TrialCurves(
            rate=tuple(outcome.rate.tolist()),
            loss=_numbers(outcome.loss),
            accuracy=_numbers(outcome.accuracy),
            validation_loss=_numbers(outcome.validation_loss),
            validation_accuracy=_numbers(outcome.validation_accuracy),
        ),
        log_loss=_numbers([finite.mean()])[0] if len(finite) else None,
        diverged=int(outcome.diverged.sum()),
        position=position,
    )


def read_candidate(plan: Plan, trial: Best) -> Candidate:
    """Return a trial's candidate; its schedule as the trial keeps it, with the defaults that it was trained with."""
    candidate = SearchSpace(plan.search).candidate(trial.params)
    kept = trial.record.schedule
    if kept is None:  # a trial stored before schedules were kept whole, or somebody else's
        return candidate
    return candidate.model_copy(update={"schedule": read_schedule(kept)})


def _numbers(values: Iterable[float]) -> tuple[float | None, ...]:
    """Keep seven digits, a float32's worth; a value that is not finite becomes None."""
    return tuple(float(f"{value:.7g}") if math.isfinite(value) else None for value in values)
