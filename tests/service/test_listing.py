"""Laws of which studies a list shows."""

from __future__ import annotations

import pytest

from sweep.search.database import Database
from sweep.service.listing import LISTED, list_studies, rows
from tests.orders.conftest import plan_of
from tests.review.dossiers import make_plan, store_study
from tests.service.served import Site, site_of


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


def test_what_is_queued_stands_on_the_first_page_alone(site: Site) -> None:
    book = site.house.desk.book
    for number in range(LISTED + 1):
        book.adopt(plan_of(f"a{number:02}"))
    book.place(plan_of("z"))
    first, second = list_studies(site.house, ""), list_studies(site.house, f"a{LISTED - 1:02}")
    assert first.rows[0].study.study == "z"
    assert len(first.rows) == LISTED + 1
    assert first.next_after == f"a{LISTED - 1:02}"
    assert [row.study.study for row in second.rows] == [f"a{LISTED:02}"]
    assert second.next_after is None
    assert first.told == second.told == "1 running or queued, 51 at rest."


def test_tuned_baselines_are_left_out(site: Site, database: Database) -> None:
    store_study(database, make_plan(trials=8))
    assert [row.study.study for row in list_studies(site.house, "").rows] == ["ionosphere"]


def test_a_study_that_goes_while_it_is_looked_at_is_left_out(site: Site) -> None:
    site.house.desk.book.place(plan_of("here"))
    assert [row.study.study for row in rows(site.house, ["gone", "here"])] == ["here"]
