"""Laws of the list of studies, and of the files that pages load."""

from __future__ import annotations

import optuna
import pytest

from sweep.jobs.queue import ExitStatus
from sweep.server.pages import FOREVER, address
from sweep.server.presenters import LISTED
from sweep.store.database import Database
from tests.fakes import make_coordinator
from tests.jobs.conftest import plan_of
from tests.report.test_html import said
from tests.server.served import HOSTILE, Site, site_of
from tests.verdict.records import keep, make_plan, make_record, store_study


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


def hrefs(site: Site, path: str = "/") -> list[str | None]:
    return [link.get("href") for link in site.read(path).all("a")]


class TestStudies:
    def test_without_a_study_it_tells_what_to_do(self, site: Site) -> None:
        text = said(site.read("/"), "main")
        assert "There is no study here yet." in text
        assert "Begin with a new study" in text

    def test_a_reader_is_not_offered_what_needs_another_role(self, site: Site) -> None:
        assert "/new" in hrefs(site)
        assert "/new" not in hrefs(site.under("read"))
        assert {"/dashboard", "/docs"} <= set(hrefs(site.under("read")))

    def test_each_study_leads_to_its_page_and_tells_its_state(self, site: Site) -> None:
        site.state.service.queue.submit(plan_of("one", "a note"))
        site.state.service.queue.submit(plan_of("two"))
        read = site.read("/")
        assert {"/studies/one", "/studies/two"} <= {link.get("href") for link in read.all("a")}
        assert "○ queued" in said(read, "li")
        assert "queued, behind 1 other" in said(read, "li")
        assert "0 of 20 candidates" in said(read, "li")
        assert "a note" in said(read, "li")
        assert said(read, "p").startswith("2 running or queued, 0 at rest.")

    def test_what_moves_comes_first(self, site: Site) -> None:
        book = site.state.service.queue
        for name in ("a", "b", "c"):
            book.submit(plan_of(name))
        for name in ("a", "b"):
            book.stop(name)
        assert said(site.read("/"), "h2") == "c a b"

    def test_the_best_is_held_against_the_quoted_baseline(self, site: Site, database: Database) -> None:
        make_coordinator(database, make_plan(trials=20)).run()
        text = said(site.read("/"), "dd")
        assert "points below the quoted 95.69%" in text
        assert "none yet" in text

    def test_a_verdict_is_told_in_its_own_words(self, site: Site, database: Database) -> None:
        plan = make_plan(trials=20)
        keep(database, store_study(database, plan), make_record(plan))
        assert "new rows: the same; these rows: better, not worth it" in said(site.read("/"), "dd")
        store_study(database, make_plan(trials=24))
        site.state.cache.forget()
        assert "new rows: the same; these rows: better, not worth it (out of date)" in said(site.read("/"), "dd")

    def test_a_failure_is_told_with_its_reason(self, site: Site) -> None:
        site.state.service.queue.submit(plan_of("one"))
        site.state.service.queue.claim()
        site.state.service.queue.end("one", ExitStatus(2, f"error: data.file: {HOSTILE} is wrong."))
        read = site.read("/")
        assert "✕ failed" in said(read, "li")
        assert f"data.file: {HOSTILE} is wrong." in said(read, "li")
        assert read.all("img") == []

    def test_a_note_shows_as_it_stands(self, site: Site) -> None:
        site.state.service.queue.submit(plan_of("one", HOSTILE))
        read = site.read("/")
        assert read.all("img") == []
        assert HOSTILE in said(read, "p")

    def test_a_study_that_no_address_can_name_is_shown_without_a_link(self, site: Site, database: Database) -> None:
        optuna.create_study(study_name=HOSTILE, storage=database.storage)
        read = site.read("/")
        assert read.all("img") == []
        assert said(read, "h2") == HOSTILE
        assert "◇ not ordered here" in said(read, "li")
        assert not any(str(link["href"]).startswith("/studies") for link in read.all("a"))

    def test_a_long_list_is_cut_into_pages(self, site: Site) -> None:
        book = site.state.service.queue
        names = [f"s{number:03}" for number in range(LISTED + 2)]
        for name in names:
            book.import_study(plan_of(name))
        assert said(site.read("/"), "h2").split() == names[:LISTED]
        (behind,) = [href for href in hrefs(site) if href and href.startswith("/?after=")]
        assert said(site.read(behind), "h2").split() == names[LISTED:]
        (live,) = site.read(behind).all("div", id="studies")
        assert live["hx-get"] == f"/parts/studies?after=s{LISTED - 1:03}"


class TestLiveness:
    def test_an_open_page_asks_often_while_something_moves_and_seldom_otherwise(self, site: Site) -> None:
        assert site.read("/").all("div", id="studies")[0]["hx-trigger"] == "every 10s, refresh"
        site.state.service.queue.submit(plan_of("one"))
        site.state.cache.forget()
        assert site.read("/").all("div", id="studies")[0]["hx-trigger"] == "every 2s, refresh"

    def test_the_part_is_what_the_page_holds(self, site: Site) -> None:
        site.state.service.queue.submit(plan_of("one"))
        part = site.get("/parts/studies").text
        assert part in site.get("/").text
        assert part.startswith("<div")

    def test_only_one_short_line_is_read_out(self, site: Site) -> None:
        site.state.service.queue.submit(plan_of("one"))
        told = [each for tag, each in site.read("/parts/studies").elements if each.keys() & {"role", "aria-live"}]
        assert told == [{"role": "status", "class": "told"}]


class TestFiles:
    def test_a_file_asked_for_by_its_version_stays_in_the_browser(self, site: Site) -> None:
        answer = site.get(address("app.css"))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, FOREVER)
        assert site.get("/assets/app.css").headers["cache-control"] == "no-cache"

    def test_one_that_is_there_already_is_not_sent_again(self, site: Site) -> None:
        tag = site.get("/assets/app.js").headers["etag"]
        assert site.get("/assets/app.js", if_none_match=tag).status_code == 304

    @pytest.mark.parametrize("path", ["../layout.html", "%2e%2e/layout.html", "nothing.js", "", "vendor"])
    def test_nothing_else_is_there(self, site: Site, path: str) -> None:
        assert site.get(f"/assets/{path}").status_code == 404

    def test_plotly_has_its_version_in_its_address(self, site: Site) -> None:
        from sweep.report import plotly_script, plotly_version

        answer = site.get(f"/assets/plotly-{plotly_version()}.min.js")
        assert answer.text == plotly_script()
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == FOREVER
        assert site.get("/assets/plotly-1.0.0.min.js").status_code == 404
