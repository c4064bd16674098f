"""What the tests above training share: a trainer that computes instead of training, and a small study."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.config.study_file import read_plan
from sweep.data.table import DataKeys, Split
from sweep.engines.row_outcomes import LARGEST, RowOutcomes
from sweep.execution.batches import Outcome, Work
from sweep.jobs.admission import DatasetAnswer
from sweep.schedules import Timeline
from sweep.search.loop import Coordinator, SearchProgress
from sweep.seeds import STRIDE
from sweep.store.database import Database
from sweep.store.study import open_study
from sweep.task import FOR_CLASSES

CLOCK = Timeline(epochs=3, steps_per_epoch=2)
ROWS = 116
DATA_SHA256 = "0" * 64
RECIPES: tuple[dict[str, Any], ...] = (
    {"schedule": "constant", "learning_rate": 0.1},
    {"schedule": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 2, "momentum": 0.9},
)

READING = DataKeys(header=False, label=-1, task="classes", scale="none")  # of the Ionosphere data


@dataclass
class FakeTrainer:
    """Answers last candidate first, and can be interrupted after a number of outcomes."""

    interrupted_after: int | None = None
    diverged: Collection[int] = ()
    before_each: Callable[[], None] = lambda: None
    trained: list[Candidate] = field(default_factory=list)

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        for place in reversed(range(len(candidates))):
            yield place, self._train(candidates[place], run_seeds, None)

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        return self.train_each(
            [Work(split, candidates, own, keep_rows=True) for split, own in zip(splits, run_seeds, strict=True)]
        )

    def train_each(self, work: Sequence[Work]) -> Iterator[tuple[int, list[Outcome]]]:
        for place in reversed(range(len(work))):
            each = work[place]
            yield place, [self._train(candidate, each.run_seeds, each.split) for candidate in each.candidates]

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        self.before_each()
        if len(self.trained) == self.interrupted_after:
            raise KeyboardInterrupt
        self.trained.append(candidate)
        return outcome_of(candidate, run_seeds, self.diverged, split)


def outcome_of(
    candidate: Candidate, run_seeds: Sequence[int], diverged: Collection[int] = (), split: Split | None = None
) -> Outcome:
    """Return an outcome that depends on candidate, seeds and split alone; the seeds in `diverged` end in NaN."""
    rows, harder = (ROWS, 0) if split is None else (split.validation_rows, int(split.validation_targets.sum()) % 3)
    lost = np.array([seed in diverged for seed in run_seeds])
    loss = np.array([badness(candidate) + 0.01 * (seed % STRIDE + harder) for seed in run_seeds], np.float32)
    right = [max(0, round(rows / (1 + badness(candidate))) - seed % 2 - harder) for seed in run_seeds]
    correct = np.where(lost, min(9, rows), right).astype(np.int32)
    kept = np.where(lost.all(), np.nan, loss[~lost].sum() / max(1, len(loss[~lost])))
    return Outcome(
        run_seeds=tuple(run_seeds),
        correct=correct,
        class_correct=np.stack([correct - correct // 8, correct // 8], axis=1),
        log_loss=np.where(lost, np.nan, loss).astype(np.float32),
        diverged=lost,
        rate=candidate.schedule.rates(CLOCK)[:, 0],
        loss=np.full(CLOCK.epochs, kept),
        accuracy=np.full(CLOCK.epochs, 0.5),
        validation_loss=np.full(CLOCK.epochs, kept),
        validation_accuracy=np.full(CLOCK.epochs, 0.5),
        spread=np.repeat([[0.4], [0.6]], CLOCK.epochs, axis=1),
        validation_rows=rows,
        seconds=0.25,
        scores={
            metric.name: np.where(lost, np.nan, correct / rows if metric.rises else loss.astype(np.float64))
            for metric in FOR_CLASSES
        },
        rows=None if split is None else rows_of(split, correct, loss),
    )


def rows_of(split: Split, correct: Sequence[int] | np.ndarray[Any, Any], loss: np.ndarray[Any, Any]) -> RowOutcomes:
    """Return so many right rows and such a mean loss of each run; some rows of the data set are harder than others."""
    hardness = np.random.default_rng(0).permutation(split.dataset.rows)[split.validation_index]
    place = np.argsort(np.argsort(hardness))
    right = place < np.asarray(correct)[:, None]
    losses = np.minimum(loss[:, None] * (place + 0.5) * 2 / len(place), LARGEST)
    return RowOutcomes(np.packbits(right, axis=-1), losses.astype(np.float16))


def badness(candidate: Candidate) -> float:
    """Return how far a candidate lies from a step schedule with a rate of 0.3 and a momentum of 0.6."""
    far = abs(float(np.log10(candidate.schedule.learning_rate / 0.3))) + abs(candidate.momentum - 0.6)
    return 0.1 + far + (0.2 if candidate.schedule.name == "constant" else 0.0)


def dataset_answer(name: str, sha256: str) -> DatasetAnswer:
    """Return the Ionosphere rows as a server's registry has them, under any name and digest."""
    return DatasetAnswer(
        name=name,
        about="",
        sha256=sha256,
        header=False,
        label=-1,
        reading=READING,
        rows=351,
        features=34,
        classes=("b", "g"),
    )


def make_plan(name: str = "tiny", recipes: Sequence[dict[str, Any]] = RECIPES, **search: Any) -> Plan:
    """Return the plan of a small study; `search` replaces values of its table of that name."""
    tables = {
        "name": name,
        "data": {"file": "rows.csv"},
        "search": {
            "trials": 20,
            "replicates": 2,
            "round_size": 8,
            "metric": "accuracy",
            "learning_rate": {"low": 0.01, "high": 1.0, "log": True},
            "momentum": {"low": 0.0, "high": 0.9},
            "schedules": {
                "constant": {},
                "step": {"drop": {"low": 0.2, "high": 0.8}, "epochs_drop": {"low": 1, "high": 4}},
            },
            **search,
        },
        "recipes": list(recipes),
        "baseline": {"accuracy": 0.9569, "source": "the tutorial"},
    }
    return read_plan(tables)


def make_coordinator(
    database: Database,
    plan: Plan,
    trainer: FakeTrainer | None = None,
    on_progress: Callable[[SearchProgress], None] = lambda _progress: None,
    data_sha256: str = DATA_SHA256,
) -> Coordinator:
    """Open the plan's study for a fake trainer."""
    study = open_study(database, plan, data_sha256)
    return Coordinator(database, study, plan, trainer or FakeTrainer(), on_progress)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Database]:
    """Open the SQLite database at `path`, and close every connection to it at the end."""
    with closed(Database(f"sqlite:///{path}")) as database:
        yield database


@contextlib.contextmanager
def closed(database: Database) -> Iterator[Database]:
    """Close every connection to a database at the end."""
    try:
        yield database
    finally:
        made = vars(database)  # the parts that were used
        for name in made.keys() & {"engine", "reader"}:
            made[name].dispose()
        if "storage" in made:
            database.storage.remove_session()
            database.storage.engine.dispose()
