"""Laws of the dashboard: it tells what optuna-dashboard would tell, reads what is new, and changes nothing."""

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
from collections.abc import Callable, Iterator, Sequence
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
from starlette.types import ASGIApp

from sweep.dashboard.app import STUDIES_KEPT, Dashboard, mount
from sweep.dashboard.notes import write_notes
from sweep.dashboard.shown_study import widened
from sweep.dashboard.stored_study import LEFT_OUT
from sweep.store.database import Database
from sweep.store.removal import delete_studies
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
BULKY = {"curves": {"rate": [0.1] * 50}, "correct": [100] * 16, "log_losses": [0.1] * 16}
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


def sorted_lists(told: dict[str, Any], trials: str) -> dict[str, Any]:
    """Return a study's answer, or its trials', with what has no order sorted, and without what is left out."""

    def kept(attributes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted((one for one in attributes if one["key"] not in LEFT_OUT), key=lambda one: str(one["key"]))

    changed: dict[str, Any] = {
        name: [trial | {"user_attrs": kept(trial["user_attrs"])} for trial in told[name]]
        for name in ("trials", "best_trials")
    }
    changed["union_user_attrs"] = kept(told["union_user_attrs"])
    changed["plotly_graph_objects"] = sorted(told["plotly_graph_objects"], key=lambda plot: str(plot["id"]))
    return {trials: changed[trials]} if trials else told | changed


@pytest.fixture
def study_id(database: Database) -> int:
    """Store a study of 20 trials as the coordinator does."""
    make_coordinator(database, make_plan()).run()
    return 1


@pytest.fixture(scope="module")
def unchanged(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Hold such a study for tests that ask only; whatever they ask, not a byte of it changes."""
    path = tmp_path_factory.mktemp("unchanged") / "studies.db"
    shutil.copyfile(empty_file, path)
    with opened(path) as database:
        make_coordinator(database, make_plan()).run()
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


@pytest.fixture
def statements(database: Database) -> Iterator[list[tuple[str, int]]]:
    """Collect what is read: each query, and how many values are bound to it."""
    asked: list[tuple[str, int]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, len(parameters)))

    sqlalchemy.event.listen(database.reader, "before_cursor_execute", note)
    yield asked
    sqlalchemy.event.remove(database.reader, "before_cursor_execute", note)


def trials_read(statements: list[tuple[str, int]]) -> int:
    """Return how many trials' params were read, and forget it."""
    found = sum(bound for statement, bound in statements if "FROM trial_params" in statement)
    statements.clear()
    return found


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

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", ""])
    def test_nothing_but_reading_is_answered(self, unchanged: Database, method: str) -> None:
        answer = ask(fresh(unchanged), "/api/studies", method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

    @pytest.mark.parametrize("path", HOSTILE_PATHS)
    def test_a_path_that_is_not_in_the_table_is_not_found(self, unchanged: Database, path: str) -> None:
        answer = ask(fresh(unchanged), path)
        assert answer.status == 404
        assert answer.json["reason"]

    @pytest.mark.parametrize("query", HOSTILE_QUERIES)
    def test_a_query_that_is_not_a_short_number_is_a_bad_request(self, unchanged: Database, query: str) -> None:
        answer = ask(fresh(unchanged), "/api/studies/1", query)
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")

    @pytest.mark.parametrize("path", ["/api/meta", "/api/studies", "/api/studies/1/param_importances"])
    def test_what_takes_no_query_gets_none(self, unchanged: Database, path: str) -> None:
        assert ask(fresh(unchanged), path, "after=0").status == 400
        assert ask(fresh(unchanged), path).status == 200

    @pytest.mark.parametrize("path", ["/api/studies/999999999", "/api/studies/2/param_importances"])
    def test_a_study_that_is_not_there_is_not_found(self, unchanged: Database, path: str) -> None:
        answer = ask(fresh(unchanged), path)
        assert (answer.status, answer.json["title"]) == (404, "Not Found")

    @pytest.mark.parametrize("path", sorted(ANSWERED))
    def test_head_has_no_body(self, unchanged: Database, path: str) -> None:
        answer = ask(fresh(unchanged), path, method="HEAD")
        assert (answer.status in (200, 302), answer.body) == (True, b"")

    @pytest.mark.parametrize("path", sorted(ANSWERED))
    def test_it_is_a_lawful_application(self, unchanged: Database, path: str) -> None:
        assert ask(validator(fresh(unchanged)), path, HTTP_ACCEPT_ENCODING="gzip").status in (200, 302)

    def test_the_page_offers_nothing_that_is_refused(self, unchanged: Database) -> None:
        assert set(ask(fresh(unchanged), "/api/meta").json.values()) == {False}

    def test_a_proxys_word_moves_nobody_elsewhere(self, unchanged: Database) -> None:
        answer = ask(fresh(unchanged), "/", HTTP_HOST="localhost", HTTP_X_FORWARDED_HOST="elsewhere.example")
        assert answer.headers["Location"] == "http://localhost/dashboard"

    def test_its_files_are_asked_for_again_by_their_tag(self, unchanged: Database) -> None:
        answer = ask(fresh(unchanged), "/static/bundle.js")
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert ask(fresh(unchanged), "/static/bundle.js", HTTP_IF_NONE_MATCH=answer.headers["Etag"]).status == 304


class TestAnswers:
    def test_an_empty_database_has_no_studies(self, database: Database) -> None:
        assert ask(fresh(database), "/api/studies").json == {"study_summaries": []}
        assert ask(fresh(database), "/api/studies/1").status == 404

    def test_without_a_database_the_studies_cannot_be_read(self, new_database: Database) -> None:
        answer = ask(fresh(new_database), "/api/studies")
        assert answer.status == 503
        assert str(new_database.file) not in answer.body.decode()
        assert not new_database.exists()

    def test_studies_are_listed_as_optuna_dashboard_lists_them(self, database: Database, motley: optuna.Study) -> None:
        optuna.create_study(storage=database.storage, study_name="two", directions=["minimize", "maximize"])
        (found,) = ask(fresh(database), "/api/studies").json.values()
        (wanted,) = ask(wsgi(database.storage), "/api/studies").json.values()
        assert [{key: study[key] for key in told} for study, told in zip(found, wanted, strict=True)] == wanted

    def test_a_study_is_told_as_optuna_dashboard_tells_it(self, database: Database, motley: optuna.Study) -> None:
        ours, theirs = fresh(database), wsgi(database.storage)
        for after in (0, 7, 11, 12, 1000):
            found, wanted = tell(ours, 1, after), tell(theirs, 1, after)
            for told in (found, wanted):  # it draws choices, and spaces of one name, in any order
                for space in (*told["union_search_space"], *told["intersection_search_space"]):
                    space["distribution"].get("choices", []).sort(key=str)
                told["union_search_space"].sort(key=str)
            assert sorted_lists(found, "") == sorted_lists(wanted, "")

    def test_a_sweeps_trials_are_told_without_what_cannot_be_shown(self, database: Database, study_id: int) -> None:
        found, wanted = tell(fresh(database), study_id), tell(wsgi(database.storage), study_id)
        assert sorted_lists(found, "trials") == sorted_lists(wanted, "trials")
        assert len(found["trials"]) == 20
        shown = {attribute["key"] for trial in found["trials"] for attribute in trial["user_attrs"]}
        assert shown & set(LEFT_OUT) == set()
        assert {"schedule", "log_loss", "diverged", "validation_rows"} <= shown
        best = max(trial["values"][0] for trial in found["trials"])
        assert [trial["values"] for trial in found["best_trials"]] == [[best]]

    def test_notes_and_plots_of_a_verdict_are_told(self, database: Database) -> None:
        plan = records.make_plan(trials=20)
        study_id = records.store_study(database, plan)
        write_notes(database, records.make_result(plan))
        found, wanted = (sorted_lists(tell(one, study_id), "") for one in (fresh(database), wsgi(database.storage)))
        assert len(found["plotly_graph_objects"]) == 5
        for key in ("note", "plotly_graph_objects", "trials", "has_intermediate_values", "user_attrs", "directions"):
            assert found[key] == wanted[key]

    def test_of_several_objectives_those_are_best_that_no_other_beats(self, database: Database) -> None:
        study = optuna.create_study(storage=database.storage, directions=["minimize", "maximize"])
        points = [(3.0, 1.0), (1.0, 1.0), (2.0, 3.0), (2.0, 2.0), (float("inf"), 9.0)]
        study.add_trials([create_trial(values=point) for point in points])
        found, wanted = (tell(one, 1)["best_trials"] for one in (fresh(database), wsgi(database.storage)))
        assert found == wanted
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
        for study_id in range(1, 6):
            path = f"/api/studies/{study_id}/param_importances"
            found, wanted = (ask(one, path).json for one in (fresh(database), wsgi(database.storage)))
            assert by_name(found) == by_name(wanted)

    def test_a_nan_that_somebody_stored_hides_no_other_trial(self, database: Database, study_id: int) -> None:
        with database.writing() as connection:
            connection.execute(sqlalchemy.text("UPDATE trial_values SET value = NULL WHERE trial_id = 3"))
        found = tell(fresh(database), study_id)["trials"]
        assert [trial["number"] for trial in found if "values" not in trial] == [2]
        assert ask(fresh(database), "/api/studies/1/param_importances").status == 200

    def test_what_cannot_be_understood_is_not_there(
        self, database: Database, study_id: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        spoil = "UPDATE trial_params SET distribution_json = substr(distribution_json, 2) WHERE trial_id = 3"
        mend = "UPDATE trial_params SET distribution_json = '{' || distribution_json WHERE trial_id = 3"
        dashboard = fresh(database)
        with database.writing() as connection:
            connection.execute(sqlalchemy.text(spoil))
        answer = ask(dashboard, "/api/studies/1")
        assert (answer.status, answer.json["detail"]) == (404, "this study cannot be shown.")
        assert [record.getMessage() for record in caplog.records] == [
            "JSONDecodeError in an answer to optuna-dashboard's page"
        ]
        with database.writing() as connection:
            connection.execute(sqlalchemy.text(mend))
        assert tell(dashboard, study_id) == tell(fresh(database), study_id)

    def test_whoever_takes_it_packed_gets_it_packed(self, database: Database, study_id: int) -> None:
        plain = ask(fresh(database), "/api/studies/1")
        packed = ask(fresh(database), "/api/studies/1", **GZIP)
        assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert packed.json == plain.json
        assert len(packed.body) < len(plain.body) / 5

    def test_a_large_answer_comes_in_chunks(self, database: Database) -> None:
        study, text = optuna.create_study(storage=database.storage), np.random.default_rng(0).bytes(150_000).hex()
        study.add_trials([create_trial(value=1.0, user_attrs={"text": text})] * 3)
        plain, packed = (ask(fresh(database), "/api/studies/1", **asking) for asking in ({}, GZIP))
        assert packed.json == plain.json
        assert packed.chunks > 1


def by_name(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {param["name"]: (param["distribution"], pytest.approx(param["importance"])) for param in objective}
        for objective in told["param_importances"]
    ]


class TestReading:
    def test_a_poll_reads_new_trials_alone(
        self, database: Database, study_id: int, statements: list[tuple[str, int]]
    ) -> None:
        dashboard = fresh(database)
        assert len(tell(dashboard, study_id)["trials"]) == 20
        assert trials_read(statements) == 20
        assert tell(dashboard, study_id, 20)["trials"] == []
        assert trials_read(statements) == 1  # the last: it tells that this is the same study
        make_coordinator(database, make_plan(trials=28)).run()
        statements.clear()
        assert [trial["number"] for trial in tell(dashboard, study_id, 20)["trials"]] == list(range(20, 28))
        assert trials_read(statements) == 9
        assert tell(dashboard, study_id) == tell(fresh(database), study_id)

    def test_what_is_left_out_is_not_read(self, database: Database, statements: list[tuple[str, int]]) -> None:
        study = optuna.create_study(storage=database.storage)
        study.add_trial(create_trial(value=1.0, user_attrs=BULKY | {"position": 3}))
        assert tell(fresh(database), 1)["union_user_attrs"] == [{"key": "position", "sortable": True}]
        (read,) = [statement for statement, _ in statements if "FROM trial_user_attributes" in statement]
        assert "NOT IN" in read

    def test_questions_within_a_moment_are_answered_from_memory(
        self, database: Database, study_id: int, statements: list[tuple[str, int]]
    ) -> None:
        dashboard = Dashboard(database, fresh_seconds=3600)
        first = tell(dashboard, study_id)
        make_coordinator(database, make_plan(trials=28)).run()
        statements.clear()
        assert tell(dashboard, study_id) == first
        assert statements == []

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
        told = tell(dashboard, 1)
        assert [trial["state"] for trial in told["trials"]] == ["Complete", "Complete"]
        assert [trial["number"] for trial in told["best_trials"]] == [0]
        assert told == tell(fresh(database), 1)

    def test_a_note_on_an_old_trial_is_told(self, database: Database, study_id: int) -> None:
        dashboard = fresh(database)
        tell(dashboard, study_id)
        study = optuna.load_study(study_name="tiny", storage=database.storage)
        save_note(optuna.trial.Trial(study, study.trials[4]._trial_id), "look at this")
        save_note(study, "a study")
        told = tell(dashboard, study_id)
        assert [trial["note"]["body"] for trial in told["trials"] if trial["note"]["version"]] == ["look at this"]
        assert told["note"] == {"version": 1, "body": "a study"}

    def test_a_deleted_study_is_gone(self, database: Database, study_id: int) -> None:
        dashboard = fresh(database)
        tell(dashboard, study_id)
        delete(database, "tiny")
        assert ask(dashboard, "/api/studies/1").status == 404

    @pytest.mark.parametrize("trials", [8, 20, 28])
    def test_another_study_under_an_old_id_is_told_as_it_is(
        self, database: Database, study_id: int, trials: int
    ) -> None:
        dashboard, importances = fresh(database), "/api/studies/1/param_importances"
        first, _ = tell(dashboard, study_id), ask(dashboard, importances)
        delete(database, "tiny")
        make_coordinator(database, make_plan(trials=trials, sampler_seed=1)).run()
        told = tell(dashboard, study_id)
        assert len(told["trials"]) == trials
        assert told["trials"][:8] != first["trials"][:8]
        assert told == tell(fresh(database), study_id)
        assert ask(dashboard, importances).json == ask(fresh(database), importances).json

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
        self, database: Database, statements: list[tuple[str, int]]
    ) -> None:
        dashboard = fresh(database)
        for number in range(STUDIES_KEPT + 1):
            study = optuna.create_study(storage=database.storage, study_name=f"study {number}")
            study.add_trials([create_trial(value=1.0)] * 3)
            tell(dashboard, number + 1)
        for unknown in range(100, 120):
            assert ask(dashboard, f"/api/studies/{unknown}").status == 404
        statements.clear()
        tell(dashboard, 2)
        assert trials_read(statements) == 1
        tell(dashboard, 1)
        assert trials_read(statements) == 3

    def test_weights_of_a_study_that_grows_may_be_some_moments_old(self, database: Database, study_id: int) -> None:
        dashboard, path = fresh(database), "/api/studies/1/param_importances"
        first = ask(dashboard, path).json
        make_coordinator(database, make_plan(trials=28)).run()
        assert ask(dashboard, path).json == first
        assert ask(fresh(database), path).json != first

    def test_many_who_ask_at_once_get_the_same_from_one_reading(
        self, database: Database, study_id: int, statements: list[tuple[str, int]]
    ) -> None:
        dashboard = Dashboard(database, fresh_seconds=3600)
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda _: tell(dashboard, study_id), range(8)))
        assert told == [told[0]] * 8
        assert trials_read(statements) == 20

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
        delete_studies(connection, database.tables, [name])


class TestWidened:
    @pytest.mark.parametrize(
        ("one", "other", "wider"),
        [
            ({"low": 0.1, "high": 1.0}, {"low": 0.5, "high": 2.0}, {"low": 0.1, "high": 2.0}),
            ({"choices": ["a", "b"]}, {"choices": ["c", "b"]}, {"choices": ["a", "b", "c"]}),
            ({"low": 1, "high": 2, "log": True}, {"low": 1, "high": 2, "log": False}, None),
            ({"low": 1, "high": 2, "type": "a"}, {"low": 1, "high": 2, "type": "b"}, None),
        ],
        ids=["range", "choices", "log", "type"],
    )
    def test_it_holds_both_or_is_none(
        self, one: dict[str, Any], other: dict[str, Any], wider: dict[str, Any] | None
    ) -> None:
        assert widened(one, other) == wider
        assert widened(one, one) == one


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

    @pytest.mark.parametrize("query", [b"after=\xff", b"after=\xc2\xb2", b"\x00", b"after=1\r\n"])
    def test_bytes_that_are_no_text_are_a_bad_request(self, unchanged: Database, query: bytes) -> None:
        assert call(mount(unchanged), "/api/studies/1", query)[0] == 400
        assert call(mount(unchanged), "/dashboard", query)[0] == 200


def test_a_database_that_was_opened_elsewhere_meanwhile_is_read(tmp_path: Path) -> None:
    with opened(tmp_path / "later.db") as database:
        dashboard = fresh(database)
        assert ask(dashboard, "/api/studies").status == 503
        make_coordinator(database, make_plan()).run()
        assert len(tell(dashboard, 1)["trials"]) == 20
