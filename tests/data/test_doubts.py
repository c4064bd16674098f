"""Laws of doubts: a column that tells the label is named, however it tells it, and an honest one is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sweep.data.columns import Stated, find_columns
from sweep.data.doubts import find_doubts, related_rows
from sweep.data.form import Form
from sweep.data.reading import read_table
from sweep.task import MetricName

ROWS = 600


def doubts(data: pd.DataFrame, folder: Path, stated: Stated | None = None) -> tuple[str, ...]:
    data.to_csv(folder / "t.csv", index=False)
    return find_doubts(find_columns(read_table(folder / "t.csv"), stated or Stated()))


@pytest.fixture
def data() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    label = draw.integers(0, 3, ROWS)
    numbers = {"noise": draw.normal(size=ROWS), "signal": label + draw.normal(size=ROWS)}
    return pd.DataFrame(numbers | {"y": np.array(["a", "b", "c"])[label]})


def test_an_honest_table_has_none(data: pd.DataFrame, tmp_path: Path) -> None:
    assert doubts(data, tmp_path) == ()


@pytest.mark.parametrize(
    ("tells", "how"),
    [
        (lambda label: label, "each of its values goes with one label"),
        (lambda label: np.array(["x", "y", "z"])[label], "each of its values goes with one label"),
        (lambda label: (label == 1).astype(int), "it says which rows are of one class"),
        (lambda label: label * 10 + np.random.default_rng(1).normal(size=ROWS), "it alone tells 100.00% of the rows"),
        (lambda label: np.where(np.arange(ROWS) == 7, 9 - label, label), "it alone tells 99.83% of the rows"),
    ],
    ids=["codes", "words", "one-hot", "measured", "nearly"],
)
def test_a_column_that_tells_the_label_is_named(data: pd.DataFrame, tmp_path: Path, tells: object, how: str) -> None:
    label = data["y"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
    data.insert(0, "leak", tells(label))  # type: ignore[operator]
    (doubt,) = doubts(data, tmp_path)
    assert doubt.startswith(f"column 1 ('leak') gives the label away: {how}; leave it out by drop")


def test_the_sign_of_a_rare_class_is_no_doubt(data: pd.DataFrame, tmp_path: Path) -> None:
    data.loc[:19, "y"] = "charcoal rot"
    data.insert(0, "sclerotia", np.where(data["y"] == "charcoal rot", "present", "absent"))
    assert doubts(data, tmp_path) == ()


def test_a_twin_of_numbers_is_named_and_a_good_input_is_not(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    price = draw.gamma(2, 100, ROWS)
    data = pd.DataFrame({"euros": (price * 0.9).round(1), "rooms": price + draw.normal(0, 40, ROWS), "cost": price})
    (doubt,) = doubts(data, tmp_path)
    assert "column 1 ('euros') gives the label away: its correlation with it is" in doubt


def test_a_rare_class_is_not_told_by_a_column_that_is_always_the_same(tmp_path: Path) -> None:
    rare = np.arange(ROWS) % 100 == 0
    noise = np.random.default_rng(0).normal(size=ROWS)
    found = doubts(pd.DataFrame({"noise": noise, "flag": noise > 2, "y": np.where(rare, "yes", "no")}), tmp_path)
    assert [doubt for doubt in found if "away" in doubt] == []
    assert any("'no' is the label of 99.0% of the rows" in doubt for doubt in found)


def test_labels_in_two_dresses_come_with_the_line_that_maps_them(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=60)
    labels = np.array(["no", "no", "no.", "Yes", "yes", "yes"])[np.arange(60) % 6]
    found = doubts(pd.DataFrame({"noise": noise, "y": labels}), tmp_path)
    assert [doubt.rpartition("; ")[2] for doubt in found] == [
        'labels = { "Yes" = "yes" } makes them one',
        'labels = { "no." = "no" } makes them one',
    ]
    stated = Stated(labels={"Yes": "yes", "no.": "no"})
    assert doubts(pd.DataFrame({"noise": noise, "y": labels}), tmp_path, stated) == ()


def test_what_is_stated_of_the_label_is_not_doubted(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data = pd.DataFrame({0: np.arange(90) % 3, 1: draw.normal(size=90), 2: draw.integers(100, 2000, 90)})
    data.to_csv(tmp_path / "t.data", index=False, header=False)
    table = read_table(tmp_path / "t.data")
    assert find_doubts(find_columns(table)) == ("column 1 has 3 different values: if it is the label, label = 0",)
    assert find_doubts(find_columns(table, Stated(label=-1))) == ()


def test_a_number_of_each_row_is_doubted_whether_or_not_the_label_is_stated(data: pd.DataFrame, tmp_path: Path) -> None:
    data.insert(0, "ticket", np.random.default_rng(2).permutation(ROWS) + 500)
    told = "column 1 ('ticket') has another whole number in each row: drop = [\"ticket\"] if it only tells rows apart"
    assert doubts(data, tmp_path) == doubts(data, tmp_path, Stated(label="y")) == (told,)
    assert doubts(data, tmp_path, Stated(roles={"ticket": "number"})) == ()


@pytest.mark.parametrize(
    ("metric", "says"), [(None, True), ("accuracy", True), ("balanced_accuracy", False), ("log_loss", False)]
)
def test_a_common_class_is_doubted_where_accuracy_ranks(tmp_path: Path, metric: MetricName | None, says: bool) -> None:
    noise = np.random.default_rng(0).normal(size=ROWS)
    pd.DataFrame({"noise": noise, "y": np.where(noise > 2, "yes", "no")}).to_csv(tmp_path / "t.csv", index=False)
    found = find_doubts(find_columns(read_table(tmp_path / "t.csv")), metric)
    assert any("says more than accuracy" in doubt for doubt in found) is says


@pytest.mark.parametrize("cells", ["-999 EUR", "-999.0 €", "(999)", "-999", "-999.00"])
def test_the_cure_of_a_sentinel_makes_it_missing(data: pd.DataFrame, tmp_path: Path, cells: str) -> None:
    prices = [f"{row % 40 + 10}{cells.lstrip('-(9,0').rstrip(')')}" for row in range(ROWS)]
    prices[3] = prices[9] = cells
    data.insert(0, "price", prices)
    data.to_csv(tmp_path / "t.csv", index=False, sep=";")
    (doubt,) = find_doubts(find_columns(read_table(tmp_path / "t.csv")))
    line = re.findall(r"na_values = (\[.*\]) if", doubt)[0]
    table = read_table(tmp_path / "t.csv", Form(na_values=tuple(json.loads(line))))
    assert table.missing == {0: {cells: 2}}
    assert find_doubts(find_columns(table)) == ()


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("patient_id", 60, 'by = "patient_id"'),
        ("Subject", 60, 'by = "Subject"'),
        ("customerNumber", 60, 'by = "customerNumber"'),
        ("id", 60, 'by = "id"'),
        ("patient_id", 3, ""),
        ("patient_id", ROWS, ""),
        ("category_id", 60, ""),
        ("zip_code", 60, ""),
        ("family", 9, ""),
        ("age", 60, ""),
        ("product", 60, ""),
    ],
)
def test_rows_about_one_patient_are_told_of_and_ordinary_categories_are_not(
    data: pd.DataFrame, tmp_path: Path, name: str, values: int, told: str
) -> None:
    data.insert(0, name, np.random.default_rng(3).permutation(np.arange(ROWS) % values) + 3)
    data.to_csv(tmp_path / "t.csv", index=False)
    found = find_columns(read_table(tmp_path / "t.csv"))
    assert [told in doubt for doubt in related_rows(found, "stratified")] == [True] * bool(told)
    assert not list(related_rows(found, "group"))


@pytest.mark.parametrize(("name", "says"), [("date", True), ("measured", True), ("birthday", False), ("due", False)])
def test_dates_of_rows_are_told_of_and_those_of_people_are_not(
    data: pd.DataFrame, tmp_path: Path, name: str, says: bool
) -> None:
    data.insert(0, name, pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d"))
    data.to_csv(tmp_path / "t.csv", index=False)
    found = find_columns(read_table(tmp_path / "t.csv"))
    assert [f'by = "{name}"' in doubt for doubt in related_rows(found, "random")] == [True] * says
    assert not list(related_rows(found, "tail"))
