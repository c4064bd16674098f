"""What a study answers besides its verdict: one schema for `--json`, HTTP and the tables of a terminal.

What a study that others filled lacks is None or empty. To read raises `NotFound` for a study or trial that is not
there, and `NotYet` for a ranking without a finished trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Literal, TypeAlias

from sweep.candidate import Optimizer
from sweep.errors import NotFound
from sweep.model import Answer
from sweep.search.finite import FiniteSpace, count_wanted
from sweep.space import Value
from sweep.store.queries import AnyTrial, Best, StoredStudy, StudyReader
from sweep.store.trials import Run, TrialCurves, TrialRecord
from sweep.task import METRICS, MetricName
from sweep.verdict.extent import Decision
from sweep.verdict.progress import read_decision
from sweep.verdict.record import read_record
from sweep.verdict.result import Recommendation

VerdictState: TypeAlias = Literal["made", "out of date", "none"]
Standing: TypeAlias = Literal["recommended", "winner", "best", "one"]
Wanted: TypeAlias = int | Literal["winner"] | None  # a trial's number, the winner of the race, or what is recommended


class TrialFacts(Answer):
    """What a line of a table tells of a trial.

    Attributes:
        trial: its number.
        value: final score by the study's metric, mean over its runs; accuracy in an older study by log-loss.
        log_loss: final validation cross-entropy, mean over the runs where it is finite.
        schedule: name, learning rate, and those of the schedule's own parameters that the trial holds, by short name.
        momentum: of the optimizer, the highest if the schedule moves it.
        replicates: how many runs there were.
        correct_mean: validation rows classified right, mean over the runs.
        validation_rows: of how many.
        correct: the right rows of each run.
        diverged: how many runs ended in NaN or infinity.
        params: the setting as the Optuna trial holds it, flat.
    """

    trial: int
    value: float | None
    log_loss: float | None
    schedule: dict[str, Value | None]
    momentum: Value | None
    replicates: int
    correct_mean: float | None
    validation_rows: int | None
    correct: tuple[int, ...]
    diverged: int
    params: dict[str, Value]


class RankedTrial(TrialFacts):
    """A finished trial in its place among others."""

    value: float


class Ranking(Answer):
    """What any ranking of a study's trials tells.

    Attributes:
        study: the study's name.
        trials: how many have finished and rank.
        set_aside: how many more lie outside the search space since the study has grown, and do not rank.
        metric: what ranks them.
        valued_by: which metric their `value` is: what ranks, but accuracy in an older study by log-loss.
        quoted_baseline: the accuracy that the study file quotes from elsewhere.
        quoted_source: who says so.
    """

    study: str
    trials: int
    set_aside: int = 0
    metric: MetricName
    valued_by: MetricName = "accuracy"
    quoted_baseline: float | None
    quoted_source: str | None


class BestAnswer(Ranking):
    """A study's best trials, best first, what its verdict recommended when it was made, and how many there were."""

    best: tuple[RankedTrial, ...]
    confirmations: int = 0
    recommendation: Recommendation | None = None

    @property
    def classes(self) -> bool:
        """Whether classes are predicted, so that rows may be right."""
        return not METRICS[self.metric].of_numbers


class Family(Answer):
    """A schedule that was tried, the number of its finished trials, and the best of them."""

    schedule: str
    trials: int
    best: RankedTrial


class FamiliesAnswer(Ranking):
    """Every schedule that was tried, the one with the best trial first."""

    families: tuple[Family, ...]


class StatusAnswer(Answer):
    """How far a study is.

    Attributes:
        study: the study's name.
        running: whether a process is writing it now.
        trials: their number by state.
        wanted: finished trials that its study file asks for, or fewer if its search space holds no more candidates.
        search_space: the candidates that the search space holds; None if there is no end of them.
        verdict: whether it is made, and whether it still holds.
        candidates_per_second: the pace of the last hundred finished trials.
        seconds_left: of the search, while it is running.
        within: how much of the study was decided for within a time budget, if the last run had one.
    """

    study: str
    running: bool
    trials: dict[str, int]
    wanted: int | None
    search_space: int | None = None
    verdict: VerdictState
    candidates_per_second: float | None = None
    seconds_left: float | None = None
    within: Decision | None = None


class ListedTrial(TrialFacts):
    """A trial in any of Optuna's states, in small letters, and its time in UTC.

    `set_aside` says that it lies outside the search space since the study has grown, and does not rank.
    """

    state: str
    set_aside: bool = False
    began: datetime | None
    ended: datetime | None


class TrialsAnswer(Answer):
    """A page of a study's trials in every state, by number; `next_after` begins the next page, None ends the list."""

    study: str
    trials: tuple[ListedTrial, ...]
    next_after: int | None


class TrialAnswer(ListedTrial):
    """All that one trial tells.

    Attributes:
        study: the study's name.
        position: its place in the order of proposals.
        runs: each of its trainings.
        class_correct: right rows of each class, added up over the runs.
        training_seconds: its share of the time that trainers spent.
        whole_schedule: the schedule with its defaults, as `Schedule.from_json` reads it.
        curves: by epoch.
    """

    study: str
    position: int | None
    runs: tuple[Run, ...]
    class_correct: tuple[int, ...]
    training_seconds: float | None
    whole_schedule: dict[str, Any] | None
    curves: TrialCurves | None


class ScheduleAnswer(Answer):
    """A setting of a study with all that a training of it needs; `Schedule.from_json` reads it.

    Attributes:
        study: what was asked.
        trial: its number in the study `found_in`; both are None for a setting that the study file gives.
        standing: whether the verdict recommends it, it won the race, is the best trial by the metric, or another.
        value: score by the study's metric, mean over the runs; if it is recommended or won, over those that confirmed
            it.
        new_value: the same on rows that nothing was chosen by, if it is recommended.
        schedule: with its defaults.
    """

    study: str
    trial: int | None
    found_in: str | None = None
    standing: Standing = "one"
    value: float
    new_value: float | None = None
    schedule: dict[str, Any]
    momentum: float
    nesterov: bool
    optimizer: Optimizer
    epochs: int
    steps_per_epoch: int
    batch_size: int


def read_best(stored: StoredStudy, top: int) -> BestAnswer:
    """Read the `top` trials of a study."""
    with stored.reading() as study:
        finished = study.some_finished()
        best = study.best_trials(top, brief=True)
    record = read_record(stored)
    told: dict[str, Any] = (
        {} if record is None else {"recommendation": record.advice, "confirmations": record.confirmations}
    )
    return BestAnswer(**_ranking(study, finished), best=tuple(map(_ranked, best)), **told)


def read_families(stored: StoredStudy) -> FamiliesAnswer:
    """Read the best trial of every schedule that was tried."""
    with stored.reading() as study:
        finished = study.some_finished()
        tried = study.best_of_each_schedule(brief=True)
    families = tuple(Family(schedule=one.best.schedule, trials=one.count, best=_ranked(one.best)) for one in tried)
    return FamiliesAnswer(**_ranking(study, finished), families=families)


def read_status(stored: StoredStudy) -> StatusAnswer:
    """Read how far a study is."""
    with stored.reading() as study:
        found = study.status()
    plan, running = study.plan, stored.database.is_being_written(stored.name)
    wanted = count_wanted(stored, plan) if plan is not None else None
    left = max(0, wanted - found.counts.get("complete", 0)) if wanted is not None else None
    record = read_record(stored)
    verdict: VerdictState = "none"
    if plan is not None and record is not None:
        verdict = "made" if record.is_current(stored.database, plan) else "out of date"
    return StatusAnswer(
        study=study.name,
        running=running,
        trials=found.counts,
        wanted=wanted,
        search_space=FiniteSpace(plan.search).size if plan is not None else None,
        verdict=verdict,
        candidates_per_second=found.rate,
        seconds_left=left / found.rate if running and left is not None and found.rate else None,
        within=None if plan is None else read_decision(stored.database, plan),
    )


def read_trials(stored: StoredStudy, after: int | None = None, limit: int = 100) -> TrialsAnswer:
    """Read up to `limit` trials of a study, those with the lowest numbers above `after`."""
    with stored.reading() as study:
        found = study.trials_after(after, limit + 1, brief=True)
    page = found[:limit]
    return TrialsAnswer(
        study=study.name,
        trials=tuple(ListedTrial(**_listed(study, trial)) for trial in page),
        next_after=page[-1].number if len(found) > limit else None,
    )


def read_trial(stored: StoredStudy, number: int) -> TrialAnswer:
    """Read one trial of a study."""
    with stored.reading() as study:
        trial = study.find_trial(number)
    if trial is None:
        raise NotFound("trial", f"the study `{stored.name}` has no trial {number}.")
    record = trial.record
    return TrialAnswer(
        **_listed(study, trial),
        study=study.name,
        position=record.position,
        runs=record.runs,
        class_correct=record.class_correct,
        training_seconds=record.training_seconds,
        whole_schedule=record.schedule,
        curves=record.curves,
    )


def _ranking(study: StudyReader, finished: int) -> dict[str, Any]:
    return {
        "study": study.name,
        "trials": finished,
        "set_aside": len(study.set_aside),
        "metric": study.metric,
        "valued_by": study.valued_by,
        "quoted_baseline": study.baseline and study.baseline.accuracy,
        "quoted_source": study.baseline and study.baseline.source,
    }


def _ranked(best: Best) -> RankedTrial:
    return RankedTrial(**_facts(best.trial, best.value, best.params, best.record))


def _listed(study: StudyReader, trial: AnyTrial) -> dict[str, Any]:
    own = {"state": trial.state, "set_aside": trial.number in study.set_aside}
    own |= {"began": trial.began, "ended": trial.ended}
    return _facts(trial.number, trial.value, trial.params, trial.record) | own


def _facts(number: int, value: float | None, params: Mapping[str, Value], record: TrialRecord) -> dict[str, Any]:
    """Return the fields of `TrialFacts`; a choice that others made may be None or NaN, for which JSON has no word."""
    kept = {key: each for key, each in params.items() if isinstance(each, str) or (each is not None and isfinite(each))}
    schedule, runs = str(kept.get("schedule", "")), record.runs
    correct = tuple(run.correct for run in runs if run.correct is not None)
    prefix = f"{schedule}."
    own = {key.removeprefix(prefix): each for key, each in kept.items() if key.startswith(prefix)}
    return {
        "trial": number,
        "value": value,
        "log_loss": record.log_loss,
        "schedule": {"name": schedule, "learning_rate": kept.get("learning_rate")} | own,
        "momentum": kept.get("momentum"),
        "replicates": len(runs),
        "correct_mean": sum(correct) / len(correct) if correct else None,
        "validation_rows": record.validation_rows,
        "correct": correct,
        "diverged": record.diverged or 0,
        "params": kept,
    }
