"""The supervisor: claims queued jobs, runs each in a process of its own, and stores how it ended.

All state that must survive is in the queue; what the supervisor itself holds is lost with it and not needed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sweep.errors import StorageFailed, SweepError, without_paths
from sweep.jobs.process import Launcher, SweepProcess
from sweep.jobs.progress import Progress
from sweep.jobs.queue import ExitStatus, Job, JobQueue

RETRY_SECONDS = 1.0  # between looks at a study that somebody else writes, or at a database that failed
DRAIN_SECONDS = 25.0
LOG = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Supervisor:
    """Runs at most `parallel` jobs at once.

    Attributes:
        progress: the last progress of each running job.
    """

    def __init__(
        self,
        queue: JobQueue,
        launcher: Launcher,
        *,
        parallel: int = 1,
        on_end: Callable[[ExitStatus], None] = lambda _status: None,
    ) -> None:
        self.progress: dict[str, Progress] = {}
        self._queue = queue
        self._launcher = launcher
        self._parallel = parallel
        self._on_end = on_end
        self._running: dict[str, SweepProcess] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._changed = asyncio.Condition()
        self._draining = False

    @property
    def running(self) -> tuple[str, ...]:
        """The studies whose processes run now."""
        return tuple(self._running)

    @property
    def draining(self) -> bool:
        """Whether no more jobs are started."""
        return self._draining

    async def run(self) -> None:
        """Run jobs until cancelled or drained, beginning with those that a dead server left running."""
        await retry(self._queue.recover)
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            while not self._draining:
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
        if job.requested is not None and job.name in self._running:
            self._running[job.name].stop()
        self.wake()
        await self.tell()

    async def drain(self) -> None:
        """Start nothing more; stop what runs, and queue it for the next start of the server."""
        self._draining = True
        for process in self._running.values():
            process.stop(called_off=True)
        self.wake()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._all_ended()
        except TimeoutError:  # the database cannot be written; the next start recovers these jobs
            LOG.error("the ends of %s could not be written down", ", ".join(self._running))
            self.kill()
            self._running.clear()

    def kill(self) -> None:
        """Kill every process at once."""
        for process in self._running.values():
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

        while len(self._running) < self._parallel and not self._draining:
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
        self._running[job.name] = process
        self._spawn(self._watch(job, process))
        now = await retry(lambda: self._queue.find(job.name))
        # A request that came between the claim and the start found no process to stop.
        if self._draining or (now is not None and now.requested is not None):
            process.stop(called_off=self._draining)
        return True

    async def _watch(self, job: Job, process: SweepProcess) -> None:
        status = await process.wait()
        try:
            await retry(lambda: self._queue.end(job.name, status))
        except SweepError as error:  # somebody has deleted the job's row by hand
            LOG.error("the end of the study %s cannot be written down: %s", job.name, type(error).__name__)
        finally:
            self._running.pop(job.name, None)
            self.progress.pop(job.name, None)
        self._on_end(status)
        self.wake()
        await self.tell()

    async def _all_ended(self) -> None:
        # A job leaves `_running` only once its end is stored, so both are waited for.
        while self._running:
            await asyncio.wait({asyncio.create_task(process.wait()) for process in self._running.values()})
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
