"""What one candidate has over another on rows that nobody has seen, from random splits of the rows at hand.

Random splits (repeated holdout) overlap, and what they share they cannot tell of: other rows, and other training sets.
Runs with run seeds of their own tell apart what each split adds and what is run noise, which splits do not share.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sweep.stats.comparison import detectable_standard_errors
from sweep.stats.estimate import SIGNIFICANCE, Chances, Effect, Interval, Numbers, chances, checked
from sweep.stats.verdict import FEWEST_ROWS, ONE_ROW, Judgement, Missing, Question, Unit, Word, judge
from sweep.task import METRICS

# The two-sided significance of each of so many looks, each at twice the splits of the one before, for 5 % in all.
# Pocock (1977), Group Sequential Methods in the Design and Analysis of Clinical Trials, Biometrika 64.
OF_EACH_LOOK = {1: SIGNIFICANCE, 2: 0.0294, 3: 0.0208, 4: 0.0160, 5: 0.0130}


def effect_on_new_rows(
    leads: ArrayLike,
    train_rows: int,
    test_rows: int,
    *,
    row_leads: ArrayLike | None = None,
    whole: float | None = None,
    looks: int = 1,
) -> Effect:
    """Estimate the lead of one candidate over another on new rows, higher is better.

    `leads` are `[splits, runs]`, each with a run seed of its own, in the unit of a whole test side: test rows for
    accuracy. `row_leads` are `[rows]`, those of every row that was tested: its mean lead over the runs that tested it,
    so that a lead of 1 on each row is one of `whole`, which is `test_rows` by default; None for a score that is no mean
    over rows. The interval may be read at each of `looks` looks, the splits doubled from one to the next, and still
    holds the truth in 95 %.

    Splits share no run noise, so that what a split adds is v = var(means of splits) - MS/runs, with MS the variance
    within a split. The standard error squared is

        MS/(splits runs) + v (1/splits + test/rows) + whole^2 var(row_leads)/rows

    of run noise, of what the splits share, and of the rows. What the rows at hand happen to be is in v as well: without
    `row_leads` their own term is as large as run noise alone makes it, and the factor of v is 1/splits + test/train, by
    Nadeau and Bengio (2003), Inference for the Generalization Error, Machine Learning 52. How long the interval is and
    what it covers in worlds with real trainings, beside others that were tried, is in tests/bench/README.md.

    Raises:
        ValueError: if there are fewer than 2 splits, or a side has no rows.
    """
    table = checked("leads", leads, dimensions=2)
    means = checked("leads", table.mean(axis=1), fewest=2)
    if min(train_rows, test_rows) < 1:
        raise ValueError(f"a split must hold rows on both sides, got {train_rows} to train and {test_rows} to test.")
    (splits, runs), mean, each = table.shape, float(means.mean()), float(whole or test_rows)
    of_runs = float(table.var(axis=1, ddof=1).mean()) / runs if runs > 1 else 0.0
    of_splits, noise = max(float(means.var(ddof=1)) - of_runs, 0.0), of_runs / splits
    by_row, of_rows, shared = None, noise, test_rows / train_rows
    if row_leads is not None:
        by_row = checked("row_leads", row_leads, fewest=2) * each
        of_rows, shared = float(by_row.var(ddof=1)) / len(by_row), test_rows / (train_rows + test_rows)
    squared = noise + of_splits * (1 / splits + shared) + of_rows
    surely_of_splits = max(of_splits - 3 * of_runs * math.sqrt(2 / (splits - 1)), 0.0)  # by three standard errors
    sampling = shared * surely_of_splits + max(of_rows - noise, 0.0)
    error, degrees, tail = math.sqrt(squared), splits - 1, OF_EACH_LOOK[looks] / 2
    quantile = float(stats.t.ppf(1 - tail, degrees))
    below = above = quantile * error
    detectable = detectable_standard_errors(degrees) * error
    differing = None if by_row is None else int(np.count_nonzero(by_row))
    if by_row is not None and differing is not None and differing < FEWEST_ROWS:
        lead, (low, high) = float(by_row.mean()), few_rows(by_row, each if whole is None else 0.0)
        below, above = (math.hypot(quantile * math.sqrt(noise), side) for side in (lead - low, high - lead))
        detectable = max(detectable, below, above)
    return Effect(
        mean,
        Interval(mean - below, mean + above),
        splits,
        detectable,
        p_value=2 * float(stats.t.sf(abs(mean) / error, degrees)) if error else float(mean == 0),
        computing=math.sqrt(squared - sampling),
        sampling=math.sqrt(sampling),
        differing=differing,
    )


def few_rows(leads: Numbers, least: float) -> tuple[float, float]:
    """Return the interval of the mean lead of a row where the two differ on a handful of the rows, `[rows]`.

    The shares of rows with either sign have the exact limits of Clopper and Pearson (1934), one-sided, which Newcombe's
    (1998) square-and-add puts together. Rows that were not seen differ by as much as those that were, or by `least`
    where none does. All looks see the same rows, so that these limits are those of a single one.
    """
    rows, most = len(leads), float(np.abs(leads).max()) or least
    ahead, behind = int((leads > 0).sum()), int((leads < 0).sum())

    def limits(count: int) -> tuple[float, float]:
        low = stats.beta.ppf(SIGNIFICANCE, count, rows - count + 1) if count else 0.0
        high = stats.beta.ppf(1 - SIGNIFICANCE, count + 1, rows - count) if count < rows else 1.0
        return float(low) * most, float(high) * most

    (fewest_ahead, most_ahead), (fewest_behind, most_behind) = limits(ahead), limits(behind)
    up, down, mean = ahead * most / rows, behind * most / rows, float(leads.mean())
    return (
        mean - math.hypot(up - fewest_ahead, most_behind - down),
        mean + math.hypot(most_ahead - up, down - fewest_behind),
    )


def missing(effect: Effect, worth: float, rows: int) -> Missing | None:
    """Return what an open comparison lacks, splits or rows of the `rows` at hand; None where its parts are not known.

    The interval tells once it is short enough to lie on one side of 0, or between the two marks at `worth`.
    """
    if effect.computing is None or effect.sampling is None:
        return None
    half = max(effect.mean - effect.interval.low, effect.interval.high - effect.mean)
    wanted = max(abs(effect.mean), worth - abs(effect.mean))
    if effect.differing is not None and effect.differing < FEWEST_ROWS:
        return Missing("rows", math.ceil(rows * half / wanted))  # what so few rows leave open falls as 1 / rows
    error = math.hypot(effect.computing, effect.sampling)
    wanted *= error / half if half else 1.0
    left = wanted**2 - effect.sampling**2
    if left > 0:
        return Missing("computing", math.ceil(effect.samples * effect.computing**2 / left))
    return Missing("rows", math.ceil(rows * (error / wanted) ** 2))


def judge_new_rows(
    leads: ArrayLike,
    train_rows: int,
    test: int | Unit,
    *,
    row_leads: ArrayLike | None = None,
    looks: int = 1,
    smallest_of_interest: float = ONE_ROW,
    void: Word | None = None,
) -> Judgement:
    """Judge the lead of the winner over the tuned constant in correct test rows of random splits, `[splits, runs]`.

    `test` is how many rows a split tests, or the unit of other scores, higher is better. `row_leads`, `looks` and the
    interval are those of `effect_on_new_rows`; `smallest_of_interest` is in the unit. Corani and Benavoli (2015), A
    Bayesian Approach for Comparing Cross-Validated Algorithms on Multiple Data Sets, Machine Learning 100: without
    prior knowledge, the mean lead is distributed as the t-test of the interval says, which gives the chances.

    Raises:
        ValueError: if there are fewer than 2 splits, or a side has no rows.
    """
    unit = test if isinstance(test, Unit) else Unit(METRICS["accuracy"], test)
    tie, whole = (ONE_ROW, None) if unit.counts_rows else (smallest_of_interest, unit.factor)
    effect = effect_on_new_rows(leads, train_rows, unit.rows, row_leads=row_leads, whole=whole, looks=looks)
    assert effect.computing is not None
    assert effect.sampling is not None
    if error := math.hypot(effect.computing, effect.sampling):
        better = stats.t.sf((tie - effect.mean) / error, effect.samples - 1)
        worse = stats.t.cdf((-tie - effect.mean) / error, effect.samples - 1)
        likely = Chances(float(better), float(1 - better - worse), float(worse))
    else:
        likely = chances(np.array([effect.mean]), tie)
    judged = judge(Question.NEW_ROWS, effect, unit, smallest_of_interest, mean=likely, void=void)
    return judged.lacking(missing(effect, smallest_of_interest, train_rows + unit.rows), Question.NEW_ROWS)
