import numpy as np
import pytest

from sweep.stats.estimate import Chances, Effect, Interval, chances, checked, optimism, take_the_best


def test_a_difference_of_exactly_the_margin_is_a_tie() -> None:
    assert chances(np.array([1.0, -1.0, 1.5, -2.0]), 1.0) == Chances(0.25, 0.5, 0.25)


def test_another_unit_scales_everything_but_the_p_value_and_the_sample() -> None:
    effect = Effect(1.0, Interval(0.5, 1.5), 8, 0.7, 0.01)
    assert effect.scaled(10) == Effect(10.0, Interval(5.0, 15.0), 8, 7.0, 0.01)


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="`scores` must be finite, got nan"):
        checked("scores", [1.0, float("nan")])


def test_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have 1 dimensions and at least 2 entries .* got shape \(1,\)"):
        checked("scores", [1.0], fewest=2)


def test_optimism_is_what_the_search_saw_and_the_confirmation_did_not() -> None:
    found = optimism([115, 116], [114, 115], [113, 114, 115])
    assert (found.search, found.selection, found.confirmation, found.total) == (115.5, 114.5, 114.0, 1.5)


class TestTakingTheBest:
    def test_what_is_best_on_one_split_alone_is_worth_nothing_on_the_other(self) -> None:
        found = take_the_best([[1, 0], [0, 1]])
        assert found is not None
        assert (found.best, found.held_out) == (0.5, 0.0)

    def test_what_is_best_everywhere_is_worth_what_it_has(self) -> None:
        found = take_the_best([[5, 5, 5, 5], [1, 4, 2, 3]])
        assert found is not None
        assert (found.best, found.held_out) == (5.0, 5.0)

    def test_of_three_splits_those_that_were_not_drawn_judge(self) -> None:
        # The first wins wherever the first split is drawn, and has 0 on all others; else the second, which has 2 there.
        found = take_the_best([[9, 0, 0], [2, 1, 1]], draws=50_000)
        assert found is not None
        # Of 27 draws 6 leave none out. One split alone: 0, 1.5, 1.5; two of them: 6 draws 0, 6 draws 0, 6 draws 2.
        assert found.best == 3.0
        assert found.held_out == pytest.approx((0 + 1.5 + 1.5 + 6 * 0 + 6 * 0 + 6 * 2) / 21, abs=0.02)

    def test_luck_is_taken_out(self) -> None:
        tables = np.random.default_rng(0).normal(size=(60, 50, 8))
        found = [take_the_best(table, draws=200) for table in tables]
        assert np.mean([each.best for each in found if each is not None]) > 0.7
        assert abs(np.mean([each.held_out for each in found if each is not None])) < 0.12

    def test_one_split_leaves_none_to_judge(self) -> None:
        assert take_the_best([[1], [2]]) is None
