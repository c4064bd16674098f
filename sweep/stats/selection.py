"""Many candidates over shared run seeds: which differ, which to keep in a race, how much choosing flatters.

Scores are `[candidates, runs]`, higher is better; a column holds one run seed, the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sweep.stats.estimate import FEWEST_DIFFERENCES, Numbers, checked
from sweep.stats.power import SIGNIFICANCE


def best(scores: ArrayLike) -> int:
    """Return the candidate with the highest mean score; the first of equals."""
    return int(checked("scores", scores, dimensions=2).mean(axis=1).argmax())


def indistinguishable(scores: ArrayLike, significance: float = SIGNIFICANCE) -> tuple[int, ...]:
    """Return the candidates that cannot be told from the best one, the best among them, in the given order.

    Each is compared with the best by a paired two-sided t-test, corrected by Holm. The best of many is chosen by the
    same scores, so it is somewhat too good; two-sided tests make up for part of that and keep the set large.
    """
    table = checked("scores", scores, dimensions=2, fewest=2)
    leader = best(table)
    adjusted = holm(np.array([paired_p_value(table[leader] - row) for row in np.delete(table, leader, axis=0)]))
    return _kept(leader, adjusted >= significance)


def simplest(members: Sequence[int], complexity: Sequence[float], scores: ArrayLike) -> int:
    """Return the member of lowest complexity; of equally simple ones, the one with the highest mean score.

    Args:
        members: candidates to choose from.
        complexity: of every candidate, by the caller's order.
        scores: of every candidate, `[candidates, runs]`.
    """
    means = checked("scores", scores, dimensions=2).mean(axis=1)
    return min(members, key=lambda member: (complexity[member], -means[member], member))


def survivors(
    scores: ArrayLike, *, fewest_runs: int = FEWEST_DIFFERENCES, significance: float = SIGNIFICANCE
) -> tuple[int, ...]:
    """Return the candidates to keep in a race, in the given order: all but the clear losers.

    A race looks at the scores again and again. Hoeffding races (Maron and Moore, 1994) and F-Race (Birattari et al.,
    2002) drop what is significantly behind the current best; here by paired one-sided t-tests, corrected by Holm over
    the candidates. Each look has its own `significance`: divide it by the number of looks for the whole race's.
    """
    table = checked("scores", scores, dimensions=2)
    if table.shape[1] < max(fewest_runs, 2):
        return tuple(range(len(table)))
    leader = best(table)
    differences = table[leader] - np.delete(table, leader, axis=0)  # never negative on average
    adjusted = holm(np.array([paired_p_value(row) / 2 for row in differences]))
    return _kept(leader, adjusted >= significance)


def paired_p_value(differences: Numbers) -> float:
    """Return the two-sided p-value of a mean difference of 0, by a paired t-test.

    Equal differences have no spread to divide by; the exact sign test judges them: 2 * 0.5^runs unless they are 0.
    """
    if np.ptp(differences) == 0:
        runs = len(differences)
        return 1.0 if differences[0] == 0 else float(stats.binomtest(runs, runs).pvalue)
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Numbers) -> Numbers:
    """Return adjusted p-values, `[tests]`, that hold for all tests together.

    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6: the
    k-th smallest of m, counted from 1, is multiplied by m - k + 1; none may be below the one before.
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def _kept(leader: int, others: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the places of the leader and of the marked ones among the `others`, which leave the leader out."""
    return tuple(np.flatnonzero(np.insert(others, leader, True)).tolist())
