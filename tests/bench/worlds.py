"""Section `worlds`: the interval on new rows where the truth is known.

In a drawn world each row has a margin under each of two candidates; training rows move the margins, and so do runs. A
row is right where its margin is above 0, and the truth is an integral. What training rows do is of second order, as it
is near an optimum: of its variance, training sets of two thirds of the rows share (2/3)^2. The section `trainings` asks
the same of real trainings.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from sweep.stats.estimate import Effect, Numbers
from sweep.stats.new_rows import effect_on_new_rows, missing
from sweep.stats.verdict import HALF_A_POINT, ONE_ROW, Word, decide
from tests.bench.report import Bar, Section

SEED = 4
RUNS = 4
LOOKS = (30, 60, 120)  # splits
SIZES = (351, 1_000, 10_000, 100_000)
LEAST_COVERED, MOST_LENGTH = 0.92, 2.5
KINDS = {
    "better": [word for word in Word if word.says_better],
    "the same": [Word.SAME],
    "worse": [word for word in Word if word.says_worse],
    "open": [Word.OPEN],
}
HEADERS = ("lead", "sd over data sets", "covers", "half-length / ideal")


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

    def with_truth(self, lead: float, test_rows: int) -> World:
        """Return the world in which the first candidate has such a lead in test rows."""
        margin = brentq(lambda each: replace(self, lead=each).truth(test_rows) - lead, -3.0, 3.0)
        return replace(self, lead=float(margin))

    def draw(
        self, rows: int, generator: np.random.Generator, splits: Sequence[int] = LOOKS[:1], runs: int = RUNS
    ) -> Iterator[Resplits]:
        """Draw a data set, and yield its re-splits at each of so many splits; a third of the rows is tested."""
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


# Between two runs, identical candidates differ by 4.9 rows^2 of 117 here, and by about 4 in the default study.
WORLDS = {
    "identical": World(),
    "identical, much run noise": World(run=0.2),
    "twins": World(row=0.15, own_training=0.02),
    "few rows differ": World(easy=3.0, rows=2.0, row=0.08, run_row=0.0),
    "other rows": World(row=1.0),
    "a lead": World(lead=0.25, row=0.4, own_training=0.04),
    "training sets tell": World(row=0.2, own_training=0.1),
    "unstable": World(row=0.3, own_training=0.1, run=0.2),
}


def second_order(normal: NDArray[Any]) -> NDArray[Any]:
    """Return what a normal number does of second order, with a mean of 0 and a variance of 1."""
    return (normal**2 - 1) / math.sqrt(2)


def normal(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Draw standard normal numbers."""
    return generator.standard_normal(shape, np.float32)


def measure(quick: bool) -> Section:
    """Hold the interval and its words against the truth."""
    section, number = Section("worlds"), 6 if quick else 400
    found = {
        f"{name}, {rows:,} rows": summed_up(effects(world, rows, number), world.truth(rows // 3))
        for name, world in WORLDS.items()
        for rows in SIZES[:2]
    }
    add_facts(section, f"{number} data sets each, {LOOKS[0]} splits of {RUNS} runs", found)
    add_identical(section, SIZES[:2] if quick else SIZES, number // 4)
    add_looks(section, number // 2)
    return section


class Facts(NamedTuple):
    """What the intervals of one world are: the share that holds the truth, the half-length beside 1.96 sd."""

    truth: float
    spread: float
    covered: float
    length: float


def effects(world: World, rows: int, number: int) -> list[Effect]:
    """Return the lead in so many data sets."""
    return [
        resplits.effect()
        for place in range(number)
        for resplits in world.draw(rows, np.random.default_rng((SEED, place)))
    ]


def summed_up(found: Sequence[Effect], truth: float) -> Facts:
    """Return how often intervals hold the truth, and how long they are beside the spread over data sets."""
    spread = float(np.std([effect.mean for effect in found], ddof=1))
    covered = np.mean([effect.interval.low <= truth <= effect.interval.high for effect in found])
    half = np.mean([(effect.interval.high - effect.interval.low) / 2 for effect in found])
    return Facts(truth, spread, float(covered), float(half) / (1.96 * spread))


def add_facts(section: Section, title: str, found: dict[str, Facts]) -> None:
    """Show what intervals are in each world, and hold them against their bars."""
    section.data["worlds"] = {name: facts._asdict() for name, facts in found.items()}
    rows = [
        (name, f"{facts.truth:.2f}", f"{facts.spread:.2f}", f"{100 * facts.covered:.1f} %", f"{facts.length:.2f}")
        for name, facts in found.items()
    ]
    section.add_table(title, ("world", *HEADERS), rows)
    least, most = min(facts.covered for facts in found.values()), max(facts.length for facts in found.values())
    section.bars.append(Bar("least coverage on new rows", 100 * least, 100 * LEAST_COVERED, " %", at_least=True))
    section.bars.append(Bar("longest half-length, of the ideal", most, MOST_LENGTH))


def worth_having(test_rows: int) -> float:
    """Return the smallest lead worth having by default, in test rows."""
    return max(ONE_ROW, HALF_A_POINT * test_rows)


def last_word(world: World, rows: int, generator: np.random.Generator, looks: Sequence[int] = LOOKS) -> Word:
    """Return the word at the last look: it goes on while the word is open and more splits may tell."""
    worth, word = worth_having(rows // 3), Word.OPEN
    for resplits in world.draw(rows, generator, looks):
        effect = resplits.effect(len(looks))
        word, lacking = decide(effect, worth), missing(effect, worth, rows)
        if word.is_settled or lacking is None or lacking.kind == "rows":
            break
    return word


def last_words(world: World, rows: int, number: int) -> list[Word]:
    """Return the last word on so many data sets."""
    return [last_word(world, rows, np.random.default_rng((SEED, place))) for place in range(number)]


def share(words: Sequence[Word], among: Collection[Word]) -> float:
    """Return how many words are among some."""
    return float(np.mean([word in among for word in words]))


def add_identical(section: Section, sizes: Sequence[int], number: int) -> None:
    """Count how often identical candidates are called the same."""
    for rows in sizes:
        same = share(last_words(WORLDS["identical"], rows, number if rows < 10**5 else number // 4), [Word.SAME])
        section.data[f"identical, {rows} rows"] = same
        section.bars.append(Bar(f"identical candidates the same, {rows:,} rows", 100 * same, 95, " %", at_least=True))


def add_looks(section: Section, number: int) -> None:
    """Count what is said, wrongly or rightly, where there is no lead and where it is just worth having."""
    rows, table, worst = SIZES[0], [], 0.0
    for (name, world), lead in product(WORLDS.items(), (0.0, worth_having(rows // 3))):
        words = last_words(world.with_truth(lead, rows // 3), rows, number)
        shares = {kind: share(words, among) for kind, among in KINDS.items()}
        shares["false"] = share(words, [word for word in Word if is_false(word, lead)])
        section.data[f"{name}, lead {lead:g}"] = shares
        table.append((name, f"{lead:g}", *(f"{100 * one:.1f} %" for one in shares.values())))
        worst = max(worst, shares["false"])
    section.add_table(f"{number} data sets of {rows} rows, looks at {LOOKS} splits", ("world", "lead", *shares), table)
    section.bars.append(Bar("false words after three looks, worst world", 100 * worst, 5, " %"))


def is_false(word: Word, lead: float) -> bool:
    """Say whether a word is wrong of a lead that is 0, or just worth having."""
    if lead:
        return word.says_worse or word in (Word.SAME, Word.BETTER_SMALL)
    return word.says_better or word.says_worse
