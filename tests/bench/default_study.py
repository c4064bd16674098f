"""The default study as the benchmark uses it: its problem, candidates drawn from its space, and made-up outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.config.study_file import StudyFile, read_study_file
from sweep.data.table import Split
from sweep.engines.spec import TrainingSpec, batch_orders, initial_weights, next_orders
from sweep.execution.batches import Outcome, Trainer
from sweep.search.loop import Coordinator, to_record
from sweep.search.session import make_spec, read_data
from sweep.search.space import SearchSpace
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import open_study
from sweep.store.trials import store
from tests.bench.workload import Workload

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "studies" / "ionosphere.toml"
SMOKE = ROOT / "studies" / "smoke.toml"


def read_default(**search: int) -> tuple[StudyFile, TrainingSpec]:
    """Return the study file, with values of its `search` table replaced, and its problem."""
    study_file = read_study_file(STUDY, {f"search.{key}": value for key, value in search.items()})
    return study_file, make_spec(*read_data(study_file))


def draw_candidates(plan: Plan, count: int) -> list[Candidate]:
    """Return the recipes, then candidates drawn at random from the study's space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space, recipes = SearchSpace(plan.search), plan.candidates
    return [*recipes, *(space.suggest(study.ask()) for _ in range(count - len(recipes)))]


def store_outcomes(
    database: Database, study: optuna.Study, plan: Plan, candidates: Sequence[Candidate], trainer: Trainer
) -> None:
    """Train candidates and store them as the study's next finished trials."""
    space, study_id = SearchSpace(plan.search), study._study_id
    first = StoredStudy(database, plan.name).count_finished()
    trials = [
        optuna.trial.create_trial(
            params=space.params(candidates[place]),
            distributions=space.distributions(candidates[place].schedule.name),
            value=outcome.value("accuracy"),
            user_attrs=to_record(candidates[place], outcome, first + place).attributes(),
        )
        for place, outcome in trainer.train(candidates, range(plan.search.replicates))
    ]
    store(database, study_id, trials)


def make_workload() -> Workload:
    """Return one round of the default study as plain arrays."""
    study_file, problem = read_default()
    search, split, timeline = study_file.plan.search, problem.split, problem.timeline
    candidates, seeds = draw_candidates(study_file.plan, search.round_size), range(search.replicates)
    weights = [initial_weights(problem.architecture, seed) for seed in seeds]
    return Workload(
        inputs=split.train_inputs,
        targets=split.train_targets.astype(np.float32),
        held_inputs=split.validation_inputs,
        held_targets=split.validation_targets.astype(np.float32),
        rates=np.stack([candidate.schedule.rates(timeline) for candidate in candidates]).astype(np.float32),
        momentum=np.array([candidate.momentum for candidate in candidates], np.float32),
        kernel=np.stack([drawn[0] for drawn in weights]),
        output=np.stack([drawn[2][:, 0] for drawn in weights]),
        orders=next_orders([batch_orders(split.train_rows, seed) for seed in seeds], problem.epochs).swapaxes(0, 1),
        batch_size=problem.batch_size,
    )


@dataclass
class MadeUpTrainer:
    """Answers at once, with outcomes of the real shape."""

    problem: TrainingSpec
    seed: int = 0

    def __post_init__(self) -> None:
        """Seed the numbers that it makes up."""
        self._generator = np.random.default_rng(self.seed)

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        """Yield an outcome for each candidate."""
        for place, candidate in enumerate(candidates):
            yield place, self._outcome(candidate, tuple(run_seeds))

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Yield the outcomes of each split; they know nothing of its rows."""
        for place, own in zip(range(len(splits)), run_seeds, strict=True):
            yield place, [self._outcome(candidate, tuple(own)) for candidate in candidates]

    def _outcome(self, candidate: Candidate, run_seeds: tuple[int, ...]) -> Outcome:
        draw, rows, epochs = self._generator.random, self.problem.split.validation_rows, self.problem.epochs
        by_class = self._generator.integers(rows // 4, rows // 2 + 1, (len(run_seeds), 2), np.int32)
        return Outcome(
            run_seeds=run_seeds,
            correct=by_class.sum(axis=1, dtype=np.int32),
            class_correct=by_class,
            log_loss=draw(len(run_seeds), np.float32),
            diverged=np.zeros(len(run_seeds), np.bool_),
            rate=candidate.schedule.rates(self.problem.timeline)[:, 0],
            loss=draw(epochs),
            accuracy=draw(epochs),
            validation_loss=draw(epochs),
            validation_accuracy=draw(epochs),
            spread=draw((2, epochs)),
            validation_rows=rows,
            seconds=0.02,
        )


def make_coordinator(
    path: Path, study_file: StudyFile, trainer: Trainer, on_progress: Any = lambda _: None
) -> Coordinator:
    """Return a coordinator of the study in a new database at `path`."""
    database = Database(f"sqlite:///{path}")
    study = open_study(database, study_file.plan, data_sha256="measured")
    return Coordinator(database, study, study_file.plan, trainer, on_progress)
