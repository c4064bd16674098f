"""Laws of writing a file whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweep.errors import BadInput
from sweep.files import check_place, make_folder, replace_file


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


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    replace_file(tmp_path / "link.txt", lambda path: path.write_text("new"), "out")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(BadInput, match=r"^out: must be a file, and `.*` is none\.$"):
            replace_file(place, lambda path: path.write_text("x"), "out")
    assert (tmp_path / "pipe").is_fifo()


def test_a_place_is_checked_without_leaving_anything(tmp_path: Path) -> None:
    check_place(tmp_path / "out.keras", "save")
    assert list(tmp_path.iterdir()) == []
    for place in (tmp_path / "missing" / "out.keras", tmp_path / ("x" * 300)):
        with pytest.raises(BadInput, match=r"^save: `.*` cannot be written: "):
            check_place(place, "save")


def test_a_folder_is_made_unless_something_is_in_its_way(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b", "checkpoint")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"^checkpoint: `.*` cannot be made a folder: "):
        make_folder(tmp_path / "file" / "b", "checkpoint")
