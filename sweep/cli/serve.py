"""`sweep serve`, which refuses to be open to passers-by, and `sweep dashboard`, on this machine only."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.simple_server import make_server as make_wsgi_server

import optuna

from sweep.client.http import is_loopback
from sweep.dashboard.app import Dashboard
from sweep.errors import BadInput, StorageFailed
from sweep.jobs.queue import JobQueue
from sweep.jobs.studies import StudyService
from sweep.jobs.supervisor import Launcher, Supervisor
from sweep.server.app import create_app
from sweep.server.process import Server, Service
from sweep.server.rules import Policy
from sweep.server.state import AppState, Metrics
from sweep.server.tokens import AccessRole, TokenFile, Tokens
from sweep.store.database import Database

HOST = "127.0.0.1"  # of the dashboard, which has no login
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
TEMPLATES = Path("studies")


@dataclass(frozen=True)
class ServeOptions:
    """The options of `sweep serve`."""

    host: str
    port: int
    parallel: int
    workers: int | None
    token_file: Path | None
    allow_host: Sequence[str]
    certificate: Path | None
    key: Path | None
    behind_proxy: bool
    no_auth: bool
    show_login: bool

    def check(self) -> None:
        """Raise `BadInput` for a place where passers-by could listen, or everybody ask."""
        if (self.certificate is None) != (self.key is None):
            raise BadInput("certificate", "--certificate and --key go together.")
        if self.no_auth and not is_loopback(self.host):
            raise BadInput("no-auth", f"works on a loopback address only, not on {self.host}.")
        if not is_loopback(self.host) and self.certificate is None and not self.behind_proxy:
            reason = "is no loopback address: give --certificate and --key, or --behind-proxy if a proxy adds TLS."
            raise BadInput("host", f"{self.host} {reason}")

    @property
    def shown_host(self) -> str:
        """The host as it is written in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def address(self, port: int) -> str:
        """Return the service's address, behind a proxy as its users see it."""
        if self.behind_proxy and self.allow_host:
            return f"https://{self.allow_host[0]}"
        return f"{'http' if self.certificate is None else 'https'}://{self.shown_host}:{port}"

    def policy(self, tokens: Tokens | None) -> Policy:
        """Return who may ask, and by which names of this service."""
        hosts = (*self.allow_host, *(LOOPBACK_NAMES if is_loopback(self.host) else ()), self.shown_host)
        return Policy.make(tokens, hosts, secure=self.behind_proxy or self.certificate is not None)

    def tokens_of(self, database: Database) -> TokenFile:
        """Return the file of the tokens: beside an SQLite file, for a database server among the studies."""
        file = database.file
        beside = TEMPLATES / "server.tokens" if file is None else file.with_name(f"{file.name}.tokens")
        return TokenFile(self.token_file or beside)

    def listen(self) -> socket.socket:
        """Return a socket that listens.

        Raises:
            BadInput: if the address or the port cannot be used.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address[:2], family=family, backlog=64)
        except OSError as error:
            field = "host" if isinstance(error, socket.gaierror) else "port"
            raise BadInput(field, f"{self.host}:{self.port} cannot be used: {error.strerror}.") from error


def serve(database: Database, options: ServeOptions) -> None:
    """Serve until a signal ends it, or print the links to log in.

    Raises:
        BadInput: for a place where it would be open to others, a port that is taken, a token file that others can read.
        StorageFailed: if another service serves the database, or it cannot be opened.
    """
    options.check()
    if options.show_login:
        if options.no_auth:
            raise BadInput("show-login", "with --no-auth there is nothing to log in to.")
        tokens, _ = options.tokens_of(database).read_or_make()
        for role in AccessRole:
            print(f"{role}: {options.address(options.port)}/login?token={tokens.of(role)}")
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # each connection is an open file, and each query opens one
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with database.sole_server(), options.listen() as listener:
        port = listener.getsockname()[1]
        service = build(database, options, port)
        gc.collect()
        gc.freeze()  # a full collection over what the libraries hold would stall every answer for a tenth of a second
        asyncio.run(service.run(listener))


class OneLine(logging.Formatter):
    """Formats an exception as its class alone, because a traceback would show paths."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the class of an exception."""
        return str(ei[0].__name__)


def build(database: Database, options: ServeOptions, port: int) -> Service:
    """Put the service together, and print where it is; its database and its tokens are made if they are new."""
    file = options.tokens_of(database)
    tokens, new = (None, False) if options.no_auth else file.read_or_make()
    queue, metrics = JobQueue(database), Metrics()
    queue.open()
    launcher = Launcher(database, options.workers)
    supervisor = Supervisor(queue, launcher, parallel=options.parallel, on_end=metrics.count_ending)
    state = AppState(StudyService(database, queue), supervisor, TEMPLATES, metrics)
    guard = create_app(state, options.policy(tokens))
    address = options.address(port)
    print(f"sweep serves {database.shown}: {address}/ (Ctrl-C ends it)")
    if tokens is None:
        print("warning: --no-auth: every program and every user of this machine may do everything.")
    elif new:
        print(f"log in as admin: {address}/login?token={tokens.admin}")
        print(f"This is printed once; the tokens are kept in `{file.path}`.")
    sys.stdout.flush()
    return Service(state, guard, Server(guard, options.host, port, options.certificate, options.key))


def serve_dashboard(database: Database, port: int) -> None:
    """Serve optuna-dashboard on the studies, for reading, until Ctrl-C.

    Raises:
        BadInput: if the port is taken.
        StorageFailed: if the database can be neither read nor made.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make_if_new(database)
    try:
        server = make_wsgi_server(HOST, port, Dashboard(database), ThreadedServer, QuietHandler)
    except OSError as error:
        raise BadInput("port", f"{port} cannot be used: {error.strerror}.") from error
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"optuna-dashboard on {database.shown}: http://{HOST}:{port}/dashboard/ (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def make_if_new(database: Database) -> None:
    """Make the database if there is none yet; one that can be read is left as it is."""
    try:
        with database.reading():
            pass
    except StorageFailed:
        _ = database.storage  # it completes one whose making was cut short, and says what is wrong with another


class ThreadedServer(ThreadingMixIn, WSGIServer):
    """A server whose slow answers do not hold up the others."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """A handler that does not print every request."""

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""
