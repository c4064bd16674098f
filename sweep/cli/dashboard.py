"""`sweep dashboard`: optuna-dashboard on the studies, for reading, on this machine only.

The dashboard itself has no login and lets everyone delete a study; here it answers GET and HEAD alone, because the
coordinator is a study's only writer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna_dashboard import wsgi

from sweep.errors import BadInput
from sweep.search.database import Database

HOST = "127.0.0.1"


def serve(database: Database, port: int) -> None:
    """Serve the dashboard until Ctrl-C.

    Raises:
        BadInput: if the port is taken.
    """
    application = read_only(wsgi(database.storage))
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


def read_only(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Wrap a WSGI application so that it answers GET and HEAD only."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start_response)
        start_response("405 Method Not Allowed", [("Content-Type", "text/plain"), ("Allow", "GET, HEAD")])
        return [b"This dashboard is for reading only.\n"]

    return guarded


class ThreadedServer(ThreadingMixIn, WSGIServer):
    """A server whose slow answers do not hold up the others."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """A handler that does not print every request."""

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""
