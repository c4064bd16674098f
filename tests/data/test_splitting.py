"""Splits by groups and by time: which rows come together, what is said, and what is refused in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from sweep.data.arrays import Beside, SplitKind, call_source
from sweep.data.resplitting import resplit
from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, Split, read_dataset
from sweep.errors import BadInput
from sweep.seeds import outer_seeds, split_seeds

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 240
RANDOM = np.random.default_rng(7)
PATIENTS = RANDOM.integers(0, 30, ROWS)
LABELS = RANDOM.choice(["no", "yes"], ROWS)
DAYS = pd.Timestamp("2021-01-01") + pd.to_timedelta(RANDOM.integers(0, 300, ROWS), unit="D")
SHARED_DAYS = DAYS.strftime("%Y-%m-%d").to_numpy(object)
MOMENTS = [pd.Timestamp("2021-01-01", tz="UTC") + pd.Timedelta(minutes=int(each)) for each in RANDOM.permutation(ROWS)]
SEEDS = range(1, 13)


def table(path: Path, key: Any, label: Any = LABELS) -> Path:
    """Write a table with a column `key` beside two numbers and a label."""
    numbers = {"a": np.arange(ROWS) % 7, "b": np.linspace(0, 1, ROWS)}
    pd.DataFrame({**numbers, "key": key, "label": label}).to_csv(path / "rows.csv", index=False)
    return path / "rows.csv"


def read(path: Path, kind: SplitKind, by: str | int | None = "key", **keys: Any) -> Dataset:
    return read_dataset(path, DataKeys(**keys), beside=Beside(by=by, kind=kind))


def divided(dataset: Dataset, kind: SplitKind, fraction: float = 0.33) -> Split:
    """Return the split; no row to validate on is of a group, or a time, to train on."""
    split = split_rows(dataset, kind, fraction, 0)
    check(split, kind)
    return split


def check(split: Split, kind: SplitKind) -> None:
    assert split.dataset.by is not None
    train, test = (split.dataset.by.values[index] for index in (split.train_index, split.validation_index))
    assert not {*train} & {*test} if kind == "group" else train.max() < test.min()


GROUPS = {
    "words": [f"patient {each}" for each in PATIENTS],
    "numbers": PATIENTS,
    "numbers with a point": PATIENTS * 1.0,
    "codes": [f"{each:04d}" for each in PATIENTS],
    "dressed with blanks": [f" p{each} " if place % 2 else f"p{each}" for place, each in enumerate(PATIENTS)],
    "dates": [str(pd.Timestamp("2021-01-01") + pd.Timedelta(days=int(each)))[:10] for each in PATIENTS],
    "one with most rows": np.where(np.arange(ROWS) < 0.6 * ROWS, 99, PATIENTS),
}
TIMES = {
    "iso": SHARED_DAYS,
    "months by name": DAYS.strftime("%d %b %Y"),
    "american": DAYS.strftime("%m/%d/%Y"),
    "compact": DAYS.strftime("%Y%m%d").astype(int),
    "zones": [
        str(each.tz_convert(("Europe/Berlin", "Asia/Tokyo")[n % 2]).isoformat()) for n, each in enumerate(MOMENTS)
    ],
    "seconds": [int(each.timestamp()) for each in MOMENTS],
    "nanoseconds": [each.value for each in MOMENTS],
    "years": RANDOM.integers(2001, 2011, ROWS),
    "quarters": [f"{2010 + each // 4}-Q{1 + each % 4}" for each in RANDOM.integers(0, 30, ROWS)],
}


@pytest.mark.parametrize("key", GROUPS.values(), ids=GROUPS)
def test_a_group_stays_on_one_side_and_all_re_splits_have_one_shape(tmp_path: Path, key: Any) -> None:
    dataset = read(table(tmp_path, key), "group")
    split = divided(dataset, "group")
    assert dataset.features == 2
    assert "column 3 ('key') is what the split goes by, and is no input" in dataset.notes
    assert split.validation_rows == pytest.approx(0.33 * ROWS, abs=0.04 * ROWS)
    assert str(split.notes).count("groups of column 3 ('key') validate") == 1
    found = resplit(split, "group", 0.33, SEEDS, "accuracy")
    assert len(found.splits) >= len(SEEDS) - 2
    assert len({(each.train_rows, each.validation_rows) for each in found.splits.values()}) == 1
    assert found.told.startswith("other draws of whole groups of column 3 ('key')")
    held = {tuple(sorted({*each.validation_index})) for each in [split, *found.splits.values()]}
    assert len(held) == len(found.splits) + 1
    for each in found.splits.values():
        check(each, "group")
        assert {*each.validation_targets} == {*each.train_targets} == {0, 1}


@pytest.mark.parametrize("key", TIMES.values(), ids=TIMES)
def test_what_validates_is_later_than_what_trains(tmp_path: Path, key: Any) -> None:
    dataset = read(table(tmp_path, key), "time")
    split = divided(dataset, "time")
    assert (dataset.features, split.train_rows + split.validation_rows) == (2, ROWS)
    assert split.validation_rows == pytest.approx(0.33 * ROWS, abs=0.07 * ROWS)
    assert re.search(r"validate, from \S+( [\d:]+)? on by column 3 \('key'\)", split.notes[0])
    found = resplit(split, "time", 0.33, SEEDS, "accuracy")
    assert len(found.splits) >= 3
    assert {each.train_rows for each in found.splits.values()} == {ROWS // 2}
    assert len({each.validation_rows for each in found.splits.values()}) == 1
    assert "windows in time by column 3 ('key'), each of 120 rows to train on and the" in found.told
    tested = np.concatenate([each.validation_index for each in found.splits.values()])
    assert len(tested) == len({*tested})
    for each in found.splits.values():
        check(each, "time")


def test_rows_that_cannot_be_placed_are_left_out_and_said(tmp_path: Path) -> None:
    key = np.array(GROUPS["words"], object)
    key[:5] = ["", "NA", " ", None, "?"]
    dataset = read(table(tmp_path, key), "group")
    assert len(dataset.targets) == ROWS - 5
    assert "5 rows left out, since their group is missing in column 3 ('key')" in dataset.notes
    with pytest.raises(BadInput, match=r"^data\.missing: is refuse, and column 3 \('key'\), which the split goes"):
        read(tmp_path / "rows.csv", "group", missing="refuse")
    key = SHARED_DAYS.copy()
    key[3] = ""
    assert "1 row left out, since their time is missing in column 3 ('key')" in read(table(tmp_path, key), "time").notes


def test_a_column_may_be_an_input_as_well(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, SHARED_DAYS), "time", roles={"key": "date"})
    assert dataset.features == 3
    assert "column 3 ('key') is what the split goes by, and is an input too, as stated" in dataset.notes
    divided(dataset, "time")
    assert read(table(tmp_path, GROUPS["words"]), "group", by=2, drop=("key",)).features == 2


def test_groups_of_one_row_each_are_said_to_be_a_random_split(tmp_path: Path) -> None:
    split = divided(read(table(tmp_path, [f"row {each}" for each in range(ROWS)]), "group"), "group")
    assert split.notes[0].endswith("so the split by groups is a random one of rows")


def test_a_class_of_one_group_is_trained_on_and_others_keep_their_shares(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, PATIENTS, np.where(PATIENTS == 4, "rare", LABELS)), "group")
    split = divided(dataset, "group")
    assert split.notes[1] == "'rare' is in one group of column 3 ('key') alone, which is trained on"
    assert {*split.validation_targets} == {0, 2}
    by_patient = divided(read(table(tmp_path, PATIENTS, np.where(PATIENTS % 2, "odd", "even")), "group"), "group")
    assert by_patient.validation_targets.mean() == pytest.approx(by_patient.train_targets.mean(), abs=0.1)


@pytest.mark.parametrize(
    ("kind", "key", "label", "told"),
    [
        ("group", "p", LABELS, "split.by: must have at least 2 groups, got 'p' alone in column 3 ('key')."),
        ("group", "", LABELS, "split.by: must be a column with values, got column 3 ('key'), which is empty."),
        (
            "group",
            np.where(PATIENTS % 2, "q", "p"),
            np.where(PATIENTS % 2, "no", "yes"),
            "split.by: must leave rows of at least 2 classes on both sides, got all of 'no' in one group of column 3",
        ),
        ("time", "2021-02-03", LABELS, "split.by: must have at least 2 different times, got 2021-02-03 alone in"),
        ("time", GROUPS["words"], LABELS, "split.by: must be a column of dates or numbers, got column 3 ('key')"),
        (
            "time",
            np.where(PATIENTS, SHARED_DAYS, "soon"),
            LABELS,
            "split.by: column 3 ('key') must hold dates that are",
        ),
        (
            "time",
            SHARED_DAYS,
            np.where(DAYS.sort_values()[190] < DAYS, "new", LABELS),
            "split.kind: must leave rows of",
        ),
    ],
    ids=["one group", "empty", "a class a group", "one time", "words", "a cell that is none", "a later class"],
)
def test_what_cannot_be_divided_is_one_line(tmp_path: Path, kind: SplitKind, key: Any, label: Any, told: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(told)}") as caught:
        split_rows(read(table(tmp_path, key, label), kind), kind, 0.33, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("kay", "split.by: must be a column of the file, got 'kay', did you mean `key`?"),
        ("label", "split.by: must be another column than the label, got column 4 ('label')."),
        (9, "split.by: must be a position from -4 to 3, got 9."),
    ],
)
def test_a_wrong_column_is_one_line(tmp_path: Path, by: str | int, told: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(told)}$"):
        read(table(tmp_path, PATIENTS), "group", by)


@pytest.mark.parametrize(
    ("kind", "key", "told"),
    [
        (
            "group",
            np.where(PATIENTS % 2, "q", "p"),
            "must have more groups: those of column 3 ('key') can be divided in",
        ),
        ("time", np.where(PATIENTS % 2, 1, 2), "must leave at least 2 windows of 120 rows to train on and 10"),
    ],
)
def test_too_little_for_re_splits_is_one_line(tmp_path: Path, kind: SplitKind, key: Any, told: str) -> None:
    split = divided(read(table(tmp_path, key), kind), kind, 0.5)
    with pytest.raises(BadInput, match=f"^split\\.by: {re.escape(told)}"):
        resplit(split, kind, 0.5, SEEDS, "accuracy")


def test_windows_without_a_class_or_a_score_are_left_out_and_said(tmp_path: Path) -> None:
    order = np.argsort(SHARED_DAYS, kind="stable")
    label = LABELS.copy()
    label[order[150:180]] = "no"
    split = divided(read(table(tmp_path, SHARED_DAYS, label), "time"), "time")
    found = resplit(split, "time", 0.33, SEEDS, "auc")
    assert re.search(r"; \d more lack a class to train on, or a score, and are left out$", found.told)
    assert all(len({*each.validation_targets}) == 2 for each in found.splits.values())


def with_groups() -> Any:
    """Return arrays as a user's function does."""
    return np.ones((ROWS, 4, 2)) * PATIENTS[:, None, None], LABELS == "yes", [f"p{each}" for each in PATIENTS]


def with_names() -> Any:
    return RANDOM.normal(size=(ROWS, 2)), LABELS, {"when": DAYS, "who": PATIENTS}


def test_arrays_have_groups_and_times_by_name_or_third(tmp_path: Path) -> None:
    place = tmp_path / "rows.npz"
    np.savez(place, x=RANDOM.normal(size=(ROWS, 3)), y=LABELS, who=PATIENTS, when=DAYS.to_numpy())
    ways: list[tuple[SplitKind, str | None]] = [("group", "who"), ("time", "when"), ("stratified", None)]
    for kind, by in ways:
        dataset = read(place, kind, by)
        assert (dataset.features, dataset.classes) == (3, ("no", "yes"))
        split_rows(dataset, kind, 0.33, 0) if by is None else divided(dataset, kind)
    third = call_source(f"{__name__}:with_groups")
    for name in (None, "patient"):
        dataset = read_dataset(third, DataKeys(), beside=Beside(by=name, kind="group"))
        assert (dataset.row_shape, dataset.weights) == ((4, 2), None)
        divided(dataset, "group")
    for kind, by in ways[:2]:
        divided(read_dataset(call_source(f"{__name__}:with_names"), DataKeys(), beside=Beside(by=by, kind=kind)), kind)
    with pytest.raises(BadInput, match=r"^split\.by: must name an array with one value a row, got 'whom', did"):
        read(place, "group", "whom")


@pytest.mark.parametrize("fraction", [0.33, 0.6])
def test_splits_for_run_seeds_in_turn_are_alike_and_let_each_row_validate_as_often(fraction: float) -> None:
    targets = np.sort(np.arange(103) % 3)
    targets[targets == 2] = RANDOM.integers(1, 3, (targets == 2).sum())
    targets[0] = 3  # the only row of a class trains
    dataset = Dataset.of_arrays(RANDOM.normal(size=(103, 2)), targets, ("a", "b", "c", "d"))
    found = split_rows(dataset, "resample", fraction, 5, 8)
    plain = split_rows(dataset, "stratified", fraction, 5)
    assert np.array_equal(found.validation_index, plain.validation_index)
    assert np.array_equal(found.train_index, plain.train_index)
    assert [found.for_seed(seed) is found.turns[seed // 2 % 8] for seed in range(2_000_000_000, 2_000_000_020)]
    validated = np.zeros(103, int)
    for each in found.turns:
        assert sorted([*each.train_index, *each.validation_index]) == list(range(103))
        assert np.array_equal(np.bincount(each.validation_targets), np.bincount(plain.validation_targets))
        validated[each.validation_index] += 1
    assert validated[0] == 0
    for label in range(3):
        of_class = validated[1:][targets[1:] == label]
        assert of_class.max() - of_class.min() <= 1
    assert len({np.sort(each.validation_index).tobytes() for each in found.turns}) == 8
    again = split_rows(dataset, "resample", fraction, 5, 8)
    assert all(
        np.array_equal(one.train_index, other.train_index) for one, other in zip(found.turns, again.turns, strict=True)
    )
    fewer = split_rows(dataset, "resample", fraction, 5, 3)
    assert all(
        np.array_equal(one.train_index, other.train_index)
        for one, other in zip(found.turns[:3], fewer.turns, strict=True)
    )


def test_no_re_split_of_the_verdict_is_a_split_of_the_search() -> None:
    dataset = Dataset.of_arrays(RANDOM.normal(size=(90, 2)), np.arange(90) % 3, ("a", "b", "c"))
    for seed in (0, 7):
        own = split_rows(dataset, "resample", 0.33, seed, 8)
        searched = {np.sort(each.validation_index).tobytes() for each in own.turns}
        for seeds in (split_seeds(60, taken=seed), outer_seeds(20, taken=seed)):
            others = resplit(own, "resample", 0.33, seeds, "accuracy").splits.values()
            assert not searched & {np.sort(each.validation_index).tobytes() for each in others}
