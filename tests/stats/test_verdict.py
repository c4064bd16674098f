import re

import numpy as np
import pytest

from sweep.stats.comparison import judge_these_rows
from sweep.stats.estimate import Effect, Interval
from sweep.stats.verdict import Question, Word, decide, judge


def effect(low: float, high: float, samples: int = 64) -> Effect:
    return Effect((low + high) / 2, Interval(low, high), samples, 0.4)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.2, 1.4, Word.BETTER),
        (1.2, 1.4, Word.BETTER),
        (-0.2, 1.4, Word.NOT_RESOLVED),
        (0.0, 1.0, Word.NOT_RESOLVED),
        (-1.5, 1.5, Word.NOT_RESOLVED),
        (-0.2, 0.9, Word.NO_BETTER),
        (0.6, 0.9, Word.BETTER),
        (0.1, 0.6, Word.NO_BETTER),
        (-0.6, -0.1, Word.NO_BETTER),
        (-0.9, -0.6, Word.WORSE),
        (-3.0, 0.5, Word.NO_BETTER),
        (-1.4, -0.2, Word.WORSE),
    ],
)
def test_the_word_follows_from_the_interval_and_the_two_marks(low: float, high: float, word: Word) -> None:
    assert decide(effect(low, high)) is word


def test_the_smallest_effect_of_interest_moves_the_mark() -> None:
    assert decide(effect(0.1, 0.6), 0.5) is Word.BETTER


def test_no_word_turns_from_better_to_worse_under_a_small_shift() -> None:
    for low in np.linspace(-4, 3, 141):
        for width in (0.1, 0.7, 1.5, 4.0):
            words = {decide(effect(low + shift, low + shift + width)) for shift in (0.0, 0.05)}
            assert words != {Word.BETTER, Word.WORSE}


def test_fewer_than_six_differences_resolve_nothing() -> None:
    assert decide(effect(2, 3, samples=5)) is Word.NOT_RESOLVED
    verdict = judge_these_rows([115] * 5, [100] * 5, 116)
    assert verdict.word is Word.NOT_RESOLVED
    assert "fewer than 6 run seeds cannot tell" in verdict.sentence


def test_rows_so_few_that_one_is_many_points_resolve_nothing() -> None:
    for winner, constant in ((10, 10), (9, 3), (3, 9)):
        verdict = judge_these_rows([winner] * 64, [constant] * 64, 10)
        assert verdict.word is Word.NOT_RESOLVED
        assert "10 rows cannot tell, where 1 row is 10 points" in verdict.sentence
    assert judge_these_rows([49] * 64, [49] * 64, 50).word is Word.NO_BETTER
    assert judge_these_rows([9] * 64, [9] * 64, 10, smallest_of_interest=0.2).word is Word.NO_BETTER


def test_an_effect_of_interest_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`smallest_of_interest` must be above 0, got 0"):
        decide(effect(0, 1), 0.0)


class TestTheseRows:
    def test_equal_candidates_are_no_better(self) -> None:
        verdict = judge_these_rows([115] * 16, [115] * 16, 116)
        assert verdict.word is Word.NO_BETTER
        assert verdict.sentence.startswith("On these rows: no better than a constant rate.")

    def test_points_are_rows_of_a_hundred(self) -> None:
        verdict = judge_these_rows([10, 9] * 8, [9, 9] * 8, 10)
        assert verdict.effect_points is not None
        assert verdict.effect_points.mean == pytest.approx(5.0)
        assert verdict.effect_points.interval.low == pytest.approx(10 * verdict.effect.interval.low)

    def test_a_real_lead_of_less_than_a_row_says_so(self) -> None:
        verdict = judge_these_rows([115, 114, 114, 114] * 16, [114] * 64, 116)
        assert verdict.word is Word.NO_BETTER
        assert "a lead, but less than the 1 row that would be worth having" in verdict.sentence


class TestSentence:
    def test_it_says_the_word_the_effect_the_interval_and_the_reason(self) -> None:
        verdict = judge(Question.THESE_ROWS, Effect(1.16, Interval(0.75, 1.5), 64, 0.4), 116)
        assert verdict.sentence == (
            "On these rows: better. +1.16 of 116 rows (+1.00 points) against the tuned constant rate, "
            "95 % interval +0.75 to +1.50 rows over 64 run seeds: the interval lies above 0."
        )

    @pytest.mark.parametrize("question", Question)
    @pytest.mark.parametrize("low", [-3.0, -1.2, -0.5, 0.1, 0.5, 2.0])
    def test_it_never_claims_to_beat_a_number(self, question: Question, low: float) -> None:
        verdict = judge(question, effect(low, low + 1.1), 116)
        assert str(question).capitalize() in verdict.sentence
        assert f": {verdict.word}." in verdict.sentence
        assert "95 % interval" in verdict.sentence
        assert not re.search(r"beat|95\.69|\bbest\b", verdict.sentence)

    def test_an_open_verdict_says_what_it_could_have_shown(self) -> None:
        verdict = judge(Question.NEW_ROWS, Effect(0.5, Interval(-1.5, 2.5), 30, 2.9), 116)
        assert "30 splits would find a lead of 2.90 rows four times in five" in verdict.sentence
        assert not verdict.resolvable
