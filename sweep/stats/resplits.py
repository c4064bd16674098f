"""Two candidates on repeated random splits (repeated holdout): what one has over the other on new rows.

Splits overlap: their differences are no independent sample, and the naive standard error is too small.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sweep.stats.estimate import LEVEL, Chances, Effect, Interval, Numbers, chances, checked
from sweep.stats.power import detectable_standard_errors, unseen_share
from sweep.stats.verdict import ONE_ROW, Judgement, Question, judge


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
    mean, error, degrees = _moments(checked("differences", differences, fewest=2), train_rows, test_rows)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * error
    detectable = detectable_standard_errors(degrees) * error
    # Without any spread: 1 for no difference, and 0 for the same one every time.
    p_value = 2 * float(stats.t.sf(abs(mean) / error, degrees)) if error else float(mean == 0)
    return Effect(mean, Interval(mean - reach, mean + reach), degrees + 1, detectable, p_value)


def correlated_chances(differences: ArrayLike, train_rows: int, test_rows: int, *, tie: float) -> Chances:
    """Return how sure it is that the mean difference lies above `tie`, within it, and below its negative.

    Corani and Benavoli (2015), A Bayesian Approach for Comparing Cross-Validated Algorithms on Multiple Data Sets,
    Machine Learning 100: without prior knowledge, the mean difference is distributed as the corrected t-test says.
    Arguments and errors are those of `corrected_resampled_t`.
    """
    values = checked("differences", differences, fewest=2)
    mean, error, degrees = _moments(values, train_rows, test_rows)
    if error == 0:
        return chances(np.array([mean]), tie)
    better, worse = stats.t.sf((tie - mean) / error, degrees), stats.t.cdf((-tie - mean) / error, degrees)
    return Chances(float(better), float(1 - better - worse), float(worse))


def with_unseen_rows(effect: Effect, train_rows: int, test_rows: int) -> Effect:
    """Return an effect in test rows with an interval that is not shorter than so many rows permit.

    However many splits there are, the rows are what was sampled. Where candidates differ on a handful of rows, their
    differences hardly vary between splits, and the interval tells of the splits only. A share of the population,
    `unseen_share` of all rows, may be unlike any row that was seen; as with equal runs, that is left open.
    """
    unseen = unseen_share(train_rows + test_rows) * test_rows
    low, high = min(effect.interval.low, effect.mean - unseen), max(effect.interval.high, effect.mean + unseen)
    return replace(effect, interval=Interval(low, high), smallest_detectable=max(effect.smallest_detectable, unseen))


def standard_error(deviation: float, splits: int, train_rows: int, test_rows: int) -> float:
    """Return the corrected standard error of a mean over `splits` overlapping splits.

    Raises:
        ValueError: if a side has no rows.
    """
    if min(train_rows, test_rows) < 1:
        raise ValueError(f"a split must hold rows on both sides, got {train_rows} to train and {test_rows} to test.")
    return deviation * math.sqrt(1 / splits + test_rows / train_rows)


def _moments(values: Numbers, train_rows: int, test_rows: int) -> tuple[float, float, int]:
    """Return the mean of differences over splits, its corrected standard error and its degrees of freedom."""
    error = standard_error(float(values.std(ddof=1)), len(values), train_rows, test_rows)
    return float(values.mean()), error, len(values) - 1


def judge_new_rows(
    winner: ArrayLike,
    constant: ArrayLike,
    train_rows: int,
    test_rows: int,
    *,
    smallest_of_interest: float = ONE_ROW,
) -> Judgement:
    """Judge correct rows on repeated splits; both `[splits, runs]`, averaged over the runs within a split.

    Args:
        winner: correct rows of the winner on the test rows of each split.
        constant: correct rows of the tuned constant rate on the same splits and run seeds.
        train_rows: rows that each split trains on.
        test_rows: rows that each split tests on.
        smallest_of_interest: in test rows of a split; `same_share` turns validation rows into them.
    """
    ours, theirs = checked("winner", winner, dimensions=2), checked("constant", constant, dimensions=2)
    if ours.shape != theirs.shape:
        raise ValueError(f"`winner` and `constant` must share their runs, got {ours.shape} and {theirs.shape}.")
    differences = (ours - theirs).mean(axis=1)
    effect = with_unseen_rows(corrected_resampled_t(differences, train_rows, test_rows), train_rows, test_rows)
    likely = correlated_chances(differences, train_rows, test_rows, tie=ONE_ROW)
    return judge(Question.NEW_ROWS, effect, test_rows, smallest_of_interest, mean=likely)
