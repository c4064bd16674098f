"""Laws of the notes in optuna-dashboard: its own functions read them, and writing them again changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna_dashboard import get_note, save_note

from sweep.dashboard.notes import escaped, rate_chart, write_notes
from sweep.store.database import Database
from sweep.store.optuna_schema import TRIAL_USER
from sweep.verdict.analysis import StudyResult, compute_verdict
from tests.fakes import opened
from tests.verdict.records import make_plan, make_result, store_study

PLAN = make_plan(trials=20)
HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) `b` **c** www.example.com"


@pytest.fixture(scope="session")
def kept_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notes") / "studies.db"
    with opened(path) as database:
        store_study(database, PLAN)
    return path


@pytest.fixture
def database(kept_study: Path, tmp_path: Path) -> Iterator[Database]:
    """Hold a study of 20 trials, and those of its baselines."""
    shutil.copyfile(kept_study, tmp_path / "studies.db")
    with opened(tmp_path / "studies.db") as database:
        yield database


def findings(**options: Any) -> StudyResult:
    return make_result(PLAN, **options)


def study_of(database: Database) -> optuna.Study:
    return optuna.load_study(study_name=PLAN.name, storage=database.storage)


def trial_of(database: Database, number: int) -> optuna.Trial:
    study = study_of(database)
    return optuna.Trial(study, study.trials[number]._trial_id)


def kept(database: Database) -> dict[str, Any]:
    study = study_of(database)
    return study._storage.get_study_system_attrs(study._study_id)


def plots(database: Database) -> dict[str, Any]:
    """Return the figures as optuna-dashboard puts their pieces together."""
    pieces: dict[str, dict[int, str]] = {}
    for key, told in kept(database).items():
        if key.startswith("dashboard:plot_data:"):
            name, _, place = key.removeprefix("dashboard:plot_data:").rpartition(":")
            pieces.setdefault(name, {})[int(place)] = told
    return {name: json.loads("".join(told for _, told in sorted(found.items()))) for name, found in pieces.items()}


class TestStudy:
    def test_its_note_tells_the_verdict(self, database: Database) -> None:
        found = findings()
        write_notes(database, found)
        note = get_note(study_of(database))
        assert len(found.verdict.judgements) == 2
        assert all(answer.sentence in note for answer in found.verdict.judgements.values())
        assert "always answering “g”: 107 right rows" in note

    def test_its_figures_stand_under_fixed_names(self, database: Database) -> None:
        write_notes(database, findings())
        names = {f"sweep-{name}" for name in ("effect", "ladder", "families", "rates", "learning")}
        assert plots(database).keys() == names
        assert all("?" in figure["layout"]["title"]["text"] for figure in plots(database).values())

    def test_without_re_splits_it_says_why(self, database: Database) -> None:
        write_notes(database, findings(problem="too few rows."))
        assert "On new rows: unknown. too few rows\\." in get_note(study_of(database))


class TestTrials:
    def test_each_of_the_first_ten_finalists_has_a_note_with_its_rates(self, database: Database) -> None:
        found = findings()
        write_notes(database, found)
        for place, contender in enumerate(found.record.race[:10]):
            assert contender.trial is not None
            note = get_note(trial_of(database, contender.trial))
            assert note.startswith(f"### Finalist {place + 1} of 12 in verdict 1: ")
            assert escaped(contender.label) in note
            assert "Learning rate by epoch" in note
        assert get_note(trial_of(database, 10)) == ""

    def test_the_note_says_what_became_of_it(self, database: Database) -> None:
        write_notes(database, findings())
        fates = [get_note(trial_of(database, number)).splitlines()[0].partition(": ")[2] for number in range(10)]
        assert fates[:2] == ["the winner", "not to be told from the winner"]
        assert fates[-1] == "behind; it left the race after 16 seeds"

    def test_a_trial_that_others_made_gets_no_chart(self, database: Database) -> None:
        with database.writing() as connection:
            connection.execute(TRIAL_USER.delete().where(TRIAL_USER.c.key == "curves"))
        write_notes(database, findings())
        assert "Learning rate by epoch" not in get_note(trial_of(database, 0))


class TestWritingAgain:
    def test_the_same_findings_change_nothing(self, database: Database) -> None:
        write_notes(database, findings())
        before = kept(database)
        write_notes(database, findings())
        assert kept(database) == before

    def test_a_new_verdict_replaces_the_last_whole(self, database: Database) -> None:
        write_notes(database, findings())
        write_notes(database, findings(lead=-3.0, confirmations=2, problem="none."))
        assert get_note(study_of(database)).startswith("## Verdict 2")
        assert "On new rows: open" not in get_note(study_of(database))
        assert len(plots(database)["sweep-effect"]["data"]) == 1
        version = kept(database)["dashboard:note_ver"]
        assert version == 2

    def test_a_trial_that_is_no_finalist_any_more_loses_its_note(self, database: Database) -> None:
        found = findings()
        write_notes(database, found)
        record = found.record.model_copy(update={"race": found.record.race[:3]})
        write_notes(database, StudyResult(PLAN, record, compute_verdict(PLAN, record)))
        assert [bool(get_note(trial_of(database, number))) for number in range(5)] == [True] * 3 + [False] * 2

    def test_what_others_wrote_stays(self, database: Database) -> None:
        save_note(trial_of(database, 15), "mine")
        others = {key: told for key, told in kept(database).items() if key.startswith("dashboard:")}
        write_notes(database, findings())
        write_notes(database, findings(confirmations=2))
        assert get_note(trial_of(database, 15)) == "mine"
        assert others.items() <= kept(database).items()


class TestText:
    def test_what_users_name_has_no_meaning_in_markdown(self, database: Database) -> None:
        found = findings(classes={"b": 9, HOSTILE: 107})
        write_notes(database, found)
        note = get_note(study_of(database))
        assert "<img" not in note.replace("\\<img", "")
        assert "](" not in note.replace("\\]\\(", "")

    def test_a_text_of_many_lines_stays_on_one(self) -> None:
        assert escaped("a\n\n# b\r\n- c") == "a \\# b \\- c"

    def test_the_chart_falls_as_the_rates_do(self) -> None:
        lines = rate_chart([1.0, 0.5, 0.25, 0.0]).splitlines()[5:-2]
        assert [line.count("█") for line in lines[:8]] == sorted(line.count("█") for line in lines[:8])
        assert lines[7].count("█") == 38

    @pytest.mark.parametrize("rates", [[], [0.0, 0.0]], ids=["none", "zero"])
    def test_rates_that_cannot_be_drawn_are_left_out(self, rates: list[float]) -> None:
        assert rate_chart(rates) == ""
