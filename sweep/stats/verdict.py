"""The rule of a verdict: one of four words on whether the winner is better than the tuned constant rate, and why.

What ranks the candidates is what is judged, in its own unit. The rule reads the 95 % interval of the effect, what the
winner has over the tuned constant, against two marks: 0, and the smallest effect of interest (one row of accuracy
unless the study says otherwise).

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
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import model_validator

from sweep.model import Answer
from sweep.stats.estimate import FEWEST_DIFFERENCES, Chances, Effect
from sweep.task import METRICS, Metric, MetricName

ONE_ROW = 1.0
COARSEST = 0.02  # of the rows: no margin of a tie may be a larger share
SMALLEST = 1e-9  # lead of a loss that may be worth having where the constant rate's is 0
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


@dataclass(frozen=True)
class Unit:
    """What the scores of a metric are counted in: rows for accuracy, points for other shares of rows, else themselves.

    Args:
        metric: that ranks the candidates.
        rows: how many a run is judged on.
    """

    metric: Metric
    rows: int

    @property
    def counts_rows(self) -> bool:
        """Whether scores are right rows."""
        return self.metric.name == "accuracy"

    @property
    def name(self) -> str:
        """The metric in a sentence."""
        return self.metric.title.partition(",")[0]

    @property
    def short(self) -> str:
        """The metric above a column."""
        shorter = {"auc": "AUC", "r2": "R2", "rmse": "RMSE", "mae": "MAE", "f1": "F1", "brier": "Brier"}
        return shorter.get(self.metric.name, self.name)

    @property
    def noun(self) -> str:
        """What a number in this unit counts, in the plural; empty for a pure number."""
        return self.metric.unit if self.metric.unit in ("rows", "points") else ""

    @property
    def factor(self) -> float:
        """What a score of 1 is in this unit."""
        return {"rows": float(self.rows), "points": 100.0}.get(self.noun, 1.0)

    @property
    def sign(self) -> int:
        """What makes of a difference of scores a lead, of which more is better."""
        return 1 if self.metric.rises else -1

    def told(self, score: float) -> str:
        """Return a score in this unit as text.

        >>> Unit(METRICS["accuracy"], 116).told(114.422), Unit(METRICS["rmse"], 50).told(9.1876)
        ('114.42', '9.188')
        >>> Unit(METRICS["rmse"], 50).told(19_654.3)
        '19654'
        """
        return format(score, self._form(score))

    def plain(self, score: float) -> str:
        """Return a score as the metric has it, as text: a share of rows as percentage."""
        return f"{score:.2%}" if self.noun else self.told(score)

    def signed(self, lead: float) -> str:
        """Return a difference of scores in this unit as text."""
        return format(lead, "+" + self._form(lead))

    def lead(self, lead: float) -> str:
        """Return a lead in words: `+0.09 rows`, `+0.0123 in log-loss`."""
        return f"{self.signed(lead)} {self.noun or f'in {self.name}'}"

    def amount(self, number: float) -> str:
        """Return a difference in words: `1 row`, `0.5 points`, `0.005`."""
        if self.counts_rows:
            return in_rows(number)
        return f"{told(number, 3)} {self.noun}".strip()

    def smallest_of_interest(self, stated: float | None, reference: float) -> float:
        """Return the smallest lead worth having, in this unit, if none is stated.

        It is one row, half a point (0.005) of what rises to 1, or 2 % of the `reference`, a loss of the constant rate.
        """
        if stated is not None:
            return stated
        if self.counts_rows:
            return ONE_ROW
        return 0.005 * self.factor if self.metric.rises else max(0.02 * abs(reference), SMALLEST)

    def _form(self, number: float) -> str:
        if self.noun or not self.metric.of_numbers:
            return ".2f" if self.noun else ".4f"
        return form_of_number(number)


class Judgement(Answer):
    """The answer to one question: the word, the sentence, and what the winner has over the tuned constant rate.

    Attributes:
        rows: how many rows a run is judged on.
        metric: that ranks the candidates, and is judged.
        unit: what its differences are counted in: `rows`, `points`, or nothing.
        effect: what the winner has over the tuned constant, in that unit; positive if the winner is better.
        effect_rows: winner minus tuned constant in rows, of `rows`; None unless accuracy is judged.
        effect_points: the same in percentage points of accuracy.
        smallest_of_interest: the smallest effect worth having, in the unit.
        runs: shares of runs in which the winner is better, tied, worse; on these rows only.
        mean: how sure it is that the mean is so, by bootstrap on these rows, by a t distribution on new ones.
    """

    word: Word
    sentence: str
    rows: int
    metric: MetricName = "accuracy"
    unit: str = "rows"
    effect: Effect
    effect_rows: Effect | None
    effect_points: Effect | None
    smallest_of_interest: float
    runs: Chances | None
    mean: Chances | None

    @model_validator(mode="before")
    @classmethod
    def _of_before_there_were_metrics(cls, given: Any) -> Any:
        return (
            {"effect": given["effect_rows"], **given} if isinstance(given, dict) and "effect_rows" in given else given
        )

    @property
    def measured(self) -> Unit:
        """What scores are counted in."""
        return Unit(METRICS[self.metric], self.rows)

    @property
    def resolvable(self) -> bool:
        """Whether so many differences would have found the smallest effect of interest with 80 % power."""
        return self.effect.smallest_detectable <= self.smallest_of_interest


def judge(
    question: Question,
    effect: Effect,
    rows: int | Unit,
    smallest_of_interest: float = ONE_ROW,
    *,
    runs: Chances | None = None,
    mean: Chances | None = None,
    void: Word | None = None,
) -> Judgement:
    """Judge an effect, what the winner has over the tuned constant; the arguments are fields of `Judgement`.

    It is in rows, of so many, or in a unit, as the smallest effect of interest is. Where that is so many points of
    accuracy that a margin of it means nothing, nothing is resolved. `void` is the word if there is nothing to compare.
    """
    unit = rows if isinstance(rows, Unit) else Unit(METRICS["accuracy"], rows)
    rows = unit.rows
    coarse = smallest_of_interest > COARSEST * rows if unit.counts_rows else unit.metric.rises and rows < 1 / COARSEST
    word = Word.NOT_RESOLVED if coarse else decide(effect, smallest_of_interest)
    interval, over = effect.interval, f"{effect.samples} {question.replicates}"
    if void is not None:
        word, reason = void, VOID[void]
    elif effect.samples < FEWEST_DIFFERENCES:
        reason = f"fewer than {FEWEST_DIFFERENCES} {question.replicates} cannot tell"
    elif coarse:
        size = smallest_of_interest if unit.counts_rows else ONE_ROW
        reason = f"{rows} rows cannot tell, where {in_rows(size)} is {100 * size / rows:.3g} points"
    elif word is Word.NO_BETTER:
        small = "a lead, but " if interval.low > 0 else ""
        reason = f"{small}less than the {unit.amount(smallest_of_interest)} that would be worth having"
    elif word is Word.NOT_RESOLVED:
        lead = f"{unit.told(effect.smallest_detectable)} {unit.noun}".strip()
        reason = f"the interval leaves both open; {over} would find a lead of {lead} four times in five"
    else:
        reason = f"the interval lies {'above' if word is Word.BETTER else 'below'} 0"
    low, high = unit.signed(interval.low), unit.signed(interval.high)
    if unit.counts_rows:
        points = effect.scaled(100 / rows)
        told = (
            f"{unit.signed(effect.mean)} of {rows} rows ({points.mean:+.2f} points) "
            f"against the tuned constant rate, 95 % interval {low} to {high} rows"
        )
    else:
        points, way = None, "higher" if (effect.mean > 0) == unit.metric.rises else "lower"
        apart = f"{unit.told(abs(effect.mean))} {unit.noun}".strip()
        away = f"{apart} {way} than" if float(unit.told(abs(effect.mean))) else "the same as"
        told = f"The {unit.name} is {away} with the tuned constant rate, 95 % interval of the lead {low} to {high}"
    return Judgement(
        word=word,
        sentence=f"{question.capitalize()}: {word}. {told} over {over}: {reason}.",
        rows=rows,
        metric=unit.metric.name,
        unit=unit.noun,
        effect=effect,
        effect_rows=effect if unit.counts_rows else None,
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


def form_of_number(number: float, digits: int = 4) -> str:
    """Return how to write a number of any size: so many digits, and no exponent where people write none.

    >>> [format(number, form_of_number(number)) for number in (0.12345, 1234.56, 65129.4)]
    ['0.1235', '1235', '65129']
    """
    return ".0f" if 10**digits - 0.5 <= abs(number) < 1e9 else f".{digits}g"


def told(number: float, digits: int = 4) -> str:
    """Return a number of any size as text.

    >>> told(1_234_567.8), told(0.000123456, 3)
    ('1234568', '0.000123')
    """
    return format(number, form_of_number(number, digits))


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
