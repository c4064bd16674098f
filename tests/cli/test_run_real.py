"""Laws of `sweep run` with real trainers: whatever ends it, the next run completes the study.

Each start loads TensorFlow, which takes seconds, so a test here ends several processes one after the other.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parent.parent.parent
SMOKE = ROOT / "studies" / "smoke.toml"
ANNOUNCEMENT = "study smoke:"
MANY = 5000  # more candidates than a test waits for
STOP_SECONDS = 20  # with room for a busy machine
GONE_SECONDS = 60  # a trainer that is compiling notices only then that its coordinator is dead


linux_only = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds trainers by /proc")


def command(file: Path, trials: int) -> list[str]:
    options = ["--trials", str(trials), "--storage", f"sqlite:///{file}", "--search-only"]
    return [sys.executable, "-m", "sweep", "run", str(SMOKE), *options]


def completed(file: Path, trials: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(file, trials), capture_output=True, text=True, check=True, timeout=60)


@contextlib.contextmanager
def started(file: Path, trials: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(file, trials), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(stream: IO[str] | None, beginning: str) -> str:
    """Read lines until one begins as wanted, and return it."""
    assert stream is not None
    lines = []
    for line in stream:
        lines.append(line)
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the process ended without `{beginning}`: {lines}")


def table() -> dict[int, tuple[int, str]]:
    """Return the parent and the state of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
            found[int(stat.parent.name)] = (int(parent), state)
    return found


def children(parent: int) -> set[int]:
    return {process for process, (its_parent, _) in table().items() if its_parent == parent}


def alive(processes: set[int]) -> set[int]:
    """Return those that still run; a dead one that nobody has waited for does not."""
    return {process for process, (_, state) in table().items() if process in processes and state != "Z"}


def assert_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while alive(processes):
        assert time.monotonic() < deadline, f"still running: {alive(processes)}"
        time.sleep(0.05)


def ask(file: Path, query: str) -> list[tuple[object, ...]]:
    """Ask a copy: opening the file itself for writing would undo what a killed process left half done."""
    with tempfile.TemporaryDirectory() as folder:
        for part in (file, file.with_name(f"{file.name}-journal")):
            if part.is_file():
                shutil.copy(part, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / file.name)) as connection:
            return connection.execute(query).fetchall()


def states(file: Path) -> dict[object, object]:
    return dict(ask(file, "SELECT state, COUNT(*) FROM trials GROUP BY state"))  # type: ignore[arg-type]  # two columns


def assert_whole(file: Path, trials: int) -> None:
    """Check that the study has its budget, each position once, every trial with its parts, and nothing else."""
    assert ask(file, "PRAGMA integrity_check") == [("ok",)]
    assert states(file) == {"COMPLETE": trials}
    positions = ask(file, "SELECT CAST(value_json AS INTEGER) FROM trial_user_attributes WHERE key = 'position'")
    assert sorted(positions) == [(position,) for position in range(trials)]
    numbers = ask(file, "SELECT number FROM trials ORDER BY number")
    assert numbers == [(number,) for number in range(trials)]
    for table in ("trial_values", "trial_params", "trial_user_attributes"):
        assert ask(file, f"SELECT COUNT(DISTINCT trial_id) FROM {table}") == [(trials,)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


def test_a_run_meets_its_budget_and_a_second_one_says_so(file: Path) -> None:
    first = completed(file, 12)
    assert first.stderr.startswith(ANNOUNCEMENT)
    assert "12/12 candidates" in first.stderr
    assert "best of 12 candidates" in first.stdout
    assert_whole(file, 12)
    second = completed(file, 12)
    assert "the budget of 12 candidates is met, nothing to train" in second.stderr
    assert second.stdout == first.stdout
    assert_whole(file, 12)


@linux_only
def test_a_signal_ends_a_run_within_seconds_and_the_next_one_completes_it(file: Path) -> None:
    """Ctrl-C comes while the trainers start, SIGTERM while they train."""
    for number, beginning, fewest in ((signal.SIGINT, ANNOUNCEMENT, 0), (signal.SIGTERM, "8/", 8)):
        with started(file, MANY) as process:
            said(process.stderr, beginning)
            trainers = children(process.pid)
            assert trainers
            process.send_signal(number)
            assert process.wait(STOP_SECONDS) == 1
            assert process.stderr is not None
            assert "stopped" in process.stderr.read()
        assert_gone(trainers)
        assert states(file).get("COMPLETE", 0) >= fewest  # type: ignore[operator]  # a count
        assert states(file).keys() <= {"COMPLETE"}
    stored = int(str(states(file)["COMPLETE"]))
    completed(file, stored + 3)
    assert_whole(file, stored + 3)


@linux_only
def test_a_run_that_was_killed_is_completed_by_the_next_one(file: Path) -> None:
    draw, stored = random.Random(2), 0
    for beginning in (ANNOUNCEMENT, "8/"):
        with started(file, MANY) as process:
            said(process.stderr, beginning)
            time.sleep(draw.uniform(0, 0.5))
            trainers = children(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(STOP_SECONDS) == -signal.SIGKILL
        assert_gone(trainers)
        assert states(file).keys() <= {"COMPLETE"}
        assert int(str(states(file).get("COMPLETE", 0))) >= stored
        stored = int(str(states(file).get("COMPLETE", 0)))
    completed(file, stored + 3)
    assert_whole(file, stored + 3)
