"""Laws of how trainers agree on an engine."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.data.table import Split
from sweep.engines.spec import Architecture, Choice, Shape, TrainingSpec
from sweep.errors import BadInput, OtherBackend, WrittenForAnother
from sweep.execution.choosing import agreed, choose_engine


def test_the_first_trainer_chooses_and_all_that_chose_the_same_give_the_pace() -> None:
    first = Choice("population", "jax", Shape(8, 4), "", 9.0, 0.001, job_seconds=0.2)
    second = Choice("population", "jax", Shape(8, 4), "", 11.0, 0.003, job_seconds=0.4)
    other = Choice("fit", "jax", Shape(1, 1), "slower", 99.0, 1.0, job_seconds=9.0)
    found = agreed([first, second, other])
    assert (found.engine, found.start_seconds) == ("population", 11.0)
    assert abs(found.step_seconds - 0.002) + abs(found.job_seconds - 0.3) < 1e-12
    assert agreed([other, first]) == other


class Trainers:
    """Trainers that answer as they are told, by backend."""

    gpus = ()
    backend = "jax"

    def __init__(self, jax: Exception, tensorflow: Choice | Exception) -> None:
        self.answers = {"jax": jax, "tensorflow": tensorflow}

    def use(self, backend: str) -> None:
        self.backend = backend

    def ask_all(self, _asked: object) -> list[Any]:
        answer = self.answers[self.backend]
        if isinstance(answer, Exception):
            raise answer
        return [answer]


def chosen(trainers: Any, split: Split) -> Choice:
    spec = TrainingSpec(split, Architecture(34, 2, build="tests.engines.models:branched"), 2, 16)
    return choose_engine(trainers, spec, 4, 2)


ON_TENSORFLOW = Choice("fit", "tensorflow", Shape(1, 1), "it cannot be trained on Keras' JAX backend", 2.0, 0.001)


def test_fit_on_tensorflow_says_what_failed_on_jax(ionosphere: Split) -> None:
    failed = OtherBackend("model.build", "the model cannot be trained in line 3: ValueError: no gradient.")
    wanted = "on Keras' JAX backend (the model cannot be trained in line 3: ValueError: no gradient)"
    assert chosen(Trainers(failed, ON_TENSORFLOW), ionosphere).reason.endswith(wanted)


def test_what_fails_on_the_backend_that_a_model_is_written_for_is_said(ionosphere: Split) -> None:
    other, there = WrittenForAnother("model.build", "for tensorflow"), BadInput("model.build", "broken in line 3")
    with pytest.raises(BadInput, match="broken in line 3"):
        chosen(Trainers(other, there), ionosphere)
    with pytest.raises(BadInput, match="broken on jax"):
        chosen(Trainers(OtherBackend("model.build", "broken on jax"), there), ionosphere)


def test_what_no_backend_changes_is_tried_on_one(ionosphere: Split) -> None:
    with pytest.raises(BadInput, match="must return a Keras model"):
        chosen(Trainers(BadInput("model.build", "it must return a Keras model"), ON_TENSORFLOW), ionosphere)


def test_a_step_that_is_measured_as_nothing_is_measured_all_the_same() -> None:
    assert Choice("population", "jax", Shape(8, 4), "", 9.0, 0.0, job_seconds=0.2).is_timed
    assert not Choice("hidden layer", "tensorflow", Shape(8, 4)).is_timed
