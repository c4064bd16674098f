"""Laws of a sweep: an exact budget, the same trials whatever interrupts it, and nothing left half done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from sweep.candidate import Candidate
from sweep.config.plan import Plan
from sweep.execution.batches import Outcome
from sweep.search import loop
from sweep.search.loop import Coordinator, SearchProgress, missing_positions
from sweep.search.space import SearchSpace
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.trials import read_record, store
from sweep.task import METRICS, NO_SCORE, MetricName
from tests.fakes import FakeTrainer, make_coordinator, make_plan, opened, outcome_of

PLAN = make_plan()
SPACE = SearchSpace(PLAN.search)
CONSTANT: dict[str, Any] = {"schedule": "constant", "learning_rate": 0.2, "momentum": 0.5}


@dataclass
class ContraryTrainer(FakeTrainer):
    """Gives the candidates that get the most rows right the highest log-loss."""

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        for place, outcome in super().train(candidates, run_seeds):
            yield place, replace(outcome, log_loss=5 - outcome.log_loss)


def swept(database: Database, plan: Plan = PLAN, kind: type[FakeTrainer] = FakeTrainer, **trainer: Any) -> Coordinator:
    coordinator = make_coordinator(database, plan, kind(**trainer))
    coordinator.run()
    return coordinator


def interrupted(
    database: Database,
    plan: Plan,
    after: int,
    diverged: Collection[int] = (),
    kind: type[FakeTrainer] = FakeTrainer,
) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        swept(database, plan, kind, interrupted_after=after, diverged=diverged)


def held(study: optuna.Study) -> dict[int | None, tuple[Any, ...]]:
    """Return what each trial says by its position in the sweep; all of them must be finished."""
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE}
    found = {
        trial.user_attrs["position"]: (trial.params, trial.distributions, trial.values, trial.user_attrs)
        for trial in study.trials
    }
    assert len(found) == len(study.trials)
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[int | None, tuple[Any, ...]]:
    with opened(tmp_path_factory.mktemp("uninterrupted") / "studies.db") as database:
        return held(swept(database).study)


class TestBudget:
    @pytest.mark.parametrize("trials", [1, 8, 9, 21])
    def test_a_study_has_exactly_its_budget(self, database: Database, trials: int) -> None:
        found = held(swept(database, make_plan(trials=trials)).study)
        assert sorted(found) == list(range(trials))  # type: ignore[type-var]  # none of others

    def test_every_candidate_is_trained_once_with_every_run_seed(self, database: Database) -> None:
        trainer = FakeTrainer()
        coordinator = make_coordinator(database, make_plan(replicates=3), trainer)
        coordinator.run()
        assert len(trainer.trained) == 20
        assert {read_record(trial.user_attrs).run_seeds for trial in coordinator.study.trials} == {(0, 1, 2)}

    def test_a_met_budget_trains_nothing(self, database: Database) -> None:
        swept(database)
        assert swept(database, interrupted_after=0).run().finished == 20

    def test_a_larger_budget_continues_the_study(
        self, database: Database, uninterrupted: dict[int, tuple[Any, ...]]
    ) -> None:
        for trials in (3, 11, 12, 20):
            found = held(swept(database, make_plan(trials=trials)).study)
        assert found == uninterrupted

    def test_a_smaller_budget_removes_nothing(self, database: Database) -> None:
        swept(database)
        progress = swept(database, make_plan(trials=5), interrupted_after=0).run()
        assert (progress.finished, progress.trials) == (20, 5)
        assert progress.best == max(trial.value or 0 for trial in swept(database).study.trials)

    def test_progress_is_told_before_the_first_round_and_after_each(self, database: Database) -> None:
        told: list[SearchProgress] = []
        make_coordinator(database, PLAN, on_progress=told.append).run()
        assert [(progress.finished, progress.trials) for progress in told] == [(0, 20), (8, 20), (16, 20), (20, 20)]
        assert told[0].best is None
        bests = [progress.best or 0 for progress in told[1:]]
        assert bests == sorted(bests)

    def test_a_timeout_lets_the_round_under_way_finish(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SimpleNamespace(now=0.0, perf_counter=time.perf_counter)
        clock.monotonic = lambda: clock.now
        monkeypatch.setattr("sweep.search.loop.time", clock)

        def let_a_second_pass() -> None:
            clock.now += 1

        coordinator = make_coordinator(database, PLAN, FakeTrainer(before_each=let_a_second_pass))
        assert coordinator.run(deadline=9).finished == 16
        assert coordinator.run(deadline=clock.now + 9).finished == 20

    def test_seconds_add_up_by_part(self, database: Database) -> None:
        spent = swept(database).seconds
        assert min(spent.sampling, spent.storage) > 0


class TestRepetition:
    def test_recipes_come_first_and_in_order(self, database: Database) -> None:
        trials = swept(database).study.trials[:2]
        assert [SPACE.candidate(trial.params) for trial in trials] == list(PLAN.candidates)

    def test_more_recipes_than_a_round_come_first_all_the_same(self, database: Database) -> None:
        rates = [round(0.1 + 0.05 * number, 2) for number in range(10)]
        plan = make_plan(recipes=[{"schedule": "constant", "learning_rate": rate} for rate in rates], trials=12)
        trials = swept(database, plan).study.trials
        assert [trial.params["learning_rate"] for trial in trials][:10] == rates
        assert len(trials) == 12

    def test_fewer_trials_than_recipes_are_the_first_recipes(self, database: Database) -> None:
        trials = swept(database, make_plan(trials=1)).study.trials
        assert [SPACE.candidate(trial.params) for trial in trials] == [PLAN.candidates[0]]

    def test_the_same_seed_gives_the_same_trials(
        self, database: Database, uninterrupted: dict[int, tuple[Any, ...]]
    ) -> None:
        assert held(swept(database).study) == uninterrupted

    def test_another_seed_gives_others(self, database: Database, uninterrupted: dict[int, tuple[Any, ...]]) -> None:
        other = held(swept(database, make_plan(sampler_seed=1)).study)
        assert [position for position in other if other[position] == uninterrupted[position or 0]] == [0, 1]

    def test_the_value_is_the_mean_accuracy_of_the_candidate(self, database: Database) -> None:
        for trial in swept(database).study.trials:
            assert trial.value == outcome_of(SPACE.candidate(trial.params), (0, 1)).value("accuracy")


class TestInterruption:
    @pytest.mark.parametrize("after", [0, 1, 7, 8, 15, 19])
    def test_a_resumed_study_equals_an_uninterrupted_one(
        self, database: Database, uninterrupted: dict[int, tuple[Any, ...]], after: int
    ) -> None:
        interrupted(database, PLAN, after)
        assert held(swept(database).study) == uninterrupted

    def test_every_outcome_before_the_interruption_is_stored(self, database: Database) -> None:
        for after, stored in ((3, 3), (4, 7), (2, 9), (0, 9)):
            interrupted(database, PLAN, after)
            assert len(make_coordinator(database, PLAN).study.trials) == stored

    def test_it_may_be_interrupted_again_and_again(
        self, database: Database, uninterrupted: dict[int, tuple[Any, ...]]
    ) -> None:
        for _ in range(7):
            interrupted(database, PLAN, after=3)
        assert held(make_coordinator(database, PLAN).study) == uninterrupted

    def test_equal_standings_do_not_make_the_order_of_arrival_count(self, database: Database, tmp_path: Path) -> None:
        plan, everything_diverges = make_plan(trials=32), (0, 1)
        interrupted(database, plan, after=3, diverged=everything_diverges)
        resumed = held(swept(database, plan, diverged=everything_diverges).study)
        with opened(tmp_path / "whole.db") as other:
            assert resumed == held(swept(other, plan, diverged=everything_diverges).study)

    def test_the_order_of_arrival_does_not_decide_which_trials_are_shown(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More trials than are shown: the sampler sees the best and the latest, by position and not by number."""
        monkeypatch.setattr(loop, "BEST_SHOWN", 5)
        monkeypatch.setattr(loop, "LATEST_SHOWN", 12)
        plan = make_plan(trials=40, round_size=32)
        interrupted(database, plan, after=10)
        resumed = held(swept(database, plan).study)
        with opened(tmp_path / "whole.db") as other:
            assert resumed == held(swept(other, plan).study)


class TestLogLoss:
    PLAN = make_plan(metric="log_loss")

    def test_it_decides_what_the_sampler_learns_from(self, database: Database, tmp_path: Path) -> None:
        by_log_loss = held(swept(database, self.PLAN, ContraryTrainer).study)
        with opened(tmp_path / "by_accuracy.db") as other:
            by_accuracy = held(swept(other, PLAN, ContraryTrainer).study)
        same = [position for position in range(20) if by_log_loss[position][0] == by_accuracy[position][0]]
        assert same == list(range(16))  # TPE draws blindly until it is shown ten trials

    def test_a_resumed_study_equals_an_uninterrupted_one(self, database: Database, tmp_path: Path) -> None:
        for after in (1, 12):
            interrupted(database, self.PLAN, after, kind=ContraryTrainer)
        resumed = held(swept(database, self.PLAN, ContraryTrainer).study)
        with opened(tmp_path / "whole.db") as other:
            assert resumed == held(swept(other, self.PLAN, ContraryTrainer).study)

    def test_progress_tells_the_lowest(self, database: Database) -> None:
        coordinator = swept(database, self.PLAN, ContraryTrainer)
        losses = [trial.user_attrs["log_loss"] for trial in coordinator.study.trials]
        assert coordinator.run().best == pytest.approx(min(losses))

    def test_the_value_is_the_mean_log_loss_which_is_minimized(self, database: Database) -> None:
        study = swept(database, self.PLAN).study
        assert study.direction == optuna.study.StudyDirection.MINIMIZE
        assert {trial.value for trial in study.trials} == {
            outcome_of(SPACE.candidate(trial.params), (0, 1)).value("log_loss") for trial in study.trials
        }

    def test_a_study_of_before_goes_on_with_accuracies_that_are_maximized(
        self, database: Database, tmp_path: Path
    ) -> None:
        optuna.create_study(storage=database.storage, study_name="tiny", direction="maximize")
        interrupted(database, self.PLAN, after=12, kind=ContraryTrainer)
        coordinator = swept(database, self.PLAN, ContraryTrainer)
        assert coordinator.study.direction == optuna.study.StudyDirection.MAXIMIZE
        assert {trial.value for trial in coordinator.study.trials} == {
            outcome_of(SPACE.candidate(trial.params), (0, 1)).value("accuracy") for trial in coordinator.study.trials
        }
        losses = [trial.user_attrs["log_loss"] for trial in coordinator.study.trials]
        assert coordinator.run().best == min(losses)
        with opened(tmp_path / "new.db") as other:
            swept(other, self.PLAN, ContraryTrainer)
            rankings = []
            for each in (database, other):
                with StoredStudy(each, "tiny").reading() as stored:
                    rankings.append([best.record.position for best in stored.best_trials(20)])
        assert rankings[0] == rankings[1]


@pytest.mark.parametrize("metric", ["balanced_accuracy", "brier"])
def test_any_metric_ranks_by_values_of_its_own(database: Database, metric: MetricName) -> None:
    study = swept(database, make_plan(metric=metric)).study
    assert study.direction.name.lower() == METRICS[metric].direction
    values = [outcome_of(SPACE.candidate(trial.params), (0, 1)).value(metric) for trial in study.trials]
    assert [trial.value for trial in study.trials] == values
    with StoredStudy(database, "tiny").reading() as stored:
        assert (stored.metric, stored.valued_by) == (metric, metric)
        ranked = [best.value for best in stored.best_trials(20)]
    assert ranked == sorted(values, reverse=METRICS[metric].rises)


@pytest.mark.parametrize("metric", ["auc", "brier"])
def test_a_diverged_run_counts_worst_or_puts_its_trial_behind_the_others(
    database: Database, metric: MetricName
) -> None:
    candidate, coordinator = SPACE.candidate(CONSTANT), make_coordinator(database, make_plan(metric=metric))
    whole, partly, never = (outcome_of(candidate, (0, 1), lost) for lost in ((), (1,), (0, 1)))
    first = whole.scores[metric][0]
    values = {"auc": [first / 2, 0.0], "brier": [first, NO_SCORE]}[metric]
    assert [partly.value(metric), never.value(metric)] == values
    trials = [
        coordinator._trial(place, candidate, each, datetime.now(UTC))
        for place, each in enumerate((never, partly, whole))
    ]
    store(database, database.storage.get_study_id_from_name("tiny"), trials)
    with StoredStudy(database, "tiny").reading() as stored:
        best = stored.best_trials(3)
    assert [each.trial for each in best] == [2, 1, 0]
    assert best[2].record.scores[metric] == (None, None)


class TestOthersTrials:
    def test_what_somebody_queued_is_trained_and_counts(self, database: Database) -> None:
        make_coordinator(database, PLAN).study.enqueue_trial(CONSTANT)
        study = swept(database).study
        assert len(study.trials) == 20
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
        assert study.trials[0].params == CONSTANT
        assert study.trials[0].value == outcome_of(SPACE.candidate(CONSTANT), (0, 1)).value("accuracy")
        assert read_record(study.trials[0].user_attrs).run_seeds == (0, 1)

    def test_what_is_queued_in_a_begun_study_is_trained_at_the_next_start(self, database: Database) -> None:
        interrupted(database, PLAN, after=10)
        study = make_coordinator(database, PLAN).study
        for momentum in (0.1, 0.2):
            study.enqueue_trial(CONSTANT | {"momentum": momentum})
        trials = swept(database).study.trials
        assert [trial.params["momentum"] for trial in trials[10:12]] == [0.1, 0.2]
        positions = [trial.user_attrs["position"] for trial in trials if "position" in trial.user_attrs]
        assert sorted(positions) == list(range(18))

    def test_no_more_are_trained_than_the_budget_allows(self, database: Database) -> None:
        plan = make_plan(trials=3)
        study = make_coordinator(database, plan).study
        for momentum in (0.1, 0.2, 0.3, 0.4, 0.5):
            study.enqueue_trial(CONSTANT | {"momentum": momentum})
        assert swept(database, plan).run().finished == 3
        assert sorted(trial.state for trial in study.trials) == [TrialState.COMPLETE] * 3 + [TrialState.WAITING] * 2

    def test_what_is_queued_by_half_is_completed_by_the_sampler(self, database: Database) -> None:
        make_coordinator(database, PLAN).study.enqueue_trial({"schedule": "step", "step.drop": 0.25})
        first = swept(database).study.trials[0]
        assert first.params["step.drop"] == 0.25
        assert first.distributions == SPACE.distributions("step")

    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_an_interruption_leaves_none_of_them_running(self, database: Database, after: int) -> None:
        study = make_coordinator(database, PLAN).study
        for momentum in (0.1, 0.2, 0.3):
            study.enqueue_trial(CONSTANT | {"momentum": momentum})
        interrupted(database, PLAN, after)
        assert sorted(trial.state for trial in study.trials) == sorted(
            [TrialState.COMPLETE] * after + [TrialState.WAITING] * (3 - after)
        )
        assert swept(database).run().finished == 20
        assert {trial.params["momentum"] for trial in study.trials[:3]} == {0.1, 0.2, 0.3}

    def test_what_a_dead_process_left_running_is_finished(self, database: Database) -> None:
        study = make_coordinator(database, PLAN).study
        drawn = SPACE.suggest(study.ask())
        study.ask()
        trials = swept(database).study.trials
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        assert len(trials) == 20
        assert SPACE.candidate(trials[0].params) == drawn

    def test_what_optuna_alone_finished_counts(self, database: Database) -> None:
        study = make_coordinator(database, PLAN).study
        study.add_trial(
            optuna.trial.create_trial(params=CONSTANT, distributions=SPACE.distributions("constant"), value=0.5)
        )
        assert swept(database).run().finished == 20

    @pytest.mark.filterwarnings("ignore:Fixed parameter:UserWarning")
    @pytest.mark.parametrize(
        "queued",
        [{"schedule": "nonsense"}, CONSTANT | {"momentum": 1.5}, CONSTANT | {"learning_rate": 5.0}],
        ids=["schedule", "impossible", "outside"],
    )
    def test_what_cannot_be_trained_is_not_in_the_way(self, database: Database, queued: dict[str, Any]) -> None:
        make_coordinator(database, PLAN).study.enqueue_trial(queued)
        assert swept(database).run().finished == 20

    def test_a_trial_that_is_none_of_ours_is_not_in_the_way(self, database: Database) -> None:
        study = make_coordinator(database, PLAN).study
        space: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
        study.add_trial(optuna.trial.create_trial(params={"x": 0.5}, distributions=space, value=0.5))
        assert swept(database).run().finished == 20


positions = st.sets(st.integers(0, 30), max_size=31)


def stored(done: set[int], others: int) -> pd.Series:
    return pd.Series([*done, *[None] * others], dtype=float)


class TestMissingPositions:
    @given(done=positions, others=st.integers(0, 10), trials=st.integers(1, 30))
    def test_what_is_missing_fills_the_budget_and_no_more(self, done: set[int], others: int, trials: int) -> None:
        missing = missing_positions(stored(done, others), trials)
        free = len(set(range(trials)) - done)
        assert len(missing) == min(free, max(0, trials - len(done) - others))

    @given(done=positions, others=st.integers(0, 10), trials=st.integers(1, 30))
    def test_it_is_the_first_positions_that_are_not_done(self, done: set[int], others: int, trials: int) -> None:
        missing = missing_positions(stored(done, others), trials)
        assert missing == sorted(set(range(trials)) - done)[: len(missing)]

    @given(done=st.sets(st.integers(0, 14)), trials=st.integers(15, 30))
    def test_an_unfinished_study_lacks_something(self, done: set[int], trials: int) -> None:
        if len(done) < trials:
            assert missing_positions(stored(done, 0), trials)
