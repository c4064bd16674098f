"""The database under a study: opened carefully, its schema made once, and one writer at a time.

Optuna owns the schema. Whole rounds are written through SQLAlchemy in one transaction, which costs a twentieth of
what Optuna's storage takes to add the same trials one by one (tests/bench/README.md).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url

from sweep.errors import BadInput, Locked, StorageFailed

if TYPE_CHECKING:
    import optuna

DEFAULT_STORAGE = "sqlite:///studies/sweeps.db"
BUSY_SECONDS = 30
SCHEMA_SECONDS = 60
# `sweep status` holds a study's lock for a moment to see whether somebody else does.
GLANCE_SECONDS = 1
KNOWN_SCHEMA = 12
TABLES = (
    *("studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials", "trial_values"),
    *("trial_params", "trial_user_attributes", "trial_system_attributes", "trial_intermediate_values"),
    "trial_heartbeats",
)
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
        if url.get_backend_name() == "sqlite" and _is_no_plain_file(url.database):
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
        on_server = make_url(self.url).get_backend_name() == "postgresql"
        return self.url, {"execution_options": {"postgresql_readonly": True} if on_server else {}, **self._pooling}

    @property
    def _pooling(self) -> dict[str, Any]:
        """A server's connections are kept and tested before use; a file's are opened for each use, and closed."""
        return {"pool_pre_ping": True} if self.file is None else {"poolclass": sqlalchemy.pool.NullPool}

    @cached_property
    def storage(self) -> optuna.storages.RDBStorage:
        """Optuna's storage on the database, made with its schema if it is new."""
        import optuna  # noqa: PLC0415 - `sweep best` reads without it

        try:
            self._make_folder()
            with FileLock(self.lock_path(SCHEMA_LOCK), timeout=SCHEMA_SECONDS):
                storage = optuna.storages.RDBStorage(_as_template(self.url), engine_kwargs=self._pooling)
        except (sqlalchemy.exc.SQLAlchemyError, OSError, RuntimeError, ImportError, Timeout) as error:
            raise StorageFailed(f"`{self.shown}` cannot be opened: {_first_line(error)}") from error
        if self.file is not None:
            _take_turns(storage.engine)
        return storage

    def read_only_storage(self) -> optuna.storages.RDBStorage:
        """Return Optuna's storage over connections that cannot write.

        Raises:
            StorageFailed: if there is no database, or it is not one of Optuna's of a known version.
        """
        import optuna  # noqa: PLC0415 - `sweep best` reads without it

        url, options = self._reading
        options = options | {"poolclass": sqlalchemy.pool.NullPool}  # many may exist beside each other
        with self.reading():  # it says what is wrong
            return optuna.storages.RDBStorage(
                _as_template(url), engine_kwargs=options, skip_compatibility_check=True, skip_table_creation=True
            )

    def make_tables(self, metadata: sqlalchemy.MetaData) -> None:
        """Make tables of our own beside Optuna's, unless they are there."""
        self.storage  # noqa: B018 - Optuna's schema comes first
        with FileLock(self.lock_path(SCHEMA_LOCK), timeout=SCHEMA_SECONDS), self.writing() as connection:
            metadata.create_all(connection)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def exists(self) -> bool:
        """Say whether there is anything to read; a server is taken at its word."""
        return self.file is None or self.file.is_file()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that cannot write and that no writer waits for longer than one query.

        Raises:
            StorageFailed: if there is no database, or it is not one of Optuna's of a known version.
        """
        if not self.exists():
            raise StorageFailed(f"there is no database `{self.shown}`; `sweep run` makes it.")
        try:
            with self.reader.connect() as connection:
                self._check_schema(connection)
                yield connection
        except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise StorageFailed(f"`{self.shown}` cannot be read: {_first_line(error)}") from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open one transaction: all of it is stored at the end, or nothing.

        Raises:
            StorageFailed: if the database refuses.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise StorageFailed(f"`{self.shown}` cannot be written: {_first_line(error)}") from error

    @cached_property
    def tables(self) -> dict[str, sqlalchemy.Table]:
        """Optuna's tables, as the database itself describes them."""
        metadata = sqlalchemy.MetaData()
        with self.reading() as connection:
            metadata.reflect(connection, only=TABLES)
        return dict(metadata.tables)

    @contextlib.contextmanager
    def sole_writer(self, study: str) -> Iterator[None]:
        """Hold the study's lock, which the system frees however this process ends.

        Raises:
            Locked: if another process holds it.
            StorageFailed: if the lock cannot be made.
        """
        with self._sole(study, f"another `sweep run` is writing the study `{study}` in `{self.shown}`."):
            yield

    @contextlib.contextmanager
    def sole_server(self) -> Iterator[None]:
        """Hold the lock of the one service that takes orders for this database, as `sole_writer` does a study's."""
        with self._sole(SERVER_LOCK, f"another `sweep serve` serves `{self.shown}`."):
            yield

    @contextlib.contextmanager
    def _sole(self, name: str, complaint: str) -> Iterator[None]:
        lock = FileLock(self.lock_path(name), timeout=GLANCE_SECONDS)
        try:
            self._make_folder()
            lock.acquire()
        except Timeout as error:
            raise Locked(complaint) from error
        except OSError as error:
            raise StorageFailed(f"`{self.shown}` cannot be locked: {error.strerror}.") from error
        with lock:
            lock.release()  # `with` acquired it once more
            yield

    def is_being_written(self, study: str) -> bool:
        """Say whether a `sweep run` holds the study's lock now."""
        try:
            with self.lock_path(study).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two who look do not see each other
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def lock_path(self, name: str) -> Path:
        """Return the lock file's path: beside an SQLite file, for a server in the system's folder."""
        if self.file is not None:
            return self.file.with_name(f"{self.file.name}.{name}.lock")
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sweep-{digest}.{name}.lock"

    def _make_folder(self) -> None:
        if self.file is not None:
            self.file.absolute().parent.mkdir(parents=True, exist_ok=True)

    @cached_property
    def _known_files(self) -> set[int]:
        """The files, by their inodes, whose schema was found to be right; it stays so."""
        return set()

    def _check_schema(self, connection: Connection) -> None:
        inode = 0 if self.file is None else self.file.stat().st_ino
        if inode in self._known_files:
            return
        self._read_schema(connection)
        self._known_files.add(inode)

    def _read_schema(self, connection: Connection) -> None:
        try:
            made = sqlalchemy.inspect(connection).has_table("version_info")
            query = sqlalchemy.text("SELECT schema_version FROM version_info")
            found = connection.execute(query).scalar() if made else None
        except sqlalchemy.exc.DatabaseError as error:
            raise StorageFailed(f"`{self.shown}` holds no Optuna studies: {_first_line(error)}") from error
        if found is None:
            raise SchemaMissing(f"`{self.shown}` holds no Optuna studies.")
        if found != KNOWN_SCHEMA:
            raise StorageFailed(f"`{self.shown}` has Optuna's schema {found}, this version knows {KNOWN_SCHEMA}.")


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


def _is_no_plain_file(name: str | None) -> bool:
    return name in (None, "", ":memory:") or str(name).startswith("file:")


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
