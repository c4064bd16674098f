"""Section `worlds`: the interval on new rows where the truth is known.

In a drawn world each row has a margin under each of two candidates; training rows move the margins, and so do runs. A
row is right where its margin is above 0, and the truth is an integral. What training rows do is of second order, as it
is near an optimum: two training sets that share 4 rows in 9 of the file share (2/3)^2 of its variance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.special import ndtr

from sweep.stats.estimate import Effect, Numbers
from sweep.stats.new_rows import effect_on_new_rows
from tests.bench.report import Bar, Section

SEED = 4
RUNS = 4
LOOKS = (30, 60, 120)
SIZES = (351, 1_000, 10_000, 100_000)
TINY = 20


class Resplits(NamedTuple):
    """Two candidates on the re-splits of one data set: leads `[splits, runs]`, mean leads of the tested rows."""

    leads: Numbers
    row_leads: Numbers
    train_rows: int
    test_rows: int

    def effect(self, looks: int = 1) -> Effect:
        """Return the lead with its interval."""
        return effect_on_new_rows(self.leads, self.train_rows, self.test_rows, row_leads=self.row_leads, looks=looks)


@dataclass(frozen=True)
class World:
    """Where margins come from; all but the means are standard deviations.

    Args:
        lead: of the first candidate, in the mean of its margins.
        easy: the mean margin.
        rows: of what a row has under both.
        row: of what a row has under one candidate.
        training: of what a training set does to both.
        own_training: of what it does to one.
        run: of what a run adds to all of its rows.
        run_row: of what a run adds to one row.
    """

    lead: float = 0.0
    easy: float = 2.2
    rows: float = 1.5
    row: float = 0.0
    training: float = 0.1
    own_training: float = 0.0
    run: float = 0.0
    run_row: float = 0.4

    def truth(self, test_rows: int) -> float:
        """Return the lead in test rows that endless data sets would have on average."""
        spread = math.hypot(self.rows, self.row, self.training, self.run, self.run_row)
        places, weights = hermegauss(64)
        means = self.easy + self.own_training * second_order(places)
        first, second = (weights @ ndtr((means + lead) / spread) / weights.sum() for lead in (self.lead, 0.0))
        return test_rows * float(first - second)

    def draw(
        self, rows: int, generator: np.random.Generator, splits: Sequence[int] = LOOKS[:1], runs: int = RUNS
    ) -> Iterator[Resplits]:
        """Draw a data set, and yield its re-splits at each of so many splits."""
        tested = rows // 3
        both = self.easy + self.rows * normal(generator, rows) + self.row * normal(generator, 2, rows)
        both[0] += self.lead
        pull, own_pull = normal(generator, rows), normal(generator, 2, rows)
        leads, sums, counts = [], np.zeros(rows), np.zeros(rows)
        for number in range(1, splits[-1] + 1):
            order = generator.permutation(rows)
            test, training = order[:tested], order[tested:]
            own, common = own_pull[:, training].sum(axis=1), pull[training].sum()
            trained = both[:, test] + self.training * common / math.sqrt(len(training))
            trained += self.own_training * second_order(own / math.sqrt(len(training)))[:, None]
            noise = self.run * normal(generator, 2, runs, 1) + self.run_row * normal(generator, 2, runs, tested)
            right = trained[:, None] + noise > 0
            by_row = right[0].astype(np.int8) - right[1]
            leads.append(by_row.sum(axis=1))
            sums[test] += by_row.sum(axis=0)
            counts[test] += runs
            if number in splits:
                seen = counts > 0
                yield Resplits(np.array(leads, np.float64), sums[seen] / counts[seen], rows - tested, tested)


def second_order(normal: NDArray[Any]) -> NDArray[Any]:
    """Return what a normal number does of second order, with a mean of 0 and a variance of 1."""
    return (normal**2 - 1) / math.sqrt(2)


def normal(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Draw standard normal numbers."""
    return generator.standard_normal(shape, np.float32)


WORLDS = {
    "identical": World(),
    "identical, much run noise": World(run=0.2),
    "twins": World(row=0.15, own_training=0.02),
    "few rows differ": World(row=0.08, own_training=0.0, run_row=0.0, easy=3.0, rows=2.0),
    "other rows": World(row=1.0),
    "a lead": World(lead=0.25, row=0.4, own_training=0.04),
    "training sets tell": World(row=0.2, own_training=0.1),
    "unstable": World(row=0.3, own_training=0.1, run=0.3),
}
