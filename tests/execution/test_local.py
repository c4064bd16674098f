"""Real trainer processes: started, killed, and gone in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.data.table import Split
from sweep.engines.population import Population
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.errors import BadInput, TrainingFailed
from sweep.execution.batches import Outcome, PoolTrainer, Shape, make_batch
from sweep.execution.local import Pool
from sweep.execution.worker import serve

DEADLINE = 20.0


def wait_until(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.02)


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def train(pool: Pool, problem: TrainingSpec, candidates: list[Candidate], shape: Shape) -> list[Outcome]:
    found = dict(PoolTrainer(pool, problem, shape).train(candidates, range(5)))
    return [found[place] for place in range(len(candidates))]


def same(left: list[Outcome], right: list[Outcome]) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for one, other in zip(left, right, strict=True)
        for name in (
            "correct",
            "class_correct",
            "log_loss",
            "loss",
            "accuracy",
            "validation_loss",
            "validation_accuracy",
        )
    )


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as started:
        yield started


@pytest.fixture(scope="module")
def alone(small: TrainingSpec, candidates: list[Candidate]) -> list[Outcome]:
    """What one worker finds with tiles of one shape."""
    with Pool(1) as single:
        return train(single, small, candidates, Shape(16, 8))


@pytest.mark.parametrize("shape", [Shape(8, 4), Shape(16, 2), Shape(32, 3), Shape(64, 2)])
def test_workers_and_tile_shape_change_no_bit(
    shape: Shape, pool: Pool, small: TrainingSpec, candidates: list[Candidate], alone: list[Outcome]
) -> None:
    assert same(train(pool, small, candidates, shape), alone)


def test_a_killed_trainer_costs_a_retry_and_nothing_else(
    pool: Pool, small: TrainingSpec, candidates: list[Candidate], alone: list[Outcome]
) -> None:
    before = pool.restarts
    found: dict[int, Outcome] = {}
    for place, outcome in PoolTrainer(pool, small, Shape(16, 2)).train(candidates * 8, range(5)):
        if not found:
            os.kill(pool.process_ids[0], signal.SIGKILL)
        found[place] = outcome
    assert pool.restarts == before + 1
    assert same([found[place] for place in range(len(candidates) * 8)], alone * 8)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_re_splits_are_trained_as_problems_of_their_own_for_any_number_of_candidates(
    count: int, pool: Pool, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    chosen, trained = candidates[:count], list[int]()
    trainer = PoolTrainer(pool, small, Shape(8, 2), on_runs=trained.append)
    found = dict(trainer.train_on(resplits, chosen, range(5)))
    assert sum(trained) == len(resplits) * count * 5
    for place, split in enumerate(resplits):
        assert same(found[place], train(pool, replace(small, split=split), chosen, Shape(8, 2)))


def test_re_splits_need_not_be_of_one_shape(
    pool: Pool, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    first = resplits[0]
    splits = [first, replace(first, validation_inputs=first.train_inputs, validation_targets=first.train_targets)]
    found = dict(PoolTrainer(pool, small, Shape(8, 2)).train_on(splits, candidates[:2], range(5)))
    assert [found[place][0].validation_rows for place in (0, 1)] == [116, 235]
    assert np.array_equal(found[0][1].loss, found[1][1].loss)


def test_a_trainer_killed_between_re_splits_costs_a_retry_and_nothing_else(
    pool: Pool, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    before, trainer = pool.restarts, PoolTrainer(pool, small, Shape(8, 2))
    found: dict[int, list[Outcome]] = {}
    for place, outcomes in trainer.train_on(resplits * 4, candidates[:2], range(5)):
        if not found:
            os.kill(pool.process_ids[0], signal.SIGKILL)
        found[place] = outcomes
    assert pool.restarts == before + 1
    for place, split in enumerate(resplits * 4):
        assert same(found[place], found[place % 3])
        assert found[place][0].validation_rows == split.validation_rows


def test_a_worker_builds_one_population_for_all_re_splits(
    small: TrainingSpec, resplits: list[Split], candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Population] = []

    class Counted(Population):
        def __init__(self, problem: TrainingSpec) -> None:
            super().__init__(problem)
            built.append(self)

    monkeypatch.setattr("sweep.engines.population.Population", Counted)
    tile = make_batch(candidates, (0, 1), small, Shape(16, 2))
    problems = [replace(small, split=split) for split in resplits]
    answers = served([(problem, tile) for problem in problems] + [(None, tile)])
    assert ([population.programs for population in built]) == [1]
    for answer, problem in zip(answers, [*problems, problems[-1]], strict=True):
        assert np.array_equal(answer.loss, Population(problem).train(tile).loss)


def served(messages: list[Any]) -> list[Any]:
    """Return what a worker answers to `messages`."""
    ours, theirs = Pipe()
    for message in messages:
        ours.send(message)
    with ours, theirs, ThreadPoolExecutor() as threads:
        serving = threads.submit(serve, theirs)
        answers = [ours.recv() for _ in messages]
        ours.close()
        assert isinstance(serving.exception(), EOFError)
    return answers


def test_a_trainers_own_error_reaches_the_caller(pool: Pool, small: TrainingSpec, candidates: list[Candidate]) -> None:
    nowhere = TrainingSpec(small.split, Architecture(34, 2, build="nowhere:model"), 3, 28)
    with pytest.raises(BadInput, match=r"model\.build: `nowhere:model` cannot be imported"):
        train(pool, nowhere, candidates, Shape(16, 2))


def test_a_problem_that_was_refused_is_refused_again(
    pool: Pool, small: TrainingSpec, candidates: list[Candidate]
) -> None:
    nowhere = TrainingSpec(small.split, Architecture(34, 2, build="nowhere:model"), 3, 28)
    for _ in range(4):
        with pytest.raises(BadInput, match="cannot be imported"):
            train(pool, nowhere, candidates, Shape(16, 8))


def test_the_pool_works_on_after_an_error(
    pool: Pool, small: TrainingSpec, candidates: list[Candidate], alone: list[Outcome]
) -> None:
    assert same(train(pool, small, candidates, Shape(16, 2)), alone)


def test_a_tile_that_kills_every_trainer_ends_the_run(
    small: TrainingSpec, candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.execution.worker.ENVIRONMENT", {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"})
    with Pool(1) as broken, pytest.raises(TrainingFailed, match="died 3 times on one tile"):
        train(broken, small, candidates, Shape(16, 2))


def test_closing_ends_every_trainer() -> None:
    with Pool(2) as short:
        started = short.process_ids
    assert not any(is_alive(process_id) for process_id in started)


def test_trainers_end_with_a_parent_that_was_killed() -> None:
    script = """
from sweep.execution.local import Pool
with Pool(2) as pool:
    print(*pool.process_ids, flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        started = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(started) == 2
    wait_until(lambda: not any(is_alive(process_id) for process_id in started))
