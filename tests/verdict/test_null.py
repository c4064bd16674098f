"""Whole sweeps of small studies in simulated worlds; the benchmark's section `verdict` has the full size."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sweep.config.plan import Plan
from sweep.stats.verdict import Word
from sweep.store.database import Database
from tests.bench.simulated import SimulatedTrainer, simulate
from tests.bench.verdict_simulation import STATED_RUNS
from tests.fakes import make_plan
from tests.protocols import few, made_dataset

WORLDS = 10
DATASET = made_dataset()


def small(world: int, confirmation_seeds: int = 24, **search: Any) -> Plan:
    return few(make_plan(f"world-{world}", trials=40, **search), confirmation_seeds=confirmation_seeds, splits=10)


def test_sweeps_of_identical_candidates_rarely_say_better_and_confirm_no_luck(database: Database) -> None:
    """Ten worlds, ranked by accuracy and by log-loss in turns; the search flatters its winner, the confirmation not."""
    nulls = [
        simulate(database, small(world, metric=metric), DATASET, SimulatedTrainer(world), drawn=True)
        for world, metric in zip(range(WORLDS), cycle(["accuracy", "log_loss"]), strict=False)
    ]
    said = [[answer.word for answer in found.verdict.judgements.values()] for found in nulls]
    assert sum(any(word.says_better for word in words) for words in said) <= stats.binom.ppf(0.99, WORLDS, 0.05)
    assert {len(words) for words in said} == {2}
    by_accuracy = nulls[::2]
    assert np.mean([found.verdict.optimism.total for found in by_accuracy]) > 0.3
    assert np.mean([found.verdict.winner.correct_mean for found in nulls]) == pytest.approx(114.2, abs=0.2)


def test_a_sweep_that_optuna_samples_says_the_same_of_identical_candidates(database: Database) -> None:
    found = simulate(database, small(0), DATASET, SimulatedTrainer(0))
    assert found.verdict.candidates == {"world-0": 40, "world-0.constant": 40, "world-0.rate": 10}
    assert found.verdict.on_these_rows.word is Word.SAME


def test_sweeps_find_one_row_at_the_stated_number_of_run_seeds(database: Database) -> None:
    findings = [
        simulate(database, small(world, STATED_RUNS), DATASET, SimulatedTrainer(world, planted=1.0), drawn=True)
        for world in range(2)
    ]
    assert all(found.record.winner.contender.name == "step" for found in findings)
    assert all(found.verdict.on_these_rows.word.says_better for found in findings)


def test_an_outcome_depends_on_candidate_seed_and_rows_alone() -> None:
    first, second = make_plan().candidates
    trainer = SimulatedTrainer(3)
    alone = dict(trainer.train([second], [7]))[0]
    together = dict(trainer.train([first, second], range(12)))[1]
    assert (alone.correct[0], alone.log_loss[0]) == (together.correct[7], together.log_loss[7])
    assert not np.array_equal(together.correct, dict(trainer.train([first], range(12)))[0].correct)
    assert not np.array_equal(together.correct, dict(SimulatedTrainer(4).train([second], range(12)))[0].correct)
