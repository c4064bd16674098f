"""Laws of the answer that findings are summed up to."""

from __future__ import annotations

import pytest

from sweep.errors import NotFound, NotYet
from sweep.stats.verdict import Word
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import find, label_of, required
from sweep.verdict.record import Role
from sweep.verdict.result import Judged, Unresolved
from sweep.verdict.summary import read_verdict, summarize
from tests.verdict.records import keep, make_plan, make_record, store_study

PLAN = make_plan(trials=20)
DOSSIER = make_record(PLAN)


def test_it_tells_both_questions_and_the_difference_that_they_are_about() -> None:
    found = find(PLAN, DOSSIER)
    told = summarize(found)
    assert found.new_rows is not None
    assert isinstance(told.on_new_rows, Judged)
    for judged, verdict in ((told.on_these_rows, found.these_rows), (told.on_new_rows, found.new_rows)):
        assert (judged.word, judged.sentence, judged.effect_rows) == (verdict.word, verdict.sentence, verdict.effect)
    lead = told.winner.correct_mean - told.tuned_constant.correct_mean
    assert told.on_these_rows.effect_rows.mean == pytest.approx(lead)
    assert told.ladder[-1].change == told.on_these_rows.effect_rows


def test_each_candidate_is_named_and_counted() -> None:
    told = summarize(find(PLAN, DOSSIER))
    entry = required(DOSSIER, Role.CONSTANT)
    assert told.tuned_constant.study == entry.contender.study == "ionosphere.constant"
    assert told.winner.schedule["name"] == required(DOSSIER, Role.WINNER).contender.name
    assert told.winner.label == label_of(required(DOSSIER, Role.WINNER).contender)
    counts = told.winner.correct_counts
    assert sum(counts.values()) == PLAN.verdict.confirmation_seeds
    assert list(counts) == sorted(counts, reverse=True)
    assert told.raced == len(DOSSIER.race) >= len(told.as_good)


def test_without_re_splits_it_says_why() -> None:
    told = summarize(find(PLAN, make_record(PLAN, problem="too few rows")))
    assert told.on_new_rows == Unresolved(word=Word.NOT_RESOLVED.value, problem="too few rows")
    assert told.winner.new_rows_mean is None


@pytest.mark.parametrize(("quoted", "whom"), [(True, "the quoted one"), (False, "the first re-run")])
def test_it_says_whom_there_is_to_beat(quoted: bool, whom: str) -> None:
    plan = PLAN if quoted else make_plan(trials=20, baseline=None)
    told = summarize(find(plan, make_record(plan)))
    assert (told.whom_to_beat, told.quoted is not None) == (whom, quoted)
    assert not quoted or told.to_beat == 111


class TestReading:
    def test_a_stored_verdict_is_told_as_it_was_found(self, database: Database) -> None:
        keep(database, store_study(database, PLAN), DOSSIER)
        assert read_verdict(StoredStudy(database, "ionosphere")) == summarize(find(PLAN, DOSSIER))

    def test_more_trials_put_it_out_of_date(self, database: Database) -> None:
        keep(database, store_study(database, PLAN), DOSSIER)
        store_study(database, make_plan(trials=24))
        assert not read_verdict(StoredStudy(database, "ionosphere")).current

    def test_a_study_without_one_has_none_yet(self, database: Database) -> None:
        store_study(database, PLAN)
        with pytest.raises(NotYet, match="the study `ionosphere` has no verdict yet; `sweep run` makes it"):
            read_verdict(StoredStudy(database, "ionosphere"))

    def test_a_study_that_is_not_there_is_not_found(self, database: Database) -> None:
        with pytest.raises(NotFound, match="there is no study `ionosphere`"):
            read_verdict(StoredStudy(database, "ionosphere"))
