"""The supervisor: takes orders from the book in turn, has each run in a process of its own, and writes down its end.

It stands alone because it is the only one that starts and ends processes. All that it must not forget stands in the
book; what it holds itself is gone with it, and is found anew by the next.
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
from sweep.jobs.job import ExitStatus, Job
from sweep.jobs.process import Launcher, SweepProcess
from sweep.jobs.progress import Progress
from sweep.jobs.queue import JobQueue

LOOK_SECONDS = 1.0  # for studies that somebody else was writing, and for a database that was refused


DRAIN_SECONDS = 25.0
LOG = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Supervisor:
    """Runs at most `parallel` orders at once.

    `on_end` is told of each process that has ended, for counting.
    """

    def __init__(
        self,
        book: JobQueue,
        launcher: Launcher,
        *,
        parallel: int = 1,
        on_end: Callable[[ExitStatus], None] = lambda _ending: None,
    ) -> None:
        self.progress: dict[str, Progress] = {}
        self._book = book
        self._launcher = launcher
        self._parallel = parallel
        self._on_end = on_end
        self._running: dict[str, SweepProcess] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._changed = asyncio.Condition()
        self._draining = False

    @property
    def running(self) -> tuple[str, ...]:
        """The studies whose processes run now."""
        return tuple(self._running)

    @property
    def draining(self) -> bool:
        """Whether nothing more is begun."""
        return self._draining

    async def run(self) -> None:
        """Do orders until cancelled or drained; those that a dead service left running come first."""
        await retry(self._book.recover)
        with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
            while not self._draining:
                self._woken.clear()
                blocked = await self._start_queued(Path(folder))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), LOOK_SECONDS if blocked else None)
            await self._all_ended()

    def wake(self) -> None:
        """Look at the book again, since something was ordered, stopped or changed there."""
        self._woken.set()

    async def apply_request(self, order: Job) -> None:
        """Let a running order's process know of a wish that the book holds, and everybody of the change."""
        if order.wish is not None and order.name in self._running:
            self._running[order.name].stop()
        self.wake()
        await self.tell()

    async def drain(self) -> None:
        """Begin nothing more, and have what runs stop and wait for the next start."""
        self._draining = True
        for process in self._running.values():
            process.stop(called_off=True)
        self.wake()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._all_ended()
        except TimeoutError:  # the database cannot be written; the next start finds these orders running
            LOG.error("the ends of %s could not be written down", ", ".join(self._running))
            self.kill()
            self._running.clear()

    def kill(self) -> None:
        """End every process at once."""
        for process in self._running.values():
            process.kill()

    async def tell(self) -> None:
        """Let those who follow know that something has changed."""
        async with self._changed:
            self._changed.notify_all()

    async def changes(self, patience_seconds: float) -> AsyncIterator[None]:
        """Yield now, and again whenever something changes, or after so long without a change."""
        while True:
            yield
            with contextlib.suppress(TimeoutError):
                async with self._changed, asyncio.timeout(patience_seconds):
                    await self._changed.wait()

    async def _start_queued(self, folder: Path) -> bool:
        """Start what there is room for; say whether something waits for a study that somebody else is writing."""
        blocked: set[str] = set()
        while len(self._running) < self._parallel and not self._draining:
            order = await retry(lambda: self._claim(blocked))
            if order is None:
                break
            if not await self._start(order, folder):
                return True
        return bool(blocked)

    def _claim(self, blocked: set[str]) -> Job | None:
        """Claim the first order whose study nobody writes, and collect those that somebody does."""
        blocked.update(name for name in self._book.queued() if self._book.database.is_being_written(name))
        return self._book.claim(blocked)

    async def _start(self, order: Job, folder: Path) -> bool:
        """Start an order's process; put the order back if the system gives none now."""

        def told(pace: Progress) -> None:
            self.progress[order.name] = pace
            self._spawn(self.tell())

        try:
            process = await self._launcher.start(order, folder, told)
        except OSError as error:
            LOG.error("the study %s cannot be started, trying again: %s", order.name, error.strerror)
            await retry(lambda: self._book.end(order.name, ExitStatus(1, called_off=True)))
            return False
        self._running[order.name] = process
        self._spawn(self._watch(order, process))
        await self._stop_if_wished(order, process)
        return True

    async def _stop_if_wished(self, order: Job, process: SweepProcess) -> None:
        """Heed a wish that came between the claim and the start."""
        now = await retry(lambda: self._book.find(order.name))
        if self._draining or (now is not None and now.wish is not None):
            process.stop(called_off=self._draining)

    async def _watch(self, order: Job, process: SweepProcess) -> None:
        ending = await process.wait()
        try:
            await retry(lambda: self._book.end(order.name, ending))
        except SweepError as error:  # somebody has taken the order out of the book by hand
            LOG.error("the end of the study %s cannot be written down: %s", order.name, type(error).__name__)
        finally:
            self._running.pop(order.name, None)
            self.progress.pop(order.name, None)
        self._on_end(ending)
        self.wake()
        await self.tell()

    async def _all_ended(self) -> None:
        while self._running:
            await asyncio.wait({asyncio.create_task(process.wait()) for process in self._running.values()})
            await asyncio.gather(*self._watches, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)


async def retry(ask: Callable[[], Answer]) -> Answer:
    """Ask the book in a thread, again and again while the database fails: what is due there must be done."""
    while True:
        try:
            return await asyncio.to_thread(ask)
        except StorageFailed as error:
            LOG.warning("the order book cannot be used, trying again: %s", without_paths(str(error)))
            await asyncio.sleep(LOOK_SECONDS)
