"""Laws of the dashboard: it is for reading only, fresh within seconds, and right as optuna-dashboard itself is."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from optuna_dashboard import save_note, wsgi
from optuna_dashboard._importance import param_importance_cache
from starlette.types import ASGIApp

from sweep.dashboard.app import ANSWERS_KEPT, LEFT_OUT, STUDIES_KEPT, Dashboard, ReadOnlyStorage, StudyStorage, mount
from sweep.dashboard.app import ask as ask_application
from sweep.dashboard.notes import write_notes
from sweep.errors import StorageFailed
from sweep.store.database import Database
from sweep.store.optuna_schema import delete_studies
from tests.fakes import make_coordinator, make_plan, opened
from tests.store.test_database import CUT_SHORT
from tests.verdict import records

GZIP = {"HTTP_ACCEPT_ENCODING": "gzip, br"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ANSWERED = {
    *("/", "/dashboard", "/favicon.ico", "/static/bundle.js", "/api/meta", "/api/studies"),
    *("/api/studies/1", "/api/studies/1/param_importances"),
}
# What optuna-dashboard's own placeholders may stand for.
PLACES = {
    r"<:re:\(/\.\*\)\?>": "",
    r"<filename:path>": "bundle.js",
    r"<\w+_id:int>": "1",
    r"<plot_type>": "contour",
    r"<history_id>": "1",
    r"<artifact_id:re:[^>]*>": "abc",
}
HOSTILE_QUERIES = [
    *("after", "after=", "after=-1", "after=+1", "after=x", "after=1.0", "after=0x1", "after=1e3", "after=%31"),
    *("after=1&after=x", "after=1&other=2", "other=2", "&", "after=" + "9" * 5000, "after=NaN", "after= 1", "after=1;"),
    *("after=\u0661", "after=\xb2", "after=1%00", "%", "after[]=1", "trial_ids=1", "x" * 100_000),
]
HOSTILE_PATHS = [
    *("/api/studies/0", "/api/studies/-1", "/api/studies/x", "/api/studies/" + "9" * 5000, "/api/studies/9999999999"),
    *("/api/studies/1/", "/api/studies/1%2f", "/api/studies/\xb9", "/api/studies/1\n", "/api//studies"),
    *("/api/studies/1/plot/contour", "/api/studies/1/param_importances/x", "/csv/1", "/sql-profiler", "/artifacts/1/a"),
    *("/incompatible-rdb-schema", "/api/trials/1/tell", "/api/llm/trial_filter_query", "/API/META", "", "x", "*"),
    *("/static/", "/static/..", "/static/../index.html", "/static//etc/passwd", "/static/a/../../_app.py"),
    *("/static/\0", "/favicon.ico/", "//api/studies", "/dashboardx", "/index.html", "/metrics", "/api/meta?x"),
]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    chunks: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        packed = self.headers.get("Content-Encoding") == "gzip"
        told: dict[str, Any] = json.loads(gzip.decompress(self.body) if packed else self.body)
        return told


def ask(application: Any, path: str, query: str = "", method: str = "GET", **headers: str) -> Answer:
    """Send one request to a WSGI application."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _: None

    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b'{"state": "complete", "values": ["nan"]}'),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    answered = application(environ | headers, start_response)
    try:
        chunks = list(answered)
    finally:
        getattr(answered, "close", lambda: None)()
    status, told = started[-1]
    return Answer(int(status.split()[0]), dict(told), len(chunks), b"".join(chunks))


def tell(application: Any, study_id: int, after: int = 0) -> dict[str, Any]:
    """Ask for a study that is there."""
    answer = ask(application, f"/api/studies/{study_id}", f"after={after}")
    assert answer.status == 200
    return answer.json


def fresh(database: Database) -> Dashboard:
    """Return a dashboard that reads at every question."""
    return Dashboard(database, fresh_seconds=0)


def digest(database: Database) -> str:
    assert database.file is not None
    return hashlib.sha256(database.file.read_bytes()).hexdigest()


def unordered(study: dict[str, Any]) -> dict[str, Any]:
    """Return a study's answer without what is left out, and with what stands there in any order sorted."""

    def kept(attributes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted((one for one in attributes if one["key"] not in LEFT_OUT), key=lambda one: str(one["key"]))

    changed: dict[str, Any] = {
        name: [trial | {"user_attrs": kept(trial["user_attrs"])} for trial in study[name]]
        for name in ("trials", "best_trials")
    }
    changed |= {name: kept(study[name]) for name in ("user_attrs", "union_user_attrs")}
    changed["plotly_graph_objects"] = sorted(study["plotly_graph_objects"], key=lambda plot: str(plot["id"]))
    for name in ("union_search_space", "intersection_search_space"):
        for space in study[name]:
            space["distribution"].get("choices", []).sort(key=str)
        changed[name] = sorted(study[name], key=str)
    return study | changed


def bare(database: Database, path: str, query: str = "") -> Any:
    """Return what optuna-dashboard answers by itself, with nothing kept from another database."""
    param_importance_cache.clear()
    return json.loads(ask_application(wsgi(database.storage), path, query))


@pytest.fixture(scope="module")
def stored_file(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a study of 20 trials as the coordinator does, once."""
    path = tmp_path_factory.mktemp("stored") / "studies.db"
    shutil.copyfile(empty_file, path)
    with opened(path) as database:
        make_coordinator(database, make_plan()).run()
    return path


@pytest.fixture
def study_id(database: Database, stored_file: Path) -> int:
    """Hold that study."""
    assert database.file is not None
    shutil.copyfile(stored_file, database.file)  # nothing has opened it yet
    return 1


@pytest.fixture(scope="module")
def unchanged(stored_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Hold it for tests that ask only; whatever they ask, not a byte of it changes."""
    path = tmp_path_factory.mktemp("unchanged") / "studies.db"
    shutil.copyfile(stored_file, path)
    with opened(path) as database:
        before = digest(database)
        yield database
        assert digest(database) == before


@pytest.fixture
def motley(database: Database) -> optuna.Study:
    """Store a study as Optuna alone may fill it: every state, every kind of param, value and attribute."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=database.storage, study_name="motley", sampler=sampler)
    study.set_user_attr("text", "<b>&</b>" * 300)
    study.set_user_attr("list", list(range(1000)))
    with pytest.warns(optuna.exceptions.ExperimentalWarning, match="set_metric_names"):
        study.set_metric_names(["loss"])
    for number in range(12):
        trial = study.ask()
        trial.suggest_float("rate", 0.1, 1 + number)
        trial.suggest_int("layers", 1, 9, step=2)
        trial.suggest_categorical("kind", [None, True, 3, 0.5, "x"])
        trial.suggest_float("mixed", 0, 1, step=None if number % 2 else 0.25)
        if number % 2:
            trial.suggest_float("log", 1e-5, 1, log=True)
            trial.suggest_float("stepped", 0, 1, step=0.25)
        for key, value in {"number": number, "flag": True, "none": None, "text": "é\n", "nested": {"a": [1]}}.items():
            trial.set_user_attr(key, value if number else "at first a text")
        for step in range(number % 4):
            trial.report([float("inf"), float("-inf"), float("nan"), 0.5][(step + number) % 4], step)
        state = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL][number % 4]
        study.tell(trial, [float("inf"), 0.25 * number][number > 0] if state is TrialState.COMPLETE else None, state)
    return study


def count_readings(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many trials each reading of trials takes from the database."""
    taken: list[int] = []
    read = optuna.storages.RDBStorage._get_trials

    def reading(self: Any, *arguments: Any, **options: Any) -> list[optuna.trial.FrozenTrial]:
        trials = read(self, *arguments, **options)
        taken.append(len(trials))
        return trials

    monkeypatch.setattr(optuna.storages.RDBStorage, "_get_trials", reading)
    return taken


class TestTable:
    def test_every_route_of_optuna_dashboard_is_answered_or_refused_and_changes_nothing(
        self, unchanged: Database
    ) -> None:
        rules = {route.rule for route in wsgi(InMemoryStorage()).routes}
        assert len(rules) > 25
        before, dashboard = digest(unchanged), fresh(unchanged)
        answered = set()
        for rule in rules:
            path = rule
            for pattern, value in PLACES.items():
                path = re.sub(pattern, value, path)
            assert "<" not in path
            for method in METHODS:
                status = ask(dashboard, path, method=method).status
                expected = {405} if method not in ("GET", "HEAD") else {200, 302} if path in ANSWERED else {404}
                assert status in expected, (method, path)
                answered |= {path} if status in (200, 302) else set()
        assert answered == ANSWERED
        assert digest(unchanged) == before

    def test_nothing_but_reading_is_answered(self, unchanged: Database) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", ""):
            for path in ("/api/studies", "/dashboard", "/nowhere"):
                answer = ask(fresh(unchanged), path, method=method)
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD"), (method, path)

    def test_a_path_that_is_not_allowed_is_not_found(self, unchanged: Database) -> None:
        dashboard = fresh(unchanged)
        answers = {path: ask(dashboard, path) for path in HOSTILE_PATHS}
        assert {path: answer.status for path, answer in answers.items() if answer.status != 404} == {}
        assert all(answer.json["reason"] for answer in answers.values())

    def test_a_query_that_is_not_a_short_number_is_a_bad_request(self, unchanged: Database) -> None:
        dashboard = fresh(unchanged)
        answers = {query: ask(dashboard, "/api/studies/1", query) for query in HOSTILE_QUERIES}
        assert {query: answer.status for query, answer in answers.items() if answer.status != 400} == {}
        assert {answer.headers["Content-Type"] for answer in answers.values()} == {"application/problem+json"}

    def test_what_takes_no_query_gets_none(self, unchanged: Database) -> None:
        for path in ("/api/meta", "/api/studies", "/api/studies/1/param_importances"):
            assert ask(fresh(unchanged), path, "after=0").status == 400, path
            assert ask(fresh(unchanged), path).status == 200, path

    def test_a_study_that_is_not_there_is_not_found(self, unchanged: Database) -> None:
        for path in ("/api/studies/999999999", "/api/studies/2/param_importances"):
            answer = ask(fresh(unchanged), path)
            assert (answer.status, answer.json["title"]) == (404, "Not Found"), path

    def test_it_is_a_lawful_application_whose_head_has_no_body(self, unchanged: Database) -> None:
        dashboard = fresh(unchanged)
        for path in sorted(ANSWERED):
            assert ask(validator(dashboard), path, HTTP_ACCEPT_ENCODING="gzip").status in (200, 302), path
            answer = ask(dashboard, path, method="HEAD")
            assert (answer.status in (200, 302), answer.body) == (True, b""), path

    def test_the_page_offers_nothing_that_is_refused(self, unchanged: Database) -> None:
        assert set(ask(fresh(unchanged), "/api/meta").json.values()) == {False}

    def test_a_proxys_word_moves_nobody_elsewhere(self, unchanged: Database) -> None:
        answer = ask(fresh(unchanged), "/", HTTP_HOST="localhost", HTTP_X_FORWARDED_HOST="elsewhere.example")
        assert answer.headers["Location"] == "http://localhost/dashboard"

    def test_its_files_are_asked_for_again_by_their_tag(self, unchanged: Database) -> None:
        answer = ask(fresh(unchanged), "/static/bundle.js")
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert ask(fresh(unchanged), "/static/bundle.js", HTTP_IF_NONE_MATCH=answer.headers["Etag"]).status == 304


class TestStorage:
    def test_every_method_that_writes_raises(self, unchanged: Database) -> None:
        storage: Any = ReadOnlyStorage(unchanged)
        writing = [
            name for name in vars(optuna.storages.BaseStorage) if name.startswith(("create_", "set_", "delete_"))
        ]
        assert len(writing) == 10
        for name in (*writing, "record_heartbeat"):
            with pytest.raises(TypeError, match="for reading only"):
                getattr(storage, name)(1, "key", "value")

    def test_its_connections_cannot_write_either(self, unchanged: Database) -> None:
        storage = StudyStorage(unchanged, 1)
        with pytest.raises(optuna.exceptions.StorageInternalError):
            storage._backend.set_study_user_attr(1, "key", "value")

    def test_without_a_database_there_is_none(self, new_database: Database) -> None:
        with pytest.raises(StorageFailed, match="there is no database"):
            ReadOnlyStorage(new_database)


class TestAnswers:
    def test_an_empty_database_has_no_studies(self, database: Database) -> None:
        assert ask(fresh(database), "/api/studies").json == {"study_summaries": []}
        assert ask(fresh(database), "/api/studies/1").status == 404

    def test_without_a_database_the_studies_cannot_be_read(self, new_database: Database) -> None:
        dashboard = fresh(new_database)
        for path in ("/api/studies", "/api/studies/1"):
            answer = ask(dashboard, path)
            assert answer.status == 503
            assert str(new_database.file) not in answer.body.decode()
        assert not new_database.exists()
        make_coordinator(new_database, make_plan()).run()
        assert len(tell(dashboard, 1)["trials"]) == 20

    def test_a_schema_of_an_older_version_cannot_be_read(self, database: Database, study_id: int) -> None:
        with database.writing() as connection:
            connection.execute(sqlalchemy.text("UPDATE version_info SET schema_version = 11"))
        with opened(Path(str(database.file))) as reopened:
            assert [ask(fresh(reopened), path).status for path in ("/api/studies", "/api/studies/1")] == [503, 503]

    def test_studies_are_listed_as_optuna_dashboard_lists_them(self, database: Database, motley: optuna.Study) -> None:
        optuna.create_study(storage=database.storage, study_name="two", directions=["minimize", "maximize"])
        assert ask(fresh(database), "/api/studies").json == bare(database, "/api/studies")

    def test_a_study_is_answered_as_optuna_dashboard_answers_it(self, database: Database, motley: optuna.Study) -> None:
        make_coordinator(database, make_plan()).run()
        dashboard = fresh(database)
        for study_id in (1, 2):
            for after in (0, 7, 11, 12, 1000):
                wanted = bare(database, f"/api/studies/{study_id}", f"after={after}")
                assert unordered(tell(dashboard, study_id, after)) == unordered(wanted), (study_id, after)

    def test_what_a_trial_has_too_much_of_is_left_out(self, unchanged: Database) -> None:
        study = tell(fresh(unchanged), 1)
        assert len(study["trials"]) == 20
        shown = {attribute["key"] for trial in study["trials"] for attribute in trial["user_attrs"]}
        assert shown & set(LEFT_OUT) == set()
        assert {"log_loss", "position"} <= shown
        best = max(trial["values"][0] for trial in study["trials"])
        assert [trial["values"] for trial in study["best_trials"]] == [[best]]

    def test_notes_and_plots_of_a_verdict_are_shown(self, database: Database) -> None:
        plan = records.make_plan(trials=20)
        study_id = records.store_study(database, plan)
        write_notes(database, records.make_result(plan))
        found = tell(fresh(database), study_id)
        assert len(found["plotly_graph_objects"]) == 5
        assert unordered(found) == unordered(bare(database, f"/api/studies/{study_id}"))

    def test_of_several_objectives_those_are_best_that_no_other_beats(self, database: Database) -> None:
        study = optuna.create_study(storage=database.storage, directions=["minimize", "maximize"])
        points = [(3.0, 1.0), (1.0, 1.0), (2.0, 3.0), (2.0, 2.0), (float("inf"), 9.0)]
        study.add_trials([create_trial(values=point) for point in points])
        found = tell(fresh(database), 1)["best_trials"]
        assert found == bare(database, "/api/studies/1")["best_trials"]
        assert [trial["number"] for trial in found] == [1, 2, 4]

    @pytest.mark.filterwarnings("ignore::UserWarning")  # of params that few trials have
    def test_params_are_weighed_as_optuna_dashboard_weighs_them(self, database: Database, motley: optuna.Study) -> None:
        spaces = {"rate": FloatDistribution(0, 1), "layers": IntDistribution(0, 5)}
        for number in (0, 1, 2, 12):
            study = optuna.create_study(storage=database.storage, directions=["maximize", "minimize"])
            study.add_trials(
                create_trial(
                    values=[place % 5, place],
                    params={"rate": place / 20, "layers": place % 3},
                    distributions=dict(spaces),
                )
                for place in range(number)
            )
        dashboard = fresh(database)
        for study_id in range(1, 6):
            path = f"/api/studies/{study_id}/param_importances"
            assert by_name(ask(dashboard, path).json) == by_name(bare(database, path)), study_id

    def test_a_study_with_odd_contents_is_an_error_and_the_others_answer_as_before(
        self, database: Database, study_id: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        optuna.create_study(storage=database.storage, study_name="other").add_trials([create_trial(value=1.0)] * 3)
        dashboard = fresh(database)
        first, other, listed = tell(dashboard, study_id), tell(dashboard, 2), ask(dashboard, "/api/studies").json
        odd = {
            "trial_params": ("distribution_json", "'{\"name\": 1'"),
            "trial_user_attributes": ("value_json", "'['"),
            "trial_values": ("value", "NULL"),
            "trials": ("state", "'ODD'"),
        }
        for table, (column, value) in odd.items():
            keep = sqlalchemy.text(f"SELECT {column} FROM {table} WHERE trial_id = 3")
            with database.writing() as connection:
                kept = connection.execute(keep).scalars().first()
                connection.execute(sqlalchemy.text(f"UPDATE {table} SET {column} = {value} WHERE trial_id = 3"))
            answer = ask(fresh(database), "/api/studies/1")
            assert (answer.status, answer.json["status"]) == (404, 404), table
            assert tell(dashboard, 2) == other
            assert ask(dashboard, "/api/studies").json == listed
            with database.writing() as connection:
                mend = sqlalchemy.text(f"UPDATE {table} SET {column} = :kept WHERE trial_id = 3")
                connection.execute(mend, {"kept": kept})
        assert all(
            re.fullmatch(r"\w+ in an answer to optuna-dashboard's page", one.getMessage())
            for one in caplog.records
            if one.name == "sweep.server"
        )
        assert unordered(tell(dashboard, study_id))["trials"][0] == unordered(first)["trials"][0]

    def test_a_client_that_takes_gzip_gets_it_and_all_get_chunks(self, database: Database) -> None:
        study, text = optuna.create_study(storage=database.storage), np.random.default_rng(0).bytes(150_000).hex()
        study.add_trials([create_trial(value=1.0, user_attrs={"text": text})] * 3)
        plain, packed = (ask(fresh(database), "/api/studies/1", **headers) for headers in ({}, GZIP))
        assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert packed.json == plain.json
        assert len(packed.body) < len(plain.body)
        assert min(packed.chunks, plain.chunks) > 1


def by_name(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {param["name"]: (param["distribution"], pytest.approx(param["importance"])) for param in objective}
        for objective in answer["param_importances"]
    ]


class TestReading:
    def test_a_poll_reads_new_trials_alone(
        self, database: Database, study_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken, dashboard = count_readings(database, monkeypatch), fresh(database)
        assert len(tell(dashboard, study_id)["trials"]) == 20
        assert tell(dashboard, study_id, 20)["trials"] == []
        assert sum(taken) == 20
        make_coordinator(database, make_plan(trials=28)).run()
        taken.clear()
        assert [trial["number"] for trial in tell(dashboard, study_id, 20)["trials"]] == list(range(20, 28))
        assert sum(taken) == 8
        assert unordered(tell(dashboard, study_id)) == unordered(tell(fresh(database), study_id))

    def test_questions_within_a_moment_are_answered_from_memory(
        self, database: Database, study_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dashboard = Dashboard(database, fresh_seconds=3600)
        first = tell(dashboard, study_id)
        make_coordinator(database, make_plan(trials=28)).run()
        monkeypatch.setattr(type(database), "reading", None)
        assert tell(dashboard, study_id) == first

    def test_an_answer_is_kept_while_the_study_stays_as_it_is(
        self, database: Database, study_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dashboard, asked = fresh(database), list[str]()

        def counting(application: Any, path: str, query: str) -> bytes:
            asked.append(query)
            return ask_application(application, path, query)

        monkeypatch.setattr("sweep.dashboard.app.ask", counting)
        for query in ("after=0", "after=1", "after=0", "after=1"):
            assert ask(dashboard, "/api/studies/1", query).status == 200
        assert asked == ["after=0", "after=1"]
        for number in range(ANSWERS_KEPT):
            ask(dashboard, "/api/studies/1", f"after={number + 2}")
        asked.clear()
        ask(dashboard, "/api/studies/1", "after=0")
        assert asked == ["after=0"]

    def test_a_trial_is_followed_until_it_has_finished(self, database: Database) -> None:
        study, dashboard = optuna.create_study(storage=database.storage), fresh(database)
        study.enqueue_trial({"rate": 0.5})
        study.add_trial(create_trial(value=1.0))
        (waiting, _) = tell(dashboard, 1)["trials"]
        assert (waiting["state"], waiting["params"]) == ("Waiting", [])
        assert waiting["fixed_params"] == [{"name": "rate", "param_external_value": "0.5"}]
        trial = study.ask()
        trial.suggest_float("rate", 0, 1)
        assert [trial["state"] for trial in tell(dashboard, 1)["trials"]] == ["Running", "Complete"]
        study.tell(trial, 0.25)
        found = tell(dashboard, 1)
        assert [trial["state"] for trial in found["trials"]] == ["Complete", "Complete"]
        assert [trial["number"] for trial in found["best_trials"]] == [0]
        assert found == tell(fresh(database), 1)

    def test_a_note_on_an_old_trial_is_shown(self, database: Database, study_id: int) -> None:
        dashboard = fresh(database)
        tell(dashboard, study_id)
        study = optuna.load_study(study_name="tiny", storage=database.storage)
        save_note(optuna.trial.Trial(study, study.trials[4]._trial_id), "look at this")
        save_note(study, "a study")
        found = tell(dashboard, study_id)
        assert [trial["note"]["body"] for trial in found["trials"] if trial["note"]["version"]] == ["look at this"]
        assert found["note"] == {"version": 1, "body": "a study"}

    def test_a_deleted_study_is_gone(self, database: Database, study_id: int) -> None:
        dashboard = fresh(database)
        tell(dashboard, study_id)
        delete(database, "tiny")
        assert ask(dashboard, "/api/studies/1").status == 404

    @pytest.mark.parametrize("trials", [8, 20, 28])
    def test_another_study_under_an_old_id_is_shown_as_it_is(
        self, database: Database, study_id: int, trials: int
    ) -> None:
        dashboard, importances = fresh(database), "/api/studies/1/param_importances"
        first, _ = tell(dashboard, study_id), ask(dashboard, importances)
        delete(database, "tiny")
        make_coordinator(database, make_plan(trials=trials, sampler_seed=1)).run()
        found = tell(dashboard, study_id)
        assert len(found["trials"]) == trials
        assert found["trials"][:8] != first["trials"][:8]
        assert unordered(found) == unordered(tell(fresh(database), study_id))
        assert by_name(ask(dashboard, importances).json) == by_name(bare(database, importances))

    def test_a_trial_that_came_late_is_not_missed(self, database: Database, study_id: int) -> None:
        hide = sqlalchemy.text("UPDATE trials SET study_id = :study WHERE trial_id = 5")
        dashboard = fresh(database)
        with database.writing() as connection:
            connection.execute(hide, {"study": None})
        assert len(tell(dashboard, study_id)["trials"]) == 19
        with database.writing() as connection:
            connection.execute(hide, {"study": study_id})
        assert [trial["number"] for trial in tell(dashboard, study_id)["trials"]] == list(range(20))

    def test_few_studies_are_kept_and_unknown_ones_displace_none(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken, dashboard = count_readings(database, monkeypatch), fresh(database)
        for number in range(STUDIES_KEPT + 1):
            study = optuna.create_study(storage=database.storage, study_name=f"study {number}")
            study.add_trials([create_trial(value=1.0)] * 3)
            tell(dashboard, number + 1)
        for unknown in range(100, 120):
            assert ask(dashboard, f"/api/studies/{unknown}").status == 404
        taken.clear()
        tell(dashboard, 2)
        assert sum(taken) == 0
        tell(dashboard, 1)
        assert sum(taken) == 3

    def test_many_who_ask_at_once_get_the_same_from_one_reading(
        self, database: Database, study_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken, dashboard = count_readings(database, monkeypatch), Dashboard(database, fresh_seconds=3600)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: tell(dashboard, study_id), range(8)))
        assert found == [found[0]] * 8
        assert sum(taken) == 20

    def test_it_reads_beside_an_open_transaction(self, database: Database, study_id: int) -> None:
        with database.writing() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO trials (number, study_id, state) VALUES (20, 1, 'FAIL')"))
            assert len(tell(fresh(database), study_id)["trials"]) == 20

    def test_it_reads_what_a_killed_writer_left(self, database: Database, study_id: int) -> None:
        subprocess.run([sys.executable, "-c", CUT_SHORT, str(database.file)], check=False)
        assert Path(f"{database.file}-journal").is_file()
        assert len(tell(fresh(database), study_id)["trials"]) == 20
        assert not Path(f"{database.file}-journal").exists()


def delete(database: Database, name: str) -> None:
    with database.writing() as connection:
        delete_studies(connection, [name])


def call(application: ASGIApp, path: str, query: bytes = b"", method: str = "GET") -> tuple[int, bytes]:
    """Send one request to an ASGI application, its query as the bytes that came."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await application(scope, receive, send)

    asyncio.run(run())
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


class TestMount:
    def test_it_answers_over_asgi(self, unchanged: Database) -> None:
        application = mount(unchanged)
        status, body = call(application, "/api/studies/1", b"after=18")
        assert (status, len(json.loads(body)["trials"])) == (200, 2)
        assert call(application, "/dashboard/studies/1/trials", b"numbers=1,2")[0] == 200
        assert call(application, "/api/studies/1", method="DELETE")[0] == 405

    def test_bytes_that_are_no_text_are_a_bad_request(self, unchanged: Database) -> None:
        application = mount(unchanged)
        for query in (b"after=\xff", b"after=\xc2\xb2", b"\x00", b"after=1\r\n"):
            assert call(application, "/api/studies/1", query)[0] == 400, query
            assert call(application, "/dashboard", query)[0] == 200, query
