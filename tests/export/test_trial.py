"""Laws of a trial on its way out: it is the stored one, and no more of this machine is told than is asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from sweep.config.registry import RegisteredData, RegisteredModel, Registry
from sweep.config.study_file import StudyFile, read_plan, resolve
from sweep.errors import BadInput, NotFound, NotYet
from sweep.export.script import choose, read_stored, schedule_answer, write_script
from sweep.schedules import Schedule
from sweep.search.session import read_data
from sweep.space import Value
from sweep.store.database import Database
from sweep.store.queries import Best, StoredStudy
from sweep.verdict.analysis import compute_verdict
from sweep.verdict.record import read_record
from sweep.verdict.results import ScheduleAnswer, Standing, Wanted, read_best
from tests.export.test_script import choose as choose_example
from tests.fakes import RECIPES, FakeTrainer, make_coordinator, opened
from tests.protocols import few, make_protocol
from tests.verdict.records import keep, make_plan, make_record, store_study

ROOT = Path(__file__).parents[2]
TABLES: dict[str, Any] = {
    "name": "radar",
    "data": {"name": "returns"},
    "model": {"hidden": [6]},
    "training": {"epochs": 3, "batch_size": 28},
    "search": {"trials": 4, "replicates": 2, "schedules": {"constant": {}, "step": {"drop": 0.5, "epochs_drop": 2}}},
    "recipes": list(RECIPES),
}


def make_registry(folder: Path) -> Registry:
    """Hold one data set and one model."""
    shutil.copy(ROOT / "data" / "ionosphere.csv", folder / "returns.csv")
    return Registry(
        path=folder / "registry.toml",
        datasets={"returns": RegisteredData(file="returns.csv", header=False, scale="none")},
        models={"mine": RegisteredModel(build="tests.engines.models:normalised")},
    )


def make_study_file(registry: Registry) -> StudyFile:
    """Name the data by the registry, and no file."""
    return StudyFile(Path(), resolve(read_plan(TABLES), registry), registry)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return make_registry(tmp_path)


@pytest.fixture
def study_file(registry: Registry) -> StudyFile:
    return make_study_file(registry)


def fill(database: Database, study_file: StudyFile) -> None:
    settled, dataset = read_data(study_file)
    make_coordinator(database, settled.plan, FakeTrainer(), data_sha256=dataset.sha256).run()


@pytest.fixture(scope="module")
def filled_file(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the study once for all tests."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copyfile(empty_file, folder / "studies.db")
    with opened(folder / "studies.db") as database:
        fill(database, make_study_file(make_registry(folder)))
    return folder / "studies.db"


@pytest.fixture
def filled(filled_file: Path, tmp_path: Path) -> Iterator[Database]:
    """Hold the study with its four trials."""
    shutil.copyfile(filled_file, tmp_path / "filled.db")
    with opened(tmp_path / "filled.db") as database:
        yield database


class TestReadStored:
    def test_it_is_the_best_unless_a_number_is_given(self, filled: Database, study_file: StudyFile) -> None:
        best = read_best(StoredStudy(filled, "radar"), 4).best
        stored = read_stored(StoredStudy(filled, "radar"), None)
        assert (stored.origin.trial, stored.origin.standing, stored.origin.trials) == (best[0].trial, "best", 4)
        other = read_stored(StoredStudy(filled, "radar"), best[3].trial)
        assert (other.origin.trial, other.origin.standing) == (best[3].trial, "one")
        assert isinstance(other.setting, Best)
        assert other.setting.params == best[3].params

    @pytest.mark.parametrize(("wanted", "standing"), [(None, "recommended"), ("winner", "winner")])
    def test_of_a_verdict_it_is_the_recommendation_or_the_winner(
        self, database: Database, wanted: Wanted, standing: Standing
    ) -> None:
        plan = make_plan(trials=20)
        record = make_record(plan)
        keep(database, store_study(database, plan), record)
        advice = compute_verdict(plan, record).recommendation
        assert advice is not None
        assert advice.role == "tuned constant"
        entry = record.winner if wanted else record.constant
        found = read_stored(StoredStudy(database, plan.name), wanted)
        assert found.setting == entry.contender
        assert (found.origin.standing, found.origin.runs) == (standing, 64)
        assert found.origin.value == pytest.approx(entry.confirmation.correct_mean / 116)
        assert found.origin.new_value == (None if wanted else advice.score)
        assert (found.origin.trial, found.origin.found_in) == (entry.contender.trial, entry.contender.study)

    def test_a_verdict_that_recommends_nothing_gives_its_winner(
        self, database: Database, study_file: StudyFile
    ) -> None:
        settled, dataset = read_data(study_file)
        plan = few(settled.plan)
        make_protocol(database, plan, dataset=dataset).run()
        record = read_record(StoredStudy(database, "radar"))
        assert record is not None
        assert compute_verdict(plan, record).recommendation is None
        chosen, _ = choose(replace(study_file, plan=plan), read_stored(StoredStudy(database, "radar")))
        assert (chosen.origin.standing, chosen.origin.runs) == ("winner", 8)
        assert chosen.candidate == record.winner.contender.candidate

    def test_a_number_that_no_finished_trial_has_is_not_found(self, filled: Database) -> None:
        optuna.load_study(storage=filled.storage, study_name="radar").ask()
        for number in (-1, 4, 99, 2**31, 10**30):
            line = f"trial: must be the number of a finished trial of `radar`, got {number}."
            with pytest.raises(NotFound, match=line):
                read_stored(StoredStudy(filled, "radar"), number)

    def test_a_study_that_is_not_there_is_not_found(self, database: Database) -> None:
        with pytest.raises(NotFound, match="there is no study `radar`"):
            read_stored(StoredStudy(database, "radar"), None)

    def test_a_study_without_a_finished_trial_has_none_yet(self, database: Database, study_file: StudyFile) -> None:
        make_coordinator(database, study_file.plan)
        with pytest.raises(NotYet, match="the study `radar` has no finished trial yet"):
            read_stored(StoredStudy(database, "radar"), 0)

    @pytest.mark.parametrize("value", [0.5, float("inf")])
    def test_a_trial_of_others_cannot_be_exported(self, database: Database, value: float) -> None:
        study = optuna.create_study(storage=database.storage, study_name="plain", direction="maximize")
        study.add_trial(optuna.trial.create_trial(value=value))
        with pytest.raises(BadInput, match=r"trial: (trial 0 of `plain` has no schedule|must be the number)"):
            read_stored(StoredStudy(database, "plain"), None)


class TestChoose:
    def test_data_are_found_by_their_registered_name(self, filled: Database, study_file: StudyFile) -> None:
        chosen, problem = choose(study_file, read_stored(StoredStudy(filled, "radar"), None))
        assert len(chosen.dataset.targets) == 351
        assert chosen.data_place == study_file.data_path.resolve()
        assert (chosen.timeline, problem.split.validation_rows) == (problem.timeline, 116)

    def test_a_script_names_the_place_that_the_caller_chooses_and_no_other(
        self, filled: Database, study_file: StudyFile, tmp_path: Path
    ) -> None:
        stored = read_stored(StoredStudy(filled, "radar"), None)
        ours, theirs = (write_script(choose(study_file, stored, place)[0]) for place in (None, Path("radar.csv")))
        assert f"DATA = Path({json.dumps(str(tmp_path / 'returns.csv'))})" in ours
        assert 'DATA = Path(__file__).with_name("radar.csv")\n' in theirs
        assert str(tmp_path) not in theirs

    def test_a_registered_model_becomes_the_function_that_builds_it(
        self, database: Database, registry: Registry
    ) -> None:
        tables = TABLES | {"model": {"name": "mine"}}
        study_file = StudyFile(Path(), resolve(read_plan(tables), registry), registry)
        fill(database, study_file)
        chosen, problem = choose(study_file, read_stored(StoredStudy(database, "radar"), None))
        assert problem.architecture.build == "tests.engines.models:normalised"
        script = write_script(chosen)
        assert "\nimport tests.engines.models\n" in script
        assert "\nmodel = tests.engines.models.normalised(inputs.shape[1], len(classes))\n" in script

    def test_the_plan_is_the_stored_one(self, filled: Database, study_file: StudyFile) -> None:
        training = study_file.plan.training.model_copy(update={"epochs": 30})
        changed = replace(study_file, plan=study_file.plan.model_copy(update={"training": training}))
        chosen, _ = choose(changed, read_stored(StoredStudy(filled, "radar"), None))
        assert chosen.plan.training.epochs == 3

    def test_data_that_have_changed_are_refused(self, filled: Database, study_file: StudyFile, tmp_path: Path) -> None:
        rows = (tmp_path / "returns.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / "returns.csv").write_text("".join(rows[1:]), encoding="utf-8")
        with pytest.raises(BadInput, match=r"data\.file: it has changed since the study `radar` was begun"):
            choose(study_file, read_stored(StoredStudy(filled, "radar"), None))


class TestScheduleAnswer:
    @pytest.mark.parametrize(
        "schedule",
        [
            {"name": "warmup_stable_decay", "learning_rate": 0.1, "warmup": 0.0},
            {"name": "join", "learning_rate": 0.1, "first": {"name": "rex", "floor": 0.1}, "second": "one_cycle"},
            {"name": "milestones", "learning_rate": 0.1, "at": "0.2 0.3"},
            {"name": "time", "learning_rate": 0.1},
        ],
        ids=lambda schedule: schedule["name"],
    )
    def test_it_keeps_what_differs_from_defaults(self, schedule: dict[str, Value]) -> None:
        chosen = choose_example(schedule)
        assert Schedule.from_json(schedule_answer(chosen).model_dump_json()) == chosen.candidate.schedule

    def test_it_comes_back_from_json_as_it_was(self) -> None:
        told = schedule_answer(choose_example({"name": "time", "learning_rate": 0.1}, optimizer={"name": "adamw"}))
        assert ScheduleAnswer.model_validate_json(told.model_dump_json()) == told
