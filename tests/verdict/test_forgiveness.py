"""Laws of trainings at other rates: what is trained, and how it is kept."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest

from sweep.schedules import Schedule, Timeline, read_schedule
from sweep.schedules.base import CATALOGUE
from sweep.seeds import Stage, run_seeds
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.forgiveness import at_factor, follows
from sweep.verdict.record import ForgivenessRecord, ForgivingFamily, VerdictRecord, read_record
from sweep.verdict.timing import FACTORS, rates_tried
from tests.fakes import FakeTrainer, make_plan, opened
from tests.protocols import few, make_protocol
from tests.schedules.examples import an_example
from tests.verdict.records import make_plan as default_plan
from tests.verdict.records import make_record

CLOCK = Timeline(epochs=6, steps_per_epoch=3)
PLAN = few(make_plan())


def record_of(database: Database) -> VerdictRecord:
    found = read_record(StoredStudy(database, "tiny"))
    assert found is not None
    return found


class TestRates:
    @pytest.mark.parametrize("name", sorted(CATALOGUE.keys() - {"function"}))
    def test_every_rate_is_the_factor_times_what_it_was(self, name: str) -> None:
        for schedule in (an_example(CATALOGUE[name], end, warmup=0.3, warmup_from=0.1, floor=0.05) for end in (0, -1)):
            self.check(schedule)

    def test_so_is_that_of_a_schedule_in_a_join_with_a_rate_of_its_own(self) -> None:
        own = '{"name": "linear", "learning_rate": 0.3}'
        self.check(read_schedule({"name": "join", "learning_rate": 0.1, "first": "cosine", "second": own}))

    def check(self, schedule: Schedule) -> None:
        for factor in FACTORS:
            scaled = at_factor(schedule, factor)
            assert type(scaled) is type(schedule)
            assert np.allclose(scaled.base_rates(CLOCK), factor * schedule.base_rates(CLOCK), rtol=1e-12)

    def test_a_function_of_the_user_s_has_other_rates_if_it_takes_the_rate(self) -> None:
        free, bound = (
            read_schedule({"name": "function", "learning_rate": 0.1, "function": f"tests.schedules.callables:{name}"})
            for name in ("shrinking", "step_decay")
        )
        assert follows(free, CLOCK)
        assert not follows(bound, CLOCK)

    def test_a_rate_that_is_too_high_to_be_multiplied_is_not_tried(self) -> None:
        assert not follows(read_schedule({"name": "constant", "learning_rate": 1e30}), CLOCK)


class TestStage:
    def test_the_best_of_each_schedule_is_tried_on_the_verdict_s_first_re_splits(self, database: Database) -> None:
        trainer, told = FakeTrainer(), dict[str, int]()
        make_protocol(database, PLAN, trainer, announce=told.__setitem__).run()
        record = record_of(database)
        found, size = record.forgiveness, rates_tried(PLAN)
        assert found is not None
        assert [(family.name, family.factors) for family in found.families] == [
            ("constant", FACTORS),
            ("step", FACTORS),
        ]
        constant, step = (family.contender for family in found.families)
        assert (constant.setting, step.setting) == (record.constant.contender.setting, record.winner.contender.setting)
        assert found.split_seeds == record.new_rows.split_seeds[: size.splits]
        assert (found.train_rows, found.test_rows, found.runs, found.problem) == (235, 116, size.seeds, None)
        assert told["forgiveness"] == size.trainings == 2 * 5 * size.splits * 2
        rates = [each.schedule.learning_rate for each in trainer.trained[-10:]]
        assert rates == [each.schedule["learning_rate"] * factor for each in (constant, step) for factor in FACTORS]
        assert np.array(found.families[0].scores).shape == (5, size.splits)

    def test_its_run_seeds_are_no_other_stage_s_and_those_of_keras(self) -> None:
        nested, own = run_seeds(Stage.NESTED, 1, first=20 * 8), run_seeds(Stage.FORGIVENESS, 40)
        assert nested.stop < own.start
        assert own.stop < 2**32

    def test_a_re_split_that_is_finished_is_not_trained_again(self, database: Database, tmp_path: Path) -> None:
        whole = FakeTrainer()
        with opened(tmp_path / "whole.db") as other:
            make_protocol(other, PLAN, whole).run()
            wanted = record_of(other).forgiveness
        again = FakeTrainer()
        with contextlib.suppress(KeyboardInterrupt):
            make_protocol(database, PLAN, FakeTrainer(interrupted_after=len(whole.trained) - 5)).run()
        make_protocol(database, PLAN, again).run()
        assert record_of(database).forgiveness == wanted
        assert len(again.trained) == 10


def test_a_score_of_what_diverged_is_kept_as_null() -> None:
    contender = make_record(default_plan()).constant.contender
    family = ForgivingFamily(name="constant", contender=contender, factors=(1.0,), scores=((0.5, math.nan),))
    text = ForgivenessRecord(families=(family,)).model_dump_json()
    assert '"scores":[[0.5,null]]' in text
    assert math.isnan(ForgivenessRecord.model_validate_json(text).families[0].scores[0][1])


class TestSize:
    def test_it_takes_about_an_eighth_of_what_all_else_takes(self) -> None:
        size = rates_tried(default_plan())
        assert (size.families, size.splits, size.seeds, size.trainings) == (9, 6, 4, 1080)

    def test_a_small_study_has_two_schedules_and_two_re_splits(self) -> None:
        size = rates_tried(few(make_plan(trials=4, replicates=2)))
        assert (size.families, size.splits, size.seeds) == (2, 2, 2)

    def test_a_search_of_constants_has_one(self) -> None:
        assert rates_tried(few(make_plan(recipes=(), schedules={"constant": {}}))).families == 1
