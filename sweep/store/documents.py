"""What a study keeps besides its trials: documents by name, written and dropped together in one transaction.

They are Optuna's system attributes, which its dashboard does not list, and which go with the study when it is copied
or deleted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweep.store.database import Database
from sweep.store.optuna_schema import STUDY_SYSTEM

PREFIX = "sweep:"
# Optuna itself cannot drop an attribute: an empty text in its place means that there is none.
DROPPED = '""'


def write_documents(database: Database, study_id: int, documents: Mapping[str, str], drop: Iterable[str] = ()) -> None:
    """Write JSON texts by name in place of what was there, and drop the documents named in `drop`."""
    told = {PREFIX + name: document for name, document in documents.items()}
    replace_attributes(database, study_id, told, [PREFIX + name for name in drop])


def read_documents(connection: Connection, study_id: int, prefix: str = "") -> dict[str, str]:
    """Return the study's documents whose names begin with `prefix`, as JSON texts."""
    found = read_attributes(connection, study_id, PREFIX + prefix)
    return {key.removeprefix(PREFIX): document for key, document in found.items()}


def read_attributes(connection: Connection, study_id: int, prefix: str = "") -> dict[str, str]:
    """Return the study's system attributes whose keys begin with `prefix`, as JSON texts."""
    key = STUDY_SYSTEM.c.key
    query = STUDY_SYSTEM.select().where(
        STUDY_SYSTEM.c.study_id == study_id, sa.func.substr(key, 1, len(prefix)) == prefix
    )
    return {row.key: row.value_json for row in connection.execute(query) if row.value_json != DROPPED}


def replace_attributes(database: Database, study_id: int, new: Mapping[str, str], drop: Iterable[str] = ()) -> None:
    """Write system attributes, JSON texts by key, in place of what was there and of those in `drop`."""
    dropped = [key for key in drop if key not in new]
    if database.is_newer:
        for key, document in {**new, **dict.fromkeys(dropped, DROPPED)}.items():
            database.storage.set_study_system_attr(study_id, key, json.loads(document))
        return
    of_study = STUDY_SYSTEM.c.study_id == study_id
    rows = [{"study_id": study_id, "key": key, "value_json": document} for key, document in new.items()]
    with database.writing() as connection:
        connection.execute(STUDY_SYSTEM.delete().where(of_study, STUDY_SYSTEM.c.key.in_([*new, *dropped])))
        if rows:
            connection.execute(STUDY_SYSTEM.insert(), rows)
