"""Laws of the questions to a study, whoever filled it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import optuna
import pandas as pd
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.distributions import distribution_to_json as as_json
from optuna.trial import FrozenTrial

from sweep.errors import NotFound, NotYet
from sweep.search.space import SearchSpace
from sweep.space import Value
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.optuna_schema import external
from sweep.store.queries import AnyTrial, Best, StoredStudy, Tried
from sweep.store.study import open_study
from sweep.store.trials import TrialCurves, TrialRecord, store
from sweep.task import METRICS, MetricName
from tests.fakes import DATA_SHA256, make_plan

PLAN = make_plan(recipes=())
SPACE = SearchSpace(PLAN.search)
CURVES = TrialCurves(rate=(0.1,), loss=(0.5,), accuracy=(0.5,), validation_loss=(None,), validation_accuracy=(0.5,))


def trial(value: float, log_loss: float | None, schedule: str = "constant", **parts: Any) -> FrozenTrial:
    own: dict[str, Value] = {"step.drop": 0.5, "step.epochs_drop": 2} if schedule == "step" else {}
    record = TrialRecord(log_loss=log_loss, run_seeds=(0, 1), correct=(1, 2), curves=CURVES, **{"position": 0, **parts})
    made = optuna.trial.create_trial(
        params={"schedule": schedule, "learning_rate": 0.1, "momentum": 0.5, **own},
        distributions=SPACE.distributions(schedule),
        value=value,
        user_attrs=record.attributes(),
    )
    made.datetime_start = datetime.now(UTC) - timedelta(seconds=10)
    return made


def rank_key(metric: MetricName) -> Callable[[Mapping[Hashable, Any]], tuple[float, ...]]:
    """Say in Python what SQL ranks finished trials by; among equals the first proposed, and others' before."""

    def key(row: Mapping[Hashable, Any]) -> tuple[float, ...]:
        loss, place = (
            missing if row[name] is None or math.isnan(row[name]) else row[name]
            for name, missing in (("log_loss", math.inf), ("position", -1))
        )
        known = METRICS[metric]
        behind = bool(row["diverged"]) and known.worst is None
        return behind, -row["value"] if known.rises else row["value"], loss, place, row["number"]

    return key


def filled(
    database: Database, trials: Iterable[FrozenTrial] = (), name: str = "tiny", metric: MetricName = "accuracy"
) -> optuna.Study:
    study = open_study(database, make_plan(name, recipes=(), metric=metric), DATA_SHA256)
    store(database, database.storage.get_study_id_from_name(name), list(trials))
    return study


def best(database: Database, top: int, name: str = "tiny") -> list[Best]:
    with StoredStudy(database, name).reading() as found:
        return found.best_trials(top)


def best_of_each_schedule(database: Database, name: str = "tiny") -> list[Tried]:
    with StoredStudy(database, name).reading() as found:
        return found.best_of_each_schedule()


def status(database: Database, name: str = "tiny") -> queries.Status:
    with StoredStudy(database, name).reading() as found:
        return found.status()


def plainly_optimized(database: Database, objective: Any, trials: int) -> optuna.Study:
    """Fill a study with Optuna alone."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=database.storage, study_name="plain", direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return study


class TestFindStudy:
    def test_a_study_is_found_with_what_it_keeps(self, database: Database) -> None:
        filled(database)
        with StoredStudy(database, "tiny").reading() as study:
            pass
        assert (study.name, study.plan) == ("tiny", PLAN)
        assert study.baseline is not None
        assert (study.baseline.accuracy, study.baseline.source) == (0.9569, "the tutorial")

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("tinny", "there is no study `tinny` in the database, did you mean `tiny`?"), ("x", "database$")],
        ids=["near", "far"],
    )
    def test_an_unknown_study_names_the_nearest(self, database: Database, name: str, reason: str) -> None:
        filled(database)
        with database.reading() as connection, pytest.raises(NotFound, match=reason.replace("?", r"\?")) as raised:
            queries.find_study(connection, name)
        assert raised.value.field == "study"

    def test_a_study_that_optuna_made_has_no_plan(self, database: Database) -> None:
        plainly_optimized(database, lambda _trial: 0.0, 0)
        with StoredStudy(database, "plain").reading() as study:
            pass
        assert (study.plan, study.metric, study.baseline, study.attributes) == (None, "accuracy", None, {})


def every_trial(database: Database, name: str) -> pd.DataFrame:
    with StoredStudy(database, name).reading() as found:
        return found.every_trial()


class TestEveryTrial:
    def test_all_come_best_first_with_what_all_schedules_share(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3), trial(0.95, 0.2, "step"), trial(0.5, None)])
        frame = every_trial(database, "tiny")
        assert frame["number"].tolist() == [1, 0, 2]
        assert frame["schedule"].tolist() == ["step", "constant", "constant"]
        assert frame["learning_rate"].tolist() == [0.1] * 3
        assert frame["momentum"].tolist() == [0.5] * 3

    def test_what_a_trial_of_others_does_not_have_is_missing(self, database: Database) -> None:
        plainly_optimized(database, lambda asked: asked.suggest_int("learning_rate", 1, 3), 4)
        frame = every_trial(database, "plain")
        assert frame["learning_rate"].tolist() == frame["value"].tolist()
        assert frame[["schedule", "momentum"]].isna().all(axis=None)

    def test_a_study_without_trials_has_none(self, database: Database) -> None:
        filled(database)
        assert every_trial(database, "tiny").empty


class TestRanking:
    def test_the_better_value_comes_first_and_the_log_loss_decides_between_equals(self, database: Database) -> None:
        stands = [(0.9, 0.3), (0.95, 9e1), (0.9, 0.25), (0.9, None), (0.2, 0.1), (0.9, 1.5e-5)]
        filled(database, [trial(*stand) for stand in stands])
        assert [found.trial for found in best(database, 6)] == [1, 5, 2, 0, 3, 4]

    def test_between_equals_in_both_the_earlier_comes_first(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3)] * 3)
        assert [found.trial for found in best(database, 3)] == [0, 1, 2]

    def test_no_more_than_asked_for_are_returned(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3)] * 3)
        assert [len(best(database, top)) for top in (1, 2, 3, 4)] == [1, 2, 3, 3]

    def test_a_trial_comes_with_its_params_and_attributes(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3, "step", position=7)])
        (found,) = best(database, 1)
        assert found == Best(
            trial=0,
            value=0.9,
            params={
                "schedule": "step",
                "learning_rate": 0.1,
                "momentum": 0.5,
                "step.drop": 0.5,
                "step.epochs_drop": 2,
            },
            record=TrialRecord(log_loss=0.3, run_seeds=(0, 1), correct=(1, 2), curves=CURVES, position=7),
        )
        assert found.correct == {0: 1, 1: 2}
        assert list(found.params) == list(SPACE.distributions("step"))

    def test_the_best_of_each_schedule_come_best_first(self, database: Database) -> None:
        stands = [("step", 0.8, 0.1), ("constant", 0.9, 0.3), ("step", 0.8, 0.05), ("constant", 0.85, 0.1)]
        filled(database, [trial(value, log_loss, schedule) for schedule, value, log_loss in stands])
        found = best_of_each_schedule(database)
        assert [(tried.best.trial, tried.count) for tried in found] == [(1, 2), (2, 2)]

    def test_of_before_by_log_loss_the_lower_comes_first_and_the_accuracy_decides_between_equals(
        self, database: Database
    ) -> None:
        stands = [(0.9, 0.3), (0.95, 9e1), (0.99, None), (0.95, 0.3), (0.2, 1.5e-5), (0.9, 0.3)]
        optuna.create_study(storage=database.storage, study_name="tiny", direction="maximize")
        filled(database, [trial(*stand) for stand in stands], metric="log_loss")
        assert [found.trial for found in best(database, 6)] == [4, 3, 0, 5, 1, 2]

    def test_by_log_loss_a_diverged_run_comes_behind_all_that_have_none(self, database: Database) -> None:
        stands = [(0.9, 0.01, 1), (0.2, 5.0, 0), (0.95, 0.5, 9)]
        told = [trial(value, log_loss, diverged=runs) for value, log_loss, runs in stands]
        optuna.create_study(storage=database.storage, study_name="tiny", direction="maximize")
        filled(database, told, metric="log_loss")
        assert [found.trial for found in best(database, 3)] == [1, 2, 0]
        for metric in ("log_loss", "rmse"):
            filled(database, [trial(log_loss, None, diverged=runs) for _, log_loss, runs in stands], metric, metric)
            assert [found.trial for found in best(database, 3, metric)] == [1, 0, 2]

    def test_the_best_of_each_schedule_are_those_by_the_metric(self, database: Database) -> None:
        stands = [("step", 0.1), ("constant", 0.3), ("step", 0.05), ("constant", 0.2)]
        filled(database, [trial(loss, loss, schedule) for schedule, loss in stands], metric="log_loss")
        found = best_of_each_schedule(database)
        assert [(tried.best.trial, tried.count) for tried in found] == [(2, 2), (3, 2)]

    def test_sql_and_python_rank_random_trials_alike(self, database: Database) -> None:
        draw = random.Random(0)
        trials = [
            trial(
                draw.choice([0.5, 0.9, 0.95]),
                draw.choice([None, 0.1, 0.2, 1.5e-5, draw.random()]),
                draw.choice(["constant", "step"]),
                diverged=draw.choice([0, 0, 1, 2]),
            )
            for _ in range(500)
        ]
        for metric in get_args(MetricName):
            filled(database, trials, metric, metric)
            with StoredStudy(database, metric).reading() as study:
                in_sql = study.standings().to_dict("records")
            assert in_sql == sorted(in_sql, key=rank_key(metric))

    def test_a_log_loss_of_others_that_is_not_finite_is_none(self, database: Database) -> None:
        study = filled(database, [trial(0.9, 0.3)])
        for strange in (math.nan, math.inf, -math.inf):
            study.add_trial(optuna.trial.create_trial(value=0.9, user_attrs={"log_loss": strange}))
        assert [found.trial for found in best(database, 4)] == [0, 1, 2, 3]
        with StoredStudy(database, study.study_name).reading() as found_study:
            losses = found_study.standings()["log_loss"]
        assert losses.fillna(-1).tolist() == [0.3, -1, -1, -1]

    def test_other_studies_and_other_states_do_not_count(self, database: Database) -> None:
        filled(database, [trial(0.99, 0.1)], name="other")
        study = filled(database, [trial(0.5, 0.3)])
        study.ask()
        study.enqueue_trial({"momentum": 0.5})
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
        assert [found.value for found in best(database, 5)] == [0.5]
        assert StoredStudy(database, "tiny").count_finished() == 1

    def test_a_study_without_a_finished_trial_has_none_yet(self, database: Database) -> None:
        filled(database).ask()
        with (
            StoredStudy(database, "tiny").reading() as study,
            pytest.raises(NotYet, match="the study `tiny` has no finished trial yet"),
        ):
            study.some_finished()

    def test_a_brief_record_lacks_the_curves_alone(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3, position=7)])
        with StoredStudy(database, "tiny").reading() as study:
            (brief,) = study.best_trials(1, brief=True)
        (whole,) = best(database, 1)
        assert brief.record == whole.record.model_copy(update={"curves": None})


class TestFinished:
    def test_between_equals_the_first_proposed_comes_first_and_others_before(self, database: Database) -> None:
        study = filled(database, [trial(0.9, 0.3, position=3), trial(0.9, 0.3, position=1)])
        study.add_trial(optuna.trial.create_trial(value=0.9, user_attrs={"log_loss": 0.3}))
        assert [found.trial for found in best(database, 3)] == [2, 1, 0]

    def test_a_trial_of_others_has_no_position(self, database: Database) -> None:
        study = plainly_optimized(database, lambda trial: trial.suggest_float("x", 0, 1), 1)
        with StoredStudy(database, study.study_name).reading() as found_study:
            assert found_study.standings()[["position", "log_loss"]].isna().all(axis=None)

    def test_a_missing_database_and_an_unknown_study_have_none(
        self, database: Database, new_database: Database
    ) -> None:
        assert StoredStudy(new_database, "tiny").count_finished() == 0
        assert StoredStudy(database, "tiny").count_finished() == 0


class TestStatus:
    def test_trials_are_counted_by_state(self, database: Database) -> None:
        study = filled(database, [trial(0.9, 0.3)] * 3)
        study.ask()
        study.enqueue_trial({"momentum": 0.5})
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
        assert status(database).counts == {"complete": 3, "running": 1, "waiting": 1, "fail": 1}

    def test_the_pace_is_that_of_the_latest_trials(self, database: Database) -> None:
        study = filled(database, [trial(0.9, 0.3)] * 30)
        found = status(database)
        seconds = [trial.duration.total_seconds() for trial in study.trials if trial.duration is not None]
        assert found.rate == pytest.approx(30 / max(seconds), rel=0.1)
        assert found.idle_seconds == pytest.approx(0, abs=20)

    def test_a_study_without_trials_has_no_pace(self, database: Database) -> None:
        filled(database)
        found = status(database)
        assert (found.counts, found.rate, found.idle_seconds) == ({}, None, None)


def numbers_after(database: Database, after: int | None, limit: int) -> list[int]:
    with StoredStudy(database, "tiny").reading() as study:
        found = study.trials_after(after, limit)
    return [trial.number for trial in found]


def found_trial(database: Database, number: int, name: str = "tiny") -> tuple[AnyTrial | None, Best | None]:
    """Return a trial as it is stored, and if it has finished."""
    with StoredStudy(database, name).reading() as study:
        return study.find_trial(number), study.finished_trial(number)


class TestTrialsByNumber:
    def test_pages_join_to_the_whole_list(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3)] * 3, name="other")
        filled(database, [trial(0.9 - place / 100, 0.3) for place in range(10)])
        assert numbers_after(database, None, 100) == list(range(10))
        assert numbers_after(database, None, 4) == [0, 1, 2, 3]
        assert numbers_after(database, 3, 4) == [4, 5, 6, 7]
        assert numbers_after(database, 7, 4) == [8, 9]

    @pytest.mark.parametrize("number", [10**6, 2**31, 10**30])
    def test_a_number_beyond_the_last_has_none_after_it(self, database: Database, number: int) -> None:
        filled(database, [trial(0.9, 0.3)])
        assert numbers_after(database, number, 10) == []
        assert numbers_after(database, -number, 10) == [0]

    @pytest.mark.parametrize("number", [-1, 1, 2**31, 10**30])
    def test_a_number_that_no_trial_has_finds_none(self, database: Database, number: int) -> None:
        filled(database, [trial(0.9, 0.3)])
        assert found_trial(database, number) == (None, None)

    def test_every_state_is_there_and_a_value_where_it_is_finite(self, database: Database) -> None:
        study = filled(database, [trial(0.9, 0.3)])
        study.add_trial(optuna.trial.create_trial(value=math.inf))
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
        study.enqueue_trial({"momentum": 0.5})
        with StoredStudy(database, "tiny").reading() as reader:
            found = reader.trials_after(None, 9)
        assert [(one.state, one.value) for one in found] == [
            ("complete", 0.9),
            ("complete", None),
            ("fail", None),
            ("waiting", None),
        ]
        assert found_trial(database, 1)[1] is found_trial(database, 2)[1] is None

    def test_times_are_in_utc(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3)])
        stored, _ = found_trial(database, 0)
        assert stored is not None
        assert stored.began is not None
        assert stored.ended is not None
        assert (stored.ended - stored.began).total_seconds() == pytest.approx(10, abs=5)
        assert abs((datetime.now(UTC) - stored.ended).total_seconds()) < 60

    def test_one_trial_comes_with_all_that_it_keeps(self, database: Database) -> None:
        filled(database, [trial(0.9, 0.3, "step", position=7), trial(0.8, 0.2)])
        stored, finished = found_trial(database, 0)
        assert finished == best(database, 1)[0]
        assert stored is not None
        assert (stored.params, stored.record) == (finished.params, finished.record)


class TestOptunaAlone:
    def test_every_question_has_an_answer(self, database: Database) -> None:
        study = plainly_optimized(
            database, lambda trial: trial.suggest_float("x", 0, 1) * trial.suggest_categorical("y", [1, 2]), 6
        )
        ranked = sorted(study.trials, key=lambda trial: -(trial.value or 0))
        found = best(database, 3, "plain")
        assert [one.trial for one in found] == [trial.number for trial in ranked[:3]]
        assert [one.params for one in found] == [trial.params for trial in ranked[:3]]
        assert best_of_each_schedule(database, "plain") == []
        assert status(database, "plain").counts == {"complete": 6}

    def test_a_best_of_each_schedule_needs_no_more_than_the_param(self, database: Database) -> None:
        plainly_optimized(database, lambda trial: len(trial.suggest_categorical("schedule", ["step", "time"])), 8)
        assert {tried.best.schedule for tried in best_of_each_schedule(database, "plain")} == {"step", "time"}

    def test_failed_trials_and_infinite_values_are_no_obstacle(self, database: Database) -> None:
        values = iter([0.5, math.nan, math.inf, -math.inf, 0.25])
        study = plainly_optimized(database, lambda _trial: next(values), 5)
        assert [found.value for found in best(database, 5, "plain")] == [0.5, 0.25]
        with StoredStudy(database, study.study_name).reading() as found_study:
            assert found_study.standings()["value"].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (CategoricalDistribution(("a", "b")), "b"),
        (CategoricalDistribution((True, False)), False),
        (CategoricalDistribution((0.5, 0.9)), 0.9),
        (IntDistribution(1, 40), 7),
        (IntDistribution(1, 40, log=True), 7),
        (FloatDistribution(1e-3, 1.0, log=True), 0.1),
        (FloatDistribution(0.0, 0.9), 0.25),
    ],
    ids=repr,
)
def test_a_stored_number_stands_for_what_was_suggested(distribution: BaseDistribution, value: Value) -> None:
    found = external(distribution.to_internal_repr(value), as_json(distribution))
    assert found == value
    assert type(found) is type(value)
