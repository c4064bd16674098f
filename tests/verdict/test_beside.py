"""Laws of what another metric says on new rows than the one that is judged."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from sweep.config.plan import Plan
from sweep.stats.verdict import Word
from sweep.verdict.analysis import compute_verdict
from sweep.verdict.record import Entry, Runs, VerdictRecord
from sweep.verdict.result import Verdict
from tests.verdict import records

PLAN = records.make_plan(trials=20)


def judged(metric: str = "accuracy", **shifts: tuple[int, float]) -> Verdict:
    """Return the verdict of a record with other runs on new rows: of each role so many rows and so much log-loss."""
    plan: Plan = PLAN.model_copy(update={"search": PLAN.search.model_copy(update={"metric": metric})})
    record, random = records.make_record(plan), np.random.default_rng(0)

    def runs_of(rows: float, loss: float) -> Runs:
        number = plan.verdict.split_seeds
        return Runs(
            run_seeds=tuple(range(number)),
            correct=tuple((np.full(number, rows) + random.integers(0, 2, number)).astype(int).tolist()),
            log_losses=tuple((loss + 0.01 * random.normal(size=number)).tolist()),
            diverged=0,
        )

    def entry_of(entry: Entry) -> Entry:
        rows, loss = shifts.get(entry.role.name.lower(), (100, 0.3))
        return entry.model_copy(update={"new_rows": tuple(runs_of(rows, loss) for _ in entry.new_rows)})

    changed: dict[str, Any] = {"entries": tuple(map(entry_of, record.entries))}
    return compute_verdict(plan, record.model_copy(update=changed))


def sentence(found: Verdict) -> str:
    assert found.beside is not None
    return found.beside.sentence


def test_a_winner_with_more_right_rows_and_a_higher_loss_is_told_in_the_second_sentence() -> None:
    found = judged(winner=(104, 0.4))
    assert found.on_new_rows.word is Word.BETTER
    assert found.beside is not None
    assert (found.beside.metric, found.beside.contradicts, found.beside.costs) == ("log_loss", True, True)
    assert found.sentences[1] == sentence(found)
    assert re.match(
        r"But by log-loss the winner is worse on new rows: 0\.\d+, tuned constant rate 0\.\d+, not tuned 0\.\d+; "
        r"95 % interval of the lead over the tuned constant rate -0\.1\d+ to -0\.0\d+\.$",
        sentence(found),
    )


def test_a_loss_is_held_against_right_rows() -> None:
    found = judged("log_loss", winner=(95, 0.2))
    assert found.on_new_rows.word is Word.BETTER
    assert sentence(found).startswith("But by accuracy the winner is worse on new rows: 82.")
    assert re.search(r"-\d\.\d\d rows to -\d\.\d\d rows\.$", sentence(found))


def test_rows_alike_and_a_lower_loss_are_a_gain_that_is_told() -> None:
    found = judged(winner=(100, 0.2))
    assert found.on_new_rows.word is Word.SAME
    assert sentence(found).startswith("But by log-loss the winner is better on new rows: 0.")


def test_a_winner_that_is_worse_by_both_is_told_so() -> None:
    found = judged(winner=(96, 0.4))
    assert found.beside is not None
    assert not found.beside.contradicts
    assert sentence(found).startswith("By log-loss, too, the winner is worse on new rows: ")


def test_tuning_that_costs_probabilities_is_told() -> None:
    found = judged(rerun=(100, 0.2))
    assert found.beside is not None
    assert (found.beside.contradicts, found.beside.costs) == (False, True)
    assert sentence(found).startswith("By log-loss the winner is worse on new rows than what is not tuned: ")


@pytest.mark.parametrize("loss", [0.3, 0.302])
def test_a_loss_that_is_the_same_or_hardly_higher_is_not_told(loss: float) -> None:
    found = judged(winner=(100, loss))
    assert found.beside is not None
    assert [found.beside.winner, found.beside.untuned] == pytest.approx([loss, 0.3], abs=0.01)
    assert sentence(found) == ""
    assert len(found.sentences) == 2


def test_of_numbers_there_is_no_other_metric() -> None:
    plan, record = records.of_numbers(PLAN)
    assert compute_verdict(plan, record).beside is None


def test_where_there_is_nothing_to_compare_nothing_stands_beside_it() -> None:
    record: VerdictRecord = records.make_record(PLAN)
    few = record.split.model_copy(update={"train_rows": 6})
    found = compute_verdict(PLAN, record.model_copy(update={"split": few}))
    assert (found.on_new_rows.word, found.beside) == (Word.TOO_FEW, None)
