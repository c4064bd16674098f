"""A server as a client sees it: an address, a token, and answers that are checked before anything is made of them.

It stands alone because all of HTTP is here; whatever a server answers, the rest gets our own models or our own errors.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from sweep.client.address import CONNECT_SECONDS, check_address, open_connections
from sweep.client.credentials import FILE_VARIABLE, TOKEN_VARIABLE, read_token
from sweep.client.event_stream import Event, TooLong, read_events
from sweep.client.printable import printable_document, shortened
from sweep.errors import BadInput, Conflict, NotFound, NotYet, StorageFailed, SweepError, first_problem

LARGEST_BYTES = 64 * 1024 * 1024
SILENT_SECONDS = 45.0  # a stream is never, as it pings every 15
JSON, PROBLEM, STREAM = "application/json", "application/problem+json", "text/event-stream"
NO_TOKEN = f"is missing; set {TOKEN_VARIABLE}, or name a file that holds it by --token-file or {FILE_VARIABLE}."

Model = TypeVar("Model", bound=BaseModel)


class Unavailable(StorageFailed):
    """The server cannot be asked now; it may be later."""


class Refusal(BaseModel):
    """What we read of a problem (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    detail: str
    field: str | None = None


class Client:
    """Asks one server; close it, or use it in a `with`."""

    def __init__(self, address: str, token: str | None) -> None:
        url = check_address(address)
        self.address = str(url).rstrip("/")
        self._token = token
        self._http = open_connections(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def read(self, path: str, model: type[Model]) -> Model:
        """Return what stands at `path`."""
        return self.parse(self._ask("GET", path, JSON), model)

    def read_document(self, path: str) -> dict[str, Any]:
        """Return what stands at `path`, whatever it holds."""
        found = self._document(self._ask("GET", path, JSON))
        if not isinstance(found, dict):
            raise self.strange("its answer is no JSON object")
        return found

    def read_text(self, path: str, media_type: str) -> str:
        """Return a text of this kind as it is, which is nothing for a terminal."""
        return self._ask("GET", path, media_type).decode("utf-8", "replace")

    def send(self, method: str, path: str, model: type[Model], **options: Any) -> Model:
        """Change something, and return what it is now; `json` and `headers` are optional."""
        return self.parse(self._ask(method, path, JSON, **options), model)

    def parse(self, content: bytes | str, model: type[Model]) -> Model:
        """Return an answer as our own model; what a newer server tells besides is left out."""
        try:
            return model.model_validate(self._document(content), extra="ignore")
        except ValidationError as error:
            raise self.strange(f"in its answer, {first_problem(error)}".rstrip(".")) from error

    @contextlib.contextmanager
    def events(self, path: str) -> Iterator[Iterator[Event]]:
        """Open a stream of events.

        Raises:
            Unavailable: while it is read, too, if the connection is lost.
        """
        with self._answer(
            "GET", path, STREAM, timeout=httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        ) as response:
            yield self._read_events(response)

    def strange(self, what: str) -> StorageFailed:
        """Return the error for an answer that is not one of ours."""
        return StorageFailed(f"the server `{self.address}` does not answer as `sweep serve` does: {shortened(what)}.")

    def _read_events(self, response: httpx.Response) -> Iterator[Event]:
        try:
            yield from read_events(response.iter_raw())
        except TooLong as error:
            raise self.strange("an event is longer than any of ours") from error
        except httpx.HTTPError as error:
            raise self._lost(error) from error

    def _ask(self, method: str, path: str, media_type: str, **options: Any) -> bytes:
        with self._answer(method, path, media_type, **options) as response:
            return self._body(response)

    @contextlib.contextmanager
    def _answer(self, method: str, path: str, media_type: str, **options: Any) -> Iterator[httpx.Response]:
        """Yield an answer that is what was asked for, its body still to be read."""
        headers = {"accept": f"{media_type}, {PROBLEM}", **options.pop("headers", {})}
        try:
            with self._http.stream(method, path, headers=headers, **options) as response:
                if not response.is_success:
                    raise self._refused(response)
                if media_type_of(response) != media_type or "content-encoding" in response.headers:
                    raise self.strange(described(response))
                yield response
        except httpx.HTTPError as error:
            raise self._lost(error) from error

    def _body(self, response: httpx.Response) -> bytes:
        read = bytearray()
        for chunk in response.iter_raw():
            read += chunk
            if len(read) > LARGEST_BYTES:
                raise self.strange(f"its answer is larger than {LARGEST_BYTES // 2**20} MiB")
        return bytes(read)

    def _document(self, content: bytes | str) -> Any:
        try:
            return printable_document(from_json(content, allow_inf_nan=False))
        except ValueError as error:
            raise self.strange("its answer is no valid JSON") from error

    def _lost(self, error: httpx.HTTPError) -> Unavailable:
        reason = shortened(str(error) or type(error).__name__).rstrip(".")
        return Unavailable(f"the server `{self.address}` cannot be reached: {reason}.")

    def _refused(self, response: httpx.Response) -> SweepError:
        """Return our own error for an answer that is a refusal."""
        status = response.status_code
        if response.is_redirect:
            return BadInput("server", f"`{self.address}` leads elsewhere; give the address that it leads to.")
        if status == 401 and self._token is None:
            return BadInput("token", NO_TOKEN)
        if media_type_of(response) == PROBLEM:
            return self._in_our_words(status, self.parse(self._body(response), Refusal))
        if status in (429, 502, 503, 504):  # as a proxy says while it restarts
            return Unavailable(f"the server `{self.address}` cannot answer now ({described(response)}).")
        return self.strange(described(response))

    def _in_our_words(self, status: int, told: Refusal) -> SweepError:
        detail, field = shortened(told.detail), shortened(told.field) if told.field else None
        if status in (401, 403):
            return BadInput("token", detail)
        if status == 404:
            return NotFound(field, detail) if field else NotYet(detail)
        if status == 409:
            return Conflict(field or "study", detail)
        if status in (429, 503):
            return Unavailable(f"the server `{self.address}` cannot answer now: {detail}")
        if status < 500:
            return BadInput(field or "server", detail)
        return StorageFailed(f"the server `{self.address}` failed: {detail}")


def connect(address: str, token_file: Path | None) -> Client:
    """Return a client of the server at `address`, with the token that `token_file` or the environment has.

    Raises:
        BadInput: for an address or a token that cannot be used.
    """
    return Client(address, read_token(token_file))


def media_type_of(response: httpx.Response) -> str:
    """Return the kind of an answer, without its parameters."""
    told: str = response.headers.get("content-type", "")
    return told.partition(";")[0].strip().lower()


def described(response: httpx.Response) -> str:
    """Return what an answer is, without a word of its body."""
    kind = media_type_of(response)
    shown = kind if re.fullmatch(r"[\w.+-]{1,40}/[\w.+-]{1,40}", kind, re.ASCII) else "of no known kind"
    return f"status {response.status_code}, {shown}"
