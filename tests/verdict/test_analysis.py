"""Laws of what a record says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sweep.config.study_file import VerdictPlan
from sweep.space import Value
from sweep.stats.paired import compare
from sweep.stats.verdict import Word
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import find, required, score
from sweep.verdict.record import Contender, NewRows, Role, Runs, VerdictRecord
from sweep.verdict.status import read_record
from tests.fakes import make_plan, opened
from tests.protocols import few, make_protocol

PLAN = few(make_plan())


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerdictRecord]:
    with opened(tmp_path_factory.mktemp("record") / "studies.db") as database:
        make_protocol(database, PLAN).run()
        found = read_record(StoredStudy(database, "tiny"))
        assert found is not None
        yield found


def changed(record: VerdictRecord, role: Role, **runs: Any) -> VerdictRecord:
    """Return the record with other confirmation runs of one role."""
    entry = required(record, role)
    other = entry.model_copy(update={"confirmation": entry.confirmation.model_copy(update=runs)})
    return record.model_copy(update={"entries": tuple(other if each is entry else each for each in record.entries)})


def with_lead(record: VerdictRecord, rows: int) -> VerdictRecord:
    """Return the record with a winner that has so many rows more than the tuned constant, in every run."""
    constant = required(record, Role.CONSTANT).confirmation.correct
    return changed(record, Role.WINNER, correct=tuple(count + rows for count in constant))


def test_the_verdict_is_about_winner_minus_tuned_constant(record: VerdictRecord) -> None:
    found = find(PLAN, record)
    ours, theirs = (required(record, role).confirmation.correct for role in (Role.WINNER, Role.CONSTANT))
    assert found.these_rows.effect == compare(ours, theirs).effect
    assert found.ladder[-1].change == found.these_rows.effect


@pytest.mark.parametrize(("lead", "word"), [(2, Word.BETTER), (0, Word.NO_BETTER), (-2, Word.WORSE)])
def test_a_clear_lead_has_its_word(record: VerdictRecord, lead: int, word: Word) -> None:
    assert find(PLAN, with_lead(record, lead)).these_rows.word is word


def test_the_smallest_effect_is_that_of_the_verdict_that_was_made(record: VerdictRecord) -> None:
    basis = record.basis.model_copy(update={"verdict": VerdictPlan(smallest_effect=2.3)})
    found = find(PLAN, with_lead(record, 1).model_copy(update={"basis": basis}))
    assert found.these_rows.smallest_of_interest == 2.3
    assert found.these_rows.word is Word.NO_BETTER
    assert found.new_rows is not None
    assert found.new_rows.smallest_of_interest == pytest.approx(2.3)


def test_the_ladder_climbs_from_the_quoted_setting_to_the_winner(record: VerdictRecord) -> None:
    found = find(PLAN, record)
    assert [rung.label for rung in found.ladder] == [
        "defaults in Keras",
        "rate tuned",
        "and momentum",
        "and schedule",
    ]
    steps = [rung.change.mean for rung in found.ladder if rung.change is not None]
    assert sum(steps) == pytest.approx(found.tuning.mean)


def test_without_a_tuned_rate_the_ladder_is_shorter(record: VerdictRecord) -> None:
    entries = tuple(entry for entry in record.entries if entry.role is not Role.RATE)
    found = find(PLAN, record.model_copy(update={"entries": entries}))
    assert [rung.label for rung in found.ladder] == ["defaults in Keras", "rate tuned", "and schedule"]


def test_without_re_splits_nothing_is_said_about_new_rows(record: VerdictRecord) -> None:
    without = record.model_copy(
        update={
            "new_rows": NewRows(problem="too few rows"),
            "entries": tuple(entry.model_copy(update={"new_rows": ()}) for entry in record.entries),
        }
    )
    assert find(PLAN, without).new_rows is None


def test_luck_is_the_winner_s_score_in_three_stages(record: VerdictRecord) -> None:
    winner, stages = required(record, Role.WINNER), find(PLAN, record).optimism
    assert stages.confirmation == pytest.approx(np.mean(winner.confirmation.correct))
    assert winner.contender.search is not None
    assert stages.search == pytest.approx(np.mean(winner.contender.search.correct))


def test_the_winner_is_among_its_equals_and_the_simplest_of_them_is_named(record: VerdictRecord) -> None:
    found = find(PLAN, record)
    assert found.equals[0] == record.race[0] == required(record, Role.WINNER).contender
    assert found.simplest in found.equals
    assert found.simplest.complexity == min(equal.complexity for equal in found.equals)


def test_a_constant_rate_is_simpler_than_any_schedule() -> None:
    def made(name: str, *own: str) -> Contender:
        params: dict[str, Value] = dict.fromkeys(["learning_rate", *(f"{name}.{key}" for key in own)], 0.5)
        return Contender(params=params, schedule={"name": name}, momentum=0.9)

    assert made("constant").complexity < made("rex").complexity < made("step", "drop", "epochs_drop").complexity


def test_recalls_are_of_all_runs_together() -> None:
    runs = Runs(run_seeds=(1, 2), correct=(8, 9), log_losses=(0.1, None), diverged=1, class_correct=(1, 16))
    found = score(runs, (1, 9))
    assert found.recalls == (0.5, 16 / 18)
    assert found.balanced_accuracy == pytest.approx((0.5 + 16 / 18) / 2)
    assert (found.correct_mean, found.log_loss, found.diverged) == (8.5, 0.1, 1)


def test_the_quoted_result_is_one_number_beside_many_runs(record: VerdictRecord) -> None:
    quoted = find(PLAN, changed(record, Role.WINNER, correct=(111,) * 4 + (112,) * 4)).quoted
    assert quoted is not None
    assert (quoted.correct, quoted.winner_above) == (111, 0.5)
    without = record.basis.model_copy(update={"baseline": None})
    found = find(PLAN, record.model_copy(update={"basis": without}))
    assert found.quoted is None


def test_what_no_single_model_can_show_is_told(record: VerdictRecord) -> None:
    assert find(PLAN, record).mcnemar_limit == 0.0625  # 116 of 116 against the quoted 111


def test_runs_far_more_spread_than_trained_ones_are_flagged(record: VerdictRecord) -> None:
    wild = changed(record, Role.CONSTANT, correct=(60, 110, 80, 112, 70, 111, 90, 100))
    assert find(PLAN, wild).constant.dispersion.flagged


def test_equal_differences_need_no_number_of_seeds(record: VerdictRecord) -> None:
    assert find(PLAN, with_lead(record, 1)).seeds_needed is None


def test_a_study_keeps_its_dossier_word_for_word(record: VerdictRecord) -> None:
    assert VerdictRecord.model_validate_json(record.model_dump_json()) == record


def test_a_baseline_at_an_end_of_its_range_is_told(record: VerdictRecord) -> None:
    entry = required(record, Role.CONSTANT)
    params = entry.contender.params | {"learning_rate": 0.99, "momentum": 0.0}
    other = entry.model_copy(update={"contender": entry.contender.model_copy(update={"params": params})})
    entries = tuple(other if each is entry else each for each in record.entries)
    told = find(PLAN, record.model_copy(update={"entries": entries})).edges
    assert "the tuned constant's learning_rate of 0.99 lies at an end of its range" in told
    assert not [each for each in told if "tuned constant's momentum" in each]


def test_a_winner_without_a_schedule_adds_none(record: VerdictRecord) -> None:
    constant = required(record, Role.CONSTANT)
    winner = required(record, Role.WINNER).model_copy(update={"contender": constant.contender})
    found = find(
        PLAN, record.model_copy(update={"entries": (winner, *record.entries[1:]), "race": (constant.contender,)})
    )
    assert found.ladder[-1].label == "and no schedule"
