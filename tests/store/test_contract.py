"""What every kind of database must do for a study: SQLite, SQLite by a link, and a live PostgreSQL server."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import Locked, StorageFailed
from sweep.search.loop import to_record
from sweep.search.space import SearchSpace
from sweep.store import database as module
from sweep.store import optuna_schema as schema
from sweep.store.database import Database
from sweep.store.queries import StoredStudy, study_names, versions
from sweep.store.study import open_study, read_documents, write_documents
from sweep.store.trials import put_back, store
from sweep.task import MetricName
from tests.fakes import DATA_SHA256, FakeTrainer, closed, make_coordinator, make_plan, opened, outcome_of
from tests.store.conftest import KINDS, Postgres, Spelled
from tests.store.test_queries import rank_key
from tests.store.test_trials import STRANGE

PLAN = make_plan()
SPACE = SearchSpace(PLAN.search)
HOLDER = """
import sys
from sweep.store.database import Database

with Database(sys.argv[1]).sole_writer("tiny"):
    print("held", flush=True)
    sys.stdin.read()
"""


def id_of(database: Database, name: str = "tiny") -> int:
    return database.storage.get_study_id_from_name(name)


def finished(position: int = 0, candidate: int = 0, value: float | None = None) -> FrozenTrial:
    chosen = PLAN.candidates[candidate]
    outcome = outcome_of(chosen, (0, 1))
    trial = optuna.trial.create_trial(
        params=SPACE.params(chosen),
        distributions=SPACE.distributions(chosen.schedule.name),
        value=outcome.value("accuracy"),
        user_attrs=to_record(chosen, outcome, position).attributes(),
    )
    trial.value = outcome.value("accuracy") if value is None else value
    trial.datetime_start = datetime.now(UTC) - timedelta(seconds=20)
    return trial


class TestStore:
    def test_the_tables_are_those_that_the_installed_optuna_makes(self, spelled: Spelled) -> None:
        found = sqlalchemy.MetaData()
        with spelled.database.reading() as connection:
            assert schema.read_version(connection) == schema.KNOWN_SCHEMA
            found.reflect(connection, only=list(schema.METADATA.tables))
        for name, table in schema.METADATA.tables.items():
            known, theirs = set(table.c.keys()), set(found.tables[name].c.keys())
            assert known == theirs or (name == "trial_heartbeats" and known < theirs)

    def test_a_round_is_stored_as_optuna_stores_its_trials(self, spelled: Spelled) -> None:
        study = open_study(spelled.database, PLAN, DATA_SHA256)
        other = open_study(spelled.again, make_plan("other"), DATA_SHA256)
        trials = [finished(0), finished(1, 1), finished(2, value=1.0)]
        store(spelled.database, id_of(spelled.database), trials)
        for trial in trials:
            other.add_trial(trial)
        for ours, optunas in zip(study.trials, other.trials, strict=True):
            for part in ("number", "state", "params", "distributions", "values", "user_attrs", "intermediate_values"):
                assert getattr(ours, part) == getattr(optunas, part)
            assert list(ours.params) == list(optunas.params)
            assert ours.duration is not None
            assert timedelta(seconds=19) < ours.duration < timedelta(seconds=60)
            assert ours.datetime_start is not None
            assert optunas.datetime_start is not None
            assert abs(ours.datetime_start - optunas.datetime_start) < timedelta(seconds=1)
        assert study.ask().number == 3

    def test_a_round_is_stored_whole_or_not_at_all(self, spelled: Spelled) -> None:
        study = open_study(spelled.database, PLAN, DATA_SHA256)
        with pytest.raises(StorageFailed, match=r"cannot be written: (?i:unique|duplicate)"):
            write_twice(spelled.database)
        assert count_rows(spelled.again, schema.PARAMS, schema.TRIAL_USER) == 0
        with pytest.raises(StorageFailed, match="trial at position 1 has the value nan"):
            store(spelled.database, id_of(spelled.database), [finished(0), finished(1, value=math.nan)])
        assert study.trials == []

    def test_a_sweep_that_was_interrupted_goes_on_to_the_same_trials(
        self, spelled: Spelled, uninterrupted: dict[int, tuple[Any, ...]]
    ) -> None:
        database = spelled.database
        with contextlib.suppress(KeyboardInterrupt):
            make_coordinator(database, PLAN, FakeTrainer(interrupted_after=5)).run()
        coordinator = make_coordinator(spelled.again, PLAN)
        coordinator.run()
        assert held(coordinator.study) == uninterrupted

    def test_what_a_dead_process_left_running_waits_again(self, spelled: Spelled) -> None:
        study = open_study(spelled.database, PLAN, DATA_SHA256)
        drawn = SPACE.suggest(study.ask())
        study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
        assert put_back(spelled.again, id_of(spelled.again)) == 1
        assert [trial.state for trial in study.trials] == [TrialState.WAITING, TrialState.FAIL]
        assert SPACE.suggest(study.ask()) == drawn

    def test_a_reader_cannot_write(self, spelled: Spelled) -> None:
        with pytest.raises(StorageFailed, match=r"read-?only"), spelled.database.reading() as connection:
            connection.execute(schema.STUDIES.insert().values(study_name="written"))


class TestQuestions:
    @pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
    def test_trials_rank_alike_in_sql_and_here_whatever_others_keep(self, spelled: Spelled, metric: MetricName) -> None:
        database = spelled.database
        plan = make_plan(metric=metric)
        coordinator = make_coordinator(database, plan, FakeTrainer(diverged=(0,)))
        coordinator.run()
        for place in range(6):
            told = {name: values[min(place, len(values) - 1)] for name, values in STRANGE.items()}
            coordinator.study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs=told))
        coordinator.study.add_trial(optuna.trial.create_trial(value=math.inf))
        with StoredStudy(database, "tiny").reading() as study:
            ranked = study.standings()["trial_id"].tolist()
            here = [row["trial_id"] for row in sorted(study.standings().to_dict("records"), key=rank_key(metric))]
            best = study.best_trials(3)
            assert study.finished_trial(best[0].trial) == best[0]
            assert study.find_trial(26) is not None
            assert [len(study.trials_after(None, 100)), len(study.trials_after(19, 3))] == [27, 3]
            assert {tried.best.schedule for tried in study.best_of_each_schedule(brief=True)} == {"constant", "step"}
            assert len(study.every_trial()) == 26
            assert study.param_names()[:3] == ["learning_rate", "momentum", "schedule"]
            assert study.status().counts == {"complete": 27}
            assert versions(study.connection, ["tiny", "none"]).keys() == {"tiny"}
            assert versions(study.connection, []) == {}
        assert ranked == here
        assert [trial.trial for trial in best] == [trial_id - min(here) for trial_id in here[:3]]

    def test_documents_are_kept_replaced_and_dropped(self, spelled: Spelled) -> None:
        open_study(spelled.database, PLAN, DATA_SHA256)
        study_id, long = id_of(spelled.database), '"' + "x" * 2_000_000 + '"'
        write_documents(spelled.database, study_id, {"part:a": "1", "part:b": "{}", "record": "[1]"})
        write_documents(spelled.database, study_id, {"record": long}, drop=["part:a"])
        with spelled.again.reading() as connection:
            assert read_documents(connection, study_id, "") == {"part:b": "{}", "record": long}
            assert read_documents(connection, study_id, "part:") == {"part:b": "{}"}

    def test_a_study_is_deleted_whole_and_alone(self, spelled: Spelled) -> None:
        for name in ("tiny", "other"):
            make_coordinator(spelled.database, make_plan(name)).run()
            write_documents(spelled.database, id_of(spelled.database, name), {"record": "1"})
        with spelled.again.writing() as connection:
            assert schema.delete_studies(connection, ["tiny", "none"]) == 1
        assert StoredStudy(spelled.database, "other").count_finished() == 20
        with spelled.database.reading() as connection:
            assert study_names(connection) == {"other"}
        with spelled.again.writing() as connection:
            schema.delete_studies(connection, ["other"])
            for table in schema.METADATA.sorted_tables:
                assert connection.execute(table.select()).all() == []


class TestLocks:
    @pytest.mark.parametrize("spelled", KINDS, indirect=True)
    def test_a_second_writer_of_a_study_is_refused_under_either_url(
        self, spelled: Spelled, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
        refused = pytest.raises(Locked, match="another `sweep run` is writing the study `tiny`")
        assert not spelled.again.is_being_written("tiny")
        with spelled.database.sole_writer("tiny"):
            for database in (spelled.database, spelled.again):
                assert database.is_being_written("tiny")
                assert not database.is_being_written("other")
                with refused, database.sole_writer("tiny"):
                    pass
            with spelled.again.sole_writer("other"), spelled.again.sole_server():
                assert spelled.database.is_being_written("other")
                with pytest.raises(Locked, match="another `sweep serve` serves"), spelled.database.sole_server():
                    pass
                open_study(spelled.again, make_plan(), DATA_SHA256)  # which takes the schema's lock
        assert not spelled.again.is_being_written("tiny")
        with spelled.again.sole_writer("tiny"):
            pass

    def test_a_lock_is_free_after_an_interruption(self, spelled: Spelled) -> None:
        with contextlib.suppress(KeyboardInterrupt), spelled.database.sole_writer("tiny"):
            raise KeyboardInterrupt
        assert not spelled.again.is_being_written("tiny")

    def test_a_lock_is_free_after_its_process_is_killed(self, spelled: Spelled) -> None:
        url = sqlalchemy.make_url(spelled.again.url).render_as_string(hide_password=False)
        command = [sys.executable, "-c", HOLDER, url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert spelled.database.is_being_written("tiny")
            with pytest.raises(Locked, match="another `sweep run`"), spelled.database.sole_writer("tiny"):
                pass
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait(10)
        with spelled.database.sole_writer("tiny"):
            assert spelled.database.is_being_written("tiny")


class TestPostgres:
    def test_a_writer_that_lost_its_lock_writes_no_more(self, postgres: Postgres, on_server: Database) -> None:
        open_study(on_server, PLAN, DATA_SHA256)
        with on_server.sole_writer("tiny"):
            store(on_server, id_of(on_server), [finished(0)])
            postgres.run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            with pytest.raises(StorageFailed, match="cannot be written: "):
                store(on_server, id_of(on_server), [finished(1)])
        assert StoredStudy(on_server, "tiny").count_finished() == 1

    def test_a_database_without_tables_holds_no_studies(self, postgres: Postgres) -> None:
        with closed(Database(postgres.url(postgres.new("template0")))) as database:
            assert StoredStudy(database, "tiny").count_finished() == 0
            with pytest.raises(StorageFailed, match="holds no Optuna studies"), database.reading():
                pass

    def test_a_server_that_cannot_be_reached_is_a_storage_failure(self) -> None:
        database = Database("postgresql://me:secret@127.0.0.1:1/name")
        uses = [database.reading(), database.sole_writer("tiny"), database.writing()]
        for use in uses:
            with pytest.raises(StorageFailed, match="name` cannot be") as raised, use:
                pass
            assert "secret" not in str(raised.value)
        with pytest.raises(StorageFailed, match="cannot be read"):
            database.is_being_written("tiny")


def write_twice(database: Database) -> None:
    """Write a trial, and the study a second time, in one transaction."""
    with database.writing() as connection:
        study_id = schema.read_studies(connection)["tiny"]
        schema.insert_trials(connection, study_id, [finished()], [0])
        connection.execute(schema.STUDIES.insert().values(study_id=study_id, study_name="twice"))


def count_rows(database: Database, *tables: sqlalchemy.Table) -> int:
    with database.reading() as connection:
        return sum(len(connection.execute(table.select()).all()) for table in tables)


def held(study: optuna.Study) -> dict[int, tuple[Any, ...]]:
    """Return what each trial holds by its position in the sweep; all of them must be finished."""
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE}
    return {
        trial.user_attrs["position"]: (trial.params, trial.distributions, trial.values, trial.user_attrs)
        for trial in study.trials
    }


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[int, tuple[Any, ...]]:
    with opened(tmp_path_factory.mktemp("uninterrupted") / "studies.db") as database:
        coordinator = make_coordinator(database, PLAN)
        coordinator.run()
        return held(coordinator.study)
