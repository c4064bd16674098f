"""What may be ordered from afar: registered data sets and models and the catalogue's schedules, by their names.

It stands alone because it is the one gate between a stranger's text and a process that trains: nothing that it lets
through names a file, a function or an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.config.registry import RegisteredData, Registry
from sweep.config.study_file import DataPlan, Plan, StudyFile, corners, read_plan, resolve
from sweep.data.table import Dataset
from sweep.errors import BadInput, NotFound
from sweep.schedules import CATALOGUE, Schedule
from sweep.search.session import split_rows
from sweep.verdict.status import searches

HIGHEST_WORK = 10_000_000  # trainings that one study may ask for


def admit(tables: Mapping[str, Any], registry: Registry) -> Plan:
    """Return the plan that the tables of a study file from afar describe, with what the registry knows filled in.

    Raises:
        BadInput: for whatever a study file may not hold, and for files, functions and too much work besides.
    """
    _refuse_places(tables)
    plan = read_plan(tables)
    for schedule in all_schedules(plan):
        require_ours(schedule, "search.schedules")
    wanted = sum(each.search.trials * each.search.replicates for each in searches(plan, search_only=False).values())
    if wanted > HIGHEST_WORK:
        raise BadInput("search.trials", f"must ask for at most {HIGHEST_WORK:,} trainings in all, got {wanted:,}.")
    return resolve(plan, registry)


def check_rows(plan: Plan, registry: Registry, read: Callable[[Registry, str], Dataset]) -> None:
    """Raise `BadInput` if the plan's data cannot be read, or not be split as it says; `read` reads them by name."""
    split_rows(StudyFile(Path("-"), plan, registry), read(registry, str(plan.data.name)))


def _refuse_places(tables: Mapping[str, Any]) -> None:
    """Refuse files and functions before anything else is said about them."""
    for table, key, instead in (("data", "file", "data set"), ("model", "build", "model")):
        section = tables.get(table)
        if isinstance(section, Mapping) and section.get(key) is not None:
            field = f"{table}.{key}"
            raise BadInput(field, f"cannot be given to a server; name a registered {instead} by `{table}.name`.")


def require_ours(schedule: Schedule, field: str) -> None:
    """Raise `BadInput` for a schedule whose rates come from somebody's function."""
    if schedule.foreign_functions:
        raise BadInput(field, "a function of one's own cannot be given to a server; use schedules of the catalogue.")


def all_schedules(plan: Plan) -> Iterator[Schedule]:
    """Yield schedules such that everything which the plan may train is of the kind of one of them."""
    for name, spaces in plan.search.schedules.items():
        for values in corners(spaces):
            yield CATALOGUE[name].model_validate({"learning_rate": 0.1, **values})
    yield from (candidate.schedule for candidate in (*plan.candidates, *plan.quoted))


def named_data(plan: Plan, sha256: str, registered: Mapping[str, tuple[RegisteredData, Dataset]]) -> Plan:
    """Return a plan with its data file replaced by the name of the registered data set that holds the same.

    Args:
        plan: which may name a file that only its maker has.
        sha256: of that file.
        registered: what the registry holds.

    Raises:
        NotFound: if no registered data set is the same.
    """
    if plan.data.file is None:
        return plan
    for name, (known, dataset) in registered.items():
        same = dataset.sha256 == sha256 and (known.header, known.label) == (plan.data.header, plan.data.label)
        if same:
            data = DataPlan(name=name, header=known.header, label=known.label)
            return plan.model_copy(update={"data": data})
    raise NotFound("data.file", "no data set in the server's registry is the same file, read in the same way.")
