"""The supervisor: claims queued jobs, runs each as a `sweep run` of its own, and stores how it ended.

All state that must survive is in the queue; what the supervisor itself holds is lost with it and not needed again.
Whatever happens in a process, up to kill -9, reaches the server as an exit code and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sweep.errors import StorageFailed, SweepError, without_paths
from sweep.jobs.queue import ExitStatus, Job, JobQueue, Progress
from sweep.store import STORAGE_VARIABLE
from sweep.store.database import Database

LONGEST_LINE = 65_536  # bytes
PATIENCE_SECONDS = 20.0  # from SIGTERM to SIGKILL
RETRY_SECONDS = 1.0  # between looks at a study that somebody else writes, or at a database that failed
DRAIN_SECONDS = 25.0
COMMAND: Sequence[str] = (sys.executable, "-m", "sweep", "run")
LOG = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class SweepProcess:
    """A running `sweep run` in a process group of its own: progress comes as JSON lines, the end as an exit status."""

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


@dataclass(frozen=True)
class Launcher:
    """Starts `command`, which is `sweep run`, on jobs of one database, each with `workers` trainer processes."""

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


class Supervisor:
    """Runs at most `parallel` jobs at once; `progress` holds the last progress of each running job."""

    def __init__(
        self,
        queue: JobQueue,
        launcher: Launcher,
        *,
        parallel: int = 1,
        on_end: Callable[[ExitStatus], None] = lambda _status: None,
    ) -> None:
        self.progress: dict[str, Progress] = {}
        self.draining = False  # whether no more jobs are started
        self._queue = queue
        self._launcher = launcher
        self._parallel = parallel
        self._on_end = on_end
        self.running: dict[str, SweepProcess] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Run jobs until cancelled or drained, beginning with those that a dead server left running."""
        await retry(self._queue.recover)
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            while not self.draining:
                # Cleared before the queue is read, so that a change made while it is read wakes the next round.
                self._woken.clear()
                blocked = await self._start_queued(Path(folder))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), RETRY_SECONDS if blocked else None)
            await self._all_ended()

    def wake(self) -> None:
        """Read the queue again, since a job was submitted, stopped or changed."""
        self._woken.set()

    async def apply_request(self, job: Job) -> None:
        """Stop a running job's process if an action is requested for it, and announce the change."""
        if job.requested is not None and job.name in self.running:
            self.running[job.name].stop()
        self.wake()
        await self.tell()

    async def drain(self) -> None:
        """Start nothing more; stop what runs, and queue it for the next start of the server."""
        self.draining = True
        for process in self.running.values():
            process.stop(called_off=True)
        self.wake()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._all_ended()
        except TimeoutError:  # the database cannot be written; the next start recovers these jobs
            LOG.error("the ends of %s could not be written down", ", ".join(self.running))
            self.kill()
            self.running.clear()

    def kill(self) -> None:
        """Kill every process at once."""
        for process in self.running.values():
            process.kill()

    async def tell(self) -> None:
        """Announce a change to everybody who iterates over `changes`."""
        async with self._changed:
            self._changed.notify_all()

    async def changes(self, patience_seconds: float) -> AsyncIterator[None]:
        """Yield now, and again after every change, or after so many seconds without one."""
        while True:
            yield
            with contextlib.suppress(TimeoutError):
                async with self._changed, asyncio.timeout(patience_seconds):
                    await self._changed.wait()

    async def _start_queued(self, folder: Path) -> bool:
        """Start as many jobs as may run; say whether to look again soon, without being woken."""
        blocked: set[str] = set()

        def claim() -> Job | None:
            # A study that somebody writes by hand would end with exit code 4 at once: leave it in its place for now.
            blocked.update(name for name in self._queue.queued() if self._queue.database.is_being_written(name))
            return self._queue.claim(blocked)

        while len(self.running) < self._parallel and not self.draining:
            job = await retry(claim)
            if job is None:
                break
            if not await self._start(job, folder):
                return True
        return bool(blocked)

    async def _start(self, job: Job, folder: Path) -> bool:
        """Start a job's process; put the job back if the system cannot start one now."""

        def on_progress(progress: Progress) -> None:
            self.progress[job.name] = progress
            self._spawn(self.tell())

        try:
            process = await self._launcher.start(job, folder, on_progress)
        except OSError as error:
            LOG.error("the study %s cannot be started, trying again: %s", job.name, error.strerror)
            await retry(lambda: self._queue.end(job.name, ExitStatus(1, called_off=True)))
            return False
        self.running[job.name] = process
        self._spawn(self._watch(job, process))
        now = await retry(lambda: self._queue.find(job.name))
        # A request that came between the claim and the start found no process to stop.
        if self.draining or (now is not None and now.requested is not None):
            process.stop(called_off=self.draining)
        return True

    async def _watch(self, job: Job, process: SweepProcess) -> None:
        status = await process.wait()
        try:
            await retry(lambda: self._queue.end(job.name, status))
        except SweepError as error:  # somebody has deleted the job's row by hand
            LOG.error("the end of the study %s cannot be written down: %s", job.name, type(error).__name__)
        finally:
            self.running.pop(job.name, None)
            self.progress.pop(job.name, None)
        self._on_end(status)
        self.wake()
        await self.tell()

    async def _all_ended(self) -> None:
        # A job leaves `_running` only once its end is stored, so both are waited for.
        while self.running:
            await asyncio.wait({asyncio.create_task(process.wait()) for process in self.running.values()})
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the event loop itself keeps weak references only
        task.add_done_callback(self._tasks.discard)


async def retry(ask: Callable[[], Answer]) -> Answer:
    """Ask the queue in a thread, again and again while the database fails: what is due there must be done."""
    while True:
        try:
            return await asyncio.to_thread(ask)
        except StorageFailed as error:
            LOG.warning("the job queue cannot be used, trying again: %s", without_paths(str(error)))
            await asyncio.sleep(RETRY_SECONDS)
