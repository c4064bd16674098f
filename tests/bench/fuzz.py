"""Section `fuzz`: requests drawn from the OpenAPI description, with and without a token, on a service that sweeps."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from tests.bench.report import Bar, Section
from tests.server.conformance import check
from tests.server.running import Reply, Running, running

GENERATED = re.compile(r"Test cases:\s*\n\s*(\d[\d,]*) generated")


def measure(quick: bool) -> Section:
    """Ask as admin and as a stranger, then say what was not as described."""
    examples = 1 if quick else 50
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "fuzz.db") as service:
        described = service.ask("GET", "/openapi.json")
        runs = {
            str(role): check_as(service, described, Path(folder), role, examples) for role in ("admin", "read", None)
        }
        ready = service.ask("GET", "/readyz").status
    section = Section("fuzz", {role: run.stdout[-6000:] for role, run in runs.items()})
    rows = [(role, found[1] if (found := GENERATED.search(run.stdout)) else "?") for role, run in runs.items()]
    section.add_table(f"{examples} examples each", ("token", "requests"), rows)
    section.bars += [Bar(f"exit code with the token {role}", run.returncode, 0) for role, run in runs.items()]
    section.bars.append(Bar("status of /readyz afterwards", ready, 200))
    return section


def check_as(
    service: Running, described: Reply, folder: Path, role: str | None, examples: int
) -> subprocess.CompletedProcess[str]:
    """Run all phases in a role."""
    token = None if role is None else service.tokens[role]
    return check(f"http://{service.host}", described.body, folder, token=token, examples=examples)
