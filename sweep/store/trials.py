"""A trial's record: what it was and what its runs showed, as the user attributes of an Optuna trial.

Only here are they written and read. What SQL ranks by are attributes of their own, and so are the curves, which are
nine tenths of a record and which no table needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import StrictFloat, StrictInt, ValidationError

from sweep.model import Answer

RECORD, CURVES = "record", "curves"
RANKED_BY = ("log_loss", "diverged", "position")

Number: TypeAlias = StrictFloat | None


class Run(Answer):
    """One training: its seed, its right validation rows and its validation cross-entropy."""

    run_seed: int
    correct: int
    log_loss: float | None


class TrialCurves(Answer):
    """Curves by epoch, mean over runs, `[epochs]`; None where they are not finite."""

    rate: tuple[Number, ...]
    loss: tuple[Number, ...]
    accuracy: tuple[Number, ...]
    validation_loss: tuple[Number, ...]
    validation_accuracy: tuple[Number, ...]


class TrialRecord(Answer):
    """A candidate and its runs; every part may be missing, as in a trial that others made.

    Attributes:
        format: the version of the stored document.
        schedule: the whole schedule with its defaults, as `read_schedule` takes it.
        correct: right validation rows by run.
        class_correct: right validation rows by class, added up over the runs.
        validation_rows: how many there are.
        log_losses: validation cross-entropy by run; None where a run diverged.
        run_seeds: the seed of each run.
        training_seconds: the trial's share of the time that trainers spent.
        curves: by epoch; None also where they were not asked for.
        log_loss: mean of the finite `log_losses`.
        diverged: how many runs ended in NaN or infinity.
        position: the candidate's place in the order of proposals; None outside a sweep.
    """

    format: Literal[1] = 1
    schedule: dict[str, Any] | None = None
    correct: tuple[StrictInt, ...] = ()
    class_correct: tuple[StrictInt, ...] = ()
    validation_rows: StrictInt | None = None
    log_losses: tuple[Number, ...] = ()
    run_seeds: tuple[StrictInt, ...] = ()
    training_seconds: Number = None
    curves: TrialCurves | None = None
    log_loss: Number = None
    diverged: StrictInt | None = None
    position: StrictInt | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Each run of the trial; empty if it does not tell both seeds and right rows."""
        if len(self.run_seeds) != len(self.correct):
            return ()
        losses = self.log_losses if len(self.log_losses) == len(self.correct) else (None,) * len(self.correct)
        return tuple(
            Run(run_seed=seed, correct=correct, log_loss=loss)
            for seed, correct, loss in zip(self.run_seeds, self.correct, losses, strict=True)
        )

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
    told = {**attributes, **(document if isinstance(document, dict) else {})}
    try:
        return TrialRecord.model_validate(told)
    except ValidationError as error:
        wrong = {problem["loc"][0] for problem in error.errors(include_url=False, include_input=False)}
        return TrialRecord.model_validate({name: part for name, part in told.items() if name not in wrong})
