"""What to try next: a whole round of candidates at once, from the trials of the rounds before.

A round depends on the sampler seed, its number and the finished trials before it, and on nothing else, so a round
that was cut short is proposed again exactly. Optuna's TPE does the proposing, in memory; what it is shown is bounded,
so that a round costs the same after a hundred trials and after a hundred thousand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from sweep.candidate import Candidate
from sweep.config.study_file import Metric
from sweep.search.distributions import SearchSpace, suggest_all
from sweep.space import Value
from sweep.store.queries import Finished

# TPE models the best 25 trials against the others (Bergstra et al. 2011; Optuna's default for `gamma`).
BEST_SHOWN = 25
LATEST_SHOWN = 225


def propose(
    space: SearchSpace, shown: Sequence[dict[str, Value]], count: int, *, sampler_seed: int, round_number: int
) -> list[Candidate]:
    """Return the `count` candidates of a round, given the params of the trials before it, best first.

    What all schedules share is sampled jointly from all trials, a schedule's own parameters jointly from the trials
    with that schedule: as `TPESampler(group=True)` does it, at a third of its cost.
    """
    seeds = iter(np.random.SeedSequence((sampler_seed, round_number)).generate_state(1 + len(space.search.schedules)))
    shared = Memory(space.shared, int(next(seeds)), shown)
    own = {
        name: Memory(space.own(name), int(next(seeds)), [params for params in shown if params.get("schedule") == name])
        for name in space.search.schedules
    }
    candidates = []
    for _ in range(count):
        drawn = shared.draw()
        candidates.append(space.candidate(drawn | own[str(drawn["schedule"])].draw()))
    return candidates


class Memory:
    """A study in memory over some of the params; each draw keeps away from those before it in the round.

    Attributes:
        study: holds the trials that were shown, in which the best has the value 0.
    """

    def __init__(
        self, distributions: dict[str, BaseDistribution], seed: int, shown: Sequence[dict[str, Value]]
    ) -> None:
        self._distributions = distributions
        # All params jointly; pending trials count as bad ones, so that the draws of a round differ.
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        self.study = optuna.create_study(direction="minimize", sampler=sampler)
        for rank, params in enumerate(shown):
            known = {name: params[name] for name in distributions if name in params}
            with contextlib.suppress(ValueError):  # somebody queued it from outside the space
                trial = optuna.trial.create_trial(params=known, distributions=distributions, value=float(rank))
                self.study.add_trial(trial)

    def draw(self) -> dict[str, Value]:
        """Return one value for each param."""
        return suggest_all(self.study.ask(), self._distributions) if self._distributions else {}


def window(history: Sequence[Finished], metric: Metric) -> list[Finished]:
    """Return the best trials, which TPE models as good, and the latest of the others; best first."""
    order = sorted(range(len(history)), key=lambda place: history[place].rank_key(metric))
    best, rest = order[:BEST_SHOWN], sorted(order[BEST_SHOWN:])
    shown = (history[place] for place in (*best, *rest[-LATEST_SHOWN:]))
    return sorted(shown, key=lambda trial: trial.rank_key(metric))
