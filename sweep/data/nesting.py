"""Divisions within divisions: rows to judge by, and of the others those to search on, divided like a study's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweep.data.arrays import SplitKind
from sweep.data.preparation import Layout
from sweep.data.resplitting import has_value, resplit, thinned
from sweep.data.rows import rows_at
from sweep.data.splitting import split_rows, strata_of
from sweep.data.table import Dataset, Split
from sweep.errors import BadInput
from sweep.task import MetricName

TURNS = 2  # splits inside an outer one, where run seeds take turns


@dataclass(frozen=True)
class Nested:
    """An outer division, whose second side no search sees, and the inner one of its first side to search on."""

    outer: Split
    inner: Split


def nested_splits(
    split: Split, kind: SplitKind, fraction: float, seeds: Sequence[int], metric: MetricName
) -> Mapping[int, Nested]:
    """Return outer divisions as `resplit` makes them, by their numbers, each with its inner one.

    The inner one is made as the study's own: of a tail the last rows of the outer training rows, in the order of the
    file. Where the data give the validation rows, it is a stratified draw of as large a share; where run seeds take
    turns at several splits, there are two, for the few run seeds of a nested search. All outer divisions are
    of one shape, and all inner ones are, so that one program trains on all: rows are left out of the larger ones. A
    division is left out if a class has no row to train on, or the metric has no value on the rows to judge by.

    Args:
        split: the study's own.
        kind: how it was made.
        fraction: of the rows, that validates.
        seeds: of the outer divisions.
        metric: what ranks.

    Raises:
        BadInput: if there are no two such divisions.
    """
    problem = BadInput("split.kind", f"leaves no two divisions on whose rows {metric} has a value.")
    found: dict[int, tuple[Split, list[tuple[NDArray[np.int32], NDArray[np.int32]]]]] = {}
    for seed, outer in resplit(split, kind, fraction, seeds, metric).splits.items():
        rows = outer.train_index if kind == "time" else np.sort(outer.train_index)
        way: SplitKind = "stratified" if kind == "given" else kind
        try:
            inner = split_rows(_rows_alone(outer, rows), way, fraction, seed, TURNS)
        except BadInput as error:
            problem = error
            continue
        if all(has_value(metric, each.validation_targets) for each in (outer, *inner.each)):
            found[seed] = outer, [(rows[each.train_index], rows[each.validation_index]) for each in inner.each]
    if len(found) < 2:
        raise problem
    sizes = [min(len(sides[0][side]) for _, sides in found.values()) for side in (0, 1)]
    strata, nested = strata_of(split.dataset), {}
    for seed, (outer, every) in found.items():
        turns = []
        for sides in every:
            train, validation = (
                index if len(index) == size else thinned(index, size, strata, seed)
                for index, size in zip(sides, sizes, strict=True)
            )
            turns.append(Split.of(outer.dataset, train, validation))
        nested[seed] = Nested(outer, replace(turns[0], turns=tuple(turns) if len(turns) > 1 else ()))
    return nested


def _rows_alone(outer: Split, rows: NDArray[np.int32]) -> Dataset:
    """Return some rows with all that decides how they are divided, and without their inputs."""
    dataset = outer.dataset
    return replace(
        dataset,
        values=np.zeros((len(rows), 0)),
        layout=Layout(),
        targets=rows_at(dataset.targets, rows),
        weights=None if dataset.weights is None else dataset.weights[rows],
        by=None if dataset.by is None else dataset.by.at(rows),
        train_rows=None,
    )
