"""Laws of `sweep run` with real trainers: whatever ends it, the next run completes the study.

Each start loads TensorFlow, which takes seconds, so a test here ends several processes one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from sweep.jobs.queue import Progress
from tests.cli.conftest import Run
from tests.engines.on_jax import IN_HASTE
from tests.protocols import FEW

ROOT = Path(__file__).parent.parent.parent
SMOKE = ROOT / "studies" / "smoke.toml"
ANNOUNCEMENT = "study smoke:"
TRIALS = 8
STOP_SECONDS = 20  # with room for a busy machine
STORED_TRIALS = "SELECT COUNT(*) FROM trials"
GONE_SECONDS = 60  # a trainer that is compiling notices only then that its coordinator is dead


linux_only = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds trainers by /proc")


@contextlib.contextmanager
def started(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the study beside the database as a supervisor does."""
    words = [str(file.with_name("study.toml")), "--supervised", "--workers", "1", "--storage", f"sqlite:///{file}"]
    with subprocess.Popen(
        [sys.executable, "-m", "sweep", "run", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that it can end the trainers, too
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(stream: IO[str] | None, beginning: str) -> str:
    """Read lines until one begins as wanted, and return it."""
    assert stream is not None
    lines = []
    for line in stream:
        lines.append(line)
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the process ended without `{beginning}`: {lines}")


def table() -> dict[int, tuple[int, str]]:
    """Return the parent and the state of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
            found[int(stat.parent.name)] = (int(parent), state)
    return found


def children(parent: int) -> set[int]:
    return {process for process, (its_parent, _) in table().items() if its_parent == parent}


def alive(processes: set[int]) -> set[int]:
    """Return those that still run; a dead one that nobody has waited for does not."""
    return {process for process, (_, state) in table().items() if process in processes and state != "Z"}


def assert_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while alive(processes):
        assert time.monotonic() < deadline, f"still running: {alive(processes)}"
        time.sleep(0.05)


def ask(file: Path, query: str) -> list[tuple[object, ...]]:
    """Ask a copy: opening the file itself for writing would undo what a killed process left half done."""
    with tempfile.TemporaryDirectory() as folder:
        for part in (file, file.with_name(f"{file.name}-journal")):
            if part.is_file():
                shutil.copy(part, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / file.name)) as connection:
            return connection.execute(query).fetchall()


def states(file: Path) -> dict[object, object]:
    return dict(ask(file, "SELECT state, COUNT(*) FROM trials GROUP BY state"))  # type: ignore[arg-type]  # two columns


def assert_whole(file: Path) -> None:
    """Check that the study has its budget, each position once, every trial with its parts, and nothing else."""
    assert ask(file, "PRAGMA integrity_check") == [("ok",)]
    ((every,),) = ask(file, STORED_TRIALS)
    assert states(file) == {"COMPLETE": every}
    for table in ("trial_values", "trial_params", "trial_user_attributes"):
        assert ask(file, f"SELECT COUNT(DISTINCT trial_id) FROM {table}") == [(every,)]
    own = "trials WHERE study_id = (SELECT study_id FROM studies WHERE study_name = 'smoke')"
    places = "SELECT CAST(value_json AS INTEGER) FROM trial_user_attributes WHERE key = 'position' AND trial_id IN"
    for query in (f"SELECT number FROM {own}", f"{places} (SELECT trial_id FROM {own})"):
        assert sorted(ask(file, query)) == [(number,) for number in range(TRIALS)]


def wait_for(file: Path, query: str, fewest: int) -> None:
    """Wait until a query that counts has counted so many in the database of a running process."""
    deadline = time.monotonic() + GONE_SECONDS
    while counted(file, query) < fewest:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(file: Path, query: str) -> int:
    """Count by a connection that cannot write; 0 while there is no file, no table, or a journal to be rolled back."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def record(file: Path) -> str:
    """Return the verdict's runs as they are stored, without what depends on the clock."""
    ((told,),) = ask(file, "SELECT value_json FROM study_system_attributes WHERE key LIKE 'sweep:%'")
    return re.sub(r'"(seconds|trial)":[\d.]+', "", str(told))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write the smoke study, smaller, and name its database beside it."""
    text = SMOKE.read_text(encoding="utf-8").replace("../data", str(ROOT / "data"))
    verdict = "\n".join(f"{key} = {value}" for key, value in FEW.items())
    small = text.replace("trials = 12", f"trials = {TRIALS}")
    (tmp_path / "study.toml").write_text(f"{small}\n[verdict]\n{verdict}\n", encoding="utf-8")
    return tmp_path / "studies.db"


@linux_only
def test_whatever_ends_a_run_the_next_one_completes_it_with_the_same_verdict(
    file: Path, tmp_path: Path, run: Run, subtests: pytest.Subtests
) -> None:
    """Ctrl-C comes while trainers start, SIGKILL in the search, the supervisor's end in the race; one run has none."""
    for end, query in (
        ("Ctrl-C", ""),
        ("SIGKILL", STORED_TRIALS),
        ("supervisor", "SELECT COUNT(*) FROM study_system_attributes WHERE key = 'sweep:part:race 1'"),
    ):
        with started(file) as process, subtests.test(end):
            assert process.stdin is not None
            assert process.stderr is not None
            said(process.stderr, ANNOUNCEMENT)
            if end == "Ctrl-C":
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: coordinator and trainers alike
                assert process.wait(STOP_SECONDS) == 1
                assert "Traceback" not in process.stderr.read()
                assert states(file).keys() <= {"COMPLETE"}
                continue
            wait_for(file, query, 1)
            trainers = children(process.pid)
            assert trainers
            if end == "supervisor":
                process.stdin.close()  # as the system does for a process that dies
                assert process.wait(STOP_SECONDS) == 1
                assert "what is finished is stored" in process.stderr.read()
            else:
                process.kill()
                assert process.wait(STOP_SECONDS) == -signal.SIGKILL
            assert_gone(trainers)
            assert states(file).keys() <= {"COMPLETE"}
            if end == "supervisor":  # a killed one may have had no time to print how far it was
                assert process.stdout is not None
                progress = [Progress.model_validate_json(line) for line in process.stdout]
                assert {each.part for each in progress} >= {"schedules"}
                assert any(each.best.startswith("best ") for each in progress)
    urls = [f"sqlite:///{place}" for place in (file, tmp_path / "whole.db")]
    ended, whole = (run("run", "study.toml", "--workers", 1, "--storage", url) for url in urls)
    assert ended[:2] == whole[:2]
    assert record(file) == record(tmp_path / "whole.db")
    assert_whole(file)
    code, out, err = run("run", "study.toml", "--storage", urls[0])
    assert (code, out) == ended[:2]
    assert f"the budget of {TRIALS} candidates is met and the verdict is made" in err


WIDE = """
name = "wide"
data = { file = "wide.csv", label = "y", scale = "none" }
split = { kind = "stratified", fraction = 0.4 }
model = { hidden = [4] }
training = { epochs = 3 }
search = { trials = 4, replicates = 2, schedules = { constant = {}, step = {} } }
[verdict]
finalists = 2
selection_seeds = 6
confirmation_seeds = 6
splits = 2
split_seeds = 2
most_splits = 2
nested = 0
"""


def test_an_input_of_millions_teaches_nothing_and_the_run_says_so_first(run: Run, tmp_path: Path) -> None:
    drawn = random.Random(0)
    rows = [(drawn.gauss(0, 1), drawn.gauss(3e6, 1e6)) for _ in range(100)]
    lines = [f"{small:.3f},{large:.0f},{'yes' if small > 0 else 'no'}" for small, large in rows]
    (tmp_path / "wide.csv").write_text("\n".join(["small,large,y", *lines]), encoding="utf-8")
    (tmp_path / "wide.toml").write_text(WIDE, encoding="utf-8")
    storage = f"sqlite:///{tmp_path}/wide.db"
    code, out, _ = run("run", "wide.toml", "--workers", "1", "--storage", storage)
    said = " ".join(out.split())
    assert code == 5
    assert said.startswith("study wide: which learning-rate schedule, and is it really better? No candidate learned: ")
    assert re.search(r"Why: large has values of about 3\d{6}, and nothing is scaled. To change: data.scale", said)
    assert "On these rows: nothing learned." in said
    assert run("compare", "wide", "--storage", storage, "--json")[0] == 5


def test_a_model_that_cannot_be_trained_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    text = SMOKE.read_text(encoding="utf-8").replace("../data", str(ROOT / "data"))
    own = '[model]\nbuild = "tests.engines.models:unknown_loss"\n'
    (tmp_path / "study.toml").write_text(re.sub(r"\[model\]\n(?:.+\n)*", own, text), encoding="utf-8")
    code, out, err = run("run", "study.toml", "--workers", "1", "--storage", f"sqlite:///{tmp_path}/studies.db")
    assert (code, out) == (2, "")
    assert (
        err == "error: model.build: the model is compiled with the loss 'crossentropie', which Keras does not know.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_time_budget_that_is_too_short_leaves_nothing_and_one_that_is_long_changes_nothing(
    file: Path, tmp_path: Path, run: Run
) -> None:
    words = ("run", "study.toml", "--workers", "1", "--storage", f"sqlite:///{file}")
    code, out, err = run(*words, "--budget", "0.5s")
    assert (code, out) == (2, "")
    assert re.fullmatch(
        r"error: search\.budget: must be at least about \d+ s, got 0\.5 s; the least that means anything is "
        r"8 trials, 2 run seeds, 2 of 3 finalists, 6 of 12 race seeds, .*, 6 re-splits, 2 run seeds on each\.",
        err.splitlines()[-1].replace("all ", ""),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
    began = time.monotonic()
    code, out, err = run(*words, "--budget", "10m")
    assert time.monotonic() - began < 600
    assert code == 0
    assert "budget of 10 min: the whole study fits, in about " in err
    assert "time budget" not in out
    assert "nothing to train" in run(*words)[2]


def heads() -> Any:
    """Return the targets of two outputs, as a study's `data.function` does."""
    x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    return x, {"kind": (x[:, 0] > 0).astype(int) + (x[:, 1] > 0), "size": x[:, 2:]}


def test_a_model_of_several_outputs_comes_to_a_verdict(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, value in IN_HASTE.items():
        monkeypatch.setenv(name, value)
    study = tmp_path / "heads.toml"
    study.write_text(
        f'name = "heads"\ndata.function = "{__name__}:heads"\nmodel.build = "tests.engines.models:heads"\n'
        "[training]\nepochs = 2\nbatch_size = 20\n[search]\ntrials = 4\nreplicates = 2\n"
        "[search.schedules]\nconstant = {}\nstep = {}\n"
        "[verdict]\nfinalists = 2\nselection_seeds = 2\nconfirmation_seeds = 6\nsplits = 2\n"
        "split_seeds = 2\nmost_splits = 2\nnested = 0\n"
    )
    code, out, told_before = run("run", study, "--workers", "1")
    assert code == 0
    assert "data: rows are drawn at random, since several outputs have no classes" in told_before
    assert "engine: population (jax)" in told_before
    assert re.search(r"On the splits of the search: .* [Tt]he loss is", out)
    told = json.loads(run("best", study, "--json")[1])
    assert (told["metric"], len(told["best"])) == ("loss", 4)
    verdict = json.loads(run("compare", study, "--json")[1])
    assert verdict["winner"]["by_metric"] == {"loss": pytest.approx(verdict["winner"]["score"])}
    assert (verdict["learned"], verdict["uninformed"]) == (True, None)
    assert run("report", study, "--out", tmp_path / "heads.html")[0] == 0
    assert "The loss after the last epoch: winner" in (tmp_path / "heads.html").read_text()
    assert json.loads(run("export", study, "--as", "json")[1])["epochs"] == 2
    assert run("export", study)[::2] == (
        2,
        "error: as: must be json or model, since no script reads a function's rows yet.\n",
    )
