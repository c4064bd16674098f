"""Section `latency`: how long a question takes, on the default study and on one of 100,000 trials."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sweep.search.database import Database
from sweep.search.objective import attributes
from sweep.search.record import FinishedTrial, open_study, store
from sweep.search.space import SearchSpace
from tests.bench import command
from tests.bench.default_study import STUDY, MadeUpTrainer, draw_candidates, read_default
from tests.bench.report import Bar, Section, Spread

REPETITIONS = 5
BATCH = 1000


def measure(quick: bool) -> Section:
    """Time the commands as processes, with all that Python loads for them."""
    section = Section("latency")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", Path(folder) / "large.db"
        command.run("run", str(STUDY), "--storage", command.url(small), *(["--trials", "16"] if quick else []))
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
    space, replicates = SearchSpace(study_file.plan.search), range(study_file.plan.search.replicates)
    database = Database(command.url(path))
    study_id = open_study(database, study_file.plan, data_sha256="made up")._study_id
    trainer, candidates = MadeUpTrainer(problem), draw_candidates(study_file, BATCH)
    for first in range(0, trials, BATCH):
        began = datetime.now(UTC)
        batch = [
            FinishedTrial(
                position=first + place,
                params=space.params(candidates[place]),
                distributions=space.distributions(candidates[place].schedule.name),
                value=outcome.value,
                attributes=attributes(candidates[place], outcome),
                began=began,
            )
            for place, outcome in trainer.train(candidates[: trials - first], replicates)
        ]
        store(database, study_id, batch)
