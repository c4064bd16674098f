"""What a number of differences could have shown: the power of the paired t-test, and the limit of equal runs."""

from __future__ import annotations

import math
from itertools import count

from scipy import optimize, stats

SIGNIFICANCE = 0.05
POWER = 0.80


def power(noncentrality: float, degrees: int) -> float:
    """Return the power of a two-sided t-test at 5 %: both tails of the noncentral t distribution.

    `noncentrality` is the true mean divided by its standard error; Cohen (1988), Statistical Power Analysis, 2.4.
    """
    critical = stats.t.ppf(1 - SIGNIFICANCE / 2, degrees)
    upper, lower = stats.nct.sf(critical, degrees, noncentrality), stats.nct.cdf(-critical, degrees, noncentrality)
    return float(upper) + (0.0 if math.isnan(lower) else float(lower))


def detectable_standard_errors(degrees: int) -> float:
    """Return how many standard errors a true mean must lie from 0 to be found with 80 % power."""
    critical = stats.t.ppf(1 - SIGNIFICANCE / 2, degrees)
    return float(optimize.brentq(lambda errors: power(errors, degrees) - POWER, 0.0, 3 * critical))


def smallest_effect(deviation: float, pairs: int) -> float:
    """Return the true mean difference that `pairs` differences find with 80 % power, in the unit of `deviation`.

    `deviation` is the standard deviation of the differences. Equal differences show no spread to compute with:
    what they could have missed is `unseen_share` of the runs differing by one more.
    """
    return max(detectable_standard_errors(pairs - 1) * deviation / math.sqrt(pairs), unseen_share(pairs))


def pairs_needed(deviation: float, effect: float) -> int:
    """Return the fewest pairs that find a true mean difference of `effect` with 80 % power."""
    first = max(2, math.floor((float(stats.norm.ppf(1 - SIGNIFICANCE / 2)) * deviation / effect) ** 2))
    return next(pairs for pairs in count(first) if power(effect / deviation * math.sqrt(pairs), pairs - 1) >= POWER)


def unseen_share(runs: int) -> float:
    """Return the share of runs that may be unlike `runs` equal ones: 1 - 0.025^(1/runs).

    The upper end of the 95 % interval of Clopper and Pearson (1934) for an event seen in none of `runs` runs.
    """
    return float(1.0 - (SIGNIFICANCE / 2) ** (1.0 / runs))
