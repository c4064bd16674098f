"""One stored study behind an optuna-dashboard of its own, read-only; private names of Optuna stand here alone."""

from __future__ import annotations

import gzip
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

from optuna.storages import _CachedStorage
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

from sweep.errors import NotFound, StorageFailed
from sweep.store.database import Database
from sweep.store.queries import count_by_state

# The page would print the first thousand characters of each, and they are nine tenths of a study.
LEFT_OUT = ("curves", "correct", "class_correct", "log_losses", "run_seeds")
HIDDEN = (  # what no view needs: those attributes, and the documents of `sweep.store.documents`
    with_loader_criteria(TrialUserAttributeModel, TrialUserAttributeModel.key.not_in(LEFT_OUT)),
    with_loader_criteria(StudySystemAttributeModel, StudySystemAttributeModel.key.not_like("sweep:%")),
)
NOTES = with_loader_criteria(StudySystemAttributeModel, StudySystemAttributeModel.key.not_like("dashboard:%"))

FRESH_SECONDS = 2.0
COST_SHARE = 0.05  # of the time, at most, goes into making an answer again, unless it would be kept for
MOST_TIMES = 5  # times as long as a cheap one
ANSWERS_KEPT = 16


def ask(application: WSGIApplication, path: str, query: str = "") -> bytes:
    """Send optuna-dashboard's application one GET, and return the body.

    Raises:
        ValueError: if it answers anything but 200.
    """
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
class Answer:
    """An answer of optuna-dashboard, packed, and until when it is kept whatever happens in the study."""

    packed: bytes
    kept_until: float


@dataclass
class ShownStudy:
    """Answers about one study: each made once, and again when the study has changed and some seconds have passed."""

    database: Database
    study_id: int
    fresh_seconds: float = FRESH_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _answers: dict[str, Answer] = field(default_factory=dict, init=False)
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
            return self._answers[question].packed

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
            self._answers = {question: one for question, one in self._answers.items() if one.kept_until > now}
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

    def _make(self, path: str, query: str) -> Answer:
        # Its own caches keep trials for 10 s, and importances by a study's id, of whatever database, for ever.
        cache: InMemoryCache = self._application._inmemory_cache
        cache.clear()
        cache._cached_extra_study_property_cache[self.study_id] = self._properties
        param_importance_cache.clear()
        began = time.monotonic()
        packed = gzip.compress(ask(self._application, f"/api/studies/{self.study_id}{path}", query), 1)
        seconds = time.monotonic() - began
        return Answer(packed, began + min(seconds / COST_SHARE, MOST_TIMES * self.fresh_seconds))
