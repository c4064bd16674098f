"""Laws of the database: what is refused, who waits for whom, and who may write."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from sqlalchemy.engine import Connection

from sweep.errors import BadInput, StorageFailed
from sweep.store import database as module
from sweep.store.database import Database
from sweep.store.queries import StoredStudy, study_names
from sweep.store.study import open_study
from tests.fakes import DATA_SHA256, closed, make_coordinator, make_plan, opened

# A small cache makes SQLite write to the file before the transaction is over.
CUT_SHORT = """
import os, signal, sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.executemany(
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, ?, ?)",
    [(f"key {number}", "x" * 500) for number in range(2000)],
)
os.kill(os.getpid(), signal.SIGKILL)
"""
SCHEMA_CUT_SHORT = """
import os, signal, sys
import sqlalchemy
from sweep.store.database import Database

@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute")
def die(connection, cursor, statement, *rest):
    if statement.strip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

Database(sys.argv[1]).storage
"""


def count_trials(connection: Connection) -> int:
    return int(connection.execute(sqlalchemy.text("SELECT COUNT(*) FROM trials")).scalar_one())


def add_trial(connection: Connection, number: int) -> None:
    query = "INSERT INTO trials (number, study_id, state) VALUES (:number, 1, 'FAIL')"
    connection.execute(sqlalchemy.text(query), {"number": number})


@pytest.fixture
def filled(database: Database) -> Database:
    """Hold one study without trials."""
    open_study(database, make_plan(), DATA_SHA256)
    return database


class TestUrl:
    def test_a_url_that_no_study_can_be_kept_under_is_bad_input(self) -> None:
        no_url, memory = "is not a database URL such as", "in memory is gone at the end"
        reasons = {
            "": no_url,
            "studies.db": no_url,
            "nonsense://host/name": no_url,
            "sqlite+nonsense:///file.db": no_url,
            "postgresql://host:port/name": no_url,
            "mysql://host/name": "must be SQLite or PostgreSQL, got mysql.",
            **dict.fromkeys(["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=1"], memory),
        }
        for url, reason in reasons.items():
            with pytest.raises(BadInput, match=rf"^storage: .*{reason}"):
                Database(url)

    def test_a_password_is_not_shown(self) -> None:
        assert "secret" not in Database("postgresql://me:secret@host/name").shown

    def test_any_file_name_works(self, tmp_path: Path, empty_file: Path) -> None:
        for name in ("{braces}.db", "{0}.db", "a b#c.db", "gerät.db"):
            shutil.copyfile(empty_file, tmp_path / name)
            with opened(tmp_path / name) as database:
                open_study(database, make_plan(), DATA_SHA256)
                assert StoredStudy(database, "tiny").count_finished() == 0
                with database.reading() as connection:
                    assert study_names(connection) == {"tiny"}

    def test_folders_are_made(self, tmp_path: Path) -> None:
        with opened(tmp_path / "new" / "deep" / "studies.db") as database, database.sole_writer("tiny"):
            open_study(database, make_plan(), DATA_SHA256)
        assert (tmp_path / "new" / "deep" / "studies.db").is_file()

    def test_a_tilde_is_the_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        home, here = tmp_path / "a home", tmp_path / "here"
        here.mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(here)
        with closed(Database("sqlite:///~/deep/x.db?timeout=5")) as database, database.sole_writer("tiny"):
            open_study(database, make_plan(), DATA_SHA256)
            assert database.file == home / "deep" / "x.db"
        assert (home / "deep" / "x.db").is_file()
        assert list(here.iterdir()) == []
        with pytest.raises(BadInput, match=r"storage: `sqlite:///~nobody-here/x\.db` names the home of nobody here"):
            Database("sqlite:///~nobody-here/x.db")

    def test_a_server_without_its_driver_is_a_storage_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        database = Database("postgresql+psycopg://me:secret@localhost/name")
        cure = r"the driver psycopg is missing \(.+\); `pip install \"psycopg\[binary\]\"` brings it\.$"
        with pytest.raises(StorageFailed, match=cure), database.reading():
            pass


class TestReading:
    def test_a_missing_database_is_a_storage_failure_and_is_not_made(self, new_database: Database) -> None:
        with pytest.raises(StorageFailed, match="there is no database"), new_database.reading():
            pass
        assert not new_database.exists()

    def test_a_file_that_is_not_sqlite_is_a_storage_failure(self, new_database: Database) -> None:
        assert new_database.file is not None
        new_database.file.write_text("no database\n" * 100)
        with pytest.raises(StorageFailed, match="file is not a database"), new_database.reading():
            pass
        with pytest.raises(StorageFailed, match="file is not a database"):
            _ = new_database.storage

    def test_an_sqlite_file_of_somebody_else_is_a_storage_failure(self, new_database: Database) -> None:
        make_tables(new_database, "CREATE TABLE notes (id INTEGER)")
        with pytest.raises(StorageFailed, match="holds no Optuna studies"), new_database.reading():
            pass

    def test_a_schema_of_another_optuna_is_a_storage_failure(self, new_database: Database) -> None:
        make_tables(
            new_database, "CREATE TABLE version_info (schema_version INTEGER)", "INSERT INTO version_info VALUES (11)"
        )
        with pytest.raises(StorageFailed, match="Optuna's schema 11, this version knows 12"), new_database.reading():
            pass

    def test_a_wrong_query_is_a_storage_failure(self, filled: Database) -> None:
        with pytest.raises(StorageFailed, match="no such table: nonsense"), filled.reading() as connection:
            connection.execute(sqlalchemy.text("SELECT * FROM nonsense"))

    def test_a_transaction_that_a_killed_writer_left_is_undone(self, filled: Database) -> None:
        make_coordinator(filled, make_plan()).run()
        path = str(filled.file)
        subprocess.run([sys.executable, "-c", CUT_SHORT, path], check=False)
        assert Path(f"{path}-journal").is_file()
        assert StoredStudy(filled, "tiny").count_finished() == 20
        assert integrity(filled) == "ok"


class TestWriting:
    def test_a_transaction_that_fails_stores_nothing(self, filled: Database) -> None:
        twice = [{"number": 0, "trial": trial} for trial in (1, 1)]
        query = "INSERT INTO trials (trial_id, number, study_id, state) VALUES (:trial, :number, 1, 'FAIL')"
        with pytest.raises(StorageFailed, match="UNIQUE"), filled.writing() as connection:
            connection.execute(sqlalchemy.text(query), twice)
        with filled.reading() as connection:
            assert count_trials(connection) == 0

    def test_a_reader_sees_the_state_before_an_open_transaction(self, filled: Database) -> None:
        with filled.writing() as writer:
            add_trial(writer, 0)
            with filled.reading() as reader:
                assert count_trials(reader) == 0
        with filled.reading() as reader:
            assert count_trials(reader) == 1

    def test_a_writer_waits_for_a_reader(self, filled: Database) -> None:
        begun = threading.Event()

        def write() -> None:
            with filled.writing() as connection:
                add_trial(connection, 2)
                begun.set()

        with filled.writing() as connection:
            add_trial(connection, 0)
            add_trial(connection, 1)
        with ThreadPoolExecutor(1) as pool, filled.reading() as reader:
            half_read = reader.execution_options(stream_results=True).execute(sqlalchemy.text("SELECT * FROM trials"))
            half_read.fetchone()
            written = pool.submit(write)
            assert begun.wait(10)
            half_read.close()
            written.result(10)
            assert count_trials(reader) == 3

    def test_readers_and_writers_at_once_meet_no_error(self, filled: Database) -> None:
        study = optuna.load_study(study_name="tiny", storage=filled.storage)

        def write_rows() -> None:
            for number in range(30):
                with filled.writing() as connection:
                    add_trial(connection, number)

        def write_attributes() -> None:
            for number in range(30):
                study.set_user_attr("note", number)

        def read() -> list[int]:
            counts = []
            for _ in range(60):
                with filled.reading() as connection:
                    counts.append(count_trials(connection))
            return counts

        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write_rows), pool.submit(write_attributes)]
            readers = [pool.submit(read), pool.submit(read)]
            for writer in writers:
                writer.result(60)
            for reader in readers:
                assert reader.result(60) == sorted(reader.result())
        with filled.reading() as connection:
            assert count_trials(connection) == 30

    @pytest.mark.parametrize("folder", ["file", "folder"])
    def test_a_path_that_cannot_be_a_file_is_a_storage_failure(self, tmp_path: Path, folder: str) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder" / "studies.db").mkdir(parents=True)
        database = Database(f"sqlite:///{tmp_path / folder / 'studies.db'}")
        with pytest.raises(StorageFailed, match="cannot be"), database.sole_writer("tiny"):
            open_study(database, make_plan(), DATA_SHA256)

    def test_a_database_whose_making_was_killed_is_made_at_the_next_start(self, new_database: Database) -> None:
        ended = subprocess.run([sys.executable, "-c", SCHEMA_CUT_SHORT, new_database.url, "INSERT"], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert StoredStudy(new_database, "tiny").count_finished() == 0
        assert make_coordinator(new_database, make_plan()).run().finished == 20

    @pytest.mark.parametrize("start", ["CREATE TABLE studies", "CREATE TABLE version_info"])
    def test_a_database_whose_making_was_cut_short_is_made_at_the_next_start(self, tmp_path: Path, start: str) -> None:
        def stop(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.strip().startswith(start):
                raise KeyboardInterrupt

        with opened(tmp_path / "new.db") as database:
            sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", stop)
            try:
                with pytest.raises(KeyboardInterrupt):
                    _ = database.storage
            finally:
                sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", stop)
            assert StoredStudy(database, "tiny").count_finished() == 0
            assert make_coordinator(database, make_plan(trials=2)).run().finished == 2

    def test_the_schema_is_made_once_by_many_that_open_a_new_file_at_once(self, new_database: Database) -> None:
        code = "import sys; from sweep.store.database import Database; Database(sys.argv[1]).storage"
        started = [subprocess.Popen([sys.executable, "-c", code, new_database.url]) for _ in range(2)]
        assert [process.wait(60) for process in started] == [0, 0]


class TestLocks:
    def test_nobody_writes_a_database_that_is_not_there(self, new_database: Database) -> None:
        assert not new_database.is_being_written("tiny")

    def test_a_study_may_have_any_name(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SCHEMA_SECONDS", 0.1)
        with database.sole_writer("schema"):
            assert open_study(database, make_plan(name="schema"), DATA_SHA256).study_name == "schema"


def make_tables(database: Database, *statements: str) -> None:
    connection = sqlite3.connect(str(database.file))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def integrity(database: Database) -> str:
    connection = sqlite3.connect(str(database.file))
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return str(found)
