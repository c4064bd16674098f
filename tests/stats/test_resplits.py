import math

import pytest

from sweep.stats.resplits import corrected_resampled_t, correlated_chances, standard_error


def test_the_corrected_test_agrees_with_a_hand_computed_one() -> None:
    # mean 2, s^2 = 2.5, J = 5; 2.5 * (1/5 + 1/2) = 1.75; t(0.975, 4) = 2.776445; t = 2 / 1.322876 = 1.511858
    effect = corrected_resampled_t([0.0, 1.0, 2.0, 3.0, 4.0], train_rows=200, test_rows=100)
    assert effect.mean == 2.0
    assert effect.interval.low == pytest.approx(2 - 2.776445 * 1.322876, abs=1e-5)
    assert effect.interval.high == pytest.approx(2 + 2.776445 * 1.322876, abs=1e-5)
    assert effect.p_value == pytest.approx(0.20507, abs=1e-4)


def test_the_chances_agree_with_hand_computed_ones() -> None:
    # as above, t has 4 degrees of freedom: P(t > -1 / 1.322876) = 0.754057, P(t < -3 / 1.322876) = 0.042985
    found = correlated_chances([0.0, 1.0, 2.0, 3.0, 4.0], train_rows=200, test_rows=100, tie=1.0)
    assert found.better == pytest.approx(0.754057, abs=1e-3)
    assert found.worse == pytest.approx(0.042985, abs=1e-3)
    assert found.better + found.tied + found.worse == pytest.approx(1)


def test_equal_differences_leave_no_doubt() -> None:
    assert correlated_chances([2.0] * 30, 235, 116, tie=1.0).better == 1.0


def test_endless_splits_never_beat_the_overlap() -> None:
    assert standard_error(1.0, 10**9, 235, 116) == pytest.approx(math.sqrt(116 / 235))


def test_the_interval_leaves_out_0_exactly_when_the_p_value_is_below_5_percent() -> None:
    for shift in (0.2, 0.6, 1.0, 2.0):
        effect = corrected_resampled_t([shift - 1, shift, shift + 1] * 10, 900, 100)
        assert effect.p_value is not None
        assert (effect.interval.low > 0) == (effect.p_value < 0.05)


@pytest.mark.parametrize(("value", "p_value"), [(0.0, 1.0), (0.5, 0.0)])
def test_equal_differences_have_a_p_value(value: float, p_value: float) -> None:
    assert corrected_resampled_t([value] * 30, 235, 116).p_value == p_value


def test_a_side_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold rows on both sides, got 0 to train"):
        corrected_resampled_t([0.0, 1.0], 0, 116)
