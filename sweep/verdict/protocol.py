"""All that `sweep run` does, in order: the search, searches for tuned baselines, the race, confirmation, re-splits.

Each part goes on where it was stopped. A verdict is made again only if something that it rests on has changed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sweep.config.study_file import Plan
from sweep.data.table import Dataset, Split
from sweep.execution.batches import Trainer
from sweep.search.loop import Coordinator, SearchProgress, Seconds
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import open_study
from sweep.verdict.baselines import searches, tuning_plans
from sweep.verdict.finalists import finalists
from sweep.verdict.record import Role, VerdictRecord
from sweep.verdict.stages import Stages, split_facts
from sweep.verdict.status import StageCache, basis, is_made, read_record


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
    dataset: Dataset
    split: Split
    trainer: Trainer
    narrow: Trainer
    announce: Callable[[str, int], None]
    on_progress: Callable[[SearchProgress], None]
    seconds: Seconds = field(default_factory=Seconds)

    def __post_init__(self) -> None:
        """Refuse a stored study that is another one, before anything is trained."""
        open_study(self.database, self.plan, self.dataset.sha256)

    def run(self, timeout_seconds: float | None = None, *, search_only: bool = False) -> bool:
        """Do what is left, and say whether all of it is done; no round and no stage begins after the timeout."""
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        for name, plan in searches(self.plan, search_only=search_only).items():
            self.announce(name, plan.search.trials * plan.search.replicates)
            study = open_study(self.database, plan, self.dataset.sha256)
            searcher = Coordinator(self.database, study, plan, self.trainer, self.on_progress, self.seconds)
            progress = searcher.run(deadline)
            if progress.finished < progress.trials:
                return False
        if search_only or is_made(self.database, self.plan):
            return True
        with self.seconds.spent_on("evidence"):
            return self._examine(deadline)

    def _examine(self, deadline: float) -> bool:
        """Make the record and say so, or stop between two stages for want of time."""
        began = time.monotonic()
        stored = StoredStudy(self.database, self.plan.name)
        with stored.reading() as study:
            study_id = study.study_id
        before = read_record(stored)
        plans = {Role.WINNER: self.plan} | tuning_plans(self.plan)
        groups = {role: finalists(self.database, plan) for role, plan in plans.items()}
        cache = StageCache(self.database, study_id)
        stages = Stages(self.plan, self.dataset, self.narrow, cache, self.announce)
        raced = stages.race(groups)
        if time.monotonic() >= deadline:
            return False
        entries = stages.confirm(
            0 if before is None else before.next_seed, {role: group[0] for role, group in raced.items()}
        )
        if time.monotonic() >= deadline:
            return False
        tested, new_rows = stages.resplit(entries)
        record = VerdictRecord(
            basis=basis(self.database, self.plan),
            confirmations=1 if before is None else before.confirmations + 1,
            split=split_facts(self.dataset, self.split),
            new_rows=new_rows,
            race=tuple(raced[Role.WINNER]),
            entries=tuple(tested),
            metric=self.plan.search.metric,
            seconds=time.monotonic() - began,
        )
        cache.close(record.model_dump_json())
        return True
