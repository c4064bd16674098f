"""A search that nobody looks at: the rounds of `sweep.search.loop`, with their trials in memory alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.execution.batches import Outcome
from sweep.search.finite import FiniteSpace
from sweep.search.loop import propose, to_record, window
from sweep.search.space import SearchSpace
from sweep.space import Value
from sweep.task import METRICS


@dataclass(frozen=True)
class MemoryTrial:
    """A finished trial: its place in the order of proposals, its candidate, and all of its runs."""

    position: int
    candidate: Candidate
    params: dict[str, Value]
    outcome: Outcome
    log_loss: float | None


@dataclass
class MemorySearch:
    """Proposes round after round, as a `Coordinator` does in a study of its own; its caller trains them.

    Attributes:
        plan: of the search.
        trials: those that have finished, in the order of proposals.
    """

    plan: Plan
    trials: list[MemoryTrial] = field(default_factory=list)

    @cached_property
    def space(self) -> SearchSpace:
        """The search space of the plan."""
        return SearchSpace(self.plan.search)

    def next_round(self) -> list[Candidate]:
        """Return the candidates to be trained next; none if the budget is met, or the space holds no more."""
        search, first = self.plan.search, len(self.trials)
        count = min(search.trials - first, search.round_size)
        recipes = list(self.plan.candidates)[first:][: max(0, count)]
        finite = FiniteSpace(search)
        # What a round shows to the sampler are the trials before it, as `window` picks them.
        ranked = self._ranked()
        frame = pd.DataFrame({"position": [each.position for each in ranked]})
        shown = [ranked[place].params for place in window(frame.assign(number=frame["position"])).index]
        tried = finite.points([*(each.params for each in ranked), *map(self.space.params, recipes)])
        seed, number = search.sampler_seed, first // search.round_size
        wanted = count - len(recipes)
        return [*recipes, *propose(self.space, shown, wanted, sampler_seed=seed, round_number=number, tried=tried)]

    def finish_round(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        """Take what came of a round's candidates, in their order."""
        first = len(self.trials)
        for place, (candidate, outcome) in enumerate(zip(candidates, outcomes, strict=True)):
            loss = to_record(candidate, outcome).log_loss  # as a database would have it, to the last digit
            self.trials.append(MemoryTrial(first + place, candidate, self.space.params(candidate), outcome, loss))

    @property
    def best(self) -> MemoryTrial:
        """The trial with the best score, by the rule that ranks the trials of a study."""
        return self._ranked()[0]

    def _ranked(self) -> list[MemoryTrial]:
        """Return the trials, best first: in the order in which `best_first` puts those of a database."""
        metric = METRICS[self.plan.metric]

        def standing(trial: MemoryTrial) -> tuple[float, ...]:
            value, loss = trial.outcome.value(metric.name), math.inf if trial.log_loss is None else trial.log_loss
            behind = metric.worst is None and bool(trial.outcome.diverged.any())
            return behind, -value if metric.rises else value, loss, trial.position

        return sorted(self.trials, key=standing)
