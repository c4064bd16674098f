"""Laws of the tables: they are drawn from answers alone, wherever those come from."""

from __future__ import annotations

import math

import optuna
import pytest

from sweep.cli.tables import show_best, show_end, show_status
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.results import (
    BestAnswer,
    FamiliesAnswer,
    StatusAnswer,
    read_best,
    read_families,
    read_status,
)
from tests.fakes import FakeTrainer, make_coordinator, make_plan


@pytest.fixture
def filled(database: Database) -> Database:
    """Hold a study of 20 finished trials, half of whose runs diverged."""
    make_coordinator(database, make_plan(), FakeTrainer(diverged=(0,))).run()
    return database


def test_an_answer_that_went_through_json_draws_the_same(filled: Database, capsys: pytest.CaptureFixture[str]) -> None:
    best, families, status = (
        read_best(StoredStudy(filled, "tiny"), 5),
        read_families(StoredStudy(filled, "tiny")),
        read_status(StoredStudy(filled, "tiny")),
    )
    drawn = []
    for afar in (False, True):
        if afar:
            best = BestAnswer.model_validate_json(best.model_dump_json())
            families = FamiliesAnswer.model_validate_json(families.model_dump_json())
            status = StatusAnswer.model_validate_json(status.model_dump_json())
        show_best(best)
        show_end(best, families)
        show_status(status)
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1]
    assert drawn[0].count("diverged)") == 12
    assert drawn[0].count("quoted: the tutorial") == 3


def test_a_status_tells_pace_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    found = StatusAnswer(
        study="tiny",
        running=True,
        trials={"complete": 5, "waiting": 1},
        wanted=20,
        verdict="none",
        candidates_per_second=2.5,
        seconds_left=6.0,
    )
    show_status(found)
    assert capsys.readouterr().out == (
        "study tiny: 5 complete, 1 waiting of 20 wanted; running; verdict: none\n"
        "lately 2.5 candidates a second, about 6 s left\n"
    )


def test_a_study_of_others_is_drawn_with_what_it_has(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    study = optuna.create_study(storage=database.storage, study_name="plain", direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=0.25))
    show_end(read_best(StoredStudy(database, "plain"), 5), read_families(StoredStudy(database, "plain")))
    told = capsys.readouterr().out
    assert "25.00%" in told
    assert "quoted" not in told


def test_values_that_are_all_infinite_are_drawn_as_an_empty_table(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    study = optuna.create_study(storage=database.storage, study_name="plain", direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=math.inf))
    show_best(read_best(StoredStudy(database, "plain"), 5))
    assert "best of 1 candidates" in capsys.readouterr().out
