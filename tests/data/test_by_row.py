"""Weights of rows: where they are found, and which are refused in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from sweep.data.arrays import Beside, call_source
from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, read_dataset
from sweep.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 60
RANDOM = np.random.default_rng(5)
LABELS, WHO = RANDOM.choice(["a", "b"], ROWS), RANDOM.integers(0, 12, ROWS)
WEIGHTS, EIGHTH = RANDOM.integers(0, 5, ROWS) / 2, np.arange(ROWS) == 7


def read(folder: Path, weights: Any, **keys: Any) -> Dataset:
    columns = {"x": RANDOM.normal(size=ROWS), "w": weights, "who": WHO, "label": LABELS}
    pd.DataFrame(columns).to_csv(folder / "rows.csv", index=False)
    return read_dataset(folder / "rows.csv", DataKeys(**{"weight": "w", **keys}))


@pytest.mark.parametrize("weights", [WEIGHTS, [f"{each:.1f} %" for each in WEIGHTS], [f"${each}" for each in WEIGHTS]])
def test_a_column_weighs_the_rows_and_is_no_input(tmp_path: Path, weights: Any) -> None:
    for weight in ("w", 1):
        dataset = read(tmp_path, weights, weight=weight)
        assert dataset.weights is not None
        np.testing.assert_allclose(dataset.weights, WEIGHTS)
        assert (dataset.features, dataset.keys.weight) == (2, weight)
    assert "column 2 ('w') multiplies the training loss of each row, and is no input" in dataset.notes
    split = split_rows(dataset, "stratified", 0.33, 0)
    assert split.train_weights is not None
    np.testing.assert_allclose(split.train_weights, WEIGHTS[split.train_index])
    assert read(tmp_path, weights, roles={"w": "number"}).features == 3
    assert dataset.digest != read(tmp_path, WEIGHTS + 1).digest


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (
            np.where(np.arange(ROWS) == 7, -1, WEIGHTS),
            "column 2 ('w') must hold weights of 0 or more, got a negative one",
        ),
        (
            np.where(np.arange(ROWS) == 7, np.nan, WEIGHTS),
            "column 2 ('w') must hold weights of 0 or more, got a missing",
        ),
        (np.zeros(ROWS), "column 2 ('w') must hold a weight above 0, got 0 in every row."),
        ([""] * ROWS, "column 2 ('w') must hold numbers, got no value at all."),
        (LABELS, "column 2 ('w') must hold numbers, got '"),
        (np.where(EIGHTH, 1e300, WEIGHTS), "row 8, column 2 ('w') must be finite as a 32-bit float"),
    ],
    ids=["negative", "missing", "zero", "empty", "words", "infinite"],
)
def test_weights_that_cannot_be_are_one_line(tmp_path: Path, weights: Any, told: str) -> None:
    with pytest.raises(BadInput, match=f"^data\\.weight: {re.escape(told)}"):
        read(tmp_path, weights)


def test_other_columns_are_one_line(tmp_path: Path) -> None:
    for weight, told in (("v", "must be a column of the file"), ("label", "must be another column than the label")):
        with pytest.raises(BadInput, match=f"^data\\.weight: {told}"):
            read(tmp_path, WEIGHTS, weight=weight)


def test_rows_to_train_on_must_weigh_something(tmp_path: Path) -> None:
    last = (np.arange(ROWS) >= 45).astype(float)
    with pytest.raises(BadInput, match=r"^data\.weight: must be above 0 for a row to train on, got 0 for all"):
        split_rows(read(tmp_path, last), "tail", 0.25, 0)


# What a user's function may return.
IMAGES = RANDOM.normal(size=(ROWS, 3, 2))


def third() -> Any:
    return IMAGES, LABELS, WEIGHTS


def named() -> Any:
    return IMAGES, LABELS, {"who": WHO, "w": WEIGHTS.tolist()}


def pairs() -> Any:
    return (IMAGES[:40], LABELS[:40], WEIGHTS[:40]), (IMAGES[40:], LABELS[40:])


def of_other_length() -> Any:
    return IMAGES, LABELS, WEIGHTS[1:]


def test_a_function_gives_them_third(tmp_path: Path) -> None:
    for name, beside in ((third, Beside()), (named, Beside()), (named, Beside(by="who", kind="group"))):
        dataset = read_dataset(call_source(f"{__name__}:{name.__name__}"), DataKeys(), beside=beside)
        assert dataset.weights is not None
        np.testing.assert_allclose(dataset.weights, WEIGHTS)
        assert (dataset.keys.weight, dataset.by is None) == ("w", not beside.splits)
    dataset = read_dataset(call_source(f"{__name__}:pairs"), DataKeys())
    assert dataset.weights is not None
    np.testing.assert_allclose(dataset.weights, [*WEIGHTS[:40], *[1] * 20])
    with pytest.raises(BadInput, match=r"^data\.function: must give the third value \[rows\], one value a row, got"):
        call_source(f"{__name__}:of_other_length")
    with pytest.raises(BadInput, match=r"^data\.function: must give weights and what the split goes by, got one array"):
        read_dataset(call_source(f"{__name__}:third"), DataKeys(weight="w"), beside=Beside(kind="group"))


def test_an_archive_has_them_by_name(tmp_path: Path) -> None:
    place = tmp_path / "rows.npz"
    for name, stated in (("w", None), ("sample_weight", None), ("mass", "mass")):
        for x in (IMAGES, IMAGES[:, :, 0]):
            arrays: dict[str, Any] = {"x": x, "y": LABELS, name: WEIGHTS}
            np.savez(place, **arrays)
            dataset = read_dataset(place, DataKeys(weight=stated))
            assert dataset.weights is not None
            np.testing.assert_allclose(dataset.weights, WEIGHTS)
            assert (dataset.keys.weight, dataset.features) == (name, x[0].size)
    np.savez(
        place, x_train=IMAGES[:40], y_train=LABELS[:40], w_train=WEIGHTS[:40], x_test=IMAGES[40:], y_test=LABELS[40:]
    )
    dataset = read_dataset(place, DataKeys())
    assert dataset.weights is not None
    np.testing.assert_allclose(dataset.weights, [*WEIGHTS[:40], *[1] * 20])
