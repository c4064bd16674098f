"""A real `sweep serve` for tests: its process, its tokens, and requests over plain sockets, as wrong as they may be."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.execution.worker import environment

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 180.0
ADDRESS = re.compile(r"(https?)://[^/\s]+:(\d+)/")


@dataclass(frozen=True)
class Reply:
    """The answer to a request; status 0 if the connection was closed without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Running:
    """A service process; `printed` are the first lines of its standard output."""

    process: subprocess.Popen[str]
    port: int
    tokens: Mapping[str, str]
    database: Path
    log: Path
    printed: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The Host that it is called by."""
        return f"127.0.0.1:{self.port}"

    def raw(self, request: bytes, patience_seconds: float = 10.0) -> Reply:
        """Send bytes and read one answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience_seconds) as connection:
            with suppress(OSError):  # it may be refused before its end
                connection.sendall(request)
            return read_reply(connection)

    def ask(
        self, method: str, path: str, body: bytes = b"", role: str | None = "admin", **headers: str | None
    ) -> Reply:
        """Send a well-formed request; a header's underscores stand for dashes, and None leaves one out."""
        told: dict[str, str | None] = {"host": self.host, "connection": "close", "content-length": str(len(body))}
        if role is not None:
            told["authorization"] = f"Bearer {self.tokens[role]}"
        told |= {key.replace("_", "-").lower(): value for key, value in headers.items()}
        lines = "".join(f"{key}: {value}\r\n" for key, value in told.items() if value is not None)
        return self.raw(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def send(self, method: str, path: str, document: Any, role: str | None = "admin", **headers: str | None) -> Reply:
        """Send a JSON document."""
        told = {"content_type": "application/json"} | headers
        return self.ask(method, path, json.dumps(document).encode(), role, **told)

    def until(self, path: str, **wanted: Any) -> Any:
        """Ask until the answer has these values."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = self.ask("GET", path).json
            if all(found.get(key) == value for key, value in wanted.items()):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{path} stays {found}")


def read_reply(connection: socket.socket) -> Reply:
    """Read the answer to the end of the connection, or of its Content-Length."""
    read = b""
    try:
        while chunk := connection.recv(65536):
            read += chunk
            head, found, body = read.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if found and length is not None and len(body) >= int(length[1]):
                break
    except OSError:
        pass
    head, _, body = read.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(chunks(body))
    return Reply(int(parts[1]) if len(parts) > 1 else 0, headers, body)


def chunks(body: bytes) -> Iterator[bytes]:
    """Yield what a chunked body holds, as far as it has come."""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        yield rest[:length]
        body = rest[length + 2 :]


@contextmanager
def running(database: Path, *options: str, registry: Path | None = None, module: str = "sweep") -> Iterator[Running]:
    """Run a service on a database, on any free port, and drain it at the end; `module` stands in for `sweep`."""
    log, token_file = database.with_suffix(".log"), database.with_name(f"{database.name}.tokens")
    words = ["serve", "--port", "0", "--storage", f"sqlite:///{database}", *options]
    variables = os.environ | environment() | {"PYTHONPATH": str(ROOT)}
    if registry is not None:
        variables["SWEEP_REGISTRY"] = str(registry)
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            found = ADDRESS.search(first)
            assert found is not None, log.read_text(encoding="utf-8")
            tokens = {} if "--no-auth" in options else json.loads(token_file.read_text(encoding="utf-8"))
            service = Running(process, int(found[2]), tokens, database, log, [first])
            wait_ready(service)
            yield service
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            finally:
                process.kill()


def wait_ready(service: Running) -> None:
    """Wait until the service answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    role = "read" if service.tokens else None
    while time.monotonic() < deadline:
        try:
            if service.ask("GET", "/readyz", role=role).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(service.log.read_text(encoding="utf-8"))
