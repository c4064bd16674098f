"""Laws of the way from nothing to a verdict, over a fake trainer and a real database."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.table import Split
from sweep.execution.batches import Outcome
from sweep.seeds import STRIDE, Stage, run_seeds
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents
from sweep.verdict.analysis import read_result
from sweep.verdict.baselines import Role
from sweep.verdict.by_row import COUNT, unpack
from sweep.verdict.progress import is_made, work_left
from sweep.verdict.record import VerdictRecord, read_record, row_leads
from tests.fakes import FakeTrainer, make_plan, opened, rows_of
from tests.protocols import few, made_dataset, make_protocol
from tests.verdict.records import keep

PLAN = few(make_plan())
PARTS = [
    "schedules",
    "tuned constant",
    "tuned rate",
    "race, look 1 of 2",
    "race, look 2 of 2",
    "confirmation",
    "new rows",
    "forgiveness",
]


@pytest.fixture(scope="module")
def made_file(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the whole protocol once."""
    path = tmp_path_factory.mktemp("made") / "studies.db"
    shutil.copyfile(empty_file, path)
    with opened(path) as database:
        assert make_protocol(database, PLAN).run()
    return path


@pytest.fixture
def made(made_file: Path, tmp_path: Path) -> Iterator[Database]:
    """Hold a study with its verdict."""
    shutil.copyfile(made_file, tmp_path / "made.db")
    with opened(tmp_path / "made.db") as database:
        yield database


def record_of(database: Database, name: str = "tiny") -> VerdictRecord:
    found = read_record(StoredStudy(database, name))
    assert found is not None
    return found


def lasting(record: VerdictRecord) -> str:
    """Return what does not depend on when it was made, nor on the numbers of trials, which count as they arrive."""
    return re.sub(r'"trial":\d+', '"trial":0', record.model_copy(update={"seconds": 0.0}).model_dump_json())


def documents(database: Database) -> dict[str, str]:
    with database.reading() as connection:
        return read_documents(connection, queries.find_study(connection, "tiny").study_id, "sweep:")


class TestStages:
    def test_everything_is_trained_in_order(self, database: Database) -> None:
        told: list[tuple[str, int]] = []
        assert make_protocol(database, PLAN, announce=lambda part, runs: told.append((part, runs))).run()
        assert [part for part, _ in told] == PARTS
        assert told[0] == ("schedules", 40)

    def test_no_run_seed_serves_two_stages(self, made: Database) -> None:
        entry = record_of(made).entries[0]
        assert entry.contender.search is not None
        assert entry.contender.selection is not None
        stages = [entry.contender.search, entry.contender.selection, entry.confirmation, entry.new_rows[0]]
        seeds = [set(runs.run_seeds) for runs in stages]
        assert sum(map(len, seeds)) == len(set().union(*seeds)) == 2 + 12 + 8 + 2

    def test_all_candidates_of_a_stage_share_its_seeds(self, made: Database) -> None:
        record = record_of(made)
        assert len({entry.confirmation.run_seeds for entry in record.entries}) == 1
        assert len({entry.new_rows[3].run_seeds for entry in record.entries}) == 1

    def test_the_baselines_are_tuned_as_hard_as_the_winner(self, made: Database) -> None:
        assert record_of(made).basis.trials == {"tiny": 20, "tiny.constant": 20, "tiny.rate": 5}
        with made.reading() as connection:
            for name in ("tiny.constant", "tiny.rate"):
                study = queries.find_study(connection, name)
                schedules = {tried.best.schedule for tried in study.best_of_each_schedule()}
                assert schedules == {"constant"}

    def test_the_confirmed_are_winner_baselines_and_reruns(self, made: Database) -> None:
        record = record_of(made)
        assert [entry.role for entry in record.entries] == [Role.WINNER, Role.CONSTANT, Role.RATE, Role.RERUN]
        rerun = record.entries[-1].contender
        assert (rerun.name, rerun.schedule["learning_rate"], rerun.trial) == ("constant", 0.01, None)
        assert record.entries[0].contender == record.race[0]

    def test_the_baseline_is_the_best_constant_known_after_the_race(self, database: Database) -> None:
        """The main search's first recipe is better than its own search shows, which proposes it nowhere else."""

        class Flattering(FakeTrainer):
            def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
                outcome = super()._train(candidate, run_seeds, split)
                steady = candidate.schedule.learning_rate == 0.1 and candidate.momentum == 0
                lucky = min(run_seeds) < STRIDE
                right = 110 if candidate.schedule.name == "step" else 108 if steady else 107 if lucky else 90
                return replace(outcome, correct=np.full(len(run_seeds), right, np.int32))

        make_protocol(database, PLAN, Flattering()).run()
        constant = record_of(database).constant.contender
        assert (constant.study, constant.schedule["learning_rate"], constant.momentum) == ("tiny", 0.1, 0.0)
        verdict = read_result(StoredStudy(database, "tiny")).verdict
        assert verdict.on_these_rows.effect.mean == 2

    def test_re_splits_are_drawn_without_the_study_s_own(self, made: Database) -> None:
        new = record_of(made).new_rows
        assert (new.split_seeds, new.train_rows, new.test_rows) == ((1, 2, 3, 4, 5, 6), 235, 116)
        assert all(len(entry.new_rows) == 6 for entry in record_of(made).entries)

    def test_every_re_split_has_run_seeds_of_its_own(self, made: Database) -> None:
        record = record_of(made)
        for entry in record.entries:
            seeds = [seed for runs in entry.new_rows for seed in runs.run_seeds]
            assert seeds == list(run_seeds(Stage.NEW_ROWS, 12))

    def test_a_linear_model_is_fitted_on_the_own_split_and_every_re_split(self, made: Database) -> None:
        linear = record_of(made).linear
        assert linear is not None
        assert (linear.train_rows, len(linear.new_rows)) == (235, 6)
        assert "accuracy" in linear.own
        verdict = read_result(StoredStudy(made, "tiny")).verdict
        assert verdict.linear is not None
        assert (verdict.linear.name, verdict.linear.splits) == ("logistic regression", 6)
        assert verdict.linear.score == pytest.approx(116 * linear.own["accuracy"])

    def test_the_outcomes_of_each_row_add_up_to_the_right_rows_of_the_runs(self, made: Database) -> None:
        record = record_of(made)
        assert record.new_rows.tested is not None
        tested = unpack(record.new_rows.tested, COUNT)
        assert (len(tested), tested.sum()) == (351, 6 * 2 * 116)
        for entry in record.entries:
            assert entry.on_rows is not None
            right = unpack(entry.on_rows.right, COUNT)
            assert right.sum() == sum(sum(runs.correct) for runs in entry.new_rows)
            assert (right <= tested).all()
        leads = row_leads(record, record.winner, record.constant, "accuracy")
        assert leads is not None
        assert len(leads) == (tested > 0).sum()
        ours, theirs = (entry.new_rows_mean for entry in (record.winner, record.constant))
        assert ours is not None
        assert theirs is not None
        assert np.average(leads, weights=tested[tested > 0]) * 116 == pytest.approx(ours - theirs)

    def test_rows_that_cannot_be_split_again_leave_a_reason(self, database: Database) -> None:
        alone = replace(made_dataset(6, ("a", "b", "c")), targets=np.array([0, 1, 2, 0, 1, 2], np.int32))
        assert make_protocol(database, PLAN, TwoRows(), dataset=alone).run()
        record = record_of(database)
        assert str(record.new_rows.problem).startswith("split.fraction: must leave a row for each of 3 classes")
        assert record.entries[0].new_rows == ()
        assert record.forgiveness is not None
        assert record.forgiveness.problem == record.new_rows.problem


class TwoRows(FakeTrainer):
    """Validates on two rows of three classes."""

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        found = super()._train(candidate, run_seeds, split)
        right = np.minimum(found.correct, 1)
        return replace(found, correct=right, class_correct=np.stack([0 * right, right, 0 * right], axis=1))


LOOKS = few(make_plan(), splits=6, most_splits=24)
NAMES = [f"new rows, look {number} of 3" for number in (1, 2, 3)]


@dataclass
class Leading(FakeTrainer):
    """On re-splits a schedule is ahead of a constant rate by 10 rows, and by more or less in every other run."""

    apart: float = 0.0
    looks: list[int] = field(default_factory=list)
    began: list[int] = field(default_factory=list)  # trainings before each of them, and before those at other rates

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        self.began.append(len(self.trained))
        if run_seeds[0][0] // STRIDE == 3:
            self.looks.append(len(splits))
        return super().train_on(splits, candidates, run_seeds)

    def _train(self, candidate: Candidate, run_seeds: Sequence[int], split: Split | None) -> Outcome:
        found = super()._train(candidate, run_seeds, split)
        if split is None:
            return found
        ahead = [10 + self.apart * (1 if seed % 2 else -1) for seed in run_seeds]
        correct = 70 + np.array(ahead if candidate.schedule.name == "step" else [0] * len(ahead), np.int32)
        return replace(found, correct=correct, rows=rows_of(split, correct, found.log_loss))


class TestLooks:
    def run(self, database: Database, trainer: FakeTrainer, plan: Plan = LOOKS) -> list[str]:
        told: list[str] = []
        with contextlib.suppress(KeyboardInterrupt):
            make_protocol(database, plan, trainer, announce=lambda part, _runs: told.append(part)).run()
        return [part for part in told if part.startswith("new rows")]

    def test_a_lead_that_is_told_at_once_has_one(self, database: Database) -> None:
        trainer = Leading(apart=0)
        assert self.run(database, trainer) == NAMES[:1]
        record = record_of(database)
        assert (trainer.looks, len(record.new_rows.split_seeds), record.new_rows.looks) == ([6], 6, (6, 12, 24))

    def test_more_re_splits_come_until_they_tell(self, database: Database) -> None:
        """Each of them twice as many in all as before, with seeds that none had, and as one look would have them."""
        trainer = Leading(apart=9)
        assert self.run(database, trainer) == NAMES[:2]
        assert trainer.looks == [6, 6]
        record = record_of(database)
        assert record.new_rows.split_seeds == tuple(range(1, 13))
        seeds = [seed for runs in record.winner.new_rows for seed in runs.run_seeds]
        assert seeds == list(run_seeds(Stage.NEW_ROWS, 24))
        assert is_made(database, LOOKS)

    def test_they_end_where_the_study_file_says(self, database: Database) -> None:
        trainer = Leading(apart=30)
        assert self.run(database, trainer) == NAMES
        assert trainer.looks == [6, 6, 12]
        assert len(record_of(database).new_rows.split_seeds) == 24

    def test_a_run_that_is_stopped_between_looks_trains_nothing_twice(self, database: Database, tmp_path: Path) -> None:
        whole = Leading(apart=9)
        with opened(tmp_path / "whole.db") as other:
            self.run(other, whole)
            wanted = lasting(record_of(other))
        stopped = Leading(apart=9, interrupted_after=whole.began[-1] - 3)
        assert self.run(database, stopped) == NAMES[:2]
        assert read_record(StoredStudy(database, "tiny")) is None
        again = Leading(apart=9)
        self.run(database, again)
        assert again.looks == [6]
        assert again.began[-1] == 6 * 4
        assert lasting(record_of(database)) == wanted

    def test_re_splits_of_before_are_made_anew(self, made: Database) -> None:
        record = record_of(made)
        new = record.new_rows.model_copy(update={"tested": None, "looks": ()})
        with made.reading() as connection:
            key = queries.find_study(connection, "tiny").study_id
        keep(made, key, record.model_copy(update={"new_rows": new, "version": 1}))
        assert work_left(made, PLAN, search_only=False)
        assert make_protocol(made, PLAN).run()
        assert record_of(made).new_rows.tested == record.new_rows.tested
        assert not work_left(made, PLAN, search_only=False)


class TestContinuing:
    def test_what_is_made_is_not_made_again(self, made: Database) -> None:
        before, trainer = record_of(made), FakeTrainer()
        assert not work_left(made, PLAN, search_only=False)
        assert make_protocol(made, PLAN, trainer).run()
        assert (record_of(made), trainer.trained) == (before, [])

    def test_stopped_once_in_every_part_it_ends_as_if_it_had_not_been(self, database: Database, made: Database) -> None:
        stopped: list[str] = []

        def stop_once(part: str, _runs: int) -> None:
            if part not in stopped:
                stopped.append(part)
                trainer.interrupted_after = len(trainer.trained) + 1

        done = False
        while not done:
            trainer = FakeTrainer()
            with contextlib.suppress(KeyboardInterrupt):
                done = make_protocol(database, PLAN, trainer, announce=stop_once).run()
        assert stopped == PARTS
        assert lasting(record_of(database)) == lasting(record_of(made))

    def test_a_finished_part_is_not_trained_again(self, database: Database) -> None:
        whole = FakeTrainer()
        with pytest.raises(KeyboardInterrupt):
            make_protocol(database, PLAN, FakeTrainer(interrupted_after=90)).run()
        assert any(name.startswith("sweep:part:") for name in documents(database))
        make_protocol(database, PLAN, whole).run()
        assert 0 < len(whole.trained) < 60

    def test_the_parts_go_when_the_dossier_comes(self, made: Database) -> None:
        assert documents(made).keys() == {"sweep:dossier"}

    def test_more_trials_make_a_new_verdict_on_seeds_of_its_own(self, made: Database) -> None:
        more = few(make_plan(trials=24))
        assert not is_made(made, more) or work_left(made, more, search_only=False)
        make_protocol(made, more).run()
        record = record_of(made)
        assert record.confirmations == 2
        assert record.basis.trials["tiny"] == 24
        assert record.entries[0].confirmation.run_seeds == tuple(run_seeds(Stage.CONFIRMATION, 8, first=8))

    @pytest.mark.parametrize("changed", [few(make_plan(), splits=8), PLAN.model_copy(update={"baseline": None})])
    def test_another_verdict_table_or_baseline_makes_a_new_verdict(self, made: Database, changed: Plan) -> None:
        assert work_left(made, changed, search_only=False)
        make_protocol(made, changed).run()
        assert record_of(made).confirmations == 2
        assert is_made(made, changed)

    @pytest.mark.parametrize(
        "change",
        [
            {"learning_rate": {"low": 0.15, "high": 1.0, "log": True}},
            {"momentum": {"low": 0.2, "high": 0.8}},
            {"schedules": {"constant": {}}},
            {"replicates": 3},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_a_study_that_grows_makes_a_new_verdict_once_and_none_of_it_is_set_aside(
        self, made: Database, change: dict[str, Any]
    ) -> None:
        grown = few(make_plan(recipes=(), **change))
        assert work_left(made, grown, search_only=False)
        assert make_protocol(made, grown).run()
        assert not work_left(made, grown, search_only=False)
        record = read_record(StoredStudy(made, "tiny"))
        assert record is not None
        assert record.confirmations == 2
        for entry in record.entries:
            if entry.role is Role.RERUN:
                continue
            contender = entry.contender
            with StoredStudy(made, str(contender.study)).reading() as study:
                assert contender.trial not in study.set_aside

    def test_a_search_alone_leaves_no_verdict(self, database: Database) -> None:
        assert make_protocol(database, PLAN).run(search_only=True)
        assert read_record(StoredStudy(database, "tiny")) is None
        assert not work_left(database, PLAN, search_only=True)
        assert work_left(database, PLAN, search_only=False)

    def test_no_stage_begins_after_the_timeout(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        timeline = SimpleNamespace(now=0.0, perf_counter=time.perf_counter)
        timeline.monotonic = lambda: timeline.now
        for module in ("search.loop", "verdict.protocol", "verdict.resplits"):
            monkeypatch.setattr(f"sweep.{module}.time", timeline)

        def let_a_second_pass() -> None:
            timeline.now += 1

        protocol = make_protocol(database, PLAN, FakeTrainer(before_each=let_a_second_pass))
        ends = []
        while not protocol.run(timeout_seconds=30):
            ends.append(timeline.now)
            assert len(ends) < 10
        assert len(ends) >= 2
        assert is_made(database, PLAN)
