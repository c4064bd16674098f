"""The search: it decides what is trained next, round by round, and stores what came of it.

A round depends on the sampler's seed, its number and the finished trials before it, and on nothing else. It is stored
in one transaction. So a search that is killed leaves finished trials only, and the next start proposes the same round.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, create_trial

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.errors import BadInput
from sweep.execution.batches import Outcome, Trainer
from sweep.search.finite import FiniteSpace, Point, Untried
from sweep.search.space import SearchSpace, suggest_all
from sweep.space import Value
from sweep.store.database import Database
from sweep.store.growth import TRAINED_AGAIN, Era, find_lacking, read_eras
from sweep.store.optuna_schema import read_params
from sweep.store.queries import VALUED_BY, Best, StoredStudy
from sweep.store.trials import TrialCurves, TrialRecord, put_back, store, write_params, write_runs
from sweep.task import MetricName

# TPE models the best 25 trials against the others (Bergstra et al. 2011; Optuna's default for `gamma`). What it is
# shown is bounded, so that a round costs the same after a hundred trials and after a hundred thousand.
BEST_SHOWN = 25
LATEST_SHOWN = 225
# How often the sampler is asked again for a candidate that was not trained before, until one is chosen without it.
REDRAWS = 10


@dataclass(frozen=True)
class SearchProgress:
    """Where a search is after a round: candidates finished of all, and the score of the best so far by its metric.

    `trials` is the budget, or fewer if the search space holds no more candidates. Of the finished ones, `lacking` are
    still to be trained again with more run seeds.
    """

    finished: int
    trials: int
    best: float | None = None
    lacking: int = 0


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

    def __post_init__(self) -> None:
        """Derive the search space and the study's key in the database, and put back what was left running."""
        self._space, self._finite = SearchSpace(self.plan.search), FiniteSpace(self.plan.search)
        self._study_id = self.database.storage.get_study_id_from_name(self.study.study_name)
        self._stored = StoredStudy(self.database, self.plan.name)
        self._run_seeds, self._is_newer = range(self.plan.search.replicates), self.database.is_newer
        self._valued_by: MetricName = self.study.user_attrs.get(VALUED_BY, "accuracy")
        put_back(self.database, self._study_id)

    def run(self, deadline: float = math.inf, goes_on: Callable[[], bool] = lambda: True) -> SearchProgress:
        """Train round after round until the budget is met, or no round may begin any more, by `time.monotonic`.

        Nor does one begin once `goes_on`, which is asked after each round, says no. A search whose space holds
        finitely many candidates also ends when each has been trained.
        """
        while True:
            with self.seconds.spent_on("storage"), self._stored.reading() as study:
                ranked, waiting = study.standings(), study.count_by_state().get("waiting", 0)
                positions = study.standings(aside=True)["position"] if study.set_aside else ranked["position"]
                tried, era = self._finite.read_tried(study), read_eras(study, self.plan)[-1]
                lacking = {} if self._is_newer else find_lacking(study, self.plan)
                again = study.attributes.get(TRAINED_AGAIN, [])
            untried = Untried(self._finite, set(tried.values())).number
            wanted = int(min(self.plan.search.trials, len(positions) + untried))
            score = "value" if self._valued_by == self.plan.metric else self.plan.metric  # or a column of its own
            progress = SearchProgress(len(positions), wanted, next(iter(ranked[score].dropna()), None), len(lacking))
            self.on_progress(progress)
            left = progress.trials - progress.finished
            if (left <= 0 and not lacking) or time.monotonic() >= deadline or not goes_on():
                return progress
            if lacking:
                self._train_again(lacking, again)
            elif waiting:
                self._train_queued(min(left, waiting))
            else:
                missing = missing_positions(positions, wanted, era.position)
                self._train_round(missing, ranked.assign(point=ranked["trial_id"].map(tried)), era)

    def _train_round(self, missing: Sequence[int], ranked: pd.DataFrame, era: Era) -> None:
        """Train the first round with a candidate missing, and store what it finished, even if interrupted."""
        number, place = divmod(missing[0] - era.position, self.plan.search.round_size)
        first, number = missing[0] - place, era.round + number
        recipes = self._recipes(ranked, era)[first - era.position :][: self.plan.search.round_size]
        candidates = self._round(number, first, missing[-1] + 1 - first, recipes, ranked)
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

    def _train_again(self, lacking: Mapping[int, Best], before: Sequence[int]) -> None:
        """Train the best trials of a study that asks for more run seeds now with all of them, in their places."""
        ids, began, trials = list(lacking), datetime.now(UTC), dict[int, FrozenTrial]()
        candidates = [self._space.read_candidate(trial) for trial in lacking.values()]
        try:
            with self.seconds.spent_on("training"):
                for place, outcome in self.trainer.train(candidates, self._run_seeds):
                    position = lacking[ids[place]].record.position
                    trials[ids[place]] = self._trial(position, candidates[place], outcome, began)
        finally:
            with self.seconds.spent_on("storage"):
                numbers = [*before, *(lacking[trial_id].trial for trial_id in trials)]
                if trials:
                    write_runs(self.database, self._study_id, trials, (TRAINED_AGAIN, numbers))

    def _recipes(self, ranked: pd.DataFrame, era: Era) -> list[Candidate]:
        """Return the recipes that an era begins with: in a study that has grown, those that were not trained before."""
        recipes = list(self.plan.candidates)
        if not (era.position and recipes):
            return recipes
        earlier = ranked[ranked["position"].astype(float).fillna(-1) < era.position]["trial_id"].tolist()
        with self.database.reading() as connection:
            trained = read_params(connection, earlier).values()
        return [each for each in recipes if all(self._space.params(each) != params for params in trained)]

    def _round(
        self, number: int, first: int, count: int, recipes: Sequence[Candidate], ranked: pd.DataFrame
    ) -> list[Candidate]:
        """Propose the first `count` of a round: recipes, then the sampler, who sees the trials of the rounds before."""
        search = self.plan.search
        with self.seconds.spent_on("sampling"):
            # Trials of others have no position, and come before all rounds.
            places = ranked["position"].astype(float).fillna(-1) - first
            shown = window(ranked[places < 0])["trial_id"].tolist()
            with self.database.reading() as connection:
                params = read_params(connection, shown)
            tried = {*ranked["point"][places < 0].dropna(), *self._finite.points(map(self._space.params, recipes))}
            in_round = ranked[places.between(len(recipes), search.round_size - 1)].dropna(subset="point")
            done = dict(zip(places[in_round.index].astype(int) - len(recipes), in_round["point"], strict=True))
            seeds = {"sampler_seed": search.sampler_seed, "round_number": number}
            before, count = [params[trial_id] for trial_id in shown], min(count, search.round_size) - len(recipes)
            return [*recipes, *propose(self._space, before, count, **seeds, tried=tried, done=done)]

    def _trial(self, position: int | None, candidate: Candidate, outcome: Outcome, began: datetime) -> FrozenTrial:
        trial = create_trial(
            value=outcome.value(self._valued_by),
            params=self._space.params(candidate),
            distributions=self._space.distributions(candidate.schedule.name),
            user_attrs=to_record(candidate, outcome, position).attributes(),
        )
        trial.datetime_start, trial.datetime_complete = began, datetime.now(UTC)
        return trial

    def _suggest(self, trial: optuna.Trial) -> Candidate:
        """Let a queued trial choose; Optuna itself refuses choices that the study did not have when it began."""
        try:
            return self._space.suggest(trial)
        except ValueError:
            memory = optuna.create_study()
            queued = self.database.storage.get_trial(trial._trial_id).system_attrs
            memory.enqueue_trial(queued.get("fixed_params", {}))
            chosen = memory.ask()
            candidate = self._space.suggest(chosen)
            write_params(self.database, trial._trial_id, chosen.params, chosen.distributions)
            return candidate

    def _train_queued(self, count: int) -> None:
        """Train what somebody queued; a trial that is no candidate of this study fails, or it would wait for ever."""
        claimed: list[tuple[optuna.Trial, Candidate]] = []
        try:
            for trial in (self.study.ask() for _ in range(count)):
                try:
                    claimed.append((trial, self._suggest(trial)))
                except (ValueError, BadInput):
                    self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            for place, outcome in self.trainer.train([candidate for _, candidate in claimed], self._run_seeds):
                trial, candidate = claimed[place]
                for key, value in to_record(candidate, outcome).attributes().items():
                    trial.set_user_attr(key, value)
                self.study.tell(trial, outcome.value(self._valued_by))
        finally:
            put_back(self.database, self._study_id)


def missing_positions(positions: pd.Series, trials: int, first: int = 0) -> list[int]:
    """Return the positions still to be trained, from `first` on and in order, until there are `trials` trials.

    Trials of others, which have no position, count as well.
    """
    done = set(positions.dropna())
    free = (place for place in itertools.count(first) if place not in done)
    return list(itertools.islice(free, max(0, trials - len(positions))))


def window(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the best trials, which TPE models as good, and the latest of the others; best first, as `ranked` is."""
    rest = ranked.iloc[BEST_SHOWN:].sort_values(["position", "number"], na_position="first")
    return ranked[ranked.index.isin([*ranked.index[:BEST_SHOWN], *rest.index[-LATEST_SHOWN:]])]


def propose(
    space: SearchSpace,
    shown: Sequence[dict[str, Value]],
    count: int,
    *,
    sampler_seed: int,
    round_number: int,
    tried: Collection[Point] = (),
    done: Mapping[int, Point] | None = None,
) -> list[Candidate]:
    """Return the `count` candidates of a round, given the params of the trials before it, best first.

    What all schedules share is sampled jointly from all trials, a schedule's own parameters jointly from the trials
    with that schedule: as `TPESampler(group=True)` does it, at a third of its cost. Of the schedules with finitely many
    candidates those that were `tried`, and those of the round that are `done`, by their place in it, are not proposed
    again; there are fewer than `count` candidates if no more are left.
    """
    seeds = iter(np.random.SeedSequence((sampler_seed, round_number)).generate_state(1 + len(space.search.schedules)))
    shared = Memory(space.shared, int(next(seeds)), shown)
    own = {
        name: Memory(space.own(name), int(next(seeds)), [params for params in shown if params.get("schedule") == name])
        for name in space.search.schedules
    }
    done = done or {}
    finite = FiniteSpace(space.search)
    untried = Untried(finite, {*tried, *done.values()})
    proposed: list[Candidate] = []
    for place in range(count):
        if place in done:  # a resumed round draws what it drew before
            untried.give_back(done[place])
        if not (left := untried.schedules):
            break
        for attempt in range(REDRAWS + 1):
            params = shared.draw()
            if attempt == REDRAWS:
                params["schedule"] = left[place % len(left)]
            params |= own[str(params["schedule"])].draw()
            if untried.take(finite.point(params)):
                break
        else:
            params = untried.first(str(params["schedule"]))
            untried.take(finite.point(params))
        proposed.append(space.candidate(params))
        if place in done:
            untried.take(done[place])
    return proposed


class Memory:
    """A study in memory over some of the params; each draw keeps away from those before it in the round.

    Attributes:
        study: holds the trials that were shown, in which the best has the value 0.
    """

    def __init__(
        self, distributions: dict[str, BaseDistribution], seed: int, shown: Sequence[dict[str, Value]]
    ) -> None:
        self._distributions = distributions
        # All params jointly; pending trials count as bad ones, so that the draws of a round differ.
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        self.study = optuna.create_study(direction="minimize", sampler=sampler)
        for rank, params in enumerate(shown):
            known = {name: params[name] for name in distributions if name in params}
            with contextlib.suppress(ValueError):  # somebody queued it from outside the space
                self.study.add_trial(create_trial(params=known, distributions=distributions, value=float(rank)))

    def draw(self) -> dict[str, Value]:
        """Return one value for each param."""
        return suggest_all(self.study.ask(), self._distributions) if self._distributions else {}


def to_record(candidate: Candidate, outcome: Outcome, position: int | None = None) -> TrialRecord:
    """Return what a finished trial keeps of its candidate and its runs.

    The schedule is kept whole: a trial's params hold what the search varied, not what was left to a default.
    """
    finite = outcome.log_loss[np.isfinite(outcome.log_loss)]
    curves = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    return TrialRecord(
        schedule=candidate.schedule.document,
        correct=tuple(outcome.correct.tolist()),
        class_correct=tuple(outcome.class_correct.sum(axis=0).tolist()),
        validation_rows=outcome.validation_rows,
        log_losses=_numbers(outcome.log_loss),
        scores={metric: _numbers(by_run) for metric, by_run in outcome.scores.items()},
        run_seeds=outcome.run_seeds,
        training_seconds=round(outcome.seconds, 4),
        curves=TrialCurves(
            rate=tuple(outcome.rate.tolist()), **{name: _numbers(getattr(outcome, name)) for name in curves}
        ),
        log_loss=_numbers([finite.mean()])[0] if len(finite) else None,
        diverged=int(outcome.diverged.sum()),
        position=position,
    )


def _numbers(values: Iterable[float]) -> tuple[float | None, ...]:
    """Keep seven digits, a float32's worth; a value that is not finite becomes None."""
    return tuple(float(f"{value:.7g}") if math.isfinite(value) else None for value in values)
