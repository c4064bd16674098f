"""A study's lasting record: made once from a study file, and grown by whole rounds of finished trials.

Trials come into the database finished, so a coordinator that dies leaves nothing half done. Only trials that
somebody queued by hand, or left running in a plain `study.optimize`, are ever seen in another state.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.config.study_file import Plan, read_plan
from sweep.errors import BadInput, StorageFailed
from sweep.seeds import Stage, run_seeds
from sweep.space import Value
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.trials import TrialRecord

PACKAGES = ("sweep", "tensorflow", "keras", "optuna", "numpy", "pandas", "scikit-learn", "sqlalchemy")
# What may change between two runs of one study, by table: how much is searched, what decides afterwards and where the
# data lie, never what was searched; the data's own digest tells whether they are the same.
CHANGEABLE = {"search": {"trials"}, "data": {"file", "name"}, "": {"baseline", "verdict", "note"}}


@dataclass(frozen=True)
class FinishedTrial:
    """One evaluated candidate on its way into the database."""

    params: Mapping[str, Value]
    distributions: Mapping[str, BaseDistribution]
    value: float
    record: TrialRecord
    began: datetime


def open_study(database: Database, plan: Plan, data_sha256: str) -> optuna.Study:
    """Load the plan's study, or make it with everything that traces it.

    Raises:
        BadInput: if the stored study has trials from another plan or other data.
    """
    study = optuna.create_study(
        storage=database.storage, study_name=plan.name, direction="maximize", load_if_exists=True
    )
    if study.directions != [StudyDirection.MAXIMIZE]:
        raise BadInput("name", f"the stored study `{plan.name}` does not maximize one value; choose another name.")
    if StoredStudy(database, plan.name).count_finished() and "plan" in study.user_attrs:
        _check_same(study, plan, data_sha256)
    else:
        for key, value in provenance(data_sha256).items():
            study.set_user_attr(key, value)
    changing = {
        "run_seeds": stage_seeds(plan),
        "quoted_baseline": plan.baseline.accuracy if plan.baseline else None,
    }
    for key, value in changing.items():
        if study.user_attrs.get(key, ...) != value:
            study.set_user_attr(key, value)
    if study.user_attrs.get("plan") != (stored := plan.model_dump(mode="json")):
        study.set_user_attr("plan", stored)
    return study


def stage_seeds(plan: Plan) -> dict[str, dict[str, int]]:
    """Return the first run seed of each stage, and how many it takes; a later confirmation goes on behind its own."""
    verdict = plan.verdict
    numbers = {
        Stage.SEARCH: plan.search.replicates,
        Stage.SELECTION: verdict.selection_seeds,
        Stage.CONFIRMATION: verdict.confirmation_seeds,
        Stage.NEW_ROWS: verdict.split_seeds,
    }
    return {stage: {"first": run_seeds(stage, 1).start, "number": number} for stage, number in numbers.items()}


def provenance(data_sha256: str) -> dict[str, Any]:
    """Return what a result can be traced to: data, versions, machine and commit."""
    return {
        "data_sha256": data_sha256,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
        "commit": git_commit(),
    }


def put_back(database: Database, study_id: int) -> int:
    """Let the trials that a dead process left running wait again; return how many there were."""
    table = database.tables["trials"]
    stale = (table.c.study_id == study_id) & (table.c.state == TrialState.RUNNING.name)
    with database.writing() as connection:
        found = connection.execute(table.update().where(stale).values(state=TrialState.WAITING.name))
    return int(found.rowcount)


def store(database: Database, study_id: int, trials: Sequence[FinishedTrial]) -> None:
    """Write finished trials in one transaction, numbered in their order.

    Raises:
        StorageFailed: for a value that is not finite, which would make the study unreadable, or a refusal.
    """
    for trial in trials:
        if not math.isfinite(trial.value):
            raise StorageFailed(f"trial at position {trial.record.position} has the value {trial.value}.")
    if not trials:
        return
    tables, now = database.tables, datetime.now(UTC).replace(tzinfo=None)
    with database.writing() as connection:
        table = tables["trials"]
        last = sqlalchemy.select(sqlalchemy.func.max(table.c.number)).where(table.c.study_id == study_id)
        highest = connection.execute(last).scalar()
        first = 0 if highest is None else highest + 1
        heads = [
            {
                "number": first + place,
                "study_id": study_id,
                "state": TrialState.COMPLETE.name,
                "datetime_start": trial.began.astimezone(UTC).replace(tzinfo=None),
                "datetime_complete": now,
            }
            for place, trial in enumerate(trials)
        ]
        returning = table.insert().returning(table.c.trial_id, sort_by_parameter_order=True)
        ids = list(connection.execute(returning, heads).scalars())
        for name, rows in _parts(ids, trials).items():
            connection.execute(tables[name].insert(), rows)


def _parts(ids: Sequence[int], trials: Sequence[FinishedTrial]) -> dict[str, list[dict[str, Any]]]:
    pairs = list(zip(ids, trials, strict=True))
    return {
        "trial_values": [
            {"trial_id": number, "objective": 0, "value": trial.value, "value_type": "FINITE"}
            for number, trial in pairs
        ],
        "trial_params": [
            {
                "trial_id": number,
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for number, trial in pairs
            for name, distribution in trial.distributions.items()
        ],
        "trial_user_attributes": [
            {"trial_id": number, "key": key, "value_json": json.dumps(value, allow_nan=False)}
            for number, trial in pairs
            for key, value in trial.record.attributes().items()
        ],
    }


def _check_same(study: optuna.Study, plan: Plan, data_sha256: str) -> None:
    check_same_plan(study.user_attrs["plan"], plan, "give the study another name, or another --storage.")
    if study.user_attrs["data_sha256"] != data_sha256:
        raise BadInput("data.file", f"it has changed since the study `{plan.name}` was begun.")


def check_same_plan(stored: dict[str, Any], plan: Plan, instead: str) -> None:
    """Raise `BadInput` if a stored plan has something else where nothing may change; `instead` is what to do then."""
    changed = _first_difference(with_defaults(stored), plan.model_dump(mode="json"))
    if changed:
        field, old, new = changed
        raise BadInput(field, f"the stored study `{plan.name}` has {_shown(old)}, not {_shown(new)}; {instead}")


def _shown(value: Any) -> str:
    return "nothing there" if value is None else json.dumps(value)


def with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored plan with the keys that study files did not have yet when it was stored."""
    try:
        return read_plan(stored).model_dump(mode="json")
    except BadInput:  # it names what is no longer there; the comparison shows what
        return stored


def _first_difference(stored: Any, wanted: Any, path: tuple[str, ...] = ()) -> tuple[str, Any, Any] | None:
    if path[:1] and path[-1] in CHANGEABLE.get(".".join(path[:-1]), set()):
        return None
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in {**wanted, **stored}:
            found = _first_difference(stored.get(key), wanted.get(key), (*path, key))
            if found:
                return found
        return None
    return None if stored == wanted else (".".join(path), stored, wanted)


def cpu_name() -> str:
    """Return the processor's name, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """Return the commit that this package runs from, with a `+` if files differ from it; None outside a clone."""
    here = Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = [
            subprocess.run(
                ("git", *words), cwd=here, capture_output=True, text=True, check=True, timeout=5
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
        return found[0] + ("+" if found[1] else "")
    return None
