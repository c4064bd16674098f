"""An ASGI driver for tests: one request in, the answer out, with nothing between that would tidy either up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
Pairs = Iterable[tuple[str, str]]


@dataclass
class Timeline:
    """Time that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Got:
    """An answer; `whole` says whether it came to its end."""

    status: int
    pairs: list[tuple[str, str]]
    body: bytes
    whole: bool

    @property
    def headers(self) -> dict[str, str]:
        assert len({name for name, _ in self.pairs}) == len(self.pairs), self.pairs
        return dict(self.pairs)


@dataclass
class Client:
    """Asks an ASGI application from one address, with headers for every request."""

    app: App
    headers: dict[str, str] = field(default_factory=lambda: {"host": "localhost:8765"})
    address: str = "127.0.0.1"
    scheme: str = "http"

    def ask(self, method: str, path: str, /, *more: tuple[str, str], body: Iterable[bytes] = (), **changed: Any) -> Got:
        """Ask; `more` are further headers, `changed` are keys of the scope."""
        return read(send_all(self.app, self.scope(method, path, *more) | changed, list(body)))

    def scope(self, method: str, path: str, /, *more: tuple[str, str]) -> dict[str, Any]:
        """Return the scope of a request."""
        bare, _, query = path.partition("?")
        pairs = [*self.headers.items(), *more]
        return {
            "type": "http",
            "method": method,
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
            "client": (self.address, 50000),
            "scheme": self.scheme,
            "state": {},
        }


def send_all(app: App, scope: dict[str, Any], body: list[bytes]) -> list[Message]:
    """Let an application serve one connection; return what it sends."""
    sent: list[Message] = []
    waiting = deque(parts(body))

    async def receive() -> Message:
        return waiting.popleft() if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(run(app, scope, receive, send))
    return sent


async def run(app: App, scope: Any, receive: Any, send: Any) -> None:
    await app(scope, receive, send)


def parts(body: list[bytes]) -> Iterator[Message]:
    for place, chunk in enumerate(body or [b""]):
        yield {"type": "http.request", "body": chunk, "more_body": place < len(body) - 1}


def read(sent: list[Message]) -> Got:
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert {message["type"] for message in rest} <= {"http.response.body"}
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    body = b"".join(message.get("body", b"") for message in rest)
    return Got(start["status"], pairs, body, bool(rest) and not rest[-1].get("more_body", False))


@dataclass
class Reached:
    """A tiny application: keeps what it is asked, reads the whole body, and says `reached`."""

    pairs: Pairs = (("content-type", "text/plain"),)
    scopes: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    cut_off: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] != "http":
            return
        read, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.cut_off += 1
                break
            read, more = read + message["body"], message["more_body"]
        else:
            self.bodies.append(read)
        headers = [(name.encode(), value.encode()) for name, value in self.pairs]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"reached"})
