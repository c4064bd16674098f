"""Laws of what a report shows of a search."""

from __future__ import annotations

import pytest

from sweep.errors import NotFound
from sweep.report.searched import read_searched
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from tests.fakes import DATA_SHA256, make_coordinator, make_plan


def test_every_trial_is_there_and_the_best_come_with_what_a_table_needs(database: Database) -> None:
    make_coordinator(database, make_plan()).run()
    found = read_searched(StoredStudy(database, "tiny"))
    assert len(found.trials) == 20
    assert [trial.trial for trial in found.best] == found.trials["number"].tolist()
    assert {len(trial.correct) for trial in found.best} == {2}
    assert found.best[0].record.curves is None
    assert found.attributes["data_sha256"] == DATA_SHA256


def test_a_study_that_is_not_there_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="there is no study `tiny`"):
        read_searched(StoredStudy(database, "tiny"))
