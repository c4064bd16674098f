"""What a verdict is computed from: every run of the race, the confirmation and the re-splits, as the study keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from sweep.candidate import Candidate, describe
from sweep.config.study_file import BaselinePlan, Metric, VerdictPlan
from sweep.schedules import read_schedule
from sweep.seeds import STRIDE
from sweep.space import Value

if TYPE_CHECKING:
    from sweep.execution.batches import Outcome


class Role(StrEnum):
    """What a candidate is in a verdict."""

    WINNER = "winner"
    CONSTANT = "tuned constant"
    RATE = "tuned rate"
    RERUN = "re-run"


class Record(BaseModel):
    """A part of the record: frozen, and without keys that nothing reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _finite(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in values)


class Runs(Record):
    """One candidate's trainings in one stage.

    Attributes:
        run_seeds: the seed of each run.
        correct: validation rows classified right by each run.
        log_losses: validation cross-entropy of each run; None where it is not finite.
        diverged: how many runs ended in NaN or infinity.
        class_correct: right rows of each class, added up over the runs; empty where that was not kept.
    """

    run_seeds: tuple[int, ...]
    correct: tuple[int, ...]
    log_losses: tuple[float | None, ...]
    diverged: int
    class_correct: tuple[int, ...] = ()

    @classmethod
    def of(cls, outcome: Outcome) -> Runs:
        """Return what the record keeps of a candidate's runs."""
        return cls(
            run_seeds=outcome.run_seeds,
            correct=tuple(outcome.correct.tolist()),
            log_losses=_finite(outcome.log_loss),
            diverged=int(outcome.diverged.sum()),
            class_correct=tuple(outcome.class_correct.sum(axis=0).tolist()),
        )

    def joined(self, more: Runs) -> Runs:
        """Return these runs and more of the same candidate."""
        by_class = zip(self.class_correct, more.class_correct, strict=True)
        return Runs(
            run_seeds=self.run_seeds + more.run_seeds,
            correct=self.correct + more.correct,
            log_losses=self.log_losses + more.log_losses,
            diverged=self.diverged + more.diverged,
            class_correct=tuple(one + other for one, other in by_class),
        )

    @property
    def correct_mean(self) -> float:
        """Right rows, mean over the runs."""
        return sum(self.correct) / len(self.correct)

    @property
    def log_loss(self) -> float | None:
        """Validation cross-entropy, mean over the runs where it is finite; None if it is nowhere."""
        finite = [loss for loss in self.log_losses if loss is not None]
        return sum(finite) / len(finite) if finite else None


class MeanCurves(Record):
    """One candidate's curves over the confirmation, `[epochs]`.

    Attributes:
        rate: learning rate at the start of each epoch, mean over runs.
        accuracy: validation accuracy, mean over runs.
        low: its 10th percentile over runs.
        high: its 90th percentile.
        loss: validation cross-entropy, mean over the runs that did not diverge; None where it is not finite.
    """

    rate: tuple[float, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    loss: tuple[float | None, ...]

    @classmethod
    def of(cls, outcome: Outcome) -> MeanCurves:
        """Return what the record keeps of a candidate's curves."""
        low, high = outcome.spread
        return cls(
            rate=tuple(outcome.rate.tolist()),
            accuracy=tuple(outcome.validation_accuracy.tolist()),
            low=tuple(low.tolist()),
            high=tuple(high.tolist()),
            loss=_finite(outcome.validation_loss),
        )


class Contender(Record):
    """A candidate, where it was found, and its runs there and in the race.

    Attributes:
        study: the study whose search found it; None for a setting that the study file gives.
        trial: its trial's number there.
        params: as an Optuna trial holds them, flat.
        schedule: the whole schedule as a document, its defaults included.
        momentum: of the optimizer, the highest if the schedule moves it.
        nesterov: whether the optimizer looks ahead.
        search: the runs that found it.
        selection: the runs of the race, as many as it stayed for.
    """

    study: str | None = None
    trial: int | None = None
    params: dict[str, Value]
    schedule: dict[str, Any]
    momentum: float
    nesterov: bool = False
    search: Runs | None = None
    selection: Runs | None = None

    @classmethod
    def of(cls, candidate: Candidate, **found: Any) -> Contender:
        """Return a candidate as a contender; `found` are the fields that tell where a search found it."""
        setting = {"params": candidate.params, "schedule": candidate.schedule.document}
        return cls(**setting | found, momentum=candidate.momentum, nesterov=candidate.nesterov)

    @property
    def candidate(self) -> Candidate:
        """The candidate to train."""
        return Candidate(schedule=read_schedule(self.schedule), momentum=self.momentum, nesterov=self.nesterov)

    @property
    def name(self) -> str:
        """The schedule's name."""
        return str(self.schedule["name"])

    @property
    def label(self) -> str:
        """Schedule, parameters and momentum in one line."""
        return describe(self.params)

    @property
    def complexity(self) -> int:
        """How many numbers the schedule needs besides its rate, and one for being none that stays constant."""
        own = [key for key in self.params if key.startswith(f"{self.name}.")]
        return 0 if self.name == "constant" else 1 + len(own)


class Entry(Record):
    """A contender that was confirmed, in its role, with the runs that nothing was chosen by.

    Attributes:
        confirmation: runs on fresh seeds, on the study's own split.
        curves: of these runs.
        new_rows: runs on each re-split, in the order of `NewRows.split_seeds`; empty if none could be drawn.
    """

    role: Role
    contender: Contender
    confirmation: Runs
    curves: MeanCurves
    new_rows: tuple[Runs, ...] = ()

    @property
    def new_rows_mean(self) -> float | None:
        """Right test rows, mean over re-splits and runs; None without re-splits."""
        means = [runs.correct_mean for runs in self.new_rows]
        return sum(means) / len(means) if means else None


class SplitFacts(Record):
    """The study's own split.

    Attributes:
        classes: the label of each class.
        class_rows: validation rows of each class.
        warnings: what makes the split doubtful, one sentence each.
    """

    classes: tuple[str, ...]
    class_rows: tuple[int, ...]
    train_rows: int
    validation_rows: int
    warnings: tuple[str, ...]


class NewRows(Record):
    """The re-splits; `problem` says why there are none."""

    split_seeds: tuple[int, ...] = ()
    train_rows: int = 0
    test_rows: int = 0
    problem: str | None = None


class Basis(Record):
    """What a verdict depends on; if any of it changes, the verdict is out of date.

    Attributes:
        trials: finished trials by study: the search, and the searches for the tuned baselines.
    """

    trials: dict[str, int]
    verdict: VerdictPlan
    baseline: BaselinePlan | None


class VerdictRecord(Record):
    """All of it.

    Attributes:
        basis: what it was made from.
        confirmations: how many there have been of this study, this one included; each has seeds of its own.
        split: the study's own split.
        new_rows: the re-splits.
        race: the finalists of the main search, the winner among them, best first.
        entries: the confirmed: winner, tuned constant, tuned rate if there is one, re-runs.
        metric: what ranked candidates: `accuracy` or `log_loss`.
        seconds: time spent on it, searches for the baselines included.
    """

    basis: Basis
    confirmations: int
    split: SplitFacts
    new_rows: NewRows
    race: tuple[Contender, ...]
    entries: tuple[Entry, ...]
    metric: Metric
    seconds: float

    def entry(self, role: Role) -> Entry | None:
        """Return the first entry of a role."""
        return next((entry for entry in self.entries if entry.role is role), None)

    @property
    def winner(self) -> Entry:
        """The winner of the race."""
        return self._required(Role.WINNER)

    @property
    def constant(self) -> Entry:
        """The tuned constant rate."""
        return self._required(Role.CONSTANT)

    @property
    def reruns(self) -> tuple[Entry, ...]:
        """The quoted settings run again, or the optimizer's defaults in Keras; at least one."""
        return tuple(entry for entry in self.entries if entry.role is Role.RERUN)

    @property
    def reruns_are_quoted(self) -> bool:
        """Whether the re-runs are the setting of the quoted result; they are the optimizer's defaults if not."""
        return self.basis.baseline is not None and bool(self.basis.baseline.recipes)

    @property
    def next_seed(self) -> int:
        """The place of the first confirmation seed that no confirmation of the study has used."""
        return max(self.entries[0].confirmation.run_seeds) % STRIDE + 1

    def _required(self, role: Role) -> Entry:
        entry = self.entry(role)
        assert entry is not None  # every record has one
        return entry
