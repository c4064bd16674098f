"""Laws of what pages say of a study, with numbers only where they are known, and of which studies a list shows."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.jobs.queue import Progress
from sweep.jobs.studies import StudyAnswer
from sweep.server.presenters import LISTED, Listing, Row, left, setting
from sweep.store.database import Database
from tests.jobs.conftest import plan_of
from tests.server.served import Site, site_of
from tests.verdict.records import make_plan, store_study


def study(**told: Any) -> StudyAnswer:
    usual: dict[str, Any] = {"study": "one", "running": False, "trials": {}, "wanted": 20}
    usual |= {"verdict": "none", "state": "queued"}
    return StudyAnswer(**usual | told)


class TestProgress:
    def test_what_its_process_tells_counts_before_its_trials(self) -> None:
        pace = Progress(part="race", done=5, wanted=10)
        found = Row(study(trials={"complete": 20}, progress=pace)).progress
        assert found is not None
        assert (found.done, found.wanted, found.label) == (5, 10, "race: 5 of 10 trainings")
        assert (found.pace, found.left) == ("", "")

    def test_a_part_without_work_is_no_division_by_nothing(self) -> None:
        found = Row(study(progress=Progress(part="race", done=0, wanted=0, trainings_per_second=0.0))).progress
        assert found is not None
        assert (found.done, found.wanted) == (0, 1)

    def test_more_trials_than_wanted_do_not_run_over(self) -> None:
        found = Row(study(trials={"complete": 25})).progress
        assert found is not None
        assert (found.done, found.wanted, found.label) == (20, 20, "25 of 20 candidates")

    def test_a_pace_of_the_past_is_not_told(self) -> None:
        rest, moving = (
            Row(study(candidates_per_second=3.0)).progress,
            Row(study(candidates_per_second=3.0, running=True, seconds_left=600.0)).progress,
        )
        assert rest is not None
        assert moving is not None
        assert (rest.pace, rest.left) == ("", "")
        assert (moving.pace, moving.left) == ("3.0 candidates a second", "about 10 min left")

    def test_without_a_number_to_come_to_there_is_none(self) -> None:
        assert Row(study(wanted=None)).progress is None


@pytest.mark.parametrize(
    ("best", "told"),
    [
        (0.9828, "2.59 points above the quoted 95.69%"),
        (0.95, "0.69 points below the quoted 95.69%"),
        (0.95691, "as the quoted 95.69%"),
        (None, ""),
    ],
)
def test_the_best_is_held_against_the_quoted(best: float | None, told: str) -> None:
    assert Row(study(best=best, quoted_baseline=0.9569)).against == told


def test_without_a_quoted_baseline_nothing_is_held_against_it() -> None:
    assert Row(study(best=0.9)).against == ""


@pytest.mark.parametrize(
    ("state", "running", "elsewhere"),
    [
        ("running", True, False),
        ("stopping", True, False),
        ("unmanaged", True, True),
        ("done", True, True),
        ("done", False, False),
    ],
)
def test_a_study_that_runs_but_not_here_runs_elsewhere(state: str, running: bool, elsewhere: bool) -> None:
    assert Row(study(state=state, running=running)).is_elsewhere is elsewhere


def test_times_grow_coarser_with_their_length() -> None:
    told = [left(seconds) for seconds in (0, 19, 20, 89, 90, 5399, 5400, 86400, 200_000)]
    assert told == [
        "a few seconds left", "a few seconds left", "about 20 s left", "about 90 s left", "about 2 min left",
        "about 90 min left", "about 1.5 h left", "about 24.0 h left", "about 2 days left",
    ]  # fmt: skip


def test_a_learning_rate_that_is_no_number_is_left_out() -> None:
    assert setting({"schedule": "mine", "learning_rate": "high", "momentum": 0.5}) == "mine, momentum 0.5"


@pytest.fixture
def site(database: Database) -> Site:
    return site_of(database)


def test_what_is_queued_stands_on_the_first_page_alone(site: Site) -> None:
    book = site.state.service.queue
    for number in range(LISTED + 1):
        book.import_study(plan_of(f"a{number:02}"))
    book.submit(plan_of("z"))
    first, second = Listing.read(site.state, ""), Listing.read(site.state, f"a{LISTED - 1:02}")
    assert first.rows[0].study.study == "z"
    assert len(first.rows) == LISTED + 1
    assert first.next_after == f"a{LISTED - 1:02}"
    assert [row.study.study for row in second.rows] == [f"a{LISTED:02}"]
    assert second.next_after is None
    assert first.summary == second.summary == "1 running or queued, 51 at rest."


def test_tuned_baselines_are_left_out(site: Site, database: Database) -> None:
    store_study(database, make_plan(trials=8))
    assert [row.study.study for row in Listing.read(site.state, "").rows] == ["ionosphere"]


def test_a_study_that_goes_while_it_is_looked_at_is_left_out(site: Site) -> None:
    site.state.service.queue.submit(plan_of("here"))
    site.state.cache.put(("queue",), ["gone", "here"], site.state.cache.generation)
    assert [row.study.study for row in Listing.read(site.state, "").rows] == ["here"]
