"""A stored study's life: made once from a study file, and grown by whole rounds of finished trials.

Trials come into the database finished, so a coordinator that dies leaves nothing half done. Only trials that somebody
queued by hand, or left running in a plain `study.optimize`, are ever in another state. A round is one transaction, a
twentieth of what Optuna takes to add the same trials one by one (tests/bench/README.md).
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
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.config.study_file import Plan, read_plan
from sweep.errors import BadInput, StorageFailed
from sweep.seeds import Stage, run_seeds
from sweep.space import Value
from sweep.store import optuna_copy
from sweep.store.database import Database
from sweep.store.optuna_schema import STUDIES, TRIALS, in_utc, insert_trials
from sweep.store.queries import StoredStudy
from sweep.store.trials import TrialRecord

PACKAGES = ("sweep", "tensorflow", "keras", "optuna", "numpy", "pandas", "scikit-learn", "sqlalchemy")
# What may change between two runs of one study, by table: how much is searched, what decides afterwards and where the
# data are, never what was searched; the data's own digest shows whether they are the same.
CHANGEABLE = {"search": {"trials"}, "data": {"file", "name"}, "": {"baseline", "verdict", "note"}}


@dataclass(frozen=True)
class FinishedTrial:
    """One evaluated candidate on its way into the database."""

    params: Mapping[str, Value]
    distributions: Mapping[str, BaseDistribution]
    value: float
    record: TrialRecord
    began: datetime

    def frozen(self) -> FrozenTrial:
        """Return the trial as Optuna has it; the database gives it its number and its id."""
        return FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.COMPLETE,
            value=self.value,
            datetime_start=self.began,
            datetime_complete=datetime.now(UTC),
            params=dict(self.params),
            distributions=dict(self.distributions),
            user_attrs=self.record.attributes(),
            system_attrs={},
            intermediate_values={},
        )


def store(database: Database, study_id: int, trials: Sequence[FinishedTrial]) -> None:
    """Write finished trials in one transaction, numbered in their order.

    Raises:
        StorageFailed: for a value that is not finite, which would make the study unreadable, or a refusal.
    """
    for trial in trials:
        if not math.isfinite(trial.value):
            raise StorageFailed(f"trial at position {trial.record.position} has the value {trial.value}.")
    frozen = [trial.frozen() for trial in trials]
    if database.is_newer:
        for each in frozen:
            database.storage.create_new_trial(study_id, template_trial=each)
    elif frozen:
        with database.writing() as connection:
            # Optuna locks the study's row, too, before it counts.
            connection.execute(sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
            last = sa.select(sa.func.coalesce(sa.func.max(TRIALS.c.number), -1)).where(TRIALS.c.study_id == study_id)
            first = connection.execute(last).scalar_one() + 1
            heads = [
                {
                    "number": first + place,
                    "study_id": study_id,
                    "state": trial.state.name,
                    "datetime_start": in_utc(trial.datetime_start),
                    "datetime_complete": in_utc(trial.datetime_complete),
                }
                for place, trial in enumerate(frozen)
            ]
            insert_trials(connection, heads, frozen)


def put_back(database: Database, study_id: int) -> int:
    """Let the trials that a dead process left running wait again; return how many there were."""
    if database.is_newer:
        return optuna_copy.put_back(database.storage, study_id)
    stale = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.RUNNING.name)
    with database.writing() as connection:
        found = connection.execute(TRIALS.update().where(stale).values(state=TrialState.WAITING.name))
    return int(found.rowcount)


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
    wanted: dict[str, Any] = {
        "run_seeds": stage_seeds(plan),
        "quoted_baseline": plan.baseline.accuracy if plan.baseline else None,
        "plan": plan.model_dump(mode="json"),
    }
    kept = study.user_attrs
    if StoredStudy(database, plan.name).count_finished() and "plan" in kept:
        check_same_plan(kept["plan"], plan, "give the study another name, or another --storage.")
        if kept["data_sha256"] != data_sha256:
            raise BadInput("data.file", f"it has changed since the study `{plan.name}` was begun.")
    else:
        wanted = provenance(data_sha256) | wanted
    for key, value in wanted.items():
        if kept.get(key, ...) != value:
            study.set_user_attr(key, value)
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


def check_same_plan(stored: dict[str, Any], plan: Plan, instead: str) -> None:
    """Raise `BadInput` if a stored plan has something else where nothing may change; `instead` is what to do then."""
    changed = _first_difference(with_defaults(stored), plan.model_dump(mode="json"))
    if changed:
        field, *values = changed
        old, new = ("nothing there" if value is None else json.dumps(value) for value in values)
        raise BadInput(field, f"the stored study `{plan.name}` has {old}, not {new}; {instead}")


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
        found = (_first_difference(stored.get(key), wanted.get(key), (*path, key)) for key in {**wanted, **stored})
        return next(filter(None, found), None)
    return None if stored == wanted else (".".join(path), stored, wanted)


def provenance(data_sha256: str) -> dict[str, Any]:
    """Return what a result can be traced to: data, versions, machine and commit."""
    return {
        "data_sha256": data_sha256,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
        "commit": git_commit(),
    }


def cpu_name() -> str:
    """Return the processor's name, as far as the system gives it."""
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
