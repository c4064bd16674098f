"""Laws of how a service ends and begins again, with real sweeps in real processes."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import Running, running

TRIALS = (
    "SELECT t.state, COUNT(*) FROM trials t JOIN studies s USING (study_id) WHERE s.study_name = ? GROUP BY t.state"
)
ORDER = "SELECT state, crashes, reason FROM sweep_orders WHERE name = ?"


def study(name: str, trials: int) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"name": "ionosphere"},
        "model": {"hidden": [8]},
        "training": {"epochs": 3},
        "search": {"trials": trials, "replicates": 2, "round_size": 8, "schedules": {"constant": {}, "step": {}}},
        "verdict": {"selection_seeds": 4, "confirmation_seeds": 4, "splits": 2, "split_seeds": 1},
    }


def ask(database: Path, query: str, name: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query, (name,)).fetchall()


def until_trained(service: Running, name: str, crashes: int = 0) -> None:
    """Wait until a study has stored a round, by the process that runs after so many crashes."""
    deadline = time.monotonic() + 60
    while True:
        told = service.ask("GET", f"/v1/studies/{name}").json
        if told["crashes"] == crashes and told["trials"].get("complete") and told["progress"]:
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


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


def test_a_first_sigterm_lets_running_sweeps_store_what_is_finished(tmp_path: Path) -> None:
    with running(tmp_path / "s.db") as service:
        assert service.send("POST", "/v1/studies", study("long", 1_000_000)).status == 201
        assert service.send("POST", "/v1/studies", study("next", 8)).status == 201
        until_trained(service, "long")
        group, began = group_of(service), time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert time.monotonic() - began < 30
    assert is_gone(group)
    assert {state for state, _ in ask(service.database, TRIALS, "long")} == {"COMPLETE"}
    assert [ask(service.database, ORDER, name) for name in ("long", "next")] == [[("queued", 0, None)]] * 2


def test_while_it_ends_it_refuses_new_work_and_still_answers(tmp_path: Path) -> None:
    with running(tmp_path / "s.db") as service:
        service.send("POST", "/v1/studies", study("long", 1_000_000))
        until_trained(service, "long")
        group = group_of(service)
        os.killpg(group, signal.SIGSTOP)  # so that it takes its time
        service.process.send_signal(signal.SIGTERM)
        while "ending" not in service.log.read_text(encoding="utf-8"):
            time.sleep(0.01)
        refused = service.send("POST", "/v1/studies", study("late", 8))
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        assert service.ask("GET", "/v1/studies/long").status == 200
        os.killpg(group, signal.SIGCONT)
        assert service.process.wait(30) == 0
    assert ask(service.database, ORDER, "late") == []


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "s.db") as service:
        service.send("POST", "/v1/studies", study("long", 1_000_000))
        until_trained(service, "long")
        group = group_of(service)
        os.killpg(group, signal.SIGSTOP)
        service.process.send_signal(signal.SIGTERM)
        while "ending" not in service.log.read_text(encoding="utf-8"):
            time.sleep(0.01)
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(5) == 1
        assert time.monotonic() - began < 5
    assert is_gone(group)


@pytest.mark.parametrize("kills", [2])
def test_a_killed_service_goes_on_where_it_was(tmp_path: Path, kills: int) -> None:
    for _ in range(kills):
        with running(tmp_path / "s.db") as service:
            service.send("POST", "/v1/studies", study("short", 400), idempotency_key="the-same")
            until_trained(service, "short")
            service.process.kill()
            service.process.wait()
    with running(tmp_path / "s.db") as service:
        service.until("/v1/studies/short", state="done", verdict="made")
    assert ask(service.database, TRIALS, "short") == [("COMPLETE", 400)]


def test_a_killed_sweep_is_tried_once_more_and_then_tells_why(tmp_path: Path) -> None:
    with running(tmp_path / "s.db") as service:
        service.send("POST", "/v1/studies", study("unlucky", 1_000_000))
        for crashes in (0, 1):
            until_trained(service, "unlucky", crashes)
            os.killpg(group_of(service), signal.SIGKILL)
            service.until("/v1/studies/unlucky", crashes=crashes + 1)
        failed = service.until("/v1/studies/unlucky", state="failed")
        assert "killed by SIGKILL" in failed["reason"]
        assert service.send("POST", "/v1/studies", study("lucky", 8)).status == 201
        service.until("/v1/studies/lucky", state="done")


def test_a_backup_made_while_it_runs_goes_on_after_a_restore(tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with running(tmp_path / "s.db") as service:
        service.send("POST", "/v1/studies", study("saved", 200))
        until_trained(service, "saved")
        code = f"import sqlite3; sqlite3.connect({str(service.database)!r}).backup(sqlite3.connect({str(backup)!r}))"
        subprocess.run(["python3", "-c", code], check=True, timeout=60)
    with running(backup) as restored:
        restored.until("/v1/studies/saved", state="done", verdict="made")
    assert ask(backup, TRIALS, "saved") == [("COMPLETE", 200)]


def test_a_study_of_the_same_name_has_nothing_of_the_deleted_one(tmp_path: Path) -> None:
    with running(tmp_path / "s.db") as service:
        seen = []
        for seed in (0, 1):
            tables = study("again", 8)
            tables["search"]["sampler_seed"] = seed
            assert service.send("POST", "/v1/studies", tables).status == 201
            service.until("/v1/studies/again", state="done", verdict="made")
            seen.append(service.ask("GET", "/v1/studies/again/best").json["best"])
            assert service.ask("DELETE", "/v1/studies/again").status == 204
    assert seen[0] != seen[1]


def test_silent_connections_are_closed_and_nobody_else_is_kept_waiting(tmp_path: Path) -> None:
    with running(tmp_path / "s.db") as service, ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
        deadline = time.monotonic() + 30
        while service.ask("GET", "/healthz").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_one_service_serves_a_database(tmp_path: Path) -> None:
    with (
        running(tmp_path / "s.db"),
        pytest.raises(AssertionError, match="another `sweep serve` serves"),
        running(tmp_path / "s.db"),
    ):
        pass
