"""Whole sweeps in a world whose truth is known: everything is the program's own but for the trainer, which draws.

It stands alone because the benchmark and the tests send the same protocol through it. A run gets all rows right but one
that is always wrong and a binomial number of others; its run seed is shared, and a normal effect of the seed correlates
the candidates. On a re-split a candidate has an effect of its own on the rows that all re-splits share, another one on
this split, and run noise; the split's own level is the same for all.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.data.table import Dataset, Split
from sweep.execution.batches import Outcome
from sweep.stats.estimate import Numbers
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import open_study
from sweep.verdict.analysis import StudyResult, read_result
from sweep.verdict.baselines import searches
from tests.bench.default_study import draw_candidates, store_outcomes
from tests.protocols import make_protocol

TRAIN_ROWS, ROWS = 235, 116
RARE_ROWS = 9  # of the rarer class, which is wrong before the other
EASY_ERRORS = 0.8  # rows wrong besides the one that always is: a good schedule on the default study
CORRELATION = 0.3
SPLIT_LEVEL, SPLIT_SPREAD, RUN_SPREAD = 106.0, 1.5, 1.0  # rows right on a re-split; sd of differences, of runs
LEVELS_SPREAD = 2.0  # sd of what all candidates have right on a re-split
SHARED = ROWS / (ROWS + TRAIN_ROWS)  # Nadeau and Bengio's correlation of two re-splits
WORDS = 4  # that Philox draws at each count

Counts = NDArray[np.int64]


def correct_rows(wrong: float, seed_effects: Numbers, own_effects: Numbers) -> Counts:
    """Return correct rows, `[runs]`, of a candidate with so many wrong rows on average besides the one.

    Effects are standard normal: those of the run seeds, which all candidates share, and those of the runs alone.
    """
    latent = math.sqrt(CORRELATION) * seed_effects + math.sqrt(1 - CORRELATION) * own_effects
    drawn: Counts = (ROWS - 1 - stats.binom.ppf(stats.norm.cdf(latent), ROWS - 1, wrong / (ROWS - 1))).astype(np.int64)
    return drawn


def whole_rows(values: Numbers) -> Counts:
    """Return values as rows of a re-split."""
    return np.clip(np.rint(values), 0, ROWS).astype(np.int64)


@dataclass(frozen=True)
class SimulatedTrainer:
    """Answers for one world: candidate, run seed and split decide an outcome, whatever else is asked with them.

    Args:
        world: another one draws everything anew.
        planted: how many rows more a constant rate gets wrong than all other schedules, here and on new rows.
    """

    world: int
    planted: float = 0.0

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        """Yield each candidate's place and outcome."""
        seed_effects = self._normal("", run_seeds)[:, 0]
        for place, candidate in enumerate(candidates):
            drawn = self._normal(named(candidate), run_seeds)
            correct = correct_rows(EASY_ERRORS + self.behind(candidate), seed_effects, drawn[:, 0])
            yield place, outcome_of(run_seeds, correct, drawn[:, 1])

    def train_on(
        self, splits: Sequence[Split], candidates: Sequence[Candidate], run_seeds: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, list[Outcome]]]:
        """Yield each split's place and outcomes; the split's rows say which it is and nothing more."""
        for place, (split, own) in enumerate(zip(splits, run_seeds, strict=True)):
            rows = hashlib.sha256(split.validation_inputs.tobytes()).hexdigest()
            yield place, [self._outcome_on(rows, candidate, own) for candidate in candidates]

    def behind(self, candidate: Candidate) -> float:
        """Return how many rows more than the best schedules a candidate gets wrong on average."""
        return self.planted if candidate.schedule.name == "constant" else 0.0

    def _outcome_on(self, rows: str, candidate: Candidate, run_seeds: Sequence[int]) -> Outcome:
        name = named(candidate)
        level, lasting = LEVELS_SPREAD * self._one(rows), math.sqrt(SHARED / 2) * SPLIT_SPREAD * self._one(name)
        own = math.sqrt((1 - SHARED) / 2) * SPLIT_SPREAD * self._one(name + rows)
        drawn = self._normal(name + rows, run_seeds)
        mean = SPLIT_LEVEL - self.behind(candidate) + level + lasting + own
        return outcome_of(run_seeds, whole_rows(mean + RUN_SPREAD * drawn[:, 0]), drawn[:, 1])

    def _one(self, what: str) -> float:
        """Return a standard normal number that belongs to `what`."""
        return float(self._normal(f"{what} itself", [0])[0, 0])

    def _normal(self, what: str, run_seeds: Sequence[int]) -> Numbers:
        """Return standard normal numbers that belong to `what` and each run seed, `[runs, WORDS]`.

        Philox counts, so that a run seed's numbers are the same in whatever company it is asked for.
        """
        key = int.from_bytes(hashlib.blake2b(f"{self.world} {what}".encode(), digest_size=16).digest())
        first = min(run_seeds)
        count = max(run_seeds) + 1 - first
        words = np.random.Philox(key=key, counter=first).random_raw(WORDS * count).reshape(count, WORDS)
        shares = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        found: Numbers = stats.norm.ppf(shares[np.array(run_seeds) - first])
        return found


def named(candidate: Candidate) -> str:
    """Return what tells a candidate from every other one."""
    return json.dumps(candidate.params)


def outcome_of(run_seeds: Sequence[int], correct: Counts, loss_effects: Numbers) -> Outcome:
    """Return an outcome with a log-loss that follows the wrong rows; its curves have one epoch."""
    wrong = ROWS - correct
    rare = np.maximum(RARE_ROWS - wrong, 0)
    log_loss = 0.03 * wrong * np.exp(0.2 * loss_effects)
    at_end = np.full(1, correct.mean() / ROWS)
    return Outcome(
        run_seeds=tuple(run_seeds),
        correct=correct.astype(np.int32),
        class_correct=np.stack([rare, correct - rare], axis=1).astype(np.int32),
        log_loss=log_loss.astype(np.float32),
        diverged=np.zeros(len(correct), np.bool_),
        rate=np.ones(1),
        loss=np.full(1, log_loss.mean()),
        accuracy=at_end,
        validation_loss=np.full(1, log_loss.mean()),
        validation_accuracy=at_end,
        spread=np.repeat([at_end], 2, axis=0),
        validation_rows=ROWS,
        seconds=0.0,
    )


def simulate(
    database: Database, plan: Plan, dataset: Dataset, trainer: SimulatedTrainer, *, drawn: bool = False
) -> StudyResult:
    """Take a study from nothing to its verdict; `drawn` spares the sampler, and searches random candidates."""
    if drawn:
        for searched in searches(plan, search_only=False).values():
            study = open_study(database, searched, dataset.sha256)
            candidates = draw_candidates(searched, searched.search.trials)
            store_outcomes(database, study, searched, candidates, trainer)
    assert make_protocol(database, plan, trainer, dataset=dataset).run()
    return read_result(StoredStudy(database, plan.name))
