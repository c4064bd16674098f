"""A job queue in a real database, and supervisors whose processes stand in for sweeps."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweep.config.plan import Plan
from sweep.jobs.queue import Job, JobQueue
from sweep.jobs.supervisor import Launcher, Supervisor
from sweep.store.database import Database
from tests.fakes import make_plan

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
PATIENCE_SECONDS = 30.0


@pytest.fixture
def queue(database: Database) -> JobQueue:
    """Hold no job."""
    found = JobQueue(database)
    found.open()
    return found


def plan_of(name: str, note: str = "", **search: Any) -> Plan:
    """Return a small study; the note tells the stand-in what to do."""
    return make_plan(name, **search).model_copy(update={"note": note})


def supervisor_of(queue: JobQueue, **options: Any) -> Supervisor:
    return Supervisor(queue, Launcher(queue.database, command=STAND_IN), **options)


async def until(supervisor: Supervisor, done: Callable[[], bool]) -> None:
    """Wait until `done` holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in supervisor.changes(0.1):
            if await asyncio.to_thread(done):
                return


def found(queue: JobQueue, name: str) -> Job:
    job = queue.find(name)
    assert job is not None
    return job
