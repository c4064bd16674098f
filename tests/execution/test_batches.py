from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.table import Split
from sweep.engines.spec import Architecture, Curves, Job, Shape, TrainingSpec
from sweep.execution.batches import MEMBERS, BatchTrainer, outcome, tile_shape
from tests.execution.echo import InProcess, echo_engine


def curves(candidates: int, seeds: int, epochs: int = 3) -> Curves:
    numbers = np.arange(candidates * seeds * epochs, dtype=np.float32).reshape(candidates, seeds, epochs)
    counts = numbers.astype(np.int32)
    return Curves(numbers, counts, np.sqrt(numbers), counts % 100, np.ones_like(numbers), counts[..., :2], seconds=4.0)


@pytest.mark.parametrize("round_size", [1, 15, 16, 17, 64, 1000])
def test_a_tile_is_whole_vectors_wide_and_bounded(small: TrainingSpec, round_size: int) -> None:
    shape = tile_shape(small, round_size, replicates=16)
    assert shape.candidates % 16 == 0
    assert shape.candidates * shape.seeds <= MEMBERS
    assert shape.seeds >= 2


def test_a_large_network_gets_narrow_tiles(small: TrainingSpec) -> None:
    wide = TrainingSpec(small.split, Architecture(34, 2, (4096, 4096)), 3, 28)
    shape = tile_shape(wide, 64, replicates=16)
    assert shape.candidates * shape.seeds * (wide.architecture.weight_count or 0) * 16 <= 2 * 512 * 2**20


@pytest.mark.parametrize(("run_seeds", "seeds"), [(1, 2), (3, 3), (4, 4), (64, 4)])
def test_a_narrow_tile_is_as_high_as_there_are_run_seeds_and_bounded(
    small: TrainingSpec, run_seeds: int, seeds: int
) -> None:
    assert BatchTrainer(InProcess(), small, Shape(64, 2)).narrow(run_seeds).shape == Shape(8, seeds)


def test_a_large_network_gets_narrow_tiles_narrower_still(small: TrainingSpec) -> None:
    wide = TrainingSpec(small.split, Architecture(34, 2, (1_000_000,)), 3, 28)
    assert BatchTrainer(InProcess(), wide, Shape(64, 2)).narrow(4).shape == Shape(1, 2)


def test_any_other_model_has_one_shape_for_the_search_and_the_verdict(small: TrainingSpec) -> None:
    deep = replace(small, architecture=Architecture(34, 2, (16, 8)))
    shape = tile_shape(deep, 64, replicates=16)
    assert shape == Shape(4, 4)
    assert BatchTrainer(InProcess(), deep, shape).narrow(64).shape == shape


def test_problems_that_differ_in_their_rows_alone_are_re_splits(small: TrainingSpec, resplits: list[Split]) -> None:
    assert replace(small, split=resplits[0]).is_resplit_of(small)
    assert not replace(small, split=resplits[0], epochs=4).is_resplit_of(small)


def test_weights_are_counted_with_their_biases() -> None:
    assert Architecture(34, 2, (34,)).weight_count == 35 * 34 + 35
    assert Architecture(34, 2, build="tests.engines.models:branched").weight_count is None


@pytest.mark.parametrize(
    ("weights", "shape"),
    [(1_000, Shape(33, 4)), (1_000_000, Shape(16, 2)), (10_000_000, Shape(1, 2)), (10**9, Shape(1, 1))],
)
def test_a_shape_is_cut_to_the_memory(weights: int, shape: Shape) -> None:
    found = Shape(33, 4).within_memory(weights)
    assert found == shape
    assert found == Shape(1, 1) or found.candidates * found.seeds * weights * 16 <= 512 * 2**20


def test_a_job_is_divided_by_candidates_then_by_run_seeds(small: TrainingSpec, candidates: list[Candidate]) -> None:
    parts = Job(small, tuple(candidates[:3]), (0, 1, 2), Shape(4, 4)).divided(Shape(2, 2))
    assert [[(part.candidates, part.run_seeds) for part in row] for row in parts] == [
        [(tuple(candidates[:2]), (0, 1)), (tuple(candidates[:2]), (2,))],
        [(tuple(candidates[2:3]), (0, 1)), (tuple(candidates[2:3]), (2,))],
    ]


def test_the_rate_of_a_closed_loop_schedule_is_the_mean_over_its_runs(small: TrainingSpec) -> None:
    watching = from_params({"schedule": "plateau", "learning_rate": 0.1})
    runs = curves(1, 2)[0]
    runs.gain[1, 1:] = 0.5
    np.testing.assert_allclose(outcome(small, watching, (0, 1), runs).rate, [0.1, 0.075, 0.075])


class TestTurns:
    """Run seeds that take turns at several splits."""

    def spec(self, small: TrainingSpec, resplits: list[Split]) -> TrainingSpec:
        return replace(small, split=replace(resplits[0], turns=tuple(resplits)))

    def test_two_run_seeds_share_a_split_and_come_back_in_their_order(
        self, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
    ) -> None:
        spec, jobs = self.spec(small, resplits), list[Job]()

        class Noting(InProcess):
            def map(self, every: Iterable[Job]) -> Iterator[tuple[int, Curves]]:
                jobs.extend(every)
                return super().map(jobs)

        run_seeds = (9, 0, 1, 2, 3, 4, 5, 6, 7, 8)
        found = dict(BatchTrainer(Noting(echo_engine), spec, Shape(4, 2)).train(candidates[:3], run_seeds))
        assert [job.run_seeds for job in jobs] == [(9, 2), (3, 8), (0, 1), (6, 7), (4, 5)]
        assert all(job.spec.split is spec.split.for_seed(seed) for job in jobs for seed in job.run_seeds)
        for place, one in found.items():
            assert one.run_seeds == run_seeds
            for number, seed in enumerate(run_seeds):
                trainer = BatchTrainer(
                    InProcess(echo_engine), replace(small, split=spec.split.for_seed(seed)), Shape(4, 2)
                )
                ((_, alone),) = trainer.train([candidates[place]], [seed])
                assert (one.log_loss[number], one.correct[number]) == (alone.log_loss[0], alone.correct[0])
                assert (one.class_correct[number] == alone.class_correct[0]).all()

    def test_losses_of_numbers_are_in_one_unit(
        self, small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
    ) -> None:
        numbers = np.exp(np.arange(small.split.dataset.rows) / 40)
        dataset = replace(small.split.dataset, targets=numbers, classes=())
        turns = tuple(Split.of(dataset, each.train_index, each.validation_index) for each in resplits)
        spec = replace(small, split=replace(turns[0], turns=turns), architecture=Architecture(34, 0))
        ((_, found),) = BatchTrainer(InProcess(echo_engine), spec, Shape(4, 2)).train(candidates[:1], range(6))
        each = [BatchTrainer(InProcess(echo_engine), replace(spec, split=turn), Shape(4, 2)) for turn in turns]
        squares = [
            dict(trainer.train(candidates[:1], range(2 * place, 2 * place + 2)))[0].validation_loss
            * turns[place].target_unit[1] ** 2
            for place, trainer in enumerate(each)
        ]
        np.testing.assert_allclose(found.validation_loss * turns[0].target_unit[1] ** 2, np.mean(squares, axis=0), 1e-5)

    def test_no_lane_of_a_job_is_empty(self, small: TrainingSpec, resplits: list[Split]) -> None:
        spec = self.spec(small, resplits)
        assert tile_shape(spec, 64, replicates=16) == tile_shape(small, 64, replicates=16) == Shape(64, 2)
        assert tile_shape(replace(spec, architecture=Architecture(34, 2, (16, 8))), 64, 16) == Shape(8, 2)


def test_joining_puts_run_seeds_or_candidates_side_by_side() -> None:
    joined = Curves.joined([curves(2, 2), curves(2, 1)], axis=1)
    assert joined.loss.shape == (2, 3, 3)
    assert np.array_equal(joined.loss[:, 2], curves(2, 1).loss[:, 0])
    assert np.array_equal(joined.class_correct[:, 2], curves(2, 1).class_correct[:, 0])
    assert joined.seconds == 8.0
    assert Curves.joined([curves(2, 2), curves(1, 2)], axis=0).loss.shape == (3, 2, 3)


def test_an_outcome_counts_diverged_runs_and_leaves_them_out_of_the_loss_curve(
    small: TrainingSpec, candidates: list[Candidate]
) -> None:
    runs = curves(1, 3)[0]
    runs.validation_loss[1, 2] = np.nan
    found = outcome(small, candidates[0], (0, 1, 2), runs)
    assert found.diverged.tolist() == [False, True, False]
    assert np.isfinite(found.validation_loss).all()
    assert found.value("accuracy") == found.correct.mean() / 116


def test_an_outcomes_spread_holds_all_but_a_tenth_of_the_runs_on_either_side(
    small: TrainingSpec, candidates: list[Candidate]
) -> None:
    runs = curves(1, 11)[0]
    runs.validation_correct[:] = np.arange(11)[:, None]
    found = outcome(small, candidates[0], tuple(range(11)), runs)
    np.testing.assert_allclose(found.spread, [[1 / 116] * 3, [9 / 116] * 3])


def test_a_candidate_of_which_every_run_diverged_has_a_finite_value(
    small: TrainingSpec, candidates: list[Candidate]
) -> None:
    runs = curves(1, 2)[0]
    runs.loss[:] = np.nan
    found = outcome(small, candidates[0], (0, 1), runs)
    assert found.diverged.all()
    assert np.isfinite(found.value("accuracy"))
    assert np.isnan(found.loss).all()


def test_the_log_loss_of_a_compiled_model_is_not_its_own_loss(small: TrainingSpec, candidates: list[Candidate]) -> None:
    runs = replace(curves(1, 2), scores={"log_loss": np.array([[0.25, 0.5]]), "loss": np.array([[3.0, 9.0]])})[0]
    found = outcome(replace(small, architecture=Architecture(34, 2, build="a:b")), candidates[0], (0, 1), runs)
    assert (found.value("log_loss"), found.value("loss")) == (0.375, 6.0)


def test_of_several_outputs_the_loss_alone_is_known(small: TrainingSpec, candidates: list[Candidate]) -> None:
    runs = replace(curves(1, 2), scores={"loss": np.array([[np.nan, 9.0]])})[0]
    heads = Architecture(34, 0, build="a:b", heads={"a": (1,), "b": (2,)})
    found = outcome(replace(small, architecture=heads), candidates[0], (0, 1), runs)
    assert (len(found.correct), len(found.log_loss), found.value("loss")) == (0, 0, 9.0)
    np.testing.assert_array_equal(found.validation_accuracy, found.validation_loss)
