"""What every request may use: the studies, the supervisor, and a cache in front of both."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from sweep.api import Study
from sweep.config.study_file import Plan, read_study_file
from sweep.errors import NotYet, SweepError
from sweep.jobs.admission import admit, named_data
from sweep.jobs.queue import Job
from sweep.jobs.studies import StudyAnswer, StudyService
from sweep.jobs.supervisor import Supervisor
from sweep.server.cache import AnswerCache
from sweep.server.metrics import Metrics
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy

# Questions are tuples: a kind, then, for a question about one study, its name.
LISTS = ("studies", "studies part", "queue")
RESULTS = ("facts", "result")  # hold the study's version, so a change of its job leaves them right
UNCHANGED_SECONDS = 30.0  # that an answer is kept which holds the study's version
REGISTRY_SECONDS = 2.0
Answer = TypeVar("Answer")


@dataclass
class AppState:
    """The service's parts; one for each process.

    Attributes:
        templates: the folder whose study files the form offers.
        closing: set when the service begins to end, so that streams end too.
    """

    service: StudyService
    supervisor: Supervisor
    templates: Path
    metrics: Metrics
    cache: AnswerCache = field(default_factory=AnswerCache)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def database(self) -> Database:
        """The studies' database."""
        return self.service.database

    def study(self, name: str) -> StudyAnswer:
        """Return how far a study is.

        Raises:
            NotFound: if there is no such study.
        """
        return self.cache.get(("study", name), lambda: self._read([name])[0])

    def studies(self, names: Sequence[str]) -> list[StudyAnswer]:
        """Return how far studies are, read together; one that has just been deleted is left out."""
        generation = self.cache.generation
        found = self._read(names)
        for study in found:
            self.cache.put(("study", study.study), study, generation)
        return found

    def _read(self, names: Sequence[str]) -> list[StudyAnswer]:
        generation, jobs, found = self.cache.generation, self.service.queue.jobs(names), []
        with self.database.reading() as connection:
            versions = queries.versions(connection, names)
        for name in names:
            version, facts = versions.get(name, ()), None
            self.cache.put(("version", name), version, generation)
            if version:
                read = partial(self.service.facts, name)
                facts = self.cache.get(("facts", name, version), read, UNCHANGED_SECONDS)
            if facts is not None or name in jobs or len(names) == 1:
                progress = self.supervisor.progress.get(name)
                found.append(self.service.study(name, jobs.get(name), facts, progress))
        return found

    def queue(self) -> list[str]:
        """Return the names of the queued studies, first in the queue first."""
        return self.cache.get(("queue",), self.service.queue.queued)

    def template_plans(self) -> list[Plan]:
        """Return the study files of the templates' folder that this service may run, by file name."""

        def read() -> list[Plan]:
            found = []
            for path in sorted(self.templates.glob("*.toml")):
                try:
                    study_file = read_study_file(path)
                    digest = hashlib.sha256(study_file.data_path.read_bytes()).hexdigest()
                    named = named_data(study_file.plan, digest, self.service.datasets())
                    found.append(admit(named.model_dump(mode="json"), self.service.registry()))
                except (SweepError, OSError):
                    continue
            return found

        return self.cache.get(("template plans",), read, REGISTRY_SECONDS)

    def handle(self, name: str) -> Study:
        """Return the handle of a study."""
        return Study(StoredStudy(self.database, name))

    def result(self, name: str, question: Hashable, read: Callable[[Study], Answer]) -> Answer:
        """Return what `read` reads of a study; it is read again only if the study has changed.

        Raises:
            NotFound: if there is no such study.
            NotYet: if it has no such result yet.
        """

        def read_version() -> tuple[int, ...]:
            with self.database.reading() as connection:
                return queries.versions(connection, [name]).get(name, ())

        version = self.cache.get(("version", name), read_version)
        if not version and self.service.queue.find(name) is not None:
            raise NotYet(f"the study `{name}` has no finished trial yet.")
        return self.cache.get(("result", name, question, version), lambda: read(self.handle(name)), UNCHANGED_SECONDS)

    def result_as_json(self, name: str, question: Hashable, read: Callable[[Study], BaseModel]) -> Response:
        """Return a result as JSON, which is written once for all who ask."""
        text = self.result(name, ("JSON", question), lambda study: read(study).model_dump_json().encode())
        return Response(text, media_type="application/json")

    def json(self, question: Hashable, make: Callable[[], BaseModel], seconds: float = 1.0) -> Response:
        """Return an answer as JSON, which is written once for all who ask within `seconds`."""
        text = self.cache.get(question, lambda: make().model_dump_json().encode(), seconds)
        return Response(text, media_type="application/json")

    async def act(self, change: Callable[[], Job]) -> StudyAnswer:
        """Change a job, inform its process, and return how far its study is now."""
        job = await asyncio.to_thread(change)
        self._forget(job.name)
        await self.supervisor.apply_request(job)
        return await asyncio.to_thread(self.study, job.name)

    async def delete(self, name: str) -> None:
        """Delete a study, and inform all who follow it."""
        await asyncio.to_thread(self.service.delete, name)
        self._forget(name, *RESULTS)  # SQLite reuses keys, so that another study of this name may have its version
        await self.supervisor.tell()

    def _forget(self, name: str, *kinds: str) -> None:
        """Forget the lists, and what is known of a study, except its results unless they are among `kinds`."""

        def is_stale(question: tuple[Any, ...]) -> bool:
            kind, *about = question
            return kind in LISTS or (name in about and (kind not in RESULTS or kind in kinds))

        self.cache.forget(is_stale)


def state_of_app(request: Request) -> AppState:
    """Return the state of the app that a request came to."""
    state: AppState = request.app.state.state
    return state


State: TypeAlias = Annotated[AppState, Depends(state_of_app)]
