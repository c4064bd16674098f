"""The rule of a verdict: the word for what the winner has over the tuned constant rate, and the sentence that says it.

What ranks the candidates is what is judged, in its own unit. The word follows from the 95 % interval of the lead, and
from the smallest lead worth having: the larger of one row and half a point of accuracy, half a point of other shares,
2 % of the constant rate's loss, unless the study says otherwise.

| the interval | word |
|---|---|
| reaches from `worth` up | better, and worth it |
| is above 0, with `worth` inside | better, size open |
| is above 0 and ends below `worth` | better, not worth it |
| holds 0, and neither `worth` nor `-worth` | the same |
| the same three, downwards | worse, and it matters; worse, size open; worse, hardly |
| anything else | open |

So a word is said of an interval alone, whatever its middle: "better" has a probability of at most 2.5 % where there is
no lead, and "the same" where there is one that is worth having. Fewer than 6 differences stay open, where even an
exact sign test that all agree with stays above 5 % (2 * 0.5^5 = 0.0625).

Where there is nothing to compare, a finding has the word instead, such as "nothing learned".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from pydantic import model_validator

from sweep.model import Answer
from sweep.stats.estimate import FEWEST_DIFFERENCES, Chances, Effect
from sweep.task import METRICS, Metric, MetricName

ONE_ROW = 1.0
HALF_A_POINT = 0.005  # of a share: a lead that is worth having by default
SHARE_OF_LOSS = 0.02  # of the constant rate's loss: a lead that is worth having by default
SMALLEST = 1e-9  # lead of a loss that may be worth having where the constant rate's is 0
FEWEST_ROWS = 5  # on which two candidates differ, for a normal distribution of their sum
MOST_LISTED = 10  # classes, candidates or doubts in one answer


class Word(StrEnum):
    """All that a verdict may say."""

    BETTER = "better, and worth it"
    BETTER_OPEN = "better, size open"
    BETTER_SMALL = "better, not worth it"
    SAME = "the same"
    WORSE_SMALL = "worse, hardly"
    WORSE_OPEN = "worse, size open"
    WORSE = "worse, and it matters"
    OPEN = "open"
    NOTHING_LEARNED = "nothing learned"
    ALL_PERFECT = "all perfect"
    TOO_FEW = "too few rows to tell"
    COPIED = "rows are copies"
    WORSE_THAN_GUESSING = "worse than guessing"
    NO_SCHEDULE = "no schedule won"

    @property
    def says_better(self) -> bool:
        """Whether the winner is better than the tuned constant rate, by however little."""
        return self in (Word.BETTER, Word.BETTER_OPEN, Word.BETTER_SMALL)

    @property
    def says_worse(self) -> bool:
        """Whether the winner is worse than the tuned constant rate, by however little."""
        return self in (Word.WORSE, Word.WORSE_OPEN, Word.WORSE_SMALL)

    @property
    def is_settled(self) -> bool:
        """Whether the interval lies on one side of a mark, so that more runs are not needed for a word."""
        return self is not Word.OPEN

    @property
    def is_void(self) -> bool:
        """Whether there is nothing to compare."""
        return self in VOID

    @classmethod
    def _missing_(cls, value: object) -> Word | None:
        """Read the words of earlier versions."""
        return EARLIER.get(str(value))


# What earlier versions said, as what says no more than that.
EARLIER = {
    "better": Word.BETTER_OPEN,
    "worse": Word.WORSE_OPEN,
    "no better than a constant rate": Word.SAME,
    "not resolved": Word.OPEN,
}
# Why there is no word of comparison.
VOID = {
    Word.NOTHING_LEARNED: "no candidate learned, so that there is nothing to compare",
    Word.ALL_PERFECT: "every candidate is perfect, so that there is nothing left to compare",
    Word.TOO_FEW: "so few rows say nothing of others",
    Word.COPIED: "rows that were trained on are tested, so that this says nothing of others",
    Word.WORSE_THAN_GUESSING: "what is sure where it is wrong is not worth comparing",
    Word.NO_SCHEDULE: "two constant rates are compared",
}


class Question(StrEnum):
    """What a verdict is about: rows that were never seen, or the rows at hand with new run seeds; the first first."""

    NEW_ROWS = "on new rows"
    THESE_ROWS = "on these rows"

    @property
    def replicates(self) -> str:
        """What its differences are taken over."""
        return "run seeds" if self is Question.THESE_ROWS else "splits"

    @property
    def sides(self) -> tuple[str, str]:
        """Who is compared with whom."""
        return "The winner", "the tuned constant rate"


class OfSearching(StrEnum):
    """What a verdict says of searching itself: both searches were repeated, and judged by rows that neither saw."""

    AGAIN = "searching again"

    @property
    def replicates(self) -> str:
        """What its differences are taken over."""
        return "outer splits"

    @property
    def sides(self) -> tuple[str, str]:
        """Who is compared with whom."""
        return "Searching schedules", "searching constant rates"


Asked: TypeAlias = Question | OfSearching


@dataclass(frozen=True)
class Missing:
    """What an open comparison lacks.

    Args:
        kind: `computing` if more run seeds or splits of these rows would tell, or `rows`.
        number: about how many in all would tell, if the estimated lead is the true one.
    """

    kind: Literal["computing", "rows"]
    number: int

    def told(self, question: Asked, samples: int) -> str:
        """Return it in words, where so many run seeds or splits are there.

        >>> Missing("computing", 90).told(Question.NEW_ROWS, 30)
        'about 60 more splits would tell'
        >>> Missing("rows", 1412).told(Question.NEW_ROWS, 30)
        'about 1,400 rows would tell'
        """
        if self.kind == "rows":
            return f"about {_about(self.number):,} rows would tell"
        return f"about {_about(max(1, self.number - samples)):,} more {question.replicates} would tell"


@dataclass(frozen=True)
class Unit:
    """What the scores of a metric are counted in: rows for accuracy, points for other shares of rows, else themselves.

    Args:
        metric: that ranks the candidates.
        rows: how many a run is judged on.
        reference: what the tuned constant rate has on average, in the unit; None if nobody says.
    """

    metric: Metric
    rows: int
    reference: float | None = None

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

    def worth(self, lead: float) -> str:
        """Return a lead that is worth having in words: of rows in points, too, and of a loss as a share of it.

        >>> Unit(METRICS["accuracy"], 116).worth(1.0), Unit(METRICS["accuracy"], 3300).worth(16.5)
        ('1 row (0.86 points)', '16.5 rows (0.5 points)')
        >>> Unit(METRICS["log_loss"], 116, 0.0644).worth(0.00129), Unit(METRICS["balanced_accuracy"], 116).worth(0.5)
        ('0.00129 (2 %)', '0.5 points')
        """
        if self.counts_rows:
            return f"{in_rows(float(told(lead, 3)))} ({100 * lead / self.rows:.2g} points)"
        if self.metric.rises or not self.reference:
            return self.amount(lead)
        return f"{self.amount(lead)} ({100 * lead / abs(self.reference):.2g} %)"

    def smallest_of_interest(self, stated: float | None, reference: float) -> float:
        """Return the smallest lead worth having, in this unit, if none is stated.

        It is half a point (0.005) of what rises to 1, and at least a row of accuracy; 2 % of the `reference`, a loss of
        the constant rate.
        """
        if stated is not None:
            return stated
        if not self.metric.rises:
            return max(SHARE_OF_LOSS * abs(reference), SMALLEST)
        return max(HALF_A_POINT * self.factor, ONE_ROW if self.counts_rows else 0.0)

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
        missing: what would tell, where the word is open and something would.
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
    missing: Missing | None = None
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

    def lacking(self, missing: Missing | None, question: Asked) -> Judgement:
        """Return it with what would tell, if its word is open."""
        if missing is None or self.word is not Word.OPEN:
            return self
        sentence = f"{self.sentence.removesuffix('.')}; {missing.told(question, self.effect.samples)}."
        return self.model_copy(update={"missing": missing, "sentence": sentence})

    @property
    def rules_out_a_gain(self) -> bool:
        """Whether the interval leaves no lead that is worth having."""
        return self.effect.interval.high < self.smallest_of_interest


def judge(
    question: Asked,
    effect: Effect,
    rows: int | Unit,
    smallest_of_interest: float = ONE_ROW,
    *,
    runs: Chances | None = None,
    mean: Chances | None = None,
    void: Word | None = None,
) -> Judgement:
    """Judge an effect, what the winner has over the tuned constant; the arguments are fields of `Judgement`.

    It is in rows, of so many, or in a unit, as the smallest effect of interest is. `void` is the word if there is
    nothing to compare.
    """
    unit = rows if isinstance(rows, Unit) else Unit(METRICS["accuracy"], rows)
    word = decide(effect, smallest_of_interest) if void is None else void
    told = VOID.get(word)
    if told is None:
        reason = _reason(question, word, effect, unit, smallest_of_interest)
        told = f"{_compared(question, effect, unit)}: {reason}"
    return Judgement(
        word=word,
        sentence=f"{question.capitalize()}: {word}. {told[0].upper()}{told[1:]}.",
        rows=unit.rows,
        metric=unit.metric.name,
        unit=unit.noun,
        effect=effect,
        effect_rows=effect if unit.counts_rows else None,
        effect_points=effect.scaled(100 / unit.rows) if unit.counts_rows else None,
        smallest_of_interest=smallest_of_interest,
        runs=runs,
        mean=mean,
    )


def decide(effect: Effect, smallest_of_interest: float = ONE_ROW) -> Word:
    """Return the word for an effect; both in the same unit, and `smallest_of_interest` above 0."""
    if not smallest_of_interest > 0:
        raise ValueError(f"`smallest_of_interest` must be above 0, got {smallest_of_interest}.")
    low, high, worth = effect.interval.low, effect.interval.high, smallest_of_interest
    if effect.samples < FEWEST_DIFFERENCES:
        return Word.OPEN
    if low > 0:
        return Word.BETTER if low >= worth else Word.BETTER_OPEN if high > worth else Word.BETTER_SMALL
    if high < 0:
        return Word.WORSE if high <= -worth else Word.WORSE_OPEN if low < -worth else Word.WORSE_SMALL
    return Word.SAME if -worth < low and high < worth else Word.OPEN


def _compared(question: Asked, effect: Effect, unit: Unit) -> str:
    """Return what the winner has beside the tuned constant rate, and what else fits."""
    low, high = unit.signed(effect.interval.low), unit.signed(effect.interval.high)
    size, (ours, theirs) = unit.told(abs(effect.mean)), question.sides
    if not float(size):
        lead = f"{ours} has as many rows right as" if unit.counts_rows else f"The {unit.name} is the same as with"
    elif unit.counts_rows:
        points, way = f"{100 * effect.mean / unit.rows:+.2f} points", "more" if effect.mean > 0 else "fewer"
        lead = f"{ours} has {size} of {unit.rows} rows {way} right ({points}) than"
    else:
        way = "higher" if (effect.mean > 0) == unit.metric.rises else "lower"
        lead = f"The {unit.name} is {f'{size} {unit.noun}'.strip()} {way} than with"
    interval = f"interval {low} to {high} rows" if unit.counts_rows else f"interval of the lead {low} to {high}"
    over = f"95 % {interval} over {effect.samples} {question.replicates}"
    if effect.differing is not None and effect.differing < FEWEST_ROWS:
        over += f", in which the two differ on {effect.differing or 'no'} row{'s' if effect.differing != 1 else ''}"
    return f"{lead} {theirs}, {over}"


def _reason(question: Asked, word: Word, effect: Effect, unit: Unit, smallest_of_interest: float) -> str:
    """Return why a word is said."""
    worth = unit.worth(smallest_of_interest)
    if effect.samples < FEWEST_DIFFERENCES:
        return f"fewer than {FEWEST_DIFFERENCES} {question.replicates} cannot tell"
    if word is Word.OPEN and effect.interval.high < smallest_of_interest:
        return f"a lead of the {worth} that would be worth having is ruled out, but not that it is worse"
    return {
        Word.BETTER: f"at least the {worth} that is worth having",
        Word.BETTER_OPEN: f"a lead, which may be less or more than the {worth} that is worth having",
        Word.BETTER_SMALL: f"a lead, but less than the {worth} that would be worth having",
        Word.SAME: f"no difference as large as the {worth} that would be worth having",
        Word.WORSE_SMALL: f"behind, but by less than the {worth} that would matter",
        Word.WORSE_OPEN: f"behind, by less or more than the {worth} that matters",
        Word.WORSE: f"behind by at least the {worth} that matters",
        Word.OPEN: f"the {worth} that would be worth having is neither found nor ruled out",
    }[word]


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


def _about(number: int) -> int:
    """Return a number with two digits that count."""
    return int(float(f"{number:.2g}"))


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
