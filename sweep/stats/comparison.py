"""What candidates have over each other on shared run seeds, and what so many of these could have shown.

Run seeds replicate the training, never the rows: what they say holds for these rows only. Scores of many candidates are
`[candidates, runs]`, higher is better; a column holds one run seed, the same for all.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from sweep.stats.estimate import (
    FEWEST_DIFFERENCES,
    LEVEL,
    SIGNIFICANCE,
    Chances,
    Effect,
    Interval,
    Numbers,
    chances,
    checked,
)
from sweep.stats.verdict import ONE_ROW, Judgement, Missing, Question, Unit, Word, judge

POWER = 0.80
RESAMPLES = 9999
RESAMPLING_SEED = 20_110_119  # any number, but always the same one: the same runs give the same interval


def power(noncentrality: float, degrees: int) -> float:
    """Return the power of a two-sided t-test at 5 %: both tails of the noncentral t distribution.

    `noncentrality` is the true mean divided by its standard error; Cohen (1988), Statistical Power Analysis, 2.4.
    """
    critical = stats.t.ppf(1 - SIGNIFICANCE / 2, degrees)
    upper, lower = stats.nct.sf(critical, degrees, noncentrality), stats.nct.cdf(-critical, degrees, noncentrality)
    return float(upper) + (0.0 if math.isnan(lower) else float(lower))


@cache
def detectable_standard_errors(degrees: int) -> float:
    """Return how many standard errors a true mean must lie from 0 to be found with 80 % power."""
    critical = stats.t.ppf(1 - SIGNIFICANCE / 2, degrees)
    return float(optimize.brentq(lambda errors: power(errors, degrees) - POWER, 0.0, 3 * critical))


def smallest_effect(deviation: float, pairs: int, step: float = ONE_ROW) -> float:
    """Return the true mean difference that `pairs` differences find with 80 % power, in the unit of `deviation`.

    `deviation` is the standard deviation of the differences. Equal differences show no spread to compute with:
    what they could have missed is `unseen_share` of the runs differing by one `step` more.
    """
    return max(detectable_standard_errors(pairs - 1) * deviation / math.sqrt(pairs), unseen_share(pairs) * step)


def pairs_needed(deviation: float, effect: float) -> int:
    """Return the fewest pairs that find a true mean difference of `effect` with 80 % power."""

    def enough(pairs: int) -> bool:
        return power(effect / deviation * math.sqrt(pairs), pairs - 1) >= POWER

    first = max(2, math.floor((float(stats.norm.ppf(1 - SIGNIFICANCE / 2)) * deviation / effect) ** 2))
    last = next(first + 2**step for step in count() if enough(first + 2**step))
    return first + bisect_left(range(first, last), True, key=enough)


def unseen_share(runs: int) -> float:
    """Return the share of runs that may be unlike `runs` equal ones: 1 - 0.025^(1/runs).

    The upper end of the 95 % interval of Clopper and Pearson (1934) for an event seen in none of `runs` runs.
    """
    return float(1.0 - (SIGNIFICANCE / 2) ** (1.0 / runs))


@dataclass(frozen=True)
class Paired:
    """A comparison over shared run seeds, in the unit of the scores."""

    effect: Effect  # the mean difference
    run_chances: Chances  # shares of the runs in which the first is better, tied, worse
    mean_chances: Chances  # the same shares of the resampled means: how sure it is that it is better on average


def compare(first: ArrayLike, second: ArrayLike, *, tie: float = ONE_ROW, resamples: int = RESAMPLES) -> Paired:
    """Compare correct rows, or other scores, over shared run seeds; both are `[runs]` in the same order of seeds.

    The interval is the expanded percentile interval: a paired bootstrap whose level is raised so that few runs do
    not make it too short. Equal differences give resampled means without spread; the interval then holds what so many
    equal runs leave open: a share of unlike runs, `unseen_share`, that differ by one row more or less. Differences up
    to `tie`, a row or what else is hardly worth having, count as tied. The order of the seeds does not matter.

    Raises:
        ValueError: if the shapes differ, or there are fewer than 2 runs.
    """
    ours, theirs = checked("first", first, fewest=2), checked("second", second, fewest=2)
    if ours.shape != theirs.shape:
        raise ValueError(f"`first` and `second` must share their runs, got {len(ours)} and {len(theirs)}.")
    differences = np.sort(ours - theirs)
    mean, runs = float(differences.mean()), len(differences)
    if np.ptp(differences) == 0:
        unseen = unseen_share(runs) * tie
        interval, means = Interval(mean - unseen, mean + unseen), np.full(resamples, mean)
    else:
        found = stats.bootstrap(
            (differences,),
            np.mean,
            confidence_level=expanded_level(runs),
            n_resamples=resamples,
            method="percentile",
            batch=1000,
            rng=np.random.default_rng(RESAMPLING_SEED),
        )
        interval = Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))
        means = np.asarray(found.bootstrap_distribution, dtype=np.float64)
    effect = Effect(mean, interval, runs, smallest_effect(float(differences.std(ddof=1)), runs, tie))
    return Paired(effect, chances(differences, tie), chances(means, tie))


def expanded_level(runs: int) -> float:
    """Return the level at which a percentile interval covers about 95 %.

    Percentiles of the bootstrap use the normal quantile and divide by n, not n - 1. Hesterberg (2015), What Teachers
    Should Know About the Bootstrap, The American Statistician 69(4): alpha'/2 = Phi(-sqrt(n / (n - 1)) t(n - 1)).
    """
    quantile = stats.t.ppf((1 + LEVEL) / 2, runs - 1)
    return float(1 - 2 * stats.norm.cdf(-math.sqrt(runs / (runs - 1)) * quantile))


def judge_these_rows(
    winner: ArrayLike,
    constant: ArrayLike,
    rows: int,
    *,
    smallest_of_interest: float = ONE_ROW,
    resamples: int = RESAMPLES,
    unit: Unit | None = None,
    void: Word | None = None,
) -> Judgement:
    """Judge correct rows of `rows` validation rows on run seeds that neither found nor chose the winner; both `[runs]`.

    Other scores come with their `unit` and in it, higher is better. `smallest_of_interest` is the smallest effect worth
    having, in that unit; `void` the word where there is nothing to compare.
    """
    rows_count = unit is None or unit.counts_rows
    found = compare(winner, constant, tie=ONE_ROW if rows_count else smallest_of_interest, resamples=resamples)
    effect = found.effect
    half = (effect.interval.high - effect.interval.low) / 2
    wanted = max(abs(effect.mean), smallest_of_interest - abs(effect.mean))  # so short an interval lies beside a mark
    missing = Missing("computing", math.ceil(effect.samples * (half / wanted) ** 2))
    likely = {"runs": found.run_chances, "mean": found.mean_chances}
    judged = judge(Question.THESE_ROWS, effect, unit or rows, smallest_of_interest, **likely, void=void)
    return judged.lacking(missing, Question.THESE_ROWS)


def is_above(scores: ArrayLike, mark: float) -> bool:
    """Say whether the mean of `scores`, `[runs]`, is above a mark, by a one-sided t-test at 5 %.

    Fewer than 6 runs are judged by their mean alone, and so are runs without any spread: a test would call them not
    above for want of runs, however far above they are.
    """
    values = checked("scores", scores)
    if values.mean() <= mark or len(values) < FEWEST_DIFFERENCES or np.ptp(values) == 0:
        return bool(values.mean() > mark)
    return bool(stats.ttest_1samp(values, mark, alternative="greater").pvalue < SIGNIFICANCE)


def best(scores: ArrayLike) -> int:
    """Return the candidate with the highest mean score; the first of equals."""
    return int(checked("scores", scores, dimensions=2).mean(axis=1).argmax())


def indistinguishable(scores: ArrayLike) -> tuple[int, ...]:
    """Return the candidates that cannot be told from the best one, the best among them, in the given order.

    Each is compared with the best by a paired two-sided t-test, corrected by Holm. The best of many is chosen by the
    same scores, so it is somewhat too good; two-sided tests make up for part of that and keep the set large.
    """
    table = checked("scores", scores, dimensions=2, fewest=2)
    leader = best(table)
    adjusted = holm(np.array([paired_p_value(table[leader] - row) for row in np.delete(table, leader, axis=0)]))
    return _kept(leader, adjusted >= SIGNIFICANCE)


def survivors(scores: ArrayLike, *, significance: float = SIGNIFICANCE) -> tuple[int, ...]:
    """Return the candidates to keep in a race, in the given order: all but the clear losers.

    A race looks at the scores again and again. Hoeffding races (Maron and Moore, 1994) and F-Race (Birattari et al.,
    2002) drop what is significantly behind the current best; here by paired one-sided t-tests, corrected by Holm over
    the candidates. Each look has its own `significance`: divide it by the number of looks for the whole race's.
    """
    table = checked("scores", scores, dimensions=2)
    if table.shape[1] < FEWEST_DIFFERENCES:
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


class Allocation(Protocol):
    """Who trains on after a look at the runs so far."""

    def looks(self, run_seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Divide the run seeds into looks."""

    def survivors(self, scores: Numbers, looks: int) -> tuple[int, ...]:
        """Return the places of those who go on, by their scores so far; `looks` is how many there are in all."""


@dataclass(frozen=True)
class Race:
    """Who trains on: candidates run look by look, and clear losers leave after each.

    Args:
        most_looks: at the race; fewer if a look would have too few runs to tell anything.
        significance: of the whole race, divided between its looks.
    """

    most_looks: int = 3
    significance: float = SIGNIFICANCE

    def looks(self, run_seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Divide the run seeds as evenly as can be, into looks of at least `FEWEST_DIFFERENCES`.

        >>> Race().looks(range(13))
        [(0, 1, 2, 3, 4, 5, 6), (7, 8, 9, 10, 11, 12)]
        """
        looks = max(1, min(self.most_looks, len(run_seeds) // FEWEST_DIFFERENCES))
        return [tuple(part.tolist()) for part in np.array_split(np.array(run_seeds), looks)]

    def survivors(self, scores: Numbers, looks: int) -> tuple[int, ...]:
        """Return the places of those who go on, by their scores so far; `looks` is how many there are in all."""
        return survivors(scores, significance=self.significance / looks)
