"""All that `sweep run` does, in order: the search, searches for tuned baselines, the race, confirmation, re-splits.

No stage sees what the next one judges by: the race chooses by run seeds that no search used, the confirmation has
seeds that chose nothing. All candidates of a stage share its seeds, so that all comparisons are paired. Each part goes
on where it was stopped, and a verdict is made again only if something that it rests on has changed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sweep.config.plan import Plan
from sweep.data.rows import flat_rows, value_names
from sweep.data.splitting import resplit
from sweep.data.table import Split
from sweep.errors import BadInput, StorageFailed
from sweep.execution.batches import Trainer
from sweep.search.finite import count_wanted
from sweep.search.loop import Coordinator, SearchProgress, Seconds
from sweep.search.space import SearchSpace
from sweep.seeds import Stage, run_seeds, split_seeds
from sweep.stats.comparison import Allocation, Race, indistinguishable
from sweep.stats.counts import check_split, telling_inputs
from sweep.store.database import Database
from sweep.store.queries import Best, StoredStudy, StudyReader
from sweep.store.study import open_study, read_documents, write_documents
from sweep.task import METRICS, OF_THE_TARGET, MetricName, Task
from sweep.verdict.baselines import Role, reruns, searches, tuning_plans
from sweep.verdict.record import (
    DOSSIER,
    Basis,
    Contender,
    Entry,
    MeanCurves,
    NewRows,
    Record,
    Runs,
    SplitFacts,
    VerdictRecord,
    is_made,
    read_record,
    scores,
)

PART = "sweep:part:"


class Part(Record):
    """A finished part of a verdict that is being made, as the study keeps it until the record is there."""

    asked: str  # candidates and seeds, as JSON; a part for others is no part of this verdict
    runs: tuple[tuple[Runs, ...], ...]  # by split and candidate; before the re-splits there is one split
    curves: tuple[MeanCurves, ...] = ()  # by candidate, on the study's own split


@dataclass
class Protocol:
    """Takes one study from nothing, or from wherever it was stopped, to its verdict.

    The caller holds the study's lock. `trainer` trains rounds of a search, `narrow` the few candidates after it.
    `announce` gets each part's name and its number of trainings, `on_progress` every round of a search.

    Raises:
        BadInput: if the stored study is another one, or its name leaves no room for those of the baselines.
    """

    database: Database
    plan: Plan
    split: Split
    trainer: Trainer
    narrow: Trainer
    announce: Callable[[str, int], None]
    on_progress: Callable[[SearchProgress], None]
    seconds: Seconds = field(default_factory=Seconds)
    rules: Allocation = field(default_factory=Race)

    def __post_init__(self) -> None:
        """Refuse a stored study that is another one, before anything is trained."""
        open_study(self.database, self.plan, self.split.dataset.sha256)

    def run(self, timeout_seconds: float | None = None, *, search_only: bool = False) -> bool:
        """Do what is left, and say whether all of it is done; no round and no stage begins after the timeout."""
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        for name, plan in searches(self.plan, search_only=search_only).items():
            study = open_study(self.database, plan, self.split.dataset.sha256)
            wanted = count_wanted(StoredStudy(self.database, plan.name), plan)
            self.announce(name, wanted * plan.search.replicates)
            searcher = Coordinator(self.database, study, plan, self.trainer, self.on_progress, self.seconds)
            progress = searcher.run(deadline)
            if progress.lacking or progress.finished < progress.trials:
                return False
        if search_only or is_made(self.database, self.plan):
            return True
        with self.seconds.spent_on("evidence"):
            return self._examine(deadline)

    @cached_property
    def _study_id(self) -> int:
        with StoredStudy(self.database, self.plan.name).reading() as study:
            return study.study_id

    def _examine(self, deadline: float) -> bool:
        """Make the record and say so, or stop between two stages for want of time."""
        began = time.monotonic()
        before = read_record(StoredStudy(self.database, self.plan.name))
        plans = {Role.WINNER: self.plan} | tuning_plans(self.plan)
        groups = {role: finalists(self.database, plan) for role, plan in plans.items()}
        groups[Role.CONSTANT] = self._constants(groups)
        raced = self._race(groups)
        if time.monotonic() >= deadline:
            return False
        winners = {role: group[0] for role, group in raced.items()}
        entries = self._confirm(0 if before is None else before.next_seed, winners)
        if time.monotonic() >= deadline:
            return False
        tested, new_rows = self._resplit(entries)
        record = VerdictRecord(
            basis=Basis.now(self.database, self.plan),
            confirmations=1 if before is None else before.confirmations + 1,
            split=split_facts(self.split, self.plan.metric),
            new_rows=new_rows,
            race=tuple(raced[Role.WINNER]),
            entries=tuple(tested),
            metric=self.plan.metric,
            seconds=time.monotonic() - began,
        )
        with self.database.reading() as connection:
            parts = list(read_documents(connection, self._study_id, PART))
        write_documents(self.database, self._study_id, {DOSSIER: record.model_dump_json()}, drop=parts)
        return True

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
            *(_contender(self.plan, trial) for trial in best if trial.record.by_seed(self.plan.metric)),
            *groups.get(Role.RATE, ()),
            *(Contender.of(candidate) for candidate in reruns(self.plan)),
        ]
        unique = {contender.setting: contender for contender in reversed(found) if contender.name == "constant"}
        return [contender for contender in found if unique.get(contender.setting) is contender]

    def _race(self, groups: Mapping[Role, Sequence[Contender]]) -> dict[Role, list[Contender]]:
        """Return each group's contenders with their runs in the race, best first; clear losers leave it early.

        The groups race side by side: each has a leader of its own to be compared with. A setting that is in several is
        trained once.
        """
        metric, racing = self.plan.metric, {role: list(group) for role, group in groups.items()}
        lost: dict[Role, list[Contender]] = {role: [] for role in groups}
        looks = self.rules.looks(run_seeds(Stage.SELECTION, self.plan.verdict.selection_seeds))
        for number, seeds in enumerate(looks, start=1):
            unique = {contender.setting: contender for group in racing.values() for contender in group}
            everyone = list(unique.values())
            part = self._part(f"race {number}", f"race, look {number} of {len(looks)}", everyone, seeds)
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
        seeds = run_seeds(Stage.CONFIRMATION, self.plan.verdict.confirmation_seeds, first)
        part = self._part("confirmation", "confirmation", [contender for _, contender in entries], seeds)
        return [
            Entry(role=role, contender=contender, confirmation=runs, curves=curves)
            for (role, contender), runs, curves in zip(entries, part.runs[0], part.curves, strict=True)
        ]

    def _resplit(self, entries: Sequence[Entry]) -> tuple[list[Entry], NewRows]:
        """Return the entries with runs on re-splits of the rows, and what these re-splits are."""
        verdict, own = self.plan.verdict, self.plan.split
        numbers = split_seeds(verdict.splits, own.split_seed)
        try:
            found = resplit(self.split, own.kind, own.fraction, numbers, self.plan.metric)
        except BadInput as error:
            return list(entries), NewRows(problem=str(error))
        splits, seeds = found.splits, run_seeds(Stage.NEW_ROWS, verdict.split_seeds)
        part = self._part("new rows", "new rows", [entry.contender for entry in entries], seeds, splits)
        by_entry = zip(entries, zip(*part.runs, strict=True), strict=True)
        tested = [entry.model_copy(update={"new_rows": runs}) for entry, runs in by_entry]
        first = next(iter(splits.values()))
        known = [uninformed_scores(each) for each in splits.values()] if found.told else []
        new_rows = NewRows(
            split_seeds=tuple(splits),
            train_rows=first.train_rows,
            test_rows=first.validation_rows,
            told=found.told,
            uninformed={name: float(np.mean([each[name] for each in known])) for name in (known[0] if known else ())},
        )
        finite = {name: score for name, score in new_rows.uninformed.items() if math.isfinite(score)}
        return tested, new_rows.model_copy(update={"uninformed": finite})

    def _part(
        self,
        name: str,
        shown: str,
        contenders: Sequence[Contender],
        seeds: Sequence[int],
        splits: Mapping[int, Split] | None = None,
    ) -> Part:
        """Return the part called `name` if it is kept and was asked so, or train and keep it.

        Without `splits`, which come by their seed, it is trained on the study's own split.
        """
        settings = [(contender.schedule, contender.momentum, contender.nesterov) for contender in contenders]
        asked = json.dumps([settings, list(seeds), list(splits or ())])
        self.announce(shown, len(contenders) * len(seeds) * (1 if splits is None else len(splits)))
        with self.database.reading() as connection:
            kept = read_documents(connection, self._study_id, PART + name).get(PART + name)
        if kept is not None and (part := Part.model_validate_json(kept)).asked == asked:
            return part
        candidates = [contender.candidate for contender in contenders]
        if splits is None:
            trained = dict(self.narrow.train(candidates, seeds))
            by_split = [[trained[place] for place in range(len(candidates))]]
            curves = tuple(map(MeanCurves.of, by_split[0]))
        else:
            trained_on = dict(self.narrow.train_on(list(splits.values()), candidates, seeds))
            by_split, curves = [trained_on[place] for place in range(len(splits))], ()
        part = Part(asked=asked, runs=tuple(tuple(map(Runs.of, outcomes)) for outcomes in by_split), curves=curves)
        write_documents(self.database, self._study_id, {PART + name: part.model_dump_json()})
        return part


def finalists(database: Database, plan: Plan) -> list[Contender]:
    """Return who races for the plan's study, best first by the search's ranking.

    They are the `verdict.finalists` best candidates, each once, and of the schedules whose best trial is within noise
    of the very best one, as many more at most; the simplest of them races in any case. A search that others filled may
    hold trials without a schedule to train again, or without the score of each run: these take no part.

    Raises:
        StorageFailed: if no trial has runs that could be compared.
    """
    with StoredStudy(database, plan.name).reading() as study:
        found = best_candidates(study, plan.verdict.finalists), [each.best for each in study.best_of_each_schedule()]
    metric = plan.metric
    best, families = ([trial for trial in group if trial.schedule and trial.record.by_seed(metric)] for group in found)
    if not best:
        raise StorageFailed(f"the study `{plan.name}` has no trial whose runs can be compared.")
    racing = [_contender(plan, trial) for trial in best]
    seen = [trial.params for trial in best]
    others = [_contender(plan, trial) for trial in within_noise(families, metric) if trial.params not in seen]
    few, rest = others[: plan.verdict.finalists], others[plan.verdict.finalists :]
    simplest = min(others, key=lambda each: each.complexity, default=None)
    return racing + few + [each for each in rest if each is simplest]


def best_candidates(study: StudyReader, number: int) -> list[Best]:
    """Return the best trials of `number` different candidates, best first; of equal ones the one with the most runs."""
    top = number
    while True:
        found, groups = study.best_trials(top), list[list[Best]]()
        for trial in found:
            same = next((group for group in groups if group[0].params == trial.params), None)
            if same is None:
                groups.append([trial])
            else:
                same.append(trial)
        if len(groups) >= number or len(found) < top:
            return [max(group, key=lambda trial: len(trial.record.runs)) for group in groups[:number]]
        top *= 2


def within_noise(ranked: list[Best], metric: MetricName) -> list[Best]:
    """Return the trials that cannot be told from the first by the run seeds that all of them share.

    Trials of a study that has grown may have different numbers of runs; one that shares fewer than two seeds with the
    first cannot be compared, unless both have one run.
    """
    by_trial = [(trial, trial.record.by_seed(metric)) for trial in ranked]
    first = by_trial[0][1].keys() if by_trial else set[int]()
    peers = [each for each in by_trial if len(first & each[1].keys()) >= min(2, len(first))]
    shared = sorted(set(first).intersection(*(by_seed for _, by_seed in peers)))
    if len(shared) < 2:
        return [trial for trial, _ in (peers if len(first) < 2 else peers[:1])]
    table = np.array([[by_seed[seed] for seed in shared] for _, by_seed in peers], np.float64)
    return [peers[place][0] for place in indistinguishable(METRICS[metric].gains(table))]


def _contender(plan: Plan, trial: Best) -> Contender:
    runs = Runs(
        run_seeds=tuple(run.run_seed for run in trial.record.runs),
        correct=trial.record.correct,
        log_losses=tuple(run.log_loss for run in trial.record.runs if trial.record.correct),
        diverged=trial.record.diverged or 0,
        class_correct=trial.record.class_correct,
        scores=trial.record.scores,
    )
    found = {"study": plan.name, "trial": trial.trial, "params": trial.params}
    return Contender.of(SearchSpace(plan.search).read_candidate(trial), **found, search=runs)


def placed(contenders: Sequence[Contender], metric: MetricName) -> list[Contender]:
    """Return who stayed in the race to its end, the winner first.

    Right rows saturate, and a setting that fails once in a hundred runs may not have failed yet. So those that cannot
    be told from the one with the most are placed by log-loss, which shows both.
    """
    level = set(indistinguishable(scores(contenders, metric))) if metric == "accuracy" else set()
    equals = [contender for place, contender in enumerate(contenders) if place in level]
    others = [contender for place, contender in enumerate(contenders) if place not in level]
    return ranked(equals, "log_loss") + ranked(others, metric)


def ranked(contenders: Sequence[Contender], metric: MetricName) -> list[Contender]:
    """Return contenders that raced, best first; of equal scores the one with the lower training loss at its end.

    One that ran longer comes before one that left earlier, and where there is no worst score, one without diverged runs
    before one with any.
    """
    known, tie_breaker = METRICS[metric], METRICS[METRICS[metric].tie_breaker]

    def standing(contender: Contender) -> tuple[float, ...]:
        runs = contender.selection
        assert runs is not None  # everybody was in the first look
        loss = tie_breaker.mean(runs.by_metric(tie_breaker.name, 1))
        if metric == "accuracy":
            return -len(runs.run_seeds), -runs.correct_mean, loss
        mean, behind = known.mean(runs.by_metric(metric, 1)), known.worst is None and runs.diverged > 0
        return -len(runs.run_seeds), behind, -mean if known.rises else mean, loss, -runs.correct_mean

    return sorted(contenders, key=standing)


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
    return SplitFacts(
        classes=classes,
        class_rows=tuple(validation.tolist()),
        train_rows=split.train_rows,
        validation_rows=split.validation_rows,
        warnings=found.warnings(classes, metric),
        train_class_rows=tuple(train.tolist()),
        unlike=found.unlike,
        uninformed={name: score for name, score in uninformed_scores(split).items() if math.isfinite(score)},
        widest=None if flat_rows(first).dtype == np.int32 else (names[int(widths.argmax())], float(widths.max())),
        telling=tuple(names[place] for place in telling_inputs(split)),
    )


def uninformed_scores(split: Split) -> dict[MetricName, float]:
    """Return the scores of a network that reads no input: it gives each row the training rows' class shares or mean."""
    classes, unit = len(split.dataset.classes), split.target_unit[1]
    shares = np.bincount(split.train_targets, minlength=classes) / split.train_rows if classes else np.zeros(1)
    guesses = np.broadcast_to(shares, (1, split.validation_rows, len(shares)))
    return {
        metric.name: float(metric.score(guesses, split.validation_targets)[0])
        * (unit if metric.unit == OF_THE_TARGET else 1)
        for metric in Task.of(classes).metrics
    }
