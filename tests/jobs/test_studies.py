"""Laws of the studies of a server: what an answer says of a study is what can be done with it."""

from __future__ import annotations

import pytest

from sweep.errors import Conflict, NotFound
from sweep.jobs.queue import ExitStatus, JobQueue
from sweep.jobs.studies import StudyService
from tests.jobs.conftest import found, plan_of


def test_a_study_says_that_it_runs_from_its_claim_until_its_end_is_stored(queue: JobQueue) -> None:
    service = StudyService(queue.database, queue)

    def running() -> bool:
        return service.study("a", found(queue, "a"), None).running

    def check_runs() -> None:
        assert running()
        with pytest.raises(Conflict, match="`a` is running; stop it first"):
            service.delete("a")

    queue.submit(plan_of("a"))
    assert not running()
    queue.claim()
    check_runs()  # its process has not taken the lock of the study yet
    with queue.database.sole_writer("a"):
        check_runs()
    check_runs()  # its process has ended, and its end is not stored yet
    queue.end("a", ExitStatus(0))
    assert not running()
    service.delete("a")
    with pytest.raises(NotFound, match="there is no study `a`"):
        service.study("a", queue.find("a"), None)


def test_a_study_that_somebody_writes_by_hand_runs_in_any_state(queue: JobQueue) -> None:
    service = StudyService(queue.database, queue)
    queue.submit(plan_of("a"))
    with queue.database.sole_writer("a"):
        assert service.study("a", found(queue, "a"), None).running
    assert not service.study("a", found(queue, "a"), None).running
