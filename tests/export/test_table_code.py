"""Law of the part of a script that reads a table: it gives the network what the study gave it."""

from __future__ import annotations

import re
import warnings
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, read_dataset
from sweep.errors import BadInput
from sweep.export.table_code import write_table_code

TABLES = sorted(path for path in (Path(__file__).parents[1] / "data" / "tables").iterdir() if path.suffix != ".json")
READINGS = (DataKeys(), DataKeys(words="ordinal", scale="minmax"), DataKeys(missing="drop", scale="robust"))


def run_code(code: str, path: Path) -> dict[str, Any]:
    """Run the code as the script does that holds it."""
    names = {"np": np, "pd": pd, "re": re, "StringIO": StringIO, "Path": Path}
    namespace = {**names, "options": SimpleNamespace(data=path)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)  # rows that end with a delimiter
        exec(compile(code, path.name, "exec"), namespace)
    return namespace


def readable(path: Path, keys: DataKeys) -> Dataset | None:
    try:
        dataset = read_dataset(path, keys)
    except BadInput:  # there are tables that must be refused
        return None
    # No script is written for arrays in their shape, or for rows that come divided.
    return dataset if dataset.columns and dataset.train_rows is None else None


@pytest.mark.parametrize("keys", READINGS, ids=["usual", "ordinal", "whole rows"])
def test_a_network_reads_every_table_as_in_the_study(keys: DataKeys) -> None:
    different, compared = [], 0
    for path in TABLES:
        dataset = readable(path, keys)
        if dataset is None or len(dataset.targets) < 3:
            continue
        try:
            split = split_rows(dataset, "random", 0.33, 1)
        except BadInput:  # a class without rows to train on
            continue
        found = run_code(write_table_code(dataset, split), path)
        shift, scale = split.target_unit
        targets = dataset.targets if dataset.classes else (dataset.targets - shift) / scale
        same = np.allclose(found["inputs"], split.preparation.apply(dataset.values), rtol=1e-5, atol=1e-5)
        if not (same and np.allclose(found["targets"], targets, atol=1e-5)):
            different.append(path.name)
        compared += 1
    assert different == []
    assert compared > 60
