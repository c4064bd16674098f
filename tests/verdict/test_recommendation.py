"""Laws of what a verdict recommends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from sweep.stats.estimate import Interval
from sweep.stats.verdict import Judgement, Word, decide
from sweep.task import MetricName
from sweep.verdict.analysis import compute_verdict
from sweep.verdict.forgiveness import with_forgiveness
from sweep.verdict.linear import LinearScores
from sweep.verdict.recommendation import recommend
from sweep.verdict.result import Finding, Recommendation, Verdict
from tests.verdict.records import make_plan, make_result

PLAN = make_plan(trials=20)


def judged(low: float, high: float, **record: Any) -> tuple[Verdict, Recommendation]:
    """Return a verdict with an interval on new rows, and what it recommends; 1 row is worth having."""
    found = make_result(PLAN, **record)
    new = found.verdict.on_new_rows
    assert isinstance(new, Judgement)
    effect = replace(new.effect, mean=(low + high) / 2, interval=Interval(low, high))
    other = new.model_copy(update={"effect": effect, "word": decide(effect, 1.0)})
    verdict = found.verdict.model_copy(update={"on_new_rows": other})
    advice = recommend(PLAN, found.record, verdict)
    assert advice is not None
    return verdict, advice


@pytest.mark.parametrize(
    ("low", "high", "word", "role"),
    [
        (1.2, 2.0, Word.BETTER, "winner"),
        (0.2, 2.0, Word.BETTER_OPEN, "winner"),
        (0.2, 0.8, Word.BETTER_SMALL, "tuned constant"),
        (-0.2, 0.8, Word.SAME, "tuned constant"),
        (-0.2, 2.0, Word.OPEN, "tuned constant"),
        (-2.0, -1.2, Word.WORSE, "tuned constant"),
    ],
)
def test_a_schedule_has_to_earn_its_place(low: float, high: float, word: Word, role: str) -> None:
    verdict, advice = judged(low, high)
    assert isinstance(verdict.on_new_rows, Judgement)
    assert (verdict.on_new_rows.word, advice.role) == (word, role)
    chosen = verdict.winner if role == "winner" else verdict.tuned_constant
    assert advice.setting.label == chosen.label
    assert advice.use.startswith(f"{chosen.label}. ")
    assert chosen.new_score is not None
    assert advice.score == pytest.approx(chosen.new_score / 116)
    assert f"{(low + high) / 2:+.2f} rows of 116 ({low:+.2f} to {high:+.2f})" in advice.gain


def test_rows_that_are_easier_than_others_are_told_with_what_mends_it() -> None:
    _, advice = judged(-0.2, 0.8)
    assert advice.on_new_rows
    assert f"on the validation rows, and {advice.score:.2%} on others: quote {advice.score:.2%}." in advice.beware


def test_without_other_rows_the_own_rows_decide_and_it_is_said() -> None:
    found = make_result(PLAN, problem="too few rows of class a.")
    advice = found.verdict.recommendation
    assert advice is not None
    assert (advice.on_new_rows, advice.role) == (False, "tuned constant")
    assert advice.gain.startswith("On the study's own rows, the best schedule of")
    assert "too few rows of class a." in advice.beware


@pytest.mark.parametrize(("untuned", "told"), [(0.2, True), (0.29, False)])
def test_worse_probabilities_are_told_if_they_are_much_worse(untuned: float, told: bool) -> None:
    found = make_result(PLAN)
    beside = found.verdict.beside
    assert beside is not None
    given = {"winner": 0.32, "constant": 0.3, "untuned": untuned, "costs": False, "sentence": ""}
    advice = recommend(PLAN, found.record, found.verdict.model_copy(update={"beside": beside.model_copy(update=given)}))
    assert advice is not None
    sentence = "though not surely: log-loss 0.200 untuned, 0.300 with the tuned constant rate, 0.320 with the best"
    assert (sentence in advice.price) is told
    assert bool(advice.price) is told


@pytest.mark.parametrize("word", [Word.NOTHING_LEARNED, Word.ALL_PERFECT])
def test_where_nothing_can_be_compared_nothing_is_recommended(word: Word) -> None:
    found = make_result(PLAN)
    void = Finding(word=word, headline="No candidate learned", detail="d", why="w", cure="c")
    assert recommend(PLAN, found.record, found.verdict.model_copy(update={"finding": void})) is None


def beside_linear(lead: float, **record: Any) -> tuple[Verdict, Recommendation]:
    """Return a verdict with a linear model that is so many points behind what is recommended, and the advice."""
    found = make_result(PLAN, **record)
    advice = found.verdict.recommendation
    assert advice is not None
    runs = found.record.constant.new_rows
    theirs: list[dict[MetricName, float]] = [{"accuracy": each.correct_mean / 116 - lead} for each in runs[:10]]
    own = found.record.constant.confirmation.correct_mean / 116 - lead
    linear = LinearScores(train_rows=235, own={"accuracy": own}, new_rows=tuple(theirs))
    verdict = compute_verdict(PLAN, found.record.model_copy(update={"linear": linear}))
    assert verdict.recommendation is not None
    return verdict, verdict.recommendation


@pytest.mark.parametrize(
    ("lead", "told"), [(0.02, ""), (0.004, ", less than would be worth having"), (-0.01, "the network gains nothing")]
)
def test_a_linear_model_that_does_as_well_is_a_caution(lead: float, told: str) -> None:
    verdict, advice = beside_linear(lead)
    assert verdict.linear is not None
    assert verdict.linear.new_score is not None
    assert verdict.linear.splits == 10
    assert ("On new rows logistic regression, a linear model, gets" in advice.beware) is bool(told)
    assert told in advice.beware
    alone = beside_linear(lead, problem="too few rows of class a.")[1].beware
    assert ("On the study's own rows logistic regression" in alone) is bool(told)


def test_a_linear_model_without_a_score_by_the_metric_says_nothing() -> None:
    found = make_result(PLAN)
    linear = LinearScores(train_rows=235, own={"auc": 0.9})
    verdict = compute_verdict(PLAN, found.record.model_copy(update={"linear": linear}))
    assert (verdict.linear, verdict.recommendation) == (None, found.verdict.recommendation)
    untested = linear.model_copy(update={"own": {"accuracy": 0.99}})
    verdict = compute_verdict(PLAN, found.record.model_copy(update={"linear": untested}))
    assert verdict.linear is not None
    assert (verdict.linear.new_score, verdict.recommendation) == (None, found.verdict.recommendation)


class TestForgives:
    def answer(self, role: str, **lost: float) -> str:
        """Return the line on a verdict whose schedules lose so many points a decade, by name; the others lose 2."""
        verdict, _ = judged(1.2, 2.0) if role == "winner" else judged(-0.2, 0.8)
        found = make_result(PLAN)
        rates = found.record.forgiveness
        assert rates is not None
        families = []
        for each in rates.families:
            decade = lost.get(each.name, 2.0) / 100
            scores = tuple((0.915 - decade * abs(math.log10(factor)),) * 6 for factor in each.factors)
            families.append(each.model_copy(update={"scores": scores}))
        record = found.record.model_copy(update={"forgiveness": rates.model_copy(update={"families": tuple(families)})})
        advice = recommend(PLAN, record, with_forgiveness(record, verdict))
        assert advice is not None
        assert advice.role == role
        assert list(advice.lines)[-1] == "Forgives"
        return advice.forgives

    def test_it_tells_the_rates_that_will_do_of_what_is_recommended_and_of_the_other(self) -> None:
        told = "is within half a point of the best one there"
        assert self.answer("tuned constant") == (
            f"Any rate from 0.12 to 0.37 (3.2-fold) {told}; of the best schedule, rex, 0.36 to 1.1 (3.2-fold)."
        )
        assert self.answer("winner") == (
            f"Any rate from 0.36 to 1.1 (3.2-fold) {told}; of the tuned constant rate, 0.12 to 0.37 (3.2-fold)."
        )

    def test_what_is_as_good_and_forgives_far_more_is_named(self) -> None:
        told = self.answer("tuned constant", cosine=0.6)
        assert told.endswith("(3.2-fold). cosine is as good and forgives far more: 0.059 to 2.7 (46-fold).")

    def test_an_earlier_record_says_nothing(self) -> None:
        found = make_result(PLAN)
        record = found.record.model_copy(update={"forgiveness": None})
        advice = recommend(PLAN, record, found.verdict.model_copy(update={"forgiveness": None}))
        assert advice is not None
        assert "Forgives" not in advice.lines
