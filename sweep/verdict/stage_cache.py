"""Trainings that a verdict needs, kept as they are done: what was interrupted goes on after the last finished part.

The stages of a verdict are a fixed sequence of such parts, so to continue it is to run the sequence again and to be
given the finished parts without training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sweep.store.database import Database
from sweep.store.documents import read_documents, write_documents
from sweep.verdict.record import MeanCurves, Record, Runs
from sweep.verdict.status import DOSSIER

PART = "part:"


class Part(Record):
    """What was asked for, and what came of it.

    Attributes:
        asked: candidates and seeds, as JSON; a part that was asked otherwise is no part of this verdict.
        runs: by split and candidate; the study's own split is the only one before the re-splits.
        curves: by candidate, where they are wanted.
    """

    asked: str
    runs: tuple[tuple[Runs, ...], ...]
    curves: tuple[MeanCurves, ...] = ()


@dataclass(frozen=True)
class StageCache:
    """The finished parts of one study's verdict."""

    database: Database
    study_id: int

    def part(self, name: str, asked: str, train: Callable[[], Part]) -> Part:
        """Return the part called `name` if it is there and was asked so, or train and keep it."""
        with self.database.reading() as connection:
            kept = read_documents(connection, self.study_id, PART + name).get(PART + name)
        if kept is not None and (part := Part.model_validate_json(kept)).asked == asked:
            return part
        part = train()
        write_documents(self.database, self.study_id, {PART + name: part.model_dump_json()})
        return part

    def close(self, record: str) -> None:
        """Write the record, as JSON, in place of the parts that it was made of."""
        with self.database.reading() as connection:
            parts = list(read_documents(connection, self.study_id, PART))
        write_documents(self.database, self.study_id, {DOSSIER: record}, drop=parts)
