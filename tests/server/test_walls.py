"""Every route and method, ours and optuna-dashboard's, refuses without a token, by a foreign Host, and to readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute
from optuna.storages import InMemoryStorage
from optuna_dashboard import wsgi

from sweep.server.app import ROUTERS
from tests.server.running import Running

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "CONNECT")
WRITES = ("POST", "PATCH", "DELETE")
VALUES = {
    "name": "done",
    "number": "0",
    "schedule": "step",
    "study_id": "1",
    "trial_id": "1",
    "filename": "x.js",
    "version": "1",
    "form": "delete",
}


def ours() -> Iterator[str]:
    """Yield the path of every route of ours, with values for its parameters."""
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        yield re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: VALUES[found[1]], route.path)
    yield from (f"/studies/done/{form}" for form in ("stop", "resume", "budget"))
    yield from ("/assets/app.css", "/login", "/logout")


def theirs() -> Iterator[str]:
    """Yield the path of every route that the installed optuna-dashboard has."""
    for route in wsgi(InMemoryStorage()).routes:
        bare = re.sub(r"<:re:[^>]*>", "", route.rule)
        yield re.sub(r"<(\w+)(?::[^>]*)?>", lambda found: VALUES.get(found[1], "1"), bare)


PATHS = sorted({*ours(), *theirs(), "/", "/nowhere", "/dashboard/studies/1"})
BEHIND_THE_GUARD = [path for path in PATHS if path not in ("/login", "/logout")]


def statuses(service: Running, methods: tuple[str, ...], paths: list[str], **asked: Any) -> dict[tuple[str, str], int]:
    """Return the status of each method on each path."""
    return {(method, path): service.ask(method, path, **asked).status for path in paths for method in methods}


def test_the_walk_has_found_them() -> None:
    assert {"/v1/studies", "/v1/studies/done/stop", "/metrics", "/docs", "/new", "/api/studies/1", "/csv/1"} <= {*PATHS}
    assert len(PATHS) > 60


def test_each_refuses_without_a_token(service: Running) -> None:
    found = statuses(service, METHODS, PATHS, role=None)
    assert {asked: status for asked, status in found.items() if status not in (400, 401, 405)} == {}
    wanted = {path: 405 if path == "/logout" else 401 for path in PATHS}
    assert {path: found["GET", path] for path in PATHS} == wanted


def test_each_refuses_a_foreign_host_even_with_a_token(service: Running) -> None:
    found = statuses(service, METHODS, PATHS, host="evil.example")
    assert {asked: status for asked, status in found.items() if status not in (400, 405, 421)} == {}
    assert {path for path in PATHS if found["GET", path] != 421} == set()


def test_a_reader_writes_nothing(service: Running) -> None:
    found = statuses(service, WRITES, BEHIND_THE_GUARD, role="read", origin=f"http://{service.host}")
    assert {asked: status for asked, status in found.items() if status not in (403, 404, 405)} == {}


def test_every_answer_is_hardened(service: Running) -> None:
    wrong = []
    for path in BEHIND_THE_GUARD:
        if path.endswith("/events"):  # a stream has no end
            continue
        reply = service.ask("GET", path)
        policy = reply.headers["content-security-policy"]
        hardened = (
            reply.status < 500
            and reply.headers["x-content-type-options"] == "nosniff"
            and reply.headers["referrer-policy"] == "no-referrer"
            and "frame-ancestors 'none'" in policy
            and ("'unsafe-eval'" in policy) == path.startswith("/dashboard")
            and not [name for name in reply.headers if name.startswith("access-control-")]
        )
        if not hardened:
            wrong.append((path, reply.status, reply.headers, reply.body[:300]))
    assert wrong == []


def test_head_is_get_without_a_body(service: Running) -> None:
    for path in ("/", "/healthz", "/v1/studies/done/best", "/v1/studies/nope", "/dashboard", "/assets/app.css"):
        head, whole = service.ask("HEAD", path), service.ask("GET", path)
        assert (head.status, head.body) == (whole.status, b""), path
        assert head.headers["content-type"] == whole.headers["content-type"], path


def test_the_service_loads_no_tensorflow(service: Running) -> None:
    for path in (
        "/",
        "/v1/studies/done/verdict",
        "/v1/studies/done/report",
        "/v1/studies/done/schedule.py",
        "/dashboard",
    ):
        assert service.ask("GET", path).status in (200, 404), path
    maps = (Path("/proc") / str(service.process.pid) / "maps").read_text(encoding="utf-8")
    assert "numpy" in maps
    assert "tensorflow" not in maps
