"""What the search's way to choose is worth: the best of all its trials, on splits that did not choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from sweep.seeds import turn_of
from sweep.stats.estimate import take_the_best
from sweep.task import METRICS

if TYPE_CHECKING:
    from sweep.config.plan import Plan
    from sweep.stats.verdict import Unit
    from sweep.store.queries import StoredStudy

MOST_TRIALS = 1000  # the best of a search; the others are never chosen


class Selection(BaseModel):
    """What searching and taking the best scores, as the metric has it; accuracy as right rows.

    Attributes:
        best: by all splits of the search.
        held_out: on those that did not choose it, as `take_the_best` has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: float
    held_out: float

    def told_in(self, unit: Unit) -> dict[str, float]:
        """Return both in a unit, by their names."""
        factor = 1.0 if unit.counts_rows else unit.factor
        return {"best": self.best * factor, "held_out": self.held_out * factor}


def read_selection(stored: StoredStudy, plan: Plan, splits: int) -> Selection | None:
    """Bootstrap the choice of a search's best trial over its splits; None where it has one, or a trial does not tell.

    Of trials with unequal numbers of runs, those on splits that all have count.
    """
    if splits < 2:
        return None
    metric = plan.metric
    with stored.reading() as study:
        trials = study.details(study.standings(MOST_TRIALS), brief=True)
    by_seed = [trial.record.by_seed(metric) for trial in trials]
    shared = [seed for seed in by_seed[0] if all(seed in each for each in by_seed)] if by_seed else []
    turns = np.array([turn_of(seed, splits) for seed in shared], np.int64)
    if len(np.unique(turns)) < 2:
        return None
    scores, sign = np.array([[each[seed] for seed in shared] for each in by_seed], np.float64), 1.0
    if metric != "accuracy":
        scores, sign = METRICS[metric].gains(scores), 1.0 if METRICS[metric].rises else -1.0
    table = np.stack([scores[:, turns == turn].mean(axis=1) for turn in np.unique(turns)], axis=1)
    found = take_the_best(table)
    return None if found is None else Selection(best=sign * found.best, held_out=sign * found.held_out)
