"""Run seeds of each stage of a study: fixed before the search, and disjoint.

A verdict is unbiased only if the runs that found a winner, chose it and judge it share no seeds.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import count, islice

STRIDE = 1_000_000_000  # more than any stage takes but the last two, behind which 2**32 is near, where Keras' seeds end
ROOM = 100_000_000  # of the stages that share the last of them
SEEDS_A_TURN = 2  # that share a split where they take turns at several: as many as the narrowest good job holds
OUTER = 2_000_000_000  # the first seed of an outer split; re-splits are far fewer


class Stage(StrEnum):
    """The stages that train with run seeds of their own, in order."""

    SEARCH = "search"
    SELECTION = "selection"
    CONFIRMATION = "confirmation"
    NEW_ROWS = "new rows"
    NESTED = "nested searches"
    FORGIVENESS = "forgiveness"


def run_seeds(stage: Stage, number: int, first: int = 0) -> range:
    """Return `number` run seeds of a stage, from its `first`-th on.

    >>> run_seeds(Stage.SELECTION, 3)
    range(1000000000, 1000000003)
    """
    place, last = list(Stage).index(stage), list(Stage).index(Stage.NESTED)
    begin = min(place, last) * STRIDE + max(0, place - last) * ROOM + first
    return range(begin, begin + number)


def turn_of(run_seed: int, splits: int) -> int:
    """Return which of several splits a run takes: two seeds that follow each other take one, the next two the next.

    So a job of two run seeds has one split, and an even number of seeds from an even one on has as many on each split
    as can be.

    >>> [turn_of(seed, 3) for seed in run_seeds(Stage.SEARCH, 8)]
    [0, 0, 1, 1, 2, 2, 0, 0]
    """
    return run_seed // SEEDS_A_TURN % splits


def split_seeds(number: int, taken: int) -> list[int]:
    """Return the seeds of `number` re-splits; the seed of the split that was searched on, `taken`, is not among them.

    >>> split_seeds(3, taken=1)
    [0, 2, 3]
    """
    return list(islice((seed for seed in count() if seed != taken), number))


def outer_seeds(number: int, taken: int) -> list[int]:
    """Return the seeds of `number` outer splits, on which the search is repeated; none is one of `split_seeds`.

    >>> outer_seeds(2, taken=1)
    [2000000000, 2000000001]
    """
    return list(islice((seed for seed in count(OUTER) if seed != taken), number))
