"""What `sweep train --resume` continues from: one file in a folder, replaced as a whole after each epoch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sweep.errors import BadInput
from sweep.files import replace_file
from sweep.space import Value

FILE = "checkpoint.npz"
FORMAT = 2
DOCUMENT = ("setting", "epochs", "curves", "state")  # what is kept as text
PARTS = ("model", "optimizer")

Arrays: TypeAlias = Sequence[NDArray[Any]]
Setting: TypeAlias = Mapping[str, Value | None]


@dataclass(frozen=True)
class Snapshot:
    """Every variable of a network, random states among them, and of its optimizer, in Keras' order."""

    model: Arrays
    optimizer: Arrays

    @classmethod
    def of(cls, model: Any) -> Self:
        """Copy the variables of a Keras model that is being trained."""
        return cls(*([np.asarray(variable).copy() for variable in each.variables] for each in (model, model.optimizer)))

    def restore(self, model: Any) -> None:
        """Set every variable of a model as it was."""
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        for each, arrays in ((model, self.model), (model.optimizer, self.optimizer)):
            for variable, array in zip(each.variables, arrays, strict=True):
                variable.assign(array)


@dataclass(frozen=True)
class Checkpoint:
    """A training after a whole epoch.

    `setting` is what must not change before it is continued, by dotted name; `epochs` the budget that its schedule
    reckons with; `curves` what each epoch showed, by name, `[epochs trained]`; `state` what a closed-loop schedule
    remembers; `last` and `best` the network after the last and the best of these epochs.
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
        arrays = {
            f"{name}_{part}_{place:04}": array
            for name, snapshot in (("last", self.last), ("best", self.best))
            for part in PARTS
            for place, array in enumerate(getattr(snapshot, part))
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = np.array(json.dumps({"format": FORMAT} | {name: getattr(self, name) for name in DOCUMENT}))
        replace_file(folder / FILE, lambda path: np.savez(path, document=text, **arrays), "checkpoint")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's checkpoint.

        Raises:
            BadInput: if there is none, or its file is damaged or of another version.
        """
        if not exists(folder):
            raise BadInput("resume", f"there is no checkpoint in `{folder}`; the first run goes without --resume.")
        file = folder / FILE
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                arrays = dict(stored.items())
            document = json.loads(str(arrays.pop("document")))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput("checkpoint", f"`{file}` cannot be read: {error}.") from error
        found = document.get("format") if isinstance(document, dict) else None
        if found != FORMAT:
            raise BadInput("checkpoint", f"`{file}` must be of format {FORMAT}, got {found}.")
        last, best = (
            Snapshot(*([arrays[key] for key in sorted(arrays) if key.startswith(f"{name}_{part}_")] for part in PARTS))
            for name in ("last", "best")
        )
        try:
            return cls(**{name: document[name] for name in DOCUMENT}, last=last, best=best)
        except KeyError as error:
            raise BadInput("checkpoint", f"`{file}` is damaged: {error} is missing.") from error

    def check_setting(self, setting: Setting, epochs: int) -> None:
        """Raise `BadInput` naming the first thing in which a training differs from this one."""
        for name in (*setting, *self.setting):
            there, here = self.setting.get(name), setting.get(name)
            if there != here:
                there, here = ("not set" if value is None else value for value in (there, here))
                raise BadInput(name, f"must be as in the checkpoint, {there}, got {here}.")
        if epochs < self.epochs:
            raise BadInput("epochs", f"must be at least the checkpoint's {self.epochs}, got {epochs}.")


def exists(folder: Path) -> bool:
    """Say whether a folder holds a checkpoint."""
    return (folder / FILE).is_file()
