"""Who may write: one process at a time for each name, wherever it runs, until it ends in whatever way."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from filelock import FileLock
from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

# A look at a lock file holds it for a moment, for which a writer that begins just then waits.
PATIENCE_SECONDS = 1.0
POLL_SECONDS = 0.05
# PostgreSQL shows the halves of a lock's key as unsigned numbers, and `objsubid` 1 for a key in one piece.
IS_HELD = text("""
    SELECT EXISTS (
        SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database() AND l.objsubid = 1
            AND CAST(l.classid AS BIGINT) = :high AND CAST(l.objid AS BIGINT) = :low
    )
""")


class Locks(Protocol):
    """The locks of one database, by name."""

    def sole(self, name: str, patience_seconds: float = PATIENCE_SECONDS) -> AbstractContextManager[None]:
        """Hold a lock; `TimeoutError` if another process or another part of this one holds it that long."""

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
    def sole(self, name: str, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
        """Hold a lock; raises an `OSError` also where no file can be made."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=patience_seconds):
            yield

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

    Args:
        engine: makes a new connection for each use.
    """

    engine: Engine
    _held: dict[int, Connection] = field(default_factory=dict)
    _checking: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def sole(self, name: str, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
        """Hold a lock; raises an `SQLAlchemyError` also where the server cannot be reached."""
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
