"""Laws of `sweep run --server`: it ends as a run here would, and the study stays the server's whatever happens here."""

from __future__ import annotations

import io
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweep.cli import run_remote
from sweep.cli.run_remote import Watcher
from sweep.client import submit
from sweep.client.http import Client
from sweep.config.plan import DataPlan, Plan
from sweep.config.registry import Registry
from sweep.config.study_file import read_study_file
from sweep.errors import BadInput, NotFound, StorageFailed
from sweep.jobs.queue import JOBS, JobQueue, JobState, Progress
from sweep.jobs.studies import StudyAnswer
from sweep.search.session import read_data
from sweep.store.database import Database
from tests.cli import fake_sweep
from tests.cli.conftest import Run
from tests.cli.serving import ROOT, TOKENS, Serving, reply, scripted, serving, stream
from tests.fakes import READING, dataset_answer, make_coordinator
from tests.protocols import FEW

SMOKE = ROOT / "studies" / "smoke.toml"
DATA = ROOT / "data" / "ionosphere.csv"
CONSOLE = Console(file=io.StringIO())
PATIENCE_SECONDS = 60.0
VERDICT = "".join(f"{key} = {value}\n" for key, value in FEW.items())


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SWEEP_STORAGE", "SWEEP_SERVER", "SWEEP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEP_TOKEN", TOKENS.run)
    monkeypatch.setenv("SWEEP_REGISTRY", str(ROOT / "data" / "registry.toml"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(run_remote, "MOMENT_SECONDS", 0.02)
    monkeypatch.setattr(run_remote, "MOMENTS", 50)


@pytest.fixture
def service(database: Database) -> Iterator[Serving]:
    with serving(database, fake_sweep.COMMAND) as service:
        yield service


@pytest.fixture
def book(database: Database) -> JobQueue:
    return JobQueue(database)


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


def named(path: Path) -> Plan:
    """Return a study file's plan as the service keeps it."""
    settled = read_data(read_study_file(path))[0].plan
    return settled.model_copy(update={"data": DataPlan(name="ionosphere", **settled.data.keys.model_dump())})


class TestOrder:
    def test_a_study_is_followed_to_its_verdict_then_trains_nothing_and_a_larger_budget_goes_on(
        self, run: Run, service: Serving, write: Write, book: JobQueue
    ) -> None:
        path = write()
        code, out, err = run("run", path, "--server", service.address)
        assert code == 0, err
        assert err.startswith(f"study smoke: 12 candidates x 2 run seeds on {service.address}\n")
        assert out == run("compare", "smoke", "--server", service.address)[1]
        order = book.find("smoke")
        assert order is not None
        assert (order.state, order.plan.data.name, order.plan.data.file) == (JobState.DONE, "ionosphere", None)
        assert run("run", path, "--server", service.address, "--trials", 8) == (
            0,
            out,
            "study smoke: the budget of 12 candidates is met and the verdict is made, nothing to train; "
            "a larger --trials continues it.\n",
        )
        code, _, err = run("run", path, "--server", service.address, "--trials", 16)
        assert code == 0, err
        assert err.startswith("study smoke: 16 candidates")
        assert '"trials":{"complete":16}' in run("status", "smoke", "--json", "--server", service.address)[1]

    def test_another_plan_under_the_name_is_refused_as_here(
        self, run: Run, service: Serving, write: Write, book: JobQueue
    ) -> None:
        book.import_study(named(write()))
        code, out, err = run("run", write(("epochs = 5", "epochs = 6")), "--server", service.address)
        assert (code, out) == (2, "")
        assert err == "error: training.epochs: the stored study `smoke` has 5, not 6; give the study another name.\n"
        assert book.jobs()["smoke"].state is JobState.STOPPED

    def test_other_rows_under_the_name_are_refused(self, write: Write) -> None:
        """A server with two data sets: the stored study has the one, the file here is the other."""
        wanted = named(write())
        stored = wanted.model_copy(update={"data": DataPlan(name="other", **READING.model_dump())})
        known = [dataset_answer("ionosphere", "0"), dataset_answer("other", "1")]
        taken = b'{"detail": "there is a study `smoke` already.", "field": "name"}'
        answers = (
            reply(taken, "application/problem+json", "409 Conflict"),
            reply(stored.model_dump_json().encode()),
        )
        with (
            scripted(*answers) as server,
            Client(server.address, None) as client,
            pytest.raises(
                BadInput, match=r"^data\.name: the stored study `smoke` has `other`, which is not the same as `ion"
            ),
        ):
            submit.Draft(wanted, known).submit(client, CONSOLE)

    def test_a_study_that_rests_without_a_verdict_goes_on_and_keeps_its_own_baseline(
        self, run: Run, service: Serving, write: Write, book: JobQueue
    ) -> None:
        for state in (JobState.STOPPED, JobState.FAILED, JobState.DONE):
            place_at_rest(book, named(write(note="fail 2", name=str(state))), state)
            path = write(("accuracy = 0.9569", "accuracy = 0.9"), note="fail 2", name=str(state))
            code, out, err = run("run", path, "--server", service.address)
            assert (code, out) == (1, "")
            assert err.startswith(f"study {state}: the server keeps its own baseline; only trials may grow there.\n")
            assert err.splitlines()[-1] == (
                f"error: the study `{state}` has failed on the server: data.file: {state} is wrong."
            )

    def test_a_study_that_somebody_ran_there_without_the_service_is_taken_in(
        self, run: Run, service: Serving, write: Write, book: JobQueue, database: Database
    ) -> None:
        path = write(note="fail 2")
        read = read_study_file(path)
        settled, dataset = read_data(read)
        make_coordinator(database, settled.plan, data_sha256=dataset.sha256).run()
        assert run("run", path, "--server", service.address, "--trials", 16)[0] == 1
        order = book.jobs()["smoke"]
        assert (order.state, order.plan.data.name, order.plan.search.trials) == (JobState.FAILED, "ionosphere", 16)

    def test_names_need_no_registry_here(
        self, run: Run, service: Serving, write: Write, book: JobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sweep.config.study_file.read_registry", Registry)
        path = write((f'file = "{DATA}"\nheader = false', 'name = "ionosphere"'), note="fail 2")
        code, _, err = run("run", path, "--server", service.address)
        assert code == 1, err
        assert book.jobs()["smoke"].plan.data == DataPlan(name="ionosphere", **READING.model_dump())


def place_at_rest(book: JobQueue, plan: Plan, state: JobState) -> None:
    """Keep an order that has ended so before the service looks."""
    book.import_study(plan)
    if state is not JobState.STOPPED:
        with book.database.writing() as connection:
            connection.execute(JOBS.update().where(JOBS.c.name == plan.name).values(state=state))


class TestRefused:
    def test_a_study_file_that_a_server_cannot_run_is_one_line(
        self, run: Run, service: Serving, write: Write, book: JobQueue, subtests: pytest.Subtests
    ) -> None:
        function = '[search.schedules.function]\nfunction = "a:b"'
        for old, new, line in (
            ("hidden = [8]", 'build = "a:b"', r"model\.build: cannot be given to a server; name a .* `model\.name`\."),
            ("hidden = [8]", 'name = "mine"', r"model\.name: there is no model `mine` in the registry"),
            ("trials = 12", "trails = 12", r"search\.trails: unknown key, did you mean `search\.trials`\?"),
            ("trials = 12", "trials = 9999999", r"search\.trials: must ask for at most 10,000,000 trainings .*"),
            ("header = false", "header = false\nlabel = 34", r"data\.file: no data set .* it has: ionosphere\."),
            ("[search.schedules.constant]", function, r"search\.schedules: .*own.*"),
        ):
            replaced = [(old, new), ('schedule = "constant"\n', 'schedule = "step"\ndrop = 0.5\nepochs_drop = 2\n')]
            with subtests.test(new):
                path = write(*replaced[: 1 + (new == function)])
                code, out, err = run("run", path, "--server", service.address)
                assert (code, out) == (2, "")
                assert re.fullmatch(f"error: {line}\n", err), err
        assert book.names() == []

    def test_data_that_the_server_does_not_have_are_refused(
        self, run: Run, service: Serving, write: Write, tmp_path: Path, book: JobQueue
    ) -> None:
        rows = DATA.read_text(encoding="utf-8")
        (tmp_path / "rows.csv").write_text(rows.replace("0.5", "0.6", 1), encoding="utf-8")
        code, _, err = run("run", write((str(DATA), "rows.csv")), "--server", service.address)
        assert code == 2
        assert err.startswith("error: data.file: no data set in the server's registry is the same file, ")
        assert book.names() == []

    def test_an_option_for_a_run_here_is_refused(self, run: Run, subtests: pytest.Subtests) -> None:
        for words, line in (
            (["--workers", 2], "workers: .*; a server has its own number of workers."),
            (["--timeout", 2], "timeout: .*; a server goes on to the end of the budget."),
            (["--no-cache"], "no-cache: .*; a server has its own cache."),
            (["--search-only"], "search-only: .*; a server always goes on to the verdict."),
            (["--supervised"], "supervised: .*; a server supervises its sweeps itself."),
        ):
            with subtests.test(line):
                code, out, err = run("run", SMOKE, "--server", "http://127.0.0.1:1", *words)
                assert (code, out) == (2, "")
                assert re.fullmatch(f"error: {line}\n", err), err

    def test_a_supervised_run_heeds_no_server_of_the_environment(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_SERVER", "http://127.0.0.1:1")
        code, out, err = run("run", "none.toml", "--supervised")
        assert (code, out) == (2, "")
        assert err.startswith("error: study: there is no file `none.toml`")

    def test_a_readers_token_orders_nothing(
        self, run: Run, service: Serving, write: Write, book: JobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_TOKEN", TOKENS.read)
        code, out, err = run("run", write(), "--server", service.address)
        assert (code, out) == (2, "")
        assert err.startswith("error: token: ")
        assert book.names() == []


class TestEnds:
    def test_a_crash_is_told_with_its_reason(self, run: Run, service: Serving, write: Write) -> None:
        code, _, err = run("run", write(note=f"kill {int(signal.SIGKILL)}"), "--server", service.address)
        assert code == 1
        said = "error: the study `smoke` has failed on the server: its process was killed by SIGKILL"
        assert err.splitlines()[-1].startswith(said)

    def test_progress_and_queue_are_shown_and_a_signal_ends_the_watching_alone(
        self, run: Run, service: Serving, write: Write, book: JobQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run_remote, "make_console", InterruptedConsole)
        for name, moments, then in (
            ("first", 1000, "schedules: 1/2 trainings"),
            ("second", 5, "study second: queued behind others; it begins when its turn comes"),
        ):
            monkeypatch.setattr(run_remote, "MOMENTS", moments)
            monkeypatch.setattr(InterruptedConsole, "then", then)
            code, out, err = run("run", write(note="wait", name=name), "--server", service.address)
            assert (code, out) == (1, "")
            assert err.splitlines() == [
                f"study {name}: 12 candidates x 2 run seeds on {service.address}",
                then,
                f"detached; the study {name} goes on on the server. To stop it there: "
                f"{service.address}/studies/{name}, or POST {service.address}/v1/studies/{name}/stop",
            ]
        assert [order.state for order in book.jobs().values()] == [JobState.RUNNING, JobState.QUEUED]

    def test_a_study_that_is_stopped_there_says_so(self, run: Run, service: Serving, write: Write) -> None:
        path = write(note="wait")
        stopping = threading.Thread(target=stop_once_running, args=(service,))
        stopping.start()
        code, out, err = run("run", path, "--server", service.address)
        stopping.join()
        assert (code, out) == (1, "")
        assert err.splitlines()[-1] == ("error: the study `smoke` is stopped on the server; run again to continue it.")


class InterruptedConsole(Console):
    """A console that is followed by Ctrl-C once it has printed a line."""

    then = ""

    def __init__(self) -> None:
        super().__init__(stderr=True, highlight=False, markup=False, soft_wrap=True)

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **options)
        if objects == (self.then,):
            signal.raise_signal(signal.SIGINT)


def stop_once_running(service: Serving) -> None:
    with Client(service.address, TOKENS.run) as client:
        until(lambda: state_of(client) == JobState.RUNNING)
        client.send("POST", "/v1/studies/smoke/stop", StudyAnswer)


def state_of(client: Client) -> str | None:
    try:
        return client.read("/v1/studies/smoke", StudyAnswer).state
    except NotFound:
        return None


class TestConnection:
    def test_a_request_whose_answer_is_lost_is_sent_again_under_its_key(
        self, run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(submit, "PAUSES_SECONDS", (0.0, 0.0))
        with scripted(b"", b"", reply(answer().encode())) as server, Client(server.address, None) as client:
            study = draft(write()).submit(client, CONSOLE)
        assert study.state == JobState.RUNNING
        assert len(server.requests) == 3
        assert len(set(server.requests)) == 1
        assert re.search(rb"(?i)\r\nidempotency-key: [!-~]{20,}\r\n", server.requests[0])

    def test_a_lost_connection_is_taken_up_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run_remote, "SHORTEST_PAUSE_SECONDS", 0.0)
        later = reply(b"<h1>Bad Gateway</h1>", "text/html", "502 Bad Gateway")
        first, last = stream(answer()), stream(answer(state="stopping"), answer(state="stopped"), answer())
        with scripted(first, b"", later, last) as server, Client(server.address, None) as client:
            states = [study.state for study in Watcher(client, "smoke", CONSOLE).follow()]
        assert states == ["running", "stopping", "stopped"]

    def test_one_that_stays_lost_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run_remote, "PATIENCE_SECONDS", 0.0)
        with scripted(stream(answer())) as server, Client(server.address, None) as client:
            said = "cannot be reached: .*; the study goes on there, run again to follow it."
            with pytest.raises(StorageFailed, match=said):
                list(Watcher(client, "smoke", CONSOLE).follow())

    def test_a_study_that_is_deleted_meanwhile_is_not_there(self) -> None:
        gone = reply(
            b'{"detail": "there is no study `smoke`.", "field": "study"}', "application/problem+json", "404 Not Found"
        )
        with (
            scripted(stream(answer()), gone) as server,
            Client(server.address, None) as client,
            pytest.raises(NotFound, match="there is no study `smoke`"),
        ):
            list(Watcher(client, "smoke", CONSOLE).follow())

    def test_events_that_are_not_ours_end_it(self, subtests: pytest.Subtests) -> None:
        for content, said in (
            ("<h1>Hi</h1>", "its answer is no valid JSON"),
            ("{}", "in its answer, study: is missing"),
            ("x" * 2**21, "an event is longer than any of ours"),
        ):
            with (
                subtests.test(said),
                scripted(stream(content)) as server,
                Client(server.address, None) as client,
                pytest.raises(StorageFailed, match=f"does not answer as `sweep serve` does: {said}"),
            ):
                list(Watcher(client, "smoke", CONSOLE).follow())


def test_a_crash_is_told_once() -> None:
    console = Console(file=io.StringIO())
    crashed = answer(crashes=1, state="queued", reason="it was killed"), answer(crashes=1), answer(state="stopped")
    with scripted(stream(answer(), *crashed)) as server, Client(server.address, None) as client:
        assert len(list(Watcher(client, "smoke", console).follow())) == 4
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "study smoke: begun again, as it was killed\n"


def test_each_part_begins_once_and_then_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    view = Kept()
    monkeypatch.setattr(run_remote, "progress_view", lambda _console: view)
    told = [None, ("schedules", 0, 24), ("schedules", 8, 24), ("race", 0, 24), None, ("race", 1, 24)]
    keys = ("part", "done", "wanted")
    studies = [answer(progress=None if each is None else dict(zip(keys, each, strict=True))) for each in told]
    ended = reply(answer(state="running").encode()), stream(*studies, answer(state="done"))
    with scripted(*ended) as server, Client(server.address, None) as client:
        assert Watcher(client, "smoke", CONSOLE).watch().state == "done"
    assert view.begun == ["schedules", "race", "race"]
    assert view.drawn == [0, 8, 0, 1]


class Kept(nullcontext[None]):
    """A view that keeps what it is to show."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.drawn: list[int] = []

    def begin(self, progress: Progress) -> None:
        self.begun.append(progress.part)

    def draw(self, progress: Progress) -> None:
        self.drawn.append(progress.done)


def draft(path: Path) -> submit.Draft:
    return submit.Draft(read_study_file(path).plan, ())


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
