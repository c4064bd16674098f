"""Laws of a report that is sent: its page, and the policy that fits it."""

from __future__ import annotations

import re

import pytest
from markupsafe import Markup

from sweep.errors import NotFound, NotYet
from sweep.report.html import Frame, plotly_script
from sweep.report.report import read_report
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from tests.report.test_html import taken_apart
from tests.verdict.records import keep, make_plan, make_record, store_study

PLAN = make_plan(trials=8)
FRAME = Frame(
    bar=Markup('<nav id="bar"></nav>'),
    renew=Markup('<form id="renew"></form>'),
    plotly="/plotly.js",
    stylesheet="/bar.css",
    icon="/icon.svg",
)


@pytest.fixture
def judged(database: Database) -> Database:
    keep(database, store_study(database, PLAN), make_record(PLAN))
    return database


def policy_in(page: str) -> str:
    (meta,) = taken_apart(page).all("meta", **{"http-equiv": "Content-Security-Policy"})
    return str(meta["content"])


def test_the_header_says_what_the_page_says_and_keeps_it_out_of_frames(judged: Database) -> None:
    for frame in (None, FRAME):
        report = read_report(StoredStudy(judged, PLAN.name), frame)
        assert report.policy == f"{policy_in(report.page)}; frame-ancestors 'none'"


def test_without_a_frame_it_needs_nothing_else(judged: Database) -> None:
    report = read_report(StoredStudy(judged, PLAN.name))
    assert plotly_script() in report.page
    assert "'self'" not in report.policy
    assert not re.search(r"<(link|nav|form)\b", report.page)


def test_in_a_frame_it_loads_plotly_and_has_a_bar_at_its_top(judged: Database) -> None:
    report = read_report(StoredStudy(judged, PLAN.name), FRAME)
    read = taken_apart(report.page)
    assert plotly_script() not in report.page
    assert [script["src"] for script in read.all("script") if "src" in script] == ["/plotly.js"]
    assert [link["href"] for link in read.all("link")] == ["/bar.css", "/icon.svg"]
    assert report.page.index('id="bar"') < report.page.index("<h1>")
    assert read.all("form") == []


def test_out_of_date_it_offers_what_the_frame_has(judged: Database) -> None:
    store_study(judged, make_plan(trials=12))
    assert taken_apart(read_report(StoredStudy(judged, PLAN.name), FRAME).page).all("form") == [{"id": "renew"}]
    assert "<code>sweep run</code> makes it anew" in read_report(StoredStudy(judged, PLAN.name)).page


def test_without_a_verdict_there_is_none(database: Database) -> None:
    store_study(database, PLAN)
    with pytest.raises(NotYet, match="has no verdict yet"):
        read_report(StoredStudy(database, PLAN.name))
    with pytest.raises(NotFound, match="no study `other`"):
        read_report(StoredStudy(database, "other"))
