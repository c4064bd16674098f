"""Laws of a first study file: it states what was found, names its table from its own folder, and replaces nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.config.draft import write_study
from sweep.config.study_file import read_study_file
from sweep.data.columns import NOTHING_STATED, Stated
from sweep.data.description import describe_table
from sweep.data.form import Form
from sweep.data.table import DataKeys, read_dataset
from sweep.errors import BadInput
from sweep.verdict.baselines import tuning_plans

TABLES = Path(__file__).parents[1] / "data" / "tables"


def draft(table: Path, target: Path, stated: Stated = NOTHING_STATED) -> dict[str, Any]:
    write_study(describe_table(table, Form(), stated), target)
    return tomllib.loads(target.read_text(encoding="utf-8"))


def test_a_long_name_leaves_room_for_tuned_baselines(tmp_path: Path) -> None:
    target = tmp_path / f"{'long-' * 20}.toml"
    draft(TABLES / "crlf.csv", target)
    assert len(tuning_plans(read_study_file(target).plan)) == 2


def test_where_nearly_all_rows_have_one_label_accuracy_does_not_rank(tmp_path: Path) -> None:
    study = draft(TABLES / "imbalanced.csv", tmp_path / "mine.toml")
    assert study["search"]["metric"] == "balanced_accuracy"
    assert study["training"]["class_weight"] == "balanced"
    assert read_study_file(tmp_path / "mine.toml").plan.metric == "balanced_accuracy"


def test_it_states_what_was_found(tmp_path: Path) -> None:
    study = draft(TABLES / "mixed_german.csv", tmp_path / "mine.toml")
    assert study["name"] == "mine"
    assert study["data"] == {
        "file": study["data"]["file"],
        "delimiter": ";",
        "decimal": ",",
        "encoding": "cp1252",
        "header": True,
        "na_values": ["?"],
        "label": "klasse",
        "roles": {"id": "id", "am": "date"},
        "task": "classes",
        "scale": "standard",
        "missing": "median",
        "words": "onehot",
    }
    assert study["split"]["kind"] == "resample"
    assert study["search"]["metric"] == "accuracy"


READ_AGAIN = ("mixed_german", "houses", "passengers", "semicolon", "codes_zero", "dates_compact")


@pytest.mark.parametrize("name", [*(f"{name}.csv" for name in READ_AGAIN), "weather.arff"])
def test_what_it_states_reads_the_same_table(name: str, tmp_path: Path) -> None:
    draft(TABLES / name, tmp_path / "s.toml")
    study = read_study_file(tmp_path / "s.toml")
    stated, found = (
        read_dataset(path, keys)
        for path, keys in ((study.data_path, study.plan.data.keys), (TABLES / name, DataKeys()))
    )
    assert stated.classes == found.classes
    assert np.array_equal(stated.values, found.values, equal_nan=True)
    assert np.array_equal(stated.targets, found.targets)
    assert [each.name for each in stated.layout.numbers] == [each.name for each in found.layout.numbers]


def test_the_table_is_named_from_the_folder_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / "t.csv"
    table.write_bytes((TABLES / "plain.csv").read_bytes())
    assert draft(table, tmp_path / "studies" / "s.toml")["data"]["file"] == "../data/t.csv"


def test_numbers_are_ranked_by_their_error(tmp_path: Path) -> None:
    study = draft(TABLES / "houses.csv", tmp_path / "s.toml")
    assert (study["data"]["task"], study["search"]["metric"]) == ("numbers", "rmse")


def test_names_and_labels_of_any_letters_are_toml(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = "".join(f'{row}.5,{row * 7 % 13},"{["yes", "no.", "no"][row % 3]}"\n' for row in range(30))
    table.write_text('"a ""b"" \\ c",größe [m],"y, of\tx"\n' + rows, encoding="utf-8")
    stated = Stated(roles={'a "b" \\ c': "number"}, drop=["größe [m]"], labels={"no.": "no"})
    study = draft(table, tmp_path / "o'dd na\"me.toml", stated)
    assert study["name"] == "o-dd-na-me"
    assert study["data"]["label"] == "y, of\tx"
    assert study["data"]["drop"] == ["größe [m]"]
    assert study["data"]["roles"] == {'a "b" \\ c': "number"}
    assert study["data"]["labels"] == {"no.": "no"}


def test_a_longer_table_gets_fewer_trainings_in_larger_batches(tmp_path: Path) -> None:
    found = describe_table(TABLES / "plain.csv", Form(), NOTHING_STATED)
    work, batches = [], []
    for rows in (100, 1_000, 10_000, 100_000, 1_000_000):
        target = tmp_path / f"{rows}.toml"
        write_study(found.model_copy(update={"rows": rows}), target)
        study = tomllib.loads(target.read_text(encoding="utf-8"))
        work.append(study["search"]["trials"] * study["search"]["replicates"] * study["training"]["epochs"])
        batches.append(study["training"]["batch_size"])
    assert work == sorted(work, reverse=True)
    assert batches == sorted(batches)


def test_doubts_stand_at_its_head(tmp_path: Path) -> None:
    draft(TABLES / "label_twin.csv", tmp_path / "s.toml")
    assert "# Doubt: column 2 ('code') gives the label away" in (tmp_path / "s.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["there.toml", "study.txt", "no/folder.toml"])
def test_it_replaces_no_file_and_makes_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.toml").write_text("mine")
    with pytest.raises(BadInput) as caught:
        draft(TABLES / "plain.csv", tmp_path / name)
    assert caught.value.field == "write"
    assert [path.name for path in tmp_path.iterdir()] == ["there.toml"]
    assert (tmp_path / "there.toml").read_text() == "mine"
