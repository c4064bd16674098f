"""Laws of what a study keeps besides its trials."""

from __future__ import annotations

import optuna

from sweep.store.database import Database
from sweep.store.documents import read_documents, write_documents


def made(database: Database, name: str = "tiny") -> int:
    return int(optuna.create_study(storage=database.storage, study_name=name)._study_id)


def read(database: Database, study_id: int, prefix: str = "") -> dict[str, str]:
    with database.reading() as connection:
        return read_documents(connection, study_id, prefix)


def test_a_document_is_read_back_and_replaced(database: Database) -> None:
    study_id = made(database)
    write_documents(database, study_id, {"record": "[1]", "part:a": "{}"})
    write_documents(database, study_id, {"record": "[2]"})
    assert read(database, study_id) == {"record": "[2]", "part:a": "{}"}
    assert read(database, study_id, "part:") == {"part:a": "{}"}


def test_documents_are_dropped_with_the_writing_of_another(database: Database) -> None:
    study_id = made(database)
    write_documents(database, study_id, {"part:a": "1", "part:b": "2"})
    write_documents(database, study_id, {"record": "3"}, drop=["part:a", "part:b"])
    assert read(database, study_id) == {"record": "3"}


def test_studies_keep_documents_apart(database: Database) -> None:
    first, second = made(database), made(database, "other")
    write_documents(database, first, {"record": "1"})
    assert read(database, second) == {}


def test_a_document_of_megabytes_is_kept_whole(database: Database) -> None:
    study_id, text = made(database), '"' + "x" * 5_000_000 + '"'
    write_documents(database, study_id, {"record": text})
    assert read(database, study_id)["record"] == text


def test_optuna_keeps_what_is_its_own_and_takes_all_along(database: Database) -> None:
    study_id = made(database)
    study = optuna.load_study(storage=database.storage, study_name="tiny")
    study.set_user_attr("record", "theirs")
    write_documents(database, study_id, {"record": "1"})
    assert study.user_attrs == {"record": "theirs"}
    optuna.delete_study(storage=database.storage, study_name="tiny")
    assert read(database, study_id) == {}
