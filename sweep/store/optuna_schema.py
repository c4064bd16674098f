"""Optuna's tables, which only this module names: columns, queries, and the rows of a trial.

`sweep.store.optuna_copy` reads and writes databases whose schema is newer than this one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Column, DateTime, Float, Integer, String, Text, bindparam, text
from sqlalchemy.engine import Connection

from sweep.space import Value
from sweep.task import METRICS, MetricName

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

KNOWN_SCHEMA = 12
HIGHEST_NUMBER = 2**31 - 1  # that a database can hold and so be asked for
METADATA = sa.MetaData()
Rows: TypeAlias = list[dict[str, Any]]


def _table(name: str, primary: str, /, **columns: Any) -> sa.Table:
    owned = [Column(column, kind, index=column in ("study_id", "trial_id")) for column, kind in columns.items()]
    return sa.Table(name, METADATA, Column(primary, Integer, primary_key=True), *owned)


def _attributes(owner: str, kind: str) -> sa.Table:
    name = f"{owner}_{kind}_attribute"
    return _table(f"{name}s", f"{name}_id", **{f"{owner}_id": Integer, "key": String(512), "value_json": Text})


DIRECTION = sa.Enum("NOT_SET", "MINIMIZE", "MAXIMIZE", name="studydirection")
STATE = sa.Enum("RUNNING", "WAITING", "COMPLETE", "PRUNED", "FAIL", name="trialstate")
VALUE_TYPE = sa.Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype")
STEP_TYPE = sa.Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")
TIMES = {"datetime_start": DateTime, "datetime_complete": DateTime}  # in UTC
STUDIES = _table("studies", "study_id", study_name=String(512))
DIRECTIONS = _table("study_directions", "study_direction_id", study_id=Integer, objective=Integer, direction=DIRECTION)
TRIALS = _table("trials", "trial_id", study_id=Integer, number=Integer, state=STATE, **TIMES)
PARAMS = _table(
    "trial_params", "param_id", trial_id=Integer, param_name=String(512), param_value=Float(53), distribution_json=Text
)
VALUES = _table(
    "trial_values", "trial_value_id", trial_id=Integer, objective=Integer, value=Float(53), value_type=VALUE_TYPE
)
STEPS = _table(
    "trial_intermediate_values",
    "trial_intermediate_value_id",
    trial_id=Integer,
    step=Integer,
    intermediate_value=Float(53),
    intermediate_value_type=STEP_TYPE,
)
HEARTBEATS = _table("trial_heartbeats", "trial_heartbeat_id", trial_id=Integer)
STUDY_USER, STUDY_SYSTEM = _attributes("study", "user"), _attributes("study", "system")
TRIAL_USER, TRIAL_SYSTEM = _attributes("trial", "user"), _attributes("trial", "system")
OF_STUDY = (DIRECTIONS, STUDY_USER, STUDY_SYSTEM)
OF_TRIAL = (VALUES, PARAMS, STEPS, TRIAL_USER, TRIAL_SYSTEM, HEARTBEATS)

# A JSON text of these characters alone is a number; a longer one is none of ours, and might not fit.
NUMBER = "TRIM({0}.value_json, '0123456789.eE+-') = '' AND LENGTH({0}.value_json) < 30"
WHOLE = "TRIM({0}.value_json, '0123456789') = '' AND LENGTH({0}.value_json) < 10"
FINISHED = f"""
    SELECT t.trial_id, t.number, v.value,
        CASE WHEN {NUMBER.format("l")} THEN CAST(l.value_json AS DOUBLE PRECISION) END AS log_loss,
        COALESCE(CASE WHEN {WHOLE.format("d")} THEN CAST(d.value_json AS INTEGER) END, 0) AS diverged,
        CASE WHEN {WHOLE.format("p")} THEN CAST(p.value_json AS INTEGER) END AS position
    FROM trials t
    JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE'
    LEFT JOIN trial_user_attributes l ON l.trial_id = t.trial_id AND l.key = 'log_loss'
    LEFT JOIN trial_user_attributes d ON d.trial_id = t.trial_id AND d.key = 'diverged'
    LEFT JOIN trial_user_attributes p ON p.trial_id = t.trial_id AND p.key = 'position'
    WHERE t.study_id = :study AND t.state = 'COMPLETE'
"""
# Between equals the one that was proposed first comes first, whichever arrived first; trials of others go before.
EQUALS = "position NULLS FIRST, number"


def best_first(metric: MetricName, valued_by: MetricName) -> str:
    """Return what puts finished trials in order, best first, where their values are scores by `valued_by`.

    Where a run that diverged has no worst score, a trial with one comes behind all trials without.
    """
    if metric == "log_loss" and valued_by == "accuracy":  # a study of before there were other metrics
        return f"CASE WHEN diverged = 0 THEN log_loss END NULLS LAST, value DESC, {EQUALS}"
    known = METRICS[metric]
    whole = "" if known.worst is not None else "CASE WHEN diverged = 0 THEN 0 ELSE 1 END, "
    return f"{whole}value {'DESC' if known.rises else 'ASC'}, log_loss NULLS LAST, {EQUALS}"


ANY_AFTER = text("""
    SELECT t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete, v.value
    FROM trials t
    LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE'
    WHERE t.study_id = :study AND t.number > :after ORDER BY t.number LIMIT :limit
""").columns(datetime_start=DateTime(), datetime_complete=DateTime())
NAMED_PARAMS = text("""
    SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json
    FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
    WHERE t.study_id = :study AND t.state = 'COMPLETE' AND p.param_name IN :names
""").bindparams(bindparam("names", expanding=True))
PARAM_NAMES = text("""
    SELECT DISTINCT p.param_name FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id
    WHERE t.study_id = :study
""")
COUNT_FINISHED = text("""
    SELECT COUNT(*) FROM trials t JOIN studies s ON s.study_id = t.study_id
    WHERE s.study_name = :name AND t.state = 'COMPLETE'
""")
COUNT_BY_STATE = text("SELECT state, COUNT(*) AS trials FROM trials WHERE study_id = :study GROUP BY state")
LATEST_FINISHED = text("""
    SELECT datetime_start, datetime_complete FROM trials
    WHERE study_id = :study AND state = 'COMPLETE' ORDER BY number DESC LIMIT 100
""")
VERSIONS = text("""
    SELECT s.study_name, s.study_id,
        (SELECT MAX(t.trial_id) FROM trials t WHERE t.study_id = s.study_id) AS latest,
        (SELECT COUNT(*) FROM trials t WHERE t.study_id = s.study_id AND t.state = 'COMPLETE') AS complete,
        (SELECT COUNT(*) FROM trials t WHERE t.study_id = s.study_id AND t.state = 'FAIL') AS failed,
        (SELECT SUM(LENGTH(a.value_json)) FROM study_user_attributes a WHERE a.study_id = s.study_id) AS told,
        (SELECT SUM(LENGTH(a.value_json)) FROM study_system_attributes a WHERE a.study_id = s.study_id) AS kept
    FROM studies s WHERE s.study_name IN :names
""").bindparams(bindparam("names", expanding=True, type_=String()))  # or an empty list has no type on PostgreSQL


def read_version(connection: Connection) -> int | None:
    """Return the version of the database's schema; None if Optuna has not made it, or not finished."""
    if not sa.inspect(connection).has_table("version_info"):
        return None
    found: int | None = connection.execute(text("SELECT schema_version FROM version_info")).scalar()
    return found


def read_studies(connection: Connection) -> dict[str, int]:
    """Return the id of each study by its name."""
    return {str(row.study_name): int(row.study_id) for row in connection.execute(STUDIES.select())}


def read_params(connection: Connection, trial_ids: Sequence[int]) -> dict[int, dict[str, Value]]:
    """Return the params of each trial, as they were suggested."""
    found: dict[int, dict[str, Value]] = {number: {} for number in trial_ids}
    query = PARAMS.select().where(PARAMS.c.trial_id.in_(trial_ids)).order_by(PARAMS.c.param_id)
    for row in connection.execute(query):
        found[row.trial_id][row.param_name] = external(row.param_value, row.distribution_json)
    return found


def external(stored: float, distribution_json: str) -> Value:
    """Return the value that a param's stored number stands for, by its distribution as Optuna writes it."""
    distribution = _distribution(distribution_json)
    if distribution["name"] == "CategoricalDistribution":
        chosen: Value = distribution["attributes"]["choices"][int(stored)]
        return chosen
    return int(stored) if distribution["name"] == "IntDistribution" else float(stored)


@lru_cache(maxsize=256)  # all trials of a study share a few
def _distribution(document: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document)
    return parsed


def read_attributes(
    connection: Connection, trial_ids: Sequence[int], only: Collection[str] | None = None
) -> dict[int, dict[str, Any]]:
    """Return the user attributes of each trial, all or `only` these."""
    found: dict[int, dict[str, Any]] = {number: {} for number in trial_ids}
    query = TRIAL_USER.select().where(TRIAL_USER.c.trial_id.in_(trial_ids))
    for row in connection.execute(query if only is None else query.where(TRIAL_USER.c.key.in_(only))):
        found[row.trial_id][row.key] = json.loads(row.value_json)
    return found


def insert_trials(
    connection: Connection,
    study_id: int,
    trials: Sequence[FrozenTrial],
    numbers: Iterable[int],
    ids: Iterable[int] | None = None,
) -> None:
    """Insert trials whole, under these numbers, and under these ids or under ids from the database."""
    heads: Rows = [
        {
            "number": number,
            "study_id": study_id,
            "state": trial.state.name,
            "datetime_start": _in_utc(trial.datetime_start),
            "datetime_complete": _in_utc(trial.datetime_complete),
        }
        for number, trial in zip(numbers, trials, strict=True)
    ]
    if ids is not None:
        heads = [{"trial_id": trial_id, **head} for trial_id, head in zip(ids, heads, strict=True)]
    returning = TRIALS.insert().returning(TRIALS.c.trial_id, sort_by_parameter_order=True)
    found = zip(connection.execute(returning, heads).scalars().all(), trials, strict=True)
    rows: dict[sa.Table, Rows] = {table: [] for table in OF_TRIAL}
    for owner, trial in (({"trial_id": trial_id}, trial) for trial_id, trial in found):
        for objective, value in enumerate(trial.values or ()):
            rows[VALUES].append({**owner, "objective": objective, **_typed(value, "value")})
        for step, value in trial.intermediate_values.items():
            rows[STEPS].append({**owner, "step": step, **_typed(value, "intermediate_value")})
        rows[PARAMS] += param_rows(owner, trial.params, trial.distributions)
        rows[TRIAL_USER] += attribute_rows(owner, trial.user_attrs)
        rows[TRIAL_SYSTEM] += attribute_rows(owner, trial.system_attrs)
    for table, found_rows in rows.items():
        if found_rows:
            connection.execute(table.insert(), found_rows)


def param_rows(
    owner: Mapping[str, int], params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> Rows:
    """Return the rows of the params of one trial, whose id `owner` holds."""
    from optuna.distributions import distribution_to_json  # noqa: PLC0415 - `sweep best` reads without it

    return [
        {
            **owner,
            "param_name": name,
            "param_value": distribution.to_internal_repr(params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in distributions.items()
    ]


def _in_utc(moment: datetime | None) -> datetime | None:
    """Return a moment as Optuna stores it; one without a zone is local time, as in Optuna's trials."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _typed(value: float, column: str) -> dict[str, Any]:
    """Return a number as Optuna stores it, since not every database takes all floats."""
    kind = "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"
    finite = math.isfinite(value)
    return {column: value if finite else None, f"{column}_type": "FINITE" if finite else kind}


def attribute_rows(owner: Mapping[str, int], attributes: Mapping[str, Any]) -> Rows:
    """Return the rows of the attributes of one study or trial, whose id `owner` holds."""
    return [{**owner, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def delete_trials(connection: Connection, trial_ids: Any) -> None:
    """Delete trials by their ids, or by a query of ids."""
    for table in (*OF_TRIAL, TRIALS):
        connection.execute(table.delete().where(table.c.trial_id.in_(trial_ids)))


def delete_studies(connection: Connection, names: Iterable[str]) -> int:
    """Delete studies whole, by name, and return how many there were; Optuna takes minutes for ten thousand trials."""
    wanted = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name.in_(list(names)))
    ids = list(connection.execute(wanted).scalars())
    delete_trials(connection, sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(ids)))
    for table in (*OF_STUDY, STUDIES):
        connection.execute(table.delete().where(table.c.study_id.in_(ids)))
    return len(ids)
