"""Schemathesis on a running service: requests made from its OpenAPI description, and checks of what they return."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def check(
    address: str, description: bytes, folder: Path, phases: str, *, token: str | None, examples: int = 4, seed: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; its exit code is 0 if every answer is as described.

    Args:
        address: of the service.
        description: what `/openapi.json` returned.
        folder: for its files.
        phases: of examples, coverage and fuzzing, divided by commas.
        token: sent with every request, if there is one.
        examples: requests for each operation in the fuzzing phase.
        seed: of what it draws.
    """
    path = folder / "openapi.json"
    path.write_bytes(description)
    headers = () if token is None else ("-H", f"Authorization: Bearer {token}")
    words = [
        *("run", str(path), "--url", address, "--checks", ",".join(CHECKS), "--phases", phases, *headers),
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
