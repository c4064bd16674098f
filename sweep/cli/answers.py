"""What a study answers, read by SQL and put into JSON documents; `sweep.cli.tables` draws the same for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweep.errors import StorageFailed
from sweep.plan import Plan
from sweep.review.standing import is_current, read_dossier
from sweep.search import queries
from sweep.search.database import Database
from sweep.search.queries import Best, Status, Study, Tried


@dataclass(frozen=True)
class Ranking:
    """A study's best trials."""

    study: Study
    trials: int
    best: list[Best]


@dataclass(frozen=True)
class Progressed:
    """How far a study is, whether somebody is writing it now, and whether its verdict is made."""

    study: Study
    status: Status
    wanted: int | None
    running: bool
    verdict: str


def read_best(database: Database, name: str, top: int) -> Ranking:
    """Read the `top` trials of a study.

    Raises:
        StorageFailed: if none has finished yet.
    """
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        count = queries.count_by_state(connection, study.study_id).get("complete", 0)
        if not count:
            raise StorageFailed(f"the study `{study.name}` has no finished trial yet.")
        return Ranking(study, count, queries.best_trials(connection, study, top))


def read_best_of_each_schedule(database: Database, name: str) -> list[Tried]:
    """Read the best trial of every schedule that was tried."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        return queries.best_of_each_schedule(connection, study)


def read_status(database: Database, name: str) -> Progressed:
    """Read how far a study is."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        found = queries.status(connection, study.study_id)
    plan = study.plan
    wanted = plan.search.trials if plan is not None else None
    return Progressed(study, found, wanted, database.is_being_written(name), verdict_state(database, name, plan))


def verdict_state(database: Database, name: str, plan: Plan | None) -> str:
    """Return `made`, `out of date` or `none`."""
    dossier = read_dossier(database, name)
    if plan is None or dossier is None:
        return "none"
    return "made" if is_current(database, plan, dossier) else "out of date"


def best_document(found: Ranking) -> dict[str, Any]:
    """Return the ranking as `--json` prints it."""
    return {
        "study": found.study.name,
        "trials": found.trials,
        "metric": found.study.metric,
        "best": [_trial_document(trial) for trial in found.best],
        "quoted_baseline": found.study.quoted_baseline,
    }


def _trial_document(trial: Best) -> dict[str, Any]:
    schedule = {"name": trial.schedule, "learning_rate": trial.params.get("learning_rate")}
    return {
        "trial": trial.trial,
        "value": trial.value,
        "log_loss": trial.log_loss,
        "schedule": schedule | trial.own_parameters,
        "momentum": trial.params.get("momentum"),
        "replicates": len(trial.correct),
        "correct_mean": trial.correct_mean,
        "validation_rows": trial.validation_rows,
    }


def status_document(found: Progressed) -> dict[str, Any]:
    """Return the status as `--json` prints it."""
    finished = found.status.counts.get("complete", 0)
    left = max(0, found.wanted - finished) if found.wanted is not None else None
    rate = found.status.rate if found.running else None
    return {
        "study": found.study.name,
        "running": found.running,
        "trials": found.status.counts,
        "wanted": found.wanted,
        "verdict": found.verdict,
        "candidates_per_second": found.status.rate,
        "seconds_left": left / rate if left is not None and rate else None,
    }
