"""One sweep in a process group of its own: the same `sweep run` that a person types, told where it is by JSON lines.

It stands alone because whatever happens there, up to kill -9, must reach the service as an exit code and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sweep.jobs.job import ExitStatus, Job
from sweep.jobs.progress import Progress
from sweep.store.database import Database

LONGEST_LINE = 65_536  # bytes
PATIENCE_SECONDS = 20.0  # from SIGTERM to SIGKILL
STORAGE_VARIABLE = "SWEEP_STORAGE"
COMMAND = (sys.executable, "-m", "sweep", "run")


class SweepProcess:
    """A running `sweep run`; `wait` returns how it ended."""

    def __init__(self, process: Process, on_progress: Callable[[Progress], None]) -> None:
        self._process = process
        self._on_pace = on_progress
        self._called_off = False
        self._ends = asyncio.create_task(self._follow())
        self._stops: asyncio.Task[None] | None = None

    @property
    def process_id(self) -> int:
        """The process, and its group."""
        return self._process.pid

    async def wait(self) -> ExitStatus:
        """Return how the process ended, once it has."""
        return await asyncio.shield(self._ends)

    def stop(self, *, called_off: bool = False) -> None:
        """Let it store what is finished and end; kill its group if it has not ended in time."""
        self._called_off = self._called_off or called_off
        if self._stops is None:
            self._stops = asyncio.create_task(self._stop())

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        done, _ = await asyncio.wait([self._ends], timeout=PATIENCE_SECONDS)
        if not done:
            self.kill()

    async def _follow(self) -> ExitStatus:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        _, told = await asyncio.gather(self._read_progress(self._process.stdout), last_line(self._process.stderr))
        code = await self._process.wait()
        self.kill()  # trainers that outlived it
        return ExitStatus(code, told, self._called_off)

    async def _read_progress(self, stream: asyncio.StreamReader) -> None:
        async for line in lines(stream):
            with contextlib.suppress(ValidationError):  # a line that a user's own code printed
                self._on_pace(Progress.model_validate_json(line))


@dataclass(frozen=True)
class Launcher:
    """Starts `sweep run` on orders of one database, on so many trainer processes; None for one a core."""

    database: Database
    workers: int | None = None
    command: Sequence[str] = COMMAND

    async def start(self, order: Job, folder: Path, on_progress: Callable[[Progress], None]) -> SweepProcess:
        """Start an order; its study file is written into `folder`."""
        folder.mkdir(mode=0o700, exist_ok=True)  # the system may have tidied up
        study_file = folder / f"{order.name}.json"
        study_file.write_text(order.plan.model_dump_json(), encoding="utf-8")
        workers = () if self.workers is None else ("--workers", str(self.workers))
        process = await asyncio.create_subprocess_exec(
            *(*self.command, str(study_file), "--supervised", *workers),
            stdin=PIPE,  # which ends when this process does
            stdout=PIPE,
            stderr=PIPE,
            env=os.environ | {STORAGE_VARIABLE: self.database.url},  # not as an option, which others can read
            start_new_session=True,
            limit=LONGEST_LINE,
        )
        return SweepProcess(process, on_progress)


async def last_line(stream: asyncio.StreamReader) -> str:
    """Return the last line that says anything."""
    last = ""
    async for line in lines(stream):
        last = line.decode("utf-8", "replace").strip() or last
    return last


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield line after line; of one that is too long, nothing."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # the stream has dropped what it held of it
            continue
        if not line:
            return
        yield line
