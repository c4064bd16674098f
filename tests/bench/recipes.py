"""Section `recipes`: known recipes over 256 run seeds, beside the figures published for them.

The hand-written JAX trainer trains the same runs: where it agrees with ours, the published figure is the odd one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweep.candidate import Candidate, from_params
from sweep.engines.spec import TrainingSpec, batch_orders, initial_weights, next_orders
from sweep.execution.batches import BatchTrainer, Outcome, tile_shape
from sweep.execution.local import Pool
from sweep.search.session import default_workers
from sweep.space import Value
from tests.bench.default_study import make_workload, read_default
from tests.bench.report import Bar, Section

PUBLISHED_SEEDS = 512
# Figures are published in percent with one decimal; rounding adds this variance.
ROUNDING_VARIANCE = 0.1**2 / 12


@dataclass(frozen=True)
class Recipe:
    """A setting and the mean and standard deviation, in percent, published for its final validation accuracy."""

    title: str
    params: dict[str, Value]
    mean: float
    deviation: float

    @property
    def candidate(self) -> Candidate:
        """The candidate that the params describe."""
        return from_params(self.params)


RECIPES = (
    Recipe("constant 0.01", {"schedule": "constant", "learning_rate": 0.01}, 90.1, 6.4),
    Recipe("constant 0.1", {"schedule": "constant", "learning_rate": 0.1}, 97.4, 1.0),
    Recipe("constant 0.1, momentum 0.9", {"schedule": "constant", "learning_rate": 0.1, "momentum": 0.9}, 98.2, 0.8),
    Recipe(
        "time_by_batch 0.1/0.002, momentum 0.8",
        {"schedule": "time_by_batch", "learning_rate": 0.1, "time_by_batch.decay": 0.002, "momentum": 0.8},
        98.6,
        0.6,
    ),
    Recipe(
        "step 0.1/0.5/10, momentum 0.9",
        {"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 10, "momentum": 0.9},
        98.7,
        0.6,
    ),
)


def measure(quick: bool) -> Section:
    """Train every recipe with every run seed."""
    seeds = range(16 if quick else 256)
    _, problem = read_default()
    with Pool(default_workers()) as pool:
        trainer = BatchTrainer(pool, problem, tile_shape(problem, len(RECIPES), len(seeds)))
        outcomes = dict(trainer.train([recipe.candidate for recipe in RECIPES], seeds))
    hand = by_hand(problem, seeds)
    section, rows = Section("recipes"), []
    for place, recipe in enumerate(RECIPES):
        percent = accuracies(outcomes[place])
        mean, deviation = float(percent.mean()), float(percent.std(ddof=1))
        distance = (mean - recipe.mean) / standard_error(recipe, deviation, len(seeds))
        published = f"{recipe.mean} ({recipe.deviation})"
        rows.append(
            (recipe.title, f"{mean:.2f} ({deviation:.2f})", f"{hand[place]:.2f}", published, f"{distance:+.1f}")
        )
        section.data[recipe.title] = {
            "mean": mean,
            "deviation": deviation,
            "mean_by_hand": hand[place],
            "standard_errors": distance,
        }
        section.bars.append(Bar(f"{recipe.title}, distance", abs(distance), 3, " s.e."))
    headers = (
        "recipe",
        f"here, {len(seeds)} seeds",
        "JAX by hand",
        f"published, {PUBLISHED_SEEDS} seeds",
        "standard errors",
    )
    section.add_table("final validation accuracy in percent: mean (sd over seeds)", headers, rows)
    return section


def by_hand(problem: TrainingSpec, seeds: Sequence[int]) -> list[float]:
    """Return each recipe's mean final validation accuracy in percent, trained by the hand-written competitor."""
    import jax

    from tests.bench.jax_population import make_training

    weights = [initial_weights(problem.architecture, seed) for seed in seeds]
    orders = next_orders([batch_orders(problem.split.train_rows, seed) for seed in seeds], problem.epochs).swapaxes(
        0, 1
    )
    kernel, output = np.stack([drawn[0] for drawn in weights]), np.stack([drawn[2][:, 0] for drawn in weights])
    start = (kernel, np.zeros_like(output), output, np.zeros_like(output[:, 0]))
    run = jax.jit(jax.vmap(make_training(make_workload()), in_axes=(0, None, None, 0)))
    found = []
    for candidate in (recipe.candidate for recipe in RECIPES):
        rates = candidate.schedule.rates(problem.timeline).astype(np.float32)
        correct = np.asarray(run(start, rates, np.float32(candidate.momentum), orders)[1])
        found.append(float(100 * correct[:, -1].mean() / problem.split.validation_rows))
    return found


def accuracies(outcome: Outcome) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the final validation accuracy of each run, in percent."""
    percent: np.ndarray[tuple[int], np.dtype[np.float64]] = 100.0 * outcome.correct / outcome.validation_rows
    return percent


def standard_error(recipe: Recipe, deviation: float, seeds: int) -> float:
    """Return the standard error of the difference between ours and the published mean."""
    return math.sqrt(deviation**2 / seeds + recipe.deviation**2 / PUBLISHED_SEEDS + ROUNDING_VARIANCE)
