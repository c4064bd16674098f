"""The search space as Optuna's distributions: one conditional tree, from the study file's ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from sweep.candidate import Candidate, from_params
from sweep.config.plan import SearchPlan
from sweep.schedules import CATALOGUE, read_schedule
from sweep.search.finite import is_whole
from sweep.space import Range, Space, Value
from sweep.store.queries import Best


@dataclass(frozen=True)
class SearchSpace:
    """Draws candidates from the ranges of a study file."""

    search: SearchPlan

    def suggest(self, trial: BaseTrial) -> Candidate:
        """Let `trial` choose the schedule, what all schedules share, and then the schedule's own parameters."""
        drawn = suggest_all(trial, self.shared)
        return self.candidate(drawn | suggest_all(trial, self.own(str(drawn["schedule"]))))

    def candidate(self, params: dict[str, Value]) -> Candidate:
        """Build the candidate of a trial's params; a setting that the search never varies is not among them."""
        fixed = {} if isinstance(self.search.nesterov, tuple) else {"nesterov": self.search.nesterov}
        return from_params(fixed | params)  # type: ignore[arg-type]  # nesterov is a value here

    def read_candidate(self, trial: Best) -> Candidate:
        """Return a trial's candidate; its schedule as the trial keeps it, with the defaults it was trained with."""
        candidate, kept = self.candidate(trial.params), trial.record.schedule
        # Trials stored before schedules were kept whole have none, nor have somebody else's.
        return candidate if kept is None else candidate.model_copy(update={"schedule": read_schedule(kept)})

    def params(self, candidate: Candidate) -> dict[str, Value]:
        """Return the params that a trial of `candidate` holds."""
        wanted = self.distributions(candidate.schedule.name)
        return {key: value for key, value in candidate.params.items() if key in wanted}

    def distributions(self, schedule: str) -> dict[str, BaseDistribution]:
        """Return the distribution of every param of a trial with this schedule, in the order of suggestion."""
        return self.shared | self.own(schedule)

    @property
    def shared(self) -> dict[str, BaseDistribution]:
        """The distributions of the params that every trial has, the schedule's name first."""
        found: dict[str, BaseDistribution] = {
            "schedule": CategoricalDistribution(tuple(self.search.schedules)),
            "learning_rate": distribution(self.search.learning_rate, whole=False),
            "momentum": distribution(self.search.momentum, whole=False),
        }
        if isinstance(self.search.nesterov, tuple):
            found["nesterov"] = CategoricalDistribution(self.search.nesterov)
        return found

    def own(self, schedule: str) -> dict[str, BaseDistribution]:
        """Return the distributions of the params that only trials with this schedule have."""
        kind = CATALOGUE[schedule]
        return {
            f"{schedule}.{key}": distribution(space, whole=is_whole(kind, key))
            for key, space in self.search.schedules[schedule].items()
        }


def suggest_all(trial: BaseTrial, distributions: dict[str, BaseDistribution]) -> dict[str, Value]:
    """Let `trial` choose a value from each distribution."""
    drawn: dict[str, Value] = {}
    for name, chosen in distributions.items():
        if isinstance(chosen, IntDistribution):
            drawn[name] = trial.suggest_int(name, chosen.low, chosen.high, log=chosen.log)
        elif isinstance(chosen, FloatDistribution):
            drawn[name] = trial.suggest_float(name, chosen.low, chosen.high, log=chosen.log)
        else:
            choices = cast(CategoricalDistribution, chosen).choices
            drawn[name] = cast(Value, trial.suggest_categorical(name, choices))  # a study file cannot hold None
    return drawn


def distribution(space: Space, *, whole: bool) -> BaseDistribution:
    """Return Optuna's word for a space; a fixed value is a range of one, so that trials record it."""
    if isinstance(space, tuple):
        return CategoricalDistribution(space)
    if isinstance(space, bool | str):
        return CategoricalDistribution((space,))
    low, high, log = (space.low, space.high, space.log) if isinstance(space, Range) else (space, space, False)
    if whole:
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)
