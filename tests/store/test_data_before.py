"""Laws of a database that an earlier version made: it is read, continued and exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from sweep.api import Study
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.trials import read_record
from sweep.verdict.results import read_status, read_trial
from tests.fakes import FakeTrainer, make_coordinator, opened

BEFORE = Path(__file__).parent.parent / "data_before"


def test_every_trial_is_read_with_all_its_parts(database_before: Database) -> None:
    for name, finished in {"judged": 12, "partial": 8, "closed": 12}.items():
        stored = StoredStudy(database_before, name)
        assert read_status(stored).trials == {"complete": finished}
        with stored.reading() as study:
            trials = study.best_trials(finished)
        assert sorted(trial.record.position or 0 for trial in trials) == list(range(finished))
        for trial in trials:
            record = trial.record
            told = read_trial(stored, trial.trial)
            assert (told.whole_schedule, told.curves) == (record.schedule, record.curves)
            assert record.curves is not None
            assert len(record.runs) == len(record.log_losses) == len(record.run_seeds) > 0
            assert sum(record.correct) == sum(record.class_correct)
            assert trial.value == pytest.approx(sum(record.correct) / len(record.runs) / (record.validation_rows or 0))


def test_it_answers_as_the_earlier_version_did(database_before: Database) -> None:
    study = Study(StoredStudy(database_before, "judged"), BEFORE / "judged.toml")
    answers = {"best": study.best(), "compare": study.verdict(), "status": study.status()}
    for name, answer in answers.items():
        before = expected(name)
        assert rounded(known(json.loads(answer.model_dump_json()), before)) == rounded(before), name


def test_its_winner_is_exported_as_the_earlier_version_did(database_before: Database, tmp_path: Path) -> None:
    written = (BEFORE / "judged.toml").read_text(encoding="utf-8")
    (tmp_path / "judged.toml").write_text(written, encoding="utf-8")
    shutil.copyfile("data/ionosphere.csv", tmp_path / "ionosphere.csv")
    study = Study(StoredStudy(database_before, "judged"), tmp_path / "judged.toml")
    assert known(json.loads(study.export("json")), expected("schedule")) == expected("schedule")


def expected(name: str) -> Any:
    return json.loads((BEFORE / f"judged.{name}.json").read_text(encoding="utf-8"))


def known(told: Any, before: Any) -> Any:
    """Keep the fields that there were before."""
    if isinstance(before, dict):
        return {key: known(told[key], value) for key, value in before.items()}
    if isinstance(before, list):
        return [known(one, value) for one, value in zip(told, before, strict=True)]
    return told


def rounded(told: Any) -> Any:
    """Keep nine digits of every number: processors and libraries may differ in the last."""
    if isinstance(told, dict):
        return {key: rounded(value) for key, value in told.items()}
    if isinstance(told, list):
        return [rounded(value) for value in told]
    return float(f"{told:.9g}") if isinstance(told, float) else told


def test_a_study_is_continued_to_the_trials_that_it_would_have_now(database_before: Database, tmp_path: Path) -> None:
    """The first 8 are taken as they are, so that what comes after them must be proposed alike."""
    with StoredStudy(database_before, "partial").reading() as study:
        plan, data = study.plan, str(study.attributes["data_sha256"])
    assert plan is not None
    plan = plan.model_copy(update={"search": plan.search.model_copy(update={"trials": 12})})
    old = optuna.load_study(study_name="partial", storage=database_before.storage)
    with opened(tmp_path / "now.db") as database:
        now = make_coordinator(database, plan, data_sha256=data).study
        for trial in old.trials:
            record = read_record(trial.user_attrs)
            now.add_trial(
                optuna.trial.create_trial(
                    value=trial.value,
                    params=trial.params,
                    distributions=trial.distributions,
                    user_attrs=record.attributes(),
                )
            )
        for each in (database_before, database):
            assert make_coordinator(each, plan, FakeTrainer(), data_sha256=data).run().finished == 12
        assert [trial.params for trial in old.trials] == [trial.params for trial in now.trials]
        assert [trial.user_attrs for trial in old.trials[8:]] == [trial.user_attrs for trial in now.trials[8:]]
