"""Laws of the time that is told before a run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from sweep.config.plan import Plan
from sweep.engines.spec import Choice, Shape
from sweep.schedules import Timeline
from sweep.verdict.baselines import searches
from sweep.verdict.timing import Pace, contenders, time_plan, told_engine, told_parts, total
from tests.fakes import make_plan
from tests.protocols import few

TIMELINE = Timeline(epochs=5, steps_per_epoch=20)
WIDE = Choice("population", "jax", Shape(8, 4), "", start_seconds=9.0, step_seconds=0.001, job_seconds=0.8)
PLAN = few(make_plan(trials=40, round_size=16, replicates=4))
NONE_DONE = dict.fromkeys(searches(PLAN, search_only=False), 0)


def pace(workers: int = 2, choice: Choice = WIDE, **more: Any) -> Pace:
    return replace(Pace(choice, TIMELINE, workers, choice.shape), **more)


def seconds(plan: Plan = PLAN, **how: Any) -> dict[str, float]:
    parts = time_plan(plan, NONE_DONE, pace(**how), search_only=False)
    return {part.name: part.seconds for part in parts}


def test_a_job_takes_its_steps_and_what_each_job_takes_besides() -> None:
    assert WIDE.job_takes(TIMELINE) == pytest.approx(0.8 + 0.001 * 100 * 32)
    assert WIDE.training_takes(TIMELINE) == pytest.approx(4.0 / 32)
    assert WIDE.job_takes(TIMELINE, Shape(2, 2)) == pytest.approx(0.8 + 0.001 * 100 * 4)


def test_a_search_waits_for_the_end_of_each_round() -> None:
    """Rounds of 16, 16 and 8 candidates are two jobs, two and one."""
    assert [seconds(workers=workers)["schedules"] for workers in (1, 2, 9)] == pytest.approx([20.0, 12.0, 12.0])


def test_the_race_waits_for_the_end_of_each_look() -> None:
    """Two looks of 6 run seeds: 11 candidates and 6 seeds are two jobs by two."""
    assert contenders(PLAN) == 11
    assert seconds()["race"] == pytest.approx(2 * 2 * 4.0)


def test_every_other_program_is_compiled_once_by_all_trainers_at_once() -> None:
    before, after = seconds(), seconds(others=True, narrow=Shape(4, 4))
    assert after["new rows"] - 9.0 == pytest.approx(before["new rows"] / 2 + 0.4 * 3)
    alike = Choice("fit", "jax", Shape(1, 1), "stated", 9.0, 0.001, job_seconds=3.0)
    assert pace(choice=alike, others=True).compiling == 0


def test_more_trainers_and_less_work_never_take_longer() -> None:
    for workers in range(1, 9):
        one, more = (
            total(time_plan(PLAN, NONE_DONE, pace(each), search_only=False)) for each in (workers, workers + 1)
        )
        assert more <= one
    some = dict.fromkeys(NONE_DONE, 30)
    assert total(time_plan(PLAN, some, pace(), search_only=False)) < total(
        time_plan(PLAN, NONE_DONE, pace(), search_only=False)
    )


def test_the_first_line_counts_what_has_passed() -> None:
    parts = time_plan(PLAN, NONE_DONE, pace(), search_only=True)
    assert told_engine(WIDE, parts, 2, 20.0).endswith(
        "8 candidates x 4 run seeds a tile: about 32 s on 2 cores, 20 s of them over"
    )


def test_what_more_looks_at_re_splits_may_take_is_told_beside_the_first() -> None:
    plan = few(make_plan(trials=40, round_size=16, replicates=4), splits=6, most_splits=24)
    once, more = (time_plan(each, NONE_DONE, pace(), search_only=False) for each in (PLAN, plan))
    assert total(once) == total(more)
    assert "(up to" not in told_parts(once)
    (new,) = (part for part in more if part.name == "new rows")
    assert new.more_trainings == 3 * new.trainings
    assert new.more_seconds == pytest.approx(3 * new.seconds)
    assert f"new rows {new.trainings} in 12 s (up to {4 * new.trainings} in 48 s where fewer do not tell)" in (
        told_parts(more)
    )
    assert re.search(r"about \d+ \w+ to \d+ \w+ on 2 cores$", told_engine(WIDE, more, 2))
    in_time = plan.model_copy(update={"split": plan.split.model_copy(update={"kind": "time", "by": "when"})})
    assert not any(part.more_trainings for part in time_plan(in_time, NONE_DONE, pace(), search_only=False))
