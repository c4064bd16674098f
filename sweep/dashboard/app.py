"""optuna-dashboard over the studies, for reading: its page as it is, and what the page asks, answered by us.

It stands alone because optuna-dashboard has no login, and lets everyone rename and delete. So its own application gets
an empty storage in memory and serves nothing but its files: no route of it can reach the database. The few questions
that its page asks are answered from connections that cannot write (`sweep.dashboard.shown_study`).
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from a2wsgi import WSGIMiddleware
from optuna.storages import InMemoryStorage
from optuna_dashboard import wsgi
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.dashboard.shown_study import ShownStudy, write_json
from sweep.dashboard.stored_study import list_studies
from sweep.errors import NotFound, StorageFailed
from sweep.store.database import Database

Told = TypeVar("Told")

LOG = logging.getLogger("sweep.server")

READING = ("GET", "HEAD")
FILES = re.compile(r"/|/dashboard(?:/.*)?|/static/[A-Za-z0-9_-][A-Za-z0-9._-]*|/favicon\.ico")
STUDY = "/api/studies/([1-9][0-9]{0,8})"
NO_QUERY = re.compile("")
AFTER = re.compile("(?:after=([0-9]{1,9}))?")
# No figures drawn by the server either: one of many trials takes minutes.
META = dict.fromkeys(("artifact_is_available", "llm_is_available", "plotlypy_is_available", "allow_unsafe"), False)

THREADS = 4
READER_SECONDS = 30.0
CHUNKS_AHEAD = 64  # that a thread leaves to a slow reader before it waits for him
CHUNK_BYTES = 65536
FRESH_SECONDS = 2.0
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


class Route(NamedTuple):
    """A question of the page: the whole path and query that ask it, whose groups are numbers, and its answer."""

    path: re.Pattern[str]
    query: re.Pattern[str]
    answer: Callable[..., Iterable[bytes]]


class Dashboard:
    """The WSGI application: answers GET and HEAD of what stands in its table, and refuses all else."""

    def __init__(self, database: Database, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database, self._fresh_seconds = database, fresh_seconds
        self._files: WSGIApplication = wsgi(InMemoryStorage())
        self._lock = threading.Lock()
        self._studies: dict[int, ShownStudy] = {}  # the one looked at last comes last
        self._routes = (
            Route(re.compile("/api/meta"), NO_QUERY, lambda: [write_json(META)]),
            Route(re.compile("/api/studies"), NO_QUERY, self._list),
            Route(re.compile(STUDY), AFTER, self._study),
            Route(re.compile(f"{STUDY}/param_importances"), NO_QUERY, self._importances),
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path, respond = environ.get("PATH_INFO", ""), Response(environ, start_response)
        if environ["REQUEST_METHOD"] not in READING:
            return respond.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this dashboard is for reading only.")
        if FILES.fullmatch(path):
            return self._file(environ, start_response)
        found = next(((route, matched) for route in self._routes if (matched := route.path.fullmatch(path))), None)
        if found is None:
            return respond.refuse(HTTPStatus.NOT_FOUND, "there is nothing here.")
        route, matched = found
        asked = route.query.fullmatch(environ.get("QUERY_STRING", ""))
        if asked is None:
            return respond.refuse(HTTPStatus.BAD_REQUEST, "only a study takes a query: `after`, a whole number.")
        return respond.answer(route, [int(group) for group in (*matched.groups(), *asked.groups()) if group])

    def _file(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one of optuna-dashboard's files; it would believe what a client says of a proxy."""
        told = {key: value for key, value in environ.items() if not key.startswith("HTTP_X_")}
        told |= {"QUERY_STRING": "", "HTTP_ACCEPT_ENCODING": environ.get("HTTP_ACCEPT_ENCODING", "")}

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("Cache-Control", "private, no-cache")], *error)

        return self._files(told, start)

    def _list(self) -> Iterable[bytes]:
        return [write_json({"study_summaries": list_studies(self._database)})]

    def _study(self, study_id: int, after: int = 0) -> Iterable[bytes]:
        return self._ask(study_id, lambda study: study.parts(after))

    def _importances(self, study_id: int) -> Iterable[bytes]:
        return self._ask(study_id, lambda study: [study.importances()])

    def _ask(self, study_id: int, question: Callable[[ShownStudy], Told]) -> Told:
        """Ask one of the few studies that are kept; one that is not there displaces none of them."""
        with self._lock:
            study = self._studies.pop(study_id, None) or ShownStudy(self._database, study_id, self._fresh_seconds)
            self._studies[study_id] = study
        try:
            return question(study)
        except NotFound:
            with self._lock:
                self._studies.pop(study_id, None)
            raise
        finally:
            with self._lock:
                while len(self._studies) > STUDIES_KEPT:
                    del self._studies[next(iter(self._studies))]


@dataclass(frozen=True)
class Response:
    """Writes one response, packed for whoever takes it so: a study's JSON shrinks more than tenfold."""

    environ: WSGIEnvironment
    start: StartResponse

    def answer(self, route: Route, numbers: Sequence[int]) -> Iterable[bytes]:
        """Answer a question of the page; whatever goes wrong with a stored study makes it one that is not there."""
        try:
            return self._send(HTTPStatus.OK, "application/json", route.answer(*numbers))
        except NotFound as error:
            return self.refuse(HTTPStatus.NOT_FOUND, error.reason)
        except StorageFailed:
            return self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the studies cannot be read now.")
        except Exception as error:  # anything may stand in a database that others fill
            LOG.error("%s in an answer to optuna-dashboard's page", type(error).__name__)
            return self.refuse(HTTPStatus.NOT_FOUND, "this study cannot be shown.")

    def refuse(self, status: HTTPStatus, detail: str) -> Iterable[bytes]:
        """Send a problem; the page shows its `reason`."""
        problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "reason": detail}
        allow = [("Allow", ", ".join(READING))] if status is HTTPStatus.METHOD_NOT_ALLOWED else []
        return self._send(status, "application/problem+json", [write_json(problem)], *allow)

    def _send(
        self, status: HTTPStatus, content_type: str, parts: Iterable[bytes], *headers: tuple[str, str]
    ) -> Iterable[bytes]:
        told = [("Content-Type", content_type), ("Vary", "Accept-Encoding"), *headers]
        if "gzip" in self.environ.get("HTTP_ACCEPT_ENCODING", ""):
            told.append(("Content-Encoding", "gzip"))
            parts = _packed(parts)
        self.start(f"{status.value} {status.phrase}", told)
        return parts if self.environ["REQUEST_METHOD"] != "HEAD" else []


def _packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer, chunk = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS), b""
    for part in parts:
        chunk += packer.compress(part)
        if len(chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = b""
    yield chunk + packer.flush()
