"""The pages of a state over a real database, asked without a server or a guard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from sweep.jobs.queue import JobQueue, JobState
from sweep.jobs.studies import StudyService
from sweep.server.app import create_routes
from sweep.server.state import AppState, Metrics
from sweep.store.database import Database
from tests.jobs.conftest import found, supervisor_of
from tests.report.test_html import Parsed, taken_apart

ROOT = Path(__file__).parents[2]
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Site:
    """Asks for pages in a role, as the guard would hand it on."""

    state: AppState
    app: FastAPI = field(repr=False)
    role: str = "admin"

    def under(self, role: str) -> Site:
        return replace(self, role=role)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    def post(self, path: str, fields: Any = ()) -> httpx.Response:
        """Send a form; `fields` are pairs, as a field may be given twice."""
        body = str(httpx.QueryParams(list(dict(fields).items()) if isinstance(fields, dict) else list(fields)))
        return self.ask("POST", path, content=body, headers={"content-type": "application/x-www-form-urlencoded"})

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **request))

    def read(self, path: str) -> Parsed:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return taken_apart(answer.text)

    def job_state(self, name: str) -> JobState:
        return found(self.state.service.queue, name).state

    async def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def known(scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "sweep.role": self.role}, receive, send)

        transport = httpx.ASGITransport(app=known)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **request)


def site_of(database: Database, templates: Path = ROOT / "studies") -> Site:
    """Return pages over a database, whose orders nobody does."""
    book = JobQueue(database)
    book.open()
    state = AppState(StudyService(database, book), supervisor_of(book), templates, Metrics())
    return Site(state, create_routes(state))


def form(read: Parsed, **changed: str) -> list[tuple[str, str]]:
    """Return what a browser would send of the form that orders a study, with some of its texts changed."""
    texts = {"note": ""} | {
        str(each["name"]): str(each["value"] or "") for each in read.all("input") if "value" in each
    }
    ticked = [each for each in read.all("input") if "checked" in each]
    schedules = [("schedules", str(each["value"])) for each in ticked if each["name"] == "schedules"]
    split = {str(each["name"]): str(each["value"]) for each in ticked if each["name"] == "split"}
    del texts["schedules"]
    return [*(texts | split | changed).items(), *schedules]
