"""Section `latency`: how long a question takes, on the default study and on one of 100,000 trials."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from sweep.store.database import Database
from sweep.store.study import open_study
from tests.bench import command
from tests.bench.default_study import STUDY, MadeUpTrainer, draw_candidates, read_default, store_outcomes
from tests.bench.report import Bar, Section, Spread

REPETITIONS = 5
BATCH = 1000


def measure(quick: bool) -> Section:
    """Time the commands as processes, with all that Python loads for them."""
    section = Section("latency")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", Path(folder) / "large.db"
        options = ["--search-only", *(["--trials", "16"] if quick else [])]
        command.run("run", str(STUDY), "--storage", command.url(small), *options)
        trials = 2000 if quick else 100_000
        began = time.perf_counter()
        fill(large, trials)
        section.data |= {"fill_seconds": time.perf_counter() - began, "large_bytes": large.stat().st_size}
        questions = {
            "sweep --help": (["--help"], 0.3),
            "sweep best, default study": (["best", str(STUDY), "--storage", command.url(small)], 1.0),
            f"sweep best, {trials:,} trials": (["best", str(STUDY), "--storage", command.url(large)], 2.0),
        }
        spreads = {title: Spread(tuple(command.repeat(words, REPETITIONS))) for title, (words, _) in questions.items()}
    section.data["seconds"] = {title: one.document for title, one in spreads.items()}
    rows = [(title, one.shown(".2f")) for title, one in spreads.items()]
    section.add_table(f"seconds, median (min-max) of {REPETITIONS}", ("command", "s"), rows)
    section.bars += [Bar(title, spreads[title].median, limit, " s") for title, (_, limit) in questions.items()]
    return section


def fill(path: Path, trials: int) -> None:
    """Store `trials` finished trials with made-up outcomes of the real shape."""
    study_file, problem = read_default(trials=trials)
    plan, trainer = study_file.plan, MadeUpTrainer(problem)
    database, candidates = Database(command.url(path)), draw_candidates(plan, BATCH)
    study = open_study(database, plan, data_sha256="made up")
    for first in range(0, trials, BATCH):
        store_outcomes(database, study, plan, candidates[: trials - first], trainer)
