"""First studies of small tables reach the scores of scikit-learn's networks on the same rows, within two errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import BUDGET, compare, written

SMALL = BUDGET | {"search.trials": 24, "search.replicates": 2, "verdict.confirmation_seeds": 16}


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_a_first_study_is_not_behind(name: str, tmp_path: Path) -> None:
    found = compare(written(name, tmp_path), tmp_path, SMALL)
    assert found.behind <= 2, found
