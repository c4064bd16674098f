"""Other divisions of a study's rows than its own, of one shape: stratified draws, draws of groups, windows in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.arrays import SplitKind
from sweep.data.rows import rows_at
from sweep.data.splitting import Groups, rows_in_time, split_stratified, what_splits
from sweep.data.table import Dataset, Split, Targets
from sweep.errors import BadInput
from sweep.task import MetricName

ALIKE = (0.02, 0.05, 0.1)  # share of the rows by which re-splits may differ in size, the first that is enough
FEWEST_TEST_ROWS = 10  # of a window in time
FEWEST_WINDOW_ROWS = 4 * FEWEST_TEST_ROWS  # of a table that is divided into two windows


@dataclass(frozen=True)
class Resplits:
    """Other divisions of all rows, by their numbers: all of one shape, so that one program trains on all.

    `told` says what they are, behind their number, where they are no stratified draws.
    """

    splits: Mapping[int, Split]
    told: str = ""


def resplit(split: Split, kind: SplitKind, fraction: float, seeds: Sequence[int], metric: MetricName) -> Resplits:
    """Return divisions like a study's own: draws of groups, windows in time, or else stratified draws.

    Draws of groups differ from each other and from the study's own. Rows are left out of them, at random, until all
    have as many to train and to test on. Windows have the same number of rows to train on and rows right after them to
    test on; the test rows of two windows are not the same ones.

    Args:
        split: the study's own.
        kind: how it was made.
        fraction: of the rows, that validates.
        seeds: of the draws; windows are as many at most.
        metric: what ranks; a window in which it has no value is left out.

    Raises:
        BadInput: if there are no two such divisions.
    """
    if kind == "group":
        return _drawn_groups(split, fraction, seeds)
    if kind == "time":
        return _windows(split.dataset, len(seeds), metric)
    return Resplits({seed: split_stratified(split.dataset, fraction, seed) for seed in seeds})


def _drawn_groups(split: Split, fraction: float, seeds: Sequence[int]) -> Resplits:
    dataset, rows = split.dataset, split.dataset.rows
    groups = Groups.of(dataset)
    own = np.zeros(len(groups.lonely), np.bool_)
    own[groups.codes[split.validation_index]] = True
    draws = {seed: groups.draws(fraction, seed) for seed in seeds}
    found: dict[int, NDArray[np.bool_]] = {}
    for tolerance in ALIKE:
        used, found = {own.tobytes()}, {}
        for seed, (held, counts, uneven) in draws.items():
            alike = np.flatnonzero(np.abs(counts - split.validation_rows) <= tolerance * rows)
            fresh = (place for place in alike[np.argsort(uneven[alike])] if held[place].tobytes() not in used)
            if (best := next(fresh, None)) is not None:
                used.add(held[best].tobytes())
                found[seed] = held[best]
        if len(found) >= len(seeds) / 2:
            break
    if len(found) < 2:
        reason = f"must have more groups: those of {groups.by.shown} can be divided in {1 + len(found)} ways alone"
        raise BadInput("split.by", f"{reason}, as evenly as here.")
    sides = {seed: groups.index(held) for seed, held in found.items()}
    sizes = [min(len(pair[side]) for pair in sides.values()) for side in (0, 1)]
    most = max(len(pair[side]) - size for pair in sides.values() for side, size in enumerate(sizes))
    splits = {}
    for seed, pair in sides.items():
        train, test = (thinned(index, size, groups.strata, seed) for index, size in zip(pair, sizes, strict=True))
        splits[seed] = Split.of(dataset, train, test)
    told = f"other draws of whole groups of {groups.by.shown}"
    if most:
        told += f"; up to {most:,} row{'' if most == 1 else 's'} a side left out at random, so that all are of one size"
    return Resplits(splits, told)


def thinned(index: NDArray[np.int32], size: int, strata: NDArray[np.int32], seed: int) -> NDArray[np.int32]:
    """Leave rows out at random, in their order, but one of each stratum."""
    order = np.random.default_rng(seed).permutation(index)
    first = np.unique(strata[order], return_index=True)[1]
    kept = np.concatenate([order[first], np.delete(order, first)])[:size]
    return np.sort(kept)


def _windows(dataset: Dataset, most: int, metric: MetricName) -> Resplits:
    by = what_splits(dataset)
    order, begins = rows_in_time(by)
    rows = len(order)
    train_rows = rows // 2
    if rows < FEWEST_WINDOW_ROWS:
        raise BadInput("split.by", f"must have {FEWEST_WINDOW_ROWS} rows for windows in time, got {rows}.")
    begins = begins[begins >= train_rows]

    def windows(test_rows: int) -> list[int]:
        """Return where test blocks begin, the last first: each at a new time, and before the one behind it."""
        found, end = list[int](), rows
        while len(able := begins[begins <= end - test_rows]):
            end = int(able[-1])
            found.append(end)
        return found[:most]

    counts = range(min(most, (rows - train_rows) // FEWEST_TEST_ROWS), 1, -1)
    tried = {(rows - train_rows) // count: windows((rows - train_rows) // count) for count in counts}
    covered = max((size * len(places) for size, places in tried.items()), default=0)
    able = [(len(places), size) for size, places in tried.items() if size * len(places) >= 0.9 * covered]
    _, test_rows = max(able, default=(0, 0))
    splits, lost = dict[int, Split](), 0
    for first in reversed(tried.get(test_rows, [])):
        window = order[first - train_rows : first], order[first : first + test_rows]
        targets = rows_at(dataset.targets, window[1])
        unseen = bool(dataset.classes) and len(np.unique(dataset.targets[window[0]])) < len(dataset.classes)
        if unseen or not has_value(metric, targets):
            lost += 1
            continue
        splits[len(splits)] = Split.of(dataset, *window)
    if len(splits) < 2:
        wanted = f"2 windows of {train_rows} rows to train on and {FEWEST_TEST_ROWS} or more later ones to test on"
        able_to = ", with every class and a score" if lost else ""
        raise BadInput("split.by", f"must leave at least {wanted}{able_to}, got {len(splits)} by {by.shown}.")
    told = (
        f"windows in time by {by.shown}, each of {train_rows:,} rows to train on and the {test_rows:,} "
        "right after them to test on"
    )
    if lost:
        told += f"; {lost} more lack a class to train on, or a score, and are left out"
    return Resplits(splits, told)


def has_value(metric: MetricName, targets: Targets) -> bool:
    """Say whether a metric has a value for these targets: some compare different ones."""
    if metric not in ("auc", "average_precision", "r2"):
        return True
    differ = (targets != targets[0]).reshape(len(targets), -1).any(axis=0)
    return bool(differ.all() if metric == "r2" else differ.any())
