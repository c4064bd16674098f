"""Laws of which studies a list shows."""

from __future__ import annotations

import pytest

from sweep.server.web.listing import LISTED, list_studies, rows
from sweep.store.database import Database
from tests.jobs.conftest import plan_of
from tests.server.served import Site, site_of
from tests.verdict.records import make_plan, store_study


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


def test_what_is_queued_stands_on_the_first_page_alone(site: Site) -> None:
    book = site.state.service.queue
    for number in range(LISTED + 1):
        book.import_study(plan_of(f"a{number:02}"))
    book.submit(plan_of("z"))
    first, second = list_studies(site.state, ""), list_studies(site.state, f"a{LISTED - 1:02}")
    assert first.rows[0].study.study == "z"
    assert len(first.rows) == LISTED + 1
    assert first.next_after == f"a{LISTED - 1:02}"
    assert [row.study.study for row in second.rows] == [f"a{LISTED:02}"]
    assert second.next_after is None
    assert first.told == second.told == "1 running or queued, 51 at rest."


def test_tuned_baselines_are_left_out(site: Site, database: Database) -> None:
    store_study(database, make_plan(trials=8))
    assert [row.study.study for row in list_studies(site.state, "").rows] == ["ionosphere"]


def test_a_study_that_goes_while_it_is_looked_at_is_left_out(site: Site) -> None:
    site.state.service.queue.submit(plan_of("here"))
    assert [row.study.study for row in rows(site.state, ["gone", "here"])] == ["here"]
