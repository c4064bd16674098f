"""Schemathesis on a running service: requests made from its OpenAPI description, and checks of what they return."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PHASES = "examples,coverage,fuzzing"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


# A study file has so many fields that the coverage phase would make two thirds of all requests from it.
DRAWN_STUDIES = """
[[operations]]
include-name = "POST /v1/studies"
[operations.phases.coverage]
enabled = false

[[operations]]
exclude-name = "POST /v1/studies"
[operations.phases.fuzzing]
enabled = false
"""


def check(
    address: str,
    description: bytes,
    folder: Path,
    *,
    token: str | None,
    examples: int,
    settings: str = "",
    seed: int = 1,
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; its exit code is 0 if every answer is as described.

    Args:
        address: of the service.
        description: what `/openapi.json` returned.
        folder: for its files.
        token: sent with every request, if there is one.
        examples: requests for each operation in the fuzzing phase.
        settings: of schemathesis, as TOML.
        seed: of what it draws.
    """
    path = folder / "openapi.json"
    path.write_bytes(description)
    (folder / "schemathesis.toml").write_text(settings, encoding="utf-8")
    headers = () if token is None else ("-H", f"Authorization: Bearer {token}")
    words = [
        *("run", str(path), "--url", address, "--checks", ",".join(CHECKS), "--phases", PHASES, *headers),
        *("--max-examples", str(examples), "--seed", str(seed), "--exclude-path-regex", "events$", "--no-color"),
        *("--suppress-health-check", "all", "--generation-database", "none"),
    ]
    return subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.server.toml_bodies"},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
