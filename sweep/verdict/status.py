"""How far a study is on its way to a verdict, from the database alone.

It stands alone because this is asked before anything is loaded that trains or computes.
"""

from __future__ import annotations

from sweep.config.study_file import Plan
from sweep.seeds import STRIDE
from sweep.store.database import Database
from sweep.store.documents import read_documents
from sweep.store.queries import StoredStudy
from sweep.verdict.baselines import searches
from sweep.verdict.record import Basis, VerdictRecord

DOSSIER = "dossier"


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
    """Return the record of the study called `name`; None if there is no such study, or no verdict yet."""
    if not stored.count_finished():
        return None
    with stored.reading() as study:
        kept = read_documents(study.connection, study.study_id, DOSSIER).get(DOSSIER)
    return None if kept is None else VerdictRecord.model_validate_json(kept)


def next_seed(before: VerdictRecord | None) -> int:
    """Return the place of the first confirmation seed that no confirmation of the study has used."""
    if before is None:
        return 0
    return max(before.entries[0].confirmation.run_seeds) % STRIDE + 1
