"""Laws of `sweep run --server`: it ends as a run here would, and what is the server's stays there whatever happens here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweep.cli import remote_order, remote_run
from sweep.cli.remote import Client
from sweep.cli.remote_run import Drawn, follow, without_brackets
from sweep.errors import NotFound, StorageFailed
from sweep.orders.book import OrderBook
from sweep.orders.desk import StudyAnswer
from sweep.orders.order import State
from sweep.orders.pace import Pace
from sweep.plan import read_study_file
from sweep.search.database import Database
from sweep.training.worker import environment
from tests.cli import fake_sweep
from tests.cli.conftest import Run
from tests.cli.serving import ROOT, TOKENS, Serving, reply, scripted, serving, stream
from tests.fakes import make_coordinator
from tests.protocols import FEW

SMOKE = ROOT / "studies" / "smoke.toml"
DATA = ROOT / "data" / "ionosphere.csv"
PATIENCE_SECONDS = 60.0
VERDICT = "".join(f"{key} = {value}\n" for key, value in FEW.items())


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SWEEP_STORAGE", "SWEEP_SERVER", "SWEEP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEP_TOKEN", TOKENS.run)
    monkeypatch.setenv("SWEEP_REGISTRY", str(ROOT / "data" / "registry.toml"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(remote_run, "MOMENT_SECONDS", 0.05)


@pytest.fixture
def service(database: Database) -> Iterator[Serving]:
    with serving(database, fake_sweep.COMMAND) as service:
        yield service


@pytest.fixture
def book(database: Database) -> OrderBook:
    return OrderBook(database)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the smoke study with a small verdict, and pieces of its text replaced."""

    def write(*replaced: tuple[str, str], note: str = "", name: str = "smoke") -> Path:
        text = SMOKE.read_text(encoding="utf-8").replace("../data/ionosphere.csv", str(DATA))
        for old, new in (('name = "smoke"', f'name = "{name}"\nnote = "{note}"'), *replaced):
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / f"{name}.toml"
        path.write_text(f"{text}\n[verdict]\n{VERDICT}", encoding="utf-8")
        return path

    return write


def answer(**changed: Any) -> str:
    base = {"study": "smoke", "running": True, "trials": {}, "wanted": 12, "verdict": "none", "state": "running"}
    return StudyAnswer.model_validate(base | changed).model_dump_json()


class TestOrder:
    def test_a_study_is_followed_to_its_verdict(self, run: Run, service: Serving, write: Write, book: OrderBook) -> None:
        code, out, err = run("run", write(), "--server", service.address)
        assert code == 0, err
        lines = err.splitlines()
        assert lines[0] == f"study smoke: 12 candidates x 2 run seeds on {service.address}"
        assert any(re.fullmatch(r"[\w ,]+: [\d,]+/[\d,]+ trainings, .*", line) for line in lines[1:]), err
        assert out == run("compare", "smoke", "--server", service.address)[1]
        order = book.find("smoke")
        assert order is not None
        assert (order.state, order.plan.data.name, order.plan.data.file) == (State.DONE, "ionosphere", None)

    def test_again_it_trains_nothing_and_a_larger_budget_goes_on(
        self, run: Run, service: Serving, write: Write, database: Database
    ) -> None:
        path = write()
        first = run("run", path, "--server", service.address)
        code, out, err = run("run", path, "--server", service.address, "--trials", 8)
        assert (code, out) == (0, first[1])
        assert err == (
            "study smoke: the budget of 12 candidates is met and the verdict is made, nothing to train; "
            "a larger --trials continues it.\n"
        )
        code, _, err = run("run", path, "--server", service.address, "--trials", 16)
        assert code == 0, err
        assert err.startswith("study smoke: 16 candidates")
        assert '"trials":{"complete":16}' in run("status", "smoke", "--json", "--server", service.address)[1]

    def test_another_plan_under_the_name_is_refused_as_here(self, run: Run, service: Serving, write: Write) -> None:
        run("run", write(), "--server", service.address)
        code, out, err = run("run", write(("epochs = 5", "epochs = 6")), "--server", service.address)
        assert (code, out) == (2, "")
        assert err == (
            "error: training.epochs: the stored study `smoke` has 5, not 6; give the study another name.\n"
        )

    def test_a_verdict_of_ones_own_is_said_to_stay_the_servers(self, run: Run, service: Serving, write: Write) -> None:
        run("run", write(), "--server", service.address)
        changed = write(("accuracy = 0.9569", "accuracy = 0.9"))
        code, _, err = run("run", changed, "--server", service.address)
        assert code == 0
        assert err.startswith("study smoke: the server keeps its own baseline; only trials may grow there\n")

    def test_a_study_that_was_stopped_goes_on(
        self, run: Run, service: Serving, write: Write, book: OrderBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write()
        plan = read_study_file(path).plan
        named = plan.model_copy(update={"data": plan.data.model_copy(update={"file": None, "name": "ionosphere"})})
        book.place(named)
        book.stop("smoke")
        assert run("run", path, "--server", service.address)[0] == 0

    def test_a_study_that_somebody_ran_there_without_the_service_is_taken_in(
        self, run: Run, service: Serving, write: Write, book: OrderBook, database: Database
    ) -> None:
        path = write()
        read = read_study_file(path)
        make_coordinator(database, read.plan, data_sha256=remote_order.read_data(read).sha256).run()
        assert run("run", path, "--server", service.address)[0] == 0
        order = book.find("smoke")
        assert order is not None
        assert order.state is State.DONE

    def test_names_need_no_registry_here(self, service: Serving, write: Write, tmp_path: Path) -> None:
        path = write((f'file = "{DATA}"\nheader = false', 'name = "ionosphere"'))
        ended = subprocess.run(
            [sys.executable, "-m", "sweep", "run", path, "--server", service.address],
            env=os.environ | environment() | {"SWEEP_REGISTRY": str(tmp_path / "none.toml")},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("study smoke: is the best schedule really better?")


class TestRefused:
    @pytest.mark.parametrize(
        ("old", "new", "line"),
        [
            ("hidden = [8]", 'build = "a:b"', r"model\.build: cannot be given to a server; name a .* by `model\.name`\."),
            ("hidden = [8]", 'name = "mine"', r"model\.name: there is no model `mine` in the registry"),
            ("trials = 12", "trails = 12", r"search\.trails: unknown key, did you mean `search\.trials`\?"),
            ("trials = 12", "trials = 9999999", r"search\.trials: must ask for at most 10,000,000 trainings .*"),
            ("header = false", "header = false\nlabel = 34", r"data\.file: no data set .* it has: ionosphere\."),
            ("[search.schedules.constant]", '[search.schedules.function]\nfunction = "a:b"', r"search\.schedules: .*own.*"),
        ],
    )
    def test_a_study_file_that_a_server_cannot_run_is_one_line(
        self, run: Run, service: Serving, write: Write, book: OrderBook, old: str, new: str, line: str
    ) -> None:
        replaced = [(old, new), ('schedule = "constant"\n', 'schedule = "step"\ndrop = 0.5\nepochs_drop = 2\n')]
        code, out, err = run("run", write(*replaced[: 1 + ("function" in new)]), "--server", service.address)
        assert (code, out) == (2, "")
        assert re.fullmatch(f"error: {line}\n", err), err
        assert book.names() == []

    def test_data_that_the_server_does_not_have_are_refused(
        self, run: Run, service: Serving, write: Write, tmp_path: Path, book: OrderBook
    ) -> None:
        rows = DATA.read_text(encoding="utf-8")
        (tmp_path / "rows.csv").write_text(rows.replace("0.5", "0.6", 1), encoding="utf-8")
        code, _, err = run("run", write((str(DATA), "rows.csv")), "--server", service.address)
        assert code == 2
        assert err.startswith("error: data.file: no data set in the server's registry is the same file, ")
        assert book.names() == []

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["--workers", 2], "workers: .*; a server has its own number of workers."),
            (["--timeout", 2], "timeout: .*; a server goes on to the end of the budget."),
            (["--search-only"], "search-only: .*; a server always goes on to the verdict."),
            (["--supervised"], "supervised: .*; a server supervises its sweeps itself."),
        ],
    )
    def test_an_option_for_a_run_here_is_refused(self, run: Run, words: list[object], line: str) -> None:
        code, out, err = run("run", SMOKE, "--server", "http://127.0.0.1:1", *words)
        assert (code, out) == (2, "")
        assert re.fullmatch(f"error: {line}\n", err), err

    def test_a_supervised_run_heeds_no_server_of_the_environment(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_SERVER", "http://127.0.0.1:1")
        ended = subprocess.run(
            [sys.executable, "-m", "sweep", "run", "none.toml", "--supervised"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("error: study: there is no file `none.toml`")

    def test_a_readers_token_orders_nothing(
        self, run: Run, service: Serving, write: Write, book: OrderBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_TOKEN", TOKENS.read)
        code, out, err = run("run", write(), "--server", service.address)
        assert (code, out) == (2, "")
        assert err.startswith("error: token: ")
        assert book.names() == []


class TestEnds:
    def test_a_failure_is_told_with_its_reason(self, run: Run, service: Serving, write: Write) -> None:
        code, out, err = run("run", write(note="fail 2"), "--server", service.address)
        assert (code, out) == (1, "")
        assert err.splitlines()[-1] == (
            "error: the study `smoke` has failed on the server: data.file: smoke is wrong."
        )

    def test_a_crash_is_told_and_tried_again(self, run: Run, service: Serving, write: Write) -> None:
        code, _, err = run("run", write(note=f"kill {int(signal.SIGKILL)}"), "--server", service.address)
        assert code == 1
        assert "study smoke: begun again, as its process was killed by SIGKILL" in err
        assert "has failed on the server: its process was killed by SIGKILL" in err.splitlines()[-1]

    def test_a_signal_ends_the_watching_alone(self, service: Serving, write: Write, book: OrderBook) -> None:
        for name in ("first", "second"):
            path = write(note="wait", name=name)
            with subprocess.Popen(
                [sys.executable, "-m", "sweep", "run", path, "--server", service.address],
                env=os.environ | environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as client:
                assert client.stderr is not None
                said = client.stderr.readline()
                assert said == f"study {name}: 12 candidates x 2 run seeds on {service.address}\n"
                if name == "second":
                    assert client.stderr.readline().startswith("study second: queued behind others; ")
                else:
                    until(lambda: book.queued() == [])
                    time.sleep(0)
                client.send_signal(signal.SIGINT)
                out, err = client.communicate(timeout=PATIENCE_SECONDS)
            assert (client.returncode, out) == (1, "")
            assert err.splitlines()[-1] == (
                f"detached; the study {name} goes on on the server. To stop it there: "
                f"{service.address}/studies/{name}, or POST {service.address}/v1/studies/{name}/stop"
            )
        assert [order.state for order in book.orders().values()] == [State.RUNNING, State.QUEUED]

    def test_a_study_that_is_stopped_there_says_so(
        self, run: Run, service: Serving, write: Write, book: OrderBook
    ) -> None:
        plan = read_study_file(write(note="wait")).plan
        named = plan.model_copy(update={"data": plan.data.model_copy(update={"file": None, "name": "ionosphere"})})
        book.place(named)
        book.stop("smoke")
        with scripted(stream(answer(), answer(state="stopping"), answer(state="stopped"))) as server:
            study = list(follow(Client(server.address, None), "smoke", Console()))[-1]
        with pytest.raises(Exception, match="the study `smoke` is stopped on the server; run again to continue it."):
            remote_run.check_end(study)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
