"""`sweep dashboard`: optuna-dashboard on the studies, for reading, on this machine only.

It has no login; it answers what the service answers beside its own routes, and nothing that changes a study.
"""

from __future__ import annotations

import contextlib
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna

from sweep.dashboard.app import Dashboard
from sweep.errors import BadInput, StorageFailed
from sweep.store.database import Database

HOST = "127.0.0.1"


def serve(database: Database, port: int) -> None:
    """Serve the dashboard until Ctrl-C.

    Raises:
        BadInput: if the port is taken.
        StorageFailed: if the database can be neither read nor made.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make_if_new(database)
    application = Dashboard(database)
    try:
        server = make_server(HOST, port, application, server_class=ThreadedServer, handler_class=QuietHandler)
    except OSError as error:
        raise BadInput("port", f"{port} cannot be used: {error.strerror}.") from error
    with server:
        print(
            f"optuna-dashboard on {database.shown}: http://{HOST}:{port}/dashboard/ (Ctrl-C ends it)",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def make_if_new(database: Database) -> None:
    """Make the database if there is none yet; one that can be read needs no more than that."""
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
