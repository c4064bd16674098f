"""Divisions within divisions: nothing that is judged by is searched on, and one program serves all of a kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweep.data.arrays import SplitKind
from sweep.data.by_row import SplitBy
from sweep.data.nesting import nested_splits
from sweep.data.splitting import split_rows
from sweep.data.table import Dataset
from sweep.errors import BadInput

ROWS = 300
SEEDS = range(1_000_000_000, 1_000_000_008)


def rows_of(kind: SplitKind) -> Dataset:
    generator = np.random.default_rng(5)
    targets = generator.integers(0, 2, ROWS)
    found = Dataset.of_arrays(generator.normal(size=(ROWS, 3)), targets, ("b", "g"))
    groups = np.sort(generator.integers(0, 40, ROWS)).astype(np.float64)
    names = tuple(map(str, range(40))) if kind == "group" else ()
    return replace(found, by=SplitBy(0, "`key`", groups, names), train_rows=200)


@pytest.mark.parametrize("kind", ["stratified", "resample", "random", "tail", "given", "group", "time"])
def test_no_search_sees_a_row_that_is_judged_by_and_all_have_one_shape(kind: SplitKind) -> None:
    dataset = rows_of(kind)
    found = nested_splits(split_rows(dataset, kind, 0.33, 0), kind, 0.33, SEEDS, "accuracy")
    assert len(found) == len(SEEDS) or (kind == "time" and len(found) >= 2)
    shapes = set()
    for each in found.values():
        assert len(each.inner.each) == (2 if kind == "resample" else 1)
        for inner in each.inner.each:
            searched = [*inner.train_index, *inner.validation_index]
            assert len(set(searched)) == len(searched)
            assert set(searched) <= set(each.outer.train_index)
            assert not set(searched) & set(each.outer.validation_index)
        sides = each.outer.train_index, each.outer.validation_index, each.inner.train_index, each.inner.validation_index
        shapes.add(tuple(map(len, sides)))
        keys = dataset.by.values if dataset.by is not None else np.zeros(ROWS)
        if kind == "group":
            assert not set(keys[each.inner.train_index]) & set(keys[each.inner.validation_index])
        if kind == "time":
            assert keys[each.inner.train_index].max() < keys[each.inner.validation_index].min()
        if kind == "tail":
            assert each.inner.train_index.max() < each.inner.validation_index.min()
    assert len(shapes) == 1
    (outer_train, _, inner_train, inner_validation) = shapes.pop()
    assert 0.5 * outer_train < inner_train < outer_train
    assert inner_train + inner_validation > 0.9 * outer_train
    assert len({each.outer.validation_index.tobytes() for each in found.values()}) == len(found)


def test_a_metric_without_a_value_leaves_one_line() -> None:
    targets = np.zeros(ROWS, np.int64)
    targets[:2] = 1
    dataset = Dataset.of_arrays(np.zeros((ROWS, 2)), targets, ("no", "yes"))
    with pytest.raises(BadInput, match=r"^split\."):
        nested_splits(split_rows(dataset, "random", 0.33, 0), "stratified", 0.33, SEEDS, "auc")
