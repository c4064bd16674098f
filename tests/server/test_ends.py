"""Laws of how a service ends and starts again: one life with real sweeps, all else with a stand-in for `sweep run`."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from sweep.client.http import Client
from sweep.errors import Locked
from sweep.server import process
from sweep.store.database import Database
from tests.cli.serving import TOKENS, serving
from tests.fakes import opened
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
        "verdict": {
            "selection_seeds": 4,
            "confirmation_seeds": 4,
            "splits": 2,
            "split_seeds": 2,
            "most_splits": 2,
            "nested": 0,
        },
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


def test_a_real_study_is_drained_and_ends_from_a_backup(tmp_path: Path) -> None:
    database, backup = tmp_path / "s.db", tmp_path / "backup.db"
    with running(database, *ONE_WORKER) as service:
        assert service.send("POST", "/v1/studies", study("real", 16)).status == 201
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
    assert ask(backup, TRIALS, "real") == [("COMPLETE", 16)]


def test_after_a_kill_a_drain_and_an_end_at_once_the_next_service_goes_on(tmp_path: Path) -> None:
    database, tables = tmp_path / "s.db", study("long", note="wait")
    with running(database, module=STAND_IN) as service:
        assert service.send("POST", "/v1/studies", tables, idempotency_key="the-same").status == 201
        until_running(service, "long")
        group = group_of(service)
        service.process.kill()
        service.process.wait()
        assert is_gone(group)
    with running(database, module=STAND_IN) as service:
        assert service.send("POST", "/v1/studies", tables, idempotency_key="the-same").status == 201
        assert service.send("POST", "/v1/studies", study("next", note="wait")).status == 201
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
    assert [ask(database, JOB, name) for name in ("long", "next")] == [[("queued", 0, None)]] * 2
    assert ask(database, JOB, "late") == []
    with running(database, module=STAND_IN) as service:
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


def test_silent_connections_are_closed_and_nobody_else_is_kept_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(process, "MOST_CONNECTIONS", 20)
    with serving(database) as service, ExitStack() as stack:
        port = int(service.address.rpartition(":")[2])
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(30)]
        for connection in silent:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        with Client(service.address, TOKENS.read) as client:
            assert client.read_document("/healthz") == {"status": "ok"}


def test_one_service_serves_a_database(service: Running) -> None:
    with (
        opened(service.database) as database,
        pytest.raises(Locked, match="another `sweep serve` serves"),
        database.sole_server(),
    ):
        pass
