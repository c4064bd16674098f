"""Section `run`: the whole `sweep run` of the default study, as a user runs it, and where its time goes."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.bench import command
from tests.bench.default_study import STUDY
from tests.bench.report import Bar, Section, Spread

SUMMARY = re.compile(
    r"trainings in [\d.]+ s: searches (?P<searches>[\d.]+) s with the trainers' start, "
    r"sampling (?P<sampling>[\d.]+) s, storage (?P<storage>[\d.]+) s, "
    r"race, confirmation and re-splits (?P<evidence>[\d.]+) s"
)
PROGRESS = re.compile(r"[\w ,]+: [\d,]+/[\d,]+ trainings, ")


class Parts(NamedTuple):
    """Seconds of one run; `warming` is the part of `searches` that waits for trainers to load and compile."""

    wall: float
    opening: float
    searches: float
    warming: float
    sampling: float
    storage: float
    evidence: float
    rest: float


def measure(quick: bool) -> Section:
    """Run the study several times, each into a new database."""
    runs = [run_once("16" if quick else None) for _ in range(1 if quick else 3)]
    section = Section("run", {"runs": [parts._asdict() for parts in runs]})
    spreads = {name: Spread(tuple(getattr(parts, name) for parts in runs)) for name in Parts._fields}
    explained = {
        "opening": "imports, data, database",
        "searches": "all three, with the trainers' start",
        "warming": "of it: until the first trainings are back",
        "evidence": "race, confirmation, re-splits",
        "rest": "answer and exit",
    }
    rows = [
        (
            f"{name}{': ' if name in explained else ''}{explained.get(name, '')}",
            one.shown(".2f"),
            f"{share(runs, name):.1%}",
        )
        for name, one in spreads.items()
    ]
    section.add_table("sweep run studies/ionosphere.toml: seconds, median (min-max)", ("part", "s", "share"), rows)
    section.bars += [
        Bar("sweep run, wall", spreads["wall"].median, 25, " s"),
        Bar("sampling and storage", 100 * (share(runs, "sampling") + share(runs, "storage")), 15, " %"),
    ]
    return section


def run_once(trials: str | None) -> Parts:
    """Run the study into a new database and split its time."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--storage", command.url(Path(folder) / "bench.db"), *(["--trials", trials] if trials else [])]
        wall, lines = command.run("run", str(STUDY), *options)
    (summary,) = (found for line in lines if (found := SUMMARY.search(line.text)))
    opening = next(line.seconds for line in lines if line.text.startswith("study "))
    searches, sampling, storage, evidence = (float(found) for found in summary.groups())
    warming = next(line.seconds for line in lines if PROGRESS.match(line.text)) - opening
    rest = wall - opening - searches - sampling - storage - evidence
    return Parts(wall, opening, searches, warming, sampling, storage, evidence, rest)


def share(runs: list[Parts], name: str) -> float:
    """Return a part of the wall time, over all runs."""
    return float(sum(getattr(parts, name) for parts in runs) / sum(parts.wall for parts in runs))
