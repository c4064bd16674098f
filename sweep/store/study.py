"""What a study keeps besides its trials: what it was made from, and JSON documents by name.

Documents are Optuna's system attributes, which its dashboard does not list, and which go with the study when it is
copied or deleted. The names of ours begin with `sweep:`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweep.config.plan import Plan
from sweep.config.study_file import read_kept_plan
from sweep.errors import BadInput
from sweep.seeds import Stage, run_seeds
from sweep.store.database import Database
from sweep.store.growth import GROWTH, PROPOSING, first_era, grow
from sweep.store.optuna_schema import STUDY_SYSTEM
from sweep.store.queries import VALUED_BY, StoredStudy
from sweep.task import METRICS

if TYPE_CHECKING:
    import optuna

PACKAGES = ("sweep", "tensorflow", "keras", "optuna", "numpy", "pandas", "scikit-learn", "sqlalchemy")
# What may change between two runs of one study, by table: how much is searched, what decides afterwards and where the
# data are; the data's own digest shows whether they are the same.
CHANGEABLE = {"search": {"trials", "budget", "widen"}, "data": {"file", "name"}, "": {"baseline", "verdict", "note"}}
# And what may change where the study grows, `sweep.store.growth`: what comes next, never how a candidate is trained.
GROWING = CHANGEABLE | {"search": {*CHANGEABLE["search"], *PROPOSING}, "": {*CHANGEABLE[""], "recipes"}}
# Optuna itself cannot drop an attribute: an empty text in its place means that there is none.
DROPPED = '""'


def open_study(database: Database, plan: Plan, data_sha256: str, replicates: int | None = None) -> optuna.Study:
    """Load the plan's study, or make it with everything that traces it.

    `replicates` are the run seeds of each candidate from now on, if they are fewer than the plan's for want of time.

    Raises:
        BadInput: if the stored study has trials from another plan or other data.
    """
    import optuna  # noqa: PLC0415 - `sweep compare` reads documents without it

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a run shows its progress itself
    wanted_direction = METRICS[plan.metric].direction
    study = optuna.create_study(
        storage=database.storage, study_name=plan.name, direction=wanted_direction, load_if_exists=True
    )
    kept, begun = study.user_attrs, StoredStudy(database, plan.name).count_finished() > 0
    if begun and "plan" in kept:
        check_same_plan(
            kept["plan"], plan, "give the study another name, or another --storage, or state what it has.", GROWING
        )
    directions = [direction.name.lower() for direction in study.directions]
    # Before a trial could be ranked by another metric than accuracy, this was its value, whatever ranked.
    is_old = plan.metric == "log_loss" and directions == ["maximize"]
    if directions != [wanted_direction] and not is_old:
        rule = f"does not {wanted_direction} one value, as {plan.metric} is to be"
        raise BadInput("name", f"the stored study `{plan.name}` {rule}; choose another name.")
    seeds = {
        Stage.SEARCH: plan.search.replicates,
        Stage.SELECTION: plan.verdict.selection_seeds,
        Stage.CONFIRMATION: plan.verdict.confirmation_seeds,
        Stage.NEW_ROWS: plan.verdict.split_seeds,
    }
    wanted: dict[str, Any] = {
        # Of each stage, the first seed and how many it takes; a later confirmation goes on behind its own.
        "run_seeds": {stage: {"first": run_seeds(stage, 1).start, "number": count} for stage, count in seeds.items()},
        "quoted_baseline": plan.baseline.accuracy if plan.baseline else None,
        "plan": document_of(plan),
        VALUED_BY: "accuracy" if is_old else plan.metric,
    }
    if begun and "plan" in kept:
        if kept["data_sha256"] != data_sha256:
            raise BadInput("data.file", f"it has changed since the study `{plan.name}` was begun.")
        with StoredStudy(database, plan.name).reading() as found:
            if found.plan is not None:
                # Before the plan, so that a run cut short tries again.
                wanted = grow(found, found.plan, plan, replicates) | wanted
    else:
        wanted |= first_era(replicates, plan) if replicates or GROWTH in kept else {}
        wanted |= {
            "data_sha256": data_sha256,
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
            "commit": git_commit(),
        }
    for key, value in wanted.items():
        if kept.get(key, ...) != value:
            study.set_user_attr(key, value)
    return study


def check_same_plan(
    stored: dict[str, Any], plan: Plan, instead: str, changeable: Mapping[str, Collection[str]] = CHANGEABLE
) -> None:
    """Raise `BadInput` if a stored plan has something else where nothing may change; `instead` is what to do then."""
    before = with_defaults(stored)
    changed = _first_difference(before, document_of(plan, before), changeable)
    if changed:
        field, *values = changed
        old, new = ("nothing there" if value is None else json.dumps(value) for value in values)
        raise BadInput(field, f"the stored study `{plan.name}` has {old}, not {new}; {instead}")


def document_of(plan: Plan, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a plan as a study keeps it: a metric that is not settled is the default of the stored plan's task."""
    document = plan.model_dump(mode="json")
    before = METRICS.get((stored or {}).get("search", {}).get("metric"))
    if before is None:
        document["search"]["metric"] = plan.metric
    else:
        document["search"]["metric"] = plan.metric_of((stored or {}).get("data", {}).get("task") or before.tasks[0])
    return document


def with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored plan with the keys that study files did not have yet when it was stored."""
    try:
        return read_kept_plan(stored).model_dump(mode="json")
    except BadInput:  # it names what is no longer there; the comparison shows what
        return stored


def _first_difference(
    stored: Any, wanted: Any, changeable: Mapping[str, Collection[str]], path: tuple[str, ...] = ()
) -> tuple[str, Any, Any] | None:
    if path[:1] and path[-1] in changeable.get(".".join(path[:-1]), ()):
        return None
    if isinstance(stored, dict) and isinstance(wanted, dict):
        pairs = ((stored.get(key), wanted.get(key), (*path, key)) for key in {**wanted, **stored})
        return next(filter(None, (_first_difference(old, new, changeable, where) for old, new, where in pairs)), None)
    return None if stored == wanted else (".".join(path), stored, wanted)


def cpu_name() -> str:
    """Return the processor's name, as far as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def git_commit() -> str | None:
    """Return the commit that this package runs from, with a `+` if files differ from it; None outside a clone."""
    here, found = Path(__file__).parent, list[str]()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
            told = subprocess.run(("git", *words), cwd=here, capture_output=True, text=True, check=True, timeout=5)
            found.append(told.stdout.strip())
        return found[0] + ("+" if found[1] else "")
    return None


def read_documents(connection: Connection, study_id: int, prefix: str) -> dict[str, str]:
    """Return the study's documents whose names begin with `prefix`, as JSON texts."""
    begins = sa.func.substr(STUDY_SYSTEM.c.key, 1, len(prefix)) == prefix
    rows = connection.execute(STUDY_SYSTEM.select().where(STUDY_SYSTEM.c.study_id == study_id, begins))
    return {row.key: row.value_json for row in rows if row.value_json != DROPPED}


def write_documents(database: Database, study_id: int, documents: Mapping[str, str], drop: Iterable[str] = ()) -> None:
    """Write JSON texts by name in place of what was there, and drop those in `drop`, in one transaction."""
    dropped = [name for name in drop if name not in documents]
    if database.is_newer:
        for name, document in {**documents, **dict.fromkeys(dropped, DROPPED)}.items():
            database.storage.set_study_system_attr(study_id, name, json.loads(document))
        return
    replaced = (STUDY_SYSTEM.c.study_id == study_id) & STUDY_SYSTEM.c.key.in_([*documents, *dropped])
    with database.writing() as connection:
        connection.execute(STUDY_SYSTEM.delete().where(replaced))
        if documents:
            rows = [{"study_id": study_id, "key": key, "value_json": value} for key, value in documents.items()]
            connection.execute(STUDY_SYSTEM.insert(), rows)
