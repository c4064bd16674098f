"""`sweep serve`: the service for a team, put together, and refused where it would lie open."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from sweep.client.http import is_loopback
from sweep.errors import BadInput
from sweep.jobs.process import Launcher
from sweep.jobs.queue import JobQueue
from sweep.jobs.studies import StudyService
from sweep.jobs.supervisor import Supervisor
from sweep.server.app import create_app
from sweep.server.metrics import Metrics
from sweep.server.process import Place, Service, make_server
from sweep.server.security.rules import Policy, default_policy
from sweep.server.security.tokens import AccessRole, Tokens, read_or_make
from sweep.server.state import AppState
from sweep.store.database import Database

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


def serve(database: Database, options: ServeOptions) -> None:
    """Serve until a signal ends it, or print the links to log in.

    Raises:
        BadInput: for a place where it would lie open, a port that is taken, a token file that others can read.
        StorageFailed: if another service serves the database, or it cannot be opened.
    """
    check_place(options)
    if options.show_login:
        show_login(None if options.no_auth else read_or_make(token_file(database, options))[0], options)
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    log_in_lines()
    allow_connections()
    with database.sole_server(), listening(options) as listener:
        tokens, made = (None, False) if options.no_auth else read_or_make(token_file(database, options))
        port = listener.getsockname()[1]
        service = build(database, options, tokens, port)
        announce(database, options, port, tokens if made else None)
        gc.collect()
        gc.freeze()  # a full collection over what the libraries hold would stall every answer for a tenth of a second
        asyncio.run(service.run(listener))


def allow_connections() -> None:
    """Raise the soft limit of open files to the hard one: each connection is one, and each query opens one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def log_in_lines() -> None:
    """Log to standard error, a line each, without the tracebacks and so the paths that libraries would add."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class OneLine(logging.Formatter):
    """Formats what is logged, and of an exception no more than its class."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the class of an exception."""
        return str(ei[0].__name__)


def build(database: Database, options: ServeOptions, tokens: Tokens | None, port: int) -> Service:
    """Put the service together; its database is made if it is new."""
    book, counts = JobQueue(database), Metrics()
    book.open()
    supervisor = Supervisor(
        book, Launcher(database, options.workers), parallel=options.parallel, on_end=counts.count_ending
    )
    state = AppState(StudyService(database, book), supervisor, TEMPLATES, counts)
    guard = create_app(state, policy(options, tokens))
    place = Place(options.host, port, options.certificate, options.key)
    return Service(state, guard, make_server(guard, place))


def policy(options: ServeOptions, tokens: Tokens | None) -> Policy:
    """Return who may ask, and by which names of this service."""
    hosts = (*options.allow_host, *(LOOPBACK_NAMES if is_loopback(options.host) else ()), shown_host(options.host))
    return default_policy(tokens, hosts, secure=options.behind_proxy or options.certificate is not None)


def check_place(options: ServeOptions) -> None:
    """Raise `BadInput` for a place where passers-by could listen, or everybody ask."""
    if (options.certificate is None) != (options.key is None):
        raise BadInput("certificate", "--certificate and --key go together.")
    if options.no_auth and not is_loopback(options.host):
        raise BadInput("no-auth", f"works on a loopback address only, not on {options.host}.")
    if is_loopback(options.host) or options.certificate is not None:
        return
    if not options.behind_proxy:
        reason = "is no loopback address: give --certificate and --key, or --behind-proxy if a proxy adds TLS."
        raise BadInput("host", f"{options.host} {reason}")


def shown_host(host: str) -> str:
    """Return a host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def token_file(database: Database, options: ServeOptions) -> Path:
    """Return where the tokens are: beside an SQLite file, for a database server among the studies."""
    if options.token_file is not None:
        return options.token_file
    file = database.file
    return TEMPLATES / "server.tokens" if file is None else file.with_name(f"{file.name}.tokens")


def listening(options: ServeOptions) -> socket.socket:
    """Return a socket that listens.

    Raises:
        BadInput: if the address or the port cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=64)
    except OSError as error:
        field = "host" if isinstance(error, socket.gaierror) else "port"
        raise BadInput(field, f"{options.host}:{options.port} cannot be used: {error.strerror}.") from error


def announce(database: Database, options: ServeOptions, port: int, made: Tokens | None) -> None:
    """Say where the service is, and once how to log in."""
    address = base(options, port)
    print(f"sweep serves {database.shown}: {address}/ (Ctrl-C ends it)")
    if options.no_auth:
        print("warning: --no-auth: every program and every user of this machine may do everything.")
    elif made is not None:
        print(f"log in as admin: {address}/login?token={made.admin}")
        print(f"This is printed once; the tokens are kept in `{token_file(database, options)}`.")
    sys.stdout.flush()


def show_login(tokens: Tokens | None, options: ServeOptions) -> None:
    """Print a link to log in for each role."""
    if tokens is None:
        raise BadInput("show-login", "with --no-auth there is nothing to log in to.")
    for role in AccessRole:
        print(f"{role}: {base(options, options.port)}/login?token={getattr(tokens, role)}")


def base(options: ServeOptions, port: int) -> str:
    """Return the service's address, behind a proxy as its users see it."""
    if options.behind_proxy and options.allow_host:
        return f"https://{options.allow_host[0]}"
    scheme = "http" if options.certificate is None else "https"
    return f"{scheme}://{shown_host(options.host)}:{port}"
