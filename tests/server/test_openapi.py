"""Laws of the OpenAPI description: its examples work as written, and no request made from it breaks the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import Running

ROOT = Path(__file__).parents[2]
MOST_EXAMPLES = "4"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def description(service: Running) -> dict[str, Any]:
    found: dict[str, Any] = service.ask("GET", "/openapi.json").json
    return found


def tidy(service: Running) -> None:
    """Delete what was ordered by a test."""
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


@pytest.mark.parametrize(("role", "phases"), [("admin", "examples,coverage,fuzzing"), (None, "coverage")])
def test_no_request_made_from_it_breaks_the_service_or_the_description(
    service: Running, role: str | None, phases: str, tmp_path: Path
) -> None:
    headers = [] if role is None else ["-H", f"Authorization: Bearer {service.tokens[role]}"]
    (tmp_path / "openapi.json").write_bytes(service.ask("GET", "/openapi.json").body)
    words = [
        *("run", str(tmp_path / "openapi.json"), "--url", f"http://{service.host}", "--checks", ",".join(CHECKS)),
        *("--max-examples", MOST_EXAMPLES, "--exclude-path-regex", "events$", "--seed", "1", "--no-color", *headers),
        *("--suppress-health-check", "all", "--phases", phases, "--generation-database", "none"),
    ]
    ended = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.server.toml_bodies"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    tidy(service)
    assert ended.returncode == 0, ended.stdout[-6000:]
