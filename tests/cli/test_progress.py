"""Laws of how progress is drawn."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from sweep.cli import progress
from sweep.cli.progress import Bar, JsonLines, Lines, progress_view
from sweep.jobs.progress import Progress


def pace(done: int, best: str = "") -> Progress:
    return Progress(part="schedules", done=done, wanted=3200, trainings_per_second=812.4, best=best)


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, highlight=False, soft_wrap=True)


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    assert isinstance(progress_view(console(terminal=True)), Bar)
    assert isinstance(progress_view(console(terminal=False)), Lines)


def test_a_bar_shows_part_trainings_rate_and_best() -> None:
    drawn = console(terminal=True)
    bar = Bar(drawn)
    with bar:
        bar.begin(pace(0))
        bar.draw(pace(1600, "best 98.71%"))
    assert isinstance(drawn.file, io.StringIO)
    shown = drawn.file.getvalue()
    assert all(part in shown for part in ("schedules", "1600/3200", "812 a second", "best 98.71%"))


def test_a_file_gets_a_line_every_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = console(terminal=False)
    lines = Lines(drawn)
    lines.begin(pace(0))
    for done in (0, 64, 128):
        lines.draw(pace(done))
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    lines.draw(pace(192, "best 98.71%"))
    assert isinstance(drawn.file, io.StringIO)
    assert drawn.file.getvalue().splitlines() == [
        "schedules: 64/3,200 trainings, 812 a second",
        "schedules: 192/3,200 trainings, 812 a second, best 98.71%",
    ]


def test_a_supervisor_gets_every_part_and_everything_better(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines()
    lines.begin(pace(0))
    for told in (pace(64), pace(128), pace(128, "best 98.71%"), pace(192, "best 98.71%")):
        lines.draw(told)
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(document["done"], document["best"]) for document in documents] == [(0, ""), (128, "best 98.71%")]
