"""Laws of how a service ends and starts again: one life with real sweeps, all else with a stand-in for `sweep run`."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import Running, running

ONE_WORKER = ("--workers", "1")
STAND_IN = "tests.server.stand_in_service"
PATIENCE_SECONDS = 180.0
TRIALS = (
    "SELECT t.state, COUNT(*) FROM trials t JOIN studies s USING (study_id) WHERE s.study_name = ? GROUP BY t.state"
)
JOB = "SELECT state, crashes, reason FROM sweep_orders WHERE name = ?"


def study(name: str, trials: int = 8, note: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "note": note,
        "data": {"name": "ionosphere"},
        "model": {"hidden": [8]},
        "training": {"epochs": 3},
        "search": {"trials": trials, "replicates": 2, "round_size": 8, "schedules": {"constant": {}, "step": {}}},
        "verdict": {"selection_seeds": 4, "confirmation_seeds": 4, "splits": 2, "split_seeds": 1},
    }


def ask(database: Path, query: str, name: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query, (name,)).fetchall()


def until_running(service: Running, name: str, crashes: int = 0, *, stored: bool = False) -> None:
    """Wait for progress by the process that runs after so many crashes, or until it has stored a round as well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        told = service.ask("GET", f"/v1/studies/{name}").json
        if told["crashes"] == crashes and told["progress"] and (told["trials"].get("complete") or not stored):
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def until_ending(service: Running) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "ending" not in service.log.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def group_of(service: Running) -> int:
    """Return the process of the one sweep that the service runs."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text(encoding="ascii")
    return int(children.split()[0])


def is_gone(process_id: int) -> bool:
    """Say whether a process ends within a moment; a dead one may wait for whoever inherits it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            told = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii")
        except OSError:
            return True
        if told.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve an empty database for the tests that leave the service running."""
    with running(tmp_path_factory.mktemp("ends") / "s.db", module=STAND_IN) as service:
        yield service


def test_a_real_study_survives_a_kill_a_drain_and_a_restore(tmp_path: Path) -> None:
    database, backup = tmp_path / "s.db", tmp_path / "backup.db"
    tables = study("real", 96)
    with running(database, *ONE_WORKER) as service:
        assert service.send("POST", "/v1/studies", tables, idempotency_key="the-same").status == 201
        until_running(service, "real", stored=True)
        service.process.kill()
        service.process.wait()
    with running(database, *ONE_WORKER) as service:
        assert service.send("POST", "/v1/studies", tables, idempotency_key="the-same").status == 201
        until_running(service, "real", stored=True)
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        group, began = group_of(service), time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert time.monotonic() - began < 30
        assert is_gone(group)
    assert {state for state, _ in ask(database, TRIALS, "real")} == {"COMPLETE"}
    assert ask(database, JOB, "real") == [("queued", 0, None)]
    with running(backup, *ONE_WORKER) as restored:
        restored.until("/v1/studies/real", state="done", verdict="made")
    assert ask(backup, TRIALS, "real") == [("COMPLETE", 96)]


def test_a_first_sigterm_stops_what_runs_and_while_it_ends_refuses_new_work_and_still_answers(tmp_path: Path) -> None:
    with running(tmp_path / "s.db", module=STAND_IN) as service:
        for name in ("long", "next"):
            assert service.send("POST", "/v1/studies", study(name, note="wait")).status == 201
        until_running(service, "long")
        group = group_of(service)
        os.killpg(group, signal.SIGSTOP)  # so that it takes its time
        service.process.send_signal(signal.SIGTERM)
        until_ending(service)
        refused = service.send("POST", "/v1/studies", study("late"))
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        assert service.ask("GET", "/v1/studies/long").status == 200
        os.killpg(group, signal.SIGCONT)
        assert service.process.wait(30) == 0
        assert is_gone(group)
    assert [ask(service.database, JOB, name) for name in ("long", "next")] == [[("queued", 0, None)]] * 2
    assert ask(service.database, JOB, "late") == []


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "s.db", module=STAND_IN) as service:
        service.send("POST", "/v1/studies", study("long", note="wait"))
        until_running(service, "long")
        group = group_of(service)
        os.killpg(group, signal.SIGSTOP)
        service.process.send_signal(signal.SIGTERM)
        until_ending(service)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(5) == 1
        assert time.monotonic() - began < 5
        assert is_gone(group)


def test_a_killed_sweep_is_tried_once_more_and_then_tells_why(service: Running) -> None:
    service.send("POST", "/v1/studies", study("unlucky", note="wait"))
    for crashes in (0, 1):
        until_running(service, "unlucky", crashes)
        os.killpg(group_of(service), signal.SIGKILL)
        service.until("/v1/studies/unlucky", crashes=crashes + 1)
    failed = service.until("/v1/studies/unlucky", state="failed")
    assert "killed by SIGKILL" in failed["reason"]
    assert service.send("POST", "/v1/studies", study("lucky", note="end")).status == 201
    service.until("/v1/studies/lucky", state="done")


def test_a_study_of_the_same_name_has_nothing_of_the_deleted_one(service: Running) -> None:
    seen = []
    for seed in (0, 1):
        tables = study("again", note="compute")
        tables["search"]["sampler_seed"] = seed
        assert service.send("POST", "/v1/studies", tables).status == 201
        service.until("/v1/studies/again", state="done", verdict="made")
        seen.append(service.ask("GET", "/v1/studies/again/best").json["best"])
        assert service.ask("DELETE", "/v1/studies/again").status == 204
    assert seen[0] != seen[1]


def test_silent_connections_are_closed_and_nobody_else_is_kept_waiting(service: Running) -> None:
    with ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
        deadline = time.monotonic() + 30
        while service.ask("GET", "/healthz").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_one_service_serves_a_database(service: Running) -> None:
    with pytest.raises(AssertionError, match="another `sweep serve` serves"), running(service.database):
        pass
