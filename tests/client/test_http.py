"""Laws of the command line as a client: it prints what it prints of a database, and no server can make it do more."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sweep.client import http
from sweep.client.http import (
    LARGEST_EVENT_BYTES,
    LONGEST,
    Client,
    check_address,
    path_of,
    printable,
    printable_document,
    read_token,
    shortened,
)
from sweep.config.study_file import read_study_file
from sweep.errors import BadInput, NotFound, StorageFailed
from sweep.jobs.queue import JobQueue
from sweep.search.session import read_data
from sweep.server.tokens import AccessRole
from sweep.store.database import Database
from sweep.verdict.results import StatusAnswer
from tests.cli.conftest import Run
from tests.cli.serving import ROOT, TOKENS, Serving, reply, scripted, serving
from tests.fakes import FakeTrainer, make_coordinator, opened
from tests.protocols import few, make_protocol
from tests.test_layers import loaded

SMOKE = ROOT / "studies" / "smoke.toml"
REFUSAL = "application/problem+json"
STATUS = StatusAnswer(study="smoke", running=False, trials={}, wanted=12, verdict="none")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a reader's token, and nothing else of a caller's own environment."""
    for name in ("SWEEP_STORAGE", "SWEEP_SERVER", "SWEEP_TOKEN_FILE", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SWEEP_TOKEN", TOKENS.read)
    monkeypatch.setenv("SWEEP_REGISTRY", str(ROOT / "data" / "registry.toml"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Hold `smoke` with its verdict, `searched` without one, and an order for `waiting`, which has not begun."""
    read = read_study_file(SMOKE)
    read, dataset = read_data(read)
    plan = few(read.plan)
    with opened(tmp_path_factory.mktemp("examined") / "studies.db") as database:
        assert make_protocol(database, plan, FakeTrainer(), dataset=dataset).run()
        searched = plan.model_copy(update={"name": "searched"})
        make_coordinator(database, searched, FakeTrainer(), data_sha256=dataset.sha256).run()
        book = JobQueue(database)
        book.open()
        book.submit(plan.model_copy(update={"name": "waiting"}))
        book.stop("waiting")
        yield database


@pytest.fixture(scope="module")
def service(examined: Database) -> Iterator[Serving]:
    with serving(examined) as service:
        yield service


def assert_one_line(ended: tuple[int, str, str], code: int, line: str) -> None:
    """Check that a command said `line`, a regular expression, on standard error and nothing else anywhere."""
    assert ended[:2] == (code, ""), ended
    assert re.fullmatch(f"error: {line}\n", ended[2]), ended[2]


class TestTheSame:
    def test_an_answer_is_the_same_as_from_the_database(
        self, run: Run, service: Serving, examined: Database, subtests: pytest.Subtests
    ) -> None:
        for study in (SMOKE, "smoke"):
            for words in ("best", "best --top 3 --json", "compare", "compare --json", "status", "status --json"):
                with subtests.test(words, study=study):
                    here = run(*words.split(), study, "--storage", examined.url)
                    assert here[0] == 0
                    assert run(*words.split(), study, "--server", service.address) == here

    def test_a_schedule_is_exported_the_same(self, run: Run, service: Serving, examined: Database) -> None:
        words = ["export", SMOKE, "--as", "json"]
        here = run(*words, "--storage", examined.url)
        assert here[0] == 0
        assert run(*words, "--server", service.address) == here
        assert run(*words, "--server", service.address, "--out", "s.json") == (0, "", "")
        assert Path("s.json").read_text(encoding="utf-8") == here[1]

    def test_a_script_differs_in_the_place_of_the_data_alone(
        self, run: Run, service: Serving, examined: Database
    ) -> None:
        (_, here, _), (code, there, _) = (
            run("export", SMOKE, *where) for where in (("--storage", examined.url), ("--server", service.address))
        )
        assert code == 0
        assert set(here.splitlines()) ^ set(there.splitlines()) == {
            "# The data: this file beside the script, or where it was when the script was written.",
            "if not DATA.exists():",
            f'    DATA = Path("{ROOT / "data" / "ionosphere.csv"}")',
            "# The data: this file beside the script, unless another is named.",
        }

    def test_a_report_is_the_same_page(self, run: Run, service: Serving, examined: Database) -> None:
        for where, value in (("--storage", examined.url), ("--server", service.address)):
            said = run("report", "smoke", where, value, "--out", f"page{where}.html")
            assert said == (0, f"the report of the study smoke: page{where}.html\n", "")
        here, there = (Path(f"page{where}.html").read_text(encoding="utf-8") for where in ("--storage", "--server"))
        assert here == there

    def test_the_environment_names_server_and_token(
        self, run: Run, service: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "tokens").write_text(json.dumps({"read": TOKENS.read}))
        monkeypatch.delenv("SWEEP_TOKEN")
        monkeypatch.setenv("SWEEP_TOKEN_FILE", str(tmp_path / "tokens"))
        monkeypatch.setenv("SWEEP_SERVER", service.address)
        monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///none.db")
        assert run("status", "smoke")[0] == 0

    def test_a_storage_on_the_command_line_outweighs_a_server_in_the_environment(
        self, run: Run, examined: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_SERVER", "http://127.0.0.1:1")
        assert run("status", "smoke", "--storage", examined.url)[0] == 0

    def test_a_server_on_the_command_line_outweighs_a_storage_in_the_environment(
        self, run: Run, service: Serving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///none.db")
        assert run("status", "smoke", "--server", service.address)[0] == 0


class TestRefused:
    def test_it_is_one_line_with_the_code_that_it_has_here(
        self, run: Run, service: Serving, subtests: pytest.Subtests
    ) -> None:
        for words, code, line in (
            ("best smok", 2, "study: there is no study `smok` in the database, did you mean .*"),
            ("status none", 2, r"study: there is no study `none`\."),
            ("status ../smoke", 2, r"study: there is no study `\.\./smoke`; a server's studies have names of .*"),
            ("best none.toml", 2, r"study: there is no file `none\.toml`.*"),
            ("best smoke --top 501", 2, "top: .*500.*"),
            ("compare searched", 3, r"the study `searched` has no verdict yet; `sweep run` makes it\."),
            ("report searched", 3, r"the study `searched` has no verdict yet; `sweep run` makes it\."),
            ("best waiting", 3, r"the study `waiting` has no finished trial yet\."),
            ("export waiting", 3, r"the study `waiting` has no finished trial yet\."),
            ("export smoke --as model --out m.keras", 2, r"as: must be keras or json with a server, .*"),
            ("export smoke --trial 1", 2, "trial: cannot be chosen with a server; .*"),
            ("export smoke --as yaml", 2, "as: must be keras, json or model, got `yaml`.*"),
            ("report smoke --out page.pdf", 2, "out: must end in .html.*"),
            ("status smoke --storage sqlite:///s.db", 2, "server: --server and --storage exclude each other."),
            (f"run {SMOKE}", 2, "token: .*"),
        ):
            with subtests.test(words):
                assert_one_line(run(*words.split(), "--server", service.address), code, line)

    def test_a_wrong_token_is_bad_input(self, run: Run, service: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SWEEP_TOKEN", "x" * 40)
        ended = run("status", "smoke", "--server", service.address)
        assert_one_line(ended, 2, r"token: the token is not one of this service\.")

    def test_without_a_token_it_says_where_one_can_be_given(
        self, run: Run, service: Serving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SWEEP_TOKEN")
        line = r"token: is missing; set SWEEP_TOKEN, or name a file that holds it by --token-file or SWEEP_TOKEN_FILE\."
        assert_one_line(run("status", "smoke", "--server", service.address), 2, line)

    def test_another_name_of_the_machine_is_refused_as_the_server_says(self, run: Run, service: Serving) -> None:
        ended = run("status", "smoke", "--server", service.address.replace("127.0.0.1", "localhost"))
        assert_one_line(ended, 2, "server: .*")

    def test_a_token_file_needs_a_server(self, run: Run) -> None:
        line = r"token-file: is for a server; name it by --server or SWEEP_SERVER\."
        assert_one_line(run("status", "smoke", "--token-file", "tokens"), 2, line)

    def test_a_token_is_not_sent_unencrypted(self, run: Run) -> None:
        line = r"server: http://example\.org would send the token unencrypted; use https, or an SSH tunnel .*"
        assert_one_line(run("status", "smoke", "--server", "http://example.org"), 2, line)

    def test_an_environment_that_cannot_be_used_is_bad_input(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
    ) -> None:
        line = "server: a proxy or SSL_CERT_FILE of the environment cannot be used: .*"
        for name, value in (
            ("https_proxy", "ftp://127.0.0.1"),
            ("https_proxy", "http://127.0.0.1:port"),
            ("SSL_CERT_FILE", "none.pem"),
        ):
            with subtests.test(f"{name}={value}"), monkeypatch.context() as patch:
                patch.setenv(name, value)
                assert_one_line(run("status", "smoke", "--server", "https://127.0.0.1:1"), 2, line)

    def test_a_closed_port_is_storage(self, run: Run) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        line = rf"the server `http://127\.0\.0\.1:{port}` cannot be reached: .*Connection refused\."
        assert_one_line(run("status", "smoke", "--server", f"http://127.0.0.1:{port}"), 3, line)


def problem(detail: str, field: str | None = None) -> bytes:
    return json.dumps({"type": "about:blank", "title": "x", "status": 0, "detail": detail, "field": field}).encode()


def status(**changed: Any) -> bytes:
    return json.dumps(STATUS.model_dump(mode="json") | changed).encode()


NOT_OURS = "does not answer as `sweep serve` does: "


class TestHostile:
    def test_whatever_it_answers_is_one_printable_line(self, run: Run, subtests: pytest.Subtests) -> None:
        for answer, code, said in (
            (reply(b"<h1>Hi</h1>", "text/html"), 3, f"{NOT_OURS}status 200, text/html."),
            (reply(b"<h1>Hi</h1>", "text/html", "404 Not Found"), 3, f"{NOT_OURS}status 404, text/html."),
            (reply(b"<h1>Hi</h1>", "text/html", "502 Bad Gateway"), 3, "cannot answer now (status 502, text/html)."),
            (reply(b"<h1>Hi</h1>", "text/html", "418 Teapot"), 3, f"{NOT_OURS}status 418, text/html."),
            (reply(b"{}", "\x07bell/\x1b[2J"), 3, f"{NOT_OURS}status 200, of no known kind."),
            (reply(b""), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b"<h1>Hi</h1>"), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b'{"study": "smoke", "wanted": NaN}'), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b'"\xff"'), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b"[" * 100_000), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b'{"wanted": ' + b"9" * 5000 + b"}"), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b"[]"), 3, f"{NOT_OURS}in its answer, "),
            (reply(b"{}"), 3, f"{NOT_OURS}in its answer, study: is missing."),
            (reply(status(trials={"complete": "\x1b[2J"})), 3, f"{NOT_OURS}in its answer, trials.complete: "),
            (reply(status(study="other")), 3, f"{NOT_OURS}its answer is about another study."),
            (reply(status(), "application/json", "200 OK", "content-encoding: gzip"), 3, f"{NOT_OURS}status 200, "),
            (reply(status(), "application/json", "302 Found", "location: http://x/"), 2, "leads elsewhere; give"),
            (reply(status(), "application/json", "302 Found", "location: http://x/\x1b[2J"), 3, "cannot be reached: "),
            (reply(status(), "application/json", "201 Created")[:-9], 3, "cannot be reached: "),
            (b"\x1b]0;owned\x07\r\n\r\n", 3, "cannot be reached: "),
            (b"", 3, "cannot be reached: "),
            (reply(problem("no \x1b[2J\nsuch"), REFUSAL, "404 Not Found"), 3, "no \ufffd[2J such"),
            (reply(problem("no such", "a\x1b[2Jb"), REFUSAL, "404 Not Found"), 2, "a\ufffd[2Jb: no such"),
            (reply(problem("x" * 9999), REFUSAL, "404 Not Found"), 3, "x..."),
            (reply(problem("it is so"), REFUSAL, "409 Conflict"), 2, "study: it is so"),
            (reply(problem("what"), REFUSAL, "400 Bad Request"), 2, "server: what"),
            (reply(problem("who"), REFUSAL, "403 Forbidden"), 2, "token: who"),
            (reply(problem("later."), REFUSAL, "429 Too Many Requests"), 3, "cannot answer now: later."),
            (reply(problem("later."), REFUSAL, "503 Service Unavailable"), 3, "cannot answer now: later."),
            (reply(problem("oh."), REFUSAL, "500 Internal Server Error"), 3, "failed: oh."),
            (reply(b"<h1>", REFUSAL, "404 Not Found"), 3, f"{NOT_OURS}its answer is no valid JSON."),
            (reply(b"{}", REFUSAL, "404 Not Found"), 3, f"{NOT_OURS}in its answer, detail: is missing."),
        ):
            with subtests.test(said, answer=answer[:80]):
                with scripted(answer) as server:
                    ended = run("status", "smoke", "--server", server.address)
                assert_one_line(ended, code, ".*")
                assert said in ended[2]
                assert ended[2].rstrip("\n").isprintable()
                assert "<h1>" not in ended[2]
                assert len(ended[2]) < 800

    def test_a_huge_answer_is_not_read_to_its_end(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "LARGEST_BYTES", 2**20)
        with scripted(reply(status(note="x" * 2**21))) as server:
            ended = run("status", "smoke", "--server", server.address)
        assert_one_line(ended, 3, f".*{NOT_OURS}its answer is larger than 1 MiB\\.")

    def test_what_moves_a_cursor_is_not_printed(self, run: Run) -> None:
        with scripted(reply(status(trials={"\x1b[2J\u202egone": 3}))) as server:
            code, out, _ = run("status", "smoke", "--server", server.address)
        assert code == 0
        assert "\ufffd[2J\ufffdgone" in out

    def test_nor_is_it_in_a_script(self, run: Run) -> None:
        with scripted(reply(b"print('\x1b[2J')\n", "text/x-python; charset=utf-8")) as server:
            assert run("export", "smoke", "--server", server.address) == (0, "print('\ufffd[2J')\n", "")

    def test_what_a_newer_server_tells_besides_is_left_out(self, run: Run) -> None:
        with scripted(reply(status(newer=[1]))) as server:
            code, out, err = run("status", "smoke", "--json", "--server", server.address)
        assert (code, err) == (0, "")
        assert json.loads(out) == STATUS.model_dump(mode="json")

    def test_a_redirect_is_not_followed_with_the_token(self, run: Run) -> None:
        with scripted(reply(status())) as elsewhere:
            moved = reply(b"", "text/plain", "307 Temporary Redirect", f"location: {elsewhere.address}/")
            with scripted(moved) as server:
                assert run("status", "smoke", "--server", server.address)[0] == 2
                assert TOKENS.read.encode() in server.requests[0]
            assert elsewhere.requests == []

    def test_a_proxy_does_not_get_to_see_a_token_for_this_machine(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with scripted() as proxy, scripted(reply(status())) as server:
            monkeypatch.setenv("http_proxy", proxy.address)
            assert run("status", "smoke", "--server", server.address)[0] == 0
            assert proxy.requests == []


class Note(BaseModel):
    """What the events of these tests hold."""

    note: str


def read_events(content: bytes, kind: str = "text/event-stream") -> list[str]:
    """Read all `study` events of the stream that a server answers with."""
    with scripted(reply(content, kind)) as server, Client(server.address, None) as client:
        return [event.note for event in client.events("/", "study", Note)]


def event(note: str, end: str = "\n") -> str:
    return f"event: study{end}data: {json.dumps({'note': note}, ensure_ascii=False)}{end}{end}"


class TestEvents:
    def test_those_of_the_name_are_read_and_nothing_else(self) -> None:
        others = ': ping\n\nid: 3\ndata: {"note": "message"}\n\nevent: other\ndata: x\n\nevent: study\n\n'
        broken_off = 'event: study\ndata: {"note": "lost"}\n'
        for end in ("\n", "\r\n", "\r"):
            content = event("ä\u2028b", end) + others + event("c", end) + broken_off
            assert read_events(content.encode()) == ["ä\ufffdb", "c"]

    def test_data_of_several_lines_are_one_document(self) -> None:
        assert read_events(b'event: study\ndata: {"note":\ndata: "a"}\n\n') == ["a"]

    def test_a_server_chooses_no_other_encoding(self) -> None:
        content = event("ä").encode()
        for charset in ("latin-1", "zlib", "none"):
            assert read_events(content, f"text/event-stream; charset={charset}") == ["ä"]

    def test_many_events_may_be_longer_than_the_longest_one(self) -> None:
        note = "x" * (LARGEST_EVENT_BYTES // 3)
        assert read_events(event(note).encode() * 9) == [note] * 9

    def test_an_event_without_end_is_given_up_before_it_fills_the_memory(self, subtests: pytest.Subtests) -> None:
        for line in (b"x" * 65536, b"data: " + b"x" * 65536 + b"\n", b": x\n" * 16384, b"\xff" * 65536):
            with (
                subtests.test(repr(line[:8])),
                pytest.raises(StorageFailed, match="an event is longer than any of ours"),
            ):
                read_events(line * (2 * LARGEST_EVENT_BYTES // 65536))

    def test_a_lost_connection_is_one_that_can_be_taken_up_again(self) -> None:
        content = reply(event("a").encode() * 2, "text/event-stream")[:-5]
        with scripted(content) as server, Client(server.address, None) as client:
            events = client.events("/", "study", Note)
            assert next(events).note == "a"
            with pytest.raises(http.Unavailable, match="cannot be reached"):
                list(events)


class TestAddress:
    """A token goes nowhere unencrypted but to this machine."""

    def test_these_may_be_asked(self, subtests: pytest.Subtests) -> None:
        for address in (
            "http://127.0.0.1:8765",
            "http://localhost:8765/",
            "http://[::1]:8765",
            "https://sweep.example.org",
            "https://sweep.example.org/behind/a/path",
        ):
            with subtests.test(address):
                assert str(check_address(address)).rstrip("/") == address.rstrip("/")

    def test_anything_else_is_refused_without_repeating_a_secret(self, subtests: pytest.Subtests) -> None:
        alone, like = "must be an address alone", "must be like https://"
        plain = r"http://\S+ would send the token unencrypted; use https, or an SSH tun"
        for address, said in (
            *(
                (address, plain)
                for address in ("http://sweep.example.org", "http://10.0.0.1:8765", "http://localhost.x")
            ),
            *((address, like) for address in ("", "127.0.0.1:8765", "ftp://127.0.0.1", "http://", "https://\x1b[2J")),
            *((f"http://127.0.0.1:{port}", like) for port in ("99999", "port")),
            ("https://me:secret@example.org:x", like),
            ("http://127.0.0.1\\@example.org", alone),
            ("https://me:secret@example.org", alone),
            ("https://example.org?token=secret", alone),
            ("https://example.org#studies", alone),
        ):
            with subtests.test(address):
                with pytest.raises(BadInput, match=f"^server: {said}") as raised:
                    check_address(address)
                assert "secret" not in str(raised.value)
                assert str(raised.value).isprintable()


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


class TestToken:
    """Where a token comes from, and that no complaint repeats it."""

    @pytest.fixture(autouse=True)
    def _bare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SWEEP_TOKEN")

    def test_the_option_goes_before_the_variables_and_the_token_before_its_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        option, named = written(tmp_path / "a", "of-the-option\n"), written(tmp_path / "b", "of-the-file\n")
        assert read_token(None) is None
        monkeypatch.setenv("SWEEP_TOKEN_FILE", str(named))
        assert read_token(None) == "of-the-file"
        monkeypatch.setenv("SWEEP_TOKEN", "of-the-variable")
        assert read_token(None) == "of-the-variable"
        assert read_token(option) == "of-the-option"

    def test_of_a_services_own_file_the_highest_role_is_taken(self, tmp_path: Path) -> None:
        for roles in (("read", "run", "admin"), ("read", "run"), ("read",)):
            text = json.dumps({role: f"{role}-token" for role in roles})
            assert read_token(written(tmp_path / "t", text)) == f"{roles[-1]}-token"

    def test_what_is_no_token_is_refused_and_not_repeated(self, tmp_path: Path, subtests: pytest.Subtests) -> None:
        for text, said in (
            ("", "token: must be one word"),
            ("two secrets", "token: must be one word"),
            ("secret\r\nx-header: 1", "token: must be one word"),
            ("sécret", "token: must be one word"),
            ("{secret", "token-file: .* is not valid JSON"),
            ('{"root": "secret"}', "token-file: must hold a token for one of admin, run, read"),
            ('{"admin": ["secret"]}', "token-file: must hold a token"),
            ('{"admin": "sec ret"}', "token: must be one word"),
        ):
            with subtests.test(text):
                with pytest.raises(BadInput, match=f"^{said}") as raised:
                    read_token(written(tmp_path / "t", text))
                assert "sec" not in str(raised.value).replace(str(tmp_path), "")

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        for name in ("none", "folder", "binary"):
            with pytest.raises(BadInput, match=f"^token-file: `{tmp_path / name}` cannot be read: "):
                read_token(tmp_path / name)

    def test_a_variable_that_is_no_token_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line = r"^token: must be one word of visible ASCII characters; that in SWEEP_TOKEN is"
        for token in ("sec ret", " "):
            monkeypatch.setenv("SWEEP_TOKEN", token)
            with pytest.raises(BadInput, match=line):
                read_token(None)


class TestPrintable:
    """A server's words print, and do nothing else to a terminal."""

    @given(st.text())
    def test_nothing_is_left_that_moves_a_cursor(self, text: str) -> None:
        shown = printable(text)
        assert len(shown) == len(text)
        assert not [one for one in shown if one not in "\n\t" and (one < " " or "\x7f" <= one <= "\x9f")]

    @given(st.text())
    def test_a_shortened_text_is_one_line(self, text: str) -> None:
        line = shortened(text)
        assert len(line) <= LONGEST + 3
        assert len(line.splitlines()) <= 1

    def test_a_document_keeps_everything_but_the_characters(self) -> None:
        document: Any = {"a\x1b": ["b\u202e", 1, 2.5, None, True, {"c": "d\n"}]}
        assert printable_document(document) == {"a\ufffd": ["b\ufffd", 1, 2.5, None, True, {"c": "d\n"}]}


def test_what_is_no_name_is_asked_of_no_server() -> None:
    for name in ("", ".", "..", "../x", "a/b", "a?b", "a#b", "a%2fb", "a b", "a\n", "ä", "x" * 65):
        with pytest.raises(NotFound, match=r"^study: there is no study `"):
            path_of(name, "best")


def test_a_name_has_its_place() -> None:
    assert path_of("a.b-c_1", "best?top=3") == "/v1/studies/a.b-c_1/best?top=3"
    assert path_of("a") == "/v1/studies/a"


def test_asking_a_database_loads_no_http() -> None:
    asked = "app(['best', 'smoke', '--storage', 'sqlite:///none.db'], standalone_mode=False)"
    code = f"""
import contextlib, sweep.cli.export, sweep.cli.run
from sweep.cli import app
from sweep.errors import StorageFailed
with contextlib.suppress(StorageFailed):
    {asked}
"""
    names = loaded("-c", code)
    assert {"sweep", "typer", "sqlalchemy"} <= names
    assert names & {"httpx", "httpx_sse", "fastapi", "uvicorn"} == set()


def test_the_roles_of_a_token_file_are_those_of_the_server() -> None:
    assert tuple(reversed(AccessRole)) == http.ROLES
