"""Every route and method, ours and optuna-dashboard's, refuses without a token, by a foreign Host, and to readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from optuna.storages import InMemoryStorage
from optuna_dashboard import wsgi

from sweep.server.api import catalogue, docs, events, health, results, studies
from sweep.server.web import pages
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
}
OWN = (studies, results, catalogue, events, health, docs, pages)


def walk(router: APIRouter) -> Iterator[APIRoute]:
    """Yield the routes of a router and of those that it includes."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from walk(vars(route)["original_router"])


def ours() -> Iterator[str]:
    """Yield the path of every route of ours, with values for its parameters."""
    for route in chain.from_iterable(walk(part.router) for part in OWN):
        yield re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: VALUES[found[1]], route.path)
    yield from ("/assets/app.css", "/login", "/logout")


def theirs() -> Iterator[str]:
    """Yield the path of every route that the installed optuna-dashboard has."""
    for route in wsgi(InMemoryStorage()).routes:
        bare = re.sub(r"<:re:[^>]*>", "", route.rule)
        yield re.sub(r"<(\w+)(?::[^>]*)?>", lambda found: VALUES.get(found[1], "1"), bare)


PATHS = sorted({*ours(), *theirs(), "/", "/nowhere", "/dashboard/studies/1"})


def test_the_walk_has_found_them() -> None:
    assert {"/v1/studies", "/v1/studies/done/stop", "/metrics", "/docs", "/new", "/api/studies/1", "/csv/1"} <= {*PATHS}


@pytest.mark.parametrize("path", PATHS)
def test_it_refuses_without_a_token(service: Running, path: str) -> None:
    statuses = {method: service.ask(method, path, role=None).status for method in METHODS}
    allowed = {401, 405} | ({400} if path else set())
    assert {method: status for method, status in statuses.items() if status not in allowed} == {}
    assert statuses["GET"] == (405 if path == "/logout" else 401)


@pytest.mark.parametrize("path", PATHS)
def test_it_refuses_a_foreign_host_even_with_a_token(service: Running, path: str) -> None:
    statuses = {method: service.ask(method, path, host="evil.example").status for method in METHODS}
    assert {method: status for method, status in statuses.items() if status not in (421, 405, 400)} == {}
    assert statuses["GET"] == 421


@pytest.mark.parametrize("path", [path for path in PATHS if path not in ("/login", "/logout")])
def test_a_reader_writes_nothing(service: Running, path: str) -> None:
    statuses = {
        method: service.ask(method, path, role="read", origin=f"http://{service.host}").status for method in WRITES
    }
    assert {method: status for method, status in statuses.items() if status not in (403, 404, 405)} == {}


@pytest.mark.parametrize("path", [path for path in PATHS if path not in ("/login", "/logout")])
def test_every_answer_is_hardened(service: Running, path: str) -> None:
    if path.endswith("/events"):
        pytest.skip("a stream has no end")
    reply = service.ask("GET", path)
    assert reply.status < 500, reply.body[:300]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    policy = reply.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert ("'unsafe-eval'" in policy) == path.startswith("/dashboard")
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/v1/studies/done/best", "/v1/studies/nope", "/dashboard", "/assets/app.css"]
)
def test_head_is_get_without_a_body(service: Running, path: str) -> None:
    told, whole = service.ask("HEAD", path), service.ask("GET", path)
    assert (told.status, told.body) == (whole.status, b"")
    assert told.headers["content-type"] == whole.headers["content-type"]


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
