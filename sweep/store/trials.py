"""Trials: the record of a candidate and its runs, kept as a trial's user attributes, and stored by whole rounds.

What SQL ranks by are attributes of their own, and so are the curves, nine tenths of a record, which no table needs.
Trials come into the database finished, and a round in one transaction, so a coordinator that dies leaves nothing half
done; Optuna takes twenty times as long to add the same trials one by one (tests/bench/README.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import sqlalchemy as sa
from pydantic import Field, StrictFloat, StrictInt, ValidationError

from sweep.errors import StorageFailed
from sweep.model import Answer
from sweep.store.database import Database
from sweep.store.optuna_schema import (
    PARAMS,
    STUDIES,
    STUDY_USER,
    TRIAL_USER,
    TRIALS,
    VALUES,
    attribute_rows,
    insert_trials,
    param_rows,
)
from sweep.task import MetricName

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

RECORD, CURVES = "record", "curves"
RANKED_BY = ("log_loss", "diverged", "position")

Number: TypeAlias = StrictFloat | None


class Run(Answer):
    """One training: its seed, its right validation rows and its validation cross-entropy, and all its scores by metric.

    Numbers have no rows that are right and no cross-entropy; of a run that diverged a score is None.
    """

    run_seed: int
    correct: int | None
    log_loss: float | None
    scores: dict[MetricName, float | None] = Field(default={})


class TrialCurves(Answer):
    """Curves by epoch, mean over runs, `[epochs]`; None where they are not finite.

    What is called accuracy is, of numbers, the root mean squared error in the target's unit.
    """

    rate: tuple[Number, ...]
    loss: tuple[Number, ...]
    accuracy: tuple[Number, ...]
    validation_loss: tuple[Number, ...]
    validation_accuracy: tuple[Number, ...]


class TrialRecord(Answer):
    """A candidate and its runs; every part may be missing, as in a trial that others made."""

    format: Literal[1] = 1  # the version of the stored document
    schedule: dict[str, Any] | None = None  # whole, with its defaults, as `read_schedule` takes it
    correct: tuple[StrictInt, ...] = ()  # right validation rows by run; empty for numbers
    class_correct: tuple[StrictInt, ...] = ()  # and by class, added up over the runs
    validation_rows: StrictInt | None = None
    log_losses: tuple[Number, ...] = ()  # validation cross-entropy by run; None where a run diverged; as `correct`
    scores: dict[MetricName, tuple[Number, ...]] = Field(default={})  # by run, of every metric of the task
    run_seeds: tuple[StrictInt, ...] = ()
    training_seconds: Number = None  # the trial's share of the time that trainers spent
    curves: TrialCurves | None = None  # None also where they were not asked for
    log_loss: Number = None  # mean of the finite `log_losses`
    diverged: StrictInt | None = None  # how many runs ended in NaN or infinity
    position: StrictInt | None = None  # the candidate's place in the order of proposals; None outside a sweep

    @property
    def runs(self) -> tuple[Run, ...]:
        """Each run of the trial; empty if it does not tell both seeds and scores."""
        number = len(self.run_seeds)
        scores = {metric: by_run for metric, by_run in self.scores.items() if len(by_run) == number}
        if len(self.correct) != number and (self.correct or not scores):
            return ()
        nothing: tuple[None, ...] = (None,) * number
        losses = self.log_losses if len(self.log_losses) == number else nothing
        return tuple(
            Run(
                run_seed=seed,
                correct=correct,
                log_loss=loss,
                scores={metric: by_run[place] for metric, by_run in scores.items()},
            )
            for place, (seed, correct, loss) in enumerate(
                zip(self.run_seeds, self.correct or nothing, losses, strict=True)
            )
        )

    def by_seed(self, metric: MetricName) -> dict[int, float | None]:
        """Return each run's score by its seed, None where it diverged; empty if the trial does not tell.

        The accuracy of a trial is told as right rows.
        """
        if metric == "accuracy":
            return {run.run_seed: run.correct for run in self.runs if run.correct is not None}
        if metric == "log_loss" and len(self.log_losses) == len(self.run_seeds):
            return {run.run_seed: run.log_loss for run in self.runs}
        return {run.run_seed: run.scores[metric] for run in self.runs if metric in run.scores}

    def attributes(self) -> dict[str, Any]:
        """Return the user attributes that keep this record, as JSON without NaN or infinity."""
        document = self.model_dump(mode="json", exclude={CURVES, *RANKED_BY})
        curves = None if self.curves is None else self.curves.model_dump(mode="json")
        scalars = {name: getattr(self, name) for name in RANKED_BY if name != "position" or self.position is not None}
        return {RECORD: document, CURVES: curves} | scalars


# What a line of a table needs: all but the curves, under today's names and those of before there were records.
BRIEF = (RECORD, *(name for name in TrialRecord.model_fields if name not in (CURVES, "schedule")))


def read_record(attributes: Mapping[str, Any]) -> TrialRecord:
    """Read a trial's user attributes, whoever wrote them.

    Trials stored before there was one document hold its parts as attributes of their own. A part that is missing, or
    is something else under its name as in trials that others made, takes its default.
    """
    document = attributes.get(RECORD)
    parts = {**attributes, **(document if isinstance(document, dict) else {})}
    try:
        return TrialRecord.model_validate(parts)
    except ValidationError as error:
        wrong = {problem["loc"][0] for problem in error.errors(include_url=False, include_input=False)}
        return TrialRecord.model_validate({name: part for name, part in parts.items() if name not in wrong})


def store(database: Database, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    """Write finished trials in one transaction, numbered in their order.

    A value that is not finite raises `StorageFailed`: it would make the study unreadable.
    """
    for trial in trials:
        if trial.value is None or not math.isfinite(trial.value):
            position = trial.user_attrs.get("position")
            raise StorageFailed(f"trial at position {position} has the value {trial.value}.")
    if database.is_newer:
        for trial in trials:
            database.storage.create_new_trial(study_id, template_trial=trial)
    elif trials:
        with database.writing() as connection:
            # Optuna locks the study's row, too, before it counts.
            connection.execute(sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
            last = sa.select(sa.func.coalesce(sa.func.max(TRIALS.c.number), -1)).where(TRIALS.c.study_id == study_id)
            first = connection.execute(last).scalar_one() + 1
            insert_trials(connection, study_id, trials, range(first, first + len(trials)))


def write_runs(
    database: Database, study_id: int, trials: Mapping[int, FrozenTrial], told: tuple[str, Sequence[int]]
) -> None:
    """Write values and records in place of those of finished trials, by their ids, in one transaction.

    `told` is the study's user attribute that says so, its name and the numbers of all such trials.
    """
    with database.writing() as connection:
        for trial_id, trial in trials.items():
            written = (TRIAL_USER.c.trial_id == trial_id) & TRIAL_USER.c.key.in_([*trial.user_attrs])
            connection.execute(TRIAL_USER.delete().where(written))
            connection.execute(TRIAL_USER.insert(), attribute_rows({"trial_id": trial_id}, trial.user_attrs))
            connection.execute(VALUES.update().where(VALUES.c.trial_id == trial_id).values(value=trial.value))
        kept = (STUDY_USER.c.study_id == study_id) & (STUDY_USER.c.key == told[0])
        connection.execute(STUDY_USER.delete().where(kept))
        connection.execute(STUDY_USER.insert(), attribute_rows({"study_id": study_id}, {told[0]: list(told[1])}))


def write_params(
    database: Database, trial_id: int, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> None:
    """Write the params of a trial that runs in place of those that it has; `ValueError` for a newer schema."""
    if database.is_newer:
        raise ValueError("a newer schema is written through Optuna alone")
    with database.writing() as connection:
        connection.execute(PARAMS.delete().where(PARAMS.c.trial_id == trial_id))
        connection.execute(PARAMS.insert(), param_rows({"trial_id": trial_id}, params, distributions))


def put_back(database: Database, study_id: int) -> int:
    """Let the trials that a dead process left running wait again; return how many there were."""
    if database.is_newer:
        from sweep.store import optuna_copy  # noqa: PLC0415 - `sweep best` reads without Optuna

        return optuna_copy.put_back(database.storage, study_id)
    stale = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == "RUNNING")
    with database.writing() as connection:
        return int(connection.execute(TRIALS.update().where(stale).values(state="WAITING")).rowcount)
