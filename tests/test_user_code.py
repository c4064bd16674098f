"""Laws of finding the user's own functions."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sweep.errors import BadInput
from sweep.user_code import find_function, limited

MODULE = "a_module_of_the_user"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in an empty working directory, and forget what was imported from it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop(MODULE, None)


def test_a_function_of_an_installed_module_is_found() -> None:
    assert find_function("math:sqrt", "function") is math.sqrt


def test_a_function_of_a_module_in_the_working_directory_is_found(folder: Path) -> None:
    (folder / f"{MODULE}.py").write_text("def decay(epoch):\n    return 0.1 / (1 + epoch)\n", encoding="utf-8")
    assert find_function(f"{MODULE}:decay", "function")(1) == 0.05


@pytest.mark.parametrize("text", ["decay = abs\n", "raise ValueError\n", "import sys\nsys.path = []\n"])
def test_the_search_path_is_left_without_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / f"{MODULE}.py").write_text(text, encoding="utf-8")
    try:
        find_function(f"{MODULE}:decay", "function")
    except BadInput:
        assert text != "decay = abs\n"
    assert str(folder) not in sys.path


def test_a_working_directory_that_is_on_the_search_path_stays_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    find_function("math:sqrt", "function")
    assert str(folder) in sys.path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "must be `module:function`, got ''"),
        ("math", "must be `module:function`, got 'math'"),
        ("math:", "must be `module:function`, got 'math:'"),
        (":sqrt", "must be `module:function`, got ':sqrt'"),
        ("no_such_module:sqrt", "`no_such_module:sqrt` cannot be imported: ModuleNotFoundError: No module named"),
        (".relative:sqrt", "must be `module:function`, got '.relative:sqrt'"),
        ("math:squrt", "`math:squrt` cannot be found: module `math` has no `squrt`"),
        ("math:pi", "`math:pi` must be a function, got 3.14"),
    ],
)
def test_a_name_that_means_no_function_is_told(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        find_function(name, "model.build")
    assert caught.value.field == "model.build"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero"),
        ("def f(:\n", "cannot be imported: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_module_that_fails_when_imported_is_told(folder: Path, text: str, reason: str) -> None:
    (folder / f"{MODULE}.py").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=reason):
        find_function(f"{MODULE}:f", "function")


def endless() -> None:
    while True:
        pass


def stubborn() -> None:
    for _ in range(2):
        try:
            endless()
        except RuntimeError as error:
            last = error
    raise last


def forking() -> None:
    child = os.fork()
    assert child
    assert os.waitpid(child, 0)[1] == 0


class TestLimits:
    @pytest.mark.parametrize("function", [endless, stubborn])
    def test_a_function_without_an_end_is_interrupted_where_it_is(self, function: Callable[[], None]) -> None:
        with pytest.raises(RuntimeError, match=r"it took more than 0\.1 s") as caught:
            limited(0.1)(function)()
        assert "endless" in [entry.name for entry in caught.traceback]

    @pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX, where a test before has loaded it
    def test_a_fork_ends_at_once_and_is_told(self) -> None:
        with pytest.raises(RuntimeError, match="it forked the process"):
            limited()(forking)()

    def test_more_memory_than_there_is_is_refused_and_the_limit_is_as_before(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_AS)
        with pytest.raises(MemoryError):
            limited()(np.empty)(2**41, np.uint8)
        assert resource.getrlimit(resource.RLIMIT_AS) == before
