"""Laws of `sweep dashboard`: it is for reading, and says where."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.cli.serve import HOST, make_if_new, serve_dashboard
from sweep.errors import BadInput, StorageFailed
from sweep.execution.worker import environment
from sweep.store.database import Database
from tests.fakes import make_coordinator, make_plan, opened

ROOT = Path(__file__).parents[2]
PATHS = [
    *("/dashboard/", "/dashboard/studies/1/trials?numbers=1", "/static/bundle.js", "/favicon.ico"),
    *("/api/studies", "/api/studies/1?after=0", "/api/studies/1/param_importances"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a study of 20 trials."""
    path = tmp_path_factory.mktemp("dashboard") / "studies.db"
    with opened(path) as database:
        make_coordinator(database, make_plan()).run()
    return path


@pytest.fixture(scope="module")
def port(file: Path) -> Iterator[int]:
    """Serve it by the command."""
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "sweep", "dashboard", "--port", str(port), "--storage", f"sqlite:///{file}"]
    variables = os.environ | environment() | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            assert re.search(rf"http://{HOST}:{port}/dashboard/", server.stdout.readline())
            yield port
        finally:
            server.terminate()
        assert server.stderr.read() == ""


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Send one request; return its status and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class TestServing:
    def test_reading_is_answered(self, port: int) -> None:
        for path in PATHS:
            for method in ("GET", "HEAD"):
                status, body = ask(port, path, method)
                assert (status, bool(body)) == (200, method == "GET"), (method, path)

    def test_everything_else_is_refused_and_changes_nothing(self, file: Path, port: int) -> None:
        before = hashlib.sha256(file.read_bytes()).hexdigest()
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"):
            for path in ("/api/studies/1", "/api/studies", "/api/trials/1/tell", "/incompatible-rdb-schema"):
                assert ask(port, path, method)[0] == 405, (method, path)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == before

    def test_what_the_page_does_not_need_is_not_found(self, port: int) -> None:
        paths = ("/csv/1", "/sql-profiler", "/api/studies/1/plot/contour", "/api/studies/2")
        assert [ask(port, path)[0] for path in paths] == [404] * len(paths)

    def test_a_hostile_query_is_a_bad_request(self, port: int) -> None:
        queries = ("after=-1", "after=x", "after=" + "9" * 5000)
        assert [ask(port, f"/api/studies/1?{query}")[0] for query in queries] == [400] * len(queries)

    def test_its_root_leads_to_it(self, port: int) -> None:
        assert ask(port, "/")[0] == 302


class TestStarting:
    def test_a_taken_port_is_bad_input(self, tmp_path: Path) -> None:
        with socket.create_server((HOST, 0)) as taken, opened(tmp_path / "studies.db") as database:
            port = taken.getsockname()[1]
            with pytest.raises(BadInput, match=f"{port} cannot be used") as raised:
                serve_dashboard(database, port)
        assert raised.value.field == "port"

    def test_a_new_database_is_made(self, new_database: Database) -> None:
        make_if_new(new_database)
        with new_database.reading():
            assert new_database.exists()

    def test_one_that_can_be_read_is_not_written(self, file: Path) -> None:
        with opened(file) as database:
            make_if_new(database)
            assert "storage" not in vars(database)

    def test_a_file_of_somebody_else_is_a_storage_failure(self, new_database: Database) -> None:
        assert new_database.file is not None
        new_database.file.write_text("no database\n" * 100)
        with pytest.raises(StorageFailed, match="not a database"):
            make_if_new(new_database)
