from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweep.candidate import Candidate, from_params
from sweep.data.table import Split
from sweep.engines.spec import MONITORS, Architecture, Curves, TrainingSpec
from sweep.execution.batches import (
    MEMBERS,
    Shape,
    join,
    make_batch,
    make_batches,
    narrow_shape,
    outcome,
    pick,
    tile_shape,
    weight_count,
)


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
    assert shape.candidates * shape.seeds * weight_count(wide.architecture) * 16 <= 2 * 512 * 2**20


@pytest.mark.parametrize(("run_seeds", "seeds"), [(1, 2), (3, 3), (4, 4), (64, 4)])
def test_a_narrow_tile_is_as_high_as_there_are_run_seeds_and_bounded(
    small: TrainingSpec, run_seeds: int, seeds: int
) -> None:
    assert narrow_shape(small, run_seeds) == Shape(8, seeds)


def test_a_large_network_gets_narrow_tiles_narrower_still(small: TrainingSpec) -> None:
    assert narrow_shape(TrainingSpec(small.split, Architecture(34, 2, (4096, 4096)), 3, 28), 4) == Shape(1, 2)


def test_problems_that_differ_in_their_rows_alone_are_re_splits(small: TrainingSpec, resplits: list[Split]) -> None:
    assert replace(small, split=resplits[0]).is_resplit_of(small)
    assert not replace(small, split=resplits[0], epochs=4).is_resplit_of(small)


def test_weights_are_counted_with_their_biases() -> None:
    assert weight_count(Architecture(34, 2, (34,))) == 35 * 34 + 35


def test_a_tile_is_filled_to_its_shape(small: TrainingSpec, candidates: list[Candidate]) -> None:
    tile = make_batch(candidates, (5,), small, Shape(16, 4))
    assert tile.rates.shape == (16, 3, 9)
    assert tile.run_seeds == (5, 5, 5, 5)
    assert not tile.rates[len(candidates) :].any()


def test_the_parts_of_a_group_differ_in_their_seeds_alone(small: TrainingSpec, candidates: list[Candidate]) -> None:
    first, second = make_batches(candidates, [(0, 1), (2,)], small, Shape(16, 2))
    assert (first.run_seeds, second.run_seeds) == ((0, 1), (2, 2))
    assert np.array_equal(second.rates, make_batch(candidates, (2,), small, Shape(16, 2)).rates)


def test_a_tile_says_who_watches_what(small: TrainingSpec, candidates: list[Candidate]) -> None:
    watching = from_params(
        {"schedule": "plateau", "learning_rate": 0.1, "plateau.monitor": "val_accuracy", "plateau.patience": 3}
    )
    problem = replace(small, closed_loop=("plateau",))
    watchers = make_batch([candidates[0], watching], (0,), problem, Shape(16, 2)).watchers["plateau"]
    assert watchers.chosen.tolist() == [False, True, *[False] * 14]
    assert (MONITORS[watchers.monitor[1]], watchers.sign[1], watchers.settings["patience"][1]) == (
        "val_accuracy",
        -1,
        3,
    )


def test_the_rate_of_a_closed_loop_schedule_is_the_mean_over_its_runs(small: TrainingSpec) -> None:
    watching = from_params({"schedule": "plateau", "learning_rate": 0.1})
    runs = pick(curves(1, 2), 0)
    runs.gain[1, 1:] = 0.5
    np.testing.assert_allclose(outcome(small, watching, (0, 1), runs).rate, [0.1, 0.075, 0.075])


def test_joining_puts_seeds_side_by_side_and_drops_the_filling() -> None:
    joined = join([curves(2, 2), curves(2, 2)], runs=3)
    assert joined.loss.shape == (2, 3, 3)
    assert np.array_equal(joined.loss[:, 2], curves(2, 2).loss[:, 0])
    assert np.array_equal(joined.class_correct[:, 2], curves(2, 2).class_correct[:, 0])
    assert joined.seconds == 4.0


def test_an_outcome_counts_diverged_runs_and_leaves_them_out_of_the_loss_curve(
    small: TrainingSpec, candidates: list[Candidate]
) -> None:
    runs = pick(curves(1, 3), 0)
    runs.validation_loss[1, 2] = np.nan
    found = outcome(small, candidates[0], (0, 1, 2), runs)
    assert found.diverged.tolist() == [False, True, False]
    assert np.isfinite(found.validation_loss).all()
    assert found.value == found.correct.mean() / 116


def test_an_outcomes_spread_holds_all_but_a_tenth_of_the_runs_on_either_side(
    small: TrainingSpec, candidates: list[Candidate]
) -> None:
    runs = pick(curves(1, 11), 0)
    runs.validation_correct[:] = np.arange(11)[:, None]
    found = outcome(small, candidates[0], tuple(range(11)), runs)
    np.testing.assert_allclose(found.spread, [[1 / 116] * 3, [9 / 116] * 3])


def test_a_candidate_of_which_every_run_diverged_has_a_finite_value(
    small: TrainingSpec, candidates: list[Candidate]
) -> None:
    runs = pick(curves(1, 2), 0)
    runs.loss[:] = np.nan
    found = outcome(small, candidates[0], (0, 1), runs)
    assert found.diverged.all()
    assert np.isfinite(found.value)
    assert np.isnan(found.loss).all()
