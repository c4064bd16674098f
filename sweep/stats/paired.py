"""Two candidates trained with the same run seeds on the same rows: what one has over the other, in correct rows.

The answer holds for these rows only. Run seeds replicate the training, never the rows, so no number of them says
anything about new rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sweep.stats.estimate import LEVEL, Chances, Effect, Interval, Numbers, chances, checked
from sweep.stats.power import smallest_effect, unseen_share
from sweep.stats.verdict import ONE_ROW, Judgement, Question, judge

RESAMPLES = 9999
RESAMPLING_SEED = 20_110_119  # any number, but always the same one: the same runs give the same interval


@dataclass(frozen=True)
class Paired:
    """A comparison over shared run seeds, in rows.

    Args:
        effect: the mean difference of correct rows.
        deviation: standard deviation of the differences.
        run_chances: shares of the runs in which the first is better, tied, worse.
        mean_chances: the same shares of the resampled means: how sure it is that it is better on average.
    """

    effect: Effect
    deviation: float
    run_chances: Chances
    mean_chances: Chances


def compare(first: ArrayLike, second: ArrayLike, *, tie: float = ONE_ROW, resamples: int = RESAMPLES) -> Paired:
    """Compare correct rows over shared run seeds; both are `[runs]` in the same order of seeds.

    The interval is the expanded percentile interval: a paired bootstrap whose level is raised so that few runs do
    not make it too short. The order of the seeds does not matter.

    Args:
        first: correct rows of the candidate in question.
        second: correct rows of the candidate that it is compared with.
        tie: differences up to this many rows count as tied.
        resamples: how often the runs are drawn again.

    Raises:
        ValueError: if the shapes differ, or there are fewer than 2 runs.
    """
    ours, theirs = checked("first", first, fewest=2), checked("second", second, fewest=2)
    if ours.shape != theirs.shape:
        raise ValueError(f"`first` and `second` must share their runs, got {len(ours)} and {len(theirs)}.")
    differences = np.sort(ours - theirs)
    interval, means = bootstrap(differences, resamples)
    deviation = float(differences.std(ddof=1))
    detectable = smallest_effect(deviation, len(differences))
    effect = Effect(float(differences.mean()), interval, len(differences), detectable)
    return Paired(effect, deviation, chances(differences, tie), chances(means, tie))


def bootstrap(differences: Numbers, resamples: int = RESAMPLES) -> tuple[Interval, Numbers]:
    """Return the 95 % interval of the mean of `differences`, `[runs]`, and the resampled means, `[resamples]`.

    Equal differences give resampled means without spread. The interval then holds what so many equal runs leave
    open: a share of unlike runs, `unseen_share`, that differ by one row more or less.
    """
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        unseen = unseen_share(len(differences))
        return Interval(mean - unseen, mean + unseen), np.full(resamples, mean)
    found = stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=expanded_level(len(differences)),
        n_resamples=resamples,
        method="percentile",
        batch=1000,
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
    interval = Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))
    return interval, np.asarray(found.bootstrap_distribution, dtype=np.float64)


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
) -> Judgement:
    """Judge correct rows of fresh, shared run seeds; both `[runs]`, of `rows` validation rows.

    Args:
        winner: correct rows of the winner, on run seeds that neither found nor chose it.
        constant: correct rows of the tuned constant rate on the same run seeds.
        rows: rows of the validation split.
        smallest_of_interest: the smallest effect worth having, in rows.
        resamples: how often the bootstrap draws.
    """
    found = compare(winner, constant, resamples=resamples)
    likely = {"runs": found.run_chances, "mean": found.mean_chances}
    return judge(Question.THESE_ROWS, found.effect, rows, smallest_of_interest, **likely)
