"""Section `search`: ways to search the whole catalogue at equal budgets, over many sampler seeds.

Two objectives: the likeness to a known curve, whose best answer is known and which costs nothing; and the default
study, where what a search found best is trained anew with run seeds that no search has seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.candidate import Candidate
from sweep.engines.spec import TrainingSpec
from sweep.execution.batches import BatchTrainer, tile_shape
from sweep.execution.local import Pool
from sweep.schedules import Timeline, read_schedule
from sweep.search.session import default_workers
from tests.bench.default_study import read_default
from tests.bench.report import Section
from tests.bench.search_spaces import Conditional, Evaluate, Random, Shared, Way, seek

FULL, QUICK = (20, 200, 64), (2, 70, 4)
FRESH = 1000
Numbers = NDArray[np.float64]

# Curves to be found again, each from another family; momentum 0.9 throughout.
TARGETS = (
    {"name": "milestones", "learning_rate": 0.3, "at": "0.4 0.8", "drop": 0.1},
    {"name": "cosine", "learning_rate": 0.2, "final_ratio": 0.01, "warmup": 0.1},
    {"name": "linear", "learning_rate": 0.05, "final_ratio": 0.1},
    {"name": "time", "learning_rate": 0.4, "decay": 0.1},
)
MOMENTUM = 0.9
NOISE = 0.02


@dataclass
class Likeness:
    """How far a candidate's rates and momentum lie from a known curve, in decades; noise as a study has it."""

    target: Numbers
    timeline: Timeline
    noise: np.random.Generator

    def distance(self, candidate: Candidate) -> float:
        """Return the distance without noise; 0 is the known answer."""
        rates = np.log10(candidate.schedule.rates(self.timeline) + 1e-4)
        apart = math.sqrt(float(np.mean((rates - np.log10(self.target + 1e-4)) ** 2)))
        return apart + abs(candidate.momentum - MOMENTUM)

    def __call__(self, candidates: Sequence[Candidate]) -> list[tuple[float, float]]:
        """Return what a search is shown."""
        return [(self.distance(candidate) + float(self.noise.normal(0, NOISE)), 0.0) for candidate in candidates]


@dataclass
class RealStudy:
    """The default study's own objective: mean accuracy, then log-loss, over the same run seeds for all."""

    trainer: BatchTrainer
    run_seeds: Sequence[int]

    def __call__(self, candidates: Sequence[Candidate]) -> list[tuple[float, float]]:
        """Return what a search is shown."""
        outcomes = dict(self.trainer.train(candidates, self.run_seeds))
        return [
            (-outcomes[place].value("accuracy"), _log_loss(outcomes[place].log_loss))
            for place in range(len(candidates))
        ]


def _log_loss(losses: NDArray[np.float32]) -> float:
    return float(np.nan_to_num(losses, nan=1e9, posinf=1e9).mean())


def measure(quick: bool) -> Section:
    """Search with every way, and say what each found."""
    seeds, trials, fresh = QUICK if quick else FULL
    study_file, problem = read_default()
    search = study_file.plan.search
    ways: dict[str, tuple[Way, int]] = {
        "conditional": (Conditional(search), 64),
        "conditional, rounds of 32": (Conditional(search), 32),
        "shared": (Shared(search, problem), 64),
        "shared, rounds of 32": (Shared(search, problem), 32),
        "random": (Random(search), 64),
    }
    section = Section("search")
    likeness = {name: seek_curves(way, size, problem, seeds, trials) for name, (way, size) in ways.items()}
    show(section, "distance from a known curve, decades", likeness, "{:.3f}")
    with Pool(default_workers()) as pool:
        trainer = BatchTrainer(pool, problem, tile_shape(problem, search.round_size, search.replicates))
        real = RealStudy(trainer, range(search.replicates))
        anew = RealStudy(trainer, range(FRESH, FRESH + fresh))
        scores = {
            name: np.array(anew(seek(way, lambda _: real, range(seeds), trials, size)))
            for name, (way, size) in ways.items()
        }
    show(
        section,
        f"validation errors on fresh seeds, rows of {problem.split.validation_rows}",
        {name: (1 + found[:, 0]) * problem.split.validation_rows for name, found in scores.items()},
        "{:.3f}",
    )
    show(section, "log-loss on fresh seeds", {name: found[:, 1] for name, found in scores.items()}, "{:.4f}")
    return section


def seek_curves(way: Way, round_size: int, problem: TrainingSpec, seeds: int, trials: int) -> Numbers:
    """Return the distance of the best found from its target, for each target and sampler seed."""
    distances = []
    for place, target in enumerate(TARGETS):
        rates = read_schedule(target).rates(problem.timeline)
        likeness = Likeness(rates, problem.timeline, np.random.default_rng(place))
        evaluate: Evaluate = likeness
        found = seek(way, lambda _, evaluate=evaluate: evaluate, range(seeds), trials, round_size)  # type: ignore[misc]
        distances += [likeness.distance(candidate) for candidate in found]
    return np.array(distances)


def show(section: Section, title: str, scores: Mapping[str, Numbers], form: str) -> None:
    """Add a table of means with standard errors, and paired differences to random search."""
    rows = []
    for name, found in scores.items():
        apart = found - scores["random"]
        rows.append(
            (
                name,
                f"{form.format(found.mean())} ({form.format(standard_error(found))})",
                form.format(float(np.median(found))),
                f"{form.format(apart.mean())} ({form.format(standard_error(apart))})",
                f"{(apart < 0).mean():.0%}",
            )
        )
    headers = ("way", "mean (s.e.)", "median", "less random (s.e.)", "better than random")
    section.add_table(title, headers, rows)
    section.data[title] = {name: list(map(float, found)) for name, found in scores.items()}


def standard_error(values: Numbers) -> float:
    """Return the standard error of a mean."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))
