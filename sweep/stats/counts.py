"""What counts of right answers say by themselves, before anything is compared."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sweep.stats.estimate import FEWEST_DIFFERENCES, Dispersion, Numbers, checked

FAR_ABOVE = 2.0


def dispersion(correct: ArrayLike, rows: int) -> Dispersion:
    """Judge the spread of `correct`, `[runs]`, out of `rows`.

    Trainings that end well-calibrated vary by err/(2 rows) in accuracy: Jordan (2023), On the Variance of Neural
    Network Training with respect to Test Sets and Distributions, for two classes. A spread is flagged if it is twice
    that and the chi-square test of a variance rejects the expected one at 2.5 %; fewer than 6 runs are never flagged.

    Raises:
        ValueError: if there are fewer than 2 runs.
    """
    counts = checked("correct", correct, fewest=2)
    deviation = float(counts.std(ddof=1))
    expected = math.sqrt(rows * (1 - float(counts.mean()) / rows) / 2)
    degrees = len(counts) - 1
    surely = len(counts) >= FEWEST_DIFFERENCES and degrees * deviation**2 > stats.chi2.ppf(0.975, degrees) * expected**2
    return Dispersion(deviation, expected, bool(surely and deviation > FAR_ABOVE * expected))


def mcnemar_limit(correct: int, rows: int) -> float:
    """Return the smallest exact p-value by which any model could beat one with `correct` of `rows` on the same rows.

    McNemar's test counts the rows on which two models disagree. The best any model can do is to be right wherever the
    other is wrong, and nowhere wrong itself: `rows - correct` disagreements, all in its favour.

    >>> mcnemar_limit(111, 116)
    0.0625
    """
    if not 0 <= correct <= rows:
        raise ValueError(f"`correct` must be from 0 to {rows}, got {correct}.")
    wrong = rows - correct
    return float(stats.binomtest(wrong, wrong).pvalue) if wrong else 1.0


def recalls(class_correct: ArrayLike, class_rows: ArrayLike) -> Numbers:
    """Return the share of each class's rows that was recognised, `[classes]`; NaN for a class without rows.

    `class_correct` and `class_rows` count right rows and all rows of each class; those of several runs may be added up.
    """
    right, rows = checked("class_correct", class_correct), checked("class_rows", class_rows)
    shares: Numbers = np.divide(right, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return shares


def balanced_accuracy(class_correct: ArrayLike, class_rows: ArrayLike) -> float:
    """Return the mean recall over the classes that have rows, which is scikit-learn's `balanced_accuracy_score`."""
    return float(np.nanmean(recalls(class_correct, class_rows)))
