"""Laws of `sweep train`: what it prints, refuses, keeps and continues."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from sweep.candidate import from_params
from sweep.cli import main
from sweep.cli.train import TrainOptions, flatten, interruptible, same_start, sole_trainer
from sweep.errors import BadInput, TrainingFailed
from sweep.fit.checkpoint import FILE, Checkpoint, Snapshot
from sweep.schedules import Timeline

if TYPE_CHECKING:
    from sweep.fit.training import Request

ROOT = Path(__file__).parent.parent.parent
SMOKE = ROOT / "studies" / "smoke.toml"
TIME = ("--schedule", "time", "--learning-rate", "0.1", "--decay", "0.02", "--momentum", "0.8")
REST = ("--epochs", "8", "--batch-size", "47", "--seed", "5")
ONE_CYCLE = ("--schedule", "one_cycle", "--learning-rate", "0.1", "--momentum", "0.9")


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: list[str]
    err: str


Sweep = Callable[..., Ended]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Sweep:
    """Run `sweep train` on the smoke study in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, study: Path = SMOKE) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sweep", "train", str(study), *map(str, words)])
        with pytest.raises(SystemExit) as raised:
            main()
        captured = capfd.readouterr()
        assert isinstance(raised.value.code, int)
        return Ended(raised.value.code, captured.out.splitlines(), captured.err)

    return run


@pytest.fixture(scope="module")
def whole() -> list[str]:
    """Train once for all tests, and return what is printed."""
    options: dict[str, Any] = {"momentum": 0.8, "nesterov": True, "epochs": 8, "batch_size": 47, "seed": 5}
    unset: dict[str, Any] = dict.fromkeys(("schedule_file", "save", "tensorboard", "checkpoint", "stop_after"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        parameters = {"learning_rate": 0.1, "decay": 0.02}
        TrainOptions(schedule="time", resume=False, **options, **unset).train(SMOKE, parameters)
    return printed.getvalue().splitlines()


def refused(ended: Ended) -> str:
    """Return the one line that a refused command leaves."""
    assert (ended.code, ended.out) == (2, [])
    (line,) = ended.err.splitlines()
    return line


class TestTraining:
    def test_it_prints_every_epoch_then_the_final_and_the_best(self, whole: list[str]) -> None:
        beginnings = ["Epoch 1/8 - loss: 0.", *(f"Epoch {epoch}/8 - " for epoch in range(2, 9))]
        beginnings += ["final: epoch 8 - loss", "best: epoch "]
        assert all(line.startswith(wanted) for line, wanted in zip(whole, beginnings, strict=True))
        assert [line[-21:] for line in whole[:3]] == [
            f"learning_rate: {rate}" for rate in ("0.1000", "0.0980", "0.0962")
        ]

    def test_a_schedule_file_means_the_same_as_its_options(
        self, sweep: Sweep, tmp_path: Path, whole: list[str]
    ) -> None:
        schedule = {"name": "time", "learning_rate": 0.1, "decay": 0.02}
        (tmp_path / "best.json").write_text(json.dumps({"schedule": schedule, "momentum": 0.8, "nesterov": True}))
        assert sweep("--schedule-file", "best.json", *REST).out == whole

    def test_a_schedule_file_from_another_training_is_said_to_be(
        self, sweep: Sweep, tmp_path: Path, requests: list[Request]
    ) -> None:
        document = {"name": "constant", "learning_rate": 0.1}
        around = {"schedule": document, "epochs": 5, "batch_size": 47, "optimizer": {"name": "adam"}, "value": 0.9}
        (tmp_path / "best.json").write_text(json.dumps(around))
        notes = sweep("--schedule-file", "best.json").out
        beginning = "note: the schedule comes from a training with"
        assert notes[0] == f"{beginning} batch_size 47, this one has 28."
        assert notes[1].startswith(f"{beginning} optimizer {{'name': 'adam'}}, this one has {{")
        assert len(requests) == 1

    def test_beta_1_is_that_of_keras_if_nobody_says(
        self, sweep: Sweep, tmp_path: Path, requests: list[Request]
    ) -> None:
        data = f'file = "{ROOT / "data" / "ionosphere.csv"}"'
        text = SMOKE.read_text().replace('file = "../data/ionosphere.csv"', data)
        (tmp_path / "adam.toml").write_text(text + '\n[optimizer]\nname = "adam"\n')
        words = ("--schedule", "constant", "--learning-rate", "0.01", "--epochs", "1")
        for more in ((), ("--momentum", "0.8")):
            assert sweep(*words, *more, study=tmp_path / "adam.toml").code == 0
        assert [request.candidate.momentum for request in requests] == [0.9, 0.8]
        (line,) = sweep(*words, "--nesterov", study=tmp_path / "adam.toml").err.splitlines()
        assert line == "error: nesterov: only the optimizer sgd can look ahead, not adam."


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Keep what is to be trained, and train nothing; a checkpoint says that it has been trained."""
    from sweep.fit import training  # TensorFlow takes seconds

    kept: list[Request] = []

    def train_nothing(request: Request, _say: object) -> None:
        kept.append(request)
        if request.checkpoint is not None:
            empty, curves = Snapshot((), ()), {"loss": [1.0] * request.end_epoch}
            Checkpoint(request.setting, request.spec.epochs, curves, {}, empty, empty).write(request.checkpoint)

    monkeypatch.setattr(training, "train", train_nothing)
    return kept


class TestContinuing:
    @pytest.mark.parametrize(("schedule", "said"), [(ONE_CYCLE, True), (TIME, False)], ids=["one_cycle", "time"])
    def test_a_larger_budget_is_allowed_and_said_if_it_changes_the_past(
        self, schedule: tuple[str, ...], said: bool, sweep: Sweep, requests: list[Request]
    ) -> None:
        sweep(*schedule, "--checkpoint", "kept", "--epochs", 2)
        ended = sweep(*schedule, "--checkpoint", "kept", "--epochs", 3, "--resume")
        assert ended.code == 0
        resumed = requests[1].resumed
        assert resumed is not None
        assert (requests[1].end_epoch, resumed.trained) == (3, 2)
        note = (
            "note: under a budget of 3 epochs the first 2 would have been trained with other rates "
            "than they were under 2; they stay as they are."
        )
        assert ended.out == [note] * said

    def test_one_that_is_killed_or_stopped_is_continued_from_the_last_whole_epoch(
        self, sweep: Sweep, tmp_path: Path, whole: list[str]
    ) -> None:
        words = [*TIME, "--nesterov", *REST, "--checkpoint", "killed"]
        command = [sys.executable, "-m", "sweep", "train", str(SMOKE), *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("Epoch 3/"):
                    process.send_signal(signal.SIGKILL)
                    break
            assert process.wait(30) == -signal.SIGKILL
        trained = Checkpoint.read(tmp_path / "killed").trained
        assert 2 <= trained < 7
        stopped, ended = (sweep(*words, "--resume", *more) for more in (("--stop-after", 7), ()))
        assert (stopped.code, ended.code, ended.err) == (0, 0, "")
        assert [*whole[:trained], *stopped.out[: 7 - trained], *ended.out] == whole


def test_a_schedule_file_of_keras_is_read_for_the_studys_training(
    sweep: Sweep, requests: list[Request], tmp_path: Path
) -> None:
    config = {"initial_learning_rate": 0.1, "decay_steps": 6, "alpha": 0.1}
    document = json.dumps({"class_name": "CosineDecay", "config": config})
    (tmp_path / "keras.json").write_text(document, encoding="utf-8")
    ended = sweep("--schedule-file", "keras.json", "--epochs", 2)
    (request,) = requests
    assert ended.out[0].startswith("note: Keras' schedule is read as {")
    rates = request.candidate.schedule.rates(request.spec.timeline).ravel()
    assert rates[0] == 0.1
    assert rates[6] == pytest.approx(0.01)


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "schedule: is missing; give --schedule NAME or --schedule-file FILE."),
            (("--schedule", "stepp"), "schedule: there is no schedule `stepp`"),
            (("--schedule", "step", "--learning-rate", "0.1"), "drop: is missing; give --drop"),
            ((*TIME, "--dekay", "1"), "dekay: --dekay is no parameter of time, did you mean `--decay`?"),
            ((*TIME, "--epochs", "0"), "training.epochs: must be greater than or equal to 1, got 0."),
            ((*TIME, "--epochs", "-1"), "training.epochs: must be greater than or equal to 1, got -1."),
            ((*TIME, "--batch-size", "0"), "training.batch_size: must be greater than or equal to 1, got 0."),
            ((*TIME, "--warmup", "1"), "warmup: must be less than 1, got 1"),
            ((*TIME, "--seed", "-1"), "seed: must be from 0 to 4294967295, got -1."),
            ((*TIME, "--momentum", "1"), "momentum: must be less than 1, got 1"),
            (("--schedule", "time", "--learning-rate", "nan"), "learning_rate: must be a finite number, got nan."),
            (("--schedule", "time", "--learning-rate", "0.1", "--decay", "-1"), "decay: must be greater than or equal"),
            (("--schedule", "plateau", "--learning-rate", "0.1", "--monitor", "f1"), "monitor: must be 'loss', "),
            ((*TIME, "other"), "command line: there must be one study, got "),
            ((*TIME, "--schedule-file", "x.json"), "schedule: give either --schedule or --schedule-file, not both."),
            (("--schedule-file", "x.json"), "schedule-file: `x.json` cannot be read: "),
            (("--schedule-file", "x.json", "--drop", "1"), "drop: --drop goes with --schedule"),
            ((*TIME, "--resume"), "resume: needs --checkpoint DIR, the folder to continue from."),
            ((*TIME, "--resume", "--checkpoint", "no"), "resume: there is no checkpoint in `no`"),
            ((*TIME, "--stop-after", "0"), "stop-after: must be at least 1 and at most the budget of 5, got 0."),
            ((*TIME, "--stop-after", "6"), "stop-after: must be at least 1 and at most the budget of 5, got 6."),
            ((*TIME, "--save", "best.h5"), "save: must end in `.keras`, got `best.h5`."),
            ((*TIME, "--save", "no/best.keras"), "save: must be in a folder that exists, got `no/best.keras`."),
        ],
    )
    def test_bad_input_is_one_line_that_names_it(self, words: tuple[str, ...], message: str, sweep: Sweep) -> None:
        assert refused(sweep(*words)).startswith(f"error: {message}")

    def test_a_drop_above_one_is_refused(self, sweep: Sweep) -> None:
        words = ("--schedule", "step", "--learning-rate", "0.1", "--epochs-drop", "10", "--drop", "1.5")
        assert refused(sweep(*words)) == "error: drop: must be less than or equal to 1, got 1.5."

    def test_a_file_in_a_folders_place_is_refused(self, sweep: Sweep, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert (
            refused(sweep(*TIME, "--checkpoint", "file")) == "error: checkpoint: must be a folder, got the file `file`."
        )

    def test_a_checkpoint_is_neither_overwritten_nor_continued_as_another_training(
        self, sweep: Sweep, requests: list[Request]
    ) -> None:
        sweep(*TIME, "--checkpoint", "kept", "--stop-after", 1)
        assert refused(sweep(*TIME, "--checkpoint", "kept")) == (
            "error: checkpoint: `kept` holds a training already; continue it with --resume, or name another folder."
        )
        resume = (*TIME, "--checkpoint", "kept", "--resume")
        for words, message in {
            ("--decay", "0.1"): "decay: --decay is given twice.",
            ("--warmup", "0.1"): "schedule.warmup: must be as in the checkpoint, 0.0, got 0.1.",
            ("--batch-size", "7"): "batch_size: must be as in the checkpoint, 28, got 7.",
            ("--seed", "1"): "seed: must be as in the checkpoint, 0, got 1.",
            ("--epochs", "4"): "epochs: must be at least the checkpoint's 5, got 4.",
            (
                "--stop-after",
                "1",
            ): "stop-after: must be above the epochs already trained, 1, and at most the budget of 5, got 1.",
        }.items():
            assert refused(sweep(*resume, *words)).startswith(f"error: {message}")

    def test_they_come_before_tensorflow(self, tmp_path: Path) -> None:
        script = (
            "import sys; from sweep.cli import main\n"
            f"sys.argv = ['sweep', 'train', {str(SMOKE)!r}, *{TIME!r}, '--resume', '--checkpoint', {str(tmp_path)!r}]\n"
            "try: main()\nexcept SystemExit as end: print(end.code, {'tensorflow', 'keras'} & sys.modules.keys())\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
        assert ended.stdout == "2 set()\n"


def test_an_interruption_says_how_to_continue(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    how = "stopped; run again with --resume to continue.\n"
    for folder, line in ((tmp_path, how), (tmp_path / "empty", "stopped.\n"), (None, "stopped.\n")):
        with pytest.raises(typer.Exit, match="1"), interruptible(folder):
            raise KeyboardInterrupt
        assert capsys.readouterr().err == line


def test_a_disk_that_is_full_is_one_line() -> None:
    with pytest.raises(TrainingFailed, match="a file cannot be written: no space left"), interruptible(None):
        raise OSError("no space left")


def test_nested_settings_are_told_apart_by_dotted_name() -> None:
    assert flatten({"a": {"b": [1, 2], "c": None}, "d": 0.5}) == {"a.b": "[1, 2]", "a.c": None, "d": 0.5}


@pytest.mark.parametrize(
    ("schedule", "same"),
    [("constant", True), ("plateau", True), ("time", False), ("one_cycle", False), ("linear", False)],
)
def test_a_budget_matters_to_schedules_that_reckon_with_it(schedule: str, same: bool) -> None:
    candidate = from_params({"schedule": schedule, "learning_rate": 0.1, "momentum": 0.9})
    before, after = (Timeline(epochs=epochs, steps_per_epoch=3) for epochs in (10, 20))
    assert same_start(candidate, before, after, epochs=5) is same


class TestPlaces:
    """What is to be written has its place before anything is trained."""

    def test_what_cannot_be_written_is_told_first(self, sweep: Sweep, tmp_path: Path) -> None:
        Path("a_file").touch()
        for option, place, message in (
            ("--save", "/proc/best.keras", "save: `/proc/best.keras` cannot be written: "),
            ("--tensorboard", "a_file/logs", "tensorboard: `a_file/logs` cannot be made a folder: "),
            ("--checkpoint", "a_file/kept", "checkpoint: `a_file/kept` cannot be made a folder: "),
        ):
            assert refused(sweep(*TIME, option, place)).startswith(f"error: {message}")

    def test_a_checkpoint_has_one_training_at_a_time(self, tmp_path: Path) -> None:
        with (
            sole_trainer(tmp_path),
            pytest.raises(BadInput, match=r"^checkpoint: another training is writing"),
            sole_trainer(tmp_path),
        ):
            raise AssertionError
