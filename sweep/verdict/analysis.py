"""What a record says: two verdicts, the ladder of baselines, and all that a reader needs to doubt them.

Computed from the stored runs alone, in a moment and always the same; nothing here trains or reads data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.candidate import describe
from sweep.config.study_file import Plan
from sweep.errors import NotYet
from sweep.space import Range, near_bound
from sweep.stats.counts import Dispersion, balanced_accuracy, dispersion, mcnemar_limit, recalls
from sweep.stats.estimate import Effect, Numbers
from sweep.stats.paired import compare
from sweep.stats.power import pairs_needed
from sweep.stats.selection import Optimism, indistinguishable, optimism, simplest
from sweep.stats.verdict import Verdict, judge_new_rows, judge_these_rows, same_share
from sweep.store.queries import StoredStudy
from sweep.verdict.record import Contender, Entry, Role, Runs, VerdictRecord
from sweep.verdict.stages import scores
from sweep.verdict.status import is_current, read_record


@dataclass(frozen=True)
class LadderStep:
    """One step of the ladder from the quoted setting to the winner.

    Attributes:
        label: what the step adds, in words.
        entry: the candidate that stands on it.
        change: what it has over the rung before, in validation rows, over shared run seeds; None for the first.
    """

    label: str
    entry: Entry
    change: Effect | None


@dataclass(frozen=True)
class Score:
    """A candidate's confirmation runs summed up, of all validation rows.

    Attributes:
        correct_mean: right rows, mean over runs.
        dispersion: their spread beside that of well-trained networks.
        log_loss: mean over the runs where it is finite; None if it is nowhere.
        diverged: runs that ended in NaN or infinity; they are counted in all means of rows.
        recalls: share of each class's rows that was recognised; None for a class without validation rows.
        balanced_accuracy: their mean.
    """

    correct_mean: float
    dispersion: Dispersion
    log_loss: float | None
    diverged: int
    recalls: tuple[float | None, ...]
    balanced_accuracy: float


@dataclass(frozen=True)
class Quoted:
    """The quoted result: one number, of which nothing but this is known.

    Attributes:
        accuracy: from 0 to 1.
        source: who says so.
        correct: the number of this split's validation rows that it means.
        winner_above: share of the winner's confirmation runs with more right rows.
        rerun_above: the same of the first re-run of its setting.
    """

    accuracy: float
    source: str
    correct: int
    winner_above: float
    rerun_above: float


@dataclass(frozen=True)
class Findings:
    """A verdict with everything around it.

    Attributes:
        study: the study's name.
        plan: its study file.
        record: the runs that all of it comes from.
        these_rows: the verdict on the study's own validation rows, winner minus tuned constant.
        new_rows: the verdict on re-splits; None if none could be drawn.
        reruns: the quoted settings run again, or the optimizer's defaults in Keras.
        ladder: the first re-run, the tuned rate if there is one, the tuned constant, the winner.
        tuning: winner minus the first re-run, in validation rows: the effect of tuning everything.
        winner: the winner's confirmation.
        constant: the tuned constant's confirmation.
        optimism: the winner's mean right rows in search, race and confirmation.
        looked_at: how many candidates each search looked at, by study.
        equals: finalists that the race cannot tell from the winner, itself included, best first (Holm).
        simplest: the one of them with the fewest parameters.
        majority: the commonest class of the validation rows, and the right rows of always answering it.
        to_beat: right rows of the quoted result; without one, of a typical run of the first re-run.
        mcnemar_limit: smallest exact p-value by which any single model could beat that on these rows.
        seeds_needed: confirmation seeds that find the smallest effect of interest four times in five; None if the
            differences have no spread.
        unstable: whose confirmation runs spread far more than those of well-trained networks.
        edges: what lies at an end of its range, where the search could go no further.
        quoted: the quoted result, if the study file has one.
        current: whether nothing has changed under the verdict since it was made.
    """

    study: str
    plan: Plan
    record: VerdictRecord
    these_rows: Verdict
    new_rows: Verdict | None
    reruns: tuple[Entry, ...]
    ladder: tuple[LadderStep, ...]
    tuning: Effect
    winner: Score
    constant: Score
    optimism: Optimism
    looked_at: dict[str, int]
    equals: tuple[Contender, ...]
    simplest: Contender
    majority: tuple[str, int]
    to_beat: int
    mcnemar_limit: float
    seeds_needed: int | None
    unstable: tuple[str, ...]
    edges: tuple[str, ...]
    quoted: Quoted | None
    current: bool

    @property
    def whom_to_beat(self) -> str:
        """Whose right rows `to_beat` are."""
        return "the quoted one" if self.quoted is not None else "the first re-run"


def read_findings(stored: StoredStudy) -> Findings:
    """Return what the stored verdict of a study says.

    Raises:
        NotFound: if there is no such study.
        NotYet: if it has no verdict yet.
    """
    with stored.reading() as found:
        plan = found.plan
    record = read_record(stored)
    if plan is None or record is None:
        raise NotYet(f"the study `{stored.name}` has no verdict yet; `sweep run` makes it.")
    return find(plan, record, current=is_current(stored.database, plan, record))


def find(plan: Plan, record: VerdictRecord, *, current: bool = True) -> Findings:
    """Compute what a record says."""
    winner, constant = required(record, Role.WINNER), required(record, Role.CONSTANT)
    rerun, split = required(record, Role.RERUN), record.split
    worthwhile = record.basis.verdict.smallest_effect
    these = judge_these_rows(
        winner.confirmation.correct,
        constant.confirmation.correct,
        split.validation_rows,
        smallest_of_interest=worthwhile,
    )
    equals = indistinguishable_from_winner(record)
    spread = float(np.std(_differences(winner, constant), ddof=1))
    commonest = int(np.argmax(split.class_rows))
    quoted = _quoted(record, winner, rerun)
    to_beat = round(rerun.confirmation.correct_mean) if quoted is None else quoted.correct
    return Findings(
        study=plan.name,
        plan=plan,
        record=record,
        these_rows=these,
        new_rows=_judge_new_rows(record, winner, constant),
        reruns=tuple(entry for entry in record.entries if entry.role is Role.RERUN),
        ladder=_ladder(record),
        tuning=compare(winner.confirmation.correct, rerun.confirmation.correct).effect,
        winner=score(winner.confirmation, split.class_rows),
        constant=score(constant.confirmation, split.class_rows),
        optimism=_optimism(winner),
        looked_at=record.basis.trials,
        equals=equals,
        simplest=_simplest(equals),
        majority=(split.classes[commonest], split.class_rows[commonest]),
        to_beat=to_beat,
        mcnemar_limit=mcnemar_limit(to_beat, split.validation_rows),
        seeds_needed=pairs_needed(spread, worthwhile) if spread > 0 else None,
        unstable=tuple(unstable(record)),
        edges=tuple(edges(plan, record)),
        quoted=quoted,
        current=current,
    )


def required(record: VerdictRecord, role: Role) -> Entry:
    """Return the first entry of a role that every record has."""
    entry = record.entry(role)
    assert entry is not None
    return entry


def unstable(record: VerdictRecord) -> Iterator[str]:
    """Yield whose confirmation runs spread far more than those of well-trained networks."""
    for entry in record.entries:
        spread = score(entry.confirmation, record.split.class_rows).dispersion
        if spread.flagged:
            found = f"{entry.role} {label_of(entry.contender)}: a spread of {spread.deviation:.2f} rows"
            yield f"{found} is far above the {spread.expected:.2f} of well-trained networks"


def edges(plan: Plan, record: VerdictRecord) -> Iterator[str]:
    """Yield what of winner and tuned baselines lies in the outer fiftieth of its range; nothing is below momentum 0."""
    for role in (Role.WINNER, Role.CONSTANT, Role.RATE):
        entry, spaces = record.entry(role), {"learning_rate": plan.search.learning_rate}
        if role is not Role.RATE:
            spaces["momentum"] = plan.search.momentum
        for name, space in spaces.items():
            value = None if entry is None else entry.contender.params.get(name)
            if isinstance(space, Range) and isinstance(value, float | int) and value > 0 and near_bound(space, value):
                yield f"the {role}'s {name} of {value:.3g} lies at an end of its range"


def tells_setting(record: VerdictRecord) -> bool:
    """Say whether the re-runs are the setting of the quoted result; they are the optimizer's defaults if not."""
    return record.basis.baseline is not None and bool(record.basis.baseline.recipes)


def label_of(contender: Contender) -> str:
    """Return a contender's schedule, parameters and momentum in one line."""
    return describe(contender.params)


def score(runs: Runs, class_rows: Sequence[int]) -> Score:
    """Sum up confirmation runs; `class_rows` counts the validation rows of each class."""
    totals = np.array(class_rows) * len(runs.correct)
    found = recalls(runs.class_correct, totals)
    return Score(
        correct_mean=runs.correct_mean,
        dispersion=dispersion(runs.correct, sum(class_rows)),
        log_loss=runs.log_loss,
        diverged=runs.diverged,
        recalls=tuple(None if math.isnan(share) else float(share) for share in found),
        balanced_accuracy=balanced_accuracy(runs.class_correct, totals),
    )


def indistinguishable_from_winner(record: VerdictRecord) -> tuple[Contender, ...]:
    """Return the finalists that stayed in the race to its end and cannot be told from the winner, itself first."""
    runs = [len(contender.selection.run_seeds) for contender in record.race if contender.selection is not None]
    stayed = [contender for contender, number in zip(record.race, runs, strict=True) if number == max(runs)]
    metric = record.metric
    return tuple(stayed[place] for place in indistinguishable(scores(stayed, metric)))


def _simplest(equals: Sequence[Contender]) -> Contender:
    raced = [contender.selection.correct for contender in equals if contender.selection is not None]
    return equals[simplest(range(len(equals)), [contender.complexity for contender in equals], raced)]


def _differences(first: Entry, second: Entry) -> Numbers:
    return np.subtract(first.confirmation.correct, second.confirmation.correct, dtype=np.float64)


def _judge_new_rows(record: VerdictRecord, winner: Entry, constant: Entry) -> Verdict | None:
    new, rows = record.new_rows, record.split.validation_rows
    if not new.split_seeds:
        return None
    ours, theirs = ([runs.correct for runs in entry.new_rows] for entry in (winner, constant))
    worthwhile = same_share(record.basis.verdict.smallest_effect, rows, new.test_rows)
    return judge_new_rows(ours, theirs, new.train_rows, new.test_rows, smallest_of_interest=worthwhile)


def _ladder(record: VerdictRecord) -> tuple[LadderStep, ...]:
    scheduled = required(record, Role.WINNER).contender.name != "constant"
    labels = {
        Role.RERUN: "quoted setting, run again" if tells_setting(record) else "defaults in Keras",
        Role.RATE: "rate tuned",
        Role.CONSTANT: "and momentum",
        Role.WINNER: "and schedule" if scheduled else "and no schedule",
    }
    if record.entry(Role.RATE) is None:
        labels[Role.CONSTANT] = "rate tuned"
    found = [(label, entry) for role, label in labels.items() if (entry := record.entry(role)) is not None]
    (label, first), *rest = found
    rungs = [LadderStep(label, first, None)]
    for label, entry in rest:
        change = compare(entry.confirmation.correct, rungs[-1].entry.confirmation.correct).effect
        rungs.append(LadderStep(label, entry, change))
    return tuple(rungs)


def _optimism(winner: Entry) -> Optimism:
    searched, raced = winner.contender.search, winner.contender.selection
    assert searched is not None  # a search found it
    assert raced is not None  # and a race chose it
    return optimism(searched.correct, raced.correct, winner.confirmation.correct)


def _quoted(record: VerdictRecord, winner: Entry, rerun: Entry) -> Quoted | None:
    baseline = record.basis.baseline
    if baseline is None:
        return None
    correct = round(baseline.accuracy * record.split.validation_rows)
    above = [float(np.mean(np.array(entry.confirmation.correct) > correct)) for entry in (winner, rerun)]
    return Quoted(baseline.accuracy, baseline.source, correct, *above)
