"""Laws of the OpenAPI description: its examples work as written, and no request made from it breaks the service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.server.conformance import DRAWN_STUDIES, check
from tests.server.running import Running


@pytest.fixture(scope="module")
def description(service: Running) -> dict[str, Any]:
    found: dict[str, Any] = service.ask("GET", "/openapi.json").json
    return found


def tidy(service: Running) -> None:
    """Delete what a test has submitted."""
    names = [study["study"] for study in service.ask("GET", "/v1/studies").json["studies"]]
    ordered = [name for name in names if name not in ("done", "alone")]
    for name in ordered:
        service.ask("POST", f"/v1/studies/{name}/stop")
    for name in ordered:
        service.until(f"/v1/studies/{name}", running=False)
        assert service.ask("DELETE", f"/v1/studies/{name}").status == 204


def test_every_documented_example_works_as_written(service: Running, description: dict[str, Any]) -> None:
    content = description["paths"]["/v1/studies"]["post"]["requestBody"]["content"]
    sent = []
    for kind, told in content.items():
        for example in told["examples"].values():
            value = example["value"]
            body = value if isinstance(value, str) else json.dumps(value)
            reply = service.ask("POST", "/v1/studies", body.encode(), content_type=kind)
            assert reply.status == 201, reply.body
            sent.append(reply.json["study"])
    tidy(service)
    assert len(sent) >= 2


def test_every_route_says_what_it_does_and_how_it_refuses(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            assert told.get("description"), f"{method} {path}"
            assert {"401", "403", "421", "429", "503"} <= told["responses"].keys(), f"{method} {path}"


def test_without_a_token_every_route_answers_as_it_is_described(service: Running, description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            reply = service.ask(method.upper(), re.sub(r"\{\w+\}", "1", path), role=None)
            assert reply.status == 401, f"{method} {path}"
            assert reply.headers["content-type"] in told["responses"]["401"]["content"], f"{method} {path}"
            assert reply.json["status"] == 401


def test_no_request_made_from_it_breaks_the_service_or_the_description(service: Running, tmp_path: Path) -> None:
    described = service.ask("GET", "/openapi.json").body
    token = service.tokens["admin"]
    ended = check(f"http://{service.host}", described, tmp_path, token=token, examples=50, settings=DRAWN_STUDIES)
    tidy(service)
    assert ended.returncode == 0, ended.stdout[-6000:]
