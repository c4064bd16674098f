"""Deleting studies whole: all rows of all of Optuna's tables that belong to them, in the caller's transaction.

It stands alone because Optuna deletes a study object by object, which takes minutes for one of ten thousand trials.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy
from sqlalchemy.engine import Connection


def delete_studies(connection: Connection, tables: Mapping[str, sqlalchemy.Table], names: Collection[str]) -> int:
    """Delete the studies of these names, and return how many there were; `tables` are Optuna's by name."""
    studies, trials = tables["studies"], tables["trials"]
    wanted = sqlalchemy.select(studies.c.study_id).where(studies.c.study_name.in_(names))
    ids = list(connection.execute(wanted).scalars())
    parts = sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id.in_(ids))
    for table in (table for table in tables.values() if table not in (studies, trials)):
        if "trial_id" in table.c:
            connection.execute(table.delete().where(table.c.trial_id.in_(parts)))
        elif "study_id" in table.c:
            connection.execute(table.delete().where(table.c.study_id.in_(ids)))
    for table in (trials, studies):
        connection.execute(table.delete().where(table.c.study_id.in_(ids)))
    return len(ids)
