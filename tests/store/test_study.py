"""Laws of the record: what a study keeps, and that a stored trial is one that Optuna itself could have stored."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest

from sweep.candidate import Candidate, from_params
from sweep.config.plan import BaselinePlan, DataPlan, ModelPlan, Plan, SplitPlan, TrainingPlan
from sweep.config.verdict_plan import VerdictPlan
from sweep.errors import BadInput, StorageFailed
from sweep.schedules.open_loop import cosine
from sweep.search.loop import propose, to_record
from sweep.search.space import SearchSpace
from sweep.space import Value
from sweep.store.database import Database
from sweep.store.queries import find_study
from sweep.store.study import PACKAGES, cpu_name, git_commit, open_study, read_documents, write_documents
from sweep.store.trials import store
from tests.fakes import DATA_SHA256, make_plan, outcome_of

PLAN = make_plan(nesterov=[True, False], recipes=())
SPACE = SearchSpace(PLAN.search)
CONSTANT = from_params({"schedule": "constant", "learning_rate": 0.1, "momentum": 0.25, "nesterov": True})
STEP = from_params({"schedule": "step", "learning_rate": 0.02, "step.drop": 0.5, "step.epochs_drop": 3})


def finished(candidate: Candidate, position: int = 0, space: SearchSpace = SPACE) -> optuna.trial.FrozenTrial:
    outcome = outcome_of(candidate, (0, 1))
    return optuna.trial.create_trial(
        params=space.params(candidate),
        distributions=space.distributions(candidate.schedule.name),
        value=outcome.value("accuracy"),
        user_attrs=to_record(candidate, outcome, position).attributes(),
    )


def searching(**changes: Any) -> dict[str, Any]:
    return {"search": make_plan(recipes=(), nesterov=[True, False], **changes).search}


def opened_study(database: Database, name: str = "tiny") -> tuple[optuna.Study, int]:
    study = open_study(database, PLAN.model_copy(update={"name": name}), DATA_SHA256)
    return study, database.storage.get_study_id_from_name(name)


def begun_study(database: Database) -> None:
    """Hold the study with one trial: from now on its plan is fixed."""
    store(database, opened_study(database)[1], [finished(CONSTANT)])


class TestStore:
    def test_an_open_study_sees_what_is_stored_later_by_numbers_of_its_own(self, database: Database) -> None:
        (study, study_id), (other, other_id) = opened_study(database), opened_study(database, "other")
        assert len(study.trials) == 0
        store(database, study_id, [finished(CONSTANT), finished(STEP, 1)])
        store(database, other_id, [finished(STEP)])
        store(database, study_id, [finished(STEP, 2)])
        store(database, study_id, [])
        assert [trial.number for trial in study.trials] == [0, 1, 2]
        assert [trial.number for trial in other.trials] == [0]
        assert study.best_trial.params == SPACE.params(CONSTANT)

    def test_a_whole_large_round_is_stored_in_order(self, database: Database) -> None:
        study, study_id = opened_study(database)
        store(database, study_id, [finished(STEP, position) for position in range(512)])
        assert [trial.user_attrs["position"] for trial in study.trials] == list(range(512))

    def test_a_value_that_is_not_finite_is_refused_and_nothing_written(self, database: Database) -> None:
        study, study_id = opened_study(database)
        for value in (math.nan, math.inf, -math.inf):
            wrong = finished(STEP, 1)
            wrong.value = value
            with pytest.raises(StorageFailed, match="trial at position 1 has the value"):
                store(database, study_id, [finished(CONSTANT), wrong])
        assert study.trials == []


class TestOpenStudy:
    def test_a_study_keeps_what_traces_it(self, database: Database) -> None:
        study, _ = opened_study(database)
        assert study.user_attrs.keys() == {
            "plan",
            "data_sha256",
            "versions",
            "machine",
            "commit",
            "run_seeds",
            "quoted_baseline",
            "valued_by",
        }
        assert Plan.model_validate(study.user_attrs["plan"]) == PLAN
        assert study.user_attrs["data_sha256"] == DATA_SHA256
        assert study.user_attrs["versions"].keys() == {"python", *PACKAGES}
        assert study.user_attrs["versions"]["optuna"] == optuna.__version__
        assert study.user_attrs["machine"]["cpu"] == cpu_name()
        assert study.user_attrs["commit"] == git_commit()
        seeds = study.user_attrs["run_seeds"]
        assert list(seeds) == ["search", "selection", "confirmation", "new rows"]
        assert (seeds["search"], seeds["selection"]) == (
            {"first": 0, "number": 2},
            {"first": 1_000_000_000, "number": 48},
        )
        assert study.user_attrs["quoted_baseline"] == 0.9569
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE

    def test_a_study_is_found_again(self, database: Database) -> None:
        first, second = opened_study(database)[0], opened_study(database)[0]
        assert first.study_name == second.study_name
        assert first.user_attrs == second.user_attrs

    def test_a_study_whose_making_was_cut_short_is_completed(self, database: Database) -> None:
        optuna.create_study(storage=database.storage, study_name="tiny", direction="maximize")
        assert "plan" in opened_study(database)[0].user_attrs

    def test_a_study_without_trials_takes_another_plan(self, database: Database) -> None:
        opened_study(database)
        other = PLAN.model_copy(update={"training": TrainingPlan(epochs=51)} | searching(replicates=3))
        study = open_study(database, other, "1" * 64)
        assert Plan.model_validate(study.user_attrs["plan"]) == other
        assert study.user_attrs["data_sha256"] == "1" * 64
        assert study.user_attrs["run_seeds"]["search"] == {"first": 0, "number": 3}

    def test_a_study_without_trials_forgets_a_baseline_that_is_quoted_no_more(self, database: Database) -> None:
        opened_study(database)
        open_study(database, PLAN.model_copy(update={"baseline": None}), DATA_SHA256)
        with database.reading() as connection:
            assert find_study(connection, "tiny").baseline is None

    def test_another_budget_is_the_same_study_and_is_kept(self, database: Database) -> None:
        begun_study(database)
        more = make_plan(nesterov=[True, False], recipes=(), trials=99)
        assert open_study(database, more, DATA_SHA256).user_attrs["plan"]["search"]["trials"] == 99

    def test_what_decides_after_the_search_may_change_and_where_the_data_are(self, database: Database) -> None:
        begun_study(database)
        changes: list[dict[str, Any]] = [
            {"baseline": BaselinePlan(accuracy=0.5, source="the tutorial")},
            {"baseline": None},
            {"verdict": VerdictPlan(confirmation_seeds=128)},
            {"data": DataPlan(file="elsewhere/rows.csv"), "note": "moved"},
            {"data": DataPlan(name="registered"), "note": "moved"},
        ]
        for changed in changes:
            wanted = PLAN.model_copy(update=changed)
            study = open_study(database, wanted, DATA_SHA256)
            assert Plan.model_validate(study.user_attrs["plan"]) == wanted
            assert study.user_attrs["quoted_baseline"] == (wanted.baseline.accuracy if wanted.baseline else None)

    def test_another_plan_is_bad_input_that_names_the_field(self, database: Database) -> None:
        begun_study(database)
        changes: list[tuple[str, dict[str, Any]]] = [
            ("data.label", {"data": DataPlan(file="rows.csv", label=0)}),
            ("split.kind", {"split": SplitPlan(kind="tail")}),
            ("model.hidden", {"model": ModelPlan(hidden=(8, 8))}),
            ("training.epochs", {"training": TrainingPlan(epochs=51)}),
            ("search.metric", searching(metric="log_loss")),
            ("search.nesterov", {"search": make_plan(recipes=()).search}),
        ]
        for field, changed in changes:
            with pytest.raises(BadInput, match="the stored study `tiny` has") as raised:
                open_study(database, PLAN.model_copy(update=changed), DATA_SHA256)
            assert raised.value.field == field

    def test_a_plan_stored_before_there_was_a_metric_ranks_by_accuracy(self, database: Database) -> None:
        begun_study(database)
        old = PLAN.model_dump(mode="json")
        del old["search"]["metric"]
        opened_study(database)[0].set_user_attr("plan", old)
        with database.reading() as connection:
            assert find_study(connection, "tiny").metric == "accuracy"
        with pytest.raises(BadInput, match=r"^search\.metric: .* has \"accuracy\", not \"log_loss\"; "):
            open_study(database, PLAN.model_copy(update=searching(metric="log_loss")), DATA_SHA256)
        assert opened_study(database)[0].user_attrs["plan"] == PLAN.model_dump(mode="json")

    def test_a_refused_plan_leaves_the_stored_one(self, database: Database) -> None:
        begun_study(database)
        with pytest.raises(BadInput, match="search"):
            open_study(database, make_plan(recipes=(), trials=99), DATA_SHA256)
        assert opened_study(database)[0].user_attrs["plan"] == PLAN.model_dump(mode="json")

    def test_a_study_of_somebody_else_that_minimizes_is_bad_input(self, database: Database) -> None:
        optuna.create_study(storage=database.storage, study_name="tiny", direction="minimize")
        with pytest.raises(BadInput, match="maximize") as raised:
            opened_study(database)
        assert raised.value.field == "name"

    def test_other_data_are_bad_input(self, database: Database) -> None:
        begun_study(database)
        with pytest.raises(BadInput, match="it has changed since the study `tiny` was begun") as raised:
            open_study(database, PLAN, "1" * 64)
        assert raised.value.field == "data.file"


# Spaces in which a value is a default, or one of many texts for the same list of points.
ODD_SPACES: dict[str, dict[str, Any]] = {
    "cosine": {"warmup": [0.0, 0.1], "floor": 0.0},
    "warmup_stable_decay": {"warmup": [0.05, 0.1]},
    "milestones": {"at": ["0.50  0.75", "0.3"]},
    "piecewise_linear": {"points": ["0:1.0 1:0", "0:1 1:0.10"]},
    "join": {"first": ['{"name":"triangular","cycles":2}', '{"name": "cosine", "final_ratio": 0.0}']},
    "plateau": {"monitor": ["val_loss", "accuracy"]},
}


def test_whatever_a_search_may_draw_can_be_stored_and_read_back(database: Database) -> None:
    plan = make_plan(recipes=(), schedules=ODD_SPACES)
    space, study = SearchSpace(plan.search), open_study(database, plan, DATA_SHA256)
    drawn = propose(space, [], 64, sampler_seed=0, round_number=0)
    trials = [finished(candidate, position, space) for position, candidate in enumerate(drawn)]
    store(database, database.storage.get_study_id_from_name("tiny"), trials)
    assert {candidate.schedule.name for candidate in drawn} == ODD_SPACES.keys()
    assert [space.candidate(trial.params) for trial in study.trials] == drawn


def test_other_default_spaces_set_aside_what_they_do_not_hold(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan() -> Plan:
        return make_plan(recipes=(), schedules={"constant": {}, "cosine": {}})

    open_study(database, plan(), DATA_SHA256)
    space = SearchSpace(plan().search)
    tried: dict[str, Value] = {"schedule": "cosine", "learning_rate": 0.1, "cosine.final_ratio": 0.1}
    trials = [finished(from_params(each), space=space) for each in (tried, tried | {"cosine.final_ratio": 0.25})]
    store(database, database.storage.get_study_id_from_name("tiny"), trials)
    assert "set_aside" not in open_study(database, plan(), DATA_SHA256).user_attrs
    monkeypatch.setattr(cosine, "default_space", {"final_ratio": (0.25, 0.5)})
    assert open_study(database, plan(), DATA_SHA256).user_attrs["set_aside"] == [0]


def test_studies_keep_documents_apart_and_optuna_keeps_what_is_its_own(database: Database) -> None:
    (study, first), (_, second) = opened_study(database), opened_study(database, "other")
    study.set_user_attr("sweep:record", "theirs")
    write_documents(database, first, {"sweep:record": "1"})
    write_documents(database, second, {"sweep:record": "2"}, drop=["sweep:record"])
    assert study.user_attrs["sweep:record"] == "theirs"
    optuna.delete_study(storage=database.storage, study_name="tiny")
    with database.reading() as connection:
        assert read_documents(connection, first, "sweep:") == {}
        assert read_documents(connection, second, "sweep:") == {"sweep:record": "2"}
