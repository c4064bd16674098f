"""Laws of nested searches, over a fake trainer: what they say of known worlds, how they go on, and what they leave."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.resplitting import resplit
from sweep.data.table import Split
from sweep.engines.population import Population
from sweep.engines.spec import Architecture, Choice, Shape, TrainingSpec
from sweep.execution.batches import BatchTrainer, Outcome
from sweep.schedules import Timeline
from sweep.seeds import Stage, run_seeds
from sweep.stats.verdict import Judgement
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents
from sweep.verdict.analysis import read_result
from sweep.verdict.nested import NestedSearches
from sweep.verdict.progress import is_made, work_left
from sweep.verdict.protocol import Protocol
from sweep.verdict.record import NestedRecord, OuterSplit, VerdictRecord, read_record
from sweep.verdict.timing import Pace, nested_trainings, outer_splits, side_by_side
from tests.execution.echo import InProcess
from tests.fakes import FakeTrainer, make_plan, opened
from tests.protocols import few, make_protocol

PLAN = few(make_plan(replicates=2), nested=6)
NOT_TIMED = Choice("hidden layer", "tensorflow", Shape(64, 2))
PACE = Pace(NOT_TIMED, Timeline(epochs=50, steps_per_epoch=9), 2, Shape(8, 4))


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


class TestWords:
    def test_schedules_that_are_better_are_found(self, database: Database) -> None:
        nested_protocol(database, trainer=Planted()).run()
        verdict = read_result(StoredStudy(database, "tiny")).verdict
        found = verdict.nested
        assert found is not None
        assert isinstance(found.answer, Judgement)
        assert found.answer.word.says_better
        assert found.answer.effect.interval.low < 8 < found.answer.effect.interval.high
        assert (found.splits, found.chosen, found.ahead) == (6, {"step": 6}, 6)
        assert verdict.sentences[0] == found.sentence
        assert found.sentence.startswith("Searching again: better")
        assert found.sentence.endswith(
            "It was ahead on 6 of 6 outer splits, level on 0, behind on 0, and chose step 6 times."
        )

    def test_searches_of_equals_are_not_better(self, database: Database) -> None:
        nested_protocol(database, trainer=World()).run()
        found = read_result(StoredStudy(database, "tiny")).verdict.nested
        assert found is not None
        assert isinstance(found.answer, Judgement)
        assert not found.answer.word.says_better
        assert not found.answer.word.says_worse
        assert found.ahead + found.level + found.behind == 6 == sum(found.chosen.values())

    def test_by_a_loss_few_outer_splits_cannot_tell(self, database: Database) -> None:
        nested_protocol(database, few(make_plan(metric="log_loss", replicates=2), nested=2)).run()
        found = read_result(StoredStudy(database, "tiny")).verdict.nested
        assert found is not None
        assert found.sentence.startswith("Searching again: open. The log-loss is ")
        assert "over 2 outer splits: fewer than 6 outer splits cannot tell. It was ahead on " in found.sentence

    def test_what_cannot_be_repeated_leaves_a_reason(self, database: Database) -> None:
        plan = few(make_plan(schedules={"constant": {}}, recipes=[]), nested=6)
        nested_protocol(database, plan).run()
        found = read_result(StoredStudy(database, "tiny")).verdict.nested
        assert found is not None
        assert found.sentence == (
            "Searching again: open. It was not repeated: the search has no schedule but the constant rate."
        )
        assert is_made(database, plan)


class TestContinuing:
    def test_a_killed_run_loses_the_outer_split_that_it_was_in(
        self, database: Database, empty_file: Path, tmp_path: Path
    ) -> None:
        whole = FakeTrainer()
        shutil.copyfile(empty_file, tmp_path / "other.db")
        with opened(tmp_path / "other.db") as other:
            nested_protocol(other, trainer=whole).run()
            expected = nested_of(other)
        for_nested = 6 * (2 * 16 + 2)
        killed = FakeTrainer(interrupted_after=len(whole.trained) - for_nested + 3 * 34 + 20)
        with pytest.raises(KeyboardInterrupt):
            nested_protocol(database, trainer=killed).run()
        kept = {name for name in names(database) if name.startswith("sweep:part:nested")}
        assert kept == {f"sweep:part:nested {outer.split_seed}" for outer in expected.splits[:3]}
        again = FakeTrainer()
        assert nested_protocol(database, trainer=again).run()
        assert len(again.trained) == 3 * 34
        assert nested_of(database) == expected

    def test_nothing_of_it_is_left_but_the_record(self, database: Database) -> None:
        nested_protocol(database).run()
        assert names(database) == {"sweep:dossier"}
        with database.reading() as connection:
            assert queries.study_names(connection) == {"tiny", "tiny.constant", "tiny.rate"}
        assert is_made(database, PLAN)
        as_written = PLAN.model_copy(update={"search": PLAN.search.model_copy(update={"metric": None})})
        assert not work_left(database, as_written, search_only=False)

    def test_a_verdict_gets_it_later_and_keeps_all_else(self, database: Database) -> None:
        without = PLAN.model_copy(update={"verdict": PLAN.verdict.model_copy(update={"nested": None})})
        assert make_protocol(database, without).run()
        before, trainer = record_of(database), FakeTrainer()
        assert before.nested is None
        assert not is_made(database, PLAN)
        assert nested_protocol(database, trainer=trainer).run()
        after = record_of(database)
        assert len(trainer.trained) == 6 * 34
        assert after.nested is not None
        assert after.entries == before.entries
        assert is_made(database, PLAN)
        assert is_made(database, without)

    def test_another_verdict_keeps_the_searches_that_would_be_the_same(self, database: Database) -> None:
        nested_protocol(database).run()
        before, trainer = nested_of(database), FakeTrainer()
        changed = few(make_plan(replicates=2), nested=6, splits=8)
        nested_protocol(database, changed, trainer).run()
        assert record_of(database).confirmations == 2
        assert nested_of(database) == before
        more = few(make_plan(replicates=2, trials=24), nested=6)
        nested_protocol(database, more).run()
        assert nested_of(database) != before

    def test_no_outer_split_begins_after_the_timeout(self, database: Database) -> None:
        nested = nested_protocol(database).nested
        assert nested is not None
        answers = iter([True, True, False])
        kept = list[OuterSplit]()
        found = nested.run({}, kept.append, lambda: next(answers))
        assert found.out_of_time
        assert found.splits == tuple(kept)
        assert found.problem == "the time was over after 2 of 6 outer splits"


class TestDefault:
    """The default repeats the search on 10 outer splits only where that costs less than the search."""

    @pytest.mark.parametrize(("replicates", "splits"), [(4, 0), (16, 0), (64, 10)])
    def test_it_is_on_where_it_costs_less_than_the_search(self, replicates: int, splits: int) -> None:
        plan = make_plan(replicates=replicates, trials=200, round_size=64)
        assert outer_splits(plan, PACE) == splits

    def test_a_study_file_has_the_last_word(self) -> None:
        for given, splits in ((0, 0), (False, 0), (True, 10), (20, 20)):
            assert outer_splits(few(make_plan(replicates=64), nested=given), PACE) == splits


def test_two_programs_train_all_of_it(database: Database) -> None:
    """One for rounds on the inner splits, and one for winners on the outer ones: real networks, in this process."""
    plan = few(make_plan(trials=8, replicates=2), nested=2)
    split = make_protocol(database, plan).split
    spec = TrainingSpec(split, Architecture(3, 2, (4,)), epochs=2, batch_size=64)
    trainer = BatchTrainer(executor := InProcess(), spec, Shape(16, 2))
    found = NestedSearches.of(plan, 2, 2, trainer, trainer.narrow(4)).run({}, lambda _outer: None, lambda: True)
    assert isinstance(executor.engine, Population)
    assert executor.engine.programs == 2
    assert [len(outer.runs[0].correct) for outer in found.splits] == [4, 4]
    for outer in found.splits:
        alone = spec_outcomes(executor, spec, outer, split)
        assert tuple(alone.correct.tolist()) == outer.runs[0].correct


def spec_outcomes(executor: InProcess, spec: TrainingSpec, outer: OuterSplit, split: Split) -> Outcome:
    """Train the winner again on the rows of its outer split, as re-splits are trained."""
    again = resplit(split, "stratified", 0.33, [outer.split_seed], "accuracy").splits[outer.split_seed]
    trainer = BatchTrainer(executor, spec, Shape(8, 4))
    ((_, (outcome,)),) = trainer.train_on([again], [outer.winners[0].candidate], [outer.runs[0].run_seeds])
    return outcome
