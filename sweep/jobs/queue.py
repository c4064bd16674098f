"""The persistent job queue: a table beside Optuna's that outlives the server, each change of it one transaction.

The names of its tables and columns, and the values in them, are those of the first version: old databases are read.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection, RowMapping

from sweep.config.plan import Plan
from sweep.config.study_file import read_plan_text
from sweep.errors import EXIT_CODES, BadInput, Conflict, Locked, NotFound, StorageFailed, nearest, without_paths
from sweep.store.database import Database
from sweep.store.optuna_schema import delete_studies
from sweep.store.queries import find_study, study_names
from sweep.verdict.baselines import possible_names, searched_names, tuned_owner

CRASHES_RETRIED = 1
KEYS_KEPT = timedelta(days=7)
KEY_HEADER = "Idempotency-Key"

METADATA = sa.MetaData()
JOBS = sa.Table(
    "sweep_orders",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("wish", sa.String(16)),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("crashes", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("created", sa.DateTime, nullable=False),  # UTC, as Optuna's own
)
KEYS = sa.Table(
    "sweep_order_keys",
    METADATA,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("created", sa.DateTime, nullable=False),
)


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"


class RequestedAction(StrEnum):
    """An action requested for a running job; cleared when its process exits."""

    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True)
class Job:
    """A study in the queue: its study file with the newest budget, and what was requested of its process if it runs.

    `crashes` are those since it was submitted or resumed; `reason` is why it failed, or what its last crash was.
    """

    name: str
    plan: Plan
    state: JobState
    requested: RequestedAction | None
    crashes: int
    reason: str | None
    created: datetime


@dataclass(frozen=True)
class Submitted:
    """A job as it is now, and whether an earlier request under the same key submitted it."""

    job: Job
    replayed: bool


class Progress(BaseModel):
    """Where a running sweep is, as its process prints it: one JSON document a line.

    Attributes:
        part: what it is doing: a search, a race, a confirmation.
        done: trainings of this part that are done, of all that are wanted.
        trainings_per_second: since the first came back; None before.
        best: the best candidate of the search so far in words; empty before there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str = Field(max_length=100)
    done: int = Field(ge=0)
    wanted: int = Field(ge=0)
    trainings_per_second: float | None = Field(default=None, ge=0)
    best: str = Field(default="", max_length=100)


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended: its exit code, or minus the signal that killed it, and its last line on standard error.

    `called_off` says whether the server ended it because the server itself ends.
    """

    code: int
    message: str = ""
    called_off: bool = False

    @property
    def reason(self) -> str:
        """Why the process ended, without a path of this machine."""
        if self.code < 0:
            try:
                name = signal.Signals(-self.code).name
            except ValueError:  # a real-time signal has no name
                name = f"signal {-self.code}"
            memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            return f"its process was killed by {name}{memory}"
        if self.message.startswith("error: "):
            return without_paths(self.message.removeprefix("error: "))
        return f"its process ended with exit code {self.code}"


def next_state(job: Job, status: ExitStatus) -> dict[str, Any]:
    """Return the columns that change when a running job's process has ended.

    A process that ended because the server asked it to leaves its job as requested. One that ended by itself, and not
    well, has crashed; it is tried once more, except after bad input, which would be bad again.
    """
    ended = {"wish": None}
    if status.code == 0 and job.requested is not RequestedAction.RESTART:
        return ended | {"state": JobState.DONE, "reason": None}
    if job.requested is RequestedAction.STOP:
        return ended | {"state": JobState.STOPPED}
    locked = status.code == EXIT_CODES[Locked]  # somebody began a `sweep run` of this study by hand in between
    if status.called_off or locked or job.requested is RequestedAction.RESTART:
        return ended | {"state": JobState.QUEUED}
    crashes = job.crashes + 1
    again = crashes <= CRASHES_RETRIED and status.code != EXIT_CODES[BadInput]
    state = JobState.QUEUED if again else JobState.FAILED
    return ended | {"state": state, "crashes": crashes, "reason": status.reason}


@dataclass(frozen=True)
class JobQueue:
    """The jobs in one database, in the order in which they run."""

    database: Database

    def open(self) -> None:
        """Create Optuna's schema and the queue's own tables, unless they exist."""
        self.database.make_tables(METADATA)

    def submit(self, plan: Plan, key: str | None = None, digest: str = "") -> Submitted:
        """Queue a new study; a second request under the same `key`, with the same `digest`, changes nothing.

        Raises:
            BadInput: for another request under the same key.
            Conflict: if the name is taken, or is that of a study's tuned baseline.
        """
        with self.database.reading() as connection:
            stored = study_names(connection)
        with self._changing() as jobs:
            if key is not None and (before := jobs.submitted_before(key, digest)) is not None:
                return Submitted(before, replayed=True)
            jobs.check_free(plan.name, stored)
            jobs.insert(plan, JobState.QUEUED)
            if key is not None:
                jobs.connection.execute(KEYS.insert().values(key=key, digest=digest, name=plan.name, created=_now()))
            return Submitted(jobs.read(plan.name), replayed=False)

    def import_study(self, plan: Plan) -> Job:
        """Add a study that `sweep run` made as a stopped job, unless there is a job for it."""
        with self._changing() as jobs:
            if jobs.row(plan.name) is None:
                jobs.insert(plan, JobState.STOPPED)
            return jobs.read(plan.name)

    def find(self, name: str) -> Job | None:
        """Return the job of a study; None for a study without one."""
        return self.jobs([name]).get(name)

    def jobs(self, names: Collection[str] | None = None) -> dict[str, Job]:
        """Return all jobs, or those of the studies in `names`, by name; a job of another version may be left out."""
        query = sa.select(JOBS) if names is None else sa.select(JOBS).where(JOBS.c.name.in_(names))
        with self.database.connecting() as connection:
            rows = connection.execute(query).mappings().all()
        found = {}
        for row in rows:
            with suppress(BadInput):
                found[row["name"]] = _job(row)
        return found

    def names(self) -> list[str]:
        """Return the names of all jobs in alphabetical order."""
        return self._names(sa.select(JOBS.c.name).order_by(JOBS.c.name))

    def queued(self) -> list[str]:
        """Return the names of the queued jobs, the next to run first."""
        return self._names(sa.select(JOBS.c.name).where(JOBS.c.state == JobState.QUEUED).order_by(JOBS.c.place))

    def _names(self, query: sa.Select[str]) -> list[str]:
        with self.database.connecting() as connection:
            return list(connection.execute(query).scalars())

    def count(self) -> dict[JobState, int]:
        """Return the number of jobs in each state."""
        query = sa.select(JOBS.c.state, sa.func.count()).group_by(JOBS.c.state)
        with self.database.connecting() as connection:
            return dict.fromkeys(JobState, 0) | {JobState(state): count for state, count in connection.execute(query)}

    def stop(self, name: str) -> Job:
        """Take a job out of the queue, or request that its process stops.

        Raises:
            NotFound: if there is no such job.
            Conflict: if it is neither queued nor running.
        """
        with self._changing(name) as jobs:
            state = jobs.read(name).state
            if state not in (JobState.QUEUED, JobState.RUNNING):
                raise Conflict("study", f"`{name}` is {state}, so there is nothing to stop.")
            running = state is JobState.RUNNING
            return jobs.update(name, {"wish": RequestedAction.STOP} if running else {"state": JobState.STOPPED})

    def resume(self, name: str) -> Job:
        """Put a stopped, done or failed job at the end of the queue.

        Raises:
            NotFound: if there is no such job.
            Conflict: if it is queued or running already.
        """
        with self._changing(name) as jobs:
            state = jobs.read(name).state
            if state in (JobState.QUEUED, JobState.RUNNING):
                raise Conflict("study", f"`{name}` is {state} already.")
            return jobs.update(name, _at_the_end())

    def raise_budget(self, name: str, trials: int) -> Job:
        """Set a study's number of trials in all; a done job is queued again, a running one restarts with it.

        Raises:
            NotFound: if there is no such job.
            BadInput: if it is no more than before.
        """
        with self._changing(name) as jobs:
            job = jobs.read(name)
            before = job.plan.search.trials
            if trials <= before:
                raise BadInput("trials", f"must be above the study's {before}, got {trials}.")
            changed: dict[str, Any] = {"plan": with_trials(job.plan, trials).model_dump_json()}
            if job.state is JobState.RUNNING and job.requested is None:
                changed |= {"wish": RequestedAction.RESTART}
            return jobs.update(name, changed | (_at_the_end() if job.state is JobState.DONE else {}))

    def delete(self, name: str) -> None:
        """Delete a study with its tuned baselines, and its job if it has one.

        Raises:
            NotFound: if there is neither.
            Conflict: if it runs, here or by somebody's `sweep run`.
        """
        running = Conflict("study", f"`{name}` is running; stop it first.")
        if self.database.is_being_written(name):
            raise running
        with self.database.reading() as connection:
            if name not in study_names(connection) and name not in self.names():
                raise NotFound("study", f"there is no study `{name}`.")
        if self.database.is_newer:
            raise StorageFailed(f"`{name}` has a schema of a newer Optuna: delete it with `optuna delete-study`.")
        with self.database.sole_writer(name), self._changing() as jobs:
            row = jobs.row(name)
            if row is not None and row["state"] == JobState.RUNNING:
                raise running
            delete_studies(jobs.connection, jobs.family(name))
            jobs.connection.execute(JOBS.delete().where(JOBS.c.name == name))

    def claim(self, blocked: Collection[str] = ()) -> Job | None:
        """Mark the first queued job as running, and return it; those in `blocked` keep their places."""
        waiting = sa.select(JOBS).where(JOBS.c.state == JobState.QUEUED, JOBS.c.name.not_in(blocked))
        first = waiting.order_by(JOBS.c.place).limit(1).with_for_update()  # which SQLite's one writer does not need
        with self._changing() as jobs:
            while (row := jobs.connection.execute(first).mappings().first()) is not None:
                try:
                    return jobs.update(row["name"], {"state": JobState.RUNNING, "wish": None})
                except BadInput as error:  # a job of another version
                    failed = JOBS.update().where(JOBS.c.name == row["name"])
                    jobs.connection.execute(failed.values(state=JobState.FAILED, reason=str(error)))
        return None

    def end(self, name: str, status: ExitStatus) -> Job:
        """Store how a running job's process ended, and the state that follows from it."""
        with self._changing(name) as jobs:
            return jobs.update(name, next_state(jobs.read(name), status))

    def recover(self) -> Sequence[str]:
        """Queue again, in their places, the jobs that a dead server left running; return their names."""
        running = JOBS.c.state == JobState.RUNNING
        stopped = running & (JOBS.c.wish == RequestedAction.STOP)
        with self.database.writing() as connection:
            names = connection.execute(sa.select(JOBS.c.name).where(running).order_by(JOBS.c.place)).scalars().all()
            connection.execute(JOBS.update().where(stopped).values(state=JobState.STOPPED, wish=None))
            connection.execute(JOBS.update().where(running).values(state=JobState.QUEUED, wish=None))
        return names

    @contextmanager
    def _changing(self, name: str | None = None) -> Iterator[_Transaction]:
        """Begin a transaction, which locks the job called `name`."""
        with self.database.writing() as connection:
            if name is not None:
                connection.execute(sa.select(JOBS.c.name).where(JOBS.c.name == name).with_for_update())
            yield _Transaction(self.database, connection)


@dataclass(frozen=True)
class _Transaction:
    """What one transaction reads and changes."""

    database: Database
    connection: Connection

    def row(self, name: str) -> RowMapping | None:
        return self.connection.execute(sa.select(JOBS).where(JOBS.c.name == name)).mappings().first()

    def read(self, name: str) -> Job:
        row = self.row(name)
        if row is None:
            names = self.connection.execute(sa.select(JOBS.c.name)).scalars()
            raise NotFound("study", f"there is no order for a study `{name}`{nearest(name, names)}")
        return _job(row)

    def insert(self, plan: Plan, state: JobState) -> None:
        values = _at_the_end() | {"name": plan.name, "plan": plan.model_dump_json(), "created": _now(), "state": state}
        self.connection.execute(JOBS.insert().values(**values))

    def update(self, name: str, values: dict[str, Any]) -> Job:
        self.connection.execute(JOBS.update().where(JOBS.c.name == name).values(**values))
        return self.read(name)

    def submitted_before(self, key: str, digest: str) -> Job | None:
        self.connection.execute(KEYS.delete().where(KEYS.c.created < _now() - KEYS_KEPT))
        kept = self.connection.execute(sa.select(KEYS).where(KEYS.c.key == key)).mappings().first()
        if kept is None:
            return None
        if kept["digest"] != digest:
            raise BadInput(KEY_HEADER, "was given to another request before.")
        row = self.row(kept["name"])
        if row is None or row["created"] > kept["created"]:
            raise Conflict(KEY_HEADER, f"made the study `{kept['name']}`, which has been deleted since.")
        return _job(row)

    def check_free(self, name: str, stored: Collection[str]) -> None:
        """Raise `Conflict` if a study has the name already, or would share a tuned baseline's."""
        known = {*stored, *self.connection.execute(sa.select(JOBS.c.name)).scalars()}
        if name in known:
            raise Conflict("name", f"there is a study `{name}` already.")
        if taken := known & {*possible_names(name), tuned_owner(name)}:
            raise Conflict("name", f"`{name}` and the study `{min(taken)}` would share a tuned baseline's name.")

    def family(self, name: str) -> set[str]:
        """Return the names of a study and of those tuned baselines that belong to it."""
        row = self.row(name)
        try:
            if row is not None:
                return searched_names(_job(row).plan)
            with self.database.reading() as connection:
                plan = find_study(connection, name).plan
        except BadInput:  # a plan of another version, or no such study
            plan = None
        return {name} if plan is None else searched_names(plan)


def with_trials(plan: Plan, trials: int) -> Plan:
    """Return a plan with another number of trials in all."""
    return plan.model_copy(update={"search": plan.search.model_copy(update={"trials": trials})})


def _at_the_end() -> dict[str, Any]:
    """Return the columns of a job at the end of the queue."""
    last = sa.select(sa.func.coalesce(sa.func.max(JOBS.c.place), 0)).correlate(None).scalar_subquery()
    return {"state": JobState.QUEUED, "wish": None, "place": last + 1, "crashes": 0, "reason": None}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _job(row: RowMapping) -> Job:
    """Make the job of a row; raises `BadInput` for a study file of another version."""
    requested = RequestedAction(row["wish"]) if row["wish"] else None
    state, created = JobState(row["state"]), row["created"].replace(tzinfo=UTC)
    return Job(row["name"], read_plan_text(row["plan"]), state, requested, row["crashes"], row["reason"], created)
