"""One `sweep run` in a process group of its own: progress comes as JSON lines, the end as an exit status.

Whatever happens there, up to kill -9, must reach the server as an exit code and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from sweep.jobs.progress import Progress
from sweep.jobs.queue import ExitStatus, Job
from sweep.store import STORAGE_VARIABLE
from sweep.store.database import Database

LONGEST_LINE = 65_536  # bytes
PATIENCE_SECONDS = 20.0  # from SIGTERM to SIGKILL
COMMAND: Sequence[str] = (sys.executable, "-m", "sweep", "run")


class SweepProcess:
    """A running `sweep run`; `wait` returns how it ended."""

    def __init__(self, process: Process, on_progress: Callable[[Progress], None]) -> None:
        self._process = process
        self._on_progress = on_progress
        self._called_off = False
        self._end = asyncio.create_task(self._follow())
        self._stopping: asyncio.Task[None] | None = None

    @property
    def process_id(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    async def wait(self) -> ExitStatus:
        """Return how the process ended, once it has."""
        return await asyncio.shield(self._end)

    def stop(self, *, called_off: bool = False) -> None:
        """Ask it to store what is finished and to exit; kill its group if it has not exited in time."""
        self._called_off = self._called_off or called_off
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())

    def kill(self) -> None:
        """Kill the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        done, _ = await asyncio.wait([self._end], timeout=PATIENCE_SECONDS)
        if not done:
            self.kill()

    async def _follow(self) -> ExitStatus:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        # Both pipes are read to their ends: a full one would block the process.
        _, message = await asyncio.gather(
            self._read_progress(self._process.stdout), self._read_message(self._process.stderr)
        )
        code = await self._process.wait()
        self.kill()  # trainers that outlived it
        return ExitStatus(code, message, self._called_off)

    async def _read_progress(self, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            with contextlib.suppress(ValidationError):  # a line that a user's own code printed
                self._on_progress(Progress.model_validate_json(line))

    async def _read_message(self, stream: asyncio.StreamReader) -> str:
        last = ""
        async for line in _lines(stream):
            last = line.decode("utf-8", "replace").strip() or last
        return last


@dataclass(frozen=True)
class Launcher:
    """Starts `sweep run` on jobs of one database.

    Attributes:
        database: where the studies are.
        workers: trainer processes of a sweep; None for one a core.
        command: run in place of `sweep run`.
    """

    database: Database
    workers: int | None = None
    command: Sequence[str] = field(default_factory=lambda: COMMAND)

    async def start(self, job: Job, folder: Path, on_progress: Callable[[Progress], None]) -> SweepProcess:
        """Start a job; its study file is written into `folder`."""
        folder.mkdir(mode=0o700, exist_ok=True)  # the system may have tidied up
        study_file = folder / f"{job.name}.json"
        study_file.write_text(job.plan.model_dump_json(), encoding="utf-8")
        workers = () if self.workers is None else ("--workers", str(self.workers))
        process = await asyncio.create_subprocess_exec(
            *(*self.command, str(study_file), "--supervised", *workers),
            stdin=PIPE,  # closes when the server dies, which a supervised sweep watches for
            stdout=PIPE,
            stderr=PIPE,
            env=os.environ | {STORAGE_VARIABLE: self.database.url},  # not as an option, which other users can read
            start_new_session=True,  # a group of its own, so that its trainers can be killed with it
            limit=LONGEST_LINE,
        )
        return SweepProcess(process, on_progress)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a stream, except those that are too long."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # too long; the stream has dropped what it held of the line
            continue
        if not line:
            return
        yield line
