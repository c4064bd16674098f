"""Laws of `sweep export`: what it writes of a stored trial reproduces that trial, without us."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from sweep.candidate import Candidate
from sweep.config.study_file import StudyFile, read_study_file
from sweep.execution.batches import Outcome
from sweep.execution.worker import ENVIRONMENT
from sweep.schedules import ClosedLoop, Schedule, Timeline
from sweep.search.session import make_spec, read_data
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.verdict.record import read_record
from tests.cli.conftest import Run
from tests.fakes import FakeTrainer, make_coordinator, opened
from tests.protocols import FEW, make_protocol

ROOT = Path(__file__).parent.parent.parent
SMOKE = (ROOT / "studies" / "smoke.toml").read_text(encoding="utf-8").replace("../data", str(ROOT / "data"))
PLATEAU = """
[search.schedules.plateau]

[[recipes]]
schedule = "plateau"
learning_rate = 0.3
momentum = 0.0
monitor = "val_loss"
factor = 0.5
patience = 1

[[recipes]]
schedule = "step"
learning_rate = 0.3
momentum = 0.6
drop = 0.5
epochs_drop = 2
"""
CONSTANT, PLATEAU_TRIAL, STEP, FOREIGN = range(4)
# Runs a script where `import sweep` fails, as it does on a stranger's machine.
ALONE = (
    "import sys, runpy; sys.modules['sweep'] = None; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass
class RightClockTrainer(FakeTrainer):
    """Answers with the rates of a training of the study's own length."""

    clock: Timeline = field(default_factory=lambda: Timeline(epochs=5, steps_per_epoch=9))

    def train(self, candidates: Sequence[Candidate], run_seeds: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        for place, outcome in super().train(candidates, run_seeds):
            yield place, replace(outcome, rate=candidates[place].schedule.rates(self.clock)[:, 0])


@dataclass(frozen=True)
class Filled:
    """A study file, and the database with its study: three trials of ours and a worse one of somebody else's."""

    study_file: StudyFile
    database: Database

    @property
    def words(self) -> tuple[str, ...]:
        """What every command line here ends with."""
        return (str(self.study_file.path), "--storage", self.database.url)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("filled")
    (folder / "study.toml").write_text(SMOKE.replace("trials = 12", "trials = 3") + PLATEAU, encoding="utf-8")
    study_file = read_study_file(folder / "study.toml")
    study_file, dataset = read_data(study_file)
    trainer = RightClockTrainer(clock=make_spec(study_file, dataset).timeline)
    with opened(folder / "studies.db") as database:
        make_coordinator(database, study_file.plan, trainer, data_sha256=dataset.sha256).run()
        study = optuna.load_study(storage=database.storage, study_name="smoke")
        study.add_trial(optuna.create_trial(value=0.0))
        yield Filled(study_file, database)


def stored_rates(filled: Filled, trial: int) -> list[float]:
    study = optuna.load_study(storage=filled.database.storage, study_name="smoke")
    rates: list[float] = study.trials[trial].user_attrs["curves"]["rate"]
    return rates


def run_alone(script: Path, *words: str) -> str:
    command = [sys.executable, "-I", "-c", ALONE, str(script), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


class TestScript:
    def test_it_reproduces_the_stored_rates_where_there_is_no_sweep(
        self, run: Run, filled: Filled, tmp_path: Path
    ) -> None:
        assert run("export", *filled.words, "--out", "best.py") == (0, "", "")
        history = json.loads(run_alone(tmp_path / "best.py", "--json"))
        assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
        np.testing.assert_allclose(history["learning_rate"], stored_rates(filled, STEP), rtol=1e-12)

    def test_a_closed_loop_one_answers_to_its_own_training_and_prints_a_line_for_each_epoch(
        self,
        run: Run,
        filled: Filled,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        code, script, err = run("export", *filled.words, "--trial", PLATEAU_TRIAL)
        assert (code, err) == (0, "")
        (tmp_path / "plateau.py").write_text(script, encoding="utf-8")
        data = str(filled.study_file.data_path)
        monkeypatch.setattr(sys, "argv", ["plateau.py", data, "--seed", "3"])
        runpy.run_path(str(tmp_path / "plateau.py"), run_name="__main__")
        *epochs, last = capsys.readouterr().out.splitlines()
        told = [dict(re.findall(r"(\w+): ([-+.\de]+)", line)) for line in epochs]
        plateau = Candidate.model_validate({"schedule": read_exported(run, filled, PLATEAU_TRIAL)}).schedule
        assert isinstance(plateau, ClosedLoop)
        expected = plateau.rates(Timeline(epochs=5, steps_per_epoch=9), [float(one["val_loss"]) for one in told])
        np.testing.assert_allclose([float(one["learning_rate"]) for one in told], expected[:, 0], rtol=1e-3)
        assert re.fullmatch(r"validation accuracy: \d+\.\d\d%, \d+ of 116 rows", last)


def read_exported(run: Run, filled: Filled, trial: int) -> Schedule:
    code, out, err = run("export", *filled.words, "--as", "json", "--trial", trial)
    assert (code, err) == (0, "")
    return Schedule.from_json(out)


class TestJson:
    def test_it_is_the_best_trial_as_data(self, run: Run, filled: Filled) -> None:
        code, out, err = run("export", *filled.words, "--as", "json")
        assert (code, err) == (0, "")
        told = json.loads(out)
        assert 0 < told.pop("value") < 1
        assert told == {
            "study": "smoke",
            "trial": STEP,
            "found_in": "smoke",
            "standing": "best",
            "new_value": None,
            "schedule": {
                "name": "step",
                "learning_rate": 0.3,
                "warmup": 0.0,
                "floor": 0.0,
                "drop": 0.5,
                "epochs_drop": 2,
            },
            "momentum": 0.6,
            "nesterov": False,
            "optimizer": {"name": "sgd", "layer_rates": {}, "layer_decay": None},
            "epochs": 5,
            "steps_per_epoch": 9,
            "batch_size": 28,
        }

    def test_a_schedule_reads_it_back(self, run: Run, filled: Filled) -> None:
        for trial in (CONSTANT, PLATEAU_TRIAL, STEP):
            rates = read_exported(run, filled, trial).rates(Timeline(epochs=5, steps_per_epoch=9))
            assert rates[:, 0].tolist() == stored_rates(filled, trial)


class TestModel:
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras reads as for NumPy 1
    def test_it_is_a_network_that_plain_keras_loads_and_that_scores_what_was_told(
        self, run: Run, filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
        (tmp_path / "best.keras").write_text("an old file", encoding="utf-8")
        code, out, err = run("export", *filled.words, "--as", "model", "--out", "best.keras")
        assert (code, err) == (0, "")
        told = re.match(r"validation accuracy: [\d.]+%, (\d+) of 116 rows, by the seed 0\n", out)
        assert told
        assert out.endswith(
            "\nit takes an array [rows, 34] with the file's numbers: column 1, column 2, column 3, column 4, "
            "column 5, 29 more\n"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["best.keras"]
        with zipfile.ZipFile(tmp_path / "best.keras") as archive:
            assert b"sweep" not in archive.read("config.json")
        assert count_right(tmp_path / "best.keras", filled) == int(told[1])


def count_right(path: Path, filled: Filled) -> int:
    import keras

    model = keras.models.load_model(path)
    problem = make_spec(*read_data(filled.study_file))
    taken = model.predict(problem.split.validation_inputs, verbose=0)[:, 0] > 0.5
    return int((taken == problem.split.validation_targets).sum())


class TestErrors:
    def test_a_bad_option_is_one_line_that_names_it(
        self, run: Run, filled: Filled, tmp_path: Path, subtests: pytest.Subtests
    ) -> None:
        for words, line in (
            (["--as", "modle"], r"as: must be keras, json or model, got `modle`, did you mean `model`\?"),
            (["--as", "model"], r"out: is missing; a network needs --out FILE\.keras\."),
            (["--as", "model", "--out", "best.h5"], r"out: must end in \.keras, got `best\.h5`\."),
            (["--out", "none/best.py"], r"out: must be in a folder that exists, got `none/best\.py`\."),
            (["--out", "."], r"out: must be a file, got the folder `\.`\."),
            (["--trial", 99], r"trial: must be the number of a finished trial of `smoke`, got 99\."),
            (["--trial", -1], r"trial: must be the number of a finished trial of `smoke`, got -1\."),
            (["--trial", "one"], r"trial: .*integer.*"),
            (["--trial", FOREIGN], r"trial: trial 3 of `smoke` has no schedule; something else made it\."),
        ):
            with subtests.test(line):
                code, out, err = run("export", *filled.words, *words)
                assert (code, out) == (2, "")
                assert re.fullmatch(f"error: {line}\n", err), err
        assert list(tmp_path.iterdir()) == []

    def test_a_study_without_trials_says_so(self, run: Run, filled: Filled, tmp_path: Path) -> None:
        (tmp_path / "new.toml").write_text(SMOKE.replace('"smoke"', '"new"'), encoding="utf-8")
        optuna.create_study(storage=filled.database.storage, study_name="new", direction="maximize")
        code, out, err = run("export", "new.toml", "--storage", filled.database.url)
        assert (code, out, err) == (3, "", "error: the study `new` has no finished trial yet.\n")

    def test_a_name_without_its_study_file_says_what_to_give(self, run: Run, filled: Filled) -> None:
        code, out, err = run("export", "smoke", "--storage", filled.database.url)
        assert (code, out) == (2, "")
        assert err == (
            "error: study: `smoke` is in the database; its study file is needed too, and is not studies/smoke.toml: "
            "give that file in place of the name.\n"
        )

    def test_a_missing_database_says_so(self, run: Run, filled: Filled) -> None:
        code, out, err = run("export", str(filled.study_file.path), "--storage", "sqlite:///none.db")
        assert (code, out) == (3, "")
        assert re.fullmatch(r"error: there is no database .*\n", err)

    def test_data_that_have_changed_are_refused(self, run: Run, filled: Filled, tmp_path: Path) -> None:
        rows = filled.study_file.data_path.read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "ionosphere.csv").write_text("".join(rows[1:]), encoding="utf-8")
        plan = filled.study_file.plan
        moved = filled.study_file.path.read_text(encoding="utf-8").replace(str(plan.data.file), "data/ionosphere.csv")
        (tmp_path / "study.toml").write_text(moved, encoding="utf-8")
        code, out, err = run("export", "study.toml", "--storage", filled.database.url)
        assert (code, out) == (2, "")
        assert err == "error: data.file: it has changed since the study `smoke` was begun.\n"


class TestVerdict:
    def test_what_it_recommends_is_exported_or_its_winner(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "study.toml"
        table = "\n".join(f"{key} = {value}" for key, value in FEW.items())
        path.write_text(SMOKE + f"\n[verdict]\n{table}\n", encoding="utf-8")
        study_file = read_study_file(path)
        with opened(tmp_path / "studies.db") as database:
            settled, dataset = read_data(study_file)
            make_protocol(database, settled.plan, dataset=dataset).run()
            record = read_record(StoredStudy(database, "smoke"))
            assert record is not None
            assert record.advice is not None
            words = ("export", str(path), "--storage", database.url)
            advised = record.winner if record.advice.role == "winner" else record.constant
            for entry, more, said in (
                (advised, (), ", which the verdict recommends, got "),
                (record.winner, ("--winner",), ", the winner among 12, got "),
            ):
                code, out, err = run(*words, *more, "--as", "json")
                assert (code, err) == (0, "")
                found = json.loads(out)
                assert (found["trial"], found["found_in"]) == (entry.contender.trial, entry.contender.study)
                assert found["value"] == pytest.approx(entry.confirmation.correct_mean / 116)
                told = " ".join(run(*words, *more)[1].split())
                assert f"Trial {entry.contender.trial}" in told
                assert said in told
                assert "in 8 runs that had no part in choosing it" in told
            code, out, err = run(*words, "--winner", "--trial", "1")
        assert (code, out, err) == (2, "", "error: winner: cannot be asked for with --trial 1.\n")
