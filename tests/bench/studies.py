"""Section `studies`: each study file of the repository, run as a user runs it from nothing to its verdict."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench import command
from tests.bench.default_study import ROOT
from tests.bench.report import Bar, Section

STUDIES = ("digits", "diabetes", "credit", "names", "diamonds", "ionosphere")
MINUTES = 3
TOLD = re.compile(r"engine: (?P<engine>.*?): about (?P<time>.*) on \d+ cores?")
TRAINED = re.compile(r"(?P<trainings>[\d,]+) trainings in ")
WORDS = re.compile(r"^On (?:these|new) rows: (?P<word>[^.]*)\.", re.MULTILINE)


def measure(quick: bool) -> Section:
    """Run every study, each with a storage and a cache of its own."""
    section, rows = Section("studies"), []
    for name in STUDIES[:1] if quick else STUDIES:
        found = run_from_nothing(name)
        section.data[name] = found
        rows.append((name, *(str(found[key]) for key in ("engine", "trainings", "told", "seconds", "verdict"))))
        section.bars.append(Bar(name, float(found["seconds"]), 60 * MINUTES, " s"))
    headers = ("study", "engine", "trainings", "told", "seconds", "on these rows; on new rows")
    section.add_table("from nothing to the verdict", headers, rows)
    return section


def run_from_nothing(name: str) -> dict[str, str | float]:
    """Run a study in a new storage, with nothing compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        nowhere = {"SWEEP_STORAGE": command.url(Path(folder) / "bench.db"), "SWEEP_CACHE": folder}
        began = time.perf_counter()
        done = subprocess.run(
            [command.SWEEP, "run", f"studies/{name}.toml"],
            cwd=ROOT,
            env=os.environ | nowhere | {"COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - began
    told, trained = TOLD.search(done.stderr), TRAINED.search(done.stderr)
    return {
        "engine": told["engine"] if told else "hidden layer (tensorflow)",
        "told": told["time"] if told else "-",
        "trainings": trained["trainings"] if trained else "-",
        "seconds": round(seconds, 1),
        "verdict": "; ".join(found["word"] for found in WORDS.finditer(done.stdout)),
    }
