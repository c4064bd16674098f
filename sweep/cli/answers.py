"""What a study answers, read by SQL and put into JSON documents; `sweep.cli.tables` draws the same for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep.errors import StorageFailed
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
class Comparison:
    """The best trial and what it is held against."""

    study: Study
    best: Best
    recipes: list[Best]


@dataclass(frozen=True)
class Progressed:
    """How far a study is, and whether somebody is writing it now."""

    study: Study
    status: Status
    wanted: int | None
    running: bool


def read_best(database: Database, name: str, top: int) -> Ranking:
    """Read the `top` trials of a study.

    Raises:
        StorageFailed: if none has finished yet.
    """
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        count = queries.count_by_state(connection, study.study_id).get("complete", 0)
        _require_trials(study, count)
        return Ranking(study, count, queries.best_trials(connection, study.study_id, top))


def read_best_of_each_schedule(database: Database, name: str) -> list[Tried]:
    """Read the best trial of every schedule that was tried."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        return queries.best_of_each_schedule(connection, study.study_id)


def read_comparison(database: Database, name: str) -> Comparison:
    """Read a study's best trial and its recipes."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        frame = queries.standings(connection, study.study_id)
        _require_trials(study, len(frame))
        recipes = len(study.plan.recipes) if study.plan else 0
        own = frame[frame["position"] < recipes].sort_values("position")
        (best,) = queries.details(connection, frame.head(1))
        return Comparison(study, best, queries.details(connection, own))


def read_status(database: Database, name: str) -> Progressed:
    """Read how far a study is."""
    with database.reading() as connection:
        study = queries.find_study(connection, name)
        found = queries.status(connection, study.study_id)
    wanted = study.plan.search.trials if study.plan else None
    return Progressed(study, found, wanted, database.is_being_written(name))


def _require_trials(study: Study, count: int) -> None:
    if not count:
        raise StorageFailed(f"the study `{study.name}` has no finished trial yet.")


def best_document(found: Ranking) -> dict[str, Any]:
    """Return the ranking as `--json` prints it."""
    return {
        "study": found.study.name,
        "trials": found.trials,
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


def comparison_document(found: Comparison) -> dict[str, Any]:
    """Return the comparison as `--json` prints it."""
    return {
        "study": found.study.name,
        "best": _trial_document(found.best),
        "recipes": [
            _trial_document(recipe) | {"difference": difference(found.best, recipe)} for recipe in found.recipes
        ],
        "quoted_baseline": found.study.quoted_baseline,
        "runs_above_quoted": runs_above(found.best, found.study.quoted_baseline),
    }


def difference(best: Best, other: Best) -> dict[str, float] | None:
    """Return how many more rows `best` gets right than `other`, run seed by run seed; None without shared seeds."""
    shared = sorted(best.correct.keys() & other.correct.keys())
    if not shared:
        return None
    rows = np.array([best.correct[seed] - other.correct[seed] for seed in shared])
    return {
        "rows": float(rows.mean()),
        "runs": len(shared),
        "better": int((rows > 0).sum()),
        "equal": int((rows == 0).sum()),
        "worse": int((rows < 0).sum()),
    }


def runs_above(trial: Best, quoted: float | None) -> float | None:
    """Return the share of a trial's runs that get more rows right than a quoted accuracy means."""
    if quoted is None or not trial.validation_rows or not trial.correct:
        return None
    limit = round(quoted * trial.validation_rows)
    return float(np.mean([count > limit for count in trial.correct.values()]))


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
        "candidates_per_second": found.status.rate,
        "seconds_left": left / rate if left is not None and rate else None,
    }
