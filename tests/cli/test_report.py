"""Laws of `sweep report`: one file where it is wanted, and one line where there is nothing to report."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.store.database import Database
from tests.cli.conftest import Run
from tests.fakes import opened
from tests.verdict.records import keep, make_plan, make_record, store_study

PLAN = make_plan(trials=20)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Hold a study with its verdict."""
    with opened(tmp_path_factory.mktemp("stored") / "studies.db") as database:
        keep(database, store_study(database, PLAN), make_record(PLAN))
        yield database


@pytest.fixture
def copied(stored: Database, tmp_path: Path) -> Iterator[Database]:
    assert stored.file is not None
    shutil.copyfile(stored.file, tmp_path / "copied.db")
    with opened(tmp_path / "copied.db") as database:
        yield database


def test_the_page_is_named_after_its_study(run: Run, stored: Database, tmp_path: Path) -> None:
    code, out, err = run("report", "ionosphere", "--storage", stored.url)
    assert (code, err) == (0, "")
    assert out == "the report of the study ionosphere: studies/ionosphere.html\n"
    page = (tmp_path / "studies" / "ionosphere.html").read_text(encoding="utf-8")
    assert "On these rows: better, " in page
    assert "out of date" not in page
    assert len(re.findall("<tr><td data-value", page)) == 20


def test_it_is_written_where_it_is_wanted_and_again(run: Run, stored: Database, tmp_path: Path) -> None:
    for _ in range(2):
        code, out, _ = run("report", "ionosphere", "--out", "mine.html", "--storage", stored.url)
        assert (code, out) == (0, "the report of the study ionosphere: mine.html\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]


def test_a_verdict_that_more_trials_came_after_is_out_of_date(run: Run, copied: Database, tmp_path: Path) -> None:
    store_study(copied, make_plan(trials=24))
    assert run("report", "ionosphere", "--storage", copied.url)[0] == 0
    assert "This verdict is out of date." in (tmp_path / "studies" / "ionosphere.html").read_text(encoding="utf-8")


def test_a_study_without_a_verdict_is_one_line(run: Run, tmp_path: Path) -> None:
    with opened(tmp_path / "studies.db") as database:
        store_study(database, PLAN)
        for name, ended, line in (
            ("ionosphere", 3, "the study `ionosphere` has no verdict yet; `sweep run` makes it."),
            ("ionosphear", 2, "there is no study"),
        ):
            code, out, err = run("report", name, "--storage", database.url)
            assert (code, out) == (ended, "")
            assert line in err
            assert err.count("\n") == 1
    assert not (tmp_path / "studies").exists()


def test_a_place_that_cannot_be_written_is_bad_input(run: Run, stored: Database, tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    for out, reason in (
        ("page.pdf", "must end in .html"),
        ("none/page.html", "cannot be written"),
        ("folder.html", "must be a file"),
    ):
        code, said, err = run("report", "ionosphere", "--out", out, "--storage", stored.url)
        assert (code, said) == (2, "")
        assert err.startswith("error: out: ")
        assert reason in err
