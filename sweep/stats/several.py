"""Families over several data sets: the mean lead with an interval, how sure it is that one is better, and ranks.

A data set is one observation, however many runs and rows it has. The interval of a mean lead is Student's over the
data sets. How sure it is that a family is better on a data set like these follows the Bayesian signed-rank test with a
region of practical equivalence (Benavoli, Corani, Demsar and Zaffalon 2017, JMLR 18, 77): a Dirichlet process over the
leads, with a prior of half a data set without any lead. Average ranks have the critical difference of Nemenyi, and the
test that all are alike is that of Friedman as Iman and Davenport have it (both as in Demsar 2006, JMLR 7, 1-30).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sweep.stats.comparison import POWER
from sweep.stats.estimate import FEWEST_DIFFERENCES, LEVEL, SIGNIFICANCE, Chances, Effect, Interval, Numbers

PRIOR = 0.5  # data sets without any lead, as in the tutorial of Benavoli and others
DRAWS = 20_000
MOST_SETS = 1000  # that anybody would be told to bring


@dataclass(frozen=True)
class OverSets:
    """One family over the data sets where it is known; leads are over the tuned constant rate of the same data set.

    Args:
        effect: its mean lead with the 95 % interval over data sets; without an interval if there is one data set.
        widened: the interval widened such that those of all families hold together (Bonferroni).
        ahead: data sets with a lead of more than what is worth having.
        behind: data sets where it is behind by more than that.
        chances: how sure it is that it is better, practically the same, or worse.
        worst: its smallest lead.
        worst_set: the place of the data set with that.
        rank: average rank among all, the constant rate included, 1 the best; None unless it is known of every data set.
    """

    effect: Effect
    widened: Interval
    ahead: int
    behind: int
    chances: Chances
    worst: float
    worst_set: int
    rank: float | None

    @property
    def level(self) -> int:
        """Data sets where it is neither ahead nor behind by more than what is worth having."""
        return self.effect.samples - self.ahead - self.behind


@dataclass(frozen=True)
class Ranks:
    """Average ranks over data sets.

    Args:
        by_family: by name, the best first; the constant rate is among them.
        critical_difference: from which on two of them differ, at 5 % for all pairs.
        p_value: of all being alike; None if that is not defined.
    """

    by_family: dict[str, float]
    critical_difference: float
    p_value: float | None


def standings(leads: Mapping[str, Sequence[float]], worth: float, ranks: Ranks | None) -> dict[str, OverSets]:
    """Return every family's standing, the highest mean lead first.

    Args:
        leads: of each family on each data set, in one unit; NaN where it is not known.
        worth: the smallest lead worth having, in that unit.
        ranks: those of `rank`, if there are any.
    """
    found = {}
    for name, given in leads.items():
        table = np.asarray(given, np.float64)
        known = np.flatnonzero(np.isfinite(table))
        if not len(known):
            continue
        values = table[known]
        lowest = int(values.argmin())
        found[name] = OverSets(
            effect=mean_lead(values),
            widened=_interval(values, SIGNIFICANCE / len(leads)),
            ahead=int((values > worth).sum()),
            behind=int((values < -worth).sum()),
            chances=signed_rank(values, worth),
            worst=float(values[lowest]),
            worst_set=int(known[lowest]),
            rank=None if ranks is None else ranks.by_family.get(name),
        )
    return dict(sorted(found.items(), key=lambda each: -each[1].effect.mean))


def mean_lead(leads: Numbers) -> Effect:
    """Return the mean of leads, `[sets]`, with Student's interval over data sets."""
    number, error = len(leads), _error(leads)
    detectable = sum(stats.t.ppf([1 - SIGNIFICANCE / 2, POWER], number - 1)) * error if number > 1 else math.inf
    return Effect(
        mean=float(leads.mean()),
        interval=_interval(leads, SIGNIFICANCE),
        samples=number,
        smallest_detectable=float(detectable) if math.isfinite(detectable) else 0.0,
    )


def _error(leads: Numbers) -> float:
    return float(leads.std(ddof=1) / math.sqrt(len(leads))) if len(leads) > 1 else 0.0


def _interval(leads: Numbers, significance: float) -> Interval:
    mean = float(leads.mean())
    if len(leads) < 2:
        return Interval(mean, mean)
    half = float(stats.t.ppf(1 - significance / 2, len(leads) - 1)) * _error(leads)
    return Interval(mean - half, mean + half)


def signed_rank(leads: Numbers, worth: float) -> Chances:
    """Return how sure it is that a family is better than another by more than `worth`, the same, or worse.

    Each draw weighs the data sets and the prior's one, and says which of the three a pair of leads is likeliest to be.
    """
    table = np.append(leads, 0.0)
    weights = np.random.default_rng(0).dirichlet([*np.ones(len(leads)), PRIOR], DRAWS)
    sums = table[:, None] + table[None, :]
    shares = np.stack(
        [
            np.einsum("dn,nm,dm->d", weights, part.astype(np.float64), weights, optimize=True)
            for part in (sums > 2 * worth, np.abs(sums) <= 2 * worth, sums < -2 * worth)
        ]
    )
    better, tied, worse = (np.bincount(shares.argmax(axis=0), minlength=3) / DRAWS).tolist()
    return Chances(better, tied, worse)


def rank(leads: Mapping[str, Sequence[float]], constant: str) -> Ranks | None:
    """Return average ranks of all families that are known of every data set, and of the constant rate among them.

    Each data set ranks them by their leads, equal ones by the mean of their places. None if there are fewer than two
    data sets, or no such family.
    """
    whole = {name: given for name, given in leads.items() if np.isfinite(given).all()}
    sets = len(next(iter(whole.values()), ()))
    if sets < 2:
        return None
    table = np.array([*whole.values(), np.zeros(sets)])
    places = stats.rankdata(-table, axis=0)
    means = dict(zip([*whole, constant], places.mean(axis=1).tolist(), strict=True))
    return Ranks(
        by_family=dict(sorted(means.items(), key=lambda each: each[1])),
        critical_difference=critical_difference(len(table), sets),
        p_value=_all_alike(places),
    )


def critical_difference(candidates: int, sets: int) -> float:
    """Return from which difference of their average ranks on two candidates differ at 5 %, by Nemenyi.

    >>> round(critical_difference(4, 14), 2)  # as in Demsar's example
    1.25
    """
    studentized = stats.studentized_range.ppf(LEVEL, candidates, np.inf) / math.sqrt(2)
    return float(studentized * math.sqrt(candidates * (candidates + 1) / (6 * sets)))


def _all_alike(places: Numbers) -> float | None:
    """Return the p-value of ranks, `[candidates, sets]`, if all candidates are alike; None where all are tied."""
    candidates, sets = places.shape
    means = places.mean(axis=1)
    squares = 12 * sets / (candidates * (candidates + 1)) * float(np.sum((means - (candidates + 1) / 2) ** 2))
    left = sets * (candidates - 1) - squares
    if squares <= 0:
        return None
    if left <= 1e-9:
        return 0.0
    return float(stats.f.sf((sets - 1) * squares / left, candidates - 1, (candidates - 1) * (sets - 1)))


@dataclass(frozen=True)
class Default:
    """Which schedule to use by default: a family's name, or None for the tuned constant rate.

    Args:
        family: its name.
        settled: whether the data sets say so; if not, nothing is shown better.
        sets_needed: about how many data sets would tell, if the best family's mean lead is the true one; None if there
            is no such number below a thousand.
    """

    family: str | None
    settled: bool
    sets_needed: int | None = None


def choose(found: Mapping[str, OverSets], worth: float) -> Default:
    """Choose what to use by default.

    It is the family with the highest mean lead of those whose widened interval lies above 0, and not wholly below what
    is worth having. There being none, it is the tuned constant rate; that is settled if every family's widened interval
    ends below what is worth having. Fewer than 6 data sets settle nothing.
    """
    counted = {name: each for name, each in found.items() if each.effect.samples >= FEWEST_DIFFERENCES}
    for name, each in counted.items():
        if each.widened.low > 0 and each.widened.high > worth:
            return Default(name, settled=True)
    if counted and all(each.widened.high < worth for each in counted.values()):
        return Default(None, settled=True)
    return Default(None, settled=False, sets_needed=_sets_needed(counted, len(found)))


def _sets_needed(found: Mapping[str, OverSets], families: int) -> int | None:
    """Return how many data sets find the best family's mean lead above 0, four times in five."""
    best = next(iter(found.values()), None)
    if best is None or best.effect.mean <= 0:
        return None
    half = (best.effect.interval.high - best.effect.interval.low) / 2
    number = best.effect.samples
    spread = half / float(stats.t.ppf(1 - SIGNIFICANCE / 2, number - 1)) * math.sqrt(number)
    quantiles = sum(stats.norm.ppf([1 - SIGNIFICANCE / (2 * families), POWER]))
    needed = math.ceil((float(quantiles) * spread / best.effect.mean) ** 2)
    return max(needed, number + 1) if needed <= MOST_SETS else None
