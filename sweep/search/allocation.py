"""Who gets how many runs: candidates run look by look, and after each look a policy says who goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sweep.stats.comparison import survivors
from sweep.stats.estimate import FEWEST_DIFFERENCES, SIGNIFICANCE, Numbers


class Allocation(Protocol):
    """A policy for candidates that share their run seeds."""

    def looks(self, run_seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the run seeds of each look, in order; at least one look."""

    def survivors(self, scores: Numbers, looks: int) -> tuple[int, ...]:
        """Return the places of those who go on, by scores so far, `[candidates, runs]`, higher is better.

        Args:
            scores: of those who still run.
            looks: how many there are in all.
        """


@dataclass(frozen=True)
class AllRuns:
    """One look for everybody, as in the search: its sampler learns from all candidates of a round."""

    def looks(self, run_seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Return all run seeds as one look."""
        return [tuple(run_seeds)]

    def survivors(self, scores: Numbers, looks: int) -> tuple[int, ...]:  # noqa: ARG002 - whatever they are
        """Return everybody."""
        return tuple(range(len(scores)))


@dataclass(frozen=True)
class Race:
    """Clear losers leave after each look; `survivors` in `sweep.stats.comparison` says who they are.

    Args:
        most_looks: at the race; fewer if a look would have too few runs to tell anything.
        significance: of the whole race, divided between its looks.
    """

    most_looks: int = 3
    significance: float = SIGNIFICANCE

    def looks(self, run_seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Divide the run seeds as evenly as can be, into looks of at least `FEWEST_DIFFERENCES`.

        >>> Race().looks(range(13))
        [(0, 1, 2, 3, 4, 5, 6), (7, 8, 9, 10, 11, 12)]
        """
        looks = max(1, min(self.most_looks, len(run_seeds) // FEWEST_DIFFERENCES))
        return [tuple(part.tolist()) for part in np.array_split(np.array(run_seeds), looks)]

    def survivors(self, scores: Numbers, looks: int) -> tuple[int, ...]:
        """Return all but those who are clearly behind the best."""
        return survivors(scores, significance=self.significance / looks)
