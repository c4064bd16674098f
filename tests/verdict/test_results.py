"""Laws of what a study answers, whoever filled it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from sweep.errors import NotFound, NotYet
from sweep.model import Answer
from sweep.schedules import Schedule
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.results import (
    BestAnswer,
    FamiliesAnswer,
    StatusAnswer,
    TrialAnswer,
    TrialsAnswer,
    read_best,
    read_families,
    read_status,
    read_trial,
    read_trials,
)
from tests.fakes import FakeTrainer, make_coordinator, make_plan

SETTING = {
    "trial": 1,
    "schedule": {"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 2},
    "momentum": 0.9,
    "params": {"schedule": "step", "learning_rate": 0.1, "momentum": 0.9, "step.drop": 0.5, "step.epochs_drop": 2},
}


@pytest.fixture
def filled(database: Database) -> Database:
    """Hold a study of 20 finished trials; trial 1 is the second recipe. One run of each diverged."""
    make_coordinator(database, make_plan(), FakeTrainer(diverged=(0,))).run()
    return database


def ask_all(database: Database, name: str = "tiny") -> list[Answer]:
    return [
        read_best(StoredStudy(database, name), 3),
        read_families(StoredStudy(database, name)),
        read_status(StoredStudy(database, name)),
        read_trials(StoredStudy(database, name)),
        read_trial(StoredStudy(database, name), 0),
    ]


def test_each_comes_back_from_json_as_it_was(filled: Database) -> None:
    for answer in ask_all(filled):
        assert type(answer).model_validate_json(answer.model_dump_json()) == answer


@pytest.mark.parametrize(
    "ask",
    [
        lambda database: read_best(StoredStudy(database, "tinny"), 1),
        lambda database: read_families(StoredStudy(database, "tinny")),
        lambda database: read_status(StoredStudy(database, "tinny")),
        lambda database: read_trials(StoredStudy(database, "tinny")),
        lambda database: read_trial(StoredStudy(database, "tinny"), 0),
    ],
    ids=["best", "families", "status", "trials", "trial"],
)
def test_a_study_that_is_not_there_is_not_found(filled: Database, ask: Callable[[Database], Answer]) -> None:
    with pytest.raises(NotFound, match="no study `tinny` in the database, did you mean `tiny`"):
        ask(filled)


@pytest.mark.parametrize(
    "read",
    [
        lambda database: read_best(StoredStudy(database, "tiny"), 1),
        lambda database: read_families(StoredStudy(database, "tiny")),
    ],
    ids=["best", "families"],
)
def test_a_study_without_a_finished_trial_has_no_best_yet(
    database: Database, read: Callable[[Database], Answer]
) -> None:
    make_coordinator(database, make_plan())
    with pytest.raises(NotYet, match="the study `tiny` has no finished trial yet"):
        read(database)


class TestBest:
    def test_a_trial_is_told_with_its_setting_and_its_runs(self, filled: Database) -> None:
        found = read_best(StoredStudy(filled, "tiny"), 20)
        assert (found.study, found.trials, found.metric) == ("tiny", 20, "accuracy")
        assert (found.quoted_baseline, found.quoted_source) == (0.9569, "the tutorial")
        (told,) = [trial for trial in found.best if trial.trial == 1]
        assert told.model_dump(include=set(SETTING)) == SETTING
        assert (told.replicates, len(told.correct), told.diverged, told.validation_rows) == (2, 2, 1, 116)
        assert told.correct_mean == sum(told.correct) / 2
        assert told.value == pytest.approx(sum(told.correct) / 2 / 116)

    def test_no_more_than_asked_for_are_told(self, filled: Database) -> None:
        assert read_best(StoredStudy(filled, "tiny"), 20).best[:2] == read_best(StoredStudy(filled, "tiny"), 2).best


class TestFamilies:
    def test_each_schedule_has_its_number_of_trials_and_its_best(self, filled: Database) -> None:
        found = read_families(StoredStudy(filled, "tiny"))
        assert {family.schedule for family in found.families} == {"constant", "step"}
        assert sum(family.trials for family in found.families) == found.trials == 20
        assert found.families[0].best == read_best(StoredStudy(filled, "tiny"), 1).best[0]


class TestStatus:
    def test_it_counts_every_state(self, database: Database) -> None:
        coordinator = make_coordinator(database, make_plan())
        coordinator.study.ask()
        coordinator.study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
        found = read_status(StoredStudy(database, "tiny"))
        assert found == StatusAnswer(
            study="tiny", running=False, trials={"fail": 1, "running": 1}, wanted=20, verdict="none"
        )

    def test_a_study_is_running_while_its_lock_is_held_and_tells_the_time_left_then(self, filled: Database) -> None:
        resting = read_status(StoredStudy(filled, "tiny"))
        assert (resting.running, resting.seconds_left) == (False, None)
        with filled.sole_writer("tiny"):
            running = read_status(StoredStudy(filled, "tiny"))
        assert (running.running, running.seconds_left) == (True, 0)


class TestTrials:
    def test_pages_end_where_the_next_begins_until_none_is_left(self, filled: Database) -> None:
        whole, pages, after = read_trials(StoredStudy(filled, "tiny"), limit=20), [], None
        assert (len(whole.trials), whole.next_after) == (20, None)
        for _ in range(3):
            page = read_trials(StoredStudy(filled, "tiny"), after, 8)
            pages.append(page)
            after = page.next_after
        assert [page.next_after for page in pages] == [7, 15, None]
        assert sum((page.trials for page in pages), ()) == whole.trials

    def test_a_trial_of_any_state_is_there(self, database: Database) -> None:
        coordinator = make_coordinator(database, make_plan())
        coordinator.study.enqueue_trial({"momentum": 0.5})
        coordinator.study.add_trial(optuna.trial.create_trial(value=math.inf))
        waiting, infinite = read_trials(StoredStudy(database, "tiny")).trials
        assert (waiting.state, waiting.value, waiting.replicates, waiting.ended) == ("waiting", None, 0, None)
        assert (infinite.state, infinite.value, infinite.momentum) == ("complete", None, None)

    def test_a_study_without_trials_has_an_empty_page(self, database: Database) -> None:
        make_coordinator(database, make_plan())
        assert read_trials(StoredStudy(database, "tiny")) == TrialsAnswer(study="tiny", trials=(), next_after=None)


class TestTrial:
    def test_it_tells_every_run_and_the_curves(self, filled: Database) -> None:
        found = read_trial(StoredStudy(filled, "tiny"), 1)
        assert found.model_dump(include=set(SETTING)) == SETTING
        assert [(run.run_seed, run.log_loss is None) for run in found.runs] == [(0, True), (1, False)]
        assert tuple(run.correct for run in found.runs) == found.correct
        assert sum(found.class_correct) == sum(found.correct)
        assert (found.study, found.state, found.position, found.training_seconds) == ("tiny", "complete", 1, 0.25)
        assert found.curves is not None
        assert found.curves.rate == pytest.approx((0.1, 0.05, 0.05))
        assert found.curves.validation_accuracy == (0.5, 0.5, 0.5)

    def test_it_tells_the_whole_schedule(self, filled: Database) -> None:
        whole = read_trial(StoredStudy(filled, "tiny"), 1).whole_schedule
        assert whole is not None
        assert Schedule.from_json(json.dumps(whole)).parameters == {
            "drop": 0.5,
            "epochs_drop": 2,
            "warmup": 0.0,
            "floor": 0.0,
        }

    def test_a_page_tells_the_same_of_it(self, filled: Database) -> None:
        listed, whole = read_trials(StoredStudy(filled, "tiny")).trials[1], read_trial(StoredStudy(filled, "tiny"), 1)
        assert whole.model_dump(include=set(type(listed).model_fields)) == listed.model_dump()

    @pytest.mark.parametrize("number", [-1, 20, 2**31, 10**30])
    def test_a_number_that_no_trial_has_is_not_found(self, filled: Database, number: int) -> None:
        with pytest.raises(NotFound, match=f"trial: the study `tiny` has no trial {number}.") as raised:
            read_trial(StoredStudy(filled, "tiny"), number)
        assert raised.value.field == "trial"


STRANGE: dict[str, Any] = {
    "correct": 3,
    "run_seeds": "abc",
    "validation_rows": "many",
    "log_loss": math.nan,
    "log_losses": {},
    "diverged": None,
    "class_correct": [0.5],
    "training_seconds": math.inf,
    "schedule": "step",
    "curves": {"rate": [1]},
    "position": True,
}


@pytest.mark.parametrize("attributes", [{}, STRANGE], ids=["none", "others"])
def test_a_study_that_others_filled_answers_whatever_it_keeps(database: Database, attributes: dict[str, Any]) -> None:
    study = optuna.create_study(storage=database.storage, study_name="plain", direction="maximize")
    choices = CategoricalDistribution((None, math.nan, 0.5))
    study.add_trial(
        optuna.trial.create_trial(
            value=0.25,
            params={"x": 0.5, "momentum": None, "learning_rate": math.nan},
            distributions={"x": FloatDistribution(0, 1), "momentum": choices, "learning_rate": choices},
            user_attrs=attributes,
        )
    )
    best, families, status, trials, trial = ask_all(database, "plain")
    assert isinstance(best, BestAnswer)
    (told,) = best.best
    assert (told.value, told.params, told.momentum, told.replicates) == (0.25, {"x": 0.5}, None, 0)
    assert told.schedule == {"name": "", "learning_rate": None}
    assert (told.log_loss, told.validation_rows, told.diverged, told.correct_mean) == (None, None, 0, None)
    assert isinstance(families, FamiliesAnswer)
    assert families.families == ()
    assert isinstance(status, StatusAnswer)
    assert (status.wanted, status.verdict) == (None, "none")
    assert isinstance(trials, TrialsAnswer)
    assert isinstance(trial, TrialAnswer)
    assert (trial.runs, trial.curves, trial.whole_schedule, trial.position) == ((), None, None, None)


def test_values_that_are_all_infinite_leave_an_empty_list(database: Database) -> None:
    study = optuna.create_study(storage=database.storage, study_name="plain", direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=math.inf))
    found = read_best(StoredStudy(database, "plain"), 5)
    assert (found.trials, found.best) == (1, ())


def test_reading_makes_no_file(tmp_path: Path, filled: Database) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    ask_all(filled)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
