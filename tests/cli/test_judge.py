"""Laws of `sweep judge`: what it prints, writes and refuses."""

from __future__ import annotations

from pathlib import Path

from sweep.judging.result import JudgeAnswer
from tests.cli.conftest import Run
from tests.judging.test_answer import table


def test_it_prints_the_answer_and_writes_a_page(run: Run, tmp_path: Path) -> None:
    path, html = tmp_path / "runs.csv", tmp_path / "page.html"
    table(("a", "b")).to_csv(path, index=False)
    code, out, err = run("judge", path, "--baseline", "adam", "--html", html)
    assert (code, err) == (0, "")
    assert "Better than adam, of 2 data sets: lion on 2." in out
    assert "The scores are those of `test`" in out
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    code, out, _ = run("judge", path, "--json")
    assert code == 0
    assert JudgeAnswer.model_validate_json(out).baseline is None


def test_it_complains_in_one_line(run: Run) -> None:
    assert run("judge") == (
        2,
        "",
        "error: file: must be given: a table, JSON lines, an Optuna storage or an MLflow folder.\n",
    )
