"""optuna-dashboard over the studies, for reading: GET and HEAD of a few of its routes, and nothing that writes.

optuna-dashboard has no login, and lets everybody rename and delete. So the application that serves its files has an
empty storage in memory, and those that answer about studies are asked by us, never by a client. Private names of
Optuna stand here alone.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, NoReturn
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

from a2wsgi import WSGIMiddleware
from optuna.storages import InMemoryStorage, _CachedStorage
from optuna.storages._rdb.models import (
    StudyDirectionModel,
    StudyModel,
    StudySystemAttributeModel,
    StudyUserAttributeModel,
    TrialUserAttributeModel,
)
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial
from optuna_dashboard import wsgi
from optuna_dashboard._importance import param_importance_cache
from optuna_dashboard._inmemory_cache import InMemoryCache, _CachedExtraStudyProperty
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.errors import NotFound, StorageFailed
from sweep.store.database import Database
from sweep.store.queries import count_by_state

LOG = logging.getLogger("sweep.server")

READING = ("GET", "HEAD")
FILES = re.compile(r"/|/dashboard(?:/.*)?|/static/[A-Za-z0-9_-][A-Za-z0-9._-]*|/favicon\.ico")
STUDY = re.compile("/api/studies/(?P<study>[1-9][0-9]{0,8})(?P<rest>|/param_importances)")
AFTER = re.compile("(?:after=[0-9]{1,9})?")
# No figures drawn by the server either: one of many trials takes minutes.
META = dict.fromkeys(("artifact_is_available", "llm_is_available", "plotlypy_is_available", "allow_unsafe"), False)

THREADS = 4
READER_SECONDS = 30.0
CHUNKS_AHEAD = 64  # that a thread leaves to a slow reader before it waits for him
CHUNK_BYTES = 65536
STUDIES_KEPT = 4

# The page would print the first thousand characters of each, and they are nine tenths of a study.
LEFT_OUT = ("curves", "correct", "class_correct", "log_losses", "run_seeds")
HIDDEN = (  # what no view needs: those attributes, and the documents of `sweep.store.study`
    with_loader_criteria(TrialUserAttributeModel, TrialUserAttributeModel.key.not_in(LEFT_OUT)),
    with_loader_criteria(StudySystemAttributeModel, StudySystemAttributeModel.key.not_like("sweep:%")),
)
NOTES = with_loader_criteria(StudySystemAttributeModel, StudySystemAttributeModel.key.not_like("dashboard:%"))

FRESH_SECONDS = 2.0
COST_SHARE = 0.05  # of the time, at most, goes into making an answer again, unless it would be kept for
MOST_TIMES = 5  # times as long as a cheap one
ANSWERS_KEPT = 16


def ask(application: WSGIApplication, path: str, query: str = "") -> bytes:
    """Return the body of optuna-dashboard's answer to one GET; raise `ValueError` if it is anything but 200."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start(status: str, _headers: Any, _error: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    body = b"".join(application(environ | {"PATH_INFO": path, "QUERY_STRING": query}, start))
    if not statuses[-1].startswith("200 "):
        raise ValueError(f"optuna-dashboard answered {statuses[-1]}")
    return body


class ReadOnlyStorage(_CachedStorage):
    """Optuna's storage, which reads a finished trial once, over connections that cannot write."""

    def __init__(self, database: Database, *hidden: Any) -> None:
        backend = database.read_only_storage()

        @event.listens_for(backend.scoped_session, "do_orm_execute")
        def leave_out(state: ORMExecuteState) -> None:
            state.statement = state.statement.options(*HIDDEN, *hidden) if state.is_select else state.statement

        super().__init__(backend)

    def refuse(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Raise for everything that would write."""
        raise TypeError("this storage is for reading only")

    create_new_study = delete_study = set_study_user_attr = set_study_system_attr = refuse
    create_new_trial = set_trial_param = set_trial_state_values = set_trial_intermediate_value = refuse
    set_trial_user_attr = set_trial_system_attr = record_heartbeat = refuse


class StudyStorage(ReadOnlyStorage):
    """A storage of one study: optuna-dashboard reads all of a storage to find one."""

    def __init__(self, database: Database, study_id: int) -> None:
        tables = (StudyModel, StudyDirectionModel, StudyUserAttributeModel, StudySystemAttributeModel)
        super().__init__(database, *(with_loader_criteria(table, table.study_id == study_id) for table in tables))
        self.study_id = study_id

    def trials(self) -> list[FrozenTrial]:
        """Return all trials."""
        return self.get_all_trials(self.study_id, deepcopy=False)

    def is_still(self, trial: FrozenTrial) -> bool:
        """Say whether a trial that was read is in the database as it was: Optuna never changes a finished one."""
        try:
            found = self._backend.get_trial(trial._trial_id)  # not from the cache
        except KeyError:
            return False
        return (found.number, found.datetime_complete) == (trial.number, trial.datetime_complete)


class Properties(_CachedExtraStudyProperty):  # type: ignore[misc]  # it has no types
    """What all trials have in common; a finished one is looked at once.

    optuna-dashboard looks at all of them at every poll if none is unfinished: 1.6 s for ten thousand.
    """

    def __init__(self) -> None:
        super().__init__()
        self._finished: set[int] = set()

    def update(self, trials: list[FrozenTrial]) -> None:
        """Take in the trials that were not finished the last time."""
        self._cursor = -1
        super().update([trial for trial in trials if trial.number not in self._finished])
        self._finished.update(trial.number for trial in trials if trial.state.is_finished())


@dataclass
class ShownStudy:
    """Answers about one study: each made once, and again when the study has changed and some seconds have passed."""

    database: Database
    study_id: int
    fresh_seconds: float = FRESH_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    # Of each question the answer, packed, and until when it is kept whatever happens in the study.
    _answers: dict[str, tuple[bytes, float]] = field(default_factory=dict, init=False)
    _fresh_until: float = field(default=-math.inf, init=False)
    _storage: StudyStorage = field(init=False)
    _read: tuple[FrozenStudy, list[FrozenTrial]] | None = field(default=None, init=False)

    def answer(self, path: str, query: str = "") -> bytes:
        """Return what optuna-dashboard answers at a path below the study's, packed by gzip.

        Raises:
            NotFound: if the study is not there.
            StorageFailed: if the database cannot be read.
        """
        question = f"{path}?{query}"
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                self._refresh()
            if question not in self._answers:
                self._answers[question] = self._make(path, query)
                while len(self._answers) > ANSWERS_KEPT:
                    del self._answers[next(iter(self._answers))]
            return self._answers[question][0]

    def _refresh(self) -> None:
        """Read what is new, and drop the answers that it makes old."""
        before = self._read
        try:
            self._read = self._storage_now(before).get_all_studies()[0], self._storage.trials()
        except (KeyError, IndexError) as error:
            raise NotFound("study", f"study_id={self.study_id} is not found.") from error
        except SQLAlchemyError as error:
            raise StorageFailed("the database cannot be read now.") from error
        unchanged = (
            before is not None
            and (before[0], len(before[1])) == (self._read[0], len(self._read[1]))
            and all(trial.state.is_finished() for trial in before[1])  # of others anything may have changed
        )
        if not unchanged:
            now = time.monotonic()
            self._answers = {question: kept for question, kept in self._answers.items() if kept[1] > now}
        self._fresh_until = time.monotonic() + self.fresh_seconds

    def _storage_now(self, before: tuple[FrozenStudy, list[FrozenTrial]] | None) -> StudyStorage:
        """Return the storage; a new one if another study has come under the old id, or a trial came late."""
        with self.database.reading() as connection:
            count = sum(count_by_state(connection, self.study_id).values())
        finished = [trial for trial in (before[1] if before else []) if trial.state.is_finished()]
        last = max(finished, key=lambda trial: trial._trial_id, default=None)
        if last is None or not self._storage.is_still(last) or len(self._storage.trials()) < count:
            self._storage, self._properties = StudyStorage(self.database, self.study_id), Properties()
            self._application: Any = wsgi(self._storage)
            self._answers.clear()
        return self._storage

    def _make(self, path: str, query: str) -> tuple[bytes, float]:
        # Its own caches keep trials for 10 s, and importances by a study's id, of whatever database, for ever.
        cache: InMemoryCache = self._application._inmemory_cache
        cache.clear()
        cache._cached_extra_study_property_cache[self.study_id] = self._properties
        param_importance_cache.clear()
        began = time.monotonic()
        packed = gzip.compress(ask(self._application, f"/api/studies/{self.study_id}{path}", query), 1)
        seconds = time.monotonic() - began
        return packed, began + min(seconds / COST_SHARE, MOST_TIMES * self.fresh_seconds)


class Dashboard:
    """The WSGI application: answers GET and HEAD of the allowed routes, and refuses all else."""

    def __init__(self, database: Database, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database, self._fresh_seconds = database, fresh_seconds
        self._files: WSGIApplication = wsgi(InMemoryStorage())
        self._lock = threading.Lock()
        self._studies: dict[int, ShownStudy] = {}  # the one looked at last comes last

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request: with a file, or with packed JSON in chunks, unpacked for a client that takes no gzip."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method in READING and FILES.fullmatch(path):
            return self._file(environ, start_response)
        status, found = self._answer(method, path, environ.get("QUERY_STRING", ""))
        headers = [("Content-Type", "application/json"), ("Vary", "Accept-Encoding")]
        if isinstance(found, str):  # the page shows the `reason`
            headers[0] = ("Content-Type", "application/problem+json")
            problem = {"type": "about:blank", "title": status.phrase, "status": status}
            found = gzip.compress(json.dumps(problem | {"detail": found, "reason": found}).encode(), 1)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", ", ".join(READING)))
        takes_gzip = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
        if takes_gzip:
            headers.append(("Content-Encoding", "gzip"))
        start_response(f"{status.value} {status.phrase}", headers)
        body = found if takes_gzip else gzip.decompress(found)
        chunks = (body[first : first + CHUNK_BYTES] for first in range(0, len(body), CHUNK_BYTES))
        return chunks if method != "HEAD" else []

    def _answer(self, method: str, path: str, query: str) -> tuple[HTTPStatus, bytes | str]:
        """Return the status, and the JSON that answers a question of the page, packed by gzip, or why there is none."""
        study = STUDY.fullmatch(path)
        if method not in READING:
            return HTTPStatus.METHOD_NOT_ALLOWED, "this dashboard is for reading only."
        if study is None and path not in ("/api/meta", "/api/studies"):
            return HTTPStatus.NOT_FOUND, "there is nothing here."
        if query and not (study and not study["rest"] and AFTER.fullmatch(query)):
            return HTTPStatus.BAD_REQUEST, "only a study takes a query: `after`, a whole number."
        try:
            if study:
                return HTTPStatus.OK, self._ask(int(study["study"]), study["rest"], query)
            text = json.dumps(META).encode() if path == "/api/meta" else ask(self._list, path)
        except NotFound as error:
            status, reason = HTTPStatus.NOT_FOUND, error.reason
        except StorageFailed:
            status, reason = HTTPStatus.SERVICE_UNAVAILABLE, "the studies cannot be read now."
        except Exception as error:  # anything may stand in a database that others fill
            LOG.error("%s in an answer to optuna-dashboard's page", type(error).__name__)
            status, reason = HTTPStatus.NOT_FOUND, "this study cannot be shown."
        else:
            return HTTPStatus.OK, gzip.compress(text, 1)
        return status, reason

    def _file(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one of optuna-dashboard's files; it would believe what a client says of a proxy."""
        safe = {key: value for key, value in environ.items() if not key.startswith("HTTP_X_")}
        safe |= {"QUERY_STRING": "", "HTTP_ACCEPT_ENCODING": environ.get("HTTP_ACCEPT_ENCODING", "")}

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, ("Cache-Control", "private, no-cache")], *error)

        return self._files(safe, start)

    @cached_property
    def _list(self) -> WSGIApplication:
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
