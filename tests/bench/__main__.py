"""Run sections of the benchmark: `python -m tests.bench [section ...] [--json FILE] [--quick]`."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from sweep.store.study import cpu_name, git_commit
from tests.bench.report import Section

SECTIONS = {
    "speed": "speed",
    "run": "whole_run",
    "studies": "studies",
    "latency": "latency",
    "scale": "scale",
    "memory": "memory",
    "tables": "tables",
    "models": "models",
    "gpu": "gpu",
    "peers": "peers",
    "kills": "kills",
    "recipes": "recipes",
    "closed": "closed_loop",
    "search": "search",
    "verdict": "verdict_simulation",
    "worlds": "worlds",
    "trainings": "trainings",
    "seeds": "sampler_seeds",
    "repeated": "repeated",
    "datasets": "datasets",
    "load": "load",
    "faults": "faults",
    "fuzz": "fuzz",
}
PACKAGES = ("tensorflow", "keras", "jax", "numpy", "optuna", "sqlalchemy")


def main() -> None:
    """Measure what was asked for, print it, and write it down after every section."""
    chosen = parse()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console, document = Console(highlight=False, width=None if os.isatty(1) else 140), describe(chosen.quick)
    for name in chosen.sections or SECTIONS:
        console.rule(name, align="left")
        measure: Callable[[bool], Section] = import_module(f"tests.bench.{SECTIONS[name]}").measure
        began = time.perf_counter()
        section = measure(chosen.quick)
        section.data["section_seconds"] = time.perf_counter() - began
        section.show(console)
        document["sections"][name] = section.document
        if chosen.json is not None:
            chosen.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def parse() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure; without a section, all.")
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here as well")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    chosen = parser.parse_args()
    for name in chosen.sections:
        if name not in SECTIONS:
            parser.error(f"there is no section `{name}`; there are {', '.join(SECTIONS)}")
    return chosen


def describe(quick: bool) -> dict[str, Any]:
    """Return what the results depend on."""
    return {
        "quick": quick,
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in PACKAGES},
        "commit": git_commit(),
        "sections": {},
    }


if __name__ == "__main__":
    main()
