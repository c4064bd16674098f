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
from sweep.orders.desk import MOVING, StudyAnswer
from sweep.service.house import Here, House
from sweep.service.responses import MISSING
from sweep.service.studies import StudiesAnswer, StudyName, page

HEARTBEAT_SECONDS = 2.0  # rounds that are stored show up at least so often
SHORTEST_SECONDS = 0.25  # between two events
MOST_LISTED = 100

Shown = TypeVar("Shown", StudyAnswer, StudiesAnswer)

router = APIRouter(prefix="/v1", tags=["events"])


def require_study(name: StudyName, house: Here) -> None:
    """Raise `NotFound` before a stream begins."""
    house.study(name)


@router.get(
    "/studies/{name}/events",
    response_class=EventSourceResponse,
    responses=MISSING,
    dependencies=[Depends(require_study)],
)
async def follow_study(name: StudyName, house: Here) -> AsyncIterator[ServerSentEvent]:
    """Follow a study: an event `study` with a StudyAnswer for every change, until it rests."""
    async for study in states(house, lambda: house.study(name)):
        yield ServerSentEvent(event="study", raw_data=study.model_dump_json())
        if study.state not in MOVING and not study.running:
            return


@router.get("/events", response_class=EventSourceResponse)
async def follow_studies(house: Here) -> AsyncIterator[ServerSentEvent]:
    """Follow the first hundred studies: an event `studies` with a StudiesAnswer for every change."""
    async for studies in states(house, lambda: page(house, "", MOST_LISTED)):
        yield ServerSentEvent(event="studies", raw_data=studies.model_dump_json())


async def states(house: House, look: Callable[[], Shown]) -> AsyncIterator[Shown]:
    """Yield what `look` returns, now and whenever it has changed; end with the service, or when it is gone."""
    last = None
    async for _ in house.supervisor.changes(HEARTBEAT_SECONDS):
        if house.closing.is_set():
            return
        try:
            now = await asyncio.to_thread(look)
        except NotFound:
            return
        if now != last:
            yield now
        last = now
        await asyncio.sleep(SHORTEST_SECONDS)
