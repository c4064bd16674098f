"""Laws of a sweep under a supervisor, in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.execution.worker import environment
from sweep.jobs.progress import Progress
from sweep.store.database import Database
from sweep.store.queries import StoredStudy

ROOT = Path(__file__).parents[2]


def start(database: Path, *options: str) -> subprocess.Popen[bytes]:
    words = ["run", "studies/smoke.toml", "--supervised", "--storage", f"sqlite:///{database}", *options]
    variables = os.environ | environment() | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "sweep", *words],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_it_tells_its_progress_as_json_lines_and_nothing_else(tmp_path: Path) -> None:
    with start(tmp_path / "s.db") as process:
        assert process.stdout is not None
        progress = [Progress.model_validate_json(line) for line in process.stdout]
        assert process.wait() == 0
    assert {pace.part for pace in progress} >= {"schedules", "tuned constant", "confirmation", "new rows"}
    assert any(pace.best.startswith("best ") for pace in progress)


def test_it_stops_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    with start(tmp_path / "s.db", "--trials", "100000") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            if json.loads(line)["best"]:
                break
        process.stdin.close()  # as the system does for a process that dies
        said = process.stderr.read().decode() if process.stderr is not None else ""
        assert process.wait(30) == 1
    assert "what is finished is stored" in said
    assert StoredStudy(Database(f"sqlite:///{tmp_path / 's.db'}"), "smoke").count_finished() > 0
    with pytest.raises(ProcessLookupError):  # its trainers are gone, too
        os.killpg(process.pid, signal.SIGKILL)
