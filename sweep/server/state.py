"""What every request may need, in one place: the studies, the supervisor, and answers that are kept for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from sweep.api import Study
from sweep.errors import NotYet
from sweep.jobs.queue import Job
from sweep.jobs.studies import Facts, StudyAnswer, StudyService
from sweep.jobs.supervisor import Supervisor
from sweep.server.cache import AnswerCache
from sweep.server.metrics import Metrics
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy

LISTS = ("studies", "studies part", "queue")
OF_ONE = ("study", "study as JSON", "study part", "version", "plan")
UNCHANGED_SECONDS = 30.0  # that a result is kept of a study that does not change
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
    counts: Metrics
    recent: AnswerCache = field(default_factory=AnswerCache)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def database(self) -> Database:
        """The studies' database."""
        return self.service.database

    def study(self, name: str) -> StudyAnswer:
        """Return where a study is, at most a moment ago.

        Raises:
            NotFound: if there is no such study.
        """
        return self.recent.get(("study", name), lambda: self._look([name])[0])

    def studies(self, names: Sequence[str]) -> list[StudyAnswer]:
        """Return where studies are, read together; one that has just been deleted is left out."""
        generation = self.recent.generation
        found = self._look(names)
        for study in found:
            self.recent.put(("study", study.study), study, generation)
        return found

    def queue(self) -> list[str]:
        """Return the names of the studies that wait, first in the queue first."""
        return self.recent.get(("queue",), self.service.queue.queued)

    def _look(self, names: Sequence[str]) -> list[StudyAnswer]:
        generation = self.recent.generation
        jobs, versions = self.service.queue.jobs(names), self._versions(names)
        for name in names:
            self.recent.put(("version", name), versions.get(name, ()), generation)
        return [
            self.service.study(name, jobs.get(name), self._facts(name, versions), self.supervisor.progress.get(name))
            for name in names
            if name in jobs or name in versions or len(names) == 1
        ]

    def _facts(self, name: str, versions: Mapping[str, tuple[int, ...]]) -> Facts | None:
        """Return what a study tells of itself, read again only if it has changed; None if it has not begun."""
        if name not in versions:
            return None
        question = ("facts", name, versions[name])
        return self.recent.get(question, lambda: self.service.facts(name), UNCHANGED_SECONDS)

    def handle(self, name: str) -> Study:
        """Return the handle of a study."""
        return Study(StoredStudy(self.database, name))

    def result(self, name: str, question: Hashable, read: Callable[[Study], Answer]) -> Answer:
        """Return what `read` reads of a study, at most a moment ago; it is read again only if the study has changed.

        Raises:
            NotFound: if there is no such study.
            NotYet: if it has no such result yet.
        """
        version = self.recent.get(("version", name), lambda: self._versions([name]).get(name, ()))
        if not version and self.service.queue.find(name) is not None:
            raise NotYet(f"the study `{name}` has no finished trial yet.")
        return self.recent.get((question, name, version), lambda: read(self.handle(name)), UNCHANGED_SECONDS)

    def result_as_json(self, name: str, question: Hashable, read: Callable[[Study], BaseModel]) -> Response:
        """Return the same as JSON, which is written once."""

        def write(study: Study) -> bytes:
            return read(study).model_dump_json().encode()

        return as_json(self.result(name, question, write))

    async def delete(self, name: str) -> None:
        """Delete a study, and let everybody who follows know."""
        await asyncio.to_thread(self.service.delete, name)
        # SQLite gives its keys out again: another study of this name may look the same.
        self.recent.forget(lambda question: isinstance(question, tuple) and (question[0] in LISTS or name in question))
        await self.supervisor.tell()

    def forget(self, name: str) -> None:
        """Look anew at a study that was changed, and at the lists that it stands in."""
        self.recent.forget(
            lambda question: (
                isinstance(question, tuple) and (question[0] in LISTS or question[:2] in {(of, name) for of in OF_ONE})
            )
        )

    def json(self, question: Hashable, make: Callable[[], BaseModel], seconds: float = 1.0) -> Response:
        """Return an answer as JSON, which is written once for all who ask within `seconds`."""
        return as_json(self.recent.get(question, lambda: make().model_dump_json().encode(), seconds))

    def _versions(self, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
        with self.database.reading() as connection:
            return queries.versions(connection, names)

    async def act(self, change: Callable[[], Job]) -> StudyAnswer:
        """Change an order, let its process know, and return where its study is now."""
        order = await asyncio.to_thread(change)
        self.forget(order.name)
        await self.supervisor.apply_request(order)
        return await asyncio.to_thread(self.study, order.name)


def as_json(content: bytes) -> Response:
    """Return a JSON text as a response."""
    return Response(content, media_type="application/json")


def state_of_app(request: Request) -> AppState:
    """Return the state that a request came to."""
    state: AppState = request.app.state.state
    return state


State: TypeAlias = Annotated[AppState, Depends(state_of_app)]
