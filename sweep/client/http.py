"""HTTP client of `sweep serve`: where a token may be sent, checks on every answer, and a server's study as a handle."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from sweep.config.registry import NAME_PATTERN, NAME_RULE
from sweep.errors import BadInput, Conflict, NotFound, NotYet, StorageFailed, SweepError, first_problem
from sweep.verdict.result import Verdict
from sweep.verdict.results import BestAnswer, ScheduleAnswer, StatusAnswer, Wanted

if TYPE_CHECKING:
    from sweep.api import Study

TOKEN_VARIABLE = "SWEEP_TOKEN"
FILE_VARIABLE = "SWEEP_TOKEN_FILE"
ROLES = ("admin", "run", "read")  # those of `sweep.server.tokens`, the highest first
VISIBLE = re.compile(r"[!-~]{1,4096}")
LARGEST_TOKEN_FILE = 65_536  # bytes
NO_TOKEN = f"is missing; set {TOKEN_VARIABLE}, or name a file that holds it by --token-file or {FILE_VARIABLE}."

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # a report takes some
SILENT_SECONDS = 45.0  # an event stream sends a comment every 15
LARGEST_BYTES = 64 * 1024 * 1024  # of an answer
LARGEST_EVENT_BYTES = 1024 * 1024  # from one event to the next
JSON, PROBLEM, STREAM = "application/json", "application/problem+json", "text/event-stream"

LONGEST = 500  # characters of a server's message that an error repeats
# Control characters except tab and line feed, and the characters that reverse the direction of text.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Model = TypeVar("Model", bound=BaseModel)
Found = TypeVar("Found")
AboutStudy = TypeVar("AboutStudy", BestAnswer, StatusAnswer, Verdict, ScheduleAnswer)
Source: TypeAlias = "Study | RemoteStudy"  # what a command asks about one study


class Unavailable(StorageFailed):
    """The server cannot answer now; a later request may succeed."""


class TooLarge(Exception):
    """An answer is larger than any of `sweep serve`."""


class Refusal(BaseModel):
    """The fields of a problem document (RFC 9457) that the client reads."""

    model_config = ConfigDict(frozen=True)

    detail: str
    field: str | None = None


class LimitedStream(httpx.SyncByteStream):
    """The body of an answer up to a limit, so that a hostile server cannot fill the memory.

    Attributes:
        read: bytes so far; whoever sets it to 0 begins to count again.
    """

    def __init__(self, response: httpx.Response, limit: int, excess: str) -> None:
        assert isinstance(response.stream, httpx.SyncByteStream)
        self._stream, self._limit, self._excess, self.read = response.stream, limit, excess, 0
        response.stream = self

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self.read += len(chunk)
            if self.read > self._limit:
                raise TooLarge(self._excess)
            yield chunk

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class Client:
    """Sends requests to one server, in a `with`; `token` is None for a server that asks for none.

    Raises:
        BadInput: for an address that a token cannot be sent to, or a proxy or certificates of the environment that
            cannot be used.
    """

    def __init__(self, address: str, token: str | None) -> None:
        url = check_address(address)
        self.address = str(url).rstrip("/")
        self._token = token
        try:
            self._http = httpx.Client(
                base_url=url,
                headers={"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {}),
                timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
                follow_redirects=False,
                trust_env=url.scheme == "https",  # or a proxy would see the token
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            reason = f"a proxy or SSL_CERT_FILE of the environment cannot be used: {shortened(str(error))}".rstrip(".")
            raise BadInput("server", f"{reason}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def read(self, path: str, model: type[Model]) -> Model:
        """Return the answer at `path`."""
        return self.send("GET", path, model)

    def read_document(self, path: str) -> dict[str, Any]:
        """Return the JSON object at `path`, whatever its keys are."""
        found = self._document(self._body("GET", path, JSON))
        if not isinstance(found, dict):
            raise self.unexpected("its answer is no JSON object")
        return found

    def read_text(self, path: str, media_type: str) -> str:
        """Return the text at `path` unchanged; it may hold control characters."""
        return self._body("GET", path, media_type).decode("utf-8", "replace")

    def send(self, method: str, path: str, model: type[Model], **options: Any) -> Model:
        """Send a request with httpx's options, such as `json` and `headers`, and return the answer."""
        return self._parse(self._body(method, path, JSON, **options), model)

    def events(self, path: str, name: str, model: type[Model]) -> Iterator[Model]:
        """Yield what the events called `name` hold, until the server ends the stream.

        Raises:
            Unavailable: if the connection is lost.
        """
        silence = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        with self._answer("GET", path, STREAM, timeout=silence) as response:
            response.encoding = "utf-8"  # not one that the server names, which may be a compression
            stream = LimitedStream(response, LARGEST_EVENT_BYTES, "an event is longer than any of ours")
            for event in EventSource(response).iter_sse():
                stream.read = 0
                if event.event == name and event.data:
                    yield self._parse(event.data, model)

    def unexpected(self, what: str) -> StorageFailed:
        """Return the error for an answer that `sweep serve` would not give."""
        return StorageFailed(f"the server `{self.address}` does not answer as `sweep serve` does: {shortened(what)}.")

    @contextlib.contextmanager
    def _answer(self, method: str, path: str, media_type: str, **options: Any) -> Iterator[httpx.Response]:
        """Yield the answer before its body is read, if it succeeded and is of the media type."""
        headers = {"accept": f"{media_type}, {PROBLEM}", **options.pop("headers", {})}
        try:
            with self._http.stream(method, path, headers=headers, **options) as response:
                if not response.is_success:
                    raise self._refused(response)
                if media_type_of(response) != media_type or "content-encoding" in response.headers:
                    raise self.unexpected(described(response))
                yield response
        except TooLarge as error:
            raise self.unexpected(str(error)) from error
        except httpx.HTTPError as error:
            reason = shortened(str(error) or type(error).__name__).rstrip(".")
            raise Unavailable(f"the server `{self.address}` cannot be reached: {reason}.") from error

    def _body(self, method: str, path: str, media_type: str, **options: Any) -> bytes:
        with self._answer(method, path, media_type, **options) as response:
            return _read_body(response)

    def _document(self, content: bytes | str) -> Any:
        try:
            return printable_document(from_json(content, allow_inf_nan=False))
        except ValueError as error:
            raise self.unexpected("its answer is no valid JSON") from error

    def _parse(self, content: bytes | str, model: type[Model]) -> Model:
        """Return an answer as our model, without the fields that only a newer server knows."""
        try:
            return model.model_validate(self._document(content), extra="ignore")
        except ValidationError as error:
            raise self.unexpected(f"in its answer, {first_problem(error)}".rstrip(".")) from error

    def _refused(self, response: httpx.Response) -> SweepError:
        """Return the error for an answer that is no success."""
        status = response.status_code
        if response.is_redirect:
            return BadInput("server", f"`{self.address}` leads elsewhere; give the address that it leads to.")
        if status == 401 and self._token is None:
            return BadInput("token", NO_TOKEN)
        if media_type_of(response) == PROBLEM:
            return self._problem(status, self._parse(_read_body(response), Refusal))
        if status in (429, 502, 503, 504):  # as a proxy says while it restarts
            return Unavailable(f"the server `{self.address}` cannot answer now ({described(response)}).")
        return self.unexpected(described(response))

    def _problem(self, status: int, refusal: Refusal) -> SweepError:
        detail, field = shortened(refusal.detail), shortened(refusal.field) if refusal.field else None
        if status == 404:
            return NotFound(field, detail) if field else NotYet(detail)
        if status == 409:
            return Conflict(field or "study", detail)
        if status in (429, 503):
            return Unavailable(f"the server `{self.address}` cannot answer now: {detail}")
        if status < 500:
            return BadInput("token" if status in (401, 403) else field or "server", detail)
        return StorageFailed(f"the server `{self.address}` failed: {detail}")


@dataclass(frozen=True)
class RemotePage:
    """A page that a server has written."""

    page: str


@dataclass(frozen=True)
class RemoteStudy:
    """A study of a server; its methods raise what those of `sweep.api.Study` do, and `StorageFailed`."""

    client: Client
    name: str

    def best(self, top: int = 5) -> BestAnswer:
        """Ask for the `top` best candidates."""
        return self._ask(f"best?top={top}", BestAnswer)

    def status(self) -> StatusAnswer:
        """Ask how far the study is."""
        return self._ask("", StatusAnswer)

    def verdict(self) -> Verdict:
        """Ask for the verdict."""
        verdict = self._ask("verdict", Verdict)
        if self.name not in verdict.candidates:
            raise self.client.unexpected("its verdict says nothing of the study's own search")
        return verdict

    def report(self) -> RemotePage:
        """Ask for the report."""
        return RemotePage(self.client.read_text(path_of(self.name, "report"), "text/html"))

    def schedule(self, trial: Wanted = None) -> ScheduleAnswer:
        """Ask for the schedule that the server exports; it lets nobody choose a trial."""
        self._refuse(trial)
        return self._ask("schedule", ScheduleAnswer)

    def script(self, trial: Wanted = None) -> str:
        """Ask for it as a script, without characters that move a terminal's cursor."""
        self._refuse(trial)
        return printable(self.client.read_text(path_of(self.name, "schedule.py"), "text/x-python"))

    def _refuse(self, trial: Wanted) -> None:
        if trial is not None:
            raise BadInput(
                "trial",
                "cannot be chosen with a server; it exports what the verdict recommends, or else the best trial.",
            )

    def _ask(self, question: str, model: type[AboutStudy]) -> AboutStudy:
        answer = self.client.read(path_of(self.name, question), model)
        if answer.study != self.name:
            raise self.client.unexpected("its answer is about another study")
        return answer


def path_of(name: str, question: str = "") -> str:
    """Return the path of a question about a study; raise `NotFound` for what no server's study can be called."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise NotFound("study", f"there is no study `{name}`; a server's studies have names of {NAME_RULE}.")
    return f"/v1/studies/{name}/{question}".rstrip("/")


def check_address(address: str) -> httpx.URL:
    """Return a server's address; raise `BadInput` for one that a token cannot be sent to, as plain HTTP elsewhere."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or (url.port or 1) > 65_535:
        given = "" if "@" in address else f", got `{shortened(address)}`"  # which may hold a password
        raise BadInput("server", f"must be like https://sweep.example.org{given}.")
    if url.userinfo or url.query or url.fragment:
        raise BadInput("server", "must be an address alone, without a user, a query or a fragment.")
    if url.scheme == "http" and not is_loopback(url.host):
        reason = "would send the token unencrypted; use https, or an SSH tunnel (ssh -L) to a port of this machine."
        raise BadInput("server", f"http://{url.host} {reason}")
    return url


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine, without asking a name server.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "localhost.example.org", "192.168.0.1")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(token_file: Path | None) -> str | None:
    """Return the token of `token_file`, of `SWEEP_TOKEN`, or of the file that `SWEEP_TOKEN_FILE` names; None without.

    A file holds the token alone, or a server's tokens by role as JSON. The token is never a word of the command line,
    because every user of a machine can read those.

    Raises:
        BadInput: for a file that cannot be read, or text that is no token; the message does not repeat it.
    """
    token, named = os.environ.get(TOKEN_VARIABLE), os.environ.get(FILE_VARIABLE)
    path = token_file or (Path(named) if named and not token else None)
    if path is not None:
        token = _read_token_file(path)
    elif token:
        token = token.strip()
    else:
        return None
    if not VISIBLE.fullmatch(token):
        place = TOKEN_VARIABLE if path is None else f"`{path}`"
        raise BadInput("token", f"must be one word of visible ASCII characters; that in {place} is not.")
    return token


def _read_token_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST_TOKEN_FILE).strip()
        tokens = json.loads(text) if text.startswith("{") else None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput("token-file", f"`{path}` cannot be read: {reason}.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput("token-file", f"`{path}` is not valid JSON.") from error
    if tokens is None:
        return text
    for role in ROLES:
        if isinstance(tokens.get(role), str):
            return str(tokens[role])
    raise BadInput("token-file", f"must hold a token for one of {', '.join(ROLES)}, and `{path}` does not.")


def _read_body(response: httpx.Response) -> bytes:
    LimitedStream(response, LARGEST_BYTES, f"its answer is larger than {LARGEST_BYTES // 2**20} MiB")
    return response.read()


def media_type_of(response: httpx.Response) -> str:
    """Return the media type of an answer, without its parameters."""
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()


def described(response: httpx.Response) -> str:
    """Return status and media type of an answer; nothing of its body is repeated."""
    kind = media_type_of(response)
    shown = kind if re.fullmatch(r"[\w.+-]{1,40}/[\w.+-]{1,40}", kind, re.ASCII) else "of no known kind"
    return f"status {response.status_code}, {shown}"


def printable(text: str) -> str:
    r"""Return a text without characters that move a terminal's cursor, hide a line or reverse text.

    >>> printable("rex \x1b[2J\n")
    'rex �[2J\n'
    """
    return CONTROLS.sub("\ufffd", text)


def printable_document(found: Found) -> Found:
    """Return a JSON document with all its texts printable, keys included."""
    made: object = found
    if isinstance(found, str):
        made = printable(found)
    elif isinstance(found, list):
        made = [printable_document(each) for each in found]
    elif isinstance(found, dict):
        made = {printable_document(key): printable_document(value) for key, value in found.items()}
    return made  # type: ignore[return-value]  # of the same kind


def shortened(text: str) -> str:
    """Return a printable text on one line of at most 500 characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
