"""Laws of the verdict that a record gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sweep.config.verdict_plan import VerdictPlan
from sweep.errors import NotFound, NotYet
from sweep.space import Value
from sweep.stats.comparison import compare
from sweep.stats.verdict import Question, Word
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.analysis import compute_verdict, read_result, scored
from sweep.verdict.baselines import Role
from sweep.verdict.progress import is_made
from sweep.verdict.record import VERSION, Contender, NewRows, Runs, VerdictRecord, read_record
from sweep.verdict.result import Unresolved, Verdict
from tests.fakes import make_plan, opened
from tests.protocols import few, make_protocol
from tests.verdict import records

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
    entry = record.entry(role)
    assert entry is not None
    other = entry.model_copy(update={"confirmation": entry.confirmation.model_copy(update=runs)})
    return record.model_copy(update={"entries": tuple(other if each is entry else each for each in record.entries)})


def with_lead(record: VerdictRecord, rows: int) -> VerdictRecord:
    """Return the record with a winner that has so many rows more than the tuned constant, in every run."""
    constant = record.constant.confirmation.correct
    return changed(record, Role.WINNER, correct=tuple(count + rows for count in constant))


def test_the_verdict_is_about_winner_minus_tuned_constant(record: VerdictRecord) -> None:
    found = compute_verdict(PLAN, record)
    effect = compare(record.winner.confirmation.correct, record.constant.confirmation.correct).effect
    assert found.on_these_rows.effect_rows == found.ladder[-1].change == effect
    ours, theirs = found.winner.correct_mean, found.tuned_constant.correct_mean
    assert ours is not None
    assert theirs is not None
    assert effect.mean == pytest.approx(ours - theirs)


@pytest.mark.parametrize(("lead", "word"), [(2, Word.BETTER), (0, Word.SAME), (-2, Word.WORSE)])
def test_a_clear_lead_has_its_word(record: VerdictRecord, lead: int, word: Word) -> None:
    assert compute_verdict(PLAN, with_lead(record, lead)).on_these_rows.word is word


def test_the_smallest_effect_is_that_of_the_verdict_that_was_made(record: VerdictRecord) -> None:
    basis = record.basis.model_copy(update={"verdict": VerdictPlan(smallest_effect=2.3)})
    found = compute_verdict(PLAN, with_lead(record, 1).model_copy(update={"basis": basis}))
    assert [each.smallest_of_interest for each in found.judgements.values()] == pytest.approx([2.3, 2.3])
    assert found.on_these_rows.word is Word.BETTER_SMALL


def test_the_smallest_effect_is_the_same_share_of_other_numbers_of_rows(record: VerdictRecord) -> None:
    new_rows = record.new_rows.model_copy(update={"test_rows": 232})
    found = compute_verdict(PLAN, record.model_copy(update={"new_rows": new_rows}))
    assert [each.smallest_of_interest for each in found.judgements.values()] == [2.0, 1.0]


def test_the_ladder_climbs_from_the_quoted_setting_to_the_winner(record: VerdictRecord) -> None:
    found = compute_verdict(PLAN, record)
    assert [rung.adds for rung in found.ladder] == [
        "defaults in Keras",
        "rate tuned",
        "and momentum",
        "and schedule",
    ]
    steps = [rung.change.mean for rung in found.ladder if rung.change is not None]
    assert sum(steps) == pytest.approx(found.effect_of_tuning.mean)


def test_without_a_tuned_rate_the_ladder_is_shorter(record: VerdictRecord) -> None:
    entries = tuple(entry for entry in record.entries if entry.role is not Role.RATE)
    found = compute_verdict(PLAN, record.model_copy(update={"entries": entries}))
    assert [rung.adds for rung in found.ladder] == ["defaults in Keras", "rate tuned", "and schedule"]


def test_without_re_splits_nothing_is_said_about_new_rows(record: VerdictRecord) -> None:
    without = record.model_copy(
        update={
            "new_rows": NewRows(problem="too few rows"),
            "entries": tuple(entry.model_copy(update={"new_rows": ()}) for entry in record.entries),
        }
    )
    found = compute_verdict(PLAN, without)
    assert found.on_new_rows == Unresolved(word=Word.OPEN, problem="too few rows")
    assert list(found.judgements) == [Question.THESE_ROWS]
    assert found.winner.new_rows_mean is None


def test_luck_is_the_winner_s_score_in_three_stages(record: VerdictRecord) -> None:
    winner, stages = record.winner, compute_verdict(PLAN, record).optimism
    assert stages.confirmation == pytest.approx(np.mean(winner.confirmation.correct))
    assert winner.contender.search is not None
    assert stages.search == pytest.approx(np.mean(winner.contender.search.correct))


def test_the_winner_is_among_its_equals_and_the_simplest_of_them_is_named(record: VerdictRecord) -> None:
    found = compute_verdict(PLAN, record)
    assert found.as_good[0].trial == record.race[0].trial == record.winner.contender.trial
    assert found.simplest in found.as_good
    complexity = {contender.trial: contender.complexity for contender in record.race}
    assert complexity[found.simplest.trial] == min(complexity[equal.trial] for equal in found.as_good)


def test_a_constant_rate_is_simpler_than_any_schedule() -> None:
    def made(name: str, *own: str) -> Contender:
        params: dict[str, Value] = dict.fromkeys(["learning_rate", *(f"{name}.{key}" for key in own)], 0.5)
        return Contender(params=params, schedule={"name": name}, momentum=0.9)

    assert made("constant").complexity < made("rex").complexity < made("step", "drop", "epochs_drop").complexity


def test_of_equally_simple_candidates_the_best_in_the_race_is_the_simplest() -> None:
    def raced(name: str, *correct: int) -> Contender:
        runs = Runs(run_seeds=tuple(range(len(correct))), correct=correct, log_losses=(), diverged=0)
        return Contender(params={}, schedule={"name": name}, momentum=0.9, selection=runs)

    worse, better, constant = raced("rex", 1, 1), raced("rex", 2, 2), raced("constant", 0, 0)
    assert sorted([worse, better, constant], key=lambda each: each.simplicity) == [constant, better, worse]


def test_recalls_are_of_all_runs_together(record: VerdictRecord) -> None:
    runs = Runs(run_seeds=(1, 2), correct=(8, 9), log_losses=(0.1, None), diverged=1, class_correct=(1, 16, 0))
    split = record.split.model_copy(update={"classes": ("b", "g", "none"), "class_rows": (1, 9, 0)})
    found = scored(record.winner.model_copy(update={"confirmation": runs}), split)
    assert found.recall == {"b": 0.5, "g": 16 / 18, "none": None}
    assert found.balanced_accuracy == pytest.approx((0.5 + 16 / 18) / 2)
    assert (found.correct_mean, found.log_loss, found.diverged) == (8.5, 0.1, 1)


def test_the_quoted_result_is_one_number_beside_many_runs(record: VerdictRecord) -> None:
    quoted = compute_verdict(PLAN, changed(record, Role.WINNER, correct=(111,) * 4 + (112,) * 4)).quoted
    assert quoted is not None
    assert (quoted.correct, quoted.winner_above) == (111, 0.5)
    without = record.basis.model_copy(update={"baseline": None})
    found = compute_verdict(PLAN, record.model_copy(update={"basis": without}))
    assert found.quoted is None


def test_what_no_single_model_can_show_is_told(record: VerdictRecord) -> None:
    assert compute_verdict(PLAN, record).mcnemar_limit == 0.0625  # 116 of 116 against the quoted 111


def test_runs_far_more_spread_than_trained_ones_are_flagged(record: VerdictRecord) -> None:
    wild = changed(record, Role.CONSTANT, correct=(60, 110, 80, 112, 70, 111, 90, 100))
    spread = compute_verdict(PLAN, wild).tuned_constant.spread
    assert spread is not None
    assert spread.flagged


def test_equal_differences_need_no_number_of_seeds(record: VerdictRecord) -> None:
    assert compute_verdict(PLAN, with_lead(record, 1)).seeds_needed is None


def test_a_study_keeps_its_dossier_word_for_word(record: VerdictRecord) -> None:
    assert VerdictRecord.model_validate_json(record.model_dump_json()) == record


def test_a_baseline_at_an_end_of_its_range_is_told(record: VerdictRecord) -> None:
    entry = record.constant
    params = entry.contender.params | {"learning_rate": 0.99, "momentum": 0.0}
    other = entry.model_copy(update={"contender": entry.contender.model_copy(update={"params": params})})
    entries = tuple(other if each is entry else each for each in record.entries)
    told = compute_verdict(PLAN, record.model_copy(update={"entries": entries})).at_an_end
    assert "the tuned constant's learning_rate of 0.99 lies at an end of its range" in told
    assert not [each for each in told if "tuned constant's momentum" in each]


def test_a_ladder_that_falls_is_a_doubt(record: VerdictRecord) -> None:
    assert compute_verdict(PLAN, record).falling == ()
    rate = record.entry(Role.RATE)
    assert rate is not None
    ahead = tuple(count + 3 for count in rate.confirmation.correct)
    falling = changed(record, Role.RATE, correct=ahead)
    for role, runs in ((Role.CONSTANT, rate.confirmation.correct), (Role.WINNER, ahead)):
        falling = changed(falling, role, correct=runs)
    (told,) = compute_verdict(PLAN, falling).falling
    assert told.startswith("`and momentum` (constant ")
    assert "is 3.00 rows behind `rate tuned`, surely" in told


def test_a_tuned_rate_that_is_the_best_constant_is_one_step(record: VerdictRecord) -> None:
    rate = record.entry(Role.RATE)
    assert rate is not None
    same = rate.model_copy(update={"role": Role.CONSTANT})
    entries = tuple(same if each is record.constant else each for each in record.entries)
    found = compute_verdict(PLAN, record.model_copy(update={"entries": entries}))
    assert [rung.adds for rung in found.ladder] == ["defaults in Keras", "rate tuned", "and schedule"]


def test_a_winner_without_a_schedule_adds_none(record: VerdictRecord) -> None:
    constant = record.constant
    winner = record.winner.model_copy(update={"contender": constant.contender})
    found = compute_verdict(
        PLAN, record.model_copy(update={"entries": (winner, *record.entries[1:]), "race": (constant.contender,)})
    )
    assert found.ladder[-1].adds == "and no schedule"


DRAWN_PLAN = records.make_plan(trials=20)
DRAWN = records.make_record(DRAWN_PLAN)


class TestDrawnRecord:
    def test_each_candidate_is_named_and_counted(self) -> None:
        found = compute_verdict(DRAWN_PLAN, DRAWN)
        assert found.tuned_constant.study == DRAWN.constant.contender.study == "ionosphere.constant"
        assert found.winner.schedule["name"] == DRAWN.winner.contender.name
        assert found.winner.label == DRAWN.winner.contender.label
        counts = found.winner.correct_counts
        assert sum(counts.values()) == DRAWN_PLAN.verdict.confirmation_seeds
        assert list(counts) == sorted(counts, reverse=True)
        assert found.raced == len(DRAWN.race) >= len(found.as_good)

    @pytest.mark.parametrize(("quoted", "whom"), [(True, "the quoted one"), (False, "the first re-run")])
    def test_it_says_whom_there_is_to_beat(self, quoted: bool, whom: str) -> None:
        plan = DRAWN_PLAN if quoted else records.make_plan(trials=20, baseline=None)
        found = records.make_result(plan).verdict
        assert (found.whom_to_beat, found.quoted is not None) == (whom, quoted)
        assert not quoted or found.to_beat == 111


class TestMadeBefore:
    """A record of before the re-splits had run seeds of their own, which wrote down one row as worth having."""

    BEFORE = DRAWN.model_copy(
        update={
            "version": 1,
            "basis": DRAWN.basis.model_copy(update={"verdict": VerdictPlan(smallest_effect=1.0)}),
            "split": DRAWN.split.model_copy(update={"validation_rows": 3300, "train_rows": 6700}),
        }
    )

    def test_it_is_read_by_the_rule_of_now_and_says_so(self) -> None:
        found = compute_verdict(DRAWN_PLAN, self.BEFORE)
        assert found.on_these_rows.smallest_of_interest == 16.5
        assert found.sentences[-1].startswith("An earlier version of sweep made these runs")
        now = self.BEFORE.model_copy(update={"version": VERSION})
        stated = compute_verdict(DRAWN_PLAN, now)
        assert (stated.on_these_rows.smallest_of_interest, stated.of_before) == (1.0, False)

    def test_it_still_holds_and_is_made_anew(self, database: Database) -> None:
        records.keep(database, records.store_study(database, DRAWN_PLAN), self.BEFORE)
        assert read_result(StoredStudy(database, "ionosphere")).verdict.current
        assert not is_made(database, DRAWN_PLAN)


class TestReading:
    def read(self, database: Database) -> Verdict:
        return read_result(StoredStudy(database, "ionosphere")).verdict

    def test_a_stored_verdict_is_told_as_it_was_found_until_there_are_more_trials(self, database: Database) -> None:
        records.keep(database, records.store_study(database, DRAWN_PLAN), DRAWN)
        assert self.read(database) == compute_verdict(DRAWN_PLAN, DRAWN)
        records.store_study(database, records.make_plan(trials=24))
        assert not self.read(database).current

    def test_a_study_without_one_has_none_yet(self, database: Database) -> None:
        with pytest.raises(NotFound, match="there is no study `ionosphere`"):
            self.read(database)
        records.store_study(database, DRAWN_PLAN)
        with pytest.raises(NotYet, match="the study `ionosphere` has no verdict yet; `sweep run` makes it"):
            self.read(database)
