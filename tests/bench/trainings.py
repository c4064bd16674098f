"""Section `trainings`: the interval on new rows over real trainings, in a world whose truth is known.

A linear teacher labels normal rows and is wrong about some, so that there are as many data sets as one likes. The truth
comes from training sets of their own and from rows that nothing else is done with.
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

FEATURES, ROWS, MISLABELLED = 10, 351, 0.15
EPOCHS, BATCH_SIZE = 10, 28
FRESH_ROWS = 10_000
CANDIDATES = {
    "cosine": Candidate(schedule=CATALOGUE["cosine"](learning_rate=0.1), momentum=0.9),
    "constant": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.05), momentum=0.9),
    "twin": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.055), momentum=0.9),
    "unstable": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.3), momentum=0.9),
    "slow": Candidate(schedule=CATALOGUE["constant"](learning_rate=0.05)),
}
PAIRS = (("cosine", "constant"), ("twin", "constant"), ("unstable", "constant"), ("slow", "constant"))

Right = NDArray[np.bool_]


@dataclass
class Trainer:
    """Draws rows and trains all candidates on them, each time with new run seeds, twice as many as a split has."""

    population: Population | None = None
    run_seeds: count[int] = field(default_factory=count)

    def rows(self, number: int, generator: np.random.Generator) -> Dataset:
        """Draw rows of the population."""
        inputs, mislabelled = generator.normal(size=(number, FEATURES)), generator.random(number) < MISLABELLED
        targets = (inputs @ np.linspace(-1, 1, FEATURES) > 0) ^ mislabelled
        return Dataset.of_arrays(inputs, targets, ("no", "yes"))

    def right(self, dataset: Dataset, training: NDArray[Any], tested: Dataset, rows: NDArray[Any]) -> Right:
        """Train, and return which of the tested rows are right, `[candidates, run seeds, rows]`."""
        split = Split.of(dataset, training.astype(np.int32), np.setdiff1d(np.arange(ROWS), training).astype(np.int32))
        spec = TrainingSpec(split, Architecture(FEATURES, 2, (16,), "tanh"), EPOCHS, BATCH_SIZE)
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
        fresh, rows = self.rows(FRESH_ROWS, np.random.default_rng(0)), np.arange(FRESH_ROWS)
        training = np.arange(ROWS - ROWS // 3)
        shares = [
            self.right(self.rows(ROWS, np.random.default_rng((1, place))), training, fresh, rows).mean(axis=(1, 2))
            for place in range(number)
        ]
        return dict(zip(CANDIDATES, np.mean(shares, axis=0).tolist(), strict=True))

    def resplits(self, generator: np.random.Generator, splits: int) -> dict[tuple[str, str], Resplits]:
        """Draw a data set, and return what each pair of candidates shows on its re-splits; a pair of the same too."""
        dataset, tested = self.rows(ROWS, generator), ROWS // 3
        right = np.full((len(CANDIDATES), splits, 2 * RUNS, ROWS), np.nan)
        for split in range(splits):
            order = generator.permutation(ROWS)
            right[:, split, :, order[:tested]] = self.right(
                dataset, order[tested:], dataset, order[:tested]
            ).T.swapaxes(1, 2)
        places = {name: place for place, name in enumerate(CANDIDATES)}
        first = right[:, :, :RUNS]
        leads = {pair: first[places[pair[0]]] - first[places[pair[1]]] for pair in PAIRS}
        leads["constant", "constant"] = first[places["constant"]] - right[places["constant"], :, RUNS:]
        return {pair: self._resplit(lead, ROWS - tested, tested) for pair, lead in leads.items()}

    def _resplit(self, lead: NDArray[np.float64], train_rows: int, test_rows: int) -> Resplits:
        seen = ~np.isnan(lead).all(axis=(0, 1))
        return Resplits(np.nansum(lead, axis=2), np.nanmean(lead[..., seen], axis=(0, 1)), train_rows, test_rows)


def measure(quick: bool) -> Section:
    """Hold the interval against the truth."""
    trainer, section, number, splits = Trainer(), Section("trainings"), 2 if quick else 60, 6 if quick else LOOKS[0]
    truth = trainer.truth(2 if quick else 150)
    found = [trainer.resplits(np.random.default_rng((2, place)), splits) for place in range(number)]
    facts: dict[str, Facts] = {}
    for first, second in found[0]:
        lead = (truth[first] - truth[second]) * (ROWS // 3)
        effects = [resplits[first, second].effect() for resplits in found]
        facts[f"{first} against {second}"] = summed_up(effects, lead)
    add_facts(section, f"{number} data sets of {ROWS} rows, {splits} splits of {RUNS} runs", facts)
    return section
