"""Laws of how progress is shown."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest
from rich.console import Console

from sweep.api import RunListener, Study
from sweep.cli.run import Bar, Interruption, JsonLines, Lines, progress_view
from sweep.jobs.queue import Progress
from tests.cli.conftest import Run

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.toml"


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
    monkeypatch.setattr("sweep.cli.run.LINE_SECONDS", 0.0)
    lines.draw(sweeping(192, "best 98.71%", rate=None))
    assert printed(file).splitlines() == [
        "schedules: 64/3,200 trainings, 812 a second",
        "schedules: 192/3,200 trainings, best 98.71%",
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


def test_a_signal_interrupts_at_once_and_again_where_it_is_checked() -> None:
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        with Interruption() as interruption:
            interruption.check()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            with pytest.raises(KeyboardInterrupt):
                interruption.check()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_run_says_where_it_stopped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first part it says no more than that."""

    def interrupted(_study: Study, *, listener: RunListener, **_limits: object) -> None:
        for part in parts:
            listener.begin(part, 40)
            listener.trained(16)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Study, "run", interrupted)
    parts = ["schedules"]
    stored = "what is finished is stored, run again to continue."
    assert run("run", "studies.toml")[0] == 2
    code, out, err = run("run", SMOKE)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"stopped in schedules after 16 of 40 trainings; {stored}"
    parts.clear()
    assert run("run", SMOKE) == (1, "", "stopped.\n")
