"""What every request may use: the studies, the supervisor, a cache of their answers, and the metrics."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import Depends, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from pydantic import BaseModel

from sweep.api import Study
from sweep.config.plan import Plan
from sweep.config.study_file import read_study_file
from sweep.errors import NotYet, SweepError
from sweep.jobs.admission import admit, named_data, read_once
from sweep.jobs.queue import ExitStatus, Job
from sweep.jobs.studies import StudyAnswer, StudyService
from sweep.jobs.supervisor import Supervisor
from sweep.store import queries
from sweep.store.database import Database
from sweep.store.queries import StoredStudy

# Questions are tuples: a kind, then, for a question about one study, its name.
LISTS = ("studies", "studies part", "queue")
RESULTS = ("facts", "result")  # hold the study's version, so a change of its job leaves them right
UNCHANGED_SECONDS = 30.0  # that an answer is kept which holds the study's version
REGISTRY_SECONDS = 2.0
MOST_KEPT = 512
MOST_BYTES = 64 * 1024 * 1024
TIDY_SECONDS = 0.5
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
Answer = TypeVar("Answer")


@dataclass
class _Kept:
    """The place of one answer; `lock` is held while the answer is made."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Any = None
    until: float = -1.0

    @property
    def size(self) -> int:
        """The length of an answer that has one, such as a page; others are small."""
        return len(self.answer) if isinstance(self.answer, Sized) else 0


class AnswerCache:
    """Answers by question, each for some seconds; one that many ask for at once is computed once.

    Attributes:
        generation: how often something was forgotten; an answer read before that must not be put in afterwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._tidy_at = 0.0
        self.generation = 0

    def get(self, question: Hashable, make: Callable[[], Answer], seconds: float = 1.0) -> Answer:
        """Return the kept answer, or make it; an exception of `make` is not kept."""
        with self._lock:
            kept = self._kept.setdefault(question, _Kept())
            self._kept.move_to_end(question)
        with kept.lock:
            if self._clock() >= kept.until:
                kept.answer = make()
                kept.until = self._clock() + seconds
                self._tidy()
            answer: Answer = kept.answer
            return answer

    def put(self, question: Hashable, answer: Any, generation: int, seconds: float = 1.0) -> None:
        """Keep an answer, unless something was forgotten since `generation`, when it was read."""
        with self._lock:
            if generation == self.generation:
                self._kept[question] = _Kept(answer=answer, until=self._clock() + seconds)

    def forget(self, is_stale: Callable[[Any], bool] = lambda _question: True) -> None:
        """Drop the answers to these questions."""
        with self._lock:
            self.generation += 1
            for question in filter(is_stale, list(self._kept)):
                del self._kept[question]

    def _tidy(self) -> None:
        """Drop what is too old, then what was used least recently of what is too much; at most every half second."""
        now = self._clock()
        with self._lock:
            if now < self._tidy_at:
                return
            self._tidy_at = now + TIDY_SECONDS
            for question in [question for question, kept in self._kept.items() if 0 <= kept.until <= now]:
                del self._kept[question]
            size = sum(kept.size for kept in self._kept.values())
            while len(self._kept) > MOST_KEPT or size > MOST_BYTES:
                size -= self._kept.popitem(last=False)[1].size


class Metrics:
    """The Prometheus metrics of one service; two services in one process share none."""

    def __init__(self) -> None:
        of = self.registry = CollectorRegistry()
        ProcessCollector(registry=of)
        PlatformCollector(registry=of)
        names, about = ("method", "route", "status"), "Trainings a second of a running study."
        self.requests = Counter("sweep_requests", "Requests by route and status.", names, registry=of)
        took = "Time to the end of the answer."
        self.seconds = Histogram("sweep_request_seconds", took, ("route",), buckets=BUCKETS, registry=of)
        self.orders = Gauge("sweep_orders", "Orders by state.", ("state",), registry=of)
        self.endings = Counter("sweep_run_endings", "Processes that ended, by exit code.", ("code",), registry=of)
        self.rate = Gauge("sweep_trainings_per_second", about, ("study",), registry=of)

    def count_ending(self, ending: ExitStatus) -> None:
        """Count a process that has ended."""
        self.endings.labels(str(ending.code)).inc()


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
        """Return how far a study is; raise `NotFound` if there is none."""
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
                    datasets = self.service.datasets()
                    if all(known.sha256 != digest for known in datasets):
                        continue
                    dataset = read_once(study_file.data_path, study_file.plan.data)
                    named = named_data(study_file.settled(dataset).plan, digest, datasets)
                    found.append(admit(named.model_dump(mode="json"), self.service.registry()))
                except (SweepError, OSError):
                    continue
            return found

        return self.cache.get(("template plans",), read, REGISTRY_SECONDS)

    def handle(self, name: str) -> Study:
        """Return the handle of a study."""
        return Study(StoredStudy(self.database, name))

    def result(self, name: str, question: Hashable, read: Callable[[Study], Answer]) -> Answer:
        """Return what `read` reads of a study; it is read again only if the study has changed."""

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

    def _forget(self, name: str, *results: str) -> None:
        """Forget the lists, and what is known of a study, except its results unless they are named as well."""
        kept = set(RESULTS) - set(results)
        self.cache.forget(lambda asked: asked[0] in LISTS or (name in asked[1:] and asked[0] not in kept))


def _of_request(request: Request) -> AppState:
    state: AppState = request.app.state.state
    return state


State: TypeAlias = Annotated[AppState, Depends(_of_request)]
