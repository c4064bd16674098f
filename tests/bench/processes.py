"""The processes of the contenders, each on one thread, told at the same moment what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from sweep.execution import worker
from tests.bench.default_study import ROOT

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
JAX_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def environment(name: str) -> dict[str, str]:
    """Return the environment in which a contender runs on one thread; ours sees to that itself."""
    inherited = {key: value for key, value in os.environ.items() if key not in TUNING}
    if name == "ours":
        return inherited
    threads = inherited | dict.fromkeys(THREADS, "1")
    if name == "jax":
        return threads | {"XLA_FLAGS": JAX_FLAGS, "JAX_PLATFORMS": "cpu"}
    return threads | worker.ENVIRONMENT if name == "keras" else threads


@dataclass
class Process:
    """One process of a contender."""

    name: str
    workload: Path
    setting: str

    def __enter__(self) -> Self:
        """Start it; it answers its first order when it is ready."""
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.contender", self.name, str(self.workload), self.setting],
            cwd=ROOT,
            env=environment(self.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.kill()
        self._popen.communicate()
        self._log.close()

    def tell(self, order: str) -> None:
        """Give an order."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{order}\n")
        self._popen.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for what came of it."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} died: {self._log.read().decode(errors='replace')[-2000:]}")
        found: dict[str, Any] = json.loads(line)
        return found


def together(processes: Sequence[Process], order: str) -> list[dict[str, Any]]:
    """Give all the same order at the same moment, and wait for all."""
    for process in processes:
        process.tell(order)
    return [process.answer() for process in processes]
