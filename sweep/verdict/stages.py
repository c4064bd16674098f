"""The stages after the searches: a race on fresh run seeds, the confirmation, and re-splits of the rows.

No stage sees what the next one judges by: the race chooses by run seeds that no search used, the confirmation has
seeds that chose nothing. Every candidate of a stage shares them, so that all comparisons are paired.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sweep.config.study_file import Metric, Plan
from sweep.data.table import Dataset, Split, split_stratified
from sweep.errors import BadInput
from sweep.execution.batches import Trainer
from sweep.search.allocation import Allocation, Race
from sweep.seeds import Stage, run_seeds, split_seeds
from sweep.stats.estimate import Numbers
from sweep.stats.selection import indistinguishable
from sweep.stats.split_check import check_split
from sweep.verdict.baselines import reruns
from sweep.verdict.record import Contender, Entry, MeanCurves, NewRows, Role, Runs, SplitFacts
from sweep.verdict.status import Part, StageCache


@dataclass(frozen=True)
class Stages:
    """Trains what a verdict needs; `announce` gets each part's name and number of trainings beforehand."""

    plan: Plan
    dataset: Dataset
    trainer: Trainer
    cache: StageCache
    announce: Callable[[str, int], None]
    allocation: Allocation = field(default_factory=Race)

    def race(self, groups: Mapping[Role, Sequence[Contender]]) -> dict[Role, list[Contender]]:
        """Return each group's contenders with their runs in the race, best first; clear losers leave it early.

        The groups race side by side: each has a leader of its own to be compared with.
        """
        racing = {role: list(group) for role, group in groups.items()}
        lost: dict[Role, list[Contender]] = {role: [] for role in groups}
        looks = self.allocation.looks(run_seeds(Stage.SELECTION, self.plan.verdict.selection_seeds))
        for number, seeds in enumerate(looks, start=1):
            everyone = [contender for group in racing.values() for contender in group]
            part = self._part(f"race {number}", f"race, look {number} of {len(looks)}", everyone, seeds)
            raced = iter([_after_look(*pair) for pair in zip(everyone, part.runs[0], strict=True)])
            for role, group in racing.items():
                ran = [next(raced) for _ in group]
                kept = self.allocation.survivors(scores(ran, self.plan.search.metric), len(looks))
                racing[role] = [ran[place] for place in kept]
                lost[role] += [contender for place, contender in enumerate(ran) if place not in kept]
        metric = self.plan.search.metric
        return {role: placed(group, metric) + ranked(lost[role], metric) for role, group in racing.items()}

    def confirm(self, first: int, winners: Mapping[Role, Contender]) -> list[Entry]:
        """Return winners and re-runs of the quoted settings with runs on fresh seeds, from the `first`-th on."""
        entries = [*winners.items(), *((Role.RERUN, Contender.of(candidate)) for candidate in reruns(self.plan))]
        contenders = [contender for _, contender in entries]
        seeds = run_seeds(Stage.CONFIRMATION, self.plan.verdict.confirmation_seeds, first)
        part = self._part("confirmation", "confirmation", contenders, seeds)
        return [
            Entry(role=role, contender=contender, confirmation=runs, curves=curves)
            for (role, contender), runs, curves in zip(entries, part.runs[0], part.curves, strict=True)
        ]

    def resplit(self, entries: Sequence[Entry]) -> tuple[list[Entry], NewRows]:
        """Return the entries with runs on stratified re-splits of the rows, and what these re-splits are."""
        verdict, split = self.plan.verdict, self.plan.split
        numbers = split_seeds(verdict.splits, split.split_seed)
        try:
            splits = [split_stratified(self.dataset, split.fraction, number) for number in numbers]
        except BadInput as error:
            return list(entries), NewRows(problem=str(error))
        contenders = [entry.contender for entry in entries]
        seeds = run_seeds(Stage.NEW_ROWS, verdict.split_seeds)
        asked = _asked(contenders, seeds, numbers)
        self.announce("new rows", len(contenders) * len(seeds) * len(splits))
        part = self.cache.part("new rows", asked, lambda: self._train_on(splits, contenders, seeds, asked))
        by_entry = zip(*part.runs, strict=True)
        tested = [
            entry.model_copy(update={"new_rows": tuple(runs)}) for entry, runs in zip(entries, by_entry, strict=True)
        ]
        return tested, NewRows(
            split_seeds=tuple(numbers), train_rows=splits[0].train_rows, test_rows=splits[0].validation_rows
        )

    def _part(self, name: str, shown: str, contenders: Sequence[Contender], seeds: Sequence[int]) -> Part:
        asked = _asked(contenders, seeds)
        self.announce(shown, len(contenders) * len(seeds))
        return self.cache.part(name, asked, lambda: _train(self.trainer, contenders, seeds, asked))

    def _train_on(
        self, splits: Sequence[Split], contenders: Sequence[Contender], seeds: Sequence[int], asked: str
    ) -> Part:
        candidates = [contender.candidate for contender in contenders]
        trained = dict(self.trainer.train_on(splits, candidates, seeds))
        runs = tuple(tuple(Runs.of(outcome) for outcome in trained[place]) for place in range(len(splits)))
        return Part(asked=asked, runs=runs)


def _train(trainer: Trainer, contenders: Sequence[Contender], seeds: Sequence[int], asked: str) -> Part:
    trained = dict(trainer.train([contender.candidate for contender in contenders], seeds))
    outcomes = [trained[place] for place in range(len(contenders))]
    return Part(asked=asked, runs=(tuple(map(Runs.of, outcomes)),), curves=tuple(map(MeanCurves.of, outcomes)))


def scores(contenders: Sequence[Contender], metric: Metric) -> Numbers:
    """Return what the race compares, `[contenders, runs]`, higher is better: right rows, or the log-loss turned.

    By log-loss, a contender with a diverged run is taken to be worse in all its runs than anybody else in any.
    """
    runs = [contender.selection for contender in contenders]
    if metric == "accuracy":
        return np.array([each.correct for each in runs if each is not None], np.float64)
    table = np.array([each.log_losses for each in runs if each is not None], np.float64)
    finite = table[np.isfinite(table)]
    table[~np.isfinite(table).all(axis=1)] = (finite.max() if len(finite) else 0.0) + 1.0
    return -table


def placed(contenders: Sequence[Contender], metric: Metric) -> list[Contender]:
    """Return who stayed in the race to its end, the winner first.

    Right rows saturate, and a setting that fails once in a hundred runs may not have failed yet. So those that cannot
    be told from the one with the most are placed by log-loss, which shows both.
    """
    if metric == "log_loss":
        return ranked(contenders, metric)
    level = set(indistinguishable(scores(contenders, metric)))
    equals = [contender for place, contender in enumerate(contenders) if place in level]
    others = [contender for place, contender in enumerate(contenders) if place not in level]
    return ranked(equals, "log_loss") + ranked(others, metric)


def ranked(contenders: Sequence[Contender], metric: Metric) -> list[Contender]:
    """Return contenders that raced, best first; ties in right rows are broken by log-loss, and the other way round.

    One that ran longer comes before one that left earlier.
    """

    def standing(contender: Contender) -> tuple[float, ...]:
        runs = contender.selection
        assert runs is not None  # everybody was in the first look
        loss = math.inf if runs.log_loss is None else runs.log_loss
        by_accuracy = (-runs.correct_mean, loss)
        by_loss = (math.inf if runs.diverged else loss, -runs.correct_mean)
        return -len(runs.run_seeds), *(by_accuracy if metric == "accuracy" else by_loss)

    return sorted(contenders, key=standing)


def split_facts(dataset: Dataset, split: Split) -> SplitFacts:
    """Return what the study's own split is, and what is doubtful about it."""
    found = check_split(
        split.train_inputs, split.train_targets, split.validation_inputs, split.validation_targets, dataset.targets
    )
    return SplitFacts(
        classes=dataset.classes,
        class_rows=tuple(np.bincount(split.validation_targets, minlength=len(dataset.classes)).tolist()),
        train_rows=split.train_rows,
        validation_rows=split.validation_rows,
        warnings=found.warnings(dataset.classes),
    )


def _after_look(contender: Contender, more: Runs) -> Contender:
    """Return the contender with the runs of one more look."""
    before = contender.selection
    return contender.model_copy(update={"selection": more if before is None else before.joined(more)})


def _asked(contenders: Sequence[Contender], seeds: Sequence[int], splits: Sequence[int] = ()) -> str:
    """Return what a part is asked for, as JSON."""
    settings = [(contender.schedule, contender.momentum, contender.nesterov) for contender in contenders]
    return json.dumps([settings, list(seeds), list(splits)])
