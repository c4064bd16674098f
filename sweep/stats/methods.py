"""Many methods by their scores on one data set: who is better than whom, whom the best cannot be told from, and luck.

All differences are judged at once, so that of equal methods none is called better, or worse, in more than 5 % of
tables: the 5 % are shared by all pairs, or by all methods but the baseline (Bonferroni). The studentized range, by
Games and Howell (1976) with variances of each pair's own, would give shorter intervals; but of 16 equal methods with
ten paired runs it calls one worse than the best in 12 % of tables, of five unpaired ones in 7 %.

Scores that share seeds, splits or folds are paired: a standard error is that of their differences. Else it is Welch's
(1947). Splits and folds share rows, so that more of them say less than their number: by Nadeau and Bengio (2003),
Inference for the Generalization Error, the variance of their mean is var (1/n + test/train).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate, stats

from sweep.stats.comparison import detectable_standard_errors, unseen_share
from sweep.stats.estimate import SIGNIFICANCE, Effect, Interval, Numbers, checked
from sweep.stats.verdict import Word, decide

FEWEST_RUNS = 2
MOST_DOUBLINGS = 20  # of the runs, that are looked at for a number that would tell


class Spread(NamedTuple):
    """The standard error of a mean difference, its degrees of freedom, and the differences that it rests on."""

    mean: float
    error: float
    degrees: float
    samples: int


@dataclass(frozen=True)
class Runs:
    """The scores of some methods on one data set, higher is better.

    Args:
        names: of the methods.
        scores: `[methods, blocks]`, NaN where there is none. In a paired design a block is a seed, a split or a fold
            that methods share; else the places of a row mean nothing.
        paired: whether blocks are shared.
        shared: test rows per training row of splits or folds, which share rows; 0 for seeds alone.
    """

    names: tuple[str, ...]
    scores: Numbers
    paired: bool
    shared: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            ValueError: if there are fewer than two methods, or one has fewer than two scores.
        """
        if self.scores.shape[:1] != (len(self.names),) or self.scores.ndim != 2 or len(self.names) < 2:
            raise ValueError(f"`scores` must be [methods, blocks] of at least 2 methods, got {self.scores.shape}.")
        for name, number in zip(self.names, self.counts.tolist(), strict=True):
            if number < FEWEST_RUNS:
                raise ValueError(f"`{name}` must have at least {FEWEST_RUNS} scores, got {number}.")

    @property
    def counts(self) -> Numbers:
        """How many scores each method has, `[methods]`."""
        return np.asarray(np.isfinite(self.scores).sum(axis=1))

    @property
    def means(self) -> Numbers:
        """The mean score of each, `[methods]`."""
        return np.asarray(np.nanmean(self.scores, axis=1))

    def lead(self, first: int, second: int) -> Spread:
        """Return what one method has over another on average, by their places."""
        ours, theirs = self.scores[first], self.scores[second]
        if self.paired:
            both = ours - theirs
            both = both[np.isfinite(both)]
            variance, number = float(both.var(ddof=1)) if len(both) > 1 else math.nan, len(both)
            return Spread(float(both.mean()), math.sqrt(variance * (1 / number + self.shared)), number - 1, number)
        groups = [each[np.isfinite(each)] for each in (ours, theirs)]
        parts = [float(each.var(ddof=1)) / len(each) for each in groups]
        error, of_parts = math.sqrt(sum(parts)), zip(parts, groups, strict=True)
        below = sum(part**2 / (len(each) - 1) for part, each in of_parts)
        samples = sum(map(len, groups)) - 2
        degrees = sum(parts) ** 2 / below if below else float(samples)
        return Spread(float(groups[0].mean() - groups[1].mean()), error, degrees, samples)

    def effect(self, first: int, second: int, *, against_one: bool, tie: float) -> Effect:
        """Return it with its interval, which all pairs hold at once; `against_one` if all are compared with one.

        Equal differences have no spread: the interval then holds what so many runs leave open, `unseen_share` of them
        unlike the others by `tie`.
        """
        mean, error, degrees, samples = self.lead(first, second)
        shared = self.shared / (self.shared + 1 / samples) if self.paired else 0.0
        wide = quantile(len(self.names), degrees, against_one=against_one)
        half = wide * error if error else unseen_share(samples) * tie
        detectable = detectable_standard_errors(max(1, round(degrees))) * error if error else half
        p_value = adjusted(abs(mean) / error, len(self.names), degrees, against_one=against_one) if error else None
        computing, sampling = error * math.sqrt(1 - shared), error * math.sqrt(shared)
        interval = Interval(mean - half, mean + half)
        return Effect(mean, interval, samples, detectable, p_value, computing=computing, sampling=sampling)


def comparisons(methods: int, *, against_one: bool) -> int:
    """Return how many pairs there are."""
    return methods - 1 if against_one else methods * (methods - 1) // 2


def quantile(methods: int, degrees: float, *, against_one: bool) -> float:
    """Return how many standard errors the half of an interval is that holds for all pairs, or all against one, at once.

    >>> round(quantile(2, 9, against_one=True), 3), round(quantile(2, 9, against_one=False), 3)
    (2.262, 2.262)
    """
    return float(stats.t.ppf(1 - SIGNIFICANCE / 2 / comparisons(methods, against_one=against_one), degrees))


def adjusted(errors: float, methods: int, degrees: float, *, against_one: bool) -> float:
    """Return the p-value of a difference of so many standard errors, adjusted as the interval is."""
    return min(1.0, float(2 * stats.t.sf(errors, degrees)) * comparisons(methods, against_one=against_one))


@cache
def expected_maximum(number: int) -> float:
    """Return the mean of the largest of so many standard normal numbers.

    >>> round(expected_maximum(2), 4), round(expected_maximum(16), 3)
    (0.5642, 1.766)
    """

    def density(value: float) -> float:
        return float(value * number * stats.norm.pdf(value) * stats.norm.cdf(value) ** (number - 1))

    return float(integrate.quad(density, -10, 10)[0])


def luck(runs: Runs) -> float:
    """Return by how much the best of equal methods, with the noise of these, would lie above their mean by luck alone.

    The noise of a method's mean is the median over the methods; of paired scores what blocks share is taken out.
    """
    scores = runs.scores
    if runs.paired:
        scores = scores - np.nanmean(scores, axis=0) + np.nanmean(scores)
    errors = np.nanstd(scores, axis=1, ddof=1) / np.sqrt(runs.counts)
    if runs.paired:  # as much as a block's own mean takes away
        errors = errors * math.sqrt(len(runs.names) / (len(runs.names) - 1))
    return expected_maximum(len(runs.names)) * float(np.median(errors))


@dataclass(frozen=True)
class Standing:
    """Where one method stands on a data set.

    Args:
        name: the method's.
        runs: how many scores it has.
        mean: of its scores.
        deviation: their standard deviation.
        rank: 1 for the highest mean; equal ones share the mean of their ranks.
        lead: what it has over the reference; None for the reference itself.
        word: what that says.
        as_good: whether the best method is not surely better than it.
    """

    name: str
    runs: int
    mean: float
    deviation: float
    rank: float
    lead: Effect | None
    word: Word | None
    as_good: bool


@dataclass(frozen=True)
class Standings:
    """All methods on one data set, the best first.

    Args:
        of: the methods.
        reference: whom they are compared with: the baseline, or the best.
        best: the method with the highest mean.
        luck: as the function.
        above: by how much the best lies above the mean of all.
    """

    of: tuple[Standing, ...]
    reference: str
    best: str
    luck: float
    above: float


def stand(runs: Runs, worth: float, baseline: str | None = None) -> Standings:
    """Compare methods with a baseline, or with the best of them; a lead of `worth` is worth having."""
    means, places = runs.means, range(len(runs.names))
    best = int(np.argmax(means))
    reference = best if baseline is None else runs.names.index(baseline)
    against_one = baseline is not None
    ranks = stats.rankdata(-means)
    behind = [
        place != best and runs.effect(best, place, against_one=False, tie=worth).interval.low > 0 for place in places
    ]
    found = []
    for place in places:
        lead = None if place == reference else runs.effect(place, reference, against_one=against_one, tie=worth)
        found.append(
            Standing(
                name=runs.names[place],
                runs=int(runs.counts[place]),
                mean=float(means[place]),
                deviation=float(np.nanstd(runs.scores[place], ddof=1)),
                rank=float(ranks[place]),
                lead=lead,
                word=None if lead is None else decide(lead, worth),
                as_good=not behind[place],
            )
        )
    found.sort(key=lambda each: (-each.mean, each.name))
    above = float(means[best] - means.mean())
    return Standings(tuple(found), runs.names[reference], runs.names[best], luck(runs), above)


def wanted_runs(effect: Effect, worth: float, runs: int, methods: int, *, against_one: bool) -> int | None:
    """Return how many runs of each method would tell, of which there are `runs`, if the lead is as estimated.

    The interval tells once it lies on one side of 0, or within `worth`; None if no number of runs would.

    >>> effect = Effect(0.2, Interval(-0.4, 0.8), 9, 0.5, computing=0.265, sampling=0.0)
    >>> wanted_runs(effect, 0.5, 10, 2, against_one=True)
    33
    """
    computing, shared = effect.computing, effect.sampling
    assert computing is not None
    assert shared is not None
    aim, each = max(abs(effect.mean), worth - abs(effect.mean)), effect.samples / runs

    def tells(number: int) -> bool:
        error = math.hypot(computing * math.sqrt(runs / number), shared)
        return quantile(methods, max(1.0, each * number), against_one=against_one) * error <= aim

    last = next((runs << step for step in range(1, MOST_DOUBLINGS) if tells(runs << step)), None)
    return None if last is None else 1 + runs + bisect_left(range(runs + 1, last), True, key=tells)


Design = Literal["paired", "crossed", "unpaired"]


def lay_out(
    names: Sequence[str], method: ArrayLike, block: ArrayLike | None, score: ArrayLike, *, shared: float = 0.0
) -> tuple[Runs, Design]:
    """Return the scores of a long table as runs, and which design they are.

    All are `[rows]`: places of methods in `names`, what pairs rows or None, and scores. Several scores of a method in a
    block are averaged: the design is crossed. Scores are paired if any two methods share at least half of their blocks.

    Raises:
        ValueError: as `Runs` does.
    """
    of, values = np.asarray(method), checked("score", score)
    if block is not None:
        blocks, at = np.unique(np.asarray(block), return_inverse=True)
        sums, counts = np.zeros((2, len(names), len(blocks)))
        np.add.at(sums, (of, at), values)
        np.add.at(counts, (of, at), 1)
        there = counts > 0
        common = there.astype(int) @ there.T.astype(int)
        fewer = np.minimum.outer(there.sum(axis=1), there.sum(axis=1))
        if (2 * common >= fewer).all() and (common >= FEWEST_RUNS).all():
            table = np.where(there, sums / np.maximum(counts, 1), np.nan)
            crossed = bool((counts > 1).any())
            return Runs(tuple(names), table, paired=True, shared=shared), "crossed" if crossed else "paired"
    groups = [values[of == place] for place in range(len(names))]
    table = np.full((len(names), max(map(len, groups))), np.nan)
    for row, group in zip(table, groups, strict=True):
        row[: len(group)] = group
    return Runs(tuple(names), table, paired=False, shared=shared), "unpaired"
