"""Laws of comparing schedules over the data sets of several stored studies."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sweep.config.plan import Plan
from sweep.errors import BadInput, NotFound, NotYet
from sweep.stats.verdict import Word
from sweep.store.database import Database
from sweep.store.queries import StoredStudy, find_study
from sweep.task import METRICS
from sweep.verdict.record import ForgivenessRecord, ForgivingFamily, VerdictRecord
from sweep.verdict.several import SeveralAnswer, read_several
from tests.fakes import make_coordinator, opened
from tests.verdict.records import keep, make_plan, make_record, of_numbers

FACTORS = (1 / 3, 1.0, 3.0)
SPLITS, OFF = 4, -0.2  # re-splits, and what the constant rate has more where it is off


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "studies.db") as database:
        yield database


def plan_of(name: str, epochs: int = 50) -> Plan:
    plan = make_plan(trials=1)
    training = plan.training.model_copy(update={"epochs": epochs})
    return plan.model_copy(update={"name": name, "training": training, "recipes": plan.recipes[:1]})


def store(database: Database, plan: Plan, record: VerdictRecord | None, rows: str | None = None) -> None:
    """Store a study with one trial, and its record; studies of equal `rows` have the same data."""
    digest = hashlib.sha256((rows or plan.name).encode()).hexdigest()
    make_coordinator(database, plan, data_sha256=digest).run()
    if record is not None:
        with database.reading() as connection:
            key = find_study(connection, plan.name).study_id
        keep(database, key, record)


def with_families(record: VerdictRecord, **leads: float) -> VerdictRecord:
    """Return the record with scores of each family: what the constant rate has and a lead, on its own rate and off."""
    rises = METRICS[record.metric].rises
    base = np.full(SPLITS, 0.8 if rises else 10.0) + np.linspace(0, 0.01, SPLITS)

    def family(name: str, lead: float, wrong: float) -> ForgivingFamily:
        sign = 1 if rises else -1
        own = tuple((base + sign * lead).tolist())
        others = tuple((base + sign * (lead + wrong)).tolist())
        scores = (others, own, others)
        return ForgivingFamily(name=name, contender=record.constant.contender, factors=FACTORS, scores=scores)

    families = [family("constant", 0.0, OFF), *(family(name, lead, OFF / 2) for name, lead in leads.items())]
    told = ForgivenessRecord(split_seeds=tuple(range(SPLITS)), train_rows=235, test_rows=116, families=tuple(families))
    return record.model_copy(update={"forgiveness": told})


def read(database: Database, *names: str) -> SeveralAnswer:
    return read_several([StoredStudy(database, name) for name in names])


def fill(database: Database, *leads: dict[str, float]) -> SeveralAnswer:
    names = [f"set_{place}" for place in range(len(leads))]
    for name, given in zip(names, leads, strict=True):
        plan = plan_of(name)
        store(database, plan, with_families(make_record(plan), **given))
    return read(database, *names)


class TestFamilies:
    def test_each_is_compared_with_the_constant_rate_of_its_data_set_in_points(self, database: Database) -> None:
        (table,) = fill(database, {"linear": 0.02, "step": -0.01}, {"linear": 0.01, "step": 0.0}).tables
        assert (table.sets, table.unit, table.worth, table.epochs) == (2, "points", 0.5, 50)
        linear, step = table.families
        assert (linear.schedule, step.schedule) == ("linear", "step")
        assert linear.effect.mean == pytest.approx(1.5)
        assert (linear.ahead, linear.level, linear.behind) == (2, 0, 0)
        assert (step.ahead, step.level, step.behind) == (0, 1, 1)
        assert step.worst == pytest.approx(-1.0)
        assert step.worst_study == "set_0"
        assert (linear.rank, step.rank, table.constant_rank) == (1.0, 2.75, 2.25)
        assert table.studies[0].families == pytest.approx({"linear": 2.0, "step": -1.0})
        assert all(note.endswith("has its next verdict try more") for note in table.notes)

    def test_a_rate_that_was_not_tuned_is_compared_with_a_constant_one_that_was_not_either(
        self, database: Database
    ) -> None:
        (table,) = fill(database, {"linear": 0.02}, {"linear": 0.0}).tables
        off = table.families[0].off
        assert off is not None
        assert off.mean == pytest.approx(100 * (0.01 + 0.1))  # its lead, and half of what the constant rate loses

    def test_a_surely_better_one_is_used_by_default(self, database: Database) -> None:
        leads = [{"linear": 0.02 + place / 1000, "step": 0.001} for place in range(6)]
        (table,) = fill(database, *leads).tables
        assert (table.use, table.settled) == ("linear", True)
        assert table.sentence.startswith(
            "linear. Its mean lead over the tuned constant rate on 6 data sets is +2.25 poi"
        )
        assert table.families[0].chances.better > 0.99

    def test_few_data_sets_settle_nothing(self, database: Database) -> None:
        (table,) = fill(database, {"linear": 0.02}, {"linear": 0.03}).tables
        assert (table.use, table.settled) == ("constant", False)
        told = "Fewer than 6 data sets cannot tell whether a schedule is better."
        assert table.sentence == f"the tuned constant rate. {told}"

    def test_errors_are_in_percent_and_beside_accuracies_two_of_them_count_as_half_a_point(
        self, database: Database
    ) -> None:
        _, record = of_numbers(plan_of("numbers"))
        store(database, plan_of("numbers"), with_families(record, linear=0.4))  # 4 % of an error of 10
        alone = read(database, "numbers").tables[0]
        assert (alone.unit, alone.worth) == ("%", 2.0)
        assert alone.families[0].effect.mean == pytest.approx(4.0, abs=0.02)
        store(database, plan_of("classes"), with_families(make_record(plan_of("classes")), linear=0.01))
        both = read(database, "numbers", "classes").tables[0]
        assert both.unit == "points"
        assert both.families[0].effect.mean == pytest.approx(1.0, abs=0.01)
        told = "accuracies are in points, errors in percent of the constant rate's, of which 4 count as a point"
        assert both.notes[0] == told

    def test_a_training_that_diverged_is_as_bad_as_guessing(self, database: Database) -> None:
        plan = plan_of("lost")
        record = with_families(make_record(plan), linear=0.02)
        assert record.forgiveness is not None
        constant, linear = record.forgiveness.families
        lost = linear.model_copy(update={"scores": ((math.nan,) * 4, (0.5, math.nan, 0.5, 0.5), (0.5,) * 4)})
        told = record.forgiveness.model_copy(update={"families": (constant, lost)})
        store(database, plan, record.model_copy(update={"forgiveness": told}))
        (family,) = read(database, "lost").tables[0].families
        assert family.effect.mean < -30

    def test_without_them_the_winner_of_the_verdict_counts_and_it_is_said(self, database: Database) -> None:
        record = make_record(plan_of("before")).model_copy(update={"forgiveness": None})
        store(database, plan_of("before"), record)
        store(database, plan_of("alone"), make_record(plan_of("alone"), problem="too few rows."))
        (table,) = read(database, "before", "alone").tables
        before, alone = table.studies
        assert list(before.families) == ["rex"]
        assert before.families["rex"] == pytest.approx(before.lead.mean)
        assert (before.on_new_rows, alone.on_new_rows) == (True, False)
        first, second = table.notes
        assert first.startswith("of before only some schedules are known on new rows; `families` in [verdict] of a ")
        assert second.startswith("there are no re-splits of alone")


class TestHeadline:
    def test_it_is_the_verdicts_own_word_and_lead(self, database: Database) -> None:
        plan = plan_of("one")
        store(database, plan, make_record(plan, lead=2.0, confirmations=3))
        ((told,),) = (table.studies for table in read(database, "one").tables)
        assert (told.word, told.confirmations, told.winner) == (Word.BETTER_OPEN, 3, "rex 0.632, momentum 0.111")
        assert told.lead.interval.low < told.lead.mean < told.lead.interval.high


class TestDataSets:
    def test_two_studies_of_the_same_rows_count_as_one_and_it_is_said(self, database: Database) -> None:
        for name, lead in (("a", 0.01), ("b", 0.03), ("c", 0.01)):
            plan = plan_of(name)
            store(database, plan, with_families(make_record(plan), linear=lead), rows="c" if name == "c" else "same")
        (table,) = read(database, "a", "b", "c").tables
        assert table.sets == 2
        assert table.families[0].effect.mean == pytest.approx(1.5)
        assert table.notes[0] == "a, b have the same rows, and count as one data set"

    def test_budgets_have_a_table_each(self, database: Database) -> None:
        for epochs in (50, 10):
            for rows in ("x", "y"):
                plan = plan_of(f"{rows}.{epochs}epochs", epochs)
                store(database, plan, with_families(make_record(plan), linear=epochs / 1000), rows=rows)
        tables = read(database, "x.50epochs", "y.50epochs", "x.10epochs", "y.10epochs").tables
        assert [(table.epochs, table.sets) for table in tables] == [(10, 2), (50, 2)]
        assert [table.families[0].effect.mean for table in tables] == pytest.approx([1.0, 5.0])

    def test_one_without_a_verdict_is_left_out_with_its_reason(self, database: Database) -> None:
        store(database, plan_of("made"), make_record(plan_of("made")))
        store(database, plan_of("begun"), None)
        found = read(database, "made", "begun")
        assert found.left_out == {"begun": "it has no verdict yet; `sweep run` makes it"}
        assert [each.study for each in found.tables[0].studies] == ["made"]
        with pytest.raises(NotYet, match="there is nothing to compare: of `begun`, it has no verdict yet"):
            read(database, "begun")

    def test_one_with_nothing_to_compare_is_left_out_with_its_finding(self, database: Database) -> None:
        store(database, plan_of("made"), make_record(plan_of("made")))
        record = make_record(plan_of("few"))
        split = record.split.model_copy(update={"train_rows": 20})
        store(database, plan_of("few"), record.model_copy(update={"split": split}))
        found = read(database, "made", "few")
        assert list(found.left_out) == ["few"]
        assert found.left_out["few"].startswith("too few rows to tell: ")

    def test_what_is_misspelt_or_twice_is_refused(self, database: Database) -> None:
        store(database, plan_of("made"), make_record(plan_of("made")))
        with pytest.raises(NotFound, match="study: there is no study `mdae` in the database, did you mean `made`"):
            read(database, "made", "mdae")
        with pytest.raises(BadInput, match="study: `made` is named twice"):
            read(database, "made", "made")
