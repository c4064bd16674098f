"""What a study keeps besides its trials: documents by name, written and dropped together in one transaction.

They are Optuna's system attributes, which its dashboard does not list, and which go with the study when it is copied
or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import text
from sqlalchemy.engine import Connection

from sweep.store.database import Database

PREFIX = "sweep:"


def write_documents(database: Database, study_id: int, documents: Mapping[str, str], drop: Iterable[str] = ()) -> None:
    """Write JSON texts by name in place of what was there, and drop the documents named in `drop`."""
    texts = {PREFIX + name: document for name, document in documents.items()}
    replace_attributes(database, study_id, texts, [PREFIX + name for name in drop])


def read_documents(connection: Connection, study_id: int, prefix: str = "") -> dict[str, str]:
    """Return the study's documents whose names begin with `prefix`, as JSON texts."""
    found = read_attributes(connection, study_id, PREFIX + prefix)
    return {key.removeprefix(PREFIX): document for key, document in found.items()}


def read_attributes(connection: Connection, study_id: int, prefix: str) -> dict[str, str]:
    """Return the study's system attributes whose keys begin with `prefix`, as JSON texts."""
    query = text("""
        SELECT key, value_json FROM study_system_attributes
        WHERE study_id = :study AND substr(key, 1, :length) = :wanted
    """)
    found = connection.execute(query, {"study": study_id, "wanted": prefix, "length": len(prefix)})
    return {str(row.key): str(row.value_json) for row in found}


def replace_attributes(database: Database, study_id: int, texts: Mapping[str, str], drop: Iterable[str] = ()) -> None:
    """Write JSON texts by key in place of what was there, and drop the keys in `drop`, in one transaction."""
    table = database.tables["study_system_attributes"]
    rows = [{"study_id": study_id, "key": key, "value_json": document} for key, document in texts.items()]
    with database.writing() as connection:
        connection.execute(table.delete().where(table.c.study_id == study_id, table.c.key.in_([*texts, *drop])))
        if rows:
            connection.execute(table.insert(), rows)
