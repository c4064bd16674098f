"""What a study keeps of its verdict: the record, the finished parts of one that is being made, and whether it holds.

The stages of a verdict are a fixed sequence of parts, so to continue it is to run the sequence again and to be given
the finished parts without training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sweep.config.study_file import Plan
from sweep.store.database import Database
from sweep.store.documents import read_documents, write_documents
from sweep.store.queries import StoredStudy
from sweep.verdict.baselines import searches
from sweep.verdict.record import Basis, MeanCurves, Record, Runs, VerdictRecord

DOSSIER = "dossier"
PART = "part:"


def basis(database: Database, plan: Plan) -> Basis:
    """Return what a verdict made now would rest on."""
    names = [searched.name for searched in searches(plan, search_only=False).values()]
    counts = {name: StoredStudy(database, name).count_finished() for name in names}
    return Basis(trials=counts, verdict=plan.verdict, baseline=plan.baseline)


def is_made(database: Database, plan: Plan) -> bool:
    """Say whether the study has a verdict that nothing has changed under."""
    found = read_record(StoredStudy(database, plan.name))
    return found is not None and is_current(database, plan, found)


def is_current(database: Database, plan: Plan, record: VerdictRecord) -> bool:
    """Say whether nothing has changed under a study's record."""
    return record.basis == basis(database, plan)


def work_left(database: Database, plan: Plan, *, search_only: bool) -> bool:
    """Say whether anything is left to train."""
    left = any(
        StoredStudy(database, searched.name).count_finished() < searched.search.trials
        for searched in searches(plan, search_only=search_only).values()
    )
    return left or not (search_only or is_made(database, plan))


def read_record(stored: StoredStudy) -> VerdictRecord | None:
    """Return the record of a study; None if there is no such study, or no verdict yet."""
    if not stored.count_finished():
        return None
    with stored.reading() as study:
        kept = read_documents(study.connection, study.study_id, DOSSIER).get(DOSSIER)
    return None if kept is None else VerdictRecord.model_validate_json(kept)


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
