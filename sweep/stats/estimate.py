"""What every statistic of this package ends in: effects with intervals, chances, spread and optimism; no SciPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers: TypeAlias = NDArray[np.float64]

SIGNIFICANCE = 0.05
LEVEL = 0.95
# With 5 differences even an exact sign test that all agree with stays above 5 %: 2 * 0.5^5 = 0.0625.
FEWEST_DIFFERENCES = 6


@dataclass(frozen=True)
class Interval:
    """The values from `low` to `high` that the data do not rule out at 95 %."""

    low: float
    high: float

    @property
    def signed(self) -> str:
        """Its ends, with their signs and two decimals.

        >>> Interval(-0.41, 0.584).signed
        '-0.41 to +0.58'
        """
        return f"{self.low:+.2f} to {self.high:+.2f}"


@dataclass(frozen=True)
class Chances:
    """Shares of one whole: better by more than the margin of a tie, tied, worse by more than the margin."""

    better: float
    tied: float
    worse: float


@dataclass(frozen=True)
class Effect:
    """What one candidate has over another.

    Args:
        mean: the estimated difference, first minus second.
        interval: its 95 % interval.
        samples: on how many differences it rests, over run seeds or over splits.
        smallest_detectable: the true effect that so many differences find with 80 % power at two-sided 5 %.
        p_value: of a difference of 0, two-sided; only where the interval comes from a test.
        computing: the part of its standard error that more runs would shrink; on new rows only, as all below.
        sampling: the part that only more rows would shrink.
        differing: rows on which the two differ at all; None where outcomes by row are not known.
    """

    mean: float
    interval: Interval
    samples: int
    smallest_detectable: float
    p_value: float | None = None
    computing: float | None = None
    sampling: float | None = None
    differing: int | None = None

    def scaled(self, factor: float) -> Effect:
        """Return the effect in another unit; `factor` is positive."""
        interval = Interval(self.interval.low * factor, self.interval.high * factor)
        detectable = self.smallest_detectable * factor
        computing, sampling = (part if part is None else part * factor for part in (self.computing, self.sampling))
        effect = replace(self, mean=self.mean * factor, interval=interval, smallest_detectable=detectable)
        return replace(effect, computing=computing, sampling=sampling)


@dataclass(frozen=True)
class Dispersion:
    """The spread of correct rows over run seeds beside what well-trained runs show.

    Args:
        deviation: standard deviation of the correct rows.
        expected: sqrt(rows * error / 2).
        flagged: whether the spread is far above it, and surely above it: the network is undertrained or unstable.
    """

    deviation: float
    expected: float
    flagged: bool


@dataclass(frozen=True)
class Optimism:
    """One candidate's mean score where it was found, where it was chosen, and on seeds that chose nothing.

    Args:
        search: mean over the runs of the search.
        selection: mean over the runs of the race.
        confirmation: mean over the runs that chose nothing.
        total: how much the search flattered the candidate: search minus confirmation.
        best: the highest mean score of all that the search tried; None where it had one split.
        held_out: what taking the best scores on splits that did not choose it, as `TakenBest` has it.
    """

    search: float
    selection: float
    confirmation: float
    total: float
    best: float | None = None
    held_out: float | None = None


@dataclass(frozen=True)
class TakenBest:
    """What searching on several splits and taking the best scores.

    Args:
        best: mean over the splits of the candidate that is best on all of them.
        held_out: mean on the splits that did not choose, over draws of splits that do.
    """

    best: float
    held_out: float


def take_the_best(gains: ArrayLike, draws: int = 1000, seed: int = 0) -> TakenBest | None:
    """Bootstrap the choice of the best candidate, whose `gains` are `[candidates, splits]`, higher is better.

    Splits are drawn with replacement; the best candidate on these is scored on the splits that were not drawn.
    Tsamardinos, Greasidou and Borboudakis (2018), Bootstrapping the out-of-sample predictions for efficient and
    accurate cross-validation, draw rows so; here every row is in several splits, so that luck with rows is seen in
    part, and luck with splits and runs whole. Of candidates that are equal, the first is taken. None for one split.
    """
    table = checked("gains", gains, dimensions=2)
    splits = table.shape[1]
    if splits < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(splits, [1 / splits] * splits, draws)
    drawn = drawn[(drawn == 0).any(axis=1)]
    out = (drawn == 0).astype(np.float64)
    chosen = (drawn.astype(np.float64) @ table.T).argmax(axis=1)
    held_out = (out * table[chosen]).sum(axis=1) / out.sum(axis=1)
    return TakenBest(float(table.mean(axis=1).max()), float(held_out.mean()))


def optimism(search: ArrayLike, selection: ArrayLike, confirmation: ArrayLike) -> Optimism:
    """Return one candidate's mean scores in the three stages; each is `[runs]`, with run seeds of its own."""
    stages = {"search": search, "selection": selection, "confirmation": confirmation}
    means = {name: float(checked(name, scores).mean()) for name, scores in stages.items()}
    return Optimism(**means, total=means["search"] - means["confirmation"])


def chances(differences: Numbers, tie: float) -> Chances:
    """Return which shares of `differences` lie above `tie`, within it, and below its negative.

    >>> chances(np.array([2.0, 1.0, 0.0, -3.0]), 1.0)
    Chances(better=0.25, tied=0.5, worse=0.25)
    """
    better, worse = float(np.mean(differences > tie)), float(np.mean(differences < -tie))
    return Chances(better, float(np.mean(np.abs(differences) <= tie)), worse)


def checked(name: str, values: ArrayLike, dimensions: int = 1, fewest: int = 1) -> Numbers:
    """Return `values` as float64; `ValueError` for other dimensions, too few entries, or one that is not finite."""
    array: NDArray[Any] = np.asarray(values)
    if array.ndim != dimensions or array.shape[-1] < fewest:
        rule = f"must have {dimensions} dimensions and at least {fewest} entries along the last"
        raise ValueError(f"`{name}` {rule}, got shape {array.shape}.")
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{name}` must be finite, got {numbers[~np.isfinite(numbers)][0]}.")
    return numbers
