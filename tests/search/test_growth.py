"""Laws of a study that grows: old trials stay, what is comparable ranks, and a resumed run equals a whole one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sweep.config.plan import Plan
from sweep.config.verdict_plan import VerdictPlan
from sweep.errors import BadInput, NotYet
from sweep.search.loop import Coordinator, SearchProgress
from sweep.store.database import Database
from sweep.store.growth import tell_growth
from sweep.store.queries import StoredStudy
from sweep.verdict.baselines import tuning_plans
from sweep.verdict.basis import Basis
from sweep.verdict.finalists import finalists
from sweep.verdict.progress import work_left
from sweep.verdict.results import read_best, read_trial, read_trials
from tests.fakes import FakeTrainer, make_coordinator, make_plan, opened
from tests.protocols import few

NARROW: dict[str, Any] = {"learning_rate": {"low": 0.1, "high": 1.0, "log": True}, "schedules": {"constant": {}}}
STEP = {"drop": {"low": 0.2, "high": 0.8}, "epochs_drop": {"low": 1, "high": 4}}


def plan_of(trials: int, **search: Any) -> Plan:
    return make_plan(**{"recipes": (), "trials": trials, **search})


def searched(database: Database, plan: Plan, **trainer: Any) -> Coordinator:
    coordinator = make_coordinator(database, plan, FakeTrainer(**trainer))
    with contextlib.suppress(KeyboardInterrupt):
        coordinator.run()
    return coordinator


def held(coordinator: Coordinator) -> list[tuple[Any, ...]]:
    """Return what each trial says, in the order of positions."""
    trials = sorted(coordinator.study.trials, key=lambda trial: trial.user_attrs["position"])
    return [(trial.params, trial.values, trial.user_attrs["record"]["run_seeds"]) for trial in trials]


def read(database: Database, plan: Plan) -> tuple[frozenset[int], list[str], list[int]]:
    """Return the numbers of the trials that are set aside, what is told, and the numbers that rank, best first."""
    with StoredStudy(database, plan.name).reading() as study:
        return study.set_aside, tell_growth(study, plan), study.standings()["number"].tolist()


class TestWiderSpaces:
    @pytest.mark.parametrize(
        "wider",
        [
            NARROW | {"learning_rate": {"low": 0.01, "high": 2.0, "log": True}},
            NARROW | {"schedules": {"step": STEP, "constant": {}}},
            NARROW | {"momentum": {"low": 0.0, "high": 0.99}},
            NARROW | {"schedules": {"constant": {"warmup": {"low": 0.0, "high": 0.3}}}},
        ],
        ids=["range", "schedule", "momentum", "parameter"],
    )
    def test_every_old_trial_stays_and_ranks(self, database: Database, wider: dict[str, Any]) -> None:
        before = held(searched(database, plan_of(12, **NARROW)))
        after = searched(database, plan := plan_of(20, **wider))
        assert held(after)[:12] == before
        assert len(held(after)) == 20
        assert read(database, plan) == (frozenset(), [], read(database, plan)[2])
        assert len(read(database, plan)[2]) == 20

    def test_further_schedules_are_tried(self, database: Database) -> None:
        searched(database, plan_of(12, **NARROW))
        after = searched(database, plan_of(28, **NARROW | {"schedules": {"constant": {}, "step": STEP}}))
        assert {params["schedule"] for params, *_ in held(after)[12:]} == {"constant", "step"}

    def test_tuned_baselines_grow_alongside(self, database: Database) -> None:
        wide = NARROW | {"learning_rate": {"low": 0.01, "high": 1.0, "log": True}}
        for plan in tuning_plans(plan_of(12, **NARROW)).values():
            searched(database, plan)
        for plan in tuning_plans(plan_of(24, **wide)).values():
            assert len(held(searched(database, plan))) == plan.search.trials

    def test_a_finite_space_goes_on_with_what_is_new(self, database: Database) -> None:
        finite = {"learning_rate": [0.1, 0.2], "momentum": [0.0, 0.5], "schedules": {"constant": {}}}
        assert len(held(searched(database, plan_of(50, **finite)))) == 4
        wider = plan_of(50, **finite | {"learning_rate": [0.1, 0.2, 0.3]})
        assert work_left(database, wider, search_only=True)
        found = held(searched(database, wider))
        assert len(found) == len({tuple(sorted(params.items())) for params, *_ in found}) == 6


class TestNarrowerSpaces:
    NARROWER = NARROW | {"learning_rate": {"low": 0.3, "high": 0.6, "log": True}}

    def test_what_lies_outside_is_kept_set_aside_and_told(self, database: Database) -> None:
        before = held(searched(database, plan_of(16, **NARROW)))
        outside = {number for number, (params, *_) in enumerate(before) if not 0.3 <= params["learning_rate"] <= 0.6}
        after = searched(database, plan := plan_of(24, **self.NARROWER))
        assert held(after)[:16] == before
        aside, told, ranked = read(database, plan)
        assert aside == outside
        stored = StoredStudy(database, plan.name)
        listed = {trial.trial for trial in read_trials(stored).trials if trial.set_aside}
        assert listed == aside == {number for number in range(20) if read_trial(stored, number).set_aside}
        best = read_best(stored, 3)
        assert (best.trials, best.set_aside) == (len(ranked), len(aside))
        where = f"{len(outside)} trials lie outside the search space of now"
        assert told == [f"{where}; kept, and counted in the budget, but not ranked."]
        assert sorted(ranked) == [number for number in range(24) if number not in outside]
        assert read_best(StoredStudy(database, "tiny"), 100).trials == len(ranked)
        assert not outside & {each.trial for each in finalists(database, few(plan, finalists=24))}

    def test_they_rank_again_once_the_space_holds_them(self, database: Database) -> None:
        searched(database, plan_of(16, **NARROW))
        searched(database, plan_of(17, **self.NARROWER))
        searched(database, wide := plan_of(18, **NARROW))
        aside, told, ranked = read(database, wide)
        assert (aside, told, len(ranked)) == (frozenset(), [], 18)

    def test_a_removed_schedule_and_another_fixed_value_are_set_aside(self, database: Database) -> None:
        both = NARROW | {"schedules": {"constant": {}, "step": STEP}}
        before = held(searched(database, plan_of(16, **both)))
        searched(database, one := plan_of(17, **NARROW))
        assert read(database, one)[0] == {
            number for number, (params, *_) in enumerate(before) if params["schedule"] == "step"
        }
        searched(database, warm := plan_of(18, **NARROW | {"schedules": {"constant": {"warmup": 0.1}}}))
        assert len(read(database, warm)[0]) == 17

    def test_a_study_that_is_all_aside_has_nothing_to_show_yet(self, database: Database) -> None:
        searched(database, plan_of(8, **NARROW))
        far = plan_of(8, **NARROW | {"learning_rate": {"low": 0.001, "high": 0.002}})
        searched(database, far)
        with pytest.raises(NotYet, match="has no finished trial in its search space yet"):
            read_best(StoredStudy(database, "tiny"), 1)
        searched(database, far.model_copy(update={"search": far.search.model_copy(update={"trials": 12})}))
        assert read_best(StoredStudy(database, "tiny"), 1).trials == 4

    def test_a_verdict_that_rests_on_them_is_out_of_date(self, database: Database) -> None:
        searched(database, wide := plan_of(16, **NARROW))
        before = Basis.now(database, wide)
        narrow = plan_of(16, **self.NARROWER)
        assert work_left(database, narrow, search_only=True)
        searched(database, narrow)
        assert Basis.now(database, narrow) != before
        assert not work_left(database, narrow, search_only=True)


def runs_of(coordinator: Coordinator) -> list[int]:
    return [len(seeds) for *_, seeds in held(coordinator)]


class TestRunSeeds:
    def test_more_train_the_best_again_and_that_is_told(self, database: Database) -> None:
        searched(database, plan_of(10, **NARROW))
        again = searched(database, plan := few(plan_of(10, **NARROW, replicates=5), finalists=3))
        _, told, ranked = read(database, plan)
        assert [runs_of(again)[number] for number in ranked[:3]] == [5, 5, 5]
        assert 3 <= runs_of(again).count(5) < 10
        have = f"{runs_of(again).count(2)} trials have fewer run seeds than 5"
        assert told == [f"{have}; the best are trained again with all of them, the others rank by their own mean."]

    def test_a_trial_that_is_trained_again_is_what_it_would_have_been(self, database: Database, tmp_path: Path) -> None:
        searched(database, plan_of(10, **NARROW))
        again = searched(database, few(plan_of(10, **NARROW, replicates=5), finalists=10)).study
        with opened(tmp_path / "whole.db") as other:
            whole = searched(other, plan_of(10, **NARROW, replicates=5)).study
            for one, two in zip(again.trials[:8], whole.trials[:8], strict=True):  # the first round
                assert (one.params, one.values, one.user_attrs.keys()) == (
                    two.params,
                    two.values,
                    two.user_attrs.keys(),
                )
                assert one.user_attrs["record"] == two.user_attrs["record"]
                assert one.user_attrs["log_loss"] == two.user_attrs["log_loss"]

    def test_new_candidates_have_all_of_them(self, database: Database) -> None:
        searched(database, plan_of(10, **NARROW))
        assert runs_of(searched(database, plan_of(16, **NARROW, replicates=5)))[10:] == [5] * 6

    def test_a_verdict_of_before_is_out_of_date(self, database: Database) -> None:
        searched(database, plan_of(10, **NARROW))
        more = plan_of(10, **NARROW, replicates=5)
        before = Basis.now(database, more)
        assert work_left(database, more, search_only=True)
        searched(database, more)
        assert Basis.now(database, more) != before
        assert not work_left(database, more, search_only=True)

    def test_fewer_are_those_that_the_old_trials_have_as_well(self, database: Database) -> None:
        before = held(searched(database, plan_of(10, **NARROW, replicates=5)))
        after = searched(database, plan := plan_of(16, **NARROW))
        assert held(after)[:10] == before
        assert read(database, plan)[:2] == (frozenset(), [])

    def test_a_finite_space_is_not_searched_again(self, database: Database) -> None:
        finite = {"learning_rate": [0.1, 0.2], "momentum": [0.0, 0.5], "schedules": {"constant": {}}}
        searched(database, plan_of(50, **finite))
        assert runs_of(searched(database, more := plan_of(50, **finite, replicates=4))) == [4] * 4
        assert read(database, more)[1] == []

    def test_progress_does_not_count_what_is_trained_again_as_done(self, database: Database) -> None:
        searched(database, plan_of(10, **NARROW))
        told, more = list[SearchProgress](), few(plan_of(10, **NARROW, replicates=5), finalists=10)
        make_coordinator(database, more, on_progress=told.append).run()
        assert [(progress.finished, progress.lacking) for progress in told] == [(10, 10), (10, 0)]

    @pytest.mark.parametrize("after", [0, 1, 4])
    def test_an_interruption_changes_nothing(self, database: Database, tmp_path: Path, after: int) -> None:
        more = few(plan_of(20, **NARROW, replicates=5), finalists=4)
        searched(database, plan_of(12, **NARROW))
        searched(database, more, interrupted_after=after)
        resumed = held(searched(database, more))
        with opened(tmp_path / "whole.db") as other:
            searched(other, plan_of(12, **NARROW))
            assert resumed == held(searched(other, more))


class TestWhatComesNext:
    CHANGES: tuple[dict[str, Any], ...] = (
        {"round_size": 5},
        {"sampler_seed": 9},
        {"replicates": 3},
        {"learning_rate": {"low": 0.2, "high": 0.9, "log": True}},
        {"schedules": {"constant": {}, "step": STEP}},
    )

    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
    @pytest.mark.parametrize("began", [8, 11])
    def test_a_resumed_run_equals_an_uninterrupted_one(
        self, database: Database, tmp_path: Path, change: dict[str, Any], began: int
    ) -> None:
        grown = plan_of(30, **NARROW | change)
        searched(database, plan_of(30, **NARROW), interrupted_after=began)
        for after in (3, 0, 7):
            searched(database, grown, interrupted_after=after)
        resumed = held(searched(database, grown))
        with opened(tmp_path / "whole.db") as other:
            searched(other, plan_of(30, **NARROW), interrupted_after=began)
            assert resumed == held(searched(other, grown))
        assert len(resumed) == 30

    def test_rounds_are_never_drawn_twice(self, database: Database) -> None:
        for trials, seeds in ((8, 1), (16, 2), (24, 1), (32, 2)):
            found = held(searched(database, plan_of(trials, **NARROW, replicates=seeds)))
        assert len({params["learning_rate"] for params, *_ in found}) == 32

    def test_a_budget_alone_begins_no_era(self, database: Database) -> None:
        searched(database, plan_of(8, **NARROW))
        assert "growth" not in searched(database, plan_of(20, **NARROW)).study.user_attrs

    def test_new_recipes_come_first(self, database: Database) -> None:
        old, new = ({"schedule": "constant", "learning_rate": rate} for rate in (0.25, 0.75))
        searched(database, plan_of(10, **NARROW, recipes=[old]))
        found = held(searched(database, plan_of(20, **NARROW, recipes=[new, old])))
        rates = [params["learning_rate"] for params, *_ in found]
        assert (rates[0], rates[10]) == (0.25, 0.75)
        assert rates.count(0.25) == 1

    def test_what_somebody_queues_is_trained_whatever_choices_have_come(self, database: Database) -> None:
        searched(database, plan_of(8, **NARROW))
        grown = plan_of(20, **NARROW | {"schedules": {"constant": {}, "step": STEP}})
        study = make_coordinator(database, grown).study
        queued = {"schedule": "step", "learning_rate": 0.5, "momentum": 0.5, "step.drop": 0.5, "step.epochs_drop": 2}
        study.enqueue_trial(queued)
        make_coordinator(database, grown).run()
        assert [trial.params for trial in study.trials if "position" not in trial.user_attrs] == [queued]
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}

    def test_optuna_reads_it(self, database: Database) -> None:
        searched(database, plan_of(8, **NARROW))
        searched(database, plan_of(20, **NARROW | {"schedules": {"constant": {}, "step": STEP}}))
        study = optuna.load_study(storage=database.storage, study_name="tiny")
        assert study.best_trial.value == max(trial.value or 0 for trial in study.trials)
        assert len(study.trials_dataframe()) == 20


class TestRefused:
    @pytest.mark.parametrize(
        ("field", "change"),
        [("search.nesterov", {"nesterov": True}), ("search.metric", {"metric": "log_loss"})],
    )
    def test_what_decides_a_training_or_its_value_may_not_grow(
        self, database: Database, field: str, change: dict[str, Any]
    ) -> None:
        searched(database, plan_of(8, **NARROW))
        with pytest.raises(BadInput, match=f"^{field}: the stored study `tiny` has .*; give the study another name"):
            make_coordinator(database, plan_of(8, **NARROW | change))

    def test_a_changed_verdict_is_no_growth(self, database: Database) -> None:
        plan = plan_of(8, **NARROW)
        searched(database, plan)
        study = searched(database, plan.model_copy(update={"verdict": VerdictPlan(splits=9)})).study
        assert not {"growth", "set_aside"} & study.user_attrs.keys()
