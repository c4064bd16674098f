"""Laws of `sweep run` with real trainers: whatever ends it, the next run completes the study.

Each start loads TensorFlow, which takes seconds, so a test here ends several processes one after the other.
"""

from __future__ import annotations

import contextlib
import random
import re
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

from sweep.api import Study
from sweep.jobs.queue import Progress

ROOT = Path(__file__).parent.parent.parent
SMOKE = ROOT / "studies" / "smoke.toml"
ANNOUNCEMENT = "study smoke:"
SEARCH_ONLY = "--search-only"
MANY = 5000  # more candidates than a test waits for
STOP_SECONDS = 20  # with room for a busy machine
STORED_TRIALS = "SELECT COUNT(*) FROM trials"
GONE_SECONDS = 60  # a trainer that is compiling notices only then that its coordinator is dead


linux_only = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds trainers by /proc")


def command(file: Path, trials: int, *options: str) -> list[str]:
    words = ["--trials", str(trials), "--storage", f"sqlite:///{file}", *options]
    return [sys.executable, "-m", "sweep", "run", str(SMOKE), *words]


def completed(file: Path, trials: int, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(file, trials, *options), capture_output=True, text=True, check=True, timeout=120)


@contextlib.contextmanager
def started(
    file: Path, trials: int, *options: str, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(file, trials, *options),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as a supervisor does, so that it can end the trainers, too
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


def wait_for(file: Path, query: str, fewest: int) -> None:
    """Wait until a query that counts has counted so many in the database of a running process."""
    deadline = time.monotonic() + GONE_SECONDS
    while counted(file, query) < fewest:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(file: Path, query: str) -> int:
    """Count by a connection that cannot write; 0 while there is no file, no table, or a journal to be rolled back."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def record(file: Path) -> str:
    """Return the verdict's runs as they are stored, without what depends on the clock."""
    ((told,),) = ask(file, "SELECT value_json FROM study_system_attributes WHERE key LIKE 'sweep:%'")
    return re.sub(r'"(seconds|trial)":[\d.]+', "", str(told))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


@linux_only
def test_whatever_ends_a_run_the_next_one_completes_it(file: Path) -> None:
    """Ctrl-C comes while the trainers start; SIGTERM, the supervisor's end and SIGKILL while they train."""
    stored, database = 0, f"sqlite:///{file}"
    for end, fewest in (("SIGINT", 0), ("SIGTERM", 8), ("supervisor", 16), ("SIGKILL", 24)):
        with started(file, MANY, SEARCH_ONLY, *["--supervised"][: end == "supervisor"]) as process:
            said(process.stderr, ANNOUNCEMENT)
            wait_for(file, STORED_TRIALS, fewest)
            time.sleep(random.Random(end).uniform(0, 0.5))
            trainers = children(process.pid)
            assert trainers
            if end == "supervisor":
                assert process.stdin is not None
                process.stdin.close()  # as the system does for a process that dies
            else:
                process.send_signal(signal.Signals[end])
            assert process.wait(STOP_SECONDS) == (-signal.SIGKILL if end == "SIGKILL" else 1), end
            assert process.stderr is not None
            assert end == "SIGKILL" or "what is finished is stored" in process.stderr.read(), end
        assert_gone(trainers)
        assert states(file).keys() <= {"COMPLETE"}, end
        assert int(str(states(file).get("COMPLETE", 0))) >= max(stored, fewest), end
        stored = int(str(states(file).get("COMPLETE", 0)))
    first = completed(file, stored + 3, SEARCH_ONLY)
    assert "6 trainings in " in first.stderr
    assert f"best of {stored + 3} candidates" in first.stdout
    assert_whole(file, stored + 3)
    second = completed(file, stored + 3, SEARCH_ONLY)
    assert f"the budget of {stored + 3} candidates is met, nothing to train" in second.stderr
    assert second.stdout == first.stdout
    assert_whole(file, stored + 3)
    assert Study.open(SMOKE, storage=database).status().trials == {"complete": stored + 3}


def test_killed_between_the_stages_of_a_verdict_it_ends_with_the_same_one(file: Path, tmp_path: Path) -> None:
    """The run that nothing ends has a supervisor, to which it tells its progress as JSON lines and nothing else."""
    for part in ("race 1", "confirmation"):
        with started(file, 8) as process:
            said(process.stderr, ANNOUNCEMENT)
            wait_for(file, f"SELECT COUNT(*) FROM study_system_attributes WHERE key = 'sweep:part:{part}'", 1)
            process.kill()
    completed(file, 8)
    with started(tmp_path / "whole.db", 8, "--supervised", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        progress = [Progress.model_validate_json(line) for line in process.stdout]
        assert process.wait(STOP_SECONDS) == 0
    assert {each.part for each in progress} >= {"schedules", "tuned constant", "confirmation", "new rows"}
    assert any(each.best.startswith("best ") for each in progress)
    assert record(file) == record(tmp_path / "whole.db")
