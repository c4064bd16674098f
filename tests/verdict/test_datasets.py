"""The whole of `sweep run` with real trainers, on data that it was not made for; the benchmark has the full budgets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.datasets import SMALL, tables, write_study


def sweep(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "sweep", *words, "--storage", f"sqlite:///{folder / 'studies.db'}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def verdict_on(folder: Path, name: str) -> dict[str, Any]:
    study = write_study(folder, name, tables()[name], SMALL)
    told = sweep(folder, "run", str(study))
    found: dict[str, Any] = json.loads(sweep(folder, "compare", str(study), "--json"))
    said = " ".join(told.split())
    assert found["on_these_rows"]["sentence"] in said
    assert found["on_new_rows"]["sentence"] in said
    return found


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return verdict_on(tmp_path_factory.mktemp("wine"), "wine")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return verdict_on(tmp_path_factory.mktemp("tiny"), "tiny")


def test_three_classes_come_to_a_verdict(wine: dict[str, Any]) -> None:
    assert wine["split"]["class_rows"] == {"class_0": 20, "class_1": 23, "class_2": 16}
    assert wine["winner"]["recall"].keys() == {"class_0", "class_1", "class_2"}
    assert wine["winner"]["correct_mean"] > 40
    assert wine["majority"] == {"label": "class_1", "rows": 23}
    assert (wine["on_these_rows"]["rows"], wine["on_new_rows"]["rows"]) == (59, 59)


def test_an_ordered_file_that_was_shuffled_leaves_no_doubt_but_its_size(wine: dict[str, Any]) -> None:
    assert wine["split"]["warnings"] == ["one validation row is 1.69 points"]


def test_nothing_is_resolved_on_thirty_rows(tiny: dict[str, Any]) -> None:
    assert tiny["split"]["validation_rows"] == 10
    assert tiny["on_these_rows"]["word"] == "not resolved"
    assert tiny["on_new_rows"]["word"] == "not resolved"
    assert "one validation row is 10.00 points" in tiny["split"]["warnings"]
