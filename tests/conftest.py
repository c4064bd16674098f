"""A real SQLite database for each test, closed at its end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.store.database import Database
from tests.fakes import opened


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make Optuna's schema once: it takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "studies.db"
    with opened(path) as database:
        assert database.storage.get_all_studies() == []
    return path


@pytest.fixture
def database(empty_file: Path, tmp_path: Path) -> Iterator[Database]:
    """Hold Optuna's schema, and no study."""
    shutil.copyfile(empty_file, tmp_path / "studies.db")
    with opened(tmp_path / "studies.db") as database:
        yield database


@pytest.fixture
def new_database(tmp_path: Path) -> Iterator[Database]:
    """Have a name, and no file yet."""
    with opened(tmp_path / "new.db") as database:
        yield database
