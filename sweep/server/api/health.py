"""Whether the service lives, whether it can be used, and what it counts, for whoever watches over it."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from sweep.server.errors import Refused, refusal
from sweep.server.state import AppState, State

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """That the service answers."""

    status: str = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the process answers."""
    return Health()


@router.get("/readyz", responses=refusal(503, "The database cannot be used"))
def readyz(state: State) -> Health:
    """Say that the database can be read, and orders be taken."""
    if state.supervisor.draining:
        raise Refused(503, "the service is ending.")
    state.service.queue.count()
    return Health()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(state: State) -> Response:
    """Count requests, orders and processes, for Prometheus."""
    observe(state)
    return Response(generate_latest(state.counts.registry), media_type=CONTENT_TYPE_LATEST)


def observe(state: AppState) -> None:
    """Set what is looked at only when somebody asks."""
    counts = state.counts
    for job_state, number in state.service.queue.count().items():
        counts.orders.labels(str(job_state)).set(number)
    counts.rate.clear()
    for study, pace in dict(state.supervisor.progress).items():
        counts.rate.labels(study).set(pace.trainings_per_second or 0.0)
