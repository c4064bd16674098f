"""Laws of ranges that are widened: where the best rate lies at an end, the search goes on beyond it, twice at most."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweep.config.plan import Plan
from sweep.errors import BadInput
from sweep.space import Range
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import document_of
from sweep.verdict.analysis import read_result
from sweep.verdict.baselines import tuning_plans
from sweep.verdict.progress import work_left
from sweep.verdict.results import read_status
from sweep.verdict.widening import find_wider, read_widened, widened
from tests.fakes import FakeTrainer, make_plan, opened
from tests.protocols import few, make_protocol

FAR = {"low": 0.0001, "high": 0.001, "log": True}  # the fake trainer's best rates lie far above
WIDE = Range(low=0.0001, high=0.0178, log=True)


def plan_of(**search: Any) -> Plan:
    kept: dict[str, Any] = {
        "recipes": (),
        "trials": 24,
        "widen": True,
        "learning_rate": FAR,
        "schedules": {"constant": {}, "step": {}},
    }
    return few(make_plan(**kept | search))


def run(database: Database, plan: Plan, trainer: FakeTrainer | None = None) -> list[str]:
    """Run a study to its verdict, and return what it notes on the way."""
    notes: list[str] = []
    protocol = make_protocol(database, plan, trainer)
    protocol.note = notes.append
    assert protocol.run()
    return notes


def rates_of(database: Database, plan: Plan) -> list[float]:
    with StoredStudy(database, plan.name).reading() as study:
        return sorted(float(trial.params["learning_rate"]) for trial in study.best_trials(100))


@pytest.fixture(scope="module")
def wide_file(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a study whose range is widened, once."""
    path = tmp_path_factory.mktemp("wide") / "studies.db"
    shutil.copyfile(empty_file, path)
    with opened(path) as database:
        notes = run(database, plan_of())
    where = "the best learning rate lies at the end of 0.0001 to"
    assert notes == [
        f"{where} 0.001: searching on up to 0.00316, with 6 more candidates",
        f"{where} 0.00316: searching on up to 0.0178, with 6 more candidates",
    ]
    return path


@pytest.fixture
def wide(wide_file: Path, tmp_path: Path) -> Iterator[Database]:
    """Hold a study whose range was widened twice."""
    shutil.copyfile(wide_file, tmp_path / "wide.db")
    with opened(tmp_path / "wide.db") as database:
        yield database


def test_the_wider_range_is_searched_and_judged(wide: Database) -> None:
    plan = widened(wide, plan_of())
    assert (plan.search.learning_rate, plan.search.trials) == (WIDE, 36)
    counts = [StoredStudy(wide, each.name).count_finished() for each in (plan, *tuning_plans(plan).values())]
    assert counts == [36, 36, 9]
    found = read_result(StoredStudy(wide, plan.name))
    assert found.verdict.current
    assert found.plan == plan
    assert read_status(StoredStudy(wide, plan.name)).wanted == 36
    for candidate in (found.verdict.winner, found.verdict.tuned_constant):
        assert candidate.schedule["learning_rate"] > 0.001


def test_what_is_done_is_not_done_again(wide: Database) -> None:
    assert not work_left(wide, plan_of(), search_only=False)
    trainer = FakeTrainer()
    assert run(wide, plan_of(), trainer) == []
    assert trainer.trained == []


def test_a_run_that_was_stopped_goes_on_in_the_wider_range(wide: Database) -> None:
    stopped = plan_of().model_copy(update={"name": "stopped"})
    with pytest.raises(KeyboardInterrupt):
        run(wide, stopped, FakeTrainer(interrupted_after=57))  # of which the narrow searches have 54
    assert len(run(wide, stopped)) == 1
    assert rates_of(wide, stopped) == rates_of(wide, plan_of())


def test_another_range_in_the_file_takes_its_place(wide: Database) -> None:
    now = plan_of(learning_rate={"low": 0.001, "high": 10.0, "log": True})
    kept = read_widened(wide, now)
    assert kept is not None
    assert (kept.times, kept.of) == (0, now.search.learning_rate)
    as_it_is = plan_of(learning_rate={"low": 0.0001, "high": 0.0178, "log": True}, trials=36)
    assert widened(wide, as_it_is) == as_it_is
    assert find_wider(wide, as_it_is) is None
    assert widened(wide, plan_of(widen=False)) == plan_of(widen=False)


def test_within_a_time_budget_none_is_widened_and_a_wider_one_stays(wide: Database) -> None:
    plan = widened(wide, plan_of(budget=100.0))
    assert (plan.search.learning_rate, plan.search.trials) == (WIDE, 24)
    assert find_wider(wide, plan_of(budget=100.0)) is None


def test_one_that_is_asked_for_later_begins_where_the_study_is(database: Database) -> None:
    assert run(database, plan_of(widen=False)) == []
    assert find_wider(database, plan_of(learning_rate={"low": 1e-9, "high": 1e9, "log": True})) is None  # has room
    assert not work_left(database, plan_of(widen=False), search_only=False)
    assert work_left(database, plan_of(), search_only=False)
    assert not work_left(database, plan_of(), search_only=True)
    wider = find_wider(database, plan_of())
    assert wider is not None
    assert (wider.to.high, wider.times, wider.more) == (0.00316, 1, 6)


@pytest.mark.parametrize("space", [0.1, {"low": 0.1, "high": 0.2}])
def test_a_range_that_is_no_logarithmic_one_stays(database: Database, space: Any) -> None:
    assert find_wider(database, plan_of(learning_rate=space)) is None


def test_a_study_file_that_does_not_ask_for_it_keeps_its_ranges() -> None:
    assert document_of(make_plan())["search"]["widen"] is False
    with pytest.raises(BadInput, match="valid boolean"):
        plan_of(widen="yes")
