"""Questions to a study, answered by SQL without TensorFlow, Optuna or a whole study in memory, whoever filled it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pandas as pd
from sqlalchemy import TextClause, text
from sqlalchemy.engine import Connection

from sweep.config.plan import BaselinePlan, Plan
from sweep.config.study_file import read_plan_text
from sweep.errors import BadInput, NotFound, NotYet, StorageFailed, nearest
from sweep.space import Value
from sweep.store import optuna_schema as schema
from sweep.store.database import Database, SchemaMissing
from sweep.store.trials import BRIEF, TrialRecord, read_record
from sweep.task import METRICS, MetricName

VALUED_BY = "valued_by"  # the study's attribute that says which metric its trials' values are
SET_ASIDE = "set_aside"  # and that with the numbers of the trials that do not rank


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
        return {run.run_seed: run.correct for run in self.record.runs if run.correct is not None}


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
        """Open a connection that cannot write, and find the study; raises as `find_study` and `Database.reading` do."""
        with self.database.reading() as connection:
            yield find_study(connection, self.name)

    def count_finished(self) -> int:
        """Return the number of finished trials; 0 if the study or its database is not there."""
        if not self.database.exists():
            return 0
        try:
            with self.database.reading() as connection:
                return int(connection.execute(schema.COUNT_FINISHED, {"name": self.name}).scalar_one())
        except SchemaMissing:
            return 0


@dataclass(frozen=True)
class StudyReader:
    """A study that was found, on an open connection: its key, what it keeps of its study file, and its trials.

    What it keeps stays readable when the connection is closed; its trials do not.
    """

    connection: Connection
    study_id: int
    name: str
    attributes: dict[str, Any]

    @cached_property
    def plan(self) -> Plan | None:
        """The study file, or None for a study that Optuna alone made."""
        kept = self.attributes.get("plan")
        try:
            return read_plan_text(json.dumps(kept)) if isinstance(kept, dict) else None
        except BadInput:  # somebody else's, or another version's
            return None

    @property
    def metric(self) -> MetricName:
        """What ranks its trials: accuracy, unless the study file says otherwise."""
        return "accuracy" if self.plan is None else self.plan.metric

    @property
    def valued_by(self) -> MetricName:
        """Which metric the trials' values are: what ranks, but for accuracy in a study of before there were others."""
        kept = self.attributes.get(VALUED_BY)
        return kept if kept in METRICS else "accuracy"

    @property
    def baseline(self) -> BaselinePlan | None:
        """The result that the study file quotes from elsewhere."""
        return None if self.plan is None else self.plan.baseline

    def param_names(self) -> list[str]:
        """Return the names of all params that a study's trials have, those of all schedules first."""
        names = self.connection.execute(schema.PARAM_NAMES, {"study": self.study_id}).scalars()
        return sorted(map(str, names), key=lambda name: ("." in name, name))

    def some_finished(self) -> int:
        """Return the number of finished trials that rank; `NotYet` if there is none."""
        if (number := self.count_by_state().get("complete", 0) - len(self.set_aside)) > 0:
            return number
        where = " in its search space" if self.set_aside else ""
        raise NotYet(f"the study `{self.name}` has no finished trial{where} yet.")

    def best_trials(self, top: int, *, brief: bool = False) -> list[Best]:
        """Return the `top` finished trials by the study's metric, without curves if `brief`."""
        return self.details(self.standings(top), brief=brief)

    def finished_trial(self, number: int) -> Best | None:
        """Return the trial of that number if it has finished."""
        found = self.find_trial(number)
        if found is None or found.state != "complete" or found.value is None:
            return None
        return Best(found.number, found.value, found.params, found.record)

    def find_trial(self, number: int) -> AnyTrial | None:
        """Return the trial of that number, whatever its state."""
        found = self.trials_after(number - 1, 1) if 0 <= number <= schema.HIGHEST_NUMBER else []
        return next((trial for trial in found if trial.number == number), None)

    def trials_after(self, after: int | None, limit: int, *, brief: bool = False) -> list[AnyTrial]:
        """Return the `limit` trials in any state whose numbers come next after `after`; None for the first."""
        least = -1 if after is None else max(-1, min(after, schema.HIGHEST_NUMBER))
        rows = self.connection.execute(schema.ANY_AFTER, {"study": self.study_id, "after": least, "limit": limit}).all()
        ids = [row.trial_id for row in rows]
        params, records = schema.read_params(self.connection, ids), self._records(ids, brief=brief)
        return [
            AnyTrial(
                number=row.number,
                state=str(row.state).lower(),
                value=row.value,
                began=row.datetime_start and row.datetime_start.replace(tzinfo=UTC),
                ended=row.datetime_complete and row.datetime_complete.replace(tzinfo=UTC),
                params=params[row.trial_id],
                record=records[row.trial_id],
            )
            for row in rows
        ]

    def best_of_each_schedule(self, *, brief: bool = False) -> list[Tried]:
        """Return every schedule that was tried with its best finished trial, best first."""
        frame = self.every_trial(["schedule"]).dropna(subset=["schedule"])
        best, counts = frame.drop_duplicates("schedule"), frame["schedule"].value_counts()
        trials = self.details(best, brief=brief)
        return [Tried(trial, int(counts[chosen])) for trial, chosen in zip(trials, best["schedule"], strict=True)]

    def every_trial(self, params: Sequence[str] = ("schedule", "learning_rate", "momentum")) -> pd.DataFrame:
        """Return the standings of all finished trials with some params of each, None or NaN where a trial has none."""
        found: dict[str, dict[int, Value]] = {name: {} for name in params}
        for row in self.connection.execute(schema.NAMED_PARAMS, {"study": self.study_id, "names": list(params)}):
            found[row.param_name][row.trial_id] = schema.external(row.param_value, row.distribution_json)
        frame = self.standings()
        kinds = {name: float for name in params if name != "schedule"}
        return frame.assign(**{name: frame["trial_id"].map(values) for name, values in found.items()}).astype(kinds)

    def finished_params(self, names: Collection[str]) -> dict[int, dict[str, Value]]:
        """Return some params of every finished trial, by the trial's id; a trial that has none of them is left out."""
        found: dict[int, dict[str, Value]] = {}
        for row in self.connection.execute(schema.NAMED_PARAMS, {"study": self.study_id, "names": list(names)}):
            value = schema.external(row.param_value, row.distribution_json)
            found.setdefault(row.trial_id, {})[row.param_name] = value
        return found

    @property
    def set_aside(self) -> frozenset[int]:
        """The numbers of the trials that lie outside the search space since the study has grown, and do not rank."""
        kept = self.attributes.get(SET_ASIDE)
        return frozenset(each for each in kept if isinstance(each, int)) if isinstance(kept, list) else frozenset()

    def standings(self, top: int | None = None, *, aside: bool = False) -> pd.DataFrame:
        """Return the columns of `FINISHED` of the best trials by the study's metric, best first; of all by default.

        Those that are set aside are among them only if `aside`.
        """
        if not aside and self.set_aside:
            frame = self.standings(aside=True)
            return frame[~frame["number"].isin(self.set_aside)].head(len(frame) if top is None else top)
        order, limit = schema.best_first(self.metric, self.valued_by), "" if top is None else f" LIMIT {int(top)}"
        return self._frame(text(f"SELECT * FROM ({schema.FINISHED}) AS finished ORDER BY {order}{limit}"))

    def _frame(self, query: TextClause) -> pd.DataFrame:
        """Return the rows of a query of this study as a table; pandas has an error of its own for a refusal."""
        try:
            return pd.read_sql_query(query, self.connection, params={"study": self.study_id})
        except pd.errors.DatabaseError as error:
            raise StorageFailed("the database cannot be read now.") from error

    def details(self, frame: pd.DataFrame, *, brief: bool = False) -> list[Best]:
        """Return the trials of `frame`, in its order, with their params, and without curves if `brief`."""
        ids = frame["trial_id"].tolist()
        params, records = schema.read_params(self.connection, ids), self._records(ids, brief=brief)
        columns = (ids, frame["number"].tolist(), frame["value"].tolist())
        return [Best(number, value, params[key], records[key]) for key, number, value in zip(*columns, strict=True)]

    def _records(self, trial_ids: Sequence[int], *, brief: bool) -> dict[int, TrialRecord]:
        attributes = schema.read_attributes(self.connection, trial_ids, BRIEF if brief else None)
        return {trial_id: read_record(kept) for trial_id, kept in attributes.items()}

    def status(self) -> Status:
        """Count the trials by state, and measure the pace of the last hundred finished ones."""
        counts = self.count_by_state()
        latest = self._frame(schema.LATEST_FINISHED).apply(pd.to_datetime)
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
    """Return the study called `name`; `NotFound` names the nearest."""
    found = schema.read_studies(connection)
    if name not in found:
        raise NotFound("study", f"there is no study `{name}` in the database{nearest(name, found)}")
    query = schema.STUDY_USER.select().where(schema.STUDY_USER.c.study_id == found[name])
    attributes = {row.key: json.loads(row.value_json) for row in connection.execute(query)}
    return StudyReader(connection, found[name], name, attributes)


def study_names(connection: Connection) -> set[str]:
    """Return the names of all studies."""
    return set(schema.read_studies(connection))


def versions(connection: Connection, names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return numbers that change when anything does that a study's answers come from, by name, where there is one."""
    rows = connection.execute(schema.VERSIONS, {"names": list(names)})
    return {str(row.study_name): tuple(int(number or 0) for number in row[1:]) for row in rows}


def count_by_state(connection: Connection, study_id: int) -> dict[str, int]:
    """Return the number of trials in each of Optuna's states, by its name in small letters."""
    rows = connection.execute(schema.COUNT_BY_STATE, {"study": study_id})
    return {str(row.state).lower(): int(row.trials) for row in rows}
