"""Laws of nested searches, over a fake trainer: what they say of known worlds, how they go on, and what they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.table import Split
from sweep.engines.spec import Shape
from sweep.execution.batches import Outcome
from sweep.seeds import Stage, run_seeds
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents
from sweep.verdict.nested import NestedSearches
from sweep.verdict.protocol import Protocol
from sweep.verdict.record import NestedRecord, VerdictRecord, read_record
from sweep.verdict.timing import nested_trainings, side_by_side
from tests.fakes import FakeTrainer, make_plan
from tests.protocols import few, make_protocol

PLAN = few(make_plan(replicates=2), nested=6)


class World(FakeTrainer):
    """Gives a constant rate so many rows less than any other schedule; all else is luck of split, candidate and run."""

    behind = 0.0

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        outcome = super()._train(candidate, run_seeds, split)
        rows = 0 if split is None else int(split.validation_index.sum())
        name = candidate.schedule.model_dump_json().encode()
        luck = np.array([np.random.default_rng((rows, seed, *name)).normal(0, 1) for seed in run_seeds])
        level = 0.9 * outcome.validation_rows - (self.behind if candidate.schedule.name == "constant" else 0.0)
        return replace(outcome, correct=np.rint(level + luck).astype(np.int32))


class Planted(World):
    behind = 8.0


def nested_protocol(database: Database, plan: Plan = PLAN, trainer: Any = None, **how: Any) -> Protocol:
    trainer = trainer or FakeTrainer()
    protocol = make_protocol(database, plan, trainer, **how)
    protocol.nested = NestedSearches(plan, protocol.split, plan.verdict.nested or 0, trainer, trainer)
    return protocol


def record_of(database: Database) -> VerdictRecord:
    found = read_record(StoredStudy(database, "tiny"))
    assert found is not None
    return found


def nested_of(database: Database) -> NestedRecord:
    found = record_of(database).nested
    assert found is not None
    return found


def names(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(read_documents(connection, queries.find_study(connection, "tiny").study_id, "sweep:"))


def test_each_outer_split_has_two_searches_and_both_winners_meet_on_unseen_rows(database: Database) -> None:
    told: list[tuple[str, int]] = []
    assert nested_protocol(database, announce=lambda part, runs: told.append((part, runs))).run()
    found = nested_of(database)
    assert told[-1] == ("nested searches", nested_trainings(PLAN, 6)) == ("nested searches", 2 * 6 * (16 * 2 + 4))
    assert (found.trials, found.replicates, found.train_rows, found.test_rows) == (16, 2, 235, 116)
    assert len(found.splits) == 6
    assert found.problem is None
    for place, outer in enumerate(found.splits):
        assert outer.winners[1].name == "constant"
        every = run_seeds(Stage.NESTED, 2 + 4, 8 * place)
        assert all(
            winner.search is not None and winner.search.run_seeds == tuple(every[:2]) for winner in outer.winners
        )
        assert all(runs.run_seeds == tuple(every[2:]) for runs in outer.runs)


def test_searches_on_two_outer_splits_differ_in_what_they_propose(database: Database) -> None:
    trainer = FakeTrainer()
    protocol = nested_protocol(database, trainer=trainer)
    assert protocol.nested is not None
    protocol.nested.run({}, lambda _outer: None, lambda: True)
    rates = [candidate.schedule.learning_rate for candidate in trainer.trained]
    assert len(set(rates)) >= 6 * (2 * 16 - 2)  # the recipes are tried on each


@pytest.mark.parametrize("together", [1, 4])
def test_how_many_are_searched_on_at_once_changes_nothing(database: Database, together: int) -> None:
    nested = nested_protocol(database).nested
    assert nested is not None
    alone = nested.run({}, lambda _outer: None, lambda: True)
    assert replace(nested, at_once=together).run({}, lambda _outer: None, lambda: True) == alone


def test_there_is_a_job_for_every_trainer() -> None:
    plan = make_plan(trials=64, round_size=32, replicates=8)
    for workers, splits in ((1, 1), (2, 1), (4, 1), (5, 2), (16, 4)):
        assert side_by_side(plan, Shape(32, 2), workers) == splits
