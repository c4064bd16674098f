"""The `sweep` command, run as a user runs it: as a process of its own, in the repository's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.default_study import ROOT

SWEEP = Path(sys.executable).with_name("sweep")


@dataclass(frozen=True)
class Line:
    """A line that a command printed, and how many seconds after its start."""

    seconds: float
    text: str


def url(database: Path) -> str:
    """Return the storage URL of an SQLite file."""
    return f"sqlite:///{database}"


def environment() -> dict[str, str]:
    """Return this process's environment, without a storage of the user's own."""
    return {key: value for key, value in os.environ.items() if key != "SWEEP_STORAGE"}


def start(*words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start `sweep` without a terminal."""
    return subprocess.Popen(
        [SWEEP, *words], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=stderr, text=True
    )


def run(*words: str, accepted: Container[int] = (0,)) -> tuple[float, list[Line]]:
    """Run `sweep` to its end; return its seconds and the lines of its standard error.

    Raises:
        RuntimeError: if it ends with an exit code that is not accepted.
    """
    began = time.perf_counter()
    process = start(*words)
    assert process.stderr is not None
    lines = [Line(time.perf_counter() - began, text.rstrip()) for text in process.stderr]
    code = process.wait()
    seconds = time.perf_counter() - began
    if code not in accepted:
        raise RuntimeError(f"`sweep {' '.join(words)}` ended with exit code {code}: {lines[-1:]}")
    return seconds, lines


def ask(*words: str, accepted: Container[int] = (0,)) -> dict[str, Any]:
    """Ask `sweep` for a JSON document; it raises as `run` does."""
    done = subprocess.run(
        [SWEEP, *words, "--json"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode not in accepted:
        raise RuntimeError(f"`sweep {' '.join(words)}` ended with exit code {done.returncode}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def repeat(words: Sequence[str], repetitions: int) -> list[float]:
    """Return the seconds of each of several runs, after one that fills the system's caches."""
    run(*words)
    return [run(*words)[0] for _ in range(repetitions)]
