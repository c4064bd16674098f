"""Laws of how progress is shown."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from sweep.cli import run
from sweep.cli.run import Bar, JsonLines, Lines, progress_view
from sweep.jobs.queue import Progress


def sweeping(done: int, best: str = "", part: str = "schedules", rate: float | None = 812.4) -> Progress:
    return Progress(part=part, done=done, wanted=3200, trainings_per_second=rate, best=best)


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, highlight=False, soft_wrap=True)


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    assert isinstance(progress_view(console(terminal=True)), Bar)
    assert isinstance(progress_view(console(terminal=False)), Lines)


def test_a_bar_shows_part_trainings_rate_and_best_and_marks_nothing_up() -> None:
    terminal = console(terminal=True)
    bar = Bar(terminal)
    with bar:
        bar.begin(sweeping(0, part="[/b]race"))
        bar.draw(sweeping(1600, "[red]best 98.71%", part="[/b]race"))
    shown = printed(terminal)
    assert all(part in shown for part in ("[/b]race", "1600/3200", "812 a second", "[red]best 98.71%"))


def test_a_file_gets_a_line_every_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    file = console(terminal=False)
    lines = Lines(file)
    lines.begin(sweeping(32))  # which an earlier run did
    for done in (0, 64, 128):
        lines.draw(sweeping(done))
    monkeypatch.setattr(run, "LINE_SECONDS", 0.0)
    lines.draw(sweeping(192, "best 98.71%", rate=None))
    assert printed(file).splitlines() == [
        "schedules: 64/3,200 trainings, 812 a second",
        "schedules: 192/3,200 trainings, - a second, best 98.71%",
    ]


def test_a_supervisor_gets_every_part_and_everything_better(capsys: pytest.CaptureFixture[str]) -> None:
    best, lines = "best 98.71%", JsonLines()
    lines.begin(sweeping(0))
    for seen in (64, ""), (128, ""), (128, best), (192, best):
        lines.draw(sweeping(*seen))
    lines.begin(sweeping(0, part="race"))
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["part"], each["done"], each["best"]) for each in documents] == [
        ("schedules", 0, ""),
        ("schedules", 128, best),
        ("race", 0, ""),
    ]
