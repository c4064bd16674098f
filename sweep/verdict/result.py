"""The verdict of a study: the one model that terminals, pages, programs and clients read.

It holds all that the verdict rests on but for the single runs, which are in `sweep.verdict.record`. A client loads it
without SciPy, Optuna or a database; `sweep.verdict.analysis` computes it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from sweep.model import Answer
from sweep.stats.estimate import Dispersion, Effect, Optimism
from sweep.stats.rates import Forgiveness
from sweep.stats.verdict import Judgement, OfSearching, Question, Unit, Word, listed
from sweep.task import MetricName
from sweep.verdict.extent import Decision

OF_BEFORE = (
    "An earlier version of sweep made these runs: its re-splits share their run seeds, and it kept no row's outcomes. "
    "`sweep run` makes them anew."
)


class Unresolved(Answer):
    """No answer to a question, and why there is none."""

    word: Word = Word.OPEN
    problem: str | None

    @property
    def sentence(self) -> str:
        """Why there is none."""
        return f"There are no re-splits: {self.problem}"


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
        correct_mean: right validation rows, mean over the confirmation's runs; None for numbers.
        correct_counts: how many of these runs had how many right rows, highest count first.
        new_rows_mean: right test rows, mean over the re-splits; None without any, and for numbers.
        score: by the verdict's metric in its unit, mean over the runs; right rows for accuracy.
        new_score: the same over the re-splits.
        scores: of each run in this unit, the lowest first; empty for accuracy, of which `correct_counts` tells.
    """

    correct_mean: float | None
    correct_counts: dict[int, int]
    new_rows_mean: float | None
    score: float
    new_score: float | None
    scores: tuple[float, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_before_there_were_metrics(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "score" in given or "correct_mean" not in given:
            return given
        return {"score": given["correct_mean"], "new_score": given.get("new_rows_mean"), **given}


class Scored(Confirmed):
    """A candidate with its confirmation summed up.

    Attributes:
        log_loss: mean over the runs where it is finite; None for numbers.
        diverged: runs that ended in NaN or infinity.
        recall: share of each class's validation rows that was recognised; None for a class without any.
        balanced_accuracy: their mean; None for numbers.
        spread: of right rows over the runs; None for numbers.
        deviation: standard deviation of `score` over the runs.
        by_metric: mean of every metric of the task, as the metric is; those that are known.
    """

    log_loss: float | None
    diverged: int
    recall: dict[str, float | None]
    balanced_accuracy: float | None
    spread: Dispersion | None
    deviation: float = 0.0
    by_metric: dict[MetricName, float] = Field(default={})


class LadderStep(Confirmed):
    """One step of the ladder: what it adds, and what it has over the step before, in the unit; None for the first."""

    adds: str
    change: Effect | None


class QuotedResult(Answer):
    """The quoted result: its validation rows right, and the share of the winner's and the re-run's runs above."""

    accuracy: float
    source: str
    correct: int
    winner_above: float
    rerun_above: float


class Finding(Answer):
    """What is said before anything else, as it makes the words of the verdict void or doubtful.

    Attributes:
        word: what takes the place of both words; None if they stand.
        headline: in one short sentence, without its full stop.
        detail: the numbers that it rests on.
        why: what the data and the loss curves show.
        cure: what to change, one line of a study file where there is one.
    """

    word: Word | None
    headline: str
    detail: str
    why: str
    cure: str

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.headline}: {self.detail}. Why: {self.why}. To change: {self.cure}."


class Beside(Answer):
    """What another metric says on new rows than the one that is judged: log-loss, or accuracy if a loss is judged.

    Attributes:
        metric: its name.
        winner: mean score of the winner, as the metric is.
        constant: that of the tuned constant rate.
        untuned: that of the first re-run.
        effect: what the winner has over the tuned constant, in the metric's unit; positive if the winner is better.
        over_untuned: what it has over the first re-run.
        contradicts: whether the interval of `effect` lies on the other side of 0 than the answer on new rows.
        costs: whether the winner is surely worse than one of the two, and by more than 2 % of a loss, or what else is
            worth having.
        sentence: what is to be said of it; empty if nothing is.
    """

    metric: MetricName
    winner: float
    constant: float
    untuned: float
    effect: Effect
    over_untuned: Effect
    contradicts: bool
    costs: bool
    sentence: str


class Majority(Answer):
    """The commonest class of the validation rows, and how many of them are of it."""

    label: str
    rows: int


class Uninformed(Answer):
    """What a network that reads no input does, as in `always answering g`, and what it scores, in the unit.

    `new_score` is its score on the re-splits, if that is known.
    """

    whom: str
    score: float
    new_score: float | None = None


class LinearModel(Answer):
    """What a linear model scores, in the unit, from the very inputs of the networks.

    Attributes:
        name: which one: logistic regression, or ridge regression for numbers.
        train_rows: the rows that it was fitted to; fewer than those to train on where these are many.
        score: on the study's own split.
        new_score: the mean over re-splits, if it has been fitted there.
        splits: how many of them.
    """

    name: str
    train_rows: int
    score: float
    new_score: float | None = None
    splits: int = 0


class NestedAnswer(Answer):
    """The whole search repeated on outer splits: what searching schedules has over searching constant rates.

    Attributes:
        answer: the judgement by rows that neither search saw, or why there is none.
        splits: outer splits.
        trials: candidates of each search.
        replicates: run seeds of each candidate.
        runs: trainings of each winner on an outer split.
        chosen: how often the search over schedules chose which, the most frequent first.
        ahead: on how many outer splits its winner was the better one; so `level` and `behind`.
        problem: why there are no outer splits, or fewer than were asked for.
    """

    answer: Judgement | Unresolved
    splits: int
    trials: int
    replicates: int
    runs: int = 0
    chosen: dict[str, int] = Field(default={})
    ahead: int = 0
    level: int = 0
    behind: int = 0
    problem: str | None = None

    @property
    def sentence(self) -> str:
        """All of it."""
        if isinstance(self.answer, Unresolved):
            return f"{OfSearching.AGAIN.capitalize()}: {self.answer.word}. It was not repeated: {self.problem}."
        chosen = listed(f"{name} {'once' if count == 1 else f'{count} times'}" for name, count in self.chosen.items())
        places = f"ahead on {self.ahead} of {self.splits} outer splits, level on {self.level}, behind on {self.behind}"
        short = f" Of those asked for, {self.problem}." if self.problem else ""
        return f"{self.answer.sentence} It was {places}, and chose {chosen}.{short}"


class SplitAnswer(Answer):
    """The study's own split: its rows, the validation rows of each class, and what makes it doubtful.

    `turns` is the number of splits of these sizes that run seeds took turns at; what is doubtful is of the first.
    """

    train_rows: int
    validation_rows: int
    class_rows: dict[str, int]
    warnings: tuple[str, ...]
    turns: int = 1

    @property
    def where(self) -> str:
        """What scores on it are on, in two words."""
        return "these rows" if self.turns == 1 else "searched splits"


class Recommendation(Answer):
    """Advice in a few lines; each is one or two sentences, and empty where there is nothing to say.

    Attributes:
        role: whose setting it is.
        setting: what to use.
        score: its mean score as the metric has it.
        on_new_rows: whether that is on re-splits; on the study's own if there are no others.
        were_searched: whether the search has validated on all rows of these, on splits of its own.
        use: what to use, and why.
        gain: what the best schedule has over the tuned constant rate there.
        price: what it costs by another metric.
        beware: what else stands between these numbers and other rows.
        forgives: how wrong the learning rate may be.
    """

    role: Literal["winner", "tuned constant"]
    setting: Setting
    score: float
    on_new_rows: bool
    were_searched: bool = False
    use: str
    gain: str
    price: str = ""
    beware: str = ""
    forgives: str = ""

    @property
    def where(self) -> str:
        """What the score is on, in words."""
        if not self.on_new_rows:
            return "the study's own rows"
        return "other re-splits of the rows" if self.were_searched else "rows that nothing was chosen by"

    @property
    def lines(self) -> dict[str, str]:
        """What there is to say, by its heading."""
        told = {"Use": self.use, "Gain": self.gain, "Price": self.price, "Beware": self.beware}
        told |= {"Forgives": self.forgives}
        return {heading: text for heading, text in told.items() if text}


class Verdict(Answer):
    """Whether the best schedule is really better than a constant rate, and what a reader needs to doubt it.

    Attributes:
        study: the study's name.
        current: whether nothing has changed under the verdict since it was made.
        confirmations: how many there have been.
        metric: what ranked the candidates and is judged; effects are in its unit, positive for what is better.
        learned: whether the winner is better than a network that reads no input.
        finding: what is said first: that nothing was learned, that all are perfect, or a class is never recognised.
        on_new_rows: on re-splits.
        on_these_rows: on the study's own validation rows.
        beside: what another metric says on new rows; None where there is none, or nothing to compare.
        winner: the winner of the race.
        tuned_constant: the best constant rate and momentum that is known after the race, of a search of equal budget,
            of the main search, or of the settings run again.
        reruns: the quoted settings run again, or the optimizer's defaults in Keras; at least one.
        quoted: the quoted result, if the study file has one and accuracy is judged.
        ladder: the first re-run, the tuned rate if there is one that is not the best constant, the tuned constant, the
            winner.
        falling: which of its steps are surely worse than the one before.
        effect_of_tuning: what the winner has over the first re-run, in the unit.
        optimism: the winner's mean score in the unit where it was found, chosen and confirmed.
        candidates: how many each search looked at, by study.
        raced: how many finalists ran in the race.
        as_good: those that cannot be told from the winner, itself included, best first.
        simplest: the one of them with the fewest parameters.
        majority: what always answering the commonest class gets; None for numbers.
        uninformed: what no input at all is needed for, by the verdict's metric.
        linear: what needs no network, by the same; None where a linear model means nothing, or would cost much.
        seeds_needed: confirmation seeds that find the smallest effect of interest four times in five.
        to_beat: right rows that a single model would have to beat: the quoted ones, or without them those of a typical
            run of the first re-run.
        whom_to_beat: whose they are, in words.
        mcnemar_limit: smallest exact p-value by which any single model could beat that on these rows. All three are
            None unless accuracy is judged.
        unstable: whose runs spread far more than those of well-trained networks.
        at_an_end: what lies at an end of its range.
        split: the study's own.
        resplits: what the re-splits are, unless they are stratified draws.
        within: how much of the study it rests on, if a time budget did not hold all of it.
        of_before: whether an earlier version of sweep made the runs that it rests on.
        nested: the whole search repeated on outer splits, if it was.
        forgiveness: how wrong learning rates may be, schedule by schedule; None in verdicts of before.
        recommendation: what to use; None if there is nothing to compare.
    """

    study: str
    current: bool
    confirmations: int
    metric: MetricName = "accuracy"
    learned: bool = True
    finding: Finding | None = None
    on_new_rows: Judgement | Unresolved
    on_these_rows: Judgement
    beside: Beside | None = None
    winner: Scored
    tuned_constant: Scored
    reruns: tuple[Confirmed, ...]
    quoted: QuotedResult | None
    ladder: tuple[LadderStep, ...]
    falling: tuple[str, ...] = ()
    effect_of_tuning: Effect
    optimism: Optimism
    candidates: dict[str, int]
    raced: int
    as_good: tuple[Setting, ...]
    simplest: Setting
    majority: Majority | None
    uninformed: Uninformed | None = None
    linear: LinearModel | None = None
    seeds_needed: int | None
    to_beat: int | None
    whom_to_beat: str | None
    mcnemar_limit: float | None
    unstable: tuple[str, ...]
    at_an_end: tuple[str, ...]
    split: SplitAnswer
    resplits: str = ""
    within: Decision | None = None
    of_before: bool = False
    nested: NestedAnswer | None = None
    forgiveness: Forgiveness | None = None
    recommendation: Recommendation | None = None

    @property
    def unit(self) -> Unit:
        """What scores on the study's own validation rows are counted in."""
        return self.on_these_rows.measured

    @property
    def comparable(self) -> bool:
        """Whether there is anything to compare, so that the words say something."""
        return self.finding is None or self.finding.word is None

    @property
    def answers(self) -> bool:
        """Whether it says what to use: it compares, or says that no schedule won."""
        return self.comparable or (self.finding is not None and self.finding.word is Word.NO_SCHEDULE)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The whole answer, its first sentence first."""
        new, first = self.on_new_rows, () if self.finding is None else (self.finding.sentence,)
        told = new.sentence if isinstance(new, Judgement) else f"On new rows: {new.word}. {new.sentence}"
        beside = () if self.beside is None else (self.beside.sentence,)
        within = () if self.within is None else (f"Within a time {self.within.told}.",)
        return (
            *first,
            *(() if self.nested is None else (self.nested.sentence,)),
            f"{told} The re-splits are {self.resplits}." if self.resplits else f"{told}{self._known_rows}",
            *filter(None, beside),
            self.on_these_rows.sentence,
            *within,
            *((OF_BEFORE,) if self.of_before else ()),
        )

    @property
    def _known_rows(self) -> str:
        if self.split.turns == 1 or not isinstance(self.on_new_rows, Judgement):
            return ""
        return f" The winner was chosen on {self.split.turns} other splits of the same rows."

    @property
    def judgements(self) -> dict[Question, Judgement]:
        """The answers by question, new rows first; these have none without re-splits."""
        found = {Question.NEW_ROWS: self.on_new_rows, Question.THESE_ROWS: self.on_these_rows}
        return {question: answer for question, answer in found.items() if isinstance(answer, Judgement)}
