"""Laws of `sweep compare` of several studies and of `sweep benchmark` on a command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweep.api import RunResult, Study
from sweep.cli.several import COLLECTION, Benchmark, collected
from sweep.cli.tables import WIDTH
from sweep.config.study_file import read_study_file
from sweep.errors import BadInput, TrainingFailed
from sweep.search.loop import Seconds
from sweep.store.database import Database
from tests.cli.conftest import Run
from tests.fakes import opened
from tests.verdict.records import make_record
from tests.verdict.test_several import plan_of, store, with_families

ROOT = Path(__file__).parents[2]
LEADS = {"linear": 0.02, "warmup_stable_decay": -0.01, "step": 0.004}
STUDY = """
name = "{name}"
data = {{ file = "rows.csv" }}
search = {{ trials = 40, schedules = {{ constant = {{}}, linear = {{}} }} }}
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path / "studies.db") as database:
        for name in ("iris", "wine"):
            plan = plan_of(name)
            store(database, plan, with_families(make_record(plan), **LEADS))
        yield database


class TestCompare:
    def test_it_says_first_what_to_use_and_fits_a_terminal(self, run: Run, database: Database) -> None:
        code, out, err = run("compare", "iris", "wine", "--storage", database.url)
        lines = out.splitlines()
        assert (code, err) == (0, "")
        assert lines[:2] == [
            "2 data sets, 50 epochs: which schedule to use by default?",
            "Use by default: the tuned constant rate. Fewer than 6 data sets cannot tell whether a schedule is better.",
        ]
        assert "linear" in out
        assert "Nemenyi" in out
        assert max(map(len, lines)) <= WIDTH
        assert len(run("compare", "iris", "wine", "--storage", database.url, "--why")[1]) > len(out)

    def test_its_document_has_families_by_data_sets(self, run: Run, database: Database) -> None:
        _, out, _ = run("compare", "iris", "wine", "--storage", database.url, "--json")
        (table,) = json.loads(out)["tables"]
        assert [each["schedule"] for each in table["families"]] == ["linear", "step", "warmup_stable_decay"]
        assert table["studies"][1]["families"]["linear"] == pytest.approx(2.0)
        assert table["use"] == "constant"

    def test_one_study_alone_is_its_verdict_as_ever(self, run: Run, database: Database) -> None:
        _, out, _ = run("compare", "iris", "--storage", database.url)
        assert out.startswith("study iris: which learning-rate schedule, and is it really better?")

    def test_budgets_stand_beside_each_other(self, run: Run, database: Database) -> None:
        plan = plan_of("iris.10epochs", 10)
        store(database, plan, with_families(make_record(plan), **LEADS), rows="iris")
        code, out, _ = run("compare", "iris", "iris.10epochs", "--storage", database.url)
        assert code == 0
        assert "1 data set, 10 epochs" in out
        assert "50 epochs, points" in out
        assert "rank" not in out

    @pytest.mark.parametrize(
        ("words", "code", "told"),
        [
            (["iris", "wien"], 2, "error: study: there is no study `wien` in the database, did you mean `wine`?\n"),
            (["iris", "iris"], 2, "error: study: `iris` is named twice.\n"),
            (
                ["iris", "wine", "--server", "http://localhost:1"],
                2,
                "error: server: several studies are compared in a ",
            ),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, words: list[str], code: int, told: str, run: Run, database: Database
    ) -> None:
        storage = [] if "--server" in words else ["--storage", database.url]
        found, out, err = run("compare", *words, *storage)
        assert (found, out) == (code, "")
        assert err.startswith(told)
        assert err.count("\n") == 1


class TestBenchmark:
    @pytest.fixture
    def ran(self, monkeypatch: pytest.MonkeyPatch, database: Database) -> list[tuple[str, dict[str, Any]]]:
        """Run no study, but note each; one whose name begins with `bad` fails."""
        noted: list[tuple[str, dict[str, Any]]] = []

        def pretend(study: Study, **options: Any) -> RunResult:
            noted.append((study.name, dict(study.overrides)))
            if study.name.startswith("bad"):
                raise TrainingFailed("a trainer ended.")
            return RunResult(finished=True, trained=False, seconds=Seconds())

        monkeypatch.setattr(Study, "run", pretend)
        return noted

    def files(self, folder: Path, *names: str) -> list[Path]:
        paths = [folder / f"{name}.toml" for name in names]
        for path in paths:
            path.write_text(STUDY.format(name=path.stem), encoding="utf-8")
        return paths

    def test_it_runs_each_with_a_line_and_shows_the_table(
        self, run: Run, ran: list[Any], database: Database, tmp_path: Path
    ) -> None:
        files = self.files(tmp_path, "iris", "wine")
        code, out, err = run("benchmark", *files, "--storage", database.url, "--share", "0.25")
        assert ran == [("iris", {"search.trials": 10}), ("wine", {"search.trials": 10})]
        assert [line.rpartition(",")[0] for line in err.splitlines()] == [
            "1/2 iris: the same on new rows",
            "2/2 wine: the same on new rows",
        ]
        assert (code, out.splitlines()[0]) == (0, "2 data sets, 50 epochs: which schedule to use by default?")

    def test_one_that_fails_does_not_stop_the_others_and_it_is_said_at_the_end(
        self, run: Run, ran: list[Any], database: Database, tmp_path: Path
    ) -> None:
        files = [*self.files(tmp_path, "bad", "iris"), tmp_path / "missing.toml", *self.files(tmp_path, "wine")]
        code, out, err = run("benchmark", *files, "--storage", database.url, "--json")
        assert [name for name, _ in ran] == ["bad", "iris", "wine"]
        assert [each["study"] for each in json.loads(out)["tables"][0]["studies"]] == ["iris", "wine"]
        assert "1/4 bad: failed: a trainer ended., 0 s\n" in err
        assert err.splitlines()[-1].startswith("failed: bad, missing; run again")
        assert code == 1

    def test_each_number_of_epochs_is_a_study_of_its_own(
        self, run: Run, ran: list[Any], database: Database, tmp_path: Path
    ) -> None:
        (file,) = self.files(tmp_path, "iris")
        code, _, err = run("benchmark", file, "--epochs", 20, "--epochs", 10, "--storage", database.url)
        told = [
            (f"iris.{number}epochs", {"name": f"iris.{number}epochs", "training.epochs": number}) for number in (10, 20)
        ]
        assert ran == told
        assert code == 2  # as neither is stored
        assert "1/2 iris, 10 epochs: failed: study: there is no study `iris.10epochs`" in err

    def test_what_is_wrong_is_one_line(self, run: Run, tmp_path: Path) -> None:
        for words, told in (
            (["--share", "0"], "error: share: "),
            (["--epochs", "0"], "error: epochs: "),
            ([], "error: study: there are no study files in studies/collection"),
            (["a.toml", "a.toml"], "error: study: `a.toml` is named twice"),
        ):
            code, out, err = run("benchmark", *words)
            assert (code, out) == (2, "")
            assert err.startswith(told), err
            assert err.count("\n") == 1


class TestCollection:
    def test_it_has_at_least_twelve_studies_alike_whose_data_are_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        files = [read_study_file(path) for path in collected([])]
        assert len(files) >= 12
        assert [file.plan.name for file in files] == [f"collection.{file.path.stem}" for file in files]
        assert all(file.data_path.is_file() for file in files)
        assert len({file.data_path for file in files}) == len(files)
        assert len({str(file.plan.model_copy(update={"name": "", "data": None})) for file in files}) == 1

    def test_a_share_is_of_the_candidates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        benchmark = Benchmark([COLLECTION / "iris.toml"], epochs=(10,), share=0.5)
        ((name, opened),) = benchmark.studies()
        plan = opened().study_file().plan
        assert (name, plan.name) == ("iris, 10 epochs", "collection.iris.10epochs")
        assert (plan.search.trials, plan.training.epochs) == (48, 10)

    def test_a_name_means_a_file_of_the_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        assert collected(["collection/iris"]) == [COLLECTION / "iris.toml"]
        with pytest.raises(BadInput, match="is named twice"):
            collected(["collection/iris", "collection/iris"])
