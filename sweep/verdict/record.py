"""What a verdict is computed from: every run of the race, the confirmation and the re-splits, as the study keeps it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
from pydantic import AllowInfNan, BeforeValidator, Field, PlainSerializer

from sweep.candidate import Candidate, describe
from sweep.config.plan import Plan
from sweep.curves import guessing_loss
from sweep.model import Record
from sweep.schedules import read_schedule
from sweep.seeds import STRIDE, turn_of
from sweep.space import Value
from sweep.stats.estimate import Numbers
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents
from sweep.task import METRICS, MetricName
from sweep.verdict.baselines import Role
from sweep.verdict.basis import Basis
from sweep.verdict.by_row import OnRows
from sweep.verdict.extent import Decision, Extent
from sweep.verdict.linear import LinearScores
from sweep.verdict.result import Recommendation
from sweep.verdict.selection import Selection
from sweep.verdict.timing import nested_seeds, nested_trials

if TYPE_CHECKING:
    from sweep.execution.batches import Outcome

DOSSIER, BUDGET = "sweep:dossier", "sweep:budget"
# Of what makes a record. Before the second, all re-splits had the same run seeds, and no row's outcomes were kept.
VERSION = 2


def _finite(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in values)


class Runs(Record):
    """One candidate's trainings in one stage."""

    run_seeds: tuple[int, ...]
    correct: tuple[int, ...]  # validation rows that each run classified right; empty for numbers
    log_losses: tuple[float | None, ...]  # validation cross-entropy of each run; None where not finite; as `correct`
    diverged: int  # how many runs ended in NaN or infinity
    class_correct: tuple[int, ...] = ()  # right rows of each class, added up over the runs; empty if not kept
    scores: dict[MetricName, tuple[float | None, ...]] = Field(default={})  # by metric and run; None where it diverged

    @classmethod
    def of(cls, outcome: Outcome) -> Runs:
        """Return what the record keeps of a candidate's runs."""
        return cls(
            run_seeds=outcome.run_seeds,
            correct=tuple(outcome.correct.tolist()),
            log_losses=_finite(outcome.log_loss),
            diverged=int(outcome.diverged.sum()),
            class_correct=tuple(outcome.class_correct.sum(axis=0).tolist()),
            scores={metric: _finite(by_run) for metric, by_run in outcome.scores.items()},
        )

    def joined(self, more: Runs) -> Runs:
        """Return these runs and more of the same candidate."""
        by_class = zip(self.class_correct, more.class_correct, strict=True)
        return Runs(
            run_seeds=self.run_seeds + more.run_seeds,
            correct=self.correct + more.correct,
            log_losses=self.log_losses + more.log_losses,
            diverged=self.diverged + more.diverged,
            class_correct=tuple(one + other for one, other in by_class),
            scores={
                metric: by_run + more.scores[metric] for metric, by_run in self.scores.items() if metric in more.scores
            },
        )

    def by_metric(self, metric: MetricName, rows: int) -> Numbers:
        """Return the score of each run, `[runs]`; NaN where it diverged, but for accuracy, as a share of `rows`.

        It is empty where nobody knows, as of runs that were kept before there was the metric.
        """
        if metric == "accuracy":
            return np.array(self.correct, np.float64) / rows
        return np.array(self.log_losses if metric == "log_loss" else self.scores.get(metric, ()), np.float64)

    @property
    def correct_mean(self) -> float:
        """Right rows, mean over the runs; 0 for numbers."""
        return sum(self.correct) / max(1, len(self.correct))

    @property
    def log_loss(self) -> float | None:
        """Validation cross-entropy, mean over the runs where it is finite; None if it is nowhere."""
        finite = [loss for loss in self.log_losses if loss is not None]
        return sum(finite) / len(finite) if finite else None


class MeanCurves(Record):
    """One candidate's curves over the confirmation, `[epochs]`."""

    rate: tuple[float, ...]  # learning rate at the start of each epoch, mean over runs
    # Validation accuracy, mean over runs; of numbers the root mean squared error in the target's unit, of several
    # outputs the loss, over those that did not diverge; empty if there are none.
    accuracy: tuple[float, ...]
    low: tuple[float, ...]  # its 10th percentile over runs
    high: tuple[float, ...]  # its 90th percentile
    loss: tuple[float | None, ...]  # validation loss, mean over runs that did not diverge; None if not finite
    training_loss: tuple[float | None, ...] = ()  # the same of the training rows; not in records of before
    training_accuracy: tuple[float, ...] = ()  # mean over runs

    @classmethod
    def of(cls, outcome: Outcome) -> MeanCurves:
        """Return what the record keeps of a candidate's curves."""
        shown = [outcome.validation_accuracy, *outcome.spread]
        accuracy, low, high = (tuple(curve.tolist()) if np.isfinite(curve).all() else () for curve in shown)
        return cls(
            rate=tuple(outcome.rate.tolist()),
            accuracy=accuracy,
            low=low,
            high=high,
            loss=_finite(outcome.validation_loss),
            training_loss=_finite(outcome.loss),
            training_accuracy=tuple(outcome.accuracy.tolist()) if np.isfinite(outcome.accuracy).all() else (),
        )


class Contender(Record):
    """A candidate, where it was found, and its runs there and in the race."""

    study: str | None = None  # whose search found it; None for a setting that the study file gives
    trial: int | None = None  # its trial's number there
    params: dict[str, Value]  # as an Optuna trial holds them, flat
    schedule: dict[str, Any]  # the whole schedule as a document, its defaults included
    momentum: float  # of the optimizer, the highest if the schedule moves it
    nesterov: bool = False
    search: Runs | None = None  # the runs that found it
    selection: Runs | None = None  # the runs of the race, as many as it stayed for

    @classmethod
    def of(cls, candidate: Candidate, **found: Any) -> Contender:
        """Return a candidate as a contender; `found` are the fields that say where a search found it."""
        setting = {"params": candidate.params, "schedule": candidate.schedule.document}
        return cls(**setting | found, momentum=candidate.momentum, nesterov=candidate.nesterov)

    def raced(self, more: Runs) -> Contender:
        """Return the contender with the runs of one more look of the race."""
        runs = more if self.selection is None else self.selection.joined(more)
        return self.model_copy(update={"selection": runs})

    @property
    def setting(self) -> str:
        """What is trained, as JSON: equal for equal settings, wherever they were found."""
        return json.dumps([self.schedule, self.momentum, self.nesterov], sort_keys=True)

    @property
    def candidate(self) -> Candidate:
        """The candidate to train."""
        return Candidate(schedule=read_schedule(self.schedule), momentum=self.momentum, nesterov=self.nesterov)

    @property
    def name(self) -> str:
        """The schedule's name."""
        return str(self.schedule["name"])

    @property
    def label(self) -> str:
        """Schedule, parameters and momentum in one line."""
        return describe(self.params)

    @property
    def complexity(self) -> int:
        """How many numbers the schedule needs besides its rate, and one for being none that stays constant."""
        own = [key for key in self.params if key.startswith(f"{self.name}.")]
        return 0 if self.name == "constant" else 1 + len(own)

    @property
    def simplicity(self) -> tuple[int, float]:
        """What sorts contenders from the simplest on; of equally simple ones the better in the race comes first."""
        return self.complexity, 0.0 if self.selection is None else -self.selection.correct_mean


class Entry(Record):
    """A contender that was confirmed, in its role, with the runs that nothing was chosen by."""

    role: Role
    contender: Contender
    confirmation: Runs  # on fresh seeds, on the study's own split
    curves: MeanCurves  # of these runs
    new_rows: tuple[Runs, ...] = ()  # on each re-split, in the order of `NewRows.split_seeds`
    on_rows: OnRows | None = None  # of these runs; None in records of before, or where a row has no outcome

    @property
    def new_rows_mean(self) -> float | None:
        """Right test rows, mean over re-splits and runs; None without re-splits."""
        means = [runs.correct_mean for runs in self.new_rows]
        return sum(means) / len(means) if means else None


class SplitFacts(Record):
    """The study's own split."""

    classes: tuple[str, ...]
    class_rows: tuple[int, ...]  # validation rows of each class
    train_rows: int
    validation_rows: int
    warnings: tuple[str, ...]  # what makes the split doubtful, one sentence each
    # What records of before do not have:
    train_class_rows: tuple[int, ...] = ()  # training rows of each class
    unlike: bool | None = None  # whether the class shares of training and validation rows differ
    # Scores of a network that reads no input and knows the training targets alone:
    uninformed: dict[str, float] = Field(default={})
    widest: tuple[str, float] | None = None  # the input with the largest training values, and their root mean square
    labels: int = 0  # of 0 or 1, of which each row has so many
    copies: int = 0  # of all rows, those whose inputs an earlier one has, if that is no chance
    turns: int = 1  # splits of these sizes that the run seeds took turns at; what else is said is of the first
    telling: tuple[str, ...] = ()  # inputs each of which alone tells the validation rows' classes apart

    def turns_of(self, run_seeds: Sequence[int]) -> list[int]:
        """Return which split each run took."""
        return [turn_of(seed, self.turns) for seed in run_seeds]

    def score_of_guessing(self, metric: str) -> float | None:
        """Return the score of a network that reads no input: by accuracy, of the validation rows' commonest answer.

        That of R2 is 0 by definition, for predicting the validation rows' own mean.
        """
        if metric == "accuracy" and not self.labels:
            return max(self.class_rows, default=0) / self.validation_rows
        if metric == "r2":
            return 0.0
        if metric == "log_loss" and not self.uninformed:
            return guessing_loss(np.array(self.class_rows) / self.validation_rows)
        return self.uninformed.get(metric)


class NewRows(Record):
    """The re-splits; `problem` says why there are none.

    `told` says what they are if they are no stratified draws, and `uninformed` has then the mean scores on them of a
    network that reads no input and knows the training targets alone. `looks` has how many there were to be at each look
    that was planned, and `tested`, packed, how many runs of a candidate tested each row of the data set, `[rows]`;
    records of the first version have neither.
    """

    split_seeds: tuple[int, ...] = ()
    train_rows: int = 0
    test_rows: int = 0
    problem: str | None = None
    told: str = ""
    uninformed: dict[str, float] = Field(default={})
    looks: tuple[int, ...] = ()
    tested: str | None = None


class OuterSplit(Record):
    """One outer split, on whose training rows the whole search was repeated: over schedules, and over constants."""

    split_seed: int
    winners: tuple[Contender, Contender]  # of the search over schedules and of that over constants, with their runs
    runs: tuple[Runs, Runs]  # of each, trained on all outer training rows, on rows that neither search saw


class NestedRecord(Record):
    """The search repeated on outer splits; `problem` says why it was not, or not on as many as were asked for."""

    asked: str  # what it depends on, as a digest
    wanted: int  # outer splits
    trials: int  # candidates of each search
    replicates: int  # run seeds of each candidate
    train_rows: int = 0
    test_rows: int = 0
    splits: tuple[OuterSplit, ...] = ()
    problem: str | None = None
    out_of_time: bool = False  # whether a time budget left it out, or ended it early

    @classmethod
    def begun(cls, plan: Plan, wanted: int) -> NestedRecord:
        """Return the record of a plan's search on so many outer splits, of which there is none yet."""
        trials, replicates = nested_trials(plan), nested_seeds(plan)
        facts = plan.model_dump(mode="json", include={"search", "recipes"})  # all else of a study stays
        del facts["search"]["widen"]
        facts["search"] |= {"trials": trials, "replicates": replicates, "budget": None, "metric": None}
        asked = hashlib.sha256(json.dumps([facts, wanted], sort_keys=True).encode()).hexdigest()
        return cls(asked=asked, wanted=wanted, trials=trials, replicates=replicates)

    def still_holds(self, plan: Plan) -> bool:
        """Say whether the searches would be the same ones now."""
        return self.asked == NestedRecord.begun(plan, self.wanted).asked

    def is_whole(self, wanted: int) -> bool:
        """Say whether nothing is left to be done of so many outer splits."""
        return self.wanted >= wanted and not self.out_of_time


Score: TypeAlias = Annotated[
    float,
    AllowInfNan(True),
    BeforeValidator(lambda given: math.nan if given is None else given),
    PlainSerializer(lambda score: score if math.isfinite(score) else None),
]


class ForgivingFamily(Record):
    """The best candidate of a schedule, trained at its learning rate times each factor."""

    name: str  # of the schedule; `constant` is the tuned constant rate
    contender: Contender  # at its own rate, where the factor is 1
    factors: tuple[float, ...]  # ascending
    scores: tuple[tuple[Score, ...], ...]  # `[factors, splits]`, means over run seeds; NaN, kept as null, if diverged


class ForgivenessRecord(Record):
    """What the best candidates of schedules score at other rates, on re-splits; `problem` says why there are none."""

    split_seeds: tuple[int, ...] = ()
    train_rows: int = 0
    test_rows: int = 0
    families: tuple[ForgivingFamily, ...] = ()  # the tuned constant rate, and then the others, best first
    problem: str | None = None
    runs: int = 0  # run seeds on each split


class VerdictRecord(Record):
    """All of it."""

    basis: Basis
    confirmations: int  # how many there have been of this study, this one included; each has seeds of its own
    split: SplitFacts
    new_rows: NewRows
    race: tuple[Contender, ...]  # the finalists of the main search, the winner among them, best first
    entries: tuple[Entry, ...]  # the confirmed: winner, tuned constant, tuned rate if there is one, re-runs
    metric: MetricName
    seconds: float  # time spent on it, without the searches
    within: Decision | None = None  # the time budget that it was made within, unless that held the whole study
    advice: Recommendation | None = None  # as it was given when the record was made
    version: int = 1  # of what made it
    nested: NestedRecord | None = None  # if the search was repeated on outer splits
    forgiveness: ForgivenessRecord | None = None  # not in records of before
    linear: LinearScores | None = None  # of a linear model, where there is one
    selection: Selection | None = None  # of a search on several splits

    @property
    def is_of_before(self) -> bool:
        """Whether an earlier version made it, so that `sweep run` makes it anew."""
        return self.version < VERSION

    def is_current(self, database: Database, plan: Plan) -> bool:
        """Say whether nothing has changed under the record."""
        then, now = self.basis, Basis.now(database, plan)
        if self.is_of_before:  # which wrote down what a study file left open
            then, now = then.settled(self.metric), now.settled(self.metric)
        return then.without_nested == now.without_nested

    def stands(self, database: Database, plan: Plan) -> bool:
        """Say whether it holds all that the plan asks for, but maybe nested searches."""
        if self.is_of_before or not self.is_current(database, plan):
            return False
        within = self.within
        return within is None or (within.seconds, within.whole) == (plan.search.budget, Extent.of(plan))

    def entry(self, role: Role) -> Entry | None:
        """Return the first entry of a role."""
        return next((entry for entry in self.entries if entry.role is role), None)

    @property
    def winner(self) -> Entry:
        """The winner of the race."""
        return next(entry for entry in self.entries if entry.role is Role.WINNER)

    @property
    def constant(self) -> Entry:
        """The tuned constant rate."""
        return next(entry for entry in self.entries if entry.role is Role.CONSTANT)

    @property
    def reruns(self) -> tuple[Entry, ...]:
        """The quoted settings run again, or the optimizer's defaults in Keras; at least one."""
        return tuple(entry for entry in self.entries if entry.role is Role.RERUN)

    @property
    def guess_on_new_rows(self) -> float | None:
        """What a network that reads no input scores on the re-splits; None where nobody knows, or there are none.

        Unless they are said to be others, they keep all rows' class shares.
        """
        split, name = self.split, self.metric
        if self.new_rows.told or not self.new_rows.split_seeds:
            return self.new_rows.uninformed.get(name)
        if not split.train_class_rows:
            return None if split.classes or split.unlike is not False else split.score_of_guessing(name)
        shares = np.add(split.train_class_rows, split.class_rows) / (split.train_rows + split.validation_rows)
        if name == "accuracy":
            return float(shares.max())
        if name == "log_loss":
            return guessing_loss(shares)
        return None if split.unlike else split.score_of_guessing(name)

    @property
    def reruns_are_quoted(self) -> bool:
        """Whether the re-runs are the setting of the quoted result; they are the optimizer's defaults if not."""
        return self.basis.baseline is not None and bool(self.basis.baseline.recipes)

    @property
    def next_seed(self) -> int:
        """The place of the first confirmation seed that no confirmation of the study has used."""
        return max(self.entries[0].confirmation.run_seeds) % STRIDE + 1


def scores(contenders: Sequence[Contender], metric: MetricName) -> Numbers:
    """Return what the race compares, `[contenders, runs]`, higher is better: right rows, or `Metric.gains`."""
    runs = [contender.selection for contender in contenders if contender.selection is not None]
    if metric == "accuracy":
        return np.array([each.correct for each in runs], np.float64)
    return METRICS[metric].gains([each.by_metric(metric, 1) for each in runs])


def row_leads(record: VerdictRecord, ours: Entry, theirs: Entry, metric: MetricName) -> Numbers | None:
    """Return the mean lead of one entry over another on each row that re-splits tested, as `OnRows.leads_over`.

    None where outcomes by row are not known.
    """
    tested = record.new_rows.tested
    if tested is None or ours.on_rows is None or theirs.on_rows is None:
        return None
    return ours.on_rows.leads_over(theirs.on_rows, tested, metric)


def read_record(stored: StoredStudy) -> VerdictRecord | None:
    """Return the record of a study; None if there is no such study, or no verdict yet."""
    if not stored.count_finished():
        return None
    with stored.reading() as study:
        kept = read_documents(study.connection, study.study_id, DOSSIER).get(DOSSIER)
    return None if kept is None else VerdictRecord.model_validate_json(kept)
