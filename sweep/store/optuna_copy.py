"""Databases of a newer schema than ours: Optuna reads them, and a copy in tables that we know answers.

Every question is asked of the copy as of a database of the known schema, so that there is one body of SQL.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import optuna
import sqlalchemy
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Engine

from sweep.errors import StorageFailed
from sweep.store import optuna_schema as schema


@dataclass(eq=False)
class OptunaCopy:
    """The studies of a storage, brought up to date at each use; trials that have finished never change."""

    storage: optuna.storages.RDBStorage
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # Of each study Optuna's handle, which reads only what is new, and the ids of the finished trials in the copy.
    _copied: dict[tuple[int, str], tuple[optuna.Study, set[int]]] = field(default_factory=dict)

    @cached_property
    def _engine(self) -> Engine:
        folder = tempfile.mkdtemp(prefix="sweep-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        url = f"sqlite:///{folder}/studies.db"
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, connect_args={"timeout": 30})
        schema.METADATA.create_all(engine)
        return engine

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection to the copy; `StorageFailed` if Optuna cannot read the database."""
        try:
            with self._lock, self._engine.begin() as connection:
                self._refresh(connection)
        except optuna.exceptions.OptunaError as error:
            raise StorageFailed(f"Optuna cannot read the studies: {error}") from error
        with self._engine.connect() as connection:
            yield connection

    def _refresh(self, connection: Connection) -> None:
        studies = {(study._study_id, study.study_name): study for study in self.storage.get_all_studies()}
        for study_id, name in self._copied.keys() - studies.keys():
            schema.delete_studies(connection, [name])
            del self._copied[study_id, name]
        for table in (schema.STUDIES, *schema.OF_STUDY):
            connection.execute(table.delete())
        for (study_id, name), study in studies.items():
            owner = {"study_id": study_id}
            directions = [StudyDirection(direction).name for direction in study.directions]
            for table, rows in (
                (schema.STUDIES, [{"study_name": name} | owner]),
                (schema.DIRECTIONS, [{"objective": n, "direction": each} | owner for n, each in enumerate(directions)]),
                (schema.STUDY_USER, schema.attribute_rows(owner, study.user_attrs)),
                (schema.STUDY_SYSTEM, schema.attribute_rows(owner, study.system_attrs)),
            ):
                if rows:
                    connection.execute(table.insert(), rows)
            if (study_id, name) not in self._copied:
                self._copied[study_id, name] = optuna.load_study(study_name=name, storage=self.storage), set()
            handle, finished = self._copied[study_id, name]
            trials = [trial for trial in handle.get_trials(deepcopy=False) if trial._trial_id not in finished]
            ids = [trial._trial_id for trial in trials]
            schema.delete_trials(connection, ids)
            if trials:
                schema.insert_trials(connection, study_id, trials, [trial.number for trial in trials], ids)
            finished |= {trial._trial_id for trial in trials if trial.state.is_finished()}


def put_back(storage: optuna.storages.RDBStorage, study_id: int) -> int:
    """Let running trials wait again; return how many there were."""
    running = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)
    return len(running)
