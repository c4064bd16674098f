"""The whole of `sweep run` with real trainers, on data that it was not made for; the benchmark runs more of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.datasets import SMALL, tables, write_study


def sweep(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "sweep", *words, "--storage", f"sqlite:///{folder / 'studies.db'}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_three_classes_come_to_a_verdict(tmp_path: Path) -> None:
    study = write_study(tmp_path, "wine", tables()["wine"], SMALL)
    shown = " ".join(sweep(tmp_path, "run", str(study)).split())
    wine = json.loads(sweep(tmp_path, "compare", str(study), "--json"))
    assert wine["on_these_rows"]["sentence"] in shown
    assert wine["on_new_rows"]["sentence"] in shown
    assert wine["split"]["class_rows"] == {"class_0": 20, "class_1": 23, "class_2": 16}
    assert wine["split"]["warnings"] == ["one validation row is 1.69 points"]
    assert wine["winner"]["recall"].keys() == {"class_0", "class_1", "class_2"}
    assert wine["winner"]["correct_mean"] > 40
    assert wine["majority"] == {"label": "class_1", "rows": 23}
    assert (wine["on_these_rows"]["rows"], wine["on_new_rows"]["rows"]) == (59, 59)
