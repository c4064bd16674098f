"""The studies: what can be asked of studies and done with them from afar, whoever asks and by whatever transport.

It stands alone because HTTP routes and pages must say and do the same; it knows neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sweep.api import Study
from sweep.config.registry import RegisteredData, Registry, read_registry
from sweep.config.study_file import Plan, StudyFile
from sweep.data.table import Dataset, read_csv
from sweep.errors import BadInput, Conflict, NotFound, NotYet
from sweep.jobs.admission import admit, check_rows, named_data
from sweep.jobs.job import Job, JobState, RequestedAction
from sweep.jobs.progress import Progress
from sweep.jobs.queue import TUNED, JobQueue, Submitted
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy, StudyReader
from sweep.verdict.results import StatusAnswer

STOPPING, UNMANAGED = "stopping", "unmanaged"
MOVING = (JobState.QUEUED, JobState.RUNNING, STOPPING)  # what is not at rest


class StudyAnswer(StatusAnswer):
    """How far a study is, and what the service does with it.

    Attributes:
        state: of its order; `stopping` while it ends, `unmanaged` for one that nobody ordered here.
        note: what its study file says to people.
        reason: why it failed, or what its last crash was.
        crashes: of its process since it was ordered or resumed.
        created: when it was ordered.
        progress: where it is, while it runs.
        best: accuracy of its best candidate so far.
        quoted_baseline: the accuracy that it is compared with.
    """

    state: str
    note: str = ""
    reason: str | None = None
    crashes: int = 0
    created: datetime | None = None
    progress: Progress | None = None
    best: float | None = None
    quoted_baseline: float | None = None


class DatasetAnswer(BaseModel):
    """A registered data set: how it is read, what it holds, and the SHA-256 of its file."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str
    sha256: str
    header: bool
    label: str | int
    rows: int
    features: int
    classes: tuple[str, ...]


class ModelAnswer(BaseModel):
    """A registered model."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str


@dataclass(frozen=True)
class Facts:
    """What a study tells of itself: its status, the accuracy of its best candidate, and its study file."""

    status: StatusAnswer
    best: float | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class StudyService:
    """Answers and acts on the studies of one database."""

    database: Database
    book: JobQueue

    def registry(self) -> Registry:
        """Return the registry as its file is now."""
        return read_registry()

    def order(self, tables: Mapping[str, Any], key: str | None) -> Submitted:
        """Order the study that the tables of a study file describe.

        Raises:
            BadInput: naming the first value that cannot be.
            Conflict: if the name is taken.
        """
        registry = self.registry()
        plan = admit(tables, registry)
        check_rows(plan, registry, read_registered)
        return self.book.submit(plan, key, digest(tables))

    def facts(self, name: str) -> Facts:
        """Read what a study itself tells of where it is; it stays so until the study changes.

        Raises:
            NotFound: if it has not begun.
        """
        with StoredStudy(self.database, name).reading() as found:
            plan = found.plan
        study = Study(StoredStudy(self.database, name))
        return Facts(study.status(), best_of(study), plan)

    def study(self, name: str, order: Job | None, facts: Facts | None, pace: Progress | None = None) -> StudyAnswer:
        """Return where a study is.

        Args:
            name: the study.
            order: what the book has of it; None if nobody ordered it.
            facts: what it tells itself; None if it has not begun.
            pace: what its process told last.

        Raises:
            NotFound: if there is no such study.
        """
        if order is None and facts is None:
            raise NotFound("study", f"there is no study `{name}`.")
        known = facts or Facts(StatusAnswer(study=name, running=False, trials={}, wanted=None, verdict="none"))
        return StudyAnswer(
            **known.status.model_dump(exclude={"running", "wanted", "seconds_left"}),
            **self._now(name, known, order),
            **about(order, known),
            progress=pace,
        )

    def _now(self, name: str, known: Facts, order: Job | None) -> dict[str, Any]:
        """Return what changes without the study: whether somebody writes it, its budget, and so the time left."""
        status, running = known.status, self.database.is_being_written(name)
        wanted = order.plan.search.trials if order is not None else status.wanted
        left = None if wanted is None else max(0, wanted - status.trials.get("complete", 0))
        rate = status.candidates_per_second
        seconds_left = left / rate if running and left is not None and rate else None
        return {"running": running, "wanted": wanted, "seconds_left": seconds_left}

    def names(self) -> list[str]:
        """Return the names of all studies in order, but for tuned baselines, which belong to theirs."""
        known = {*self.stored_names(), *self.book.names()}
        return sorted(name for name in known if not is_tuned(name, known))

    def stored_names(self) -> set[str]:
        """Return the names of the studies that have begun, tuned baselines among them."""
        with self.database.reading() as connection:
            return queries.study_names(connection)

    def plan(self, name: str) -> Plan:
        """Return a study's study file.

        Raises:
            NotFound: if there is no such study, or something else made it.
        """
        order = self.book.find(name)
        plan = order.plan if order is not None else self._found(name).plan
        if plan is None:
            raise NotFound("study", f"`{name}` keeps no study file; something else made it.")
        return plan

    def study_file(self, study: StudyReader) -> StudyFile:
        """Return a stored study's plan with its data named by the registry, so that a server finds them.

        Raises:
            NotFound: if no registered data set is the same.
        """
        if study.plan is None:
            raise NotFound("study", f"`{study.name}` keeps no study file; something else made it.")
        named = named_data(study.plan, str(study.attributes.get("data_sha256")), self.registered())
        return StudyFile(Path("-"), named, self.registry())

    def stop(self, name: str) -> Job:
        """Stop a study, or take it out of the queue."""
        return self.book.stop(name)

    def resume(self, name: str) -> Job:
        """Let a study that rests go on."""
        self._take_in(name)
        return self.book.resume(name)

    def raise_budget(self, name: str, trials: int) -> Job:
        """Set a study's number of trials in all; it can only grow."""
        order = self._take_in(name)
        search = order.plan.search.model_copy(update={"trials": trials})
        tables = order.plan.model_copy(update={"search": search}).model_dump(mode="json")
        admit(tables, self.registry())
        return self.book.raise_budget(name, trials)

    def delete(self, name: str) -> None:
        """Delete a study with its tuned baselines."""
        self._refuse_tuned(name)
        self.book.delete(name)

    def datasets(self) -> list[DatasetAnswer]:
        """Return the registered data sets that can be read."""
        return [
            DatasetAnswer(
                name=name,
                about=known.about,
                sha256=dataset.sha256,
                header=known.header,
                label=known.label,
                rows=len(dataset.targets),
                features=dataset.inputs.shape[1],
                classes=dataset.classes,
            )
            for name, (known, dataset) in self.registered().items()
        ]

    def models(self) -> list[ModelAnswer]:
        """Return the registered models."""
        return [ModelAnswer(name=name, about=known.about) for name, known in self.registry().models.items()]

    def _take_in(self, name: str) -> Job:
        """Return a study's order; one that `sweep run` made is taken into the book, if a server may run it."""
        order = self.book.find(name)
        if order is not None:
            return order
        named = self.study_file(self._found(name)).plan
        self._refuse_tuned(name)
        return self.book.import_study(admit(named.model_dump(mode="json"), self.registry()))

    def _found(self, name: str) -> StudyReader:
        with StoredStudy(self.database, name).reading() as study:
            return study

    def _refuse_tuned(self, name: str) -> None:
        if is_tuned(name, self.stored_names()):
            raise Conflict("study", f"`{name}` is a tuned baseline; it goes with its study.")

    def registered(self) -> dict[str, tuple[RegisteredData, Dataset]]:
        """Return the registered data sets with what they hold; one whose file cannot be read is left out."""
        registry, found = self.registry(), {}
        for name, known in registry.datasets.items():
            try:
                found[name] = known, read_registered(registry, name)
            except (OSError, BadInput):  # which an order of it will say
                continue
        return found


def about(order: Job | None, known: Facts) -> dict[str, Any]:
    """Return what a `StudyAnswer` has of its order and its study file."""
    plan = order.plan if order is not None else known.plan
    quoted = plan.baseline.accuracy if plan is not None and plan.baseline is not None else None
    told = {"note": plan.note if plan is not None else "", "best": known.best, "quoted_baseline": quoted}
    if order is None:
        return told | {"state": UNMANAGED}
    state = STOPPING if order.wish is RequestedAction.STOP else str(order.state)
    return told | {"state": state, "reason": order.reason, "crashes": order.crashes, "created": order.created}


def is_tuned(name: str, known: Collection[str]) -> bool:
    """Say whether a study is a tuned baseline of another."""
    stem, _, suffix = name.rpartition(".")
    return suffix in TUNED and stem in known


def best_of(study: Study) -> float | None:
    """Return the accuracy of a study's best candidate so far."""
    try:
        return study.best(1).best[0].value
    except (NotFound, NotYet):
        return None


def digest(tables: Mapping[str, Any]) -> str:
    """Return what is the same for two requests that mean the same."""
    return hashlib.sha256(json.dumps(tables, sort_keys=True, default=str).encode()).hexdigest()


def read_registered(registry: Registry, name: str) -> Dataset:
    """Read a registered data set, once for each state of its file."""
    path, known = registry.data_path(name), registry.data(name)
    modified = path.stat().st_mtime_ns if path.exists() else 0
    return _read(str(path), modified, known.header, known.label)


@lru_cache(maxsize=64)
def _read(path: str, _modified: int, header: bool, label: str | int) -> Dataset:
    return read_csv(Path(path), header=header, label=label)
