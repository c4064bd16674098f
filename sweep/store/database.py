"""The database under a study, SQLite or PostgreSQL: its connections, its schema made once, and one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy
from filelock import FileLock
from sqlalchemy import event, func, select, text
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import BadInput, Locked, StorageFailed
from sweep.store.optuna_schema import KNOWN_SCHEMA, read_version

if TYPE_CHECKING:
    import optuna

    from sweep.store.optuna_copy import OptunaCopy

DEFAULT_STORAGE = "sqlite:///studies/sweeps.db"
BUSY_SECONDS = 30
SCHEMA_SECONDS = 60
# A look at a lock file holds it for a moment, for which a writer that begins just then waits.
PATIENCE_SECONDS = 1.0
POLL_SECONDS = 0.05
DRIVERS = {  # of PostgreSQL, with what to install
    "psycopg": '"psycopg[binary]"',
    "psycopg2": "psycopg2-binary",
    "pg8000": "pg8000",
}
SCHEMA_LOCK, SERVER_LOCK = "-schema", "-server"  # no study may be called so
# PostgreSQL shows the halves of a lock's key as unsigned numbers, and `objsubid` 1 for a key in one piece.
IS_HELD = text("""
    SELECT EXISTS (
        SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database() AND l.objsubid = 1
            AND CAST(l.classid AS BIGINT) = :high AND CAST(l.objid AS BIGINT) = :low
    )
""")


class SchemaMissing(StorageFailed):
    """The database has no schema yet, or its making was cut short; `Database.storage` completes it."""


@dataclass(frozen=True)
class Database:
    """The database at one SQLAlchemy URL."""

    url: str
    _newer: dict[int, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what no study can be kept in, and put the home folder in the place of `~`."""
        try:
            url = make_url(self.url)
            url.get_dialect()
        except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError, ValueError) as error:
            raise BadInput("storage", f"`{self.url}` is not a database URL such as {DEFAULT_STORAGE}.") from error
        kind, name = url.get_backend_name(), str(url.database or "")
        if kind not in ("sqlite", "postgresql"):
            raise BadInput("storage", f"must be SQLite or PostgreSQL, got {kind}.")
        if kind == "sqlite" and (name in ("", ":memory:") or name.startswith("file:")):
            raise BadInput("storage", "a study needs a plain file, an SQLite database in memory is gone at the end.")
        if kind == "sqlite" and name.startswith("~"):
            try:
                there = url.set(database=str(Path(name).expanduser()))
            except RuntimeError as error:
                raise BadInput("storage", f"`{self.url}` names the home of nobody here.") from error
            object.__setattr__(self, "url", there.render_as_string(hide_password=False))

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    @cached_property
    def file(self) -> Path | None:
        """The SQLite file, or None for a database server."""
        url = make_url(self.url)
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    def exists(self) -> bool:
        """Say whether there is anything to read; a server is taken at its word."""
        return self.file is None or self.file.is_file()

    @property
    def _pooling(self) -> dict[str, Any]:
        """A server's connections are kept and tested before use; a file's are opened for each use, and closed."""
        return {"pool_pre_ping": True} if self.file is None else {"poolclass": sqlalchemy.pool.NullPool}

    @cached_property
    def engine(self) -> Engine:
        """Connections that wait for each other, and whose every transaction takes the write lock first."""
        engine = sqlalchemy.create_engine(self.url, **self._pooling)
        if self.file is not None:
            _take_turns(engine)
        return engine

    @cached_property
    def reader(self) -> Engine:
        """Connections that cannot write, on SQLite and PostgreSQL."""
        url, options = self._reading
        return sqlalchemy.create_engine(url, **options)

    @property
    def _reading(self) -> tuple[str, dict[str, Any]]:
        """The URL and the engine's options for connections that cannot write."""
        if self.file is None:
            return self.url, {"execution_options": {"postgresql_readonly": True}, **self._pooling}
        # A writer killed in the middle of a commit leaves a journal that only a connection that may write rolls back.
        mode = "rw" if os.access(self.file, os.W_OK) else "ro"
        escaped = self.file.absolute().as_posix().replace("%", "%25").replace("?", "%3f").replace("#", "%23")

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(f"file:{escaped}?mode={mode}", uri=True, timeout=BUSY_SECONDS)
            connection.execute("PRAGMA query_only = ON")
            return connection

        return "sqlite://", {"creator": connect, **self._pooling}

    @cached_property
    def storage(self) -> optuna.storages.RDBStorage:
        """Optuna's storage on the database, made with its schema if it is new."""
        import optuna  # noqa: PLC0415 - `sweep best` reads without it

        with self._refusals("opened", OSError, RuntimeError, ImportError), self.locks.sole(SCHEMA_LOCK, SCHEMA_SECONDS):
            storage = optuna.storages.RDBStorage(_as_template(self.url), engine_kwargs=self._pooling)
        if self.file is not None:
            _take_turns(storage.engine)
        return storage

    def read_only_storage(self) -> optuna.storages.RDBStorage:
        """Return Optuna's storage over connections that cannot write; raises as `reading` does."""
        import optuna  # noqa: PLC0415 - as `storage`

        url, options = self._reading
        options |= {"poolclass": sqlalchemy.pool.NullPool}  # many may exist beside each other
        newer = self.is_newer
        with self._refusals("opened", RuntimeError):  # a schema that this Optuna does not know
            return optuna.storages.RDBStorage(
                _as_template(url), engine_kwargs=options, skip_compatibility_check=not newer, skip_table_creation=True
            )

    def make_tables(self, metadata: sqlalchemy.MetaData) -> None:
        """Make tables of our own beside Optuna's, unless they are there."""
        self.storage  # noqa: B018 - Optuna's schema comes first
        with self.locks.sole(SCHEMA_LOCK, SCHEMA_SECONDS), self.writing() as connection:
            metadata.create_all(connection)

    @contextlib.contextmanager
    def connecting(self) -> Iterator[Connection]:
        """Open a connection that cannot write, and that no writer waits for longer than one query.

        `StorageFailed` says that there is no database, or that it refuses.
        """
        if not self.exists():
            raise StorageFailed(f"there is no database `{self.shown}`; `sweep run` makes it.")
        with self._refusals("read"), self.reader.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection to Optuna's tables as `connecting` does; if their schema is newer, to a copy of them."""
        with self.connecting() as connection:
            newer = self._has_newer_schema(connection)
            if not newer:
                yield connection
        if newer:
            with self.copy.reading() as connection:
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open one transaction: all of it is stored at the end, or nothing; `StorageFailed` if the database refuses."""
        with self._refusals("written"):
            self.locks.check()
            with self.engine.begin() as connection:
                yield connection

    @cached_property
    def locks(self) -> Locks:
        """The locks of the database."""
        if self.file is not None:
            return FileLocks(self.file)
        return AdvisoryLocks(sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.pool.NullPool))

    def sole_writer(self, study: str) -> contextlib.AbstractContextManager[None]:
        """Hold the study's lock, which is free again however this process ends; `Locked` if another holds it."""
        return self._sole(study, f"another `sweep run` is writing the study `{study}` in `{self.shown}`.")

    def sole_server(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of the one service that runs this database's jobs, as `sole_writer` does a study's."""
        return self._sole(SERVER_LOCK, f"another `sweep serve` serves `{self.shown}`.")

    @contextlib.contextmanager
    def _sole(self, name: str, complaint: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with self._refusals("locked", OSError):
                try:
                    stack.enter_context(self.locks.sole(name, PATIENCE_SECONDS))
                except TimeoutError as error:
                    raise Locked(complaint) from error
            yield

    def is_being_written(self, study: str) -> bool:
        """Say whether a `sweep run` holds the study's lock now."""
        with self._refusals("read"):
            return self.locks.is_held(study)

    @contextlib.contextmanager
    def _refusals(self, done: str, *others: type[Exception]) -> Iterator[None]:
        """Turn a refusal of the database or its driver, and these other errors, into `StorageFailed`."""
        refusals: tuple[type[Exception], ...] = (SQLAlchemyError, ImportError, *others)
        try:
            yield
        except refusals as error:
            cause = getattr(error, "orig", None) or error
            reason = str(getattr(cause, "strerror", None) or cause).strip().split("\n")[0].rstrip(".")
            if isinstance(error, ImportError) and (driver := make_url(self.url).get_driver_name()) in DRIVERS:
                reason = f"the driver {driver} is missing ({reason}); `pip install {DRIVERS[driver]}` brings it"
            raise StorageFailed(f"`{self.shown}` cannot be {done}: {reason}.") from error

    @property
    def is_newer(self) -> bool:
        """Whether the schema is newer than the known one, so that only Optuna can write it."""
        with self.connecting() as connection:
            return self._has_newer_schema(connection)

    @cached_property
    def copy(self) -> OptunaCopy:
        """The studies as Optuna itself reads them, for a schema that is newer than the known one."""
        from sweep.store.optuna_copy import OptunaCopy  # noqa: PLC0415 - as `storage`

        return OptunaCopy(self.read_only_storage())

    def _has_newer_schema(self, connection: Connection) -> bool:
        inode = 0 if self.file is None else self.file.stat().st_ino  # a restored file may have another schema
        if inode not in self._newer:
            try:
                found = read_version(connection)
            except sqlalchemy.exc.DatabaseError as error:
                reason = str(error.orig).partition("\n")[0]
                raise StorageFailed(f"`{self.shown}` holds no Optuna studies: {reason}.") from error
            if found is None:
                raise SchemaMissing(f"`{self.shown}` holds no Optuna studies.")
            has = f"`{self.shown}` has Optuna's schema {found}, this version knows {KNOWN_SCHEMA}"
            if found < KNOWN_SCHEMA:
                raise StorageFailed(f"{has}.")
            if found > KNOWN_SCHEMA:
                _say_once(f"note: {has}: it is read and written through Optuna itself, which is slower.")
            self._newer[inode] = found > KNOWN_SCHEMA
        return self._newer[inode]


@cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr)


def _take_turns(engine: Engine) -> None:
    """Make every SQLite transaction begin with the write lock, so that none fails halfway for want of it."""

    @event.listens_for(engine, "connect")
    def wait_for_others(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below, not the driver's own
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def take_the_lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _as_template(url: str) -> str:
    """Return a URL for Optuna, which formats it as a template."""
    return url.replace("{", "{{").replace("}", "}}")


class Locks(Protocol):
    """Who may write: named locks that a database's processes share, freed when their holder ends, however it ends."""

    def sole(self, name: str, patience_seconds: float) -> contextlib.AbstractContextManager[None]:
        """Hold a lock; `TimeoutError` if another holds it that long."""

    def is_held(self, name: str) -> bool:
        """Say whether anybody holds the lock now."""

    def check(self) -> None:
        """Raise an error if a lock that is held here has been lost."""


@dataclass(frozen=True)
class FileLocks:
    """Locked files beside a database file, which the system frees when a process ends."""

    file: Path

    def path(self, name: str) -> Path:
        """Return the lock's file, beside the real database: a link to it is the same database."""
        real = self.file.resolve()
        return real.with_name(f"{real.name}.{name}.lock")

    @contextlib.contextmanager
    def sole(self, name: str, patience_seconds: float) -> Iterator[None]:
        """Hold a lock; `TimeoutError` if another holds it that long, `OSError` also where no file can be made."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=patience_seconds):
            try:
                yield
            finally:
                if not self.file.exists():  # nothing was written; who waits for this file looks for it again
                    path.unlink(missing_ok=True)

    def is_held(self, name: str) -> bool:
        """Say whether anybody holds the lock now."""
        try:
            with self.path(name).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two who look do not see each other
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def check(self) -> None:
        """Raise nothing: only this process can free its file."""


@dataclass(frozen=True)
class AdvisoryLocks:
    """PostgreSQL's advisory locks: each on a connection of its own, with which the server frees it.

    They belong to the database, so other spellings of its URL, other users and other machines meet the same locks.
    """

    engine: Engine  # makes a new connection for each use
    _held: dict[int, Connection] = field(default_factory=dict)
    _checking: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def sole(self, name: str, patience_seconds: float) -> Iterator[None]:
        """Hold a lock; `TimeoutError` if another holds it that long, `SQLAlchemyError` if the server is not there."""
        key, deadline = lock_key(name), time.monotonic() + patience_seconds
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not connection.execute(select(func.pg_try_advisory_lock(key))).scalar():
                if time.monotonic() >= deadline:
                    raise TimeoutError(name)
                time.sleep(POLL_SECONDS)
            self._held[key] = connection
            try:
                yield
            finally:
                with self._checking, contextlib.suppress(SQLAlchemyError):  # a lost connection holds nothing
                    del self._held[key]
                    connection.execute(select(func.pg_advisory_unlock(key)))

    def is_held(self, name: str) -> bool:
        """Say whether anybody holds the lock now."""
        key = lock_key(name)
        with self.engine.connect() as connection:
            halves = {"high": key >> 32 & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
            return bool(connection.execute(IS_HELD, halves).scalar())

    def check(self) -> None:
        """Raise an `SQLAlchemyError` if the connection of a lock is gone, and the lock with it."""
        with self._checking:
            for connection in self._held.values():
                connection.execute(select(1))


def lock_key(name: str) -> int:
    """Return the 64-bit number of an advisory lock."""
    return int.from_bytes(hashlib.sha256(f"sweep:{name}".encode()).digest()[:8], "big", signed=True)
