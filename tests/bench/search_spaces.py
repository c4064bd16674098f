"""Three ways to search a catalogue of schedules, and a loop that gives each the same budget.

`Conditional` is the program's own: what all schedules share is modelled from all trials, a schedule's own parameters
from the trials with it. `Shared` gives every schedule the same five numbers (peak rate, warm-up, final ratio, shape,
momentum) and derives its own parameters from them. `Random` draws from the conditional space blindly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from sweep.candidate import Candidate, from_params
from sweep.config.plan import SearchPlan
from sweep.engines.spec import TrainingSpec
from sweep.search.loop import Memory, propose, window
from sweep.search.space import SearchSpace, distribution
from sweep.space import Value

Params = dict[str, Value]


class Way(Protocol):
    """A way to propose a round of candidates from the params of the trials before it, best first."""

    def propose(self, shown: Sequence[Params], count: int, sampler_seed: int, number: int) -> list[Params]:
        """Return the params of `count` candidates."""

    def candidate(self, params: Params) -> Candidate:
        """Return the candidate that params describe."""


@dataclass(frozen=True)
class Conditional:
    """The program's own search."""

    search: SearchPlan

    def propose(self, shown: Sequence[Params], count: int, sampler_seed: int, number: int) -> list[Params]:
        """Return the params of `count` candidates."""
        space = SearchSpace(self.search)
        drawn = propose(space, shown, count, sampler_seed=sampler_seed, round_number=number)
        return [space.params(candidate) for candidate in drawn]

    def candidate(self, params: Params) -> Candidate:
        """Return the candidate that params describe."""
        return SearchSpace(self.search).candidate(params)


@dataclass(frozen=True)
class Random(Conditional):
    """The same space without a model."""

    def propose(self, shown: Sequence[Params], count: int, sampler_seed: int, number: int) -> list[Params]:
        """Return the params of `count` candidates, whatever was shown."""
        seed = int(np.random.SeedSequence((sampler_seed, number)).generate_state(1)[0])
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        space = SearchSpace(self.search)
        return [space.params(space.suggest(study.ask())) for _ in range(count)]


@dataclass(frozen=True)
class Shared:
    """Every schedule through the same five numbers."""

    search: SearchPlan
    problem: TrainingSpec

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What is drawn."""
        return {
            "schedule": CategoricalDistribution(tuple(self.search.schedules)),
            "learning_rate": distribution(self.search.learning_rate, whole=False),
            "momentum": distribution(self.search.momentum, whole=False),
            "warmup": FloatDistribution(0.0, 0.3),
            "final_ratio": FloatDistribution(1e-3, 1.0, log=True),
            "shape": FloatDistribution(0.0, 1.0),
        }

    def propose(self, shown: Sequence[Params], count: int, sampler_seed: int, number: int) -> list[Params]:
        """Return the params of `count` candidates."""
        seed = int(np.random.SeedSequence((sampler_seed, number)).generate_state(1)[0])
        memory = Memory(self.distributions, seed, shown)
        return [memory.draw() for _ in range(count)]

    def candidate(self, params: Params) -> Candidate:
        """Return the candidate that params describe."""
        name, shape = str(params["schedule"]), float(params["shape"])
        own = SHAPED[name](float(params["final_ratio"]), shape, self.problem.timeline.epochs)
        flat = {f"{name}.{key}": value for key, value in {**own, "warmup": params["warmup"]}.items()}
        shared = {key: params[key] for key in ("schedule", "learning_rate", "momentum")}
        return from_params(shared | flat)


def stairs(fewest: int, most: int, shape: float) -> int:
    """Return a count that grows with `shape`."""
    return fewest + round(shape * (most - fewest))


def steps(final_ratio: float, shape: float, epochs: int) -> dict[str, Value]:
    """Return step decay that ends at the final ratio."""
    drops = stairs(1, 8, shape)
    return {"drop": final_ratio ** (1 / drops), "epochs_drop": max(1, epochs // (drops + 1))}


def falling_points(final_ratio: float, shape: float, _epochs: int) -> dict[str, Value]:
    """Return a line that holds, falls, and holds again."""
    begin = 0.6 * shape
    return {"points": f"0:1 {begin + 0.05:.4f}:1 {begin + 0.35:.4f}:{final_ratio:.6g} 1:{final_ratio:.6g}"}


# From final ratio, shape and epochs to each schedule's own parameters.
SHAPED: Mapping[str, Callable[[float, float, int], Mapping[str, Any]]] = {
    "constant": lambda *_: {},
    "time": lambda final, _, epochs: {"decay": (1 / final - 1) / epochs},
    "time_compounding": lambda final, _, epochs: {"decay": -2 * np.log(final) / epochs**2},
    "time_by_batch": lambda final, _, epochs: {"decay": (1 / final - 1) / (9 * epochs)},
    "step": steps,
    "step_from_zero": steps,
    "exponential": lambda final, *_: {"final_ratio": final},
    "exponential_by_batch": lambda final, *_: {"final_ratio": final},
    "exponential_staircase": lambda final, shape, _: {"final_ratio": final, "stairs": stairs(2, 10, shape)},
    "milestones": lambda final, shape, _: {
        "at": f"{0.2 + 0.4 * shape:.4f} {0.5 + 0.4 * shape:.4f}",
        "drop": min(1.0, final**0.5),
    },
    "piecewise_linear": falling_points,
    "linear": lambda final, *_: {"final_ratio": final},
    "polynomial": lambda final, shape, _: {"final_ratio": final, "power": 4.0 ** (2 * shape - 1)},
    "cosine": lambda final, *_: {"final_ratio": final},
    "cosine_restarts": lambda final, shape, _: {"final_ratio": final, "first_cycle": 1 / stairs(2, 8, shape)},
    "one_cycle": lambda final, shape, _: {"final_ratio": final, "peak_at": 0.1 + 0.4 * shape},
    "triangular": lambda final, shape, _: {"low_ratio": final, "cycles": stairs(1, 8, shape)},
    "inverse_sqrt": lambda final, *_: {"timescale": 1 / (final**-2 - 1 + 1e-3)},
    "rex": lambda *_: {},
    "warmup_stable_decay": lambda final, shape, _: {"final_ratio": final, "decay_from": 0.2 + 0.7 * shape},
    "join": lambda _, shape, __: {"at": 0.2 + 0.6 * shape},
    "plateau": lambda final, shape, _: {"factor": min(0.99, final ** (1 / 3)), "patience": stairs(1, 15, shape)},
}


@dataclass
class Seeker:
    """One search: its way, its sampler seed and what it found so far."""

    way: Way
    sampler_seed: int
    round_size: int
    tried: list[Params] = field(default_factory=list)
    scores: list[tuple[float, float]] = field(default_factory=list)

    def next_round(self, count: int) -> list[Params]:
        """Return the params of the next candidates; what a sweep would show its sampler is shown."""
        places = self._ranked()
        shown = window(pd.DataFrame({"number": places, "position": places}))["position"]
        return self.way.propose([self.tried[place] for place in shown], count, self.sampler_seed, self._round)

    def add(self, params: Params, score: tuple[float, float]) -> None:
        """Take down what a candidate scored."""
        self.tried.append(params)
        self.scores.append(score)

    def _ranked(self) -> list[int]:
        return sorted(range(len(self.scores)), key=lambda place: self.scores[place])

    @property
    def _round(self) -> int:
        return len(self.scores) // self.round_size

    @property
    def best(self) -> Candidate:
        """The best candidate by the scores seen."""
        return self.way.candidate(self.tried[self._ranked()[0]])


# Scores of candidates, the lower the better: by accuracy, then by log-loss.
Evaluate = Callable[[Sequence[Candidate]], list[tuple[float, float]]]


def seek(
    way: Way, evaluate: Callable[[int], Evaluate], seeds: Sequence[int], trials: int, round_size: int
) -> list[Candidate]:
    """Run one search for each sampler seed, side by side, and return what each found best."""
    seekers = [Seeker(way, seed, round_size) for seed in seeds]
    for first in range(0, trials, round_size):
        rounds = [seeker.next_round(min(round_size, trials - first)) for seeker in seekers]
        candidates = [[way.candidate(params) for params in drawn] for drawn in rounds]
        scores = iter(evaluate(first)([candidate for drawn in candidates for candidate in drawn]))
        for seeker, drawn in zip(seekers, rounds, strict=True):
            for params in drawn:
                seeker.add(params, next(scores))
    return [seeker.best for seeker in seekers]
