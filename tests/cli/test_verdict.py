"""Laws of a verdict on a terminal: it is drawn from the answer alone, wherever that comes from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from sweep.cli.tables import WIDTH, histogram, show_best, show_verdict
from sweep.stats.verdict import Word
from sweep.verdict.result import Finding, LinearModel, Verdict
from sweep.verdict.results import BestAnswer
from tests.verdict.records import make_plan, make_result

PLAN = make_plan(trials=20)


def answer(problem: str | None = None, *, current: bool = True) -> Verdict:
    return make_result(PLAN, problem=problem, current=current).verdict


@pytest.mark.parametrize("problem", [None, "too few rows of class a."], ids=["re-split", "not re-split"])
def test_an_answer_that_went_through_json_draws_the_same(
    problem: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    near = answer(problem)
    show_verdict(near)
    drawn = capsys.readouterr().out
    show_verdict(Verdict.model_validate_json(near.model_dump_json()))
    assert capsys.readouterr().out == drawn
    assert max(map(len, drawn.splitlines())) <= WIDTH


def test_the_re_splits_have_a_column_if_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    show_verdict(answer())
    assert "new rows, of 116" in capsys.readouterr().out
    show_verdict(answer("too few rows."))
    assert "new rows, of" not in capsys.readouterr().out


def test_advice_stands_first_and_what_it_rests_on_is_shown_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    show_verdict(answer())
    brief = capsys.readouterr().out
    assert brief.splitlines()[2].startswith("Use       constant 0.21, momentum 0.62. No schedule is worth its extra")
    assert brief.index("Gain") < brief.index("Beware") < brief.index("On new rows") < brief.index("these rows, of 116")
    assert "`sweep compare ionosphere --why` shows what" in brief
    show_verdict(answer(), why=True)
    assert "head to head" in capsys.readouterr().out
    assert "head to head" not in brief


def test_a_linear_model_stands_below_the_ladder_with_its_rows_if_they_are_a_draw(
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts: dict[str, Any] = {"name": "logistic regression", "score": 105.0, "new_score": 101.3, "splits": 30}
    show_verdict(answer().model_copy(update={"linear": LinearModel(train_rows=235, **facts)}))
    lines = capsys.readouterr().out.splitlines()
    (place,) = (place for place, line in enumerate(lines) if line.startswith("linear model "))
    assert " ".join(lines[place].split()) == "linear model logistic regression 101.30 87.33% 105.00 90.52%"
    assert any(line.startswith("and schedule") for line in lines[place - 2 : place])
    show_verdict(answer().model_copy(update={"linear": LinearModel(train_rows=200, **facts)}))
    assert "logistic regression, of 200" in capsys.readouterr().out


def test_without_re_splits_the_reason_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    show_verdict(answer("too few rows."))
    assert "\nOn new rows: open. There are no re-splits: too few rows.\n" in capsys.readouterr().out


@pytest.mark.parametrize("current", [True, False])
def test_one_that_is_out_of_date_says_so(current: bool, capsys: pytest.CaptureFixture[str]) -> None:
    show_verdict(answer(current=current))
    assert ("Out of date: the study has changed since" in capsys.readouterr().out) is not current


class TestHistogram:
    def test_a_wide_spread_shares_lines(self) -> None:
        assert histogram(Counter([90, 97, 101]), lines=4, width=2) == [
            "99-101 |## 1",
            " 96-98 |## 1",
            " 93-95 | 0",
            " 90-92 |## 1",
        ]

    def test_equal_counts_take_one_line(self) -> None:
        assert histogram({115: 3}, width=5) == ["115 |##### 3"]

    def test_every_run_is_drawn(self) -> None:
        drawn = histogram(Counter(np.random.default_rng(3).integers(60, 117, 200).tolist()))
        assert len(drawn) <= 12
        assert sum(int(line.split()[-1]) for line in drawn) == 200


def test_of_many_classes_and_doubts_the_first_ten_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    many = answer().model_copy(update={"unstable": tuple(f"doubt {number}" for number in range(40))})
    recall = {f"class{number}": 0.5 for number in range(229)}
    wide = many.winner.model_copy(update={"recall": recall})
    show_verdict(many.model_copy(update={"winner": wide, "tuned_constant": wide}), why=True)
    drawn = capsys.readouterr().out
    assert "class9 50.0% and 219 more" in " ".join(drawn.split())
    assert "and 31 more" in drawn
    assert len(drawn.splitlines()) < 62


def test_where_nothing_was_learned_power_and_equals_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    void = Finding(word=Word.NOTHING_LEARNED, headline="No candidate learned", detail="d", why="w", cure="c")
    for finding, there in ((None, True), (void, False), (void.model_copy(update={"word": None}), True)):
        show_verdict(answer().model_copy(update={"finding": finding}), why=True)
        drawn = capsys.readouterr().out
        assert ("four times in five" in drawn.partition("luck")[2]) is there
        assert ("cannot be told from the winner" in drawn) is there


def test_the_count_of_confirmations_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    once = answer()
    show_verdict(once, why=True)
    first = capsys.readouterr().out
    assert "confirmation 1" not in first
    assert "confirmed       once" in first
    show_verdict(once.model_copy(update={"confirmations": 3}), why=True)
    again = capsys.readouterr().out
    assert again.splitlines()[1] == "This is confirmation 3 of this study; each had run seeds of its own."
    assert "confirmed       3 times" in again
    told = {"study": "ionosphere", "trials": 20, "metric": "accuracy", "quoted_baseline": None, "quoted_source": None}
    advice = {"best": (), "recommendation": once.recommendation, "confirmations": 3}
    show_best(BestAnswer.model_validate(told | advice))
    assert (
        capsys.readouterr()
        .out.splitlines()[0]
        .endswith("on rows that nothing was chosen by; confirmation 3 of this study")
    )
