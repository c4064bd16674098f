"""Files written whole: beside their place first, then put there at once.

It stands alone because whoever is killed while writing, in whatever layer, must leave the old file or the new one.
"""

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
    try:
        target = path.resolve()  # a link stays one
        beside = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    except (OSError, RuntimeError) as error:  # RuntimeError is a loop of links before Python 3.13
        raise BadInput(field, f"`{path}` cannot be written: {error}.") from error
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        raise BadInput(field, f"`{path}` cannot be written: {error.strerror or error}.") from error
    finally:
        beside.unlink(missing_ok=True)
