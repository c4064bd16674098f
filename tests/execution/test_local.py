"""Trainer processes: started, killed, and gone in the end; most of them compute at once instead of training."""

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

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.data.table import Split
from sweep.engines.spec import Architecture, Curves, Job, Shape, TrainingSpec
from sweep.errors import BadInput, OutOfMemory, TrainingFailed
from sweep.execution import worker
from sweep.execution.batches import BatchTrainer, Outcome
from sweep.execution.compile_cache import CompileCache
from sweep.execution.local import Pool
from sweep.execution.worker import DatasetFile, JobReader
from tests.execution.echo import COMMAND, EchoEngine, InProcess
from tests.execution.test_worker import written

DEADLINE = 20.0
ROOT = Path(__file__).parents[2]


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


def train(executor: Pool | InProcess, spec: TrainingSpec, candidates: list[Candidate], shape: Shape) -> list[Outcome]:
    found = dict(BatchTrainer(executor, spec, shape).train(candidates, range(5)))
    return [found[place] for place in range(len(candidates))]


def same(left: list[Outcome], right: list[Outcome]) -> bool:
    names = ["correct", "class_correct", "log_loss", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for one, other in zip(left, right, strict=True)
        for name in names
    )


def test_a_real_trainers_process_shape_and_kept_programs_and_a_kill_change_no_bit(
    small: TrainingSpec,
    resplits: list[Split],
    candidates: list[Candidate],
    really: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The only processes here that load TensorFlow."""
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    alone = train(really, small, candidates, Shape(8, 2))
    notices = list[str]()
    with Pool(1, CompileCache(tmp_path), on_notice=notices.append) as pool:
        trainer, found = BatchTrainer(pool, small, Shape(8, 4)), dict[int, Outcome]()
        for place, outcome in trainer.train(candidates * 4, range(5)):
            if not found:
                os.kill(pool.process_ids[0], signal.SIGKILL)
            found[place] = outcome
        assert pool.restarts == 1
        assert len(notices) == 1
        assert "trainer was killed" in notices[0]
        assert notices[0].endswith("tiles of 4 x 4 candidates x run seeds, not 8 x 4")
        assert same([found[place] for place in range(len(candidates) * 4)], alone * 4)
        apart = dict(trainer.train_on(resplits, candidates[:2], [range(5)] * 3))
    for place, split in enumerate(resplits):
        assert same(apart[place], train(really, replace(small, split=split), candidates[:2], Shape(8, 2)))
    entries = sorted(tmp_path.glob("*/*.pb.*"))
    assert len(entries) == 2  # one for each size of a tile
    with Pool(1, CompileCache(tmp_path)) as pool:
        assert same(train(pool, small, candidates, Shape(8, 4)), alone)
    assert sorted(tmp_path.glob("*/*.pb.*")) == entries


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2, CompileCache(None), COMMAND) as started:
        yield started


def broken(small: TrainingSpec, build: str) -> TrainingSpec:
    return replace(small, architecture=Architecture(34, 2, build=build))


class TestPool:
    def test_a_trainer_killed_between_re_splits_costs_a_retry_and_nothing_else(
        self, pool: Pool, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
    ) -> None:
        before, trainer = pool.restarts, BatchTrainer(pool, small, Shape(8, 2))
        found: dict[int, list[Outcome]] = {}
        for place, outcomes in trainer.train_on(resplits * 4, candidates[:2], [range(5)] * 12):
            if not found:
                os.kill(pool.process_ids[0], signal.SIGKILL)
            found[place] = outcomes
        assert pool.restarts == before + 1
        assert len(found) == 12
        for place, outcomes in found.items():
            assert same(outcomes, found[place % 3])

    def test_a_trainers_own_error_reaches_the_caller_every_time_and_the_pool_works_on(
        self, pool: Pool, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        before = train(pool, small, candidates, Shape(16, 2))
        for _ in range(4):
            with pytest.raises(BadInput, match=r"model\.build: `nowhere:model` cannot be imported"):
                train(pool, broken(small, "nowhere:model"), candidates, Shape(16, 2))
        assert same(train(pool, small, candidates, Shape(16, 2)), before)

    def test_a_job_that_kills_every_trainer_ends_the_run(
        self, pool: Pool, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        said = "died 3 times on one tile, last with exit code 7. out of memory"
        with pytest.raises(TrainingFailed, match=said):
            train(pool, broken(small, "fatal:model"), candidates, Shape(16, 8))
        assert train(pool, small, candidates[:1], Shape(16, 2))

    @pytest.mark.parametrize("build", ["hungry:model", "greedy:model"])
    def test_a_trainer_without_memory_gets_smaller_tiles_and_says_so(
        self, build: str, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        notices = list[str]()
        with Pool(1, CompileCache(None), COMMAND, on_notice=notices.append) as short:
            found = train(short, broken(small, build), candidates, Shape(4, 2))
            assert short.restarts == 1
            assert same(found, train(short, small, candidates, Shape(4, 2)))
        assert [notice.partition("; ")[2] for notice in notices] == [
            "from here on tiles of 2 x 2 candidates x run seeds, not 4 x 2"
        ]

    def test_a_training_that_alone_takes_too_much_memory_ends_the_run(
        self, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        with (
            Pool(1, CompileCache(None), COMMAND) as short,
            pytest.raises(OutOfMemory, match=r"a training alone, 1 x 1, .*: RESOURCE_EXHAUSTED: Out of memory alloc"),
        ):
            train(short, broken(small, "insatiable:model"), candidates[:1], Shape(1, 2))

    def test_closing_ends_every_trainer(self) -> None:
        with Pool(2, CompileCache(None), COMMAND) as short:
            started = short.process_ids
        assert len(started) == 2
        assert not any(is_alive(process_id) for process_id in started)

    def test_trainers_end_with_a_parent_that_was_killed(self) -> None:
        script = f"""
from sweep.execution.local import Pool
with Pool(2, command={COMMAND!r}) as pool:
    print(*pool.process_ids, flush=True)
    input()
"""
        with subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as parent:
            assert parent.stdout is not None
            started = [int(word) for word in parent.stdout.readline().split()]
            parent.kill()
        assert len(started) == 2
        wait_until(lambda: not any(is_alive(process_id) for process_id in started))


def test_a_worker_builds_one_engine_for_all_re_splits(
    small: TrainingSpec, resplits: list[Split], candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[EchoEngine] = []

    class Counted(EchoEngine):
        def __init__(self, spec: TrainingSpec) -> None:
            super().__init__(spec)
            built.append(self)

    monkeypatch.setattr("sweep.engines.population.Population", Counted)
    jobs = [Job(replace(small, split=split), tuple(candidates), (0, 1), Shape(16, 2)) for split in resplits]
    odd = replace(broken(small, "nowhere:model"), engine="hidden layer")
    answers = served([*jobs, jobs[0], replace(jobs[0], spec=odd), jobs[1]])
    assert isinstance(answers.pop(4), BadInput)
    alone = EchoEngine(small)
    for answer, job in zip(answers, [*jobs, jobs[0], jobs[1]], strict=True):
        assert isinstance(answer, Curves)
        assert np.array_equal(answer.loss, alone.train(job).loss)
    assert len(built) == 3  # for the re-splits, for the broken model, and after it


def served(jobs: list[Job]) -> list[object]:
    """Return what a worker answers to `jobs`."""
    ours, theirs = Pipe()
    datasets = DatasetFile()
    known = None
    for job in jobs:
        ours.send_bytes(written(job, datasets, known))
        known = job.spec
    with ours, theirs, datasets.file, ThreadPoolExecutor() as threads:
        serving = threads.submit(worker.serve, theirs, JobReader(datasets.file.fileno()))
        answers = [ours.recv() for _ in jobs]
        ours.close()
        assert isinstance(serving.exception(), EOFError)
    return answers
