"""Laws of how trainers agree on an engine."""

from __future__ import annotations

from sweep.engines.spec import Choice, Shape
from sweep.execution.choosing import agreed


def test_the_first_trainer_chooses_and_all_that_chose_the_same_give_the_pace() -> None:
    first = Choice("population", "jax", Shape(8, 4), "", 9.0, 0.001, job_seconds=0.2)
    second = Choice("population", "jax", Shape(8, 4), "", 11.0, 0.003, job_seconds=0.4)
    other = Choice("fit", "jax", Shape(1, 1), "slower", 99.0, 1.0, job_seconds=9.0)
    found = agreed([first, second, other])
    assert (found.engine, found.start_seconds) == ("population", 11.0)
    assert abs(found.step_seconds - 0.002) + abs(found.job_seconds - 0.3) < 1e-12
    assert agreed([other, first]) == other
