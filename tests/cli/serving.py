"""A real service in a thread of the tests' own process, and a server that answers what a test writes down."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sweep.jobs.queue import JobQueue
from sweep.jobs.studies import StudyService
from sweep.jobs.supervisor import Launcher, Supervisor
from sweep.server.app import create_app
from sweep.server.process import Server
from sweep.server.rules import Limit, Policy
from sweep.server.state import AppState, Metrics
from sweep.server.tokens import Tokens
from sweep.store.database import Database

ROOT = Path(__file__).parents[2]
TOKENS = Tokens(*(f"{role}-{'x' * 30}" for role in ("read", "run", "admin")))
PATIENCE_SECONDS = 30.0


@dataclass
class Serving:
    """A service that runs; `Service` itself takes a process's signals, which a thread cannot."""

    state: AppState
    server: Server
    address: str
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    async def run(self, listener: socket.socket) -> None:
        orders = asyncio.create_task(self.state.supervisor.run())
        await self.server.serve([listener])
        orders.cancel()

    async def drain(self) -> None:
        await self.state.supervisor.drain()
        self.state.closing.set()
        await self.state.supervisor.tell()
        self.server.should_exit = True


@contextmanager
def serving(database: Database, command: Sequence[str] = (), port: int = 0) -> Iterator[Serving]:
    """Serve a database; its orders are done by `command` in place of `sweep run`."""
    book = JobQueue(database)
    book.open()
    supervisor = Supervisor(book, Launcher(database, command=command))
    state = AppState(StudyService(database, book), supervisor, ROOT / "studies", Metrics())
    policy = Policy.make(TOKENS, ["127.0.0.1"], secure=False)
    often = dict.fromkeys(policy.limits, Limit(1000.0, 1000))
    with socket.create_server(("127.0.0.1", port)) as listener:
        port = listener.getsockname()[1]
        server = Server(create_app(state, replace(policy, limits=often)), "127.0.0.1", port)
        service = Serving(state, server, f"http://127.0.0.1:{port}")
        thread = threading.Thread(target=service.loop.run_until_complete, args=(service.run(listener),))
        thread.start()
        try:
            yield service
        finally:
            asyncio.run_coroutine_threadsafe(service.drain(), service.loop).result(PATIENCE_SECONDS)
            thread.join(PATIENCE_SECONDS)
            service.loop.run_until_complete(service.loop.shutdown_default_executor())
            service.loop.close()


@dataclass
class Scripted:
    """Answers each connection with the next of its replies, and keeps what it was sent."""

    address: str = ""
    requests: list[bytes] = field(default_factory=list)


@contextmanager
def scripted(*replies: bytes) -> Iterator[Scripted]:
    """Serve these replies, one a connection; an empty one closes it without a word, and so does every later one."""
    left = iter(replies)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    _answer(connection, server, next(left, b""))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # which ends `accept`
            thread.join(PATIENCE_SECONDS)


def _answer(connection: socket.socket, server: Scripted, reply: bytes) -> None:
    try:
        server.requests.append(_read_request(connection))
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # so that nothing is lost that the client has not read yet
            pass
    except OSError:  # the client has had enough
        pass


def _read_request(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        chunk = connection.recv(65536)
        if not chunk:
            return read
        read += chunk
    head, _, body = read.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (chunk := connection.recv(65536)):
        body += chunk
    return head + b"\r\n\r\n" + body


def reply(body: bytes, kind: str = "application/json", status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of an answer."""
    lines = [
        f"HTTP/1.1 {status}",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def stream(*events: str) -> bytes:
    """Return the bytes of an answer that streams these events, and then breaks off."""
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
    return (head + "".join(f"event: study\ndata: {event}\n\n" for event in events)).encode()
