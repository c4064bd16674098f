"""The `sweep` command, run as a user runs it: as a process of its own, in the repository's folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def start(*words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start `sweep` without a terminal."""
    environment = {key: value for key, value in os.environ.items() if key != "SWEEP_STORAGE"}
    return subprocess.Popen(
        [SWEEP, *words], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, text=True
    )


def run(*words: str) -> tuple[float, list[Line]]:
    """Run `sweep` to its end; return its seconds and the lines of its standard error.

    Raises:
        RuntimeError: if it fails.
    """
    began = time.perf_counter()
    process = start(*words)
    assert process.stderr is not None
    lines = [Line(time.perf_counter() - began, text.rstrip()) for text in process.stderr]
    code = process.wait()
    seconds = time.perf_counter() - began
    if code:
        raise RuntimeError(f"`sweep {' '.join(words)}` ended with exit code {code}: {lines[-1:]}")
    return seconds, lines


def repeat(words: Sequence[str], repetitions: int) -> list[float]:
    """Return the seconds of each of several runs, after one that fills the system's caches."""
    run(*words)
    return [run(*words)[0] for _ in range(repetitions)]
