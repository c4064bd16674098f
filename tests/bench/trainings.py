"""Section `trainings`: the interval on new rows over real trainings, in worlds whose truth is known.

A teacher labels normal rows and is wrong about some, so that there are as many data sets as one likes. The truth comes
from training sets of their own and from rows that nothing else is done with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sweep.candidate import Candidate
from sweep.data.table import Dataset, Split
from sweep.engines.population import Population
from sweep.engines.spec import Architecture, Job, Shape, TrainingSpec
from sweep.schedules import CATALOGUE
from tests.bench.report import Section
from tests.bench.worlds import LOOKS, RUNS, Facts, Resplits, add_facts, summed_up

FEATURES, TEACHER_SEED, FRESH_ROWS = 10, 7, 10_000
CANDIDATES = {
    "cosine": Candidate(schedule=CATALOGUE["cosine"](learning_rate=0.1), momentum=0.9),
    "constant": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.05), momentum=0.9),
    "twin": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.055), momentum=0.9),
    "unstable": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.3), momentum=0.9),
    "slow": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.05)),
}
PAIRS = (("cosine", "constant"), ("twin", "constant"), ("unstable", "constant"), ("slow", "constant"))

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Lesson:
    """What labels the rows, a linear function or a sum of tanh units, and how they are learned."""

    linear: bool
    rows: int
    mislabelled: float
    epochs: int
    batch_size: int

    def draw(self, number: int, generator: np.random.Generator) -> Dataset:
        """Draw rows of the population."""
        teacher = np.random.default_rng(TEACHER_SEED)
        weights, units, sums = (teacher.normal(size=size) for size in (FEATURES, (FEATURES, 6), 6))
        inputs, mislabelled = generator.normal(size=(number, FEATURES)), generator.random(number) < self.mislabelled
        value = inputs @ weights if self.linear else np.tanh(inputs @ units / 1.5) @ sums
        return Dataset.of_arrays(inputs, (value > 0) ^ mislabelled, ("no", "yes"))


LESSONS = {
    "easy": Lesson(linear=False, rows=351, mislabelled=0.05, epochs=20, batch_size=28),
    "noisy labels": Lesson(linear=True, rows=351, mislabelled=0.15, epochs=10, batch_size=28),
    "few rows": Lesson(linear=False, rows=150, mislabelled=0.1, epochs=20, batch_size=16),
    "few epochs": Lesson(linear=True, rows=400, mislabelled=0.25, epochs=3, batch_size=4),
    "more rows": Lesson(linear=True, rows=1000, mislabelled=0.25, epochs=3, batch_size=8),
}


@dataclass
class Trainer:
    """Trains all candidates on rows, each time with new run seeds, twice as many as a split has."""

    lesson: Lesson
    population: Population | None = None
    run_seeds: count[int] = field(default_factory=count)

    def right(self, dataset: Dataset, training: NDArray[Any], tested: Dataset, rows: NDArray[Any]) -> Right:
        """Train, and return which of the tested rows are right, `[candidates, run seeds, rows]`."""
        held = np.setdiff1d(np.arange(self.lesson.rows), training)
        split = Split.of(dataset, training.astype(np.int32), held.astype(np.int32))
        network = Architecture(FEATURES, 2, (16,), "tanh")
        spec = TrainingSpec(split, network, self.lesson.epochs, self.lesson.batch_size)
        self.population = self.population or Population(spec)
        run_seeds = tuple(next(self.run_seeds) for _ in range(2 * RUNS))
        job = Job(spec, tuple(CANDIDATES.values()), run_seeds, Shape(len(CANDIDATES), len(run_seeds)))
        _, members = self.population.train_with_weights(job)
        inputs = np.broadcast_to(tested.values[rows].astype(np.float32), (len(run_seeds), len(rows), FEATURES))
        logits = self.population.network.logits(members.weights, members.state, tf.constant(inputs)).numpy()
        found: Right = ((logits[:, 0] > 0) == (tested.targets[rows][:, None] > 0)).transpose(2, 0, 1)
        return found

    def truth(self, number: int) -> dict[str, float]:
        """Return the share of right rows of each candidate, over so many training sets of the size of a split's."""
        fresh, rows = self.lesson.draw(FRESH_ROWS, np.random.default_rng(0)), np.arange(FRESH_ROWS)
        drawn = [self.lesson.draw(self.lesson.rows, np.random.default_rng((1, place))) for place in range(number)]
        training = np.arange(self.lesson.rows - self.lesson.rows // 3)
        shares = [self.right(dataset, training, fresh, rows).mean(axis=(1, 2)) for dataset in drawn]
        return dict(zip(CANDIDATES, np.mean(shares, axis=0).tolist(), strict=True))

    def resplits(self, generator: np.random.Generator, splits: int) -> dict[tuple[str, str], Resplits]:
        """Draw a data set, and return what each pair of candidates shows on its re-splits; a pair of the same too."""
        rows, tested = self.lesson.rows, self.lesson.rows // 3
        dataset, right = self.lesson.draw(rows, generator), np.full((rows, len(CANDIDATES), splits, 2 * RUNS), np.nan)
        for split in range(splits):
            order = generator.permutation(rows)
            found = self.right(dataset, order[tested:], dataset, order[:tested])
            right[order[:tested], :, split] = found.transpose(2, 0, 1)
        of = {name: right[:, place] for place, name in enumerate(CANDIDATES)}
        leads = {(first, second): of[first][..., :RUNS] - of[second][..., :RUNS] for first, second in PAIRS}
        leads["constant", "constant"] = of["constant"][..., :RUNS] - of["constant"][..., RUNS:]
        seen = ~np.isnan(right).all(axis=(1, 2, 3))
        return {
            pair: Resplits(np.nansum(lead, axis=0), np.nanmean(lead[seen], axis=(1, 2)), rows - tested, tested)
            for pair, lead in leads.items()
        }


def measure(quick: bool) -> Section:
    """Hold the interval against the truth."""
    section, number, splits = Section("trainings"), 2 if quick else 60, 6 if quick else LOOKS[0]
    facts: dict[str, Facts] = {}
    for name, lesson in LESSONS.items():
        trainer = Trainer(lesson)
        truth = trainer.truth(2 if quick else 120)
        found = [trainer.resplits(np.random.default_rng((2, place)), splits) for place in range(number)]
        for first, second in found[0]:
            lead = (truth[first] - truth[second]) * (lesson.rows // 3)
            effects = [resplits[first, second].effect() for resplits in found]
            facts[f"{name}, {first} against {second}"] = summed_up(effects, lead)
    add_facts(section, f"{number} data sets each, {splits} splits of {RUNS} runs", facts)
    return section
