"""How wrong a learning rate may be: which rates are within reach of the best, from scores at a few of them.

Of each schedule its best candidate is trained at multiples of its rate, on the same re-splits and run seeds. The rule:

1. The score at a rate is the mean over re-splits. Run noise makes the means rise and fall, where true ones rise to one
   best rate and fall behind it, so that they are replaced by the nearest numbers that do (least squares).
2. A rate is within reach if its number lies at most half a point below the highest one, or a loss at most 10 % above
   the lowest. Between two rates that were tried, the number lies on a straight line over the rate's logarithm.
3. Where even the lowest or highest rate that was tried is within reach, the range is at least as wide. A rate at which
   a run diverged, by a score that has no worst, is not within reach.
4. Another schedule forgives far more if its range is surely more than twice as wide: by the logarithm of the width, and
   two standard errors of the difference by the jackknife over re-splits.

What is lost at a third and at three times the rate is said as the difference of two means, with the standard error of
the difference over re-splits, which all candidates share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sweep.model import Answer
from sweep.stats.estimate import Numbers
from sweep.stats.verdict import HALF_A_POINT
from sweep.task import METRICS, Metric, MetricName

REACH_OF_LOSS = 0.1  # of the lowest loss: what a rate may cost
FAR_MORE = 2.0  # times as wide a range, by which a schedule surely forgives far more
SURE = 2.0  # standard errors


class Change(Answer):
    """A difference of two scores on the same re-splits, in points or in % of a loss, and its standard error.

    Both are None where a run diverged.
    """

    mean: float | None
    error: float | None

    @classmethod
    def of(cls, changes: Numbers) -> Change:
        """Return the mean of the differences on each re-split, `[splits]`."""
        if not np.isfinite(changes).all():
            return cls(mean=None, error=None)
        return cls(mean=float(changes.mean()), error=float(changes.std(ddof=1)) / math.sqrt(len(changes)))

    def told(self, sign: str = "") -> str:
        """Return it as text, with a sign if it is `+`.

        >>> Change(mean=1.234, error=0.3).told("+"), Change(mean=-0.04, error=0.2).told()
        ('+1.2 (±0.3)', '0.0 (±0.2)')
        >>> Change(mean=None, error=None).told()
        'diverges'
        """
        if self.mean is None or self.error is None:
            return "diverges"
        return f"{round(self.mean, 1) + 0.0:{sign}.1f} (±{self.error:.1f})"


class Forgiving(Answer):
    """How wrong the rate of a schedule's best candidate may be.

    Attributes:
        family: the schedule; `constant` is the tuned constant rate.
        label: the candidate in one line.
        rate: its learning rate.
        score: its mean score on the re-splits, as the metric has it; None where a run diverged.
        lead: what it has over the tuned constant rate there, positive if it is better; None if that is not known.
        low: the lowest rate within reach of the schedule's best.
        high: the highest.
        at_least: whether the range ends at the lowest rate that was tried, and at the highest.
        decades_error: the standard error of the range's width in decades, `log10(high / low)`, by the jackknife.
        lost_at_third: what a third of the rate costs, positive if it costs anything.
        lost_at_triple: what three times the rate costs.
    """

    family: str
    label: str
    rate: float
    score: float | None
    lead: Change | None = None
    low: float
    high: float
    at_least: tuple[bool, bool] = (False, False)
    decades_error: float = 0.0
    lost_at_third: Change
    lost_at_triple: Change

    @property
    def fold(self) -> float:
        """How many times the lowest rate within reach the highest is."""
        return self.high / self.low

    @property
    def range(self) -> str:
        """The rates within reach, in words."""
        below, above = "at most " * self.at_least[0], "at least " * self.at_least[1]
        return f"{below}{self.low:.2g} to {above}{self.high:.2g}"

    @property
    def told(self) -> str:
        """The same with how wide it is."""
        return f"{self.range} ({'at least ' * any(self.at_least)}{_number(self.fold)}-fold)"

    @property
    def told_fold(self) -> str:
        """How wide it is, and one standard error to either side."""
        low, high = (_number(self.fold * 10 ** (way * self.decades_error)) for way in (-1, 1))
        return f"{_number(self.fold)} ({low} to {high})"

    def surely_forgives_more(self, than: Forgiving) -> bool:
        """Whether the range is more than twice as wide, by two standard errors; no range that may be wider tells."""
        noise = math.hypot(self.decades_error, than.decades_error)
        surely = math.log10(self.fold / than.fold) - SURE * noise
        return not any(than.at_least) and surely > math.log10(FAR_MORE)


class Forgiveness(Answer):
    """How wrong rates may be, schedule by schedule; `problem` says why nobody knows.

    Attributes:
        metric: that is judged.
        splits: re-splits.
        runs: run seeds on each.
        families: the tuned constant rate, and then the others, best first.
    """

    metric: MetricName = "accuracy"
    splits: int = 0
    runs: int = 0
    families: tuple[Forgiving, ...] = ()
    problem: str | None = None

    @property
    def unit(self) -> str:
        """What costs are told in."""
        return unit_of(METRICS[self.metric])

    @property
    def reach(self) -> str:
        """What a rate may cost, in words."""
        return "half a point" if self.unit == "points" else f"{REACH_OF_LOSS:.0%}"

    @property
    def titles(self) -> tuple[str, ...]:
        """The headings of a table of all schedules."""
        return ("schedule", "rate", "over constant", f"within {self.reach}", "fold", "lost at 1/3", "lost at 3x")

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The rows of this table, what forgives most first."""
        return [
            (
                each.family,
                f"{each.rate:.3g}",
                "-" if each.lead is None or each.family == "constant" else each.lead.told("+"),
                each.range,
                each.told_fold,
                each.lost_at_third.told(),
                each.lost_at_triple.told(),
            )
            for each in sorted(self.families, key=lambda each: -each.fold)
        ]

    @property
    def note(self) -> str:
        """What it rests on, in one sentence."""
        means = f"Means over {self.splits} re-splits of {self.runs} run seeds each, in {self.unit}, ± a standard error"
        return f"{means}; fold is the highest rate over the lowest. Tried are the {len(self.families)} best schedules."

    def of(self, label: str) -> Forgiving | None:
        """Return what is known of a candidate."""
        return next((each for each in self.families if each.label == label), None)

    def far_more(self, than: Forgiving) -> Forgiving | None:
        """Return the most forgiving schedule that is as good, within reach, and whose range is far wider."""
        sign = 1 if METRICS[self.metric].rises else -1
        if than.score is None:
            return None
        least = sign * than.score - reach_of(METRICS[self.metric], than.score)
        known = [each for each in self.families if each.score is not None and sign * each.score >= least]
        wider = [each for each in known if each.surely_forgives_more(than)]
        return max(wider, key=lambda each: each.fold, default=None)


def _number(fold: float) -> str:
    """Return how many times it is, to two digits.

    >>> _number(2.04), _number(23.4), _number(8300.0)
    ('2.0', '23', '8300')
    """
    return f"{fold:.1f}" if fold < 9.95 else f"{float(f'{fold:.2g}'):.0f}"


def unit_of(metric: Metric) -> str:
    """Return what the cost of a rate is told in: points of what rises to 1, % of a loss."""
    return "points" if metric.rises else "%"


def reach_of(metric: Metric, best: float) -> float:
    """Return by how much a score may be worse than the best and still be within reach."""
    return HALF_A_POINT if metric.rises else REACH_OF_LOSS * abs(best)


def unimodal(values: ArrayLike) -> Numbers:
    """Return the numbers nearest to `values` by least squares that rise to one of them and fall behind it.

    >>> unimodal([1.0, 3.0, 2.0, 4.0, 0.0]).tolist()
    [1.0, 2.5, 2.5, 4.0, 0.0]
    """
    given = np.asarray(values, np.float64)
    fits = [
        np.concatenate([_rising(given[:top]), _rising(given[top:][::-1])[::-1]]) for top in range(1, len(given) + 1)
    ]
    return min(fits, key=lambda fit: float(((fit - given) ** 2).sum()))


def _rising(values: Numbers) -> Numbers:
    """Return the nearest numbers that do not fall: neighbours that do are replaced by their mean."""
    blocks = list[tuple[float, int]]()
    for value in values.tolist():
        mean, size = value, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    return np.array([mean for mean, size in blocks for _ in range(size)])


@dataclass(frozen=True)
class Range:
    """The rates within reach of the best, and whether they end at the lowest and at the highest that was tried."""

    low: float
    high: float
    at_least: tuple[bool, bool]


def within_reach(rates: Sequence[float], leads: ArrayLike, metric: Metric) -> Range | None:
    """Return the rates within reach of the best, by the rule above; None if all diverged.

    `rates` ascend, and `leads`, `[rates]`, are mean scores by the metric, losses with a minus; NaN where one diverged.

    >>> within_reach([0.01, 0.1, 1.0], [0.918, 0.92, 0.917], METRICS["accuracy"])
    Range(low=0.01, high=1.0, at_least=(True, True))
    >>> found = within_reach([0.01, 0.1, 1.0], [0.91, 0.92, math.nan], METRICS["accuracy"])
    >>> round(found.low, 4), found.high, found.at_least
    (0.0316, 0.1, (False, False))
    """
    table, places = np.asarray(leads, np.float64), np.log(np.asarray(rates, np.float64))
    finite = np.isfinite(table)
    if not finite.any():
        return None
    top = int(np.where(finite, table, -np.inf).argmax())
    first, last = top, top
    while first > 0 and finite[first - 1]:
        first -= 1
    while last < len(table) - 1 and finite[last + 1]:
        last += 1
    fit = unimodal(table[first : last + 1])
    x, top, best = places[first : last + 1], int(fit.argmax()), float(fit.max())
    least = best - reach_of(metric, best)
    low, high = _end(x[: top + 1][::-1], fit[: top + 1][::-1], least), _end(x[top:], fit[top:], least)
    return Range(
        float(rates[first]) if low is None else math.exp(low),
        float(rates[last]) if high is None else math.exp(high),
        (low is None and first == 0, high is None and last == len(table) - 1),
    )


def _end(x: Numbers, falling: Numbers, least: float) -> float | None:
    """Return where numbers that fall come to `least`; None if they never do."""
    beyond = np.flatnonzero(falling < least)
    if not len(beyond):
        return None
    place = int(beyond[0])
    share = (falling[place - 1] - least) / (falling[place - 1] - falling[place])
    return float(x[place - 1] + share * (x[place] - x[place - 1]))


@dataclass(frozen=True)
class Tried:
    """The scores of a candidate at other rates.

    Attributes:
        family: its schedule.
        label: the candidate in one line.
        rate: its learning rate.
        factors: of the rate, ascending; 1/3, 1 and 3 are among them.
        scores: `[factors, splits]`, means over run seeds, as the metric has them; NaN where a run diverged.
    """

    family: str
    label: str
    rate: float
    factors: Sequence[float]
    scores: Numbers

    def at(self, factor: float) -> Numbers:
        """Return the scores at the rate times a factor, `[splits]`."""
        return np.asarray(self.scores[int(np.argmin(np.abs(np.array(self.factors) - factor)))])


def forgiving(tried: Tried, constant: Tried | None, metric: Metric) -> Forgiving | None:
    """Return how wrong a candidate's rate may be; None if it has a score at no rate."""
    sign, means, own = 1 if metric.rises else -1, tried.scores.mean(axis=1), tried.at(1.0)
    known = means[np.isfinite(means)]
    if not len(known):
        return None
    score, rates = float(own.mean()), [tried.rate * each for each in tried.factors]

    def reached(means: Numbers) -> Range | None:
        return within_reach(rates, sign * means, metric)

    found, splits = reached(means), tried.scores.shape[1]
    assert found is not None  # as a mean is finite
    others = [reached(np.delete(tried.scores, split, axis=1).mean(axis=1)) for split in range(splits)]
    decades = np.array([math.log10(each.high / each.low) for each in others if each is not None])
    scale = 100.0 if metric.rises else 100.0 / (abs(score) or 1.0)
    third, triple = (Change.of(sign * scale * (own - tried.at(factor))) for factor in (1 / 3, 3))
    return Forgiving(
        family=tried.family,
        label=tried.label,
        rate=tried.rate,
        score=score if math.isfinite(score) else None,
        lead=None if constant is None else Change.of(sign * scale * (own - constant.at(1.0))),
        low=found.low,
        high=found.high,
        at_least=found.at_least,
        decades_error=math.sqrt((splits - 1) / splits * float(np.square(decades - decades.mean()).sum())),
        lost_at_third=third,
        lost_at_triple=triple,
    )
