"""The study file: where a plan is written, by whom it is read, and what its names mean."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sweep.config.plan import Plan, settle_metric
from sweep.config.registry import NAME_RULE, NO_NAMES, Registry, read_registry
from sweep.config.verdict_plan import kept_verdict
from sweep.data.arrays import Arrays, call_source
from sweep.data.table import DataKeys, Dataset
from sweep.errors import BadInput, field_name, first_problem, nearest
from sweep.schedules.foreign import explain_word
from sweep.space import Range, Value

OF_ANOTHER = "unknown key for this `name`; another one has it."
PATTERNS = dict.fromkeys(("name", "data.name", "model.name"), NAME_RULE) | {"model.build": "`module:function`"}
PATTERNS["data.function"] = PATTERNS["model.build"]


@dataclass(frozen=True)
class StudyFile:
    """A plan, the file that it was read from, and the registry of the names in it."""

    path: Path
    plan: Plan
    registry: Registry = NO_NAMES

    def settled(self, dataset: Dataset) -> StudyFile:
        """Return the study file with what was found in its data stated, as a study keeps it.

        Raises:
            BadInput: as `settle_metric` does; for the loss of a model that is not the user's own.
        """
        data = self.plan.data.model_copy(update={key: getattr(dataset.keys, key) for key in DataKeys.model_fields})
        plan, split = settle_metric(self.plan, dataset.task), self.plan.split
        if plan.metric == "loss" and self.build is None:
            able = ", ".join(each.name for each in dataset.task.metrics)
            raise BadInput("search.metric", f"must be one of {able}, since loss is that of a model of `model.build`.")
        if dataset.train_rows is not None and "kind" not in split.model_fields_set:
            split = split.model_copy(update={"kind": "given", "splits": None})
        if dataset.train_rows is not None and split.kind == "given":  # new draws are of the same size
            rows = dataset.rows
            split = split.model_copy(update={"fraction": (rows - dataset.train_rows - 0.5) / rows})
        return replace(self, plan=plan.model_copy(update={"data": data, "split": split}))

    @property
    def data_path(self) -> Path:
        """The data file, found from the study file's own folder, or by its registered name; refuses a function."""
        data = self.plan.data
        if data.function is not None:
            raise BadInput("data.function", f"must be a file for this, got the function `{data.function}`.")
        return self.path.parent / data.file if data.file is not None else self.registry.data_path(str(data.name))

    def source(self) -> Path | Arrays:
        """Return where the rows are read from: a file, or the arrays that a function of the user's own gives.

        Raises:
            BadInput: as `call_source` does.
        """
        function = self.plan.data.function
        return self.data_path if function is None else call_source(function)

    @property
    def build(self) -> str | None:
        """The function that builds the model, its own or a registered one; None for a stack of hidden layers."""
        model = self.plan.model
        return model.build if model.name is None else self.registry.model(model.name).build


def read_study_file(path: Path, overrides: Mapping[str, Value] | None = None) -> StudyFile:
    """Read and check a study file; `overrides` replace values by dotted name, e.g. `search.trials`, or `name`.

    A file that is missing, is not TOML or JSON, or breaks a rule raises `BadInput`, which names the first wrong key.
    """
    registry = read_registry()
    return StudyFile(path, resolve(read_as_written(path, overrides), registry), registry)


def read_as_written(path: Path, overrides: Mapping[str, Value] | None = None) -> Plan:
    """Read a study file as `read_study_file`, but for the names that a registry explains, which may be a server's."""
    table = (
        "" if path.suffix in (".toml", ".json") else f"; `sweep data {path} --write study.toml` makes one of a table"
    )
    try:
        tables = parse_tables(path.read_text(encoding="utf-8"), "JSON" if path.suffix == ".json" else "TOML")
    except FileNotFoundError as error:
        near = nearest(str(path), map(str, path.parent.glob("*.toml")))
        raise BadInput("study", f"there is no file `{path}`{near}") from error
    except UnicodeDecodeError as error:
        raise BadInput("study", f"`{path}` cannot be read: it is not UTF-8 text{table}.") from error
    except OSError as error:
        raise BadInput("study", f"`{path}` cannot be read: {error.strerror or error}.") from error
    except BadInput as error:
        raise BadInput("study", f"`{path}` {error.reason.removesuffix('.')}{table}.") from error
    for dotted, value in (overrides or {}).items():
        name, _, key = dotted.partition(".")
        if not key:
            tables[name] = value
            continue
        given = tables.get(name, {})
        if isinstance(given, Mapping):  # or the plan will say
            tables[name] = {**given, key: value}
    return read_plan(tables)


def parse_tables(text: str, language: Literal["TOML", "JSON"]) -> dict[str, Any]:
    """Return the tables that a study file holds, unchecked; `BadInput` on `study` for text that is none."""

    def refuse_constant(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    try:
        tables = json.loads(text, parse_constant=refuse_constant) if language == "JSON" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput("study", f"is not valid {language}: {error}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise BadInput("study", f"cannot be read: {error}.") from error
    if not isinstance(tables, dict):
        raise BadInput("study", "must be a JSON object.")
    return tables


@lru_cache(maxsize=256)
def read_plan_text(document: str) -> Plan:
    """Check a study file that is kept as JSON, once for each text: it is read again and again, and takes 25 ms.

    `BadInput` is raised as by `read_plan`.
    """
    return read_kept_plan(json.loads(document))


def read_kept_plan(tables: Mapping[str, Any]) -> Plan:
    """Check the tables of a study file as a database or a server keeps it, maybe since before there were all keys."""
    search = tables.get("search")
    if isinstance(search, Mapping) and search.get("metric") is None:
        tables = {**tables, "search": {**search, "metric": "accuracy"}}
    data = tables.get("data")
    if isinstance(data, Mapping) and "scale" not in data:  # every column was a number, and read as it was
        tables = {**tables, "data": {"task": "classes", **data, "scale": "none"}}
    if "verdict" in tables:
        tables = {**tables, "verdict": kept_verdict(tables["verdict"])}
    return read_plan(tables)


def read_plan(tables: Mapping[str, Any]) -> Plan:
    """Check the tables of a study file, wherever they come from.

    `BadInput` names the first wrong key. An unknown one, with the nearest valid one, comes before all others, as a typo
    explains the missing key.
    """
    try:
        return Plan.model_validate(tables)
    except ValidationError as error:
        complaints = error.errors(include_url=False)
        unknown = next((complaint for complaint in complaints if complaint["type"] == "extra_forbidden"), None)
        if unknown is not None:
            *parents, key = field_name(unknown["loc"]).split(".")
            known, prefix = _keys_beside(parents), "".join(f"{parent}." for parent in parents)
            told = OF_ANOTHER if key in known else f"unknown key{explain_key(key, known, prefix)}"
            raise BadInput(prefix + key, told) from error
        field = field_name(complaints[0]["loc"])
        if complaints[0]["type"] == "string_pattern_mismatch":
            raise BadInput(field, f"must be {PATTERNS[field]}, got {complaints[0]['input']!r}.") from error
        raise first_problem(error) from error


def explain_key(word: str, known: Collection[str], prefix: str = "") -> str:
    """Return what an unknown key or option means: a key of another table, a word of others, or one of `known` misspelt.

    It is the end of a complaint, from its comma on; known words are shown behind `prefix`.
    """
    key = word.lstrip("-").replace("-", "_") if word.startswith("--") else word
    tables = [table for table in Plan.model_fields if key != "name" and key in _keys_beside([table])]
    if told := explain_word(key):
        return f"; {told}"
    if near := nearest(word, known):
        return near.replace("`", f"`{prefix}", 1)
    if key in Plan.model_fields or tables:
        place = key if key in Plan.model_fields else f"{tables[0]}.{key}"
        return f"; it is `{place}`{' of the study file' if key != word else ''}."
    return f"; there are {', '.join(known)}." if known and key == word else ""


def _keys_beside(parents: list[str]) -> list[str]:
    """Return the keys of the table at `parents`, of all its forms if it has several, such as an optimizer's."""
    model: Any = Plan
    for parent in parents:
        field = model.model_fields.get(parent) if isinstance(model, type) and hasattr(model, "model_fields") else None
        model = field.annotation if field else Range
    forms = [model] if hasattr(model, "model_fields") else list(getattr(model, "__args__", ()))
    bare = [getattr(form, "__origin__", form) for form in forms]  # the model inside an `Annotated`
    return [key for form in bare if hasattr(form, "model_fields") for key in form.model_fields]


def resolve(plan: Plan, registry: Registry) -> Plan:
    """Return the plan with what the registry knows of its data filled in.

    A name that is not registered raises `NotFound`, a plan that reads the data otherwise than the registry `BadInput`.
    """
    if plan.model.name is not None:
        registry.model(plan.model.name)
    if plan.data.name is None:
        return plan
    registered = registry.data(plan.data.name)
    known = {key: value for key in DataKeys.model_fields if (value := getattr(registered, key)) is not None}
    for key, value in known.items():
        told = getattr(plan.data, key)
        if key in plan.data.model_fields_set and told not in (None, value):
            raise BadInput(f"data.{key}", f"the registry has {value!r} for `{plan.data.name}`, got {told!r}.")
    return plan.model_copy(update={"data": plan.data.model_copy(update=known)})
