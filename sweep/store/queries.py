"""Questions to a study, answered by SQL: they load no TensorFlow, no Optuna, and never a whole study.

Optuna's schema is read as it is; a study that Optuna alone filled can be asked the same questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pandas as pd
from sqlalchemy import DateTime, String, TextClause, bindparam, text
from sqlalchemy.engine import Connection

from sweep.config.study_file import Metric, Plan, read_plan
from sweep.errors import BadInput, NotFound, NotYet, StorageFailed, nearest
from sweep.space import Value
from sweep.store.database import Database, SchemaMissing
from sweep.store.trials import BRIEF, TrialRecord, read_record

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
ANY = """
    SELECT t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete, v.value
    FROM trials t
    LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE'
    WHERE t.study_id = :study
"""
HIGHEST_NUMBER = 2**31 - 1  # that a database can hold and so be asked for
# `Finished.rank_key` says the same of trials that are already here.
BEST_FIRST: dict[Metric, str] = {
    "accuracy": "value DESC, log_loss NULLS LAST, number",
    "log_loss": "CASE WHEN diverged = 0 THEN log_loss END NULLS LAST, value DESC, number",
}


@dataclass(frozen=True)
class Best:
    """A finished trial with what is needed to judge it."""

    trial: int
    value: float
    params: dict[str, Value]
    record: TrialRecord

    @property
    def schedule(self) -> str:
        """The schedule's name; empty for a trial that others made without one."""
        return str(self.params.get("schedule", ""))

    @property
    def correct(self) -> dict[int, int]:
        """The validation rows that each run got right, by run seed; empty if the trial does not tell both."""
        return {run.run_seed: run.correct for run in self.record.runs}


@dataclass(frozen=True)
class AnyTrial:
    """A trial in any of Optuna's states, in small letters; its value if that is finite, and its time in UTC."""

    number: int
    state: str
    value: float | None
    began: datetime | None
    ended: datetime | None
    params: dict[str, Value]
    record: TrialRecord


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

    def rank_key(self, metric: Metric) -> tuple[float, float]:
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


@dataclass(frozen=True)
class StoredStudy:
    """A study of a database, called by its name; it need not be there yet."""

    database: Database
    name: str

    @contextmanager
    def reading(self) -> Iterator[StudyReader]:
        """Open a connection that cannot write, and find the study.

        Raises:
            NotFound: if there is no such study; it names the nearest.
            StorageFailed: if the database cannot be read.
        """
        with self.database.reading() as connection:
            yield find_study(connection, self.name)

    def count_finished(self) -> int:
        """Return the number of finished trials; 0 if the study or its database is not there."""
        if not self.database.exists():
            return 0
        query = text("""
            SELECT COUNT(*) FROM trials t JOIN studies s ON s.study_id = t.study_id
            WHERE s.study_name = :name AND t.state = 'COMPLETE'
        """)
        try:
            with self.database.reading() as connection:
                return int(connection.execute(query, {"name": self.name}).scalar_one())
        except SchemaMissing:
            return 0

    def is_being_written(self) -> bool:
        """Say whether a `sweep run` holds the study's lock now."""
        return self.database.is_being_written(self.name)


@dataclass(frozen=True)
class StudyReader:
    """A study that was found, on an open connection: its key, what it keeps of its study file, and its trials.

    What it keeps stays readable when the connection is closed; its trials do not.
    """

    connection: Connection
    study_id: int
    name: str
    attributes: dict[str, Any]

    @property
    def plan(self) -> Plan | None:
        """The study file, or None for a study that Optuna alone made."""
        told = self.attributes.get("plan")
        try:
            return read_plan(told) if isinstance(told, dict) else None
        except BadInput:  # somebody else's, or another version's
            return None

    @property
    def metric(self) -> Metric:
        """What ranks its trials: accuracy, unless the study file that it keeps says otherwise."""
        return "log_loss" if self._section("search").get("metric") == "log_loss" else "accuracy"

    @property
    def quoted_baseline(self) -> float | None:
        """The accuracy that the study file quotes from elsewhere."""
        quoted = self.attributes.get("quoted_baseline")
        return quoted if isinstance(quoted, float) and math.isfinite(quoted) else None

    @property
    def quoted_source(self) -> str | None:
        """Where from."""
        source = self._section("baseline").get("source")
        return source if isinstance(source, str) else None

    def _section(self, name: str) -> dict[str, Any]:
        """Return a table of the study file, as it is kept; empty if something else stands there."""
        plan = self.attributes.get("plan")
        section = plan.get(name) if isinstance(plan, dict) else None
        return section if isinstance(section, dict) else {}

    def param_names(self) -> list[str]:
        """Return the names of all params that a study's trials have, those of all schedules first."""
        query = text("""
            SELECT DISTINCT p.param_name FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
            WHERE t.study_id = :study
        """)
        names = self.connection.execute(query, {"study": self.study_id}).scalars()
        return sorted(map(str, names), key=lambda name: ("." in name, name))

    def some_finished(self) -> int:
        """Return the number of finished trials of a study.

        Raises:
            NotYet: if there is none.
        """
        number = self.count_by_state().get("complete", 0)
        if not number:
            raise NotYet(f"the study `{self.name}` has no finished trial yet.")
        return number

    def finished(self) -> list[Finished]:
        """Return what ranks each finished trial, oldest first."""
        rows = self.connection.execute(text(FINISHED + OLDEST_FIRST), {"study": self.study_id})
        return [
            Finished(
                row.trial_id, row.value, math.inf if row.log_loss is None else row.log_loss, row.position, row.diverged
            )
            for row in rows
        ]

    def best_trials(self, top: int, *, brief: bool = False) -> list[Best]:
        """Return the `top` finished trials by the study's metric, without curves if `brief`."""
        return self.details(self.standings(top), brief=brief)

    def finished_trial(self, number: int) -> Best | None:
        """Return the finished trial of that number."""
        if not 0 <= number <= HIGHEST_NUMBER:
            return None
        query, wanted = text(f"{FINISHED} AND t.number = :number"), {"study": self.study_id, "number": number}
        return next(iter(self.details(read_frame(query, self.connection, params=wanted))), None)

    def find_trial(self, number: int) -> AnyTrial | None:
        """Return the trial of that number, whatever its state."""
        found = self.trials_after(number - 1, 1) if 0 <= number <= HIGHEST_NUMBER else []
        return next((trial for trial in found if trial.number == number), None)

    def trials_after(self, after: int | None, limit: int, *, brief: bool = False) -> list[AnyTrial]:
        """Return the `limit` trials in any state whose numbers come next after `after`; None for the first."""
        query = text(f"{ANY} AND t.number > :after{OLDEST_FIRST} LIMIT :limit")
        told = query.columns(datetime_start=DateTime(), datetime_complete=DateTime())
        least = -1 if after is None else max(-1, min(after, HIGHEST_NUMBER))
        rows = self.connection.execute(told, {"study": self.study_id, "after": least, "limit": limit}).all()
        ids = [row.trial_id for row in rows]
        params, records = read_params(self.connection, ids), read_records(self.connection, ids, brief=brief)
        return [
            AnyTrial(
                number=row.number,
                state=str(row.state).lower(),
                value=row.value,
                began=_in_utc(row.datetime_start),
                ended=_in_utc(row.datetime_complete),
                params=params[row.trial_id],
                record=records[row.trial_id],
            )
            for row in rows
        ]

    def best_of_each_schedule(self, *, brief: bool = False) -> list[Tried]:
        """Return every schedule that was tried with its best finished trial, best first."""
        frame = self.standings()
        query = text("""
            SELECT p.trial_id, p.param_value FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
            WHERE t.study_id = :study AND t.state = 'COMPLETE' AND p.param_name = 'schedule'
        """)
        schedules = read_frame(query, self.connection, params={"study": self.study_id})
        joined = frame.merge(schedules, on="trial_id")
        best, counts = joined.drop_duplicates("param_value"), joined["param_value"].value_counts()
        trials = self.details(best, brief=brief)
        return [Tried(trial, int(counts[chosen])) for trial, chosen in zip(trials, best["param_value"], strict=True)]

    def every_trial(self) -> pd.DataFrame:
        """Return the standings of all finished trials with the schedule, learning_rate and momentum of each.

        What a trial does not have is None or NaN there, as in a study that others filled.
        """
        query = text("""
            SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json
            FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
            WHERE t.study_id = :study AND t.state = 'COMPLETE'
                AND p.param_name IN ('schedule', 'learning_rate', 'momentum')
        """)
        found: dict[str, dict[int, Value]] = {"schedule": {}, "learning_rate": {}, "momentum": {}}
        for row in self.connection.execute(query, {"study": self.study_id}):
            found[row.param_name][row.trial_id] = external(row.param_value, row.distribution_json)
        frame = self.standings()
        return frame.assign(
            schedule=frame["trial_id"].map(found["schedule"]),
            learning_rate=frame["trial_id"].map(found["learning_rate"]).astype(float),
            momentum=frame["trial_id"].map(found["momentum"]).astype(float),
        )

    def standings(self, top: int | None = None) -> pd.DataFrame:
        """Return the columns of `FINISHED` of the best trials by the study's metric, best first; of all by default."""
        limit = "" if top is None else f" LIMIT {int(top)}"
        query = text(f"SELECT * FROM ({FINISHED}) AS finished ORDER BY {BEST_FIRST[self.metric]}{limit}")
        return read_frame(query, self.connection, params={"study": self.study_id})

    def details(self, frame: pd.DataFrame, *, brief: bool = False) -> list[Best]:
        """Return the trials of `frame`, in its order, with their params, and without curves if `brief`."""
        ids = frame["trial_id"].tolist()
        params, records = read_params(self.connection, ids), read_records(self.connection, ids, brief=brief)
        columns = (ids, frame["number"].tolist(), frame["value"].tolist())
        return [
            Best(number, value, params[trial_id], records[trial_id])
            for trial_id, number, value in zip(*columns, strict=True)
        ]

    def status(self) -> Status:
        """Count the trials by state, and measure the pace of the last hundred finished ones."""
        counts = self.count_by_state()
        latest = read_frame(
            text("""
                SELECT datetime_start, datetime_complete FROM trials
                WHERE study_id = :study AND state = 'COMPLETE' ORDER BY number DESC LIMIT 100
            """),
            self.connection,
            params={"study": self.study_id},
            parse_dates=["datetime_start", "datetime_complete"],
        )
        if latest.empty:
            return Status(counts, None, None)
        last = latest["datetime_complete"].max()
        seconds = (last - latest["datetime_start"].min()).total_seconds()
        idle = (datetime.now(UTC).replace(tzinfo=None) - last.to_pydatetime()).total_seconds()
        return Status(counts, len(latest) / seconds if seconds > 0 else None, idle)

    def count_by_state(self) -> dict[str, int]:
        """Return the number of trials in each of Optuna's states, by its name in small letters."""
        return count_by_state(self.connection, self.study_id)


def find_study(connection: Connection, name: str) -> StudyReader:
    """Return the study called `name`.

    Raises:
        NotFound: if there is none; it names the nearest.
    """
    rows = connection.execute(text("SELECT study_id, study_name FROM studies")).all()
    found = {str(row.study_name): int(row.study_id) for row in rows}
    if name not in found:
        raise NotFound("study", f"there is no study `{name}` in the database{nearest(name, found)}")
    query = text("SELECT key, value_json FROM study_user_attributes WHERE study_id = :study")
    attributes = {row.key: json.loads(row.value_json) for row in connection.execute(query, {"study": found[name]})}
    return StudyReader(connection, found[name], name, attributes)


def study_names(connection: Connection) -> set[str]:
    """Return the names of all studies."""
    return {str(name) for name in connection.execute(text("SELECT study_name FROM studies")).scalars()}


def versions(connection: Connection, names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return numbers that change when anything does that a study's answers come from, by name, where there is one."""
    query = text("""
        SELECT s.study_name, s.study_id,
            (SELECT MAX(t.trial_id) FROM trials t WHERE t.study_id = s.study_id) AS latest,
            (SELECT COUNT(*) FROM trials t WHERE t.study_id = s.study_id AND t.state = 'COMPLETE') AS complete,
            (SELECT COUNT(*) FROM trials t WHERE t.study_id = s.study_id AND t.state = 'FAIL') AS failed,
            (SELECT SUM(LENGTH(a.value_json)) FROM study_user_attributes a WHERE a.study_id = s.study_id) AS told,
            (SELECT SUM(LENGTH(a.value_json)) FROM study_system_attributes a WHERE a.study_id = s.study_id) AS kept
        FROM studies s WHERE s.study_name IN :names
    """).bindparams(bindparam("names", expanding=True, type_=String()))  # or an empty list has no type on PostgreSQL
    rows = connection.execute(query, {"names": list(names)})
    return {str(row.study_name): tuple(int(number or 0) for number in row[1:]) for row in rows}


def _in_utc(naive: datetime | None) -> datetime | None:
    return None if naive is None else naive.replace(tzinfo=UTC)


def read_frame(query: TextClause, connection: Connection, **options: Any) -> pd.DataFrame:
    """Return a query's rows as a table.

    Raises:
        StorageFailed: if the database refuses; pandas has an error of its own for it.
    """
    try:
        frame: pd.DataFrame = pd.read_sql_query(query, connection, **options)
        return frame
    except pd.errors.DatabaseError as error:
        raise StorageFailed("the database cannot be read now.") from error


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


def read_records(connection: Connection, trial_ids: Sequence[int], *, brief: bool = False) -> dict[int, TrialRecord]:
    """Return the record of each trial, without curves if `brief`."""
    listed = " AND key IN :keys" if brief else ""
    query = text(f"SELECT trial_id, key, value_json FROM trial_user_attributes WHERE trial_id IN :ids{listed}")
    wanted = {"ids": list(trial_ids)} | ({"keys": list(BRIEF)} if brief else {})
    query = query.bindparams(*(bindparam(name, expanding=True) for name in wanted))
    found: dict[int, dict[str, Any]] = {number: {} for number in trial_ids}
    for row in connection.execute(query, wanted):
        found[row.trial_id][row.key] = json.loads(row.value_json)
    return {number: read_record(attributes) for number, attributes in found.items()}


def count_by_state(connection: Connection, study_id: int) -> dict[str, int]:
    """Return the number of trials in each of Optuna's states, by its name in small letters."""
    query = text("SELECT state, COUNT(*) AS trials FROM trials WHERE study_id = :study GROUP BY state")
    return {str(row.state).lower(): int(row.trials) for row in connection.execute(query, {"study": study_id})}
