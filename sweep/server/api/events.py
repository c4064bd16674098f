"""Server-sent events: where studies are, each time something changes, for as long as somebody listens.

It stands alone because a stream outlives a request: it must end when its study rests, and when the service does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from sweep.errors import NotFound
from sweep.jobs.studies import MOVING, StudyAnswer
from sweep.server.api.studies import StudiesAnswer, StudyName, page
from sweep.server.errors import MISSING
from sweep.server.state import AppState, State

HEARTBEAT_SECONDS = 2.0  # rounds that are stored show up at least so often
SHORTEST_SECONDS = 0.25  # between two events
MOST_LISTED = 100

Shown = TypeVar("Shown", StudyAnswer, StudiesAnswer)

router = APIRouter(prefix="/v1", tags=["events"])


def require_study(name: StudyName, state: State) -> None:
    """Raise `NotFound` before a stream begins."""
    state.study(name)


@router.get(
    "/studies/{name}/events",
    response_class=EventSourceResponse,
    responses=MISSING,
    dependencies=[Depends(require_study)],
)
async def follow_study(name: StudyName, state: State) -> AsyncIterator[ServerSentEvent]:
    """Follow a study: an event `study` with a StudyAnswer for every change, until it rests."""
    async for study in states(state, lambda: state.study(name)):
        yield ServerSentEvent(event="study", raw_data=study.model_dump_json())
        if study.state not in MOVING and not study.running:
            return


@router.get("/events", response_class=EventSourceResponse)
async def follow_studies(state: State) -> AsyncIterator[ServerSentEvent]:
    """Follow the first hundred studies: an event `studies` with a StudiesAnswer for every change."""
    async for studies in states(state, lambda: page(state, "", MOST_LISTED)):
        yield ServerSentEvent(event="studies", raw_data=studies.model_dump_json())


async def states(state: AppState, look: Callable[[], Shown]) -> AsyncIterator[Shown]:
    """Yield what `look` returns, now and whenever it has changed; end with the service, or when it is gone."""
    last = None
    async for _ in state.supervisor.changes(HEARTBEAT_SECONDS):
        if state.closing.is_set():
            return
        try:
            now = await asyncio.to_thread(look)
        except NotFound:
            return
        if now != last:
            yield now
        last = now
        await asyncio.sleep(SHORTEST_SECONDS)
