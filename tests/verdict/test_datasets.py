"""A whole study with real trainers, on data that the program was not made for; the benchmark runs more of them."""

from __future__ import annotations

from pathlib import Path

from sweep.api import Study
from tests.bench.datasets import SMALL, tables, write_study


def test_three_classes_come_to_a_verdict(tmp_path: Path) -> None:
    file = write_study(tmp_path, "wine", tables()["wine"], SMALL)
    looks = {"verdict.most_splits": SMALL["splits"], "verdict.nested": 2}
    study = Study.open(file, storage=f"sqlite:///{tmp_path / 'studies.db'}", overrides=looks)
    assert study.run(workers=1).finished
    wine = study.verdict()
    assert wine.split.class_rows == {"class_0": 20, "class_1": 23, "class_2": 16}
    assert wine.split.warnings == ("one validation row is 1.69 points",)
    assert wine.winner.recall.keys() == {"class_0", "class_1", "class_2"}
    assert wine.winner.correct_mean is not None
    assert wine.winner.correct_mean > 40
    assert wine.majority is not None
    assert (wine.majority.label, wine.majority.rows) == ("class_1", 23)
    assert [judged.rows for judged in wine.judgements.values()] == [59, 59]
    assert wine.nested is not None
