"""The verdict as programs, pages and terminals get it: all that it rests on, but for the single runs.

It stands alone because a client reads and draws it without the statistics that `sweep.verdict.summary` makes it by.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sweep.model import Answer
from sweep.stats.estimate import Chances, Effect

# `sweep.stats.verdict.Word` has the same; it loads SciPy.
Said: TypeAlias = Literal["better", "not resolved", "no better than a constant rate", "worse"]


class Judged(Answer):
    """The answer to one question: the word, the sentence, and what the winner has over the tuned constant rate.

    Attributes:
        rows: how many rows a run is judged on.
        effect_rows: in rows.
        effect_points: in percentage points of accuracy.
        smallest_of_interest: the smallest effect worth having, in rows.
        runs: shares of runs in which the winner is better, tied, worse; on these rows only.
        mean: how sure it is that the mean is so.
    """

    word: Said
    sentence: str
    rows: int
    effect_rows: Effect
    effect_points: Effect
    smallest_of_interest: float
    runs: Chances | None
    mean: Chances | None


class Unresolved(Answer):
    """No answer to a question, and why there is none."""

    word: Literal["not resolved"]
    problem: str | None


class Setting(Answer):
    """A candidate and where it was found.

    Attributes:
        study: the study whose search found it; None for a setting that the study file gives.
        trial: its trial's number there.
        schedule: with its defaults, as `Schedule.from_json` reads it.
        momentum: of the optimizer, the highest if the schedule moves it.
        label: schedule, parameters and momentum in one line.
    """

    study: str | None
    trial: int | None
    schedule: dict[str, Any]
    momentum: float
    label: str


class Confirmed(Setting):
    """A candidate that was confirmed.

    Attributes:
        correct_mean: right validation rows, mean over the confirmation's runs.
        correct_counts: how many of these runs had how many right rows, highest count first.
        new_rows_mean: right test rows, mean over the re-splits; None without any.
    """

    correct_mean: float
    correct_counts: dict[int, int]
    new_rows_mean: float | None


class Spread(Answer):
    """Standard deviation of right rows over runs, that of well-trained networks, and whether it is far above."""

    deviation: float
    expected: float
    flagged: bool


class Scored(Confirmed):
    """A candidate with its confirmation summed up.

    Attributes:
        log_loss: mean over the runs where it is finite.
        diverged: runs that ended in NaN or infinity.
        recall: share of each class's validation rows that was recognised; None for a class without any.
        balanced_accuracy: their mean.
        spread: of right rows over the runs.
    """

    log_loss: float | None
    diverged: int
    recall: dict[str, float | None]
    balanced_accuracy: float
    spread: Spread


class LadderStep(Confirmed):
    """One step of the ladder: what it adds, and what it has over the step before, in rows; None for the first."""

    adds: str
    change: Effect | None


class QuotedResult(Answer):
    """The quoted result: its validation rows right, and the share of the winner's and the re-run's runs above."""

    accuracy: float
    source: str
    correct: int
    winner_above: float
    rerun_above: float


class Luck(Answer):
    """The winner's mean right rows where it was found, chosen and confirmed; in `total`, how much luck flattered it."""

    search: float
    selection: float
    confirmation: float
    total: float


class Majority(Answer):
    """The commonest class of the validation rows, and how many of them are of it."""

    label: str
    rows: int


class SplitAnswer(Answer):
    """The study's own split: its rows, the validation rows of each class, and what makes it doubtful."""

    train_rows: int
    validation_rows: int
    class_rows: dict[str, int]
    warnings: tuple[str, ...]


class VerdictAnswer(Answer):
    """Whether the best schedule is really better than a constant rate, and what a reader needs to doubt it.

    Attributes:
        study: the study's name.
        current: whether nothing has changed under the verdict since it was made.
        confirmations: how many there have been.
        on_these_rows: on the study's own validation rows.
        on_new_rows: on re-splits.
        winner: the winner of the race.
        tuned_constant: the constant rate and momentum that a search of equal budget found.
        reruns: the quoted settings run again, or the optimizer's defaults in Keras.
        quoted: the quoted result, if the study file has one.
        ladder: the first re-run, the tuned rate if there is one, the tuned constant, the winner.
        effect_of_tuning: winner minus the first re-run, in rows.
        optimism: what luck did for the winner.
        candidates: how many each search looked at, by study.
        raced: how many finalists ran in the race.
        as_good: those that cannot be told from the winner, itself included, best first.
        simplest: the one of them with the fewest parameters.
        majority: what always answering the commonest class gets.
        seeds_needed: confirmation seeds that find the smallest effect of interest four times in five.
        to_beat: right rows of whoever `whom_to_beat` says.
        mcnemar_limit: smallest exact p-value by which any single model could beat that on these rows.
        unstable: whose runs spread far more than those of well-trained networks.
        at_an_end: what lies at an end of its range.
        split: the study's own.
    """

    study: str
    current: bool
    confirmations: int
    on_these_rows: Judged
    on_new_rows: Judged | Unresolved
    winner: Scored
    tuned_constant: Scored
    reruns: tuple[Confirmed, ...]
    quoted: QuotedResult | None
    ladder: tuple[LadderStep, ...]
    effect_of_tuning: Effect
    optimism: Luck
    candidates: dict[str, int]
    raced: int
    as_good: tuple[Setting, ...]
    simplest: Setting
    majority: Majority
    seeds_needed: int | None
    to_beat: int
    whom_to_beat: str
    mcnemar_limit: float
    unstable: tuple[str, ...]
    at_an_end: tuple[str, ...]
    split: SplitAnswer
