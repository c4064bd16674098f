import re

import numpy as np
import pytest

from sweep.stats.comparison import judge_these_rows
from sweep.stats.estimate import Effect, Interval
from sweep.stats.verdict import Missing, Question, Word, decide, judge


def effect(low: float, high: float, samples: int = 64) -> Effect:
    return Effect((low + high) / 2, Interval(low, high), samples, 0.4)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.0, 1.4, Word.BETTER),
        (0.2, 1.4, Word.BETTER_OPEN),
        (0.6, 1.0, Word.BETTER_SMALL),
        (0.1, 0.6, Word.BETTER_SMALL),
        (0.0, 0.9, Word.SAME),
        (-0.2, 0.9, Word.SAME),
        (-0.9, 0.0, Word.SAME),
        (-0.6, -0.1, Word.WORSE_SMALL),
        (-1.4, -0.2, Word.WORSE_OPEN),
        (-1.4, -1.0, Word.WORSE),
        (-0.2, 1.4, Word.OPEN),
        (-0.2, 1.0, Word.OPEN),
        (-3.0, 0.5, Word.OPEN),
        (-1.5, 1.5, Word.OPEN),
    ],
)
def test_the_word_follows_from_the_interval_and_what_is_worth_having(low: float, high: float, word: Word) -> None:
    assert decide(effect(low, high)) is word


def test_the_smallest_effect_of_interest_moves_the_mark() -> None:
    assert [decide(effect(0.1, 0.6), worth) for worth in (0.05, 0.5, 0.7)] == [
        Word.BETTER,
        Word.BETTER_OPEN,
        Word.BETTER_SMALL,
    ]


def test_no_word_turns_from_better_to_worse_under_a_small_shift() -> None:
    for low in np.linspace(-4, 3, 141):
        for width in (0.1, 0.7, 1.5, 4.0):
            words = [decide(effect(low + shift, low + shift + width)) for shift in (0.0, 0.05)]
            assert not (words[0].says_worse and words[1].says_better)


def test_the_mirror_of_an_interval_has_the_mirror_of_its_word() -> None:
    pairs = {
        Word.BETTER: Word.WORSE,
        Word.BETTER_OPEN: Word.WORSE_OPEN,
        Word.BETTER_SMALL: Word.WORSE_SMALL,
        Word.SAME: Word.SAME,
        Word.OPEN: Word.OPEN,
    }
    mirror = pairs | {worse: better for better, worse in pairs.items()}
    for low in np.linspace(-3, 3, 61):
        for width in (0.1, 0.7, 1.5, 4.0):
            assert decide(effect(-low - width, -low)) is mirror[decide(effect(low, low + width))]


def test_only_an_interval_that_lies_beside_no_mark_is_open() -> None:
    assert [word for word in Word if not word.is_settled] == [Word.OPEN]
    said = [word for word in Word if word.says_better or word.says_worse or word in (Word.SAME, Word.OPEN)]
    assert [word for word in Word if not word.is_void] == said


def test_words_of_earlier_versions_are_read() -> None:
    assert [Word(each) for each in ("better", "not resolved", "no better than a constant rate", "worse")] == [
        Word.BETTER_OPEN,
        Word.OPEN,
        Word.SAME,
        Word.WORSE_OPEN,
    ]
    with pytest.raises(ValueError, match="'best' is not a valid Word"):
        Word("best")


def test_fewer_than_six_differences_resolve_nothing() -> None:
    assert decide(effect(2, 3, samples=5)) is Word.OPEN
    verdict = judge_these_rows([115] * 5, [100] * 5, 116)
    assert verdict.word is Word.OPEN
    assert "fewer than 6 run seeds cannot tell" in verdict.sentence


def test_an_effect_of_interest_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`smallest_of_interest` must be above 0, got 0"):
        decide(effect(0, 1), 0.0)


class TestTheseRows:
    def test_equal_candidates_are_the_same(self) -> None:
        verdict = judge_these_rows([115] * 16, [115] * 16, 116)
        assert verdict.word is Word.SAME
        assert verdict.sentence.startswith(
            "On these rows: the same. The winner has as many rows right as the tuned constant rate, "
        )

    def test_points_are_rows_of_a_hundred(self) -> None:
        verdict = judge_these_rows([10, 9] * 8, [9, 9] * 8, 10)
        assert verdict.effect_points is not None
        assert verdict.effect_points.mean == pytest.approx(5.0)
        assert verdict.effect_points.interval.low == pytest.approx(10 * verdict.effect.interval.low)

    def test_a_real_lead_of_less_than_a_row_says_so(self) -> None:
        verdict = judge_these_rows([115, 114, 114, 114] * 16, [114] * 64, 116)
        assert verdict.word is Word.BETTER_SMALL
        assert "a lead, but less than the 1 row (0.86 points) that would be worth having" in verdict.sentence

    def test_an_open_one_says_how_many_run_seeds_would_tell(self) -> None:
        lead = np.random.default_rng(0).normal(0.1, 3.0, 20)
        verdict = judge_these_rows(100 + lead, [100] * 20, 116)
        assert verdict.word is Word.OPEN
        assert verdict.missing is not None
        assert verdict.missing.kind == "computing"
        more = re.search(r"about (\d+) more run seeds would tell\.$", verdict.sentence)
        assert more is not None
        runs = 20 * (int(more[1]) // 20 + 2)
        again = np.resize(lead, runs)
        assert judge_these_rows(100 + again, [100] * runs, 116).word.is_settled


class TestSentence:
    def test_it_says_the_word_the_effect_the_interval_and_the_reason(self) -> None:
        verdict = judge(Question.THESE_ROWS, Effect(1.16, Interval(0.75, 1.5), 64, 0.4), 116)
        assert verdict.sentence == (
            "On these rows: better, size open. The winner has 1.16 of 116 rows more right (+1.00 points) than "
            "the tuned constant rate, 95 % interval +0.75 to +1.50 rows over 64 run seeds: a lead, which may be less "
            "or more than the 1 row (0.86 points) that is worth having."
        )

    @pytest.mark.parametrize("question", Question)
    @pytest.mark.parametrize("low", [-3.0, -1.2, -0.5, 0.1, 0.5, 2.0])
    def test_it_never_claims_to_beat_a_number(self, question: Question, low: float) -> None:
        verdict = judge(question, effect(low, low + 1.1), 116)
        assert str(question).capitalize() in verdict.sentence
        assert f": {verdict.word}." in verdict.sentence
        assert "95 % interval" in verdict.sentence
        assert not re.search(r"beat|95\.69|\bbest\b", verdict.sentence)

    @pytest.mark.parametrize(
        ("missing", "told"),
        [
            (Missing("computing", 90), "; about 60 more splits would tell."),
            (Missing("rows", 1412), "; about 1,400 rows would tell."),
        ],
    )
    def test_an_open_one_ends_with_what_is_missing(self, missing: Missing, told: str) -> None:
        verdict = judge(Question.NEW_ROWS, Effect(0.5, Interval(-1.5, 2.5), 30, 2.9), 116)
        lacking = verdict.lacking(missing, Question.NEW_ROWS)
        assert lacking.missing == missing
        assert lacking.sentence == verdict.sentence[:-1] + told

    def test_one_that_is_settled_misses_nothing(self) -> None:
        verdict = judge(Question.NEW_ROWS, Effect(0.5, Interval(0.1, 0.9), 30, 2.9), 116)
        assert verdict.lacking(Missing("rows", 1412), Question.NEW_ROWS) == verdict
