"""Laws of a study's own pages: what they tell, whom they let do what, and what a report in a frame may load."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from sweep.config.plan import DataPlan
from sweep.jobs.queue import ExitStatus, JobState, Progress
from sweep.report import plotly_version
from sweep.store.database import Database
from tests.fakes import make_coordinator, opened
from tests.jobs.conftest import plan_of
from tests.report.test_html import Parsed, said, taken_apart
from tests.server.served import HOSTILE, Site, site_of
from tests.verdict.records import keep, make_plan, make_record, store_study


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Hold a study `fresh` with its verdict and hostile labels, and one `ionosphere` whose verdict is out of date."""
    with opened(tmp_path_factory.mktemp("judged") / "studies.db") as database:
        fresh = make_plan(trials=20).model_copy(update={"name": "fresh", "note": HOSTILE})
        keep(database, store_study(database, fresh), make_record(fresh, classes={HOSTILE: 9, "g": 107}))
        old = make_plan(trials=20)
        keep(database, store_study(database, old), make_record(old))
        store_study(database, make_plan(trials=24))
        yield site_of(database)


def submit(site: Site, name: str = "one", note: str = "") -> None:
    """Order a study that the registry's data fit."""
    plan = plan_of(name, note).model_copy(update={"data": DataPlan(name="ionosphere", header=False, scale="none")})
    site.state.service.queue.submit(plan)


def forms(read: Parsed) -> list[str]:
    return [str(each["action"]) for each in read.all("form")]


class TestProgress:
    def test_a_study_without_a_verdict_shows_how_far_it_is(self, site: Site) -> None:
        submit(site, note=f"for you\n{HOSTILE}")
        read = site.read("/studies/one")
        assert read.texts["h1"] == ["one"]
        assert "○ queued" in said(read, "p")
        assert HOSTILE in said(read, "p")
        assert read.all("img") == []
        assert read.all("progress") == [{"max": "20", "value": "0", "aria-label": "Progress of one"}]

    def test_while_it_runs_it_tells_part_pace_and_time_left(self, site: Site) -> None:
        submit(site)
        site.state.service.queue.claim()
        site.state.supervisor.progress["one"] = Progress(part="race", done=40, wanted=100, trainings_per_second=2.0)
        read = site.read("/parts/studies/one")
        assert "● running: race" in said(read, "p")
        assert "race: 40 of 100 trainings · 2 trainings a second · about 30 s left in this part" in said(read, "p")
        assert read.all("div", id="live")[0]["hx-trigger"] == "every 2s, refresh"

    def test_the_best_ten_stand_in_a_table_with_a_heading_for_each_column(self, site: Site, database: Database) -> None:
        make_coordinator(database, make_plan(trials=20)).run()
        read = site.read("/studies/ionosphere")
        assert read.texts["th"] == ["trial", "accuracy", "right rows", "setting"]
        assert len(read.texts["tr"]) == 11
        assert all(heading["scope"] == "col" for heading in read.all("th"))

    def test_a_failure_tells_its_reason(self, site: Site) -> None:
        submit(site)
        site.state.service.queue.claim()
        site.state.service.queue.end("one", ExitStatus(2, "error: data.file: it has changed."))
        assert "Why it failed: data.file: it has changed." in said(site.read("/studies/one"), "p")

    def test_what_can_be_taken_home_is_linked_once_there_is_something(self, site: Site, database: Database) -> None:
        submit(site)
        assert not [link for link in site.read("/studies/one").all("a") if "/v1/" in str(link["href"])]
        make_coordinator(database, make_plan(trials=20)).run()
        links = {link["href"] for link in site.read("/studies/ionosphere").all("a")}
        base = "/v1/studies/ionosphere"
        assert {f"{base}/schedule.py", f"{base}/schedule", f"{base}/trials.csv", "/dashboard/studies/1"} <= links

    def test_a_study_that_others_made_can_be_looked_at(self, site: Site, database: Database) -> None:
        study = optuna.create_study(study_name="odd", storage=database.storage, direction="maximize")
        study.optimize(lambda trial: float(len(trial.suggest_categorical("learning_rate", [HOSTILE]))), n_trials=2)
        read = site.read("/studies/odd")
        assert read.all("img") == []
        assert "◇ not ordered here" in said(read, "p")
        assert forms(read) == ["/studies/odd/delete"]


class TestTable:
    def test_no_cell_of_the_csv_is_a_formula_and_numbers_stay(self, site: Site, database: Database) -> None:
        study = optuna.create_study(study_name="odd", storage=database.storage, direction="minimize")
        study.enqueue_trial({"kind": "=1+1", "rate": -0.5})
        study.enqueue_trial({"kind": "step", "rate": 0.5})

        def objective(trial: optuna.Trial) -> float:
            trial.suggest_categorical("kind", ["=1+1", "step"])
            return trial.suggest_float("rate", -1, 1)

        study.optimize(objective, n_trials=2)
        answer = site.get("/v1/studies/odd/trials.csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="odd.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(row["trial"], row["kind"], row["rate"], row["value"], row["set_aside"]) for row in rows] == [
            ("0", "'=1+1", "-0.5", "-0.5", "False"),
            ("1", "step", "0.5", "0.5", "False"),
        ]
        assert site.get("/v1/studies/none/trials.csv").status_code == 404


class TestActions:
    def test_stop_and_resume_lead_back_to_the_page(self, site: Site) -> None:
        submit(site)
        for action, state in (("stop", JobState.STOPPED), ("resume", JobState.QUEUED)):
            assert f"/studies/one/{action}" in forms(site.read("/studies/one"))
            answer = site.post(f"/studies/one/{action}")
            assert (answer.status_code, answer.headers["location"]) == (303, "/studies/one/run")
            assert site.job_state("one") is state

    def test_what_the_state_does_not_allow_is_told_on_the_page(self, site: Site) -> None:
        submit(site)
        site.post("/studies/one/stop")
        answer = site.post("/studies/one/stop")
        assert answer.status_code == 409
        read = taken_apart(answer.text)
        (summary,) = read.all("div", role="alert")
        assert (summary["tabindex"], "autofocus" in summary) == ("-1", True)
        assert "Nothing was changed. `one` is stopped, so there is nothing to stop." in said(read, "p")

    def test_the_budget_can_be_raised(self, site: Site) -> None:
        submit(site)
        assert site.post("/studies/one/budget", {"trials": " 30 "}).status_code == 303
        assert site.state.service.plan("one").search.trials == 30

    @pytest.mark.parametrize("typed", ["", "20", "many", "-5", "1e3", "9" * 3000, HOSTILE, "20000001"])
    def test_a_budget_that_is_none_comes_back_with_the_reason(self, site: Site, typed: str) -> None:
        submit(site)
        answer = site.post("/studies/one/budget", {"trials": typed})
        assert answer.status_code == 422
        read = taken_apart(answer.text)
        (field,) = read.all("input", id="trials")
        assert field["value"] == typed
        assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "problem-budget")
        assert len(read.all("p", id="problem-budget")) == 1
        assert read.all("img") == []
        assert site.state.service.plan("one").search.trials == 20

    def test_a_study_is_deleted_only_by_its_name_typed_again(self, site: Site) -> None:
        submit(site)
        answer = site.post("/studies/one/delete", {"confirm": "two"})
        assert answer.status_code == 422
        assert "open" in taken_apart(answer.text).all("details")[0]
        assert site.job_state("one") is JobState.QUEUED
        answer = site.post("/studies/one/delete", {"confirm": "one"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert site.get("/studies/one").status_code == 404

    def test_one_that_runs_is_not_deleted(self, site: Site) -> None:
        submit(site)
        site.state.service.queue.claim()
        answer = site.post("/studies/one/delete", {"confirm": "one"})
        assert answer.status_code == 409
        assert "`one` is running; stop it first." in answer.text

    def test_a_study_of_the_same_name_has_nothing_of_the_deleted_one(self, site: Site, database: Database) -> None:
        seen = []
        for seed in (0, 1):
            plan = make_plan()
            search = plan.search.model_copy(update={"trials": 8, "sampler_seed": seed})
            make_coordinator(database, plan.model_copy(update={"search": search})).run()
            seen.append(site.get("/v1/studies/ionosphere/best").json()["best"])
            assert site.ask("DELETE", "/v1/studies/ionosphere").status_code == 204
        assert seen[0] != seen[1]

    def test_a_page_hides_what_its_reader_may_not_do(self, site: Site) -> None:
        submit(site)
        every = {f"/studies/one/{action}" for action in ("stop", "budget", "delete")}
        assert set(forms(site.read("/studies/one"))) == every
        assert set(forms(site.under("run").read("/studies/one"))) == every - {"/studies/one/delete"}
        assert forms(site.under("read").read("/studies/one")) == []

    @pytest.mark.parametrize("action", ["stop", "resume", "budget", "delete"])
    def test_of_a_study_that_is_not_there_the_answer_is_a_page(self, site: Site, action: str) -> None:
        answer = site.post(f"/studies/none/{action}", {"trials": "30", "confirm": "none"})
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")

    def test_a_body_that_is_no_form_is_refused(self, site: Site) -> None:
        submit(site)
        answer = site.ask("POST", "/studies/one/budget", json={"trials": 30})
        assert answer.status_code == 415
        assert site.state.service.plan("one").search.trials == 20


class TestReport:
    def test_a_study_with_a_verdict_is_its_report_under_a_bar(self, judged: Site) -> None:
        read = judged.read("/studies/fresh")
        assert read.texts["h1"] == ["On new rows: the same. On these rows: better, not worth it. "]
        links = [link["href"] for link in read.all("a")]
        assert links[:2] == ["/", "/studies/fresh/run"]
        assert links[3:] == [f"/v1/studies/fresh/{part}" for part in ("schedule.py", "schedule", "trials.csv")]
        assert str(links[2]).startswith("/dashboard/studies/")
        assert [each.get("aria-label") for each in read.all("nav")] == ["Study"]

    def test_its_policy_fits_what_it_loads(self, judged: Site) -> None:
        answer = judged.get("/studies/fresh")
        rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
        read = taken_apart(answer.text)
        running = [
            (script.get("src"), text)
            for script, text in zip(read.all("script"), read.texts["script"], strict=True)
            if script.get("type") != "application/json"
        ]
        assert [source for source, _ in running] == [f"/assets/plotly-{plotly_version()}.min.js", None]
        digest = base64.b64encode(hashlib.sha256(running[1][1].encode()).digest()).decode()
        assert rules["script-src"] == f"'self' 'sha256-{digest}'"
        assert (rules["default-src"], rules["frame-ancestors"]) == ("'none'", "'none'")
        assert rules["form-action"] == "'self'"
        assert len(answer.text) < 1_000_000

    def test_labels_show_as_they_stand(self, judged: Site) -> None:
        read = judged.read("/studies/fresh")
        assert read.all("img") == []
        assert f"recall of {HOSTILE}" in said(read, "th")

    def test_one_out_of_date_can_be_resumed_from_there_by_who_may(self, judged: Site) -> None:
        assert forms(judged.read("/studies/ionosphere")) == ["/studies/ionosphere/resume"]
        assert forms(judged.under("read").read("/studies/ionosphere")) == []
        for role in ("run", "read"):
            assert "This verdict is out of date." in judged.under(role).get("/studies/ionosphere").text
        assert forms(judged.read("/studies/fresh")) == []

    def test_its_progress_stays_reachable_and_leads_back(self, judged: Site) -> None:
        read = judged.read("/studies/fresh/run")
        assert read.texts["h1"] == ["fresh"]
        assert "/studies/fresh" in {link["href"] for link in read.all("a")}
        assert "The verdict is made." in said(read, "p")


class TestErrors:
    @pytest.mark.parametrize(
        "path", ["/studies/none", "/studies/none/run", "/parts/studies/none", "/studies/%3Cimg%3E"]
    )
    def test_an_unknown_study_is_a_page_of_its_own(self, site: Site, path: str) -> None:
        answer = site.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert taken_apart(answer.text).texts["h1"] == ["There is no such page"]

    def test_the_api_keeps_its_problems(self, site: Site) -> None:
        assert site.get("/v1/studies/none").headers["content-type"] == "application/problem+json"

    def test_a_database_that_is_gone_is_told_without_its_place(self, tmp_path: Path, empty_file: Path) -> None:
        path = tmp_path / "gone.db"
        path.write_bytes(empty_file.read_bytes())
        with opened(path) as database:
            site = site_of(database)
            path.write_bytes(b"no database at all")
            answer = site.get("/studies/one")
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        assert taken_apart(answer.text).texts["h1"] == ["The studies cannot be read now"]
