"""Laws of the order book: what it has acknowledged stands there, once, whatever happens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sweep.errors import BadInput, Conflict, NotFound
from sweep.jobs.job import ExitStatus, JobState, RequestedAction
from sweep.jobs.queue import JobQueue
from sweep.store.database import Database
from tests.fakes import make_coordinator, make_plan
from tests.jobs.conftest import found, plan_of
from tests.verdict.records import store_study


class TestPlacing:
    def test_an_order_is_queued_with_its_whole_study_file(self, book: JobQueue) -> None:
        plan = plan_of("one", note="why <b>not</b>")
        order = book.submit(plan).order
        assert (order.plan, order.state, order.crashes, order.reason) == (plan, JobState.QUEUED, 0, None)
        assert found(JobQueue(book.database), "one") == order

    def test_the_same_request_under_the_same_key_is_done_once(self, book: JobQueue) -> None:
        first = book.submit(plan_of("one"), "key", "digest")
        again = book.submit(plan_of("one"), "key", "digest")
        assert (first.replayed, again.replayed) == (False, True)
        assert first.order == again.order
        assert book.names() == ["one"]

    def test_many_at_once_under_one_key_place_one_order(self, book: JobQueue) -> None:
        with ThreadPoolExecutor(8) as threads:
            placed = list(threads.map(lambda _: book.submit(plan_of("one"), "key", "digest"), range(16)))
        assert sorted(each.replayed for each in placed) == [False] + [True] * 15

    def test_another_request_under_the_same_key_is_bad_input(self, book: JobQueue) -> None:
        book.submit(plan_of("one"), "key", "digest")
        with pytest.raises(BadInput, match="was given to another request before") as raised:
            book.submit(plan_of("two"), "key", "other")
        assert raised.value.field == "Idempotency-Key"
        assert book.find("two") is None

    def test_a_key_does_not_bring_back_what_was_deleted(self, book: JobQueue) -> None:
        book.submit(plan_of("one"), "key", "digest")
        book.delete("one")
        with pytest.raises(Conflict, match="`one`, which has been deleted since"):
            book.submit(plan_of("one"), "key", "digest")

    def test_a_name_is_taken_once(self, book: JobQueue) -> None:
        book.submit(plan_of("one"))
        with pytest.raises(Conflict, match="there is a study `one` already"):
            book.submit(plan_of("one"))

    def test_a_name_that_sweep_run_has_taken_is_taken(self, book: JobQueue) -> None:
        make_coordinator(book.database, make_plan("one"))
        with pytest.raises(Conflict, match="there is a study `one` already"):
            book.submit(plan_of("one"))

    @pytest.mark.parametrize(("first", "second"), [("one", "one.constant"), ("one.rate", "one")])
    def test_nobody_gets_the_name_of_a_tuned_baseline(self, book: JobQueue, first: str, second: str) -> None:
        book.submit(plan_of(first))
        with pytest.raises(Conflict, match="would share a tuned baseline's name"):
            book.submit(plan_of(second))


class TestQueue:
    def test_who_came_first_runs_first(self, book: JobQueue) -> None:
        for name in ("b", "a", "c"):
            book.submit(plan_of(name))
        claimed = [order.name for _ in range(3) if (order := book.claim()) is not None]
        assert claimed == ["b", "a", "c"]
        assert book.claim() is None

    def test_a_blocked_order_keeps_its_place(self, book: JobQueue) -> None:
        for name in ("a", "b"):
            book.submit(plan_of(name))
        claimed = book.claim(blocked={"a"})
        assert claimed is not None
        assert claimed.name == "b"
        assert book.queued() == ["a"]

    def test_a_dead_service_left_its_orders_first_in_the_queue(self, book: JobQueue) -> None:
        for name in ("a", "b"):
            book.submit(plan_of(name))
        book.claim()
        assert book.recover() == ["a"]
        assert book.queued() == ["a", "b"]

    def test_what_was_to_be_stopped_when_the_service_died_is_stopped(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.claim()
        book.stop("a")
        book.recover()
        assert (found(book, "a").state, found(book, "a").wish) == (JobState.STOPPED, None)


class TestStopping:
    def test_a_queued_order_is_stopped_at_once(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        assert book.stop("a").state is JobState.STOPPED
        assert book.claim() is None

    def test_a_running_order_is_wished_to_stop(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.claim()
        assert book.stop("a").wish is RequestedAction.STOP
        assert book.end("a", ExitStatus(1)).state is JobState.STOPPED

    @pytest.mark.parametrize("code", [0, 2])
    def test_what_rests_cannot_be_stopped(self, book: JobQueue, code: int) -> None:
        book.submit(plan_of("a"))
        book.claim()
        book.end("a", ExitStatus(code))
        with pytest.raises(Conflict, match="so there is nothing to stop"):
            book.stop("a")

    def test_a_stranger_is_not_found(self, book: JobQueue) -> None:
        book.submit(plan_of("abc"))
        with pytest.raises(NotFound, match="no order for a study `abd`, did you mean `abc`"):
            book.stop("abd")


class TestResuming:
    def test_a_failed_order_goes_on_with_its_crashes_forgiven(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        for _ in range(2):
            book.claim()
            book.end("a", ExitStatus(-9))
        assert found(book, "a").state is JobState.FAILED
        assert (book.resume("a").state, found(book, "a").crashes, found(book, "a").reason) == (JobState.QUEUED, 0, None)

    def test_it_waits_behind_those_who_came_before(self, book: JobQueue) -> None:
        for name in ("a", "b"):
            book.submit(plan_of(name))
        book.stop("a")
        book.resume("a")
        assert book.queued() == ["b", "a"]

    def test_what_waits_or_runs_is_not_resumed(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        with pytest.raises(Conflict, match="is queued already"):
            book.resume("a")
        book.claim()
        with pytest.raises(Conflict, match="is running already"):
            book.resume("a")


class TestBudget:
    def test_what_is_done_is_queued_again(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.claim()
        book.end("a", ExitStatus(0))
        order = book.raise_budget("a", 30)
        assert (order.state, order.plan.search.trials) == (JobState.QUEUED, 30)

    def test_what_runs_starts_again_with_it(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.claim()
        assert book.raise_budget("a", 30).wish is RequestedAction.RESTART
        assert book.end("a", ExitStatus(0)).state is JobState.QUEUED

    def test_a_wish_to_stop_is_not_forgotten_over_it(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.claim()
        book.stop("a")
        assert book.raise_budget("a", 30).wish is RequestedAction.STOP

    def test_what_is_stopped_stays_stopped(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.stop("a")
        assert book.raise_budget("a", 30).state is JobState.STOPPED

    @pytest.mark.parametrize("trials", [19, 20])
    def test_it_only_grows(self, book: JobQueue, trials: int) -> None:
        book.submit(plan_of("a"))
        with pytest.raises(BadInput, match=f"must be above the study's 20, got {trials}") as raised:
            book.raise_budget("a", trials)
        assert raised.value.field == "trials"


class TestDeleting:
    def test_a_study_goes_with_its_baselines_and_leaves_the_others(self, book: JobQueue) -> None:
        for name in ("one", "other"):
            store_study(book.database, plan_of(name))
        book.import_study(plan_of("one"))
        book.delete("one")
        assert stored_names(book.database) == {"other", "other.constant", "other.rate"}
        assert book.find("one") is None

    def test_nothing_of_it_is_left_in_any_table(self, book: JobQueue) -> None:
        store_study(book.database, plan_of("one"))
        book.delete("one")
        assert rows(book.database) == dict.fromkeys(book.database.tables, 0)

    def test_what_runs_is_not_deleted(self, book: JobQueue) -> None:
        book.submit(plan_of("a"))
        book.claim()
        with pytest.raises(Conflict, match="`a` is running; stop it first"):
            book.delete("a")

    def test_what_somebody_runs_by_hand_is_not_deleted(self, book: JobQueue) -> None:
        store_study(book.database, plan_of("a"))
        with book.database.sole_writer("a"), pytest.raises(Conflict, match="`a` is running; stop it first"):
            book.delete("a")

    def test_a_stranger_is_not_found(self, book: JobQueue) -> None:
        with pytest.raises(NotFound, match="there is no study `a`"):
            book.delete("a")


def stored_names(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(
            connection.execute(
                database.tables["studies"].select().with_only_columns(database.tables["studies"].c.study_name)
            ).scalars()
        )


def rows(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return {name: len(connection.execute(table.select()).all()) for name, table in database.tables.items()}


class TestAnotherVersion:
    """An order whose study file this version does not understand."""

    @staticmethod
    def spoil(book: JobQueue, name: str) -> None:
        with book.database.writing() as connection:
            connection.exec_driver_sql(f"UPDATE sweep_orders SET plan = '{{\"nome\": 1}}' WHERE name = '{name}'")

    def test_it_fails_with_the_reason_and_lets_the_next_run(self, book: JobQueue) -> None:
        for name in ("old", "new"):
            book.submit(plan_of(name))
        self.spoil(book, "old")
        claimed = book.claim()
        assert claimed is not None
        assert claimed.name == "new"
        assert (book.count()[JobState.FAILED], book.queued()) == (1, [])

    def test_it_stands_in_nobodys_way_and_can_be_deleted(self, book: JobQueue) -> None:
        for name in ("old", "new"):
            book.submit(plan_of(name))
        self.spoil(book, "old")
        assert set(book.orders()) == {"new"}
        assert book.find("old") is None
        book.delete("old")
        assert book.names() == ["new"]
