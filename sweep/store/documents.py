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
    table = database.tables["study_system_attributes"]
    names = [PREFIX + name for name in (*documents, *drop)]
    rows = [{"study_id": study_id, "key": PREFIX + name, "value_json": told} for name, told in documents.items()]
    with database.writing() as connection:
        connection.execute(table.delete().where(table.c.study_id == study_id, table.c.key.in_(names)))
        if rows:
            connection.execute(table.insert(), rows)


def read_documents(connection: Connection, study_id: int, prefix: str = "") -> dict[str, str]:
    """Return the study's documents whose names begin with `prefix`, as JSON texts."""
    query = text("""
        SELECT key, value_json FROM study_system_attributes
        WHERE study_id = :study AND substr(key, 1, :length) = :wanted
    """)
    wanted = PREFIX + prefix
    found = connection.execute(query, {"study": study_id, "wanted": wanted, "length": len(wanted)})
    return {str(row.key).removeprefix(PREFIX): str(row.value_json) for row in found}
