"""Atomic file replacement: a process killed while it writes leaves the old file or the new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sweep.errors import BadInput


def replace_file(path: Path, write: Callable[[Path], object], field: str) -> None:
    """Let `write` make a file beside `path`, with the same suffix, then put it in its place at once.

    Raises:
        BadInput: if it cannot be written; `field` is what the error blames.
    """
    beside = None
    try:
        target, beside = find_places(path, field)
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        raise BadInput(field, f"`{path}` cannot be written: {error.strerror or error}.") from error
    finally:
        if beside is not None and beside.parent.is_dir():
            beside.unlink(missing_ok=True)


def find_places(path: Path, field: str) -> tuple[Path, Path]:
    """Return the file that `path` resolves to, so that a link stays one, and the file to write beside it.

    It raises `BadInput` for what is no file, such as a folder, a device or a pipe.
    """
    try:
        target = path.resolve()
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise BadInput(field, f"`{path}` cannot be written: {error}.") from error
    if target.exists() and not target.is_file():
        raise BadInput(field, f"must be a file, and `{path}` is none.")
    return target, target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")


def check_place(path: Path, field: str) -> None:
    """Raise `BadInput` now if `replace_file` would have to later, by making a file beside and removing it."""
    try:
        _, beside = find_places(path, field)
        beside.touch()
        beside.unlink()
    except OSError as error:
        raise BadInput(field, f"`{path}` cannot be written: {error.strerror or error}.") from error


def make_folder(path: Path, field: str) -> None:
    """Make a folder in which files can be made, unless it is there; raise `BadInput` if that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(field, f"`{path}` cannot be made a folder: {error.strerror or error}.") from error
    check_place(path / "place", field)
