"""Routes for monitoring: whether the process lives, whether the service is usable, and its metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from sweep.server.errors import Refused, refusal
from sweep.server.state import State

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
    for job_state, number in state.service.queue.count().items():
        state.metrics.orders.labels(str(job_state)).set(number)
    state.metrics.rate.clear()
    for study, progress in dict(state.supervisor.progress).items():
        state.metrics.rate.labels(study).set(progress.trainings_per_second or 0.0)
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
