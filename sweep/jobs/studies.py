"""What can be asked of a server's studies and done with them, for HTTP routes and pages alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sweep.api import Study
from sweep.config.plan import Plan
from sweep.config.registry import Registry, read_registry
from sweep.config.study_file import StudyFile
from sweep.errors import BadInput, Conflict, NotFound, NotYet
from sweep.jobs.admission import DatasetAnswer, admit, named_data, read_registered, settle
from sweep.jobs.queue import Job, JobQueue, JobState, Progress, RequestedAction, Submitted, with_trials
from sweep.model import Answer
from sweep.search.finite import count_wanted
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy, StudyReader
from sweep.task import MetricName
from sweep.verdict.baselines import tuned_owner
from sweep.verdict.results import StatusAnswer

STOPPING, UNMANAGED = "stopping", "unmanaged"
MOVING = (JobState.QUEUED, JobState.RUNNING, STOPPING)  # the states that change by themselves


class StudyAnswer(StatusAnswer):
    """How far a study is, and what the service does with it.

    `running` is true while its job runs or somebody writes the study; one for which it is false can be deleted.
    `state` is that of its job; `stopping` while it ends, `unmanaged` for one that nobody ordered here. `reason` is why
    it failed, or what its last crash was; `best` is the score of its best candidate so far, by the metric `best_by`.
    """

    state: str
    note: str = ""
    reason: str | None = None
    crashes: int = 0
    created: datetime | None = None
    progress: Progress | None = None
    best: float | None = None
    best_by: MetricName = "accuracy"
    quoted_baseline: float | None = None


class ModelAnswer(Answer):
    """A registered model."""

    name: str
    about: str


class DatasetsAnswer(Answer):
    """The registered data sets."""

    datasets: tuple[DatasetAnswer, ...]


class ModelsAnswer(Answer):
    """The registered models."""

    models: tuple[ModelAnswer, ...]


@dataclass(frozen=True)
class Facts:
    """What the database holds of a study: its status, the score of its best candidate by a metric, its study file."""

    status: StatusAnswer
    best: float | None = None
    best_by: MetricName = "accuracy"
    plan: Plan | None = None


@dataclass(frozen=True)
class StudyService:
    """Answers questions about the studies of one database, and changes them."""

    database: Database
    queue: JobQueue

    def registry(self) -> Registry:
        """Return the registry as its file is now."""
        return read_registry()

    def submit(self, tables: Mapping[str, Any], key: str | None) -> Submitted:
        """Queue the study that the tables of a study file describe.

        Raises:
            BadInput: naming the first value that cannot be.
            Conflict: if the name is taken.
        """
        registry = self.registry()
        plan = settle(admit(tables, registry), registry)
        document = json.dumps(tables, sort_keys=True, default=str)
        return self.queue.submit(plan, key, hashlib.sha256(document.encode()).hexdigest())

    def facts(self, name: str) -> Facts:
        """Read what the database holds of a study; it is the same until the study changes.

        Raises:
            NotFound: if it has not begun.
        """
        study, best, best_by = Study(StoredStudy(self.database, name)), None, Facts.best_by
        with suppress(NotYet):
            found = study.best(1)
            best, best_by = found.best[0].value, found.valued_by
        return Facts(study.status(), best, best_by, self._stored(name).plan)

    def study(self, name: str, job: Job | None, facts: Facts | None, progress: Progress | None = None) -> StudyAnswer:
        """Return where a study is, from what the queue and the database hold of it and its process printed last.

        Raises:
            NotFound: if there is no such study.
        """
        if job is None and facts is None:
            raise NotFound("study", f"there is no study `{name}`.")
        known = facts or Facts(StatusAnswer(study=name, running=False, trials={}, wanted=None, verdict="none"))
        plan, status, running = known.plan, known.status, self.database.is_being_written(name)
        if job is not None and job.state is JobState.RUNNING:
            running = True  # also before its process has the study's lock, and until its end is stored
        wanted = status.wanted
        managed: dict[str, Any] = {"state": UNMANAGED}
        if job is not None:
            plan, wanted = job.plan, count_wanted(StoredStudy(self.database, name), job.plan)
            state = STOPPING if job.requested is RequestedAction.STOP else str(job.state)
            managed = {"state": state, "reason": job.reason, "crashes": job.crashes, "created": job.created}
        left = None if wanted is None else max(0, wanted - status.trials.get("complete", 0))
        rate = status.candidates_per_second
        return StudyAnswer(
            **status.model_dump(exclude={"running", "wanted", "seconds_left"}),
            **managed,
            running=running,
            wanted=wanted,
            seconds_left=left / rate if running and left is not None and rate else None,
            note="" if plan is None else plan.note,
            best=known.best,
            best_by=known.best_by,
            quoted_baseline=None if plan is None or plan.baseline is None else plan.baseline.accuracy,
            progress=progress,
        )

    def names(self) -> list[str]:
        """Return the names of all studies in order, except tuned baselines, which belong to theirs."""
        with self.database.reading() as connection:
            stored = queries.study_names(connection)
        known = {*stored, *self.queue.names()}
        return sorted(name for name in known if tuned_owner(name) not in known)

    def plan(self, name: str) -> Plan:
        """Return a study's study file.

        Raises:
            NotFound: if there is no such study, or something else made it.
        """
        job = self.queue.find(name)
        return _plan_of(self._stored(name)) if job is None else job.plan

    def study_file(self, study: StudyReader) -> StudyFile:
        """Return a stored study's plan with its data named by the registry, so that a server finds them.

        Raises:
            NotFound: if no registered data set is the same.
        """
        named = named_data(_plan_of(study), str(study.attributes.get("data_sha256")), self.datasets())
        return StudyFile(Path("-"), named, self.registry())

    def stop(self, name: str) -> Job:
        """Stop a study, or take it out of the queue."""
        return self.queue.stop(name)

    def resume(self, name: str) -> Job:
        """Queue a study that is stopped, done or failed."""
        self._import(name)
        return self.queue.resume(name)

    def raise_budget(self, name: str, trials: int) -> Job:
        """Set a study's number of trials in all; it can only grow."""
        job = self._import(name)
        admit(with_trials(job.plan, trials).model_dump(mode="json"), self.registry())
        return self.queue.raise_budget(name, trials)

    def delete(self, name: str) -> None:
        """Delete a study with its tuned baselines."""
        self._refuse_tuned(name)
        self.queue.delete(name)

    def datasets(self) -> tuple[DatasetAnswer, ...]:
        """Return the registered data sets; one whose file cannot be read is left out."""
        registry, found = self.registry(), []
        for name, known in registry.datasets.items():
            with suppress(OSError, BadInput):  # submitting a study of it says what is wrong
                dataset = read_registered(registry, name)
                found.append(
                    DatasetAnswer(
                        name=name,
                        about=known.about,
                        sha256=dataset.sha256,
                        header=bool(dataset.keys.header),
                        label=-1 if dataset.keys.label is None else dataset.keys.label,
                        reading=dataset.keys,
                        rows=dataset.rows,
                        features=dataset.features,
                        classes=dataset.classes,
                        notes=dataset.notes,
                    )
                )
        return tuple(found)

    def models(self) -> tuple[ModelAnswer, ...]:
        """Return the registered models."""
        return tuple(ModelAnswer(name=name, about=known.about) for name, known in self.registry().models.items())

    def _stored(self, name: str) -> StudyReader:
        with StoredStudy(self.database, name).reading() as study:
            return study

    def _import(self, name: str) -> Job:
        """Return a study's job; a study that `sweep run` made gets one, if a server may run it."""
        if (job := self.queue.find(name)) is not None:
            return job
        named = self.study_file(self._stored(name)).plan
        self._refuse_tuned(name)
        return self.queue.import_study(admit(named.model_dump(mode="json"), self.registry()))

    def _refuse_tuned(self, name: str) -> None:
        with self.database.reading() as connection:
            if tuned_owner(name) in queries.study_names(connection):
                raise Conflict("study", f"`{name}` is a tuned baseline; it goes with its study.")


def _plan_of(study: StudyReader) -> Plan:
    if study.plan is None:
        raise NotFound("study", f"`{study.name}` keeps no study file; something else made it.")
    return study.plan
