"""A real SQLite database for each test, closed at its end; one compile cache for all that the session starts."""

from __future__ import annotations

import atexit
import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import alembic.util
import pytest
from filelock import FileLock
from hypothesis import settings

from sweep.execution.compile_cache import CompileCache
from sweep.execution.worker import environment
from sweep.store.database import Database
from tests.engines.on_jax import OnJax
from tests.fakes import opened

MadeOnce: TypeAlias = Callable[[str, Callable[[Path], None]], Path]

# Set before anything loads TensorFlow, and inherited by every process that a test starts.
COMPILED = CompileCache(Path(__file__).parents[1] / ".pytest_cache" / "xla")
os.environ |= {"TF_XLA_FLAGS": environment(COMPILED.open()).get("TF_XLA_FLAGS", "")}
atexit.register(COMPILED.close)


# Alembic runs Optuna's ten revision files, which never change, for each storage that is opened: most of a short test.
run_file, kept = alembic.util.load_python_file, dict[Path, ModuleType]()


def load_python_file(dir_: str | os.PathLike[str], filename: str | os.PathLike[str]) -> ModuleType:
    path = Path(dir_) / filename
    if path.parent.name != "versions":
        return run_file(dir_, filename)
    if path not in kept:
        kept[path] = run_file(dir_, filename)
    return kept[path]


alembic.util.load_python_file = load_python_file

# A deadline would measure the machine, not the law; speed belongs in tests/bench.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores, since tests wait for servers and browsers a quarter of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def on_jax() -> Iterator[OnJax]:
    with OnJax() as process:
        yield process


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Return the file of a name that all workers share; whoever asks first has it made."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made_once(name: str, make: Callable[[Path], None]) -> Path:
        path = shared / name
        with FileLock(f"{path}.lock"):
            if not path.exists():
                make(path.with_name(f"unfinished-{name}"))
                path.with_name(f"unfinished-{name}").rename(path)
        return path

    return made_once


@pytest.fixture(scope="session")
def empty_file(made_once: MadeOnce) -> Path:
    """Make Optuna's schema once: it takes longer than most tests."""

    def make(path: Path) -> None:
        with opened(path) as database:
            assert database.storage.get_all_studies() == []

    return made_once("empty.db", make)


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


@pytest.fixture
def database_before(tmp_path: Path) -> Iterator[Database]:
    """Hold what an earlier version stored; `tests/data_before/README.md` says what."""
    packed = Path(__file__).with_name("data_before") / "studies.db.gz"
    (tmp_path / "before.db").write_bytes(gzip.decompress(packed.read_bytes()))
    with opened(tmp_path / "before.db") as database:
        yield database
