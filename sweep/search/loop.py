"""The search: it decides what is trained next, round by round, and stores what came of it.

Round by round it proposes candidates, has all their replicates trained, and stores the whole round in one
transaction. Killed at any moment it leaves finished trials only, and the next start proposes the same round again.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter

import optuna

from sweep.candidate import Candidate
from sweep.config.study_file import Plan
from sweep.errors import BadInput
from sweep.execution.batches import Outcome, Trainer
from sweep.search.allocation import Allocation, AllRuns
from sweep.search.distributions import SearchSpace
from sweep.search.objective import to_record
from sweep.search.sampler import propose, window
from sweep.store.database import Database
from sweep.store.optuna_schema import read_params
from sweep.store.queries import Finished, StoredStudy
from sweep.store.study import FinishedTrial, put_back, store


@dataclass(frozen=True)
class SearchProgress:
    """Where a sweep is after a round: candidates finished of all, and the best so far by the study's metric."""

    finished: int
    trials: int
    best: Finished | None


@dataclass
class Seconds:
    """Where a sweep's time went."""

    sampling: float = 0.0
    training: float = 0.0
    storage: float = 0.0
    evidence: float = 0.0

    @contextlib.contextmanager
    def spent_on(self, part: str) -> Iterator[None]:
        """Add the time of a `with` block to one part."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - began)


@dataclass
class Coordinator:
    """Runs one study to its budget; its caller holds the study's lock.

    Made, it lets the trials that a dead process left running wait again, even if there is nothing left to train.
    """

    database: Database
    study: optuna.Study
    plan: Plan
    trainer: Trainer
    on_progress: Callable[[SearchProgress], None]
    seconds: Seconds = field(default_factory=Seconds)
    allocation: Allocation = field(default_factory=AllRuns)

    def __post_init__(self) -> None:
        """Derive the search space and the study's key in the database, and put back what was left running."""
        self._space = SearchSpace(self.plan.search)
        self._study_id = self.database.storage.get_study_id_from_name(self.study.study_name)
        self._stored = StoredStudy(self.database, self.plan.name)
        (self._run_seeds,) = self.allocation.looks(range(self.plan.search.replicates))
        put_back(self.database, self._study_id)

    def run(self, deadline: float = math.inf) -> SearchProgress:
        """Train round after round until the budget is met, or no round may begin any more, by `time.monotonic`."""
        while True:
            finished = self._finished()
            progress = self._progress(finished)
            self.on_progress(progress)
            left = progress.trials - progress.finished
            if left <= 0 or time.monotonic() >= deadline:
                return progress
            if not self._train_queued(left):
                self._train_round(finished)

    def progress(self) -> SearchProgress:
        """Count what is stored."""
        return self._progress(self._finished())

    def _progress(self, finished: Sequence[Finished]) -> SearchProgress:
        best = min(finished, key=lambda trial: trial.rank_key(self.plan.search.metric), default=None)
        return SearchProgress(len(finished), self.plan.search.trials, best)

    def _finished(self) -> list[Finished]:
        with self.seconds.spent_on("storage"), self._stored.reading() as study:
            return study.finished()

    def _train_round(self, finished: Sequence[Finished]) -> None:
        """Train the first round with a candidate missing, and store what it finished, even if interrupted."""
        missing = missing_positions(finished, self.plan.search.trials)
        number = missing[0] // self.plan.search.round_size
        first = number * self.plan.search.round_size
        candidates = self._round(number, first, finished)
        wanted = {place: candidates[place - first] for place in missing if place - first < len(candidates)}
        positions, began, outcomes = list(wanted), datetime.now(UTC), dict[int, Outcome]()
        try:
            with self.seconds.spent_on("training"):
                for place, outcome in self.trainer.train(list(wanted.values()), self._run_seeds):
                    outcomes[positions[place]] = outcome
        finally:
            with self.seconds.spent_on("storage"):
                trials = [self._trial(place, wanted[place], outcomes[place], began) for place in sorted(outcomes)]
                store(self.database, self._study_id, trials)

    def _round(self, number: int, first: int, finished: Sequence[Finished]) -> list[Candidate]:
        """Propose a round: recipes first, then the sampler, who sees the trials of the rounds before."""
        size = self.plan.search.round_size
        recipes = list(self.plan.candidates[first : first + size])
        before = sorted((trial for trial in finished if trial.place < first), key=attrgetter("place"))
        with self.seconds.spent_on("sampling"):
            shown = [trial.trial_id for trial in window(before, self.plan.search.metric)]
            with self.database.reading() as connection:
                params = read_params(connection, shown)
            sampled = propose(
                self._space,
                [params[trial_id] for trial_id in shown],
                min(size, self.plan.search.trials - first) - len(recipes),
                sampler_seed=self.plan.search.sampler_seed,
                round_number=number,
            )
        return recipes + sampled

    def _trial(self, position: int, candidate: Candidate, outcome: Outcome, began: datetime) -> FinishedTrial:
        return FinishedTrial(
            params=self._space.params(candidate),
            distributions=self._space.distributions(candidate.schedule.name),
            value=outcome.value,
            record=to_record(candidate, outcome, position),
            began=began,
        )

    def _train_queued(self, most: int) -> int:
        """Train trials that somebody queued through Optuna; return how many there were."""
        with self._stored.reading() as study:
            waiting = min(most, study.count_by_state().get("waiting", 0))
        if not waiting:
            return 0
        try:
            claimed = self._claim(waiting)
            for place, outcome in self.trainer.train([candidate for _, candidate in claimed], self._run_seeds):
                trial, candidate = claimed[place]
                for key, value in to_record(candidate, outcome).attributes().items():
                    trial.set_user_attr(key, value)
                self.study.tell(trial, outcome.value)
        finally:
            put_back(self.database, self._study_id)
        return waiting

    def _claim(self, count: int) -> list[tuple[optuna.Trial, Candidate]]:
        """Take queued trials; one that is no candidate of this study fails, or it would wait for ever."""
        claimed: list[tuple[optuna.Trial, Candidate]] = []
        for _ in range(count):
            trial = self.study.ask()
            try:
                claimed.append((trial, self._space.suggest(trial)))
            except (ValueError, BadInput):
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return claimed


def missing_positions(finished: Sequence[Finished], trials: int) -> list[int]:
    """Return the positions still to be trained, in order; trials of others count towards the budget."""
    done = {trial.position for trial in finished if trial.position is not None}
    others = sum(trial.position is None for trial in finished)
    return [position for position in range(trials) if position not in done][: max(0, trials - others - len(done))]
