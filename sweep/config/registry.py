"""The registry: an allow-list of data sets and models that study files may reference by name.

It is `data/registry.toml`, or the file that the variable `SWEEP_REGISTRY` names; over HTTP
a study may name nothing else.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from sweep.data.table import DataKeys
from sweep.errors import BadInput, NotFound, first_problem, nearest
from sweep.model import StrictModel
from sweep.user_code import FORM

VARIABLE = "SWEEP_REGISTRY"
DEFAULT = "data/registry.toml"

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
NAME_RULE = "1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
FunctionName = Annotated[str, StringConstraints(pattern=f"^{FORM.pattern}$")]


class RegisteredData(DataKeys):
    """A data set: its file, relative to the registry, and how to read it."""

    file: str
    about: str = ""


class RegisteredModel(StrictModel):
    """A model: the function `(features, classes) -> Keras model` that builds it."""

    build: FunctionName
    about: str = ""


Registered = TypeVar("Registered", RegisteredData, RegisteredModel)


class Registry(StrictModel):
    """Data sets and models by name, and the registry file that their paths are relative to.

    A name that is not registered raises `NotFound`, which names the nearest.
    """

    path: Annotated[Path, Field(strict=False)] = Path(DEFAULT)
    datasets: dict[Name, RegisteredData] = Field(default={})
    models: dict[Name, RegisteredModel] = Field(default={})

    def data(self, name: str) -> RegisteredData:
        """Return the data set called `name`."""
        return _find(self.datasets, name, "data.name", "data set")

    def data_path(self, name: str) -> Path:
        """Return the file of the data set called `name`."""
        return self.path.parent / self.data(name).file

    def model(self, name: str) -> RegisteredModel:
        """Return the model called `name`."""
        return _find(self.models, name, "model.name", "model")


def _find(registered: Mapping[str, Registered], name: str, field: str, kind: str) -> Registered:
    if name not in registered:
        raise NotFound(field, f"there is no {kind} `{name}` in the registry{nearest(name, registered)}")
    return registered[name]


NO_NAMES = Registry()


def read_registry(path: Path | None = None) -> Registry:
    """Read a registry file, by default the one of this process; one that is not there has no names in it."""
    place = path or Path(os.environ.get(VARIABLE) or DEFAULT)
    if not place.exists():
        return Registry(path=place)
    try:
        return Registry.model_validate({"path": place, **tomllib.loads(place.read_text(encoding="utf-8"))})
    except ValidationError as error:
        raise first_problem(error, "registry") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput("registry", f"`{place}` cannot be read: {error}.") from error
