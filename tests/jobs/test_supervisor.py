"""Laws of the supervisor, over real processes that stand in for sweeps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sweep.jobs import supervisor as process
from sweep.jobs.queue import ExitStatus, JobQueue, JobState
from sweep.jobs.supervisor import Launcher, Supervisor
from tests.jobs.conftest import found, plan_of, supervisor_of, until


def during(supervisor: Supervisor, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` while the supervisor runs, then drain it."""

    async def both() -> None:
        running = asyncio.create_task(supervisor.run())
        try:
            await work
        finally:
            await supervisor.drain()
            running.cancel()

    asyncio.run(both())


def test_jobs_run_one_after_the_other(queue: JobQueue) -> None:
    for name in ("a", "b", "c"):
        queue.submit(plan_of(name))
    supervisor, together = supervisor_of(queue), []

    async def work() -> None:
        def done() -> bool:
            together.append(queue.count()[JobState.RUNNING])
            return queue.count()[JobState.DONE] == 3

        await until(supervisor, done)

    during(supervisor, work())
    assert max(together) <= 1


def test_as_many_run_at_once_as_may(queue: JobQueue) -> None:
    for name in ("a", "b", "c"):
        queue.submit(plan_of(name, "wait"))
    supervisor = supervisor_of(queue, parallel=2)
    during(supervisor, until(supervisor, lambda: supervisor.progress.keys() == {"a", "b"}))
    assert queue.queued() == ["a", "b", "c"]


def test_a_crash_is_tried_once_more_and_then_told(queue: JobQueue) -> None:
    numbers = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)
    for number in numbers:
        queue.submit(plan_of(number.name, f"kill {int(number)}"))
    ends: list[ExitStatus] = []
    supervisor = supervisor_of(queue, on_end=ends.append, parallel=2)
    during(supervisor, until(supervisor, lambda: queue.count()[JobState.FAILED] == 3))
    assert sorted(status.code for status in ends) == sorted(-number for number in numbers for _ in range(2))
    for number in numbers:
        assert f"killed by {number.name}" in str(found(queue, number.name).reason)


def test_a_crash_harms_nothing_else(queue: JobQueue) -> None:
    for name, note in (("bad", "kill 9"), ("good", "")):
        queue.submit(plan_of(name, note))
    supervisor = supervisor_of(queue, parallel=2)
    during(
        supervisor,
        until(
            supervisor,
            lambda: (found(queue, "bad").state, found(queue, "good").state) == (JobState.FAILED, JobState.DONE),
        ),
    )


def test_bad_input_is_not_tried_again(queue: JobQueue) -> None:
    queue.submit(plan_of("bad", "fail 2"))
    endings: list[ExitStatus] = []
    supervisor = supervisor_of(queue, on_end=endings.append)
    during(supervisor, until(supervisor, lambda: found(queue, "bad").state is JobState.FAILED))
    assert len(endings) == 1
    assert found(queue, "bad").reason == "data.file: bad is wrong."


def test_a_running_job_is_stopped(queue: JobQueue) -> None:
    queue.submit(plan_of("a", "wait"))
    supervisor = supervisor_of(queue)

    async def work() -> None:
        await until(supervisor, lambda: "a" in supervisor.progress)
        await supervisor.apply_request(await asyncio.to_thread(queue.stop, "a"))
        await until(supervisor, lambda: found(queue, "a").state is JobState.STOPPED)

    during(supervisor, work())
    assert supervisor.progress == {}


def test_a_raised_budget_starts_it_again(queue: JobQueue) -> None:
    queue.submit(plan_of("a", "wait"))
    supervisor, endings = supervisor_of(queue), list[ExitStatus]()
    supervisor._on_end = endings.append

    async def work() -> None:
        await until(supervisor, lambda: "a" in supervisor.progress)
        await supervisor.apply_request(await asyncio.to_thread(queue.raise_budget, "a", 30))
        await until(supervisor, lambda: len(endings) == 1 and "a" in supervisor.progress)

    during(supervisor, work())
    assert (found(queue, "a").crashes, found(queue, "a").plan.search.trials) == (0, 30)


def test_draining_puts_back_what_runs(queue: JobQueue) -> None:
    for name in ("a", "b"):
        queue.submit(plan_of(name, "wait"))
    supervisor = supervisor_of(queue)
    during(supervisor, until(supervisor, lambda: "a" in supervisor.progress))
    assert queue.queued() == ["a", "b"]
    assert found(queue, "a").crashes == 0


def test_a_process_that_does_not_listen_is_killed_with_its_group(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE_SECONDS", 0.2)
    queue.submit(plan_of("a", "deaf"))
    supervisor, pids = supervisor_of(queue), list[int]()

    async def work() -> None:
        await until(supervisor, lambda: "a" in supervisor.progress)
        pids.extend(each.process_id for each in supervisor.running.values())

    during(supervisor, work())
    assert queue.queued() == ["a"]
    with pytest.raises(ProcessLookupError):
        os.killpg(pids[0], 0)


def test_what_somebody_else_writes_is_waited_for_and_holds_up_nobody(queue: JobQueue) -> None:
    for name in ("a", "b"):
        queue.submit(plan_of(name))
    supervisor = supervisor_of(queue)

    async def work() -> None:
        with queue.database.sole_writer("a"):
            await until(supervisor, lambda: found(queue, "b").state is JobState.DONE)
            assert found(queue, "a").state is JobState.QUEUED
        await until(supervisor, lambda: found(queue, "a").state is JobState.DONE)

    during(supervisor, work())


def test_a_line_without_end_does_not_stop_the_reading(queue: JobQueue) -> None:
    queue.submit(plan_of("a", "long"))
    supervisor, seen = supervisor_of(queue), set[int]()

    async def work() -> None:
        def done() -> bool:
            seen.update(progress.done for progress in supervisor.progress.values())
            return found(queue, "a").state is JobState.DONE

        await until(supervisor, done)

    during(supervisor, work())
    assert found(queue, "a").state is JobState.DONE


def test_a_job_that_cannot_be_started_now_waits(queue: JobQueue, tmp_path: Path) -> None:
    queue.submit(plan_of("a"))
    late = tmp_path / "late"
    supervisor = Supervisor(queue, Launcher(queue.database, command=(str(late),)))

    async def work() -> None:
        await until(supervisor, lambda: queue.queued() == ["a"])
        late.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
        late.chmod(0o755)
        await until(supervisor, lambda: found(queue, "a").state is JobState.DONE)

    during(supervisor, work())
    assert found(queue, "a").crashes == 0


def test_a_job_that_was_deleted_by_hand_does_not_block_the_next(queue: JobQueue) -> None:
    for name in ("gone", "next"):
        queue.submit(plan_of(name, "wait" if name == "gone" else ""))
    supervisor = supervisor_of(queue)

    async def work() -> None:
        await until(supervisor, lambda: "gone" in supervisor.progress)
        with queue.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM sweep_orders WHERE name = 'gone'")
        for each in supervisor.running.values():
            each.kill()
        await until(supervisor, lambda: found(queue, "next").state is JobState.DONE)

    during(supervisor, work())
