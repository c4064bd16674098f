"""The studies of the repository: what they state is what their data and their networks are."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from sweep.config.study_file import read_study_file
from sweep.search.session import make_spec, read_data

ROOT = Path(__file__).parents[1]
STUDIES = sorted((ROOT / "studies").glob("*.toml"))
# Rows to train and to validate on, inputs by their shape, and classes; 0 where a number is predicted.
SHAPES = {
    "credit": (670, 330, (63,), 2),
    "diabetes": (296, 146, (10,), 0),
    "diamonds": (36_139, 17_801, (31,), 0),
    "digits": (1203, 594, (8, 8), 10),
    "ionosphere": (235, 116, (34,), 2),
    "names": (3357, 1654, (11,), 2),
    "smoke": (235, 116, (34,), 2),
}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_reads_its_data(path: Path) -> None:
    study_file, dataset = read_data(read_study_file(path))
    spec = make_spec(study_file, dataset)
    assert study_file.plan.name == path.stem
    found = spec.split.train_rows, spec.split.validation_rows, spec.architecture.input_shape, spec.architecture.classes
    assert found == SHAPES[path.stem]


def test_data_are_what_their_page_says() -> None:
    page = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    described = dict(re.findall(r"^## `([^`]+)`.*?\*\*SHA-256:\*\* `(\w+)`", page, re.MULTILINE | re.DOTALL))
    files = [path for path in (ROOT / "data").iterdir() if path.suffix not in (".md", ".toml") and path.is_file()]
    assert described == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tables_of_the_collection_are_what_their_page_says() -> None:
    folder = ROOT / "data" / "collection"
    page = (folder / "README.md").read_text(encoding="utf-8")
    described = {name: digest for digest, name in re.findall(r"^(\w{64})  (\S+)$", page, re.MULTILINE)}
    assert described == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.csv")}
    told = dict(re.findall(r"^\| `([^`]+)` \| ([\d,]+) \|", page, re.MULTILINE))
    assert told == {
        path.name: f"{len(path.read_text(encoding='utf-8').splitlines()) - 1:,}" for path in folder.glob("*.csv")
    }
