"""Laws of what a study keeps besides its trials; the contract of the stores has the others."""

from __future__ import annotations

import optuna

from sweep.store.database import Database
from sweep.store.documents import read_documents, write_documents


def made(database: Database, name: str) -> int:
    optuna.create_study(storage=database.storage, study_name=name)
    return database.storage.get_study_id_from_name(name)


def test_studies_keep_documents_apart_and_optuna_keeps_what_is_its_own(database: Database) -> None:
    first, second = made(database, "tiny"), made(database, "other")
    study = optuna.load_study(storage=database.storage, study_name="tiny")
    study.set_user_attr("record", "theirs")
    write_documents(database, first, {"record": "1"})
    write_documents(database, second, {"record": "2"}, drop=["record"])
    assert study.user_attrs == {"record": "theirs"}
    optuna.delete_study(storage=database.storage, study_name="tiny")
    with database.reading() as connection:
        assert read_documents(connection, first) == {}
        assert read_documents(connection, second) == {"record": "2"}
