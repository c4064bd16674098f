"""Laws of the job queue: an acknowledged job is kept, once, whatever happens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from sweep.errors import BadInput, Conflict, NotFound
from sweep.jobs.queue import ExitStatus, Job, JobQueue, JobState, RequestedAction, next_state
from sweep.store.database import Database
from sweep.store.optuna_schema import METADATA, STUDIES
from tests.fakes import make_coordinator, make_plan
from tests.jobs.conftest import found, plan_of
from tests.verdict.records import store_study


class TestSubmitting:
    def test_a_job_is_queued_with_its_whole_study_file(self, queue: JobQueue) -> None:
        plan = plan_of("one", note="why <b>not</b>")
        job = queue.submit(plan).job
        assert (job.plan, job.state, job.crashes, job.reason) == (plan, JobState.QUEUED, 0, None)
        assert found(JobQueue(queue.database), "one") == job

    def test_the_same_request_under_the_same_key_is_done_once(self, queue: JobQueue) -> None:
        first = queue.submit(plan_of("one"), "key", "digest")
        again = queue.submit(plan_of("one"), "key", "digest")
        assert (first.replayed, again.replayed) == (False, True)
        assert first.job == again.job
        assert queue.names() == ["one"]

    def test_many_at_once_under_one_key_submit_one_job(self, queue: JobQueue) -> None:
        with ThreadPoolExecutor(8) as threads:
            submitted = list(threads.map(lambda _: queue.submit(plan_of("one"), "key", "digest"), range(16)))
        assert sorted(each.replayed for each in submitted) == [False] + [True] * 15

    def test_another_request_under_the_same_key_is_bad_input(self, queue: JobQueue) -> None:
        queue.submit(plan_of("one"), "key", "digest")
        with pytest.raises(BadInput, match="was given to another request before") as raised:
            queue.submit(plan_of("two"), "key", "other")
        assert raised.value.field == "Idempotency-Key"
        assert queue.find("two") is None

    def test_a_key_does_not_bring_back_what_was_deleted(self, queue: JobQueue) -> None:
        queue.submit(plan_of("one"), "key", "digest")
        queue.delete("one")
        with pytest.raises(Conflict, match="`one`, which has been deleted since"):
            queue.submit(plan_of("one"), "key", "digest")

    def test_a_name_is_taken_once(self, queue: JobQueue) -> None:
        queue.submit(plan_of("one"))
        with pytest.raises(Conflict, match="there is a study `one` already"):
            queue.submit(plan_of("one"))

    def test_a_name_that_sweep_run_has_taken_is_taken(self, queue: JobQueue) -> None:
        make_coordinator(queue.database, make_plan("one"))
        with pytest.raises(Conflict, match="there is a study `one` already"):
            queue.submit(plan_of("one"))

    def test_nobody_gets_the_name_of_a_tuned_baseline(self, queue: JobQueue) -> None:
        for first, second in (("one", "one.constant"), ("two.rate", "two")):
            queue.submit(plan_of(first))
            with pytest.raises(Conflict, match="would share a tuned baseline's name"):
                queue.submit(plan_of(second))


class TestQueue:
    def test_who_came_first_runs_first(self, queue: JobQueue) -> None:
        for name in ("b", "a", "c"):
            queue.submit(plan_of(name))
        claimed = [job.name for _ in range(3) if (job := queue.claim()) is not None]
        assert claimed == ["b", "a", "c"]
        assert queue.claim() is None

    def test_a_blocked_job_keeps_its_place(self, queue: JobQueue) -> None:
        for name in ("a", "b"):
            queue.submit(plan_of(name))
        claimed = queue.claim(blocked={"a"})
        assert claimed is not None
        assert claimed.name == "b"
        assert queue.queued() == ["a"]

    def test_a_dead_service_left_its_jobs_first_in_the_queue(self, queue: JobQueue) -> None:
        for name in ("a", "b"):
            queue.submit(plan_of(name))
        queue.claim()
        assert queue.recover() == ["a"]
        assert queue.queued() == ["a", "b"]

    def test_what_was_to_be_stopped_when_the_service_died_is_stopped(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.claim()
        queue.stop("a")
        queue.recover()
        assert (found(queue, "a").state, found(queue, "a").requested) == (JobState.STOPPED, None)


class TestStopping:
    def test_a_queued_job_is_stopped_at_once(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        assert queue.stop("a").state is JobState.STOPPED
        assert queue.claim() is None

    def test_a_running_job_is_asked_to_stop(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.claim()
        assert queue.stop("a").requested is RequestedAction.STOP
        assert queue.end("a", ExitStatus(1)).state is JobState.STOPPED

    def test_what_is_done_or_failed_cannot_be_stopped(self, queue: JobQueue) -> None:
        for name, code in (("done", 0), ("failed", 2)):
            queue.submit(plan_of(name))
            queue.claim()
            queue.end(name, ExitStatus(code))
            with pytest.raises(Conflict, match=f"is {name}, so there is nothing to stop"):
                queue.stop(name)

    def test_a_stranger_is_not_found(self, queue: JobQueue) -> None:
        queue.submit(plan_of("abc"))
        with pytest.raises(NotFound, match="no order for a study `abd`, did you mean `abc`"):
            queue.stop("abd")


class TestResuming:
    def test_a_failed_job_goes_on_with_its_crashes_forgiven(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        for _ in range(2):
            queue.claim()
            queue.end("a", ExitStatus(-9))
        assert found(queue, "a").state is JobState.FAILED
        assert (queue.resume("a").state, found(queue, "a").crashes, found(queue, "a").reason) == (
            JobState.QUEUED,
            0,
            None,
        )

    def test_it_waits_behind_those_who_came_before(self, queue: JobQueue) -> None:
        for name in ("a", "b"):
            queue.submit(plan_of(name))
        queue.stop("a")
        queue.resume("a")
        assert queue.queued() == ["b", "a"]

    def test_what_waits_or_runs_is_not_resumed(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        with pytest.raises(Conflict, match="is queued already"):
            queue.resume("a")
        queue.claim()
        with pytest.raises(Conflict, match="is running already"):
            queue.resume("a")


class TestBudget:
    def test_what_is_done_is_queued_again(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.claim()
        queue.end("a", ExitStatus(0))
        job = queue.raise_budget("a", 30)
        assert (job.state, job.plan.search.trials) == (JobState.QUEUED, 30)

    def test_what_runs_starts_again_with_it(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.claim()
        assert queue.raise_budget("a", 30).requested is RequestedAction.RESTART
        assert queue.end("a", ExitStatus(0)).state is JobState.QUEUED

    def test_a_request_to_stop_is_not_forgotten_over_it(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.claim()
        queue.stop("a")
        assert queue.raise_budget("a", 30).requested is RequestedAction.STOP

    def test_what_is_stopped_stays_stopped(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.stop("a")
        assert queue.raise_budget("a", 30).state is JobState.STOPPED

    def test_it_only_grows(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        for trials in (19, 20):
            with pytest.raises(BadInput, match=f"must be above the study's 20, got {trials}") as raised:
                queue.raise_budget("a", trials)
            assert raised.value.field == "trials"


class TestDeleting:
    def test_a_study_goes_with_its_baselines_and_leaves_the_others(self, queue: JobQueue) -> None:
        for name in ("one", "other"):
            store_study(queue.database, plan_of(name))
        queue.import_study(plan_of("one"))
        queue.delete("one")
        assert stored_names(queue.database) == {"other", "other.constant", "other.rate"}
        assert queue.find("one") is None

    def test_nothing_of_it_is_left_in_any_table(self, queue: JobQueue) -> None:
        store_study(queue.database, plan_of("one"))
        queue.delete("one")
        assert rows(queue.database) == dict.fromkeys(METADATA.tables, 0)

    def test_what_runs_is_not_deleted(self, queue: JobQueue) -> None:
        queue.submit(plan_of("a"))
        queue.claim()
        with pytest.raises(Conflict, match="`a` is running; stop it first"):
            queue.delete("a")

    def test_what_somebody_runs_by_hand_is_not_deleted(self, queue: JobQueue) -> None:
        store_study(queue.database, plan_of("a"))
        with queue.database.sole_writer("a"), pytest.raises(Conflict, match="`a` is running; stop it first"):
            queue.delete("a")

    def test_a_stranger_is_not_found(self, queue: JobQueue) -> None:
        with pytest.raises(NotFound, match="there is no study `a`"):
            queue.delete("a")


def stored_names(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.execute(STUDIES.select().with_only_columns(STUDIES.c.study_name)).scalars())


def rows(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {name: len(connection.execute(table.select()).all()) for name, table in METADATA.tables.items()}


class TestEarlierVersion:
    """A queue that an earlier version wrote, see `tests/data_before/README.md`."""

    def test_every_job_is_read_as_it_was_left(self, database_before: Database) -> None:
        queue = JobQueue(database_before)
        queue.open()
        jobs = queue.jobs()
        assert {name: (str(job.state), job.crashes, job.reason) for name, job in jobs.items()} == {
            "ordered-failed": ("failed", 1, "data.file: it has changed since the study was begun."),
            "ordered-running": ("running", 0, None),
            "ordered-stopped": ("stopped", 0, None),
            "ordered-queued": ("queued", 0, None),
            "ordered-last": ("queued", 0, None),
            "judged": ("stopped", 0, None),
        }
        assert jobs["ordered-failed"].created == datetime(2026, 11, 27, 2, 29, 52, 769732, UTC)
        assert {name: job.plan.name for name, job in jobs.items()} == {name: name for name in jobs}

    def test_its_jobs_go_on_in_their_places(self, database_before: Database) -> None:
        queue = JobQueue(database_before)
        assert queue.recover() == ["ordered-running"]
        queue.resume("ordered-failed")
        queue.raise_budget("judged", 1000)
        claimed = [job.name for _ in range(4) if (job := queue.claim()) is not None]
        assert claimed == ["ordered-running", "ordered-queued", "ordered-last", "ordered-failed"]
        queue.delete("judged")
        assert not {"judged", "judged.constant", "judged.rate"} & stored_names(database_before)


class TestAnotherVersion:
    """A job whose study file this version does not understand."""

    @staticmethod
    def spoil(queue: JobQueue, name: str) -> None:
        with queue.database.writing() as connection:
            connection.exec_driver_sql(f"UPDATE sweep_orders SET plan = '{{\"nome\": 1}}' WHERE name = '{name}'")

    def test_it_fails_with_the_reason_and_lets_the_next_run(self, queue: JobQueue) -> None:
        for name in ("old", "new"):
            queue.submit(plan_of(name))
        self.spoil(queue, "old")
        claimed = queue.claim()
        assert claimed is not None
        assert claimed.name == "new"
        assert (queue.count()[JobState.FAILED], queue.queued()) == (1, [])

    def test_it_stands_in_nobodys_way_and_can_be_deleted(self, queue: JobQueue) -> None:
        for name in ("old", "new"):
            queue.submit(plan_of(name))
        self.spoil(queue, "old")
        assert set(queue.jobs()) == {"new"}
        assert queue.find("old") is None
        queue.delete("old")
        assert queue.names() == ["new"]


STOP, RESTART = RequestedAction.STOP, RequestedAction.RESTART
LOCKED = ExitStatus(4, "error: another `sweep run` is writing the study `tiny`.")


def job(requested: RequestedAction | None = None, crashes: int = 0) -> Job:
    return Job("tiny", plan_of("tiny"), JobState.RUNNING, requested, crashes, None, datetime.now(UTC))


class TestNextState:
    """What becomes of a job whose process has ended."""

    def test_a_job_goes_on_unless_it_was_stopped_or_failed(self) -> None:
        cases = (
            (None, 0, ExitStatus(0), JobState.DONE),
            (STOP, 0, ExitStatus(0), JobState.DONE),
            (RESTART, 0, ExitStatus(0), JobState.QUEUED),
            (STOP, 0, ExitStatus(1), JobState.STOPPED),
            (STOP, 0, ExitStatus(-9), JobState.STOPPED),
            (STOP, 0, ExitStatus(1, called_off=True), JobState.STOPPED),
            (STOP, 0, LOCKED, JobState.STOPPED),
            (RESTART, 0, ExitStatus(1), JobState.QUEUED),
            (None, 0, ExitStatus(1, called_off=True), JobState.QUEUED),
            (None, 0, ExitStatus(-9, called_off=True), JobState.QUEUED),
            (None, 0, ExitStatus(-9), JobState.QUEUED),
            (None, 1, ExitStatus(-9), JobState.FAILED),
            (None, 0, ExitStatus(-11), JobState.QUEUED),
            (None, 0, ExitStatus(1), JobState.QUEUED),
            (None, 0, ExitStatus(3), JobState.QUEUED),
            (None, 1, ExitStatus(3), JobState.FAILED),
            (None, 0, ExitStatus(2), JobState.FAILED),
            (None, 0, LOCKED, JobState.QUEUED),
            (None, 1, LOCKED, JobState.QUEUED),
        )
        changed = [next_state(job(requested, crashes), status) for requested, crashes, status, _ in cases]
        assert [values["state"] for values in changed] == [state for *_, state in cases]
        assert {values["wish"] for values in changed} == {None}

    def test_only_a_crash_is_counted(self) -> None:
        for code in (-9, 1, 3):
            assert next_state(job(), ExitStatus(code))["crashes"] == 1
            assert "crashes" not in next_state(job(STOP), ExitStatus(code))
            assert "crashes" not in next_state(job(), ExitStatus(code, called_off=True))
        assert "crashes" not in next_state(job(), LOCKED)

    def test_the_reason_is_the_signal_or_the_errors_own_line(self) -> None:
        said = {
            ExitStatus(-9): "its process was killed by SIGKILL, as the system does when memory runs out",
            ExitStatus(-11): "its process was killed by SIGSEGV",
            ExitStatus(-40): "its process was killed by signal 40",
            ExitStatus(1, "Traceback (most recent call last):"): "its process ended with exit code 1",
            ExitStatus(2, "error: data.file: it has changed."): "data.file: it has changed.",
            ExitStatus(3, "error: `sqlite:////srv/s.db` cannot be read: no."): "`s.db` cannot be read: no.",
        }
        assert {status: status.reason for status in said} == said

    def test_a_good_end_forgets_an_earlier_crash(self) -> None:
        assert next_state(job(crashes=1), ExitStatus(0))["reason"] is None
