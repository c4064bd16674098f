"""What to try next: a whole round of candidates at once, from the trials of the rounds before.

A round depends on the sampler seed, its number and the finished trials before it, and on nothing else, so a round
that was cut short is proposed again exactly. Optuna's TPE does the proposing, in memory; what it is shown is bounded,
so that a round costs the same after a hundred trials and after a hundred thousand.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import numpy as np
import optuna

from sweep.candidate import Candidate
from sweep.ranges import Value
from sweep.search.queries import Finished
from sweep.search.space import SearchSpace

# TPE models the best 25 trials against the others (Bergstra et al. 2011; Optuna's default for `gamma`).
BEST_SHOWN = 25
LATEST_SHOWN = 225


def propose(
    space: SearchSpace, shown: Sequence[dict[str, Value]], count: int, *, sampler_seed: int, round_number: int
) -> list[Candidate]:
    """Return the `count` candidates of a round, given the params of the trials before it, best first."""
    study = optuna.create_study(direction="minimize", sampler=make_sampler(sampler_seed, round_number))
    for rank, params in enumerate(shown):
        if params.get("schedule") in space.search.schedules:
            distributions = space.distributions(str(params["schedule"]))
            with contextlib.suppress(ValueError):  # somebody queued it from outside the space
                trial = optuna.trial.create_trial(params=params, distributions=distributions, value=float(rank))
                study.add_trial(trial)
    return [space.suggest(study.ask()) for _ in range(count)]


def make_sampler(sampler_seed: int, round_number: int) -> optuna.samplers.BaseSampler:
    """Return TPE that samples each schedule's own parameters jointly, and spreads out within a round."""
    seed = int(np.random.SeedSequence((sampler_seed, round_number)).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def window(history: Sequence[Finished]) -> list[Finished]:
    """Return the best trials, which TPE models as good, and the latest of the others; best first."""
    order = sorted(range(len(history)), key=lambda place: standing(history[place]))
    best, rest = order[:BEST_SHOWN], sorted(order[BEST_SHOWN:])
    return sorted((history[place] for place in (*best, *rest[-LATEST_SHOWN:])), key=standing)


def standing(trial: Finished) -> tuple[float, float]:
    """Return what sorts trials from best to worst: accuracy, then log-loss."""
    return -trial.value, trial.log_loss
