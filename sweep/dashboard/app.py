"""optuna-dashboard over the studies, for reading: GET and HEAD of a few of its routes, and nothing that writes.

optuna-dashboard has no login, and lets everybody rename and delete. So the application that serves its files has an
empty storage in memory, and those that answer about studies are asked by us, never by a client
(`sweep.dashboard.shown_study`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import threading
from collections.abc import Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from a2wsgi import WSGIMiddleware
from optuna.storages import InMemoryStorage
from optuna_dashboard import wsgi
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.dashboard.shown_study import FRESH_SECONDS, NOTES, ReadOnlyStorage, ShownStudy, ask
from sweep.errors import NotFound, StorageFailed
from sweep.store.database import Database

LOG = logging.getLogger("sweep.server")

READING = ("GET", "HEAD")
FILES = re.compile(r"/|/dashboard(?:/.*)?|/static/[A-Za-z0-9_-][A-Za-z0-9._-]*|/favicon\.ico")
STUDY = re.compile("/api/studies/(?P<study>[1-9][0-9]{0,8})(?P<rest>|/param_importances)")
NO_QUERY = re.compile("")
AFTER = re.compile("(?:after=[0-9]{1,9})?")
# No figures drawn by the server either: one of many trials takes minutes.
META = dict.fromkeys(("artifact_is_available", "llm_is_available", "plotlypy_is_available", "allow_unsafe"), False)

THREADS = 4
READER_SECONDS = 30.0
CHUNKS_AHEAD = 64  # that a thread leaves to a slow reader before it waits for him
CHUNK_BYTES = 65536
STUDIES_KEPT = 4


def mount(database: Database) -> ASGIApp:
    """Return the dashboard as an ASGI application with threads of its own, which its slow answers cannot leave."""
    answers: Any = Dashboard(database)
    served: Any = WSGIMiddleware(answers, workers=THREADS, send_queue_size=CHUNKS_AHEAD)

    async def dashboard(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1").encode("ascii", "replace")  # a2wsgi takes only ASCII

        async def send_in_time(message: Message) -> None:
            await asyncio.wait_for(send(message), READER_SECONDS)  # or a reader who stops keeps a thread for ever

        await served({**scope, "query_string": query}, receive, send_in_time)

    return dashboard


class Refused(Exception):
    """A request outside of what is allowed."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Dashboard:
    """The WSGI application: answers GET and HEAD of the allowed routes, and refuses all else."""

    def __init__(self, database: Database, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database, self._fresh_seconds = database, fresh_seconds
        self._files: WSGIApplication = wsgi(InMemoryStorage())
        self._lock = threading.Lock()
        self._studies: dict[int, ShownStudy] = {}  # the one looked at last comes last

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; a study with contents that Optuna cannot read is one that is not there."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method in READING and FILES.fullmatch(path):
            return self._file(environ, start_response)
        try:
            packed = self._answer(method, path, environ.get("QUERY_STRING", ""))
            return respond(environ, start_response, HTTPStatus.OK, packed)
        except Refused as error:
            status, detail = error.status, error.detail
        except NotFound as error:
            status, detail = HTTPStatus.NOT_FOUND, error.reason
        except StorageFailed:
            status, detail = HTTPStatus.SERVICE_UNAVAILABLE, "the studies cannot be read now."
        except Exception as error:  # anything may stand in a database that others fill
            LOG.error("%s in an answer to optuna-dashboard's page", type(error).__name__)
            status, detail = HTTPStatus.NOT_FOUND, "this study cannot be shown."
        # The page shows the `reason`.
        problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "reason": detail}
        return respond(environ, start_response, status, gzip.compress(json.dumps(problem).encode(), 1))

    def _answer(self, method: str, path: str, query: str) -> bytes:
        """Return the JSON that answers a question of the page, packed by gzip."""
        if method not in READING:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "this dashboard is for reading only.")
        study = STUDY.fullmatch(path)
        if study is None and path not in ("/api/meta", "/api/studies"):
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here.")
        if not (AFTER if study and not study["rest"] else NO_QUERY).fullmatch(query):
            raise Refused(HTTPStatus.BAD_REQUEST, "only a study takes a query: `after`, a whole number.")
        if study:
            return self._ask(int(study["study"]), study["rest"], query)
        return gzip.compress(json.dumps(META).encode() if path == "/api/meta" else ask(self._list, path), 1)

    def _file(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one of optuna-dashboard's files; it would believe what a client says of a proxy."""
        safe = {key: value for key, value in environ.items() if not key.startswith("HTTP_X_")}
        safe |= {"QUERY_STRING": "", "HTTP_ACCEPT_ENCODING": environ.get("HTTP_ACCEPT_ENCODING", "")}

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("Cache-Control", "private, no-cache")], *error)

        return self._files(safe, start)

    @cached_property
    def _list(self) -> WSGIApplication:
        """The application that lists the studies."""
        application: WSGIApplication = wsgi(ReadOnlyStorage(self._database, NOTES))
        return application

    def _ask(self, study_id: int, rest: str, query: str) -> bytes:
        """Ask one of the few studies that are kept; one that is not there displaces none of them."""
        with self._lock:
            study = self._studies.pop(study_id, None) or ShownStudy(self._database, study_id, self._fresh_seconds)
            self._studies[study_id] = study
        try:
            return study.answer(rest, query)
        except NotFound:
            with self._lock:
                self._studies.pop(study_id, None)
            raise
        finally:
            with self._lock:
                while len(self._studies) > STUDIES_KEPT:
                    del self._studies[next(iter(self._studies))]


def respond(
    environ: WSGIEnvironment, start_response: StartResponse, status: HTTPStatus, packed: bytes
) -> Iterable[bytes]:
    """Send packed JSON in chunks, as it is to a client that takes gzip."""
    kind = "application/json" if status is HTTPStatus.OK else "application/problem+json"
    headers = [("Content-Type", kind), ("Vary", "Accept-Encoding")]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", ", ".join(READING)))
    takes_gzip = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    if takes_gzip:
        headers.append(("Content-Encoding", "gzip"))
    start_response(f"{status.value} {status.phrase}", headers)
    body = packed if takes_gzip else gzip.decompress(packed)
    chunks = (body[first : first + CHUNK_BYTES] for first in range(0, len(body), CHUNK_BYTES))
    return chunks if environ["REQUEST_METHOD"] != "HEAD" else []
