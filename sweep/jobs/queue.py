"""The order book: every study that was asked for, kept in the study database beside Optuna's tables.

It stands alone because it is all that a restart of the service finds: an order that was acknowledged stands here, and
each change of its state is one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from sweep.config.study_file import Plan, read_plan
from sweep.errors import BadInput, Conflict, NotFound, nearest
from sweep.jobs.endings import next_state
from sweep.jobs.job import ExitStatus, Job, JobState, RequestedAction
from sweep.store.database import Database
from sweep.store.queries import find_study, study_names
from sweep.store.removal import delete_studies
from sweep.verdict.baselines import tuning_plans

KEYS_KEPT = timedelta(days=7)
KEY_HEADER = "Idempotency-Key"
TUNED = ("constant", "rate")  # what follows a study's name in those of its tuned baselines

METADATA = sa.MetaData()
ORDERS = sa.Table(
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


@dataclass(frozen=True)
class Submitted:
    """An order as it is now, and whether the same request had placed it before."""

    order: Job
    replayed: bool


@dataclass(frozen=True)
class JobQueue:
    """The orders in one database; their order of words is the queue's."""

    database: Database

    def open(self) -> None:
        """Make Optuna's schema and the book's own tables, unless they are there."""
        self.database.make_tables(METADATA)

    def submit(self, plan: Plan, key: str | None = None, digest: str = "") -> Submitted:
        """Queue a new study.

        Args:
            plan: the study.
            key: under which the same request may come again, and then changes nothing.
            digest: of the request, by which it is known to be the same.

        Raises:
            BadInput: for another request under the same key.
            Conflict: if the name is taken, or that of a study's tuned baseline.
        """
        with self.database.writing() as connection:
            if key is not None and (before := _placed_before(connection, key, digest)) is not None:
                return Submitted(before, replayed=True)
            _check_free(connection, plan)
            _insert(connection, plan, JobState.QUEUED)
            if key is not None:
                _keep_key(connection, key, digest, plan.name)
            return Submitted(_read(connection, plan.name), replayed=False)

    def import_study(self, plan: Plan) -> Job:
        """Take in a study that `sweep run` made, stopped, unless it is in the book already."""
        with self.database.writing() as connection:
            if _row(connection, plan.name) is None:
                _insert(connection, plan, JobState.STOPPED)
            return _read(connection, plan.name)

    def find(self, name: str) -> Job | None:
        """Return the order of a study; None for a study that nobody ordered."""
        return self.orders([name]).get(name)

    def orders(self, names: Collection[str] | None = None) -> dict[str, Job]:
        """Return all orders, or those of the studies in `names`, by name; one of another version may be left out."""
        query = sa.select(ORDERS) if names is None else sa.select(ORDERS).where(ORDERS.c.name.in_(names))
        with self.database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        found = {}
        for row in rows:
            with suppress(BadInput):
                found[row["name"]] = _order(row)
        return found

    def names(self) -> list[str]:
        """Return the names of all orders."""
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(ORDERS.c.name).order_by(ORDERS.c.name)).scalars())

    def queued(self) -> list[str]:
        """Return the names of the orders that wait, first in the queue first."""
        waiting = sa.select(ORDERS.c.name).where(ORDERS.c.state == JobState.QUEUED).order_by(ORDERS.c.place)
        with self.database.reading() as connection:
            return list(connection.execute(waiting).scalars())

    def stop(self, name: str) -> Job:
        """Take an order out of the queue, or wish that its process stops.

        Raises:
            NotFound: if there is no such order.
            Conflict: if it is at rest.
        """

        def stopped(order: Job, _connection: Connection) -> dict[str, Any]:
            if order.state is JobState.QUEUED:
                return {"state": JobState.STOPPED}
            if order.state is JobState.RUNNING:
                return {"wish": RequestedAction.STOP}
            raise Conflict("study", f"`{name}` is {order.state}, so there is nothing to stop.")

        return self._change(name, stopped)

    def resume(self, name: str) -> Job:
        """Put an order that rests at the end of the queue.

        Raises:
            NotFound: if there is no such order.
            Conflict: if it waits or runs already.
        """

        def resumed(order: Job, connection: Connection) -> dict[str, Any]:
            if order.state in (JobState.QUEUED, JobState.RUNNING):
                raise Conflict("study", f"`{name}` is {order.state} already.")
            return _queued(connection)

        return self._change(name, resumed)

    def raise_budget(self, name: str, trials: int) -> Job:
        """Set a study's number of trials in all; what is done is queued again, what runs goes on with it.

        Raises:
            NotFound: if there is no such order.
            BadInput: if it is no more than before.
        """

        def raised(order: Job, connection: Connection) -> dict[str, Any]:
            before = order.plan.search.trials
            if trials <= before:
                raise BadInput("trials", f"must be above the study's {before}, got {trials}.")
            search = order.plan.search.model_copy(update={"trials": trials})
            plan = {"plan": order.plan.model_copy(update={"search": search}).model_dump_json()}
            if order.state is JobState.RUNNING:
                return plan | ({"wish": RequestedAction.RESTART} if order.wish is None else {})
            return plan | (_queued(connection) if order.state is JobState.DONE else {})

        return self._change(name, raised)

    def delete(self, name: str) -> None:
        """Delete a study with its tuned baselines, and its order if it has one.

        Raises:
            NotFound: if there is neither.
            Conflict: if it runs, here or by somebody's `sweep run`.
        """
        if self.database.is_being_written(name):
            raise still_running(name)
        if name not in self.names() and not self._is_stored(name):
            raise NotFound("study", f"there is no study `{name}`.")
        with self.database.sole_writer(name), self.database.writing() as connection:
            row = _row(connection, name)
            if row is not None and row["state"] == JobState.RUNNING:
                raise still_running(name)
            delete_studies(connection, self.database.tables, _family(connection, name, row))
            connection.execute(ORDERS.delete().where(ORDERS.c.name == name))

    def _is_stored(self, name: str) -> bool:
        with self.database.reading() as connection:
            return name in study_names(connection)

    def claim(self, blocked: Collection[str] = ()) -> Job | None:
        """Let the first queued order run, and return it; those in `blocked` keep their place and wait."""
        waiting = sa.select(ORDERS).where(ORDERS.c.state == JobState.QUEUED, ORDERS.c.name.not_in(blocked))
        first = waiting.order_by(ORDERS.c.place).limit(1).with_for_update()  # which SQLite's one writer does not need
        with self.database.writing() as connection:
            while (row := connection.execute(first).mappings().first()) is not None:
                try:
                    _update(connection, row["name"], {"state": JobState.RUNNING, "wish": None})
                    return _read(connection, row["name"])
                except BadInput as error:  # an order from another version
                    _update(connection, row["name"], {"state": JobState.FAILED, "reason": str(error)})
        return None

    def end(self, name: str, ending: ExitStatus) -> Job:
        """Write down how a running order's process ended, and what becomes of it."""
        return self._change(name, lambda order, _connection: next_state(order, ending))

    def recover(self) -> Sequence[str]:
        """Queue again, in their places, the orders that a dead service left running; return their names."""
        running = ORDERS.c.state == JobState.RUNNING
        with self.database.writing() as connection:
            names = connection.execute(sa.select(ORDERS.c.name).where(running).order_by(ORDERS.c.place)).scalars().all()
            stopped = running & (ORDERS.c.wish == RequestedAction.STOP)
            connection.execute(ORDERS.update().where(stopped).values(state=JobState.STOPPED, wish=None))
            connection.execute(ORDERS.update().where(running).values(state=JobState.QUEUED, wish=None))
        return names

    def count(self) -> dict[JobState, int]:
        """Return the number of orders in each state."""
        query = sa.select(ORDERS.c.state, sa.func.count().label("orders")).group_by(ORDERS.c.state)
        with self.database.reading() as connection:
            found = {JobState(row["state"]): int(row["orders"]) for row in connection.execute(query).mappings()}
        return {state: found.get(state, 0) for state in JobState}

    def _change(self, name: str, decide: Callable[[Job, Connection], dict[str, Any]]) -> Job:
        """Change what `decide` returns, by what it is shown, in one transaction."""
        with self.database.writing() as connection:
            connection.execute(sa.select(ORDERS.c.name).where(ORDERS.c.name == name).with_for_update())
            _update(connection, name, decide(_read(connection, name), connection))
            return _read(connection, name)


def still_running(name: str) -> Conflict:
    """Return why a study cannot be deleted now."""
    return Conflict("study", f"`{name}` is running; stop it first.")


def _placed_before(connection: Connection, key: str, digest: str) -> Job | None:
    old = datetime.now(UTC).replace(tzinfo=None) - KEYS_KEPT
    connection.execute(KEYS.delete().where(KEYS.c.created < old))
    kept = connection.execute(sa.select(KEYS).where(KEYS.c.key == key)).mappings().first()
    if kept is None:
        return None
    if kept["digest"] != digest:
        raise BadInput(KEY_HEADER, "was given to another request before.")
    row = _row(connection, kept["name"])
    if row is None or row["created"] > kept["created"]:
        raise Conflict(KEY_HEADER, f"made the study `{kept['name']}`, which has been deleted since.")
    return _order(row)


def _keep_key(connection: Connection, key: str, digest: str, name: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute(KEYS.insert().values(key=key, digest=digest, name=name, created=now))


def _check_free(connection: Connection, plan: Plan) -> None:
    """Raise `Conflict` if a study has the name already, or would share a tuned baseline's."""
    own = {f"{plan.name}.{suffix}" for suffix in TUNED}
    stem, _, suffix = plan.name.rpartition(".")
    owners = {stem} if suffix in TUNED else set()
    taken = _names_among(connection, {plan.name, *own, *owners})
    if plan.name in taken:
        raise Conflict("name", f"there is a study `{plan.name}` already.")
    if taken:
        other = min(taken)
        raise Conflict("name", f"`{plan.name}` and the study `{other}` would share a tuned baseline's name.")


def _names_among(connection: Connection, names: Collection[str]) -> set[str]:
    stored = sa.text("SELECT study_name FROM studies WHERE study_name IN :names").bindparams(
        sa.bindparam("names", expanding=True)
    )
    ordered = sa.select(ORDERS.c.name).where(ORDERS.c.name.in_(names))
    found = {*connection.execute(stored, {"names": list(names)}).scalars(), *connection.execute(ordered).scalars()}
    return {str(name) for name in found}


def _family(connection: Connection, name: str, row: RowMapping | None) -> set[str]:
    """Return the names of a study and of those tuned baselines that are its own."""
    try:
        plan = _stored_plan(connection, name) if row is None else _order(row).plan
        return {name} if plan is None else {name, *(tuned.name for tuned in tuning_plans(plan).values())}
    except BadInput:  # a plan of another version, or one that was searched only
        return {name}


def _stored_plan(connection: Connection, name: str) -> Plan | None:
    """Return the study file that a stored study keeps; None for a study that others made, or none."""
    try:
        return find_study(connection, name).plan
    except NotFound:
        return None


def _insert(connection: Connection, plan: Plan, state: JobState) -> None:
    values = _queued(connection) | {"state": state}
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute(ORDERS.insert().values(name=plan.name, plan=plan.model_dump_json(), created=now, **values))


def _queued(connection: Connection) -> dict[str, Any]:
    """Return the values of an order at the end of the queue."""
    last = connection.execute(sa.select(sa.func.max(ORDERS.c.place))).scalar() or 0
    return {"state": JobState.QUEUED, "wish": None, "place": last + 1, "crashes": 0, "reason": None}


def _update(connection: Connection, name: str, values: dict[str, Any]) -> None:
    if values:
        connection.execute(ORDERS.update().where(ORDERS.c.name == name).values(**values))


def _row(connection: Connection, name: str) -> RowMapping | None:
    return connection.execute(sa.select(ORDERS).where(ORDERS.c.name == name)).mappings().first()


def _read(connection: Connection, name: str) -> Job:
    row = _row(connection, name)
    if row is None:
        names = connection.execute(sa.select(ORDERS.c.name)).scalars()
        raise NotFound("study", f"there is no order for a study `{name}`{nearest(name, names)}")
    return _order(row)


def _order(row: RowMapping) -> Job:
    return Job(
        name=row["name"],
        plan=_plan(row["plan"]),
        state=JobState(row["state"]),
        wish=RequestedAction(row["wish"]) if row["wish"] else None,
        place=row["place"],
        crashes=row["crashes"],
        reason=row["reason"],
        created=row["created"].replace(tzinfo=UTC),
    )


@lru_cache(maxsize=128)
def _plan(text: str) -> Plan:
    """Check a study file once, as it is asked for again and again."""
    return read_plan(json.loads(text))
