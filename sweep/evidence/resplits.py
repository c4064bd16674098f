"""Two candidates on repeated random splits: what one has over the other on new rows.

It stands apart from the comparison over run seeds because splits overlap: their differences are no independent
sample, and the naive standard error is too small.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike
from scipy import stats

from sweep.evidence.estimate import LEVEL, Effect, Interval, checked
from sweep.evidence.power import detectable_standard_errors


def corrected_resampled_t(differences: ArrayLike, train_rows: int, test_rows: int) -> Effect:
    """Return the mean difference over splits with its corrected interval and p-value, in the unit of `differences`.

    Nadeau and Bengio (2003), Inference for the Generalization Error, Machine Learning 52: the variance of the mean
    over J splits is s^2 (1/J + test_rows/train_rows); t has J - 1 degrees of freedom.

    Args:
        differences: first candidate minus second on each split, `[splits]`, already averaged over run seeds.
        train_rows: rows that each split trains on.
        test_rows: rows that each split tests on.

    Raises:
        ValueError: if there are fewer than 2 splits, or a side without rows.
    """
    values = checked("differences", differences, fewest=2)
    mean, error = float(values.mean()), standard_error(float(values.std(ddof=1)), len(values), train_rows, test_rows)
    degrees = len(values) - 1
    reach = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * error
    detectable = detectable_standard_errors(degrees) * error
    return Effect(mean, Interval(mean - reach, mean + reach), len(values), detectable, _p_value(mean, error, degrees))


def standard_error(deviation: float, splits: int, train_rows: int, test_rows: int) -> float:
    """Return the corrected standard error of a mean over `splits` overlapping splits.

    Raises:
        ValueError: if a side has no rows.
    """
    if min(train_rows, test_rows) < 1:
        raise ValueError(f"a split must hold rows on both sides, got {train_rows} to train and {test_rows} to test.")
    return deviation * math.sqrt(1 / splits + test_rows / train_rows)


def _p_value(mean: float, error: float, degrees: int) -> float:
    """Return the two-sided p-value; without any spread, 1 for no difference and 0 for the same one every time."""
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, degrees))
