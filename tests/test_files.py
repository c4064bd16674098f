"""Laws of writing a file whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.errors import BadInput
from sweep.files import replace_file


def test_a_file_is_made_or_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    for text in ("first", "second"):
        replace_file(tmp_path / "out.txt", lambda path, text=text: path.write_text(text), "out")  # type: ignore[misc]
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.txt", text)]


def test_an_interruption_leaves_the_old_file_alone(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    (tmp_path / "out.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "out.txt", write, "out")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.txt", "old")]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^plot: `.*/missing/out.txt` cannot be written: No such file or directory\.$"):
        replace_file(tmp_path / "missing" / "out.txt", lambda path: path.write_text("x"), "plot")
