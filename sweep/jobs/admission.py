"""What a server lets a client submit: registered data sets and models and the catalogue's schedules, by their names.

This is the one gate between a stranger's text and a process that trains: nothing that passes names a file, a function
or an address.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sweep.config.plan import DataPlan, Plan, corners
from sweep.config.registry import Registry
from sweep.config.study_file import StudyFile, read_plan, resolve
from sweep.data.arrays import NOTHING_BESIDE, Beside
from sweep.data.splitting import split_rows
from sweep.data.table import DataKeys, Dataset, read_dataset
from sweep.errors import BadInput, NotFound
from sweep.model import Answer
from sweep.schedules import CATALOGUE, Schedule
from sweep.verdict.baselines import searches
from sweep.verdict.timing import nested_trainings

HIGHEST_WORK = 10_000_000  # trainings that one study may ask for


class DatasetAnswer(Answer):
    """A registered data set: how it is read, what it holds, and the SHA-256 of its file; no class if it has numbers.

    `notes` say what was found and not stated, and what may be wrong.
    """

    name: str
    about: str
    sha256: str
    header: bool
    label: str | int
    reading: DataKeys
    rows: int
    features: int
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def admit(tables: Mapping[str, Any], registry: Registry) -> Plan:
    """Return the plan that the tables of a client's study file describe, with what the registry knows filled in.

    Raises:
        BadInput: for whatever a study file may not hold, and for files, functions and too much work besides.
    """
    # Files and functions are refused before anything else is said about them.
    for table, key, instead in (
        ("data", "file", "data set"),
        ("data", "function", "data set"),
        ("model", "build", "model"),
    ):
        section = tables.get(table)
        if isinstance(section, Mapping) and section.get(key) is not None:
            reason = f"cannot be given to a server; name a registered {instead} by `{table}.name`."
            raise BadInput(f"{table}.{key}", reason)
    plan = read_plan(tables)
    for name, spaces in plan.search.schedules.items():
        for values in corners(spaces):  # whatever a search may draw has the functions of one of its corners
            require_ours(CATALOGUE[name].model_validate({"learning_rate": 0.1, **values}), "search.schedules")
    for candidate in (*plan.candidates, *plan.quoted):
        require_ours(candidate.schedule, "search.schedules")
    wanted = sum(each.search.trials * each.search.replicates for each in searches(plan, search_only=False).values())
    wanted += nested_trainings(plan, plan.verdict.nested or 0)
    if wanted > HIGHEST_WORK:
        raise BadInput("search.trials", f"must ask for at most {HIGHEST_WORK:,} trainings in all, got {wanted:,}.")
    return resolve(plan, registry)


def require_ours(schedule: Schedule, field: str) -> None:
    """Raise `BadInput` for a schedule whose rates come from somebody's function."""
    if schedule.foreign_functions:
        raise BadInput(field, "a function of one's own cannot be given to a server; use schedules of the catalogue.")


def settle(plan: Plan, registry: Registry) -> Plan:
    """Return the plan with what was found in its registered data stated.

    Raises:
        BadInput: if the data cannot be read, or not be split or scored as the plan says.
    """
    split = plan.split
    dataset = read_once(registry.data_path(str(plan.data.name)), plan.data, split.beside)
    split_rows(dataset, split.kind, split.fraction, split.split_seed, split.turns)
    return StudyFile(Path("-"), plan, registry).settled(dataset).plan


def read_registered(registry: Registry, name: str) -> Dataset:
    """Read a registered data set, once for each state of its file; raise `BadInput` if it cannot be read."""
    return read_once(registry.data_path(name), registry.data(name))


def read_once(path: Path, keys: DataKeys, beside: Beside = NOTHING_BESIDE) -> Dataset:
    """Read a file, once for each state of it and each way to read it; raise `BadInput` if it cannot be read."""
    modified = path.stat().st_mtime_ns if path.exists() else 0
    return _read(str(path), modified, keys.keys.model_dump_json(), beside)


@lru_cache(maxsize=64)
def _read(path: str, _modified: int, keys: str, beside: Beside) -> Dataset:
    return read_dataset(Path(path), DataKeys.model_validate_json(keys), beside=beside)


def named_data(plan: Plan, sha256: str, registered: Collection[DatasetAnswer]) -> Plan:
    """Return a settled plan with its data file, of that SHA-256, replaced by the name of the registered one that it is.

    Raises:
        NotFound: if no registered data set is the same, read in the same way.
    """
    if plan.data.name is not None:
        return plan
    for known in registered:
        if (known.sha256, known.reading) == (sha256, plan.data.keys):
            data = DataPlan(name=known.name, **known.reading.model_dump())
            return plan.model_copy(update={"data": data})
    names = ", ".join(known.name for known in registered) or "none"
    reason = f"no data set in the server's registry is the same file, read in the same way; it has: {names}."
    raise NotFound("data.file", reason)
