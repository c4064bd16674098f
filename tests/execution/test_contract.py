"""What every trainer promises to the layers above, whatever it trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.data.table import Split
from sweep.engines.spec import Shape, TrainingSpec
from sweep.execution.batches import BatchTrainer, Outcome, Trainer, Work
from sweep.execution.compile_cache import CompileCache
from sweep.execution.local import Pool
from tests.execution.echo import COMMAND, InProcess, echo_engine
from tests.fakes import FakeTrainer

Opened = Callable[[TrainingSpec, InProcess], AbstractContextManager[Trainer]]


@contextmanager
def on_processes(spec: TrainingSpec, _really: InProcess) -> Iterator[Trainer]:
    with Pool(2, CompileCache(None), COMMAND) as pool:
        yield BatchTrainer(pool, spec, Shape(4, 2))


@contextmanager
def in_this_process(spec: TrainingSpec, _really: InProcess) -> Iterator[Trainer]:
    here = InProcess(echo_engine)
    yield BatchTrainer(here, spec, Shape(4, 2), few=BatchTrainer(here, spec, Shape(2, 3)))


TRAINERS: dict[str, Opened] = {
    "a pool": on_processes,
    "in this process": in_this_process,
    "in this process, really": lambda spec, really: nullcontext(BatchTrainer(really, spec, Shape(8, 2))),
    "the fake of the layers above": lambda _spec, _really: nullcontext(FakeTrainer()),
}


@pytest.fixture(scope="module", params=TRAINERS)
def trainer(request: pytest.FixtureRequest, small: TrainingSpec, really: InProcess) -> Iterator[Trainer]:
    with TRAINERS[request.param](small, really) as opened:
        yield opened


def same(one: Outcome, other: Outcome) -> bool:
    names = ("run_seeds", "correct", "class_correct", "log_loss", "diverged", "rate", "validation_rows")
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names)


class TestTrainer:
    def test_every_candidate_comes_once_with_all_its_runs(
        self, trainer: Trainer, small: TrainingSpec, candidates: list[Candidate]
    ) -> None:
        found = list(trainer.train(candidates, range(5)))
        assert sorted(place for place, _ in found) == list(range(len(candidates)))
        for _, outcome in found:
            assert outcome.run_seeds == (0, 1, 2, 3, 4)
            assert outcome.correct.shape == outcome.log_loss.shape == outcome.diverged.shape == (5,)
            assert np.array_equal(outcome.class_correct.sum(axis=1), outcome.correct)
            assert 0 <= outcome.value("accuracy") <= 1
            assert outcome.validation_rows == small.split.validation_rows
            curves = (
                outcome.rate,
                outcome.loss,
                outcome.accuracy,
                outcome.validation_loss,
                outcome.validation_accuracy,
            )
            assert {curve.shape for curve in curves} == {(small.epochs,)}
            assert outcome.spread.shape == (2, small.epochs)

    def test_an_outcome_depends_on_its_candidate_and_run_seeds_alone(
        self, trainer: Trainer, candidates: list[Candidate]
    ) -> None:
        whole = dict(trainer.train(candidates, range(5)))
        for count, seeds in ((1, (3, 4)), (2, (1, 2, 3, 4))):
            part = dict(trainer.train(candidates[-count:], seeds))
            for place in range(count):
                wanted = whole[len(candidates) - count + place]
                assert np.array_equal(part[place].log_loss, wanted.log_loss[list(seeds)])
                assert np.array_equal(part[place].correct, wanted.correct[list(seeds)])

    def test_re_splits_are_trained_as_problems_of_their_own(
        self, trainer: Trainer, resplits: list[Split], candidates: list[Candidate]
    ) -> None:
        first = resplits[0]
        shapes = [*resplits, Split.of(first.dataset, first.train_index, first.train_index[:100])]
        for count in (1, 10):
            seeds = [range(place, place + 3) for place in range(4)]
            found = dict(trainer.train_on(shapes, candidates[:count], seeds))
            assert sorted(found) == [0, 1, 2, 3]
            assert [len(outcomes) for outcomes in found.values()] == [count] * 4
            assert [found[place][0].validation_rows for place in range(4)] == [116, 116, 116, 100]
            for place, split in enumerate(shapes):
                ((_, alone),) = trainer.train_on([split], candidates[:count], [seeds[place]])
                assert all(map(same, alone, found[place]))


def test_each_piece_of_work_has_candidates_and_run_seeds_of_its_own(
    small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    trainer = BatchTrainer(InProcess(echo_engine), small, Shape(4, 2))
    work = [
        Work(resplits[0], candidates[:6], range(3)),
        Work(resplits[1], (), range(4)),
        Work(resplits[1], candidates[5:], (7,)),
    ]
    found = dict(trainer.train_each(work))
    assert sorted(found) == [0, 2]
    for place, outcomes in found.items():
        each = work[place]
        ((_, alone),) = trainer.train_on([each.split], each.candidates, [each.run_seeds])
        assert [outcome.run_seeds for outcome in outcomes] == [tuple(each.run_seeds)] * len(alone)
        assert all(map(same, alone, outcomes))


def test_runs_are_counted_as_jobs_come_back(
    small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    counted = list[int]()
    trainer = BatchTrainer(InProcess(echo_engine), small, Shape(8, 2), on_runs=counted.append)
    list(trainer.train_on(resplits, candidates, [range(5)] * 3))
    assert sum(counted) == len(resplits) * len(candidates) * 5
    assert max(counted) == 8 * 2
