"""The verdict: one of four words on whether the winner is better than the tuned constant rate, and why.

It stands alone because the words are a promise. The rule reads the 95 % interval of the effect, winner minus tuned
constant, against two marks: 0, and the smallest effect of interest (one row unless the study says otherwise).

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

Each error has a probability of at most 2.5 % for an interval that covers 95 % with equal tails: "better" when there is
no effect, "worse" when there is none, "no better" when the effect is worth having. An interval shorter than one row can
lie between the marks; the nearer mark then decides. So more seeds make both errors ever rarer, where a rule that asks
for an interval above 0 alone would call any trifle better, and keep calling 2.5 % of null effects so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numpy.typing import ArrayLike

from sweep.stats.estimate import Chances, Effect, Interval, checked
from sweep.stats.paired import ONE_ROW, RESAMPLES, compare
from sweep.stats.power import FEWEST_DIFFERENCES
from sweep.stats.resplits import corrected_resampled_t, correlated_chances, with_unseen_rows

COARSEST = 0.02  # of the rows: no margin of a tie may be a larger share


class Word(StrEnum):
    """All that a verdict may say."""

    BETTER = "better"
    NOT_RESOLVED = "not resolved"
    NO_BETTER = "no better than a constant rate"
    WORSE = "worse"


class Question(StrEnum):
    """What a verdict is about: the rows at hand with new run seeds, or rows that were never seen."""

    THESE_ROWS = "on these rows"
    NEW_ROWS = "on new rows"

    @property
    def replicates(self) -> str:
        """What its differences are taken over."""
        return "run seeds" if self is Question.THESE_ROWS else "splits"


@dataclass(frozen=True)
class Verdict:
    """The answer to one question, with all that led to it.

    Args:
        question: what it is about.
        effect: winner minus tuned constant in rows, of `rows`.
        rows: how many rows a run is judged on.
        smallest_of_interest: the smallest effect worth having, in rows.
        run_chances: shares of runs in which the winner is better, tied, worse; on these rows only.
        mean_chances: how sure it is that the mean is so, by bootstrap on these rows, by a t distribution on new ones.
    """

    question: Question
    effect: Effect
    rows: int
    smallest_of_interest: float
    run_chances: Chances | None = None
    mean_chances: Chances | None = None

    @property
    def word(self) -> Word:
        """The word that the rule gives."""
        return Word.NOT_RESOLVED if self.coarse else decide(self.effect, self.smallest_of_interest)

    @property
    def coarse(self) -> bool:
        """Whether the smallest effect of interest is so many points that a margin of it means nothing."""
        return self.smallest_of_interest > COARSEST * self.rows

    @property
    def points(self) -> Effect:
        """The effect in percentage points of accuracy."""
        return self.effect.scaled(100 / self.rows)

    @property
    def resolvable(self) -> bool:
        """Whether so many differences would have found the smallest effect of interest with 80 % power."""
        return self.effect.smallest_detectable <= self.smallest_of_interest

    @property
    def sentence(self) -> str:
        """The verdict in one sentence for each: the word, the effect, the reason."""
        effect, interval = self.effect, self.effect.interval
        lead = (
            f"{effect.mean:+.2f} of {self.rows} rows ({self.points.mean:+.2f} points) against the tuned constant rate"
        )
        width = f"95 % interval {interval.low:+.2f} to {interval.high:+.2f} rows"
        over = f"{effect.samples} {self.question.replicates}"
        return f"{self.question.capitalize()}: {self.word}. {lead}, {width} over {over}: {self.reason}."

    @property
    def reason(self) -> str:
        """Why the rule gives this word."""
        if self.effect.samples < FEWEST_DIFFERENCES:
            return f"fewer than {FEWEST_DIFFERENCES} {self.question.replicates} cannot tell"
        if self.coarse:
            points = 100 * self.smallest_of_interest / self.rows
            return f"{self.rows} rows cannot tell, where {in_rows(self.smallest_of_interest)} is {points:.3g} points"
        if self.word is Word.NOT_RESOLVED:
            who, lead = f"{self.effect.samples} {self.question.replicates}", self.effect.smallest_detectable
            return f"the interval leaves both open; {who} would find a lead of {lead:.2f} rows four times in five"
        return _reason(self.word, self.effect.interval, in_rows(self.smallest_of_interest))


def decide(effect: Effect, smallest_of_interest: float = ONE_ROW) -> Word:
    """Return the word for an effect; both in the same unit.

    Raises:
        ValueError: if `smallest_of_interest` is not positive.
    """
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


def judge_these_rows(
    winner: ArrayLike,
    constant: ArrayLike,
    rows: int,
    *,
    smallest_of_interest: float = ONE_ROW,
    resamples: int = RESAMPLES,
) -> Verdict:
    """Judge correct rows of fresh, shared run seeds; both `[runs]`, of `rows` validation rows.

    Args:
        winner: correct rows of the winner, on run seeds that neither found nor chose it.
        constant: correct rows of the tuned constant rate on the same run seeds.
        rows: rows of the validation split.
        smallest_of_interest: the smallest effect worth having, in rows.
        resamples: how often the bootstrap draws.
    """
    found = compare(winner, constant, resamples=resamples)
    question = Question.THESE_ROWS
    return Verdict(question, found.effect, rows, smallest_of_interest, found.run_chances, found.mean_chances)


def judge_new_rows(
    winner: ArrayLike,
    constant: ArrayLike,
    train_rows: int,
    test_rows: int,
    *,
    smallest_of_interest: float = ONE_ROW,
) -> Verdict:
    """Judge correct rows on repeated splits; both `[splits, runs]`, averaged over the runs within a split.

    Args:
        winner: correct rows of the winner on the test rows of each split.
        constant: correct rows of the tuned constant rate on the same splits and run seeds.
        train_rows: rows that each split trains on.
        test_rows: rows that each split tests on.
        smallest_of_interest: in test rows of a split; `same_share` turns validation rows into them.
    """
    ours, theirs = checked("winner", winner, dimensions=2), checked("constant", constant, dimensions=2)
    if ours.shape != theirs.shape:
        raise ValueError(f"`winner` and `constant` must share their runs, got {ours.shape} and {theirs.shape}.")
    differences = (ours - theirs).mean(axis=1)
    effect = with_unseen_rows(corrected_resampled_t(differences, train_rows, test_rows), train_rows, test_rows)
    likely = correlated_chances(differences, train_rows, test_rows, tie=ONE_ROW)
    return Verdict(Question.NEW_ROWS, effect, test_rows, smallest_of_interest, mean_chances=likely)


def same_share(effect: float, rows: int, other_rows: int) -> float:
    """Return the number of `other_rows` rows that is the same share as `effect` of `rows`.

    >>> same_share(1.0, 116, 58)
    0.5
    """
    return effect * other_rows / rows


def _reason(word: Word, interval: Interval, worthwhile: str) -> str:
    """Return what the interval says about the two marks; `worthwhile` is the smallest effect of interest, in words."""
    if word is Word.BETTER:
        return "the interval lies above 0"
    if word is Word.WORSE:
        return "the interval lies below 0"
    small = "a lead, but " if interval.low > 0 else ""
    return f"{small}less than the {worthwhile} that would be worth having"


def in_rows(number: float) -> str:
    """Return a number of rows in words.

    >>> in_rows(1.0), in_rows(0.5)
    ('1 row', '0.5 rows')
    """
    return f"{number:g} row{'' if number == 1 else 's'}"
