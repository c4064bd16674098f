"""All that `sweep run` does, in order: the search, searches for tuned baselines, the race, confirmation, re-splits.

No stage sees what the next one judges by: the race chooses by run seeds that no search used, the confirmation has
seeds that chose nothing. All candidates of a stage share its seeds, so that all comparisons are paired. Each part goes
on where it was stopped, and a verdict is made again only if something that it rests on has changed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sweep.config.plan import Plan
from sweep.data.rows import flat_rows, value_names
from sweep.data.table import Split
from sweep.engines.row_outcomes import uninformed_scores
from sweep.execution.batches import Trainer
from sweep.model import Record
from sweep.search.finite import count_wanted
from sweep.search.loop import Coordinator, SearchProgress, Seconds
from sweep.seeds import Stage, run_seeds
from sweep.stats.comparison import Allocation, Race
from sweep.stats.counts import check_split, telling_inputs
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import open_study, read_documents, write_documents
from sweep.task import MetricName
from sweep.verdict.analysis import compute_verdict
from sweep.verdict.baselines import Role, reruns, searches, tuning_plans
from sweep.verdict.basis import Basis
from sweep.verdict.budget import TimeBudget
from sweep.verdict.extent import Decision
from sweep.verdict.finalists import best_schedule, contender_of, finalists, placed, ranked
from sweep.verdict.forgiveness import OtherRates, families
from sweep.verdict.nested import NestedSearches
from sweep.verdict.parts import PART, OutOfTime, Parts
from sweep.verdict.progress import is_made, searches_within
from sweep.verdict.record import (
    BUDGET,
    DOSSIER,
    VERSION,
    Contender,
    Entry,
    ForgivenessRecord,
    NestedRecord,
    NewRows,
    OuterSplit,
    SplitFacts,
    VerdictRecord,
    read_record,
    scores,
)
from sweep.verdict.resplits import ReSplits, mean_scores
from sweep.verdict.selection import read_selection
from sweep.verdict.timing import (
    CONFIRMATION,
    FACTORS,
    FEWEST_RATE_SPLITS,
    FORGIVENESS,
    NESTED,
    NEW_ROWS,
    RACE,
    RatesTried,
    nested_seconds,
    nested_trainings,
    rates_tried,
)
from sweep.verdict.widening import widen, widened

if TYPE_CHECKING:
    import optuna

NESTED_PART = f"{PART}nested "


class NestedPart(Record):
    """A finished outer split of nested searches, kept like a `Part`."""

    asked: str
    outer: OuterSplit


@dataclass
class Protocol:
    """Takes one study from nothing, or from wherever it was stopped, to its verdict.

    The caller holds the study's lock. `trainer` trains rounds of a search, `narrow` the few candidates after it.
    `announce` gets each part's name and its number of trainings, `on_progress` every round of a search, and `note` a
    line on what is decided on the way.

    Raises:
        BadInput: if the stored study is another one, or its name leaves no room for those of the baselines.

    Attributes:
        budget: what keeps the run within a time, if it has one.
        nested: what repeats the search on outer splits, if it is to be repeated.
    """

    database: Database
    plan: Plan
    split: Split
    trainer: Trainer
    narrow: Trainer
    announce: Callable[[str, int], None]
    on_progress: Callable[[SearchProgress], None]
    note: Callable[[str], None] = lambda _note: None
    seconds: Seconds = field(default_factory=Seconds)
    rules: Allocation = field(default_factory=Race)
    budget: TimeBudget | None = None
    nested: NestedSearches | None = None

    def __post_init__(self) -> None:
        """Go by the wider range that the study may have; refuse a stored study that is another one, untrained."""
        self._of_file = self.plan
        self._widened()
        self._open(self.plan)

    def run(self, timeout_seconds: float | None = None, *, search_only: bool = False) -> bool:
        """Do what is left, and say whether all of it is done; no round and no stage begins after the timeout."""
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            for name in searches(self.plan, search_only=search_only):
                if not self._search(name, deadline, search_only=search_only):
                    return False
            if search_only:
                return True
            if (told := widen(self.database, self._of_file)) is None:
                break
            self.note(told)
            self._widened()
        if is_made(self.database, self.plan):
            return True
        with self.seconds.spent_on("evidence"):
            try:
                return self._examine(deadline)
            except OutOfTime:
                return False

    def _widened(self) -> None:
        """Go by the range that the study has come to."""
        self.plan = widened(self.database, self._of_file)
        if self.nested is not None:
            self.nested = replace(self.nested, plan=self.plan)

    def _search(self, name: str, deadline: float, *, search_only: bool) -> bool:
        """Do what is left of a search, and say whether all of it is done, or all that its budget holds."""
        budget = self.budget
        if budget is not None:
            budget.begin_search(name)
            self._keep(budget.decision)
        plan = searches_within(self.plan, self._decision, search_only=search_only)[name]
        study = self._open(searches(self.plan, search_only=search_only)[name])
        wanted = count_wanted(StoredStudy(self.database, plan.name), plan)

        def progressed(progress: SearchProgress) -> None:
            if budget is not None:
                budget.searched(name, plan.search, progress.finished)
            self.on_progress(progress)

        self.announce(name, wanted * plan.search.replicates)
        searcher = Coordinator(self.database, study, plan, self.trainer, progressed, self.seconds)
        progress = searcher.run(deadline, budget.gate.has_time if budget else lambda: True)
        if budget is None:
            return not progress.lacking and progress.finished >= progress.trials
        if time.monotonic() >= deadline:
            return False
        budget.end_search(name, progress.finished, progress.trials)
        self._keep(budget.decision)
        return progress.finished > 0

    def _open(self, plan: Plan) -> optuna.Study:
        """Open the study of a search, with the run seeds that were decided."""
        replicates = None if self._decision is None else self._decision.extent.replicates
        return open_study(self.database, plan, self.split.dataset.sha256, replicates)

    @property
    def _decision(self) -> Decision | None:
        return None if self.budget is None else self.budget.decision

    def _keep(self, decision: Decision) -> None:
        write_documents(self.database, self._study_id, {BUDGET: decision.model_dump_json()})

    def _begin(self, part: str) -> Plan:
        """Begin a part after the searches; return the plan with the numbers that are decided for it."""
        if self.budget is None:
            return self.plan
        self.budget.begin_part(part)
        self._keep(self.budget.decision)
        return self.budget.effective

    @cached_property
    def _parts(self) -> Parts:
        return Parts(self.database, self._study_id, self.narrow, self.announce)

    @cached_property
    def _study_id(self) -> int:
        with StoredStudy(self.database, self.plan.name).reading() as study:
            return study.study_id

    def _examine(self, deadline: float) -> bool:
        """Make the record and say so, or stop between two stages for want of time."""
        began = time.monotonic()
        before = read_record(StoredStudy(self.database, self.plan.name))
        if before is not None and before.stands(self.database, self.plan):  # and lacks nested searches alone
            basis, nested = Basis.now(self.database, self.plan), self._repeat_search(before, deadline)
            self._store(before.model_copy(update={"basis": basis, "nested": nested}))
            return True
        plan = self._begin(RACE)
        plans = {Role.WINNER: plan} | tuning_plans(plan)
        groups = {role: finalists(self.database, plan) for role, plan in plans.items()}
        groups[Role.CONSTANT] = self._constants(groups)
        raced = self._race(groups, plan.verdict.selection_seeds)
        if time.monotonic() >= deadline:
            return False
        winners = {role: group[0] for role, group in raced.items()}
        winners[Role.WINNER] = best_schedule(raced[Role.WINNER])
        entries = self._confirm(0 if before is None else before.next_seed, winners)
        if time.monotonic() >= deadline:
            return False
        record = VerdictRecord(
            basis=Basis.now(self.database, self.plan),
            confirmations=1 if before is None else before.confirmations + 1,
            split=split_facts(self.split, self.plan.metric),
            new_rows=NewRows(),
            race=tuple(raced[Role.WINNER]),
            entries=tuple(entries),
            metric=self.plan.metric,
            seconds=0.0,
            version=VERSION,
            selection=read_selection(StoredStudy(self.database, self.plan.name), self.plan, len(self.split.each)),
        )
        plan = self._begin(NEW_ROWS)
        rates = rates_tried(plan)
        spared = self._nested_takes(before) + (0.0 if self.budget is None else rates.seconds(self.budget.pace))
        re_splits = ReSplits(self.plan, plan.verdict, self.split, self._parts, self.budget, spared)
        record = re_splits.tested(record, deadline)
        if time.monotonic() >= deadline:
            return False
        forgiveness = self._try_rates(record, rates, re_splits)
        nested = self._repeat_search(before, deadline)
        decision = None if self._decision is None or self._decision.is_whole else self._decision
        seconds = time.monotonic() - began
        after = {"seconds": seconds, "within": decision, "nested": nested, "forgiveness": forgiveness}
        self._store(record.model_copy(update=after))
        return True

    def _store(self, record: VerdictRecord) -> None:
        """Store the record in place of its parts."""
        record = record.model_copy(update={"advice": compute_verdict(self.plan, record).recommendation})
        with self.database.reading() as connection:
            parts = list(read_documents(connection, self._study_id, PART))
        write_documents(self.database, self._study_id, {DOSSIER: record.model_dump_json()}, drop=parts)

    def _constants(self, groups: Mapping[Role, Sequence[Contender]]) -> list[Contender]:
        """Return all constant rates that may be the best one, each once, those of their own search first.

        The others are the main search's and the tuned rates that race anyway, the best of the main search, and the
        settings to be run again: a winner that beats a constant rate must beat the best that is known.
        """
        with StoredStudy(self.database, self.plan.name).reading() as study:
            best = [tried.best for tried in study.best_of_each_schedule() if tried.best.schedule == "constant"]
        found = [
            *groups[Role.CONSTANT],
            *groups[Role.WINNER],
            *(contender_of(self.plan, trial) for trial in best if trial.record.by_seed(self.plan.metric)),
            *groups.get(Role.RATE, ()),
            *(Contender.of(candidate) for candidate in reruns(self.plan)),
        ]
        unique = {contender.setting: contender for contender in reversed(found) if contender.name == "constant"}
        return [contender for contender in found if unique.get(contender.setting) is contender]

    def _race(self, groups: Mapping[Role, Sequence[Contender]], seeds: int) -> dict[Role, list[Contender]]:
        """Return each group's contenders with their runs on so many seeds, best first; clear losers leave it early.

        The groups race side by side: each has a leader of its own to be compared with. A setting that is in several is
        trained once.
        """
        metric, racing = self.plan.metric, {role: list(group) for role, group in groups.items()}
        lost: dict[Role, list[Contender]] = {role: [] for role in groups}
        looks = self.rules.looks(run_seeds(Stage.SELECTION, seeds))
        for number, look in enumerate(looks, start=1):
            unique = {contender.setting: contender for group in racing.values() for contender in group}
            everyone = list(unique.values())
            part = self._parts.on_own_split(f"race {number}", f"race, look {number} of {len(looks)}", everyone, look)
            more = dict(zip(unique, part.runs[0], strict=True))
            for role, group in racing.items():
                ran = [contender.raced(more[contender.setting]) for contender in group]
                kept = self.rules.survivors(scores(ran, metric), len(looks))
                racing[role] = [ran[place] for place in kept]
                lost[role] += [contender for place, contender in enumerate(ran) if place not in kept]
        return {role: placed(group, metric) + ranked(lost[role], metric) for role, group in racing.items()}

    def _confirm(self, first: int, winners: Mapping[Role, Contender]) -> list[Entry]:
        """Return winners and re-runs of the quoted settings with runs on fresh seeds, from the `first`-th on."""
        entries = [*winners.items(), *((Role.RERUN, Contender.of(candidate)) for candidate in reruns(self.plan))]
        seeds = run_seeds(Stage.CONFIRMATION, self._begin(CONFIRMATION).verdict.confirmation_seeds, first)
        part = self._parts.on_own_split("confirmation", "confirmation", [contender for _, contender in entries], seeds)
        return [
            Entry(role=role, contender=contender, confirmation=runs, curves=curves)
            for (role, contender), runs, curves in zip(entries, part.runs[0], part.curves, strict=True)
        ]

    def _try_rates(self, record: VerdictRecord, rates: RatesTried, re_splits: ReSplits) -> ForgivenessRecord:
        """Return what the best candidates of schedules score at other rates, on as many re-splits as time is left for.

        No re-split is begun that a time budget has no time for.
        """
        new, budget = record.new_rows, self.budget
        if not new.split_seeds:
            return ForgivenessRecord(problem=new.problem)
        if budget is not None:
            self._begin(FORGIVENESS)
            rates = rates.within(budget.left, budget.pace)
        if rates.splits < FEWEST_RATE_SPLITS:
            return ForgivenessRecord(problem="the time budget left no time for it")
        known = re_splits.first_look.splits
        splits = {seed: known[seed] for seed in new.split_seeds[: rates.splits]}
        timeline = self.plan.training.timeline(self.split.train_rows)
        chosen = families(self.database, self.plan, record, rates.families, timeline)
        tried = OtherRates(self.database, self._study_id, self.narrow, self.plan.metric, rates.seeds)
        self.announce(FORGIVENESS, len(chosen) * len(FACTORS) * len(splits) * rates.seeds)
        return tried.run(chosen, splits)

    @property
    def _nested_wanted(self) -> NestedSearches | None:
        return self.nested if self.nested is not None and self.nested.wanted else None

    def _made_before(self, before: VerdictRecord | None) -> NestedRecord | None:
        """Return the nested searches of an earlier verdict, if they are still all that is asked for."""
        asked, made = self._nested_wanted, None if before is None else before.nested
        if made is not None and made.still_holds(self.plan) and (asked is None or made.is_whole(asked.wanted)):
            return made
        return None

    def _nested_takes(self, before: VerdictRecord | None) -> float:
        """Return the seconds of a time budget that nested searches are to have."""
        asked = self._nested_wanted
        if self.budget is None or asked is None or self._made_before(before) is not None:
            return 0.0
        return nested_seconds(self.plan, self.budget.pace, asked.wanted)

    def _repeat_search(self, before: VerdictRecord | None, deadline: float) -> NestedRecord | None:
        """Return the search repeated on outer splits, from where it was stopped, or as an earlier verdict has it.

        A time budget leaves it out if what is left does not hold it, and may end it before its last outer split.
        """
        asked = self._nested_wanted
        if (made := self._made_before(before)) is not None or asked is None:
            return made
        budget = self.budget
        if budget is not None and nested_seconds(self.plan, budget.pace, asked.wanted) > budget.left:
            left_out = {"problem": "the time budget left no time for it", "out_of_time": True}
            return asked.record.model_copy(update=left_out)
        with self.database.reading() as connection:
            parts = read_documents(connection, self._study_id, NESTED_PART)
        read = [NestedPart.model_validate_json(part) for part in parts.values()]
        kept = {part.outer.split_seed: part.outer for part in read if part.asked == asked.record.asked}

        def keep(outer: OuterSplit) -> None:
            part = NestedPart(asked=asked.record.asked, outer=outer).model_dump_json()
            write_documents(self.database, self._study_id, {f"{NESTED_PART}{outer.split_seed}": part})

        def goes_on() -> bool:
            return time.monotonic() < deadline and (budget is None or budget.gate.has_time())

        self.announce(NESTED, nested_trainings(self.plan, asked.wanted - len(kept)))
        found = asked.run(kept, keep, goes_on)
        if budget is None and found.out_of_time:
            raise OutOfTime
        return found


def split_facts(split: Split, metric: MetricName = "accuracy") -> SplitFacts:
    """Return what the study's own split is, what is doubtful about it, and what is known without its inputs."""
    classes, found = split.dataset.classes, check_split(split)
    sides = (split.train_targets, split.validation_targets)
    train, validation = (np.bincount(targets if classes else [], minlength=len(classes)) for targets in sides)
    squares = sum(
        np.square(flat_rows(part), dtype=np.float64).sum(axis=0) for part in split.in_blocks(split.train_index)
    )
    widths, first = np.sqrt(squares / split.train_rows), split.inputs(split.train_index[:1])
    names = split.preparation.names() or value_names(first)
    shaped = isinstance(first, np.ndarray) and first.ndim > 2  # whose model scales them itself, if anything does
    unscaled = shaped or flat_rows(first).dtype == np.int32
    return SplitFacts(
        classes=classes,
        class_rows=tuple(validation.tolist()),
        train_rows=split.train_rows,
        validation_rows=split.validation_rows,
        warnings=found.warnings(classes, metric),
        train_class_rows=tuple(train.tolist()),
        unlike=found.unlike,
        uninformed=mean_scores([uninformed_scores(each) for each in split.each]),
        turns=len(split.each),
        widest=None if unscaled else (names[int(widths.argmax())], float(widths.max())),
        telling=tuple(names[place] for place in telling_inputs(split)),
        copies=found.copies,
        labels=split.dataset.task.outputs if split.dataset.task.name == "labels" else 0,
    )
