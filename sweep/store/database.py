"""The database under a study, SQLite or PostgreSQL: its connections, its schema made once, and one writer at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url

from sweep.errors import BadInput, Locked, StorageFailed
from sweep.store.locks import PATIENCE_SECONDS, AdvisoryLocks, FileLocks, Locks
from sweep.store.optuna_schema import KNOWN_SCHEMA, read_version

if TYPE_CHECKING:
    import optuna

    from sweep.store.optuna_copy import OptunaCopy

DEFAULT_STORAGE = "sqlite:///studies/sweeps.db"
BUSY_SECONDS = 30
SCHEMA_SECONDS = 60
SCHEMA_LOCK, SERVER_LOCK = "-schema", "-server"  # no study may be called so


class SchemaMissing(StorageFailed):
    """The database has no schema yet, or its making was cut short; `Database.storage` completes it."""


@dataclass(frozen=True)
class Database:
    """The database at one SQLAlchemy URL."""

    url: str

    def __post_init__(self) -> None:
        """Refuse what no study can be kept in."""
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

    @cached_property
    def file(self) -> Path | None:
        """The SQLite file, or None for a database server."""
        url = make_url(self.url)
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

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
        if self.file is not None:
            return "sqlite://", {"creator": _sqlite_reader(self.file), "poolclass": sqlalchemy.pool.NullPool}
        return self.url, {"execution_options": {"postgresql_readonly": True}, **self._pooling}

    @cached_property
    def locks(self) -> Locks:
        """The locks of the database."""
        if self.file is not None:
            return FileLocks(self.file)
        return AdvisoryLocks(sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.pool.NullPool))

    @property
    def _pooling(self) -> dict[str, Any]:
        """A server's connections are kept and tested before use; a file's are opened for each use, and closed."""
        return {"pool_pre_ping": True} if self.file is None else {"poolclass": sqlalchemy.pool.NullPool}

    @cached_property
    def storage(self) -> optuna.storages.RDBStorage:
        """Optuna's storage on the database, made with its schema if it is new."""
        import optuna  # noqa: PLC0415 - `sweep best` reads without it

        try:
            with self.locks.sole(SCHEMA_LOCK, SCHEMA_SECONDS):
                storage = optuna.storages.RDBStorage(_as_template(self.url), engine_kwargs=self._pooling)
        except (sqlalchemy.exc.SQLAlchemyError, OSError, RuntimeError, ImportError) as error:
            raise StorageFailed(f"`{self.shown}` cannot be opened: {_first_line(error)}") from error
        if self.file is not None:
            _take_turns(storage.engine)
        return storage

    def read_only_storage(self) -> optuna.storages.RDBStorage:
        """Return Optuna's storage over connections that cannot write.

        Raises:
            StorageFailed: if there is no database, or it is not one of Optuna's, or its schema is of another time.
        """
        import optuna  # noqa: PLC0415 - `sweep best` reads without it

        url, options = self._reading
        options = options | {"poolclass": sqlalchemy.pool.NullPool}  # many may exist beside each other
        newer = self.is_newer
        try:
            return optuna.storages.RDBStorage(
                _as_template(url), engine_kwargs=options, skip_compatibility_check=not newer, skip_table_creation=True
            )
        except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:  # a schema that this Optuna does not know
            raise StorageFailed(f"`{self.shown}` cannot be opened: {_first_line(error)}") from error

    def make_tables(self, metadata: sqlalchemy.MetaData) -> None:
        """Make tables of our own beside Optuna's, unless they are there."""
        self.storage  # noqa: B018 - Optuna's schema comes first
        with self.locks.sole(SCHEMA_LOCK, SCHEMA_SECONDS), self.writing() as connection:
            metadata.create_all(connection)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def exists(self) -> bool:
        """Say whether there is anything to read; a server is taken at its word."""
        return self.file is None or self.file.is_file()

    @contextlib.contextmanager
    def connecting(self) -> Iterator[Connection]:
        """Open a connection that cannot write, and that no writer waits for longer than one query.

        Raises:
            StorageFailed: if there is no database, or it refuses.
        """
        if not self.exists():
            raise StorageFailed(f"there is no database `{self.shown}`; `sweep run` makes it.")
        try:
            with self.reader.connect() as connection:
                yield connection
        except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise StorageFailed(f"`{self.shown}` cannot be read: {_first_line(error)}") from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection, as `connecting`, to Optuna's tables; if their schema is newer, to a copy of them.

        Raises:
            StorageFailed: if there is no database, or it is not one of Optuna's, or its schema is too old.
        """
        with self.connecting() as connection:
            newer = self._has_newer_schema(connection)
            if not newer:
                yield connection
        if newer:
            with self.copy.reading() as connection:
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open one transaction: all of it is stored at the end, or nothing.

        Raises:
            StorageFailed: if the database refuses.
        """
        try:
            self.locks.check()
            with self.engine.begin() as connection:
                yield connection
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise StorageFailed(f"`{self.shown}` cannot be written: {_first_line(error)}") from error

    @contextlib.contextmanager
    def sole_writer(self, study: str) -> Iterator[None]:
        """Hold the study's lock, which is free again however this process ends.

        Raises:
            Locked: if another process holds it.
            StorageFailed: if the lock cannot be made.
        """
        with self._sole(study, f"another `sweep run` is writing the study `{study}` in `{self.shown}`."):
            yield

    @contextlib.contextmanager
    def sole_server(self) -> Iterator[None]:
        """Hold the lock of the one service that runs this database's jobs, as `sole_writer` does a study's."""
        with self._sole(SERVER_LOCK, f"another `sweep serve` serves `{self.shown}`."):
            yield

    @contextlib.contextmanager
    def _sole(self, name: str, complaint: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.locks.sole(name, PATIENCE_SECONDS))
            except TimeoutError as error:
                raise Locked(complaint) from error
            except OSError as error:
                raise StorageFailed(f"`{self.shown}` cannot be locked: {error.strerror}.") from error
            except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
                raise StorageFailed(f"`{self.shown}` cannot be locked: {_first_line(error)}") from error
            yield

    def is_being_written(self, study: str) -> bool:
        """Say whether a `sweep run` holds the study's lock now."""
        try:
            return self.locks.is_held(study)
        except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise StorageFailed(f"`{self.shown}` cannot be read: {_first_line(error)}") from error

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

    @cached_property
    def _seen_schemas(self) -> dict[int, bool]:
        """Whether the schema is newer, by the file's inode: a restored file may have another."""
        return {}

    def _has_newer_schema(self, connection: Connection) -> bool:
        inode = 0 if self.file is None else self.file.stat().st_ino
        if inode not in self._seen_schemas:
            self._seen_schemas[inode] = self._read_schema(connection) > KNOWN_SCHEMA
        return self._seen_schemas[inode]

    def _read_schema(self, connection: Connection) -> int:
        try:
            found = read_version(connection)
        except sqlalchemy.exc.DatabaseError as error:
            raise StorageFailed(f"`{self.shown}` holds no Optuna studies: {_first_line(error)}") from error
        if found is None:
            raise SchemaMissing(f"`{self.shown}` holds no Optuna studies.")
        if found < KNOWN_SCHEMA:
            raise StorageFailed(f"`{self.shown}` has Optuna's schema {found}, this version knows {KNOWN_SCHEMA}.")
        if found > KNOWN_SCHEMA:
            _say_once(
                f"note: `{self.shown}` has Optuna's schema {found}, this version knows {KNOWN_SCHEMA}: "
                "it is read and written through Optuna itself, which is slower."
            )
        return found


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


def _sqlite_reader(file: Path) -> Callable[[], sqlite3.Connection]:
    # A writer killed in the middle of a commit leaves a journal that only a connection that may write rolls back.
    mode = "rw" if os.access(file, os.W_OK) else "ro"
    escaped = file.absolute().as_posix().replace("%", "%25").replace("?", "%3f").replace("#", "%23")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{escaped}?mode={mode}", uri=True, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA query_only = ON")
        return connection

    return connect


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n")[0].rstrip(".") + "."
