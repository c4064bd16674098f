import numpy as np
import pytest

from sweep.stats.estimate import Chances, Effect, Interval, chances, checked, optimism


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
