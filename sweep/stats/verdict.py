"""The rule of a verdict: one of four words on whether the winner is better than the tuned constant rate, and why.

The rule reads the 95 % interval of the effect, winner minus tuned constant, against two marks: 0, and the smallest
effect of interest (one row unless the study says otherwise).

- *better*: the whole interval lies above 0, and it either leaves an effect worth having possible or its estimate lies
  nearer to that than to 0.
- *worse*: the same downwards.
- *no better than a constant rate*: the interval rules out an effect worth having, and is neither of the above. This is
  the upper half of an equivalence test (Lakens, Scheel and Isager, 2018, Equivalence Testing for Psychological
  Research): it takes evidence, never just its absence. A lead that is real but clearly smaller than a row belongs
  here, and the sentence says so.
- *not resolved*: anything else. A comparison with fewer than 6 differences stays so, where even an exact sign test
  that all agree with stays above 5 % (2 * 0.5^5 = 0.0625). So does one for which the smallest effect of interest is
  more than 2 points of accuracy, as one row of fewer than 50 is: its mark lies above leads that are worth having.

Where no candidate has learned anything, or every one is perfect, there is nothing to compare, and none of these words.

Each error has a probability of at most 2.5 % for an interval that covers 95 % with equal tails: "better" when there is
no effect, "worse" when there is none, "no better" when the effect is worth having. An interval shorter than one row can
lie between the marks; the nearer mark then decides. So more seeds make both errors ever rarer, where a rule that asks
for an interval above 0 alone would call any trifle better, and keep calling 2.5 % of null effects so.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sweep.model import Answer
from sweep.stats.estimate import FEWEST_DIFFERENCES, Chances, Effect

ONE_ROW = 1.0
COARSEST = 0.02  # of the rows: no margin of a tie may be a larger share
MOST_LISTED = 10  # classes, candidates or doubts in one answer


class Word(StrEnum):
    """All that a verdict may say."""

    BETTER = "better"
    NOT_RESOLVED = "not resolved"
    NO_BETTER = "no better than a constant rate"
    WORSE = "worse"
    NOTHING_LEARNED = "nothing learned"
    ALL_PERFECT = "all perfect"


# Why there is no word of comparison.
VOID = {
    Word.NOTHING_LEARNED: "no candidate learned, so that there is nothing to compare",
    Word.ALL_PERFECT: "every candidate is perfect, so that there is nothing left to compare",
}


class Question(StrEnum):
    """What a verdict is about: the rows at hand with new run seeds, or rows that were never seen."""

    THESE_ROWS = "on these rows"
    NEW_ROWS = "on new rows"

    @property
    def replicates(self) -> str:
        """What its differences are taken over."""
        return "run seeds" if self is Question.THESE_ROWS else "splits"


class Judgement(Answer):
    """The answer to one question: the word, the sentence, and what the winner has over the tuned constant rate.

    Attributes:
        rows: how many rows a run is judged on.
        effect_rows: winner minus tuned constant in rows, of `rows`.
        effect_points: the same in percentage points of accuracy.
        smallest_of_interest: the smallest effect worth having, in rows.
        runs: shares of runs in which the winner is better, tied, worse; on these rows only.
        mean: how sure it is that the mean is so, by bootstrap on these rows, by a t distribution on new ones.
    """

    word: Word
    sentence: str
    rows: int
    effect_rows: Effect
    effect_points: Effect
    smallest_of_interest: float
    runs: Chances | None
    mean: Chances | None

    @property
    def resolvable(self) -> bool:
        """Whether so many differences would have found the smallest effect of interest with 80 % power."""
        return self.effect_rows.smallest_detectable <= self.smallest_of_interest


def judge(
    question: Question,
    effect: Effect,
    rows: int,
    smallest_of_interest: float = ONE_ROW,
    *,
    runs: Chances | None = None,
    mean: Chances | None = None,
    void: Word | None = None,
) -> Judgement:
    """Judge an effect, winner minus tuned constant in rows, of `rows`; the arguments are fields of `Judgement`.

    A smallest effect of interest that is so many points of accuracy that a margin of it means nothing resolves nothing.
    `void` is the word where there is nothing to compare.
    """
    coarse = smallest_of_interest > COARSEST * rows
    word = Word.NOT_RESOLVED if coarse else decide(effect, smallest_of_interest)
    points, interval, over = effect.scaled(100 / rows), effect.interval, f"{effect.samples} {question.replicates}"
    if void is not None:
        word, reason = void, VOID[void]
    elif effect.samples < FEWEST_DIFFERENCES:
        reason = f"fewer than {FEWEST_DIFFERENCES} {question.replicates} cannot tell"
    elif coarse:
        share = 100 * smallest_of_interest / rows
        reason = f"{rows} rows cannot tell, where {in_rows(smallest_of_interest)} is {share:.3g} points"
    elif word is Word.NO_BETTER:
        small = "a lead, but " if interval.low > 0 else ""
        reason = f"{small}less than the {in_rows(smallest_of_interest)} that would be worth having"
    elif word is Word.NOT_RESOLVED:
        lead = effect.smallest_detectable
        reason = f"the interval leaves both open; {over} would find a lead of {lead:.2f} rows four times in five"
    else:
        reason = f"the interval lies {'above' if word is Word.BETTER else 'below'} 0"
    return Judgement(
        word=word,
        sentence=f"{question.capitalize()}: {word}. {effect.mean:+.2f} of {rows} rows ({points.mean:+.2f} points) "
        f"against the tuned constant rate, 95 % interval {interval.low:+.2f} to {interval.high:+.2f} rows "
        f"over {over}: {reason}.",
        rows=rows,
        effect_rows=effect,
        effect_points=points,
        smallest_of_interest=smallest_of_interest,
        runs=runs,
        mean=mean,
    )


def decide(effect: Effect, smallest_of_interest: float = ONE_ROW) -> Word:
    """Return the word for an effect; both in the same unit, and `smallest_of_interest` above 0."""
    if not smallest_of_interest > 0:
        raise ValueError(f"`smallest_of_interest` must be above 0, got {smallest_of_interest}.")
    low, high, half = effect.interval.low, effect.interval.high, smallest_of_interest / 2
    if effect.samples < FEWEST_DIFFERENCES:
        return Word.NOT_RESOLVED
    if low > 0 and (high >= smallest_of_interest or effect.mean >= half):
        return Word.BETTER
    if high < 0 and (low <= -smallest_of_interest or effect.mean <= -half):
        return Word.WORSE
    return Word.NO_BETTER if high < smallest_of_interest else Word.NOT_RESOLVED


def in_rows(number: float) -> str:
    """Return a number of rows in words: `1 row`, `0.5 rows`."""
    return f"{number:g} row{'' if number == 1 else 's'}"


def listed(words: Iterable[str], most: int = MOST_LISTED, between: str = ", ") -> str:
    """Return the first words of a list, and how many more there are.

    >>> listed("abcd"), listed("abcd", most=2)
    ('a, b, c, d', 'a, b and 2 more')
    """
    known = list(words)
    shown = between.join(known[:most])
    return f"{shown} and {len(known) - most:,} more" if len(known) > most else shown
