"""Laws of a database that a newer Optuna made: the same answers and the same trials, by Optuna's own means."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import optuna
import pytest
from optuna.trial import TrialState

from sweep.errors import StorageFailed
from sweep.jobs.queue import JobQueue
from sweep.search.space import SearchSpace
from sweep.store import database as module
from sweep.store.database import Database
from sweep.store.optuna_schema import METADATA
from sweep.store.queries import StoredStudy, study_names
from sweep.store.study import read_documents, write_documents
from sweep.verdict.results import read_best, read_families, read_status, read_trial, read_trials
from tests.fakes import FakeTrainer, make_coordinator, make_plan
from tests.store.test_trials import STRANGE

PLAN = make_plan()
SPACE = SearchSpace(PLAN.search)


def ask_all(database: Database, name: str) -> list[object]:
    stored = StoredStudy(database, name)
    status = read_status(stored)
    return [read_best(stored, 9), read_families(stored), status, read_trials(stored), read_trial(stored, 1)]


@pytest.fixture
def filled(database: Database) -> Database:
    """Hold a study of ours with trials in every state, and one of others with strange trials."""
    study = make_coordinator(database, PLAN, FakeTrainer(diverged=(0,))).study
    make_coordinator(database, PLAN, FakeTrainer(diverged=(0,))).run()
    study.enqueue_trial({"momentum": 0.5})
    for state in (TrialState.FAIL, TrialState.PRUNED):
        study.add_trial(optuna.trial.create_trial(state=state))
    other = optuna.create_study(storage=database.storage, study_name="other", directions=["maximize", "minimize"])
    strange = {name: values[0] for name, values in STRANGE.items()}
    for number in (1.0, float("inf"), float("-inf")):
        steps = {0: 0.5, 3: float("nan")}
        told = optuna.trial.create_trial(values=[0.5, number], user_attrs=strange, intermediate_values=steps)
        other.add_trial(told)
    return database


def test_every_answer_is_that_of_the_known_schema_and_says_so_once(
    filled: Database, newer: Callable[[], Database], capsys: pytest.CaptureFixture[str]
) -> None:
    later = newer()
    for name in ("tiny", "other"):
        assert ask_all(later, name) == ask_all(filled, name)
    assert later.is_newer
    assert not filled.is_newer
    told = capsys.readouterr().err
    assert told.count("has Optuna's schema 13, this version knows 12: it is read and written through Optuna") == 1


def test_its_rows_are_those_of_the_known_schema(filled: Database, newer: Callable[[], Database]) -> None:
    with filled.reading() as one, newer().reading() as other:
        for name, table in METADATA.tables.items():
            columns = [column for column in table.c if not column.primary_key or name in ("studies", "trials")]
            ours, theirs = (
                sorted(map(repr, link.execute(table.select().with_only_columns(*columns)))) for link in (one, other)
            )
            assert ours == theirs, name


def test_a_sweep_is_continued_to_the_same_trials(database: Database, newer: Callable[[], Database]) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        make_coordinator(database, PLAN, FakeTrainer(interrupted_after=5)).run()
    SPACE.suggest(make_coordinator(database, PLAN).study.ask())  # which a dead process left running
    later = newer()
    for each in (database, later):
        assert make_coordinator(each, PLAN).run().finished == 20
    ours, theirs = (read_trials(StoredStudy(each, "tiny")).trials for each in (database, later))
    times = {"began": None, "ended": None}
    assert [trial.model_copy(update=times) for trial in ours] == [trial.model_copy(update=times) for trial in theirs]


def test_what_others_write_is_seen_at_the_next_reading(filled: Database, newer: Callable[[], Database]) -> None:
    later = newer()
    stored = StoredStudy(later, "tiny")
    before = stored.count_finished()
    study = optuna.load_study(study_name="tiny", storage=later.storage)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    study.tell(study.ask(), 0.25)
    assert stored.count_finished() == before + 2
    optuna.delete_study(study_name="tiny", storage=later.storage)
    assert stored.count_finished() == 0
    with later.reading() as connection:
        assert study_names(connection) == {"other"}


def test_documents_are_kept_replaced_and_dropped(filled: Database, newer: Callable[[], Database]) -> None:
    later = newer()
    study_id = later.storage.get_study_id_from_name("tiny")
    write_documents(later, study_id, {"part:a": "1", "record": "[1]"})
    write_documents(later, study_id, {"record": '{"a": 2}'}, drop=["part:a"])
    with later.reading() as connection:
        assert read_documents(connection, study_id, "") == {"record": '{"a": 2}'}


def test_its_studies_may_be_queued_but_optuna_deletes_them(filled: Database, newer: Callable[[], Database]) -> None:
    queue = JobQueue(newer())
    queue.open()
    assert queue.submit(make_plan("another")).job.plan.name == "another"
    with pytest.raises(StorageFailed, match="delete it with `optuna delete-study`"):
        queue.delete("tiny")


def test_an_optuna_that_is_too_old_itself_says_so(
    filled: Database, newer: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = newer()
    with later.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
    with pytest.raises(StorageFailed, match="cannot be opened: The runtime optuna version"), later.reading():
        pass


def test_a_schema_that_is_older_than_ours_is_refused(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN_SCHEMA", 13)
    with (
        pytest.raises(StorageFailed, match="Optuna's schema 12, this version knows 13"),
        Database(filled.url).reading(),
    ):
        pass
