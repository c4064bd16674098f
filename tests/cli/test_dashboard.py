"""Laws of the dashboard: it is for reading."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sweep.cli.dashboard import HOST, read_only, serve
from sweep.errors import BadInput
from tests.fakes import opened


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


def answer(method: str) -> tuple[str, dict[str, str], bytes]:
    """Send one request through the guard; return status, headers and body."""
    started: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        started.append((status, dict(headers)))

    body = b"".join(read_only(application)({"REQUEST_METHOD": method, "PATH_INFO": "/api/studies"}, start_response))
    ((status, headers),) = started
    return status, headers, body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_is_passed_on(method: str) -> None:
    assert answer(method) == ("200 OK", {"Content-Type": "text/plain"}, b"/api/studies")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""])
def test_everything_else_is_refused_before_the_dashboard_sees_it(method: str) -> None:
    status, headers, body = answer(method)
    assert status == "405 Method Not Allowed"
    assert headers["Allow"] == "GET, HEAD"
    assert b"/api/studies" not in body


def test_a_taken_port_is_bad_input(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken, opened(tmp_path / "studies.db") as database:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"{port} cannot be used") as raised:
            serve(database, port)
    assert raised.value.field == "port"
