"""Laws of the supervisor, over real processes that stand in for sweeps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sweep.jobs import process
from sweep.jobs.job import ExitStatus, JobState
from sweep.jobs.process import Launcher
from sweep.jobs.queue import JobQueue
from sweep.jobs.supervisor import Supervisor
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


def test_orders_are_done_one_after_the_other(book: JobQueue) -> None:
    for name in ("a", "b", "c"):
        book.submit(plan_of(name))
    supervisor, together = supervisor_of(book), []

    async def work() -> None:
        def done() -> bool:
            together.append(book.count()[JobState.RUNNING])
            return book.count()[JobState.DONE] == 3

        await until(supervisor, done)

    during(supervisor, work())
    assert max(together) <= 1


def test_as_many_run_at_once_as_may(book: JobQueue) -> None:
    for name in ("a", "b", "c"):
        book.submit(plan_of(name, "wait"))
    supervisor = supervisor_of(book, parallel=2)
    during(supervisor, until(supervisor, lambda: supervisor.progress.keys() == {"a", "b"}))
    assert book.queued() == ["a", "b", "c"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_tried_once_more_and_then_told(book: JobQueue, number: signal.Signals) -> None:
    book.submit(plan_of("bad", f"kill {int(number)}"))
    endings: list[ExitStatus] = []
    supervisor = supervisor_of(book, on_end=endings.append)
    during(supervisor, until(supervisor, lambda: found(book, "bad").state is JobState.FAILED))
    assert [ending.code for ending in endings] == [-number, -number]
    assert f"killed by {number.name}" in str(found(book, "bad").reason)


def test_a_crash_harms_nothing_else(book: JobQueue) -> None:
    for name, note in (("bad", "kill 9"), ("good", "")):
        book.submit(plan_of(name, note))
    supervisor = supervisor_of(book, parallel=2)
    during(
        supervisor,
        until(
            supervisor,
            lambda: (found(book, "bad").state, found(book, "good").state) == (JobState.FAILED, JobState.DONE),
        ),
    )


def test_bad_input_is_not_tried_again(book: JobQueue) -> None:
    book.submit(plan_of("bad", "fail 2"))
    endings: list[ExitStatus] = []
    supervisor = supervisor_of(book, on_end=endings.append)
    during(supervisor, until(supervisor, lambda: found(book, "bad").state is JobState.FAILED))
    assert len(endings) == 1
    assert found(book, "bad").reason == "data.file: bad is wrong."


def test_a_running_order_is_stopped(book: JobQueue) -> None:
    book.submit(plan_of("a", "wait"))
    supervisor = supervisor_of(book)

    async def work() -> None:
        await until(supervisor, lambda: "a" in supervisor.progress)
        await supervisor.apply_request(await asyncio.to_thread(book.stop, "a"))
        await until(supervisor, lambda: found(book, "a").state is JobState.STOPPED)

    during(supervisor, work())
    assert supervisor.progress == {}


def test_a_raised_budget_starts_it_again(book: JobQueue) -> None:
    book.submit(plan_of("a", "wait"))
    supervisor, endings = supervisor_of(book), list[ExitStatus]()
    supervisor._on_end = endings.append

    async def work() -> None:
        await until(supervisor, lambda: "a" in supervisor.progress)
        await supervisor.apply_request(await asyncio.to_thread(book.raise_budget, "a", 30))
        await until(supervisor, lambda: len(endings) == 1 and "a" in supervisor.progress)

    during(supervisor, work())
    assert (found(book, "a").crashes, found(book, "a").plan.search.trials) == (0, 30)


def test_draining_puts_back_what_runs(book: JobQueue) -> None:
    for name in ("a", "b"):
        book.submit(plan_of(name, "wait"))
    supervisor = supervisor_of(book)
    during(supervisor, until(supervisor, lambda: "a" in supervisor.progress))
    assert book.queued() == ["a", "b"]
    assert found(book, "a").crashes == 0


def test_a_process_that_does_not_listen_is_killed_with_its_group(
    book: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE_SECONDS", 0.2)
    book.submit(plan_of("a", "deaf"))
    supervisor, pids = supervisor_of(book), list[int]()

    async def work() -> None:
        await until(supervisor, lambda: "a" in supervisor.progress)
        pids.extend(each.process_id for each in supervisor._running.values())

    during(supervisor, work())
    assert book.queued() == ["a"]
    with pytest.raises(ProcessLookupError):
        os.killpg(pids[0], 0)


def test_what_somebody_else_writes_is_waited_for_and_holds_up_nobody(book: JobQueue) -> None:
    for name in ("a", "b"):
        book.submit(plan_of(name))
    supervisor = supervisor_of(book)

    async def work() -> None:
        with book.database.sole_writer("a"):
            await until(supervisor, lambda: found(book, "b").state is JobState.DONE)
            assert found(book, "a").state is JobState.QUEUED
        await until(supervisor, lambda: found(book, "a").state is JobState.DONE)

    during(supervisor, work())


def test_a_line_without_end_does_not_stop_the_reading(book: JobQueue) -> None:
    book.submit(plan_of("a", "long"))
    supervisor, seen = supervisor_of(book), set[int]()

    async def work() -> None:
        def done() -> bool:
            seen.update(pace.done for pace in supervisor.progress.values())
            return found(book, "a").state is JobState.DONE

        await until(supervisor, done)

    during(supervisor, work())
    assert found(book, "a").state is JobState.DONE


def test_an_order_that_cannot_be_started_now_waits(book: JobQueue, tmp_path: Path) -> None:
    book.submit(plan_of("a"))
    late = tmp_path / "late"
    supervisor = Supervisor(book, Launcher(book.database, command=(str(late),)))

    async def work() -> None:
        await until(supervisor, lambda: book.queued() == ["a"])
        late.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
        late.chmod(0o755)
        await until(supervisor, lambda: found(book, "a").state is JobState.DONE)

    during(supervisor, work())
    assert found(book, "a").crashes == 0


def test_an_order_that_was_taken_away_by_hand_does_not_keep_its_place(book: JobQueue) -> None:
    for name in ("gone", "next"):
        book.submit(plan_of(name, "wait" if name == "gone" else ""))
    supervisor = supervisor_of(book)

    async def work() -> None:
        await until(supervisor, lambda: "gone" in supervisor.progress)
        with book.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM sweep_orders WHERE name = 'gone'")
        for each in supervisor._running.values():
            each.kill()
        await until(supervisor, lambda: found(book, "next").state is JobState.DONE)

    during(supervisor, work())
