"""Questions to a study, answered by SQL: they load no TensorFlow, no Optuna, and never a whole study.

Optuna's schema is read as it is; a study that Optuna alone filled can be asked the same questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pandas as pd
from sqlalchemy import bindparam, text
from sqlalchemy.engine import Connection

from sweep.errors import BadInput, nearest
from sweep.plan import Metric, Plan, read_plan
from sweep.ranges import Value
from sweep.search.database import Database, SchemaMissing

FINISHED = """
    SELECT t.trial_id, t.number, v.value,
        CASE WHEN l.value_json NOT IN ('null', 'NaN', 'Infinity', '-Infinity')
            THEN CAST(l.value_json AS DOUBLE PRECISION) END AS log_loss,
        COALESCE(CAST(d.value_json AS INTEGER), 0) AS diverged,
        CAST(p.value_json AS INTEGER) AS position
    FROM trials t
    JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE'
    LEFT JOIN trial_user_attributes l ON l.trial_id = t.trial_id AND l.key = 'log_loss'
    LEFT JOIN trial_user_attributes d ON d.trial_id = t.trial_id AND d.key = 'diverged'
    LEFT JOIN trial_user_attributes p ON p.trial_id = t.trial_id AND p.key = 'position'
    WHERE t.study_id = :study AND t.state = 'COMPLETE'
"""
OLDEST_FIRST = " ORDER BY t.number"
# `Finished.standing` says the same of trials that are already here.
BEST_FIRST: dict[Metric, str] = {
    "accuracy": "value DESC, log_loss NULLS LAST, number",
    "log_loss": "CASE WHEN diverged = 0 THEN log_loss END NULLS LAST, value DESC, number",
}


@dataclass(frozen=True)
class Study:
    """A stored study: its key in the database, and what it keeps of its study file."""

    study_id: int
    name: str
    attributes: dict[str, Any]

    @property
    def plan(self) -> Plan | None:
        """The study file, or None for a study that Optuna alone made."""
        return read_plan(self.attributes["plan"]) if "plan" in self.attributes else None

    @property
    def metric(self) -> Metric:
        """What ranks its trials: accuracy, unless the study file that it keeps says otherwise."""
        metric: Metric = self.attributes.get("plan", {}).get("search", {}).get("metric", "accuracy")
        return metric

    @property
    def quoted_baseline(self) -> float | None:
        """The accuracy that the study file quotes from elsewhere."""
        return self.attributes.get("quoted_baseline")


@dataclass(frozen=True)
class Best:
    """A finished trial with what is needed to judge it."""

    trial: int
    value: float
    log_loss: float | None
    params: dict[str, Value]
    attributes: dict[str, Any]

    @property
    def schedule(self) -> str:
        """The schedule's name; empty for a trial that others made without one."""
        return str(self.params.get("schedule", ""))

    @property
    def own_parameters(self) -> dict[str, Value]:
        """The values of the schedule's own parameters."""
        prefix = f"{self.schedule}."
        return {key.removeprefix(prefix): value for key, value in self.params.items() if key.startswith(prefix)}

    @property
    def correct(self) -> dict[int, int]:
        """The validation rows that each run got right, by run seed; empty if the trial does not tell both."""
        counts, seeds = self.attributes.get("correct", []), self.attributes.get("run_seeds", [])
        return dict(zip(seeds, counts, strict=True)) if len(seeds) == len(counts) else {}

    @property
    def correct_mean(self) -> float | None:
        """Their mean."""
        return sum(self.correct.values()) / len(self.correct) if self.correct else None

    @property
    def validation_rows(self) -> int | None:
        """The number of validation rows."""
        return self.attributes.get("validation_rows")


@dataclass(frozen=True)
class Tried:
    """One schedule's best trial, and how many of its trials have finished."""

    best: Best
    count: int


@dataclass(frozen=True)
class Finished:
    """What ranks one finished trial, and its position in the sweep; None for a trial that others made.

    A log-loss that is missing is infinite; `diverged` counts runs.
    """

    trial_id: int
    value: float
    log_loss: float
    position: int | None
    diverged: int = 0

    @property
    def place(self) -> int:
        """What orders trials as they were proposed, not as they arrived; trials of others come first."""
        return -1 if self.position is None else self.position

    def standing(self, metric: Metric) -> tuple[float, float]:
        """Return what sorts trials from best to worst, as `BEST_FIRST` does.

        A mean log-loss leaves diverged runs out, so by log-loss a candidate with any ranks like one without a log-loss.
        """
        if metric == "accuracy":
            return -self.value, self.log_loss
        return math.inf if self.diverged else self.log_loss, -self.value


@dataclass(frozen=True)
class Status:
    """How far a study is: trials by state, candidates finished a second lately, seconds since the last."""

    counts: dict[str, int]
    rate: float | None
    idle_seconds: float | None


def find_study(connection: Connection, name: str) -> Study:
    """Return the study called `name`.

    Raises:
        BadInput: if there is none; it names the nearest.
    """
    rows = connection.execute(text("SELECT study_id, study_name FROM studies")).all()
    found = {str(row.study_name): int(row.study_id) for row in rows}
    if name not in found:
        raise BadInput("study", f"there is no study `{name}` in the database{nearest(name, found)}")
    query = text("SELECT key, value_json FROM study_user_attributes WHERE study_id = :study")
    attributes = {row.key: json.loads(row.value_json) for row in connection.execute(query, {"study": found[name]})}
    return Study(found[name], name, attributes)


def count_finished(database: Database, name: str) -> int:
    """Return the number of finished trials of the study called `name`; 0 if there is no such study."""
    if not database.exists():
        return 0
    query = text("""
        SELECT COUNT(*) FROM trials t JOIN studies s ON s.study_id = t.study_id
        WHERE s.study_name = :name AND t.state = 'COMPLETE'
    """)
    try:
        with database.reading() as connection:
            return int(connection.execute(query, {"name": name}).scalar_one())
    except SchemaMissing:
        return 0


def finished(connection: Connection, study_id: int) -> list[Finished]:
    """Return what ranks each finished trial, oldest first."""
    rows = connection.execute(text(FINISHED + OLDEST_FIRST), {"study": study_id})
    return [
        Finished(
            row.trial_id, row.value, math.inf if row.log_loss is None else row.log_loss, row.position, row.diverged
        )
        for row in rows
    ]


def best_trials(connection: Connection, study: Study, top: int) -> list[Best]:
    """Return the `top` finished trials by the study's metric."""
    return details(connection, standings(connection, study, top))


def best_of_each_schedule(connection: Connection, study: Study) -> list[Tried]:
    """Return every schedule that was tried with its best finished trial, best first."""
    frame = standings(connection, study)
    query = text("""
        SELECT p.trial_id, p.param_value FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
        WHERE t.study_id = :study AND t.state = 'COMPLETE' AND p.param_name = 'schedule'
    """)
    schedules = pd.read_sql_query(query, connection, params={"study": study.study_id})
    joined = frame.merge(schedules, on="trial_id")
    best, counts = joined.drop_duplicates("param_value"), joined["param_value"].value_counts()
    trials = details(connection, best)
    return [Tried(trial, int(counts[chosen])) for trial, chosen in zip(trials, best["param_value"], strict=True)]


def every_trial(connection: Connection, study: Study) -> pd.DataFrame:
    """Return the standings of all finished trials with the schedule, learning_rate and momentum of each.

    What a trial does not have is None or NaN there, as in a study that others filled.
    """
    query = text("""
        SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json
        FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
        WHERE t.study_id = :study AND t.state = 'COMPLETE' AND p.param_name IN ('schedule', 'learning_rate', 'momentum')
    """)
    found: dict[str, dict[int, Value]] = {"schedule": {}, "learning_rate": {}, "momentum": {}}
    for row in connection.execute(query, {"study": study.study_id}):
        found[row.param_name][row.trial_id] = external(row.param_value, row.distribution_json)
    frame = standings(connection, study)
    return frame.assign(
        schedule=frame["trial_id"].map(found["schedule"]),
        learning_rate=frame["trial_id"].map(found["learning_rate"]).astype(float),
        momentum=frame["trial_id"].map(found["momentum"]).astype(float),
    )


def standings(connection: Connection, study: Study, top: int | None = None) -> pd.DataFrame:
    """Return the columns of `FINISHED` of the best trials by the study's metric, best first; of all by default."""
    limit = "" if top is None else f" LIMIT {int(top)}"
    query = text(f"SELECT * FROM ({FINISHED}) AS finished ORDER BY {BEST_FIRST[study.metric]}{limit}")
    return pd.read_sql_query(query, connection, params={"study": study.study_id})


def details(connection: Connection, frame: pd.DataFrame) -> list[Best]:
    """Return the trials of `frame`, in its order, with their params and attributes."""
    ids = frame["trial_id"].tolist()
    params, attributes = read_params(connection, ids), read_attributes(connection, ids)
    columns = (ids, frame["number"].tolist(), frame["value"].tolist())
    return [
        Best(number, value, attributes[trial_id].get("log_loss"), params[trial_id], attributes[trial_id])
        for trial_id, number, value in zip(*columns, strict=True)
    ]


def read_params(connection: Connection, trial_ids: Sequence[int]) -> dict[int, dict[str, Value]]:
    """Return the params of each trial, as they were suggested."""
    query = text(
        "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params "
        "WHERE trial_id IN :ids ORDER BY param_id"
    ).bindparams(bindparam("ids", expanding=True))
    found: dict[int, dict[str, Value]] = {number: {} for number in trial_ids}
    for row in connection.execute(query, {"ids": list(trial_ids)}):
        found[row.trial_id][row.param_name] = external(row.param_value, row.distribution_json)
    return found


def external(stored: float, distribution_json: str) -> Value:
    """Return the value that a param's stored number stands for, by its distribution as Optuna writes it."""
    distribution = _distribution(distribution_json)
    if distribution["name"] == "CategoricalDistribution":
        chosen: Value = distribution["attributes"]["choices"][int(stored)]
        return chosen
    return int(stored) if distribution["name"] == "IntDistribution" else float(stored)


@lru_cache(maxsize=256)
def _distribution(document: str) -> dict[str, Any]:
    """Parse one of the few distributions that all trials of a study share."""
    parsed: dict[str, Any] = json.loads(document)
    return parsed


def read_attributes(connection: Connection, trial_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return the user attributes of each trial."""
    ids = list(trial_ids)
    query = text("SELECT trial_id, key, value_json FROM trial_user_attributes WHERE trial_id IN :ids").bindparams(
        bindparam("ids", expanding=True)
    )
    found: dict[int, dict[str, Any]] = {number: {} for number in ids}
    for row in connection.execute(query, {"ids": ids}):
        found[row.trial_id][row.key] = json.loads(row.value_json)
    return found


def count_by_state(connection: Connection, study_id: int) -> dict[str, int]:
    """Return the number of trials in each of Optuna's states, by its name in small letters."""
    query = text("SELECT state, COUNT(*) AS trials FROM trials WHERE study_id = :study GROUP BY state")
    return {str(row.state).lower(): int(row.trials) for row in connection.execute(query, {"study": study_id})}


def status(connection: Connection, study_id: int) -> Status:
    """Count the trials by state, and measure the pace of the last hundred finished ones."""
    counts = count_by_state(connection, study_id)
    latest = pd.read_sql_query(
        text("""
            SELECT datetime_start, datetime_complete FROM trials
            WHERE study_id = :study AND state = 'COMPLETE' ORDER BY number DESC LIMIT 100
        """),
        connection,
        params={"study": study_id},
        parse_dates=["datetime_start", "datetime_complete"],
    )
    if latest.empty:
        return Status(counts, None, None)
    last = latest["datetime_complete"].max()
    seconds = (last - latest["datetime_start"].min()).total_seconds()
    idle = (datetime.now(UTC).replace(tzinfo=None) - last.to_pydatetime()).total_seconds()
    return Status(counts, len(latest) / seconds if seconds > 0 else None, idle)
