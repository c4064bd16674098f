"""Whether the service lives, whether it can be used, and what it counts, for whoever watches over it."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from sweep.service.house import Here, House
from sweep.service.refusals import Refused
from sweep.service.responses import refusal

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """That the service answers."""

    status: str = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the process answers."""
    return Health()


@router.get("/readyz", responses=refusal(503, "The database cannot be used"))
def readyz(house: Here) -> Health:
    """Say that the database can be read, and orders be taken."""
    if house.supervisor.draining:
        raise Refused(503, "the service is ending.")
    house.desk.book.count()
    return Health()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(house: Here) -> Response:
    """Count requests, orders and processes, for Prometheus."""
    observe(house)
    return Response(generate_latest(house.counts.registry), media_type=CONTENT_TYPE_LATEST)


def observe(house: House) -> None:
    """Set what is looked at only when somebody asks."""
    counts = house.counts
    for state, number in house.desk.book.count().items():
        counts.orders.labels(str(state)).set(number)
    counts.rate.clear()
    for study, pace in dict(house.supervisor.paces).items():
        counts.rate.labels(study).set(pace.trainings_per_second or 0.0)
