"""What `sweep train --resume` continues from: one file in a folder, replaced as a whole after each epoch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweep.errors import BadInput
from sweep.files import replace_file
from sweep.space import Value

FILE = "checkpoint.npz"
FORMAT = 2
PARTS = ("model", "optimizer")

Arrays: TypeAlias = Sequence[NDArray[Any]]
Setting: TypeAlias = Mapping[str, Value | None]


@dataclass(frozen=True)
class Snapshot:
    """Every variable of a network and of its optimizer, in Keras' order."""

    model: Arrays
    optimizer: Arrays


@dataclass(frozen=True)
class Checkpoint:
    """A training after a whole epoch.

    Attributes:
        setting: what must not change before it is continued, by dotted name.
        epochs: the budget that its schedule reckons with.
        curves: what each epoch showed, by name, `[epochs trained]`.
        state: what a closed-loop schedule remembers.
        last: the network after the last of these epochs.
        best: the network after the best of them.
    """

    setting: Setting
    epochs: int
    curves: Mapping[str, list[float]]
    state: Mapping[str, float | str]
    last: Snapshot
    best: Snapshot

    @property
    def trained(self) -> int:
        """The number of epochs trained."""
        return len(self.curves["loss"])

    def write(self, folder: Path) -> None:
        """Replace the folder's checkpoint; a process that is killed meanwhile leaves the one before."""
        document = {
            "format": FORMAT,
            "setting": dict(self.setting),
            "epochs": self.epochs,
            "curves": dict(self.curves),
            "state": dict(self.state),
        }
        arrays = {
            f"{name}_{part}_{place:04}": array
            for name, snapshot in (("last", self.last), ("best", self.best))
            for part in PARTS
            for place, array in enumerate(getattr(snapshot, part))
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = np.array(json.dumps(document))
        replace_file(folder / FILE, lambda path: np.savez(path, document=text, **arrays), "checkpoint")


def exists(folder: Path) -> bool:
    """Say whether a folder holds a checkpoint."""
    return (folder / FILE).is_file()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a folder's checkpoint.

    Raises:
        BadInput: if there is none, or its file is damaged or of another version.
    """
    if not exists(folder):
        raise BadInput("resume", f"there is no checkpoint in `{folder}`; the first run goes without --resume.")
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored.items())
        document = json.loads(str(arrays.pop("document")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput("checkpoint", f"`{folder / FILE}` cannot be read: {error}.") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise BadInput("checkpoint", f"`{folder / FILE}` must be of format {FORMAT}, got {found}.")
    last, best = (
        Snapshot(*([arrays[key] for key in sorted(arrays) if key.startswith(f"{name}_{part}_")] for part in PARTS))
        for name in ("last", "best")
    )
    try:
        kept = {name: document[name] for name in ("setting", "epochs", "curves", "state")}
        return Checkpoint(**kept, last=last, best=best)
    except KeyError as error:
        raise BadInput("checkpoint", f"`{folder / FILE}` is damaged: {error} is missing.") from error


def check_setting(checkpoint: Checkpoint, setting: Setting, epochs: int) -> None:
    """Raise `BadInput` naming the first thing in which a training differs from the checkpoint's."""
    for name in (*setting, *checkpoint.setting):
        values = checkpoint.setting.get(name), setting.get(name)
        if values[0] != values[1]:
            there, here = ("not set" if value is None else value for value in values)
            raise BadInput(name, f"must be as in the checkpoint, {there}, got {here}.")
    if epochs < checkpoint.epochs:
        raise BadInput("epochs", f"must be at least the checkpoint's {checkpoint.epochs}, got {epochs}.")
