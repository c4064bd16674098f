"""Databases of every kind that a study can be kept in, and a PostgreSQL server where this machine has one."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy

from sweep.store.database import Database
from tests.fakes import closed, opened

UNPRIVILEGED = "postgres"  # as whom a server runs if the tests run as root, which it refuses


@dataclass(frozen=True)
class Spelled:
    """One database under two URLs."""

    database: Database
    again: Database


@dataclass(frozen=True)
class Postgres:
    """A server with two users; `template` holds Optuna's schema."""

    port: int
    numbers: Iterator[int]

    def url(self, name: str, user: str = "sweep", host: str = "127.0.0.1", driver: str = "postgresql") -> str:
        return f"{driver}://{user}:secret%7B@{host}:{self.port}/{name}"

    def run(self, *statements: str) -> None:
        engine = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sqlalchemy.text(statement))
        engine.dispose()

    def new(self, template: str = "template") -> str:
        name = f"studies{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a server of its own on the loopback."""
    programs = [Path(found) for found in [shutil.which("initdb")] if found]
    programs += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if not programs:
        pytest.skip("no PostgreSQL server is installed here")
    folder = Path(tempfile.mkdtemp(prefix="sweep-postgres-"))
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    try:
        password = folder / "password"
        password.write_text("secret{")
        if user is not None:
            for path in (folder, password):
                shutil.chown(path, user)
        data, port = str(folder / "data"), free_port()
        made = ("-D", data, "-U", "sweep", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
        subprocess.run([programs[0], *made], user=user, check=True, capture_output=True, cwd=folder)
        control = [str(programs[0].with_name("pg_ctl")), "-D", data, "-w", "-t", "120"]
        options = f"-p {port} -c listen_addresses=localhost -c unix_socket_directories={folder} -c fsync=off"
        start = [*control, "-l", str(folder / "log"), "-o", options, "start"]
        subprocess.run(start, user=user, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield prepared(Postgres(port, count()))
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], user=user, cwd=folder, check=True, capture_output=True
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepared(server: Postgres) -> Postgres:
    """Make the second user and Optuna's schema."""
    server.run("CREATE ROLE other SUPERUSER LOGIN PASSWORD 'secret{'", "CREATE DATABASE template")
    with closed(Database(server.url("template"))) as database:
        assert database.storage.get_all_studies() == []
    return server


def by_sqlite(request: pytest.FixtureRequest, folder: Path) -> tuple[str, str]:
    shutil.copyfile(request.getfixturevalue("empty_file"), folder / "studies.db")
    return f"sqlite:///{folder / 'studies.db'}", f"sqlite:///{folder / '..' / folder.name / 'studies.db'}"


def by_link(request: pytest.FixtureRequest, folder: Path) -> tuple[str, str]:
    real, _ = by_sqlite(request, folder)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "linked.db").symlink_to(folder / "studies.db")
    return f"sqlite:///{folder / 'elsewhere' / 'linked.db'}", real


def by_postgres(request: pytest.FixtureRequest, _folder: Path) -> tuple[str, str]:
    server: Postgres = request.getfixturevalue("postgres")
    name = server.new()
    return server.url(name), server.url(name, "other", "localhost", "postgresql+psycopg")


KINDS: dict[str, Callable[[pytest.FixtureRequest, Path], tuple[str, str]]] = {
    "sqlite": by_sqlite,
    "sqlite by a link": by_link,
    "postgresql": by_postgres,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def spelled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spelled]:
    """Hold Optuna's schema and no study, under two URLs."""
    first, second = KINDS[request.param](request, tmp_path)
    with closed(Database(first)) as database, closed(Database(second)) as again:
        yield Spelled(database, again)


@pytest.fixture
def on_server(postgres: Postgres) -> Iterator[Database]:
    """Hold Optuna's schema on PostgreSQL."""
    with closed(Database(postgres.url(postgres.new()))) as database:
        yield database


@pytest.fixture
def newer(tmp_path: Path, database: Database) -> Iterator[Callable[[], Database]]:
    """Copy the database as it is now to one whose schema a later Optuna has made."""
    numbers = count()

    with ExitStack() as stack:

        def copied() -> Database:
            path = tmp_path / f"newer{next(numbers)}.db"
            shutil.copyfile(str(database.file), path)
            connection = sqlite3.connect(path)
            connection.execute("UPDATE version_info SET schema_version = 13")
            connection.commit()
            connection.close()
            return stack.enter_context(opened(path))

        yield copied
