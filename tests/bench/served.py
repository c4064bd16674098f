"""A running `sweep serve`, and clients that ask it over keep-alive connections as lightly as they can."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import command
from tests.bench.default_study import ROOT

START_PATIENCE_SECONDS = 60.0
IDLE_SECONDS = 10.0  # after which the service may close a connection
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class Answer(NamedTuple):
    """What came back, and after how long."""

    status: int
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Served:
    """A service process on a database, with its tokens."""

    process: subprocess.Popen[str]
    port: int
    tokens: Mapping[str, str]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def drain(self) -> tuple[int, float]:
        """End it orderly; return its exit code and how long it took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        return code, time.perf_counter() - began


def start(database: Path, *options: str) -> Served:
    """Start a service on any free port, and return once it listens."""
    words = ["serve", "--port", "0", "--storage", command.url(database), *options]
    process = subprocess.Popen(
        [command.SWEEP, *words],
        cwd=ROOT,
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    found = ADDRESS.search(process.stdout.readline())
    if found is None:
        raise RuntimeError(f"the service ended with exit code {process.wait()}")
    tokens = json.loads(database.with_name(f"{database.name}.tokens").read_text(encoding="utf-8"))
    served = Served(process, int(found[1]), tokens)
    asyncio.run(_ready(served))
    return served


async def _ready(served: Served) -> None:
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            async with Client(served) as client:
                if (await client.ask("GET", "/readyz")).status == 200:
                    return
        except OSError:
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError("the service does not answer")


@contextmanager
def serving(*options: str) -> Iterator[tuple[Served, Path]]:
    """Serve a new database in a folder of its own, and end with it."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "served.db"
        served = start(database, *options)
        try:
            yield served, database
        finally:
            served.drain()


@dataclass
class Client:
    """One keep-alive connection; it speaks just as much HTTP/1.1 as this server answers."""

    served: Served
    role: str = "admin"
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, init=False)
    _used: float = field(default=0.0, init=False)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(
        self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and read its answer.

        Raises:
            OSError: if the connection breaks.
        """
        began = time.perf_counter()
        if began - self._used > IDLE_SECONDS:
            self.close()
        self._used = began
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.served.port)
        reader, writer = self._streams
        body = b"" if document is None else json.dumps(document).encode()
        sent = {
            "Host": f"127.0.0.1:{self.served.port}",
            "Authorization": f"Bearer {self.served.tokens[self.role]}",
            "Content-Length": str(len(body)),
            **({"Content-Type": "application/json"} if document is not None else {}),
            **(headers or {}),
        }
        head = "".join(f"{key}: {value}\r\n" for key, value in sent.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        try:
            status, read = await _read(reader)
        except (asyncio.IncompleteReadError, ValueError, IndexError) as error:
            self.close()
            raise ConnectionError("the answer broke off") from error
        return Answer(status, read, time.perf_counter() - began)


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
    status = int(head[0].split(" ")[1])
    if headers.get("transfer-encoding") == "chunked":
        return status, await _read_chunks(reader)
    return status, await reader.readexactly(int(headers.get("content-length", 0)))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    while length := int(await reader.readline(), 16):
        found += await reader.readexactly(length)
        await reader.readline()
    await reader.readline()
    return bytes(found)
