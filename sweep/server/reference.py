"""Routes about the service: what a study file may name, the API's description, health and metrics."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from sweep.config.plan import Plan
from sweep.errors import BadInput, NotFound, nearest
from sweep.jobs.admission import require_ours
from sweep.jobs.studies import DatasetsAnswer, ModelsAnswer
from sweep.schedules import CATALOGUE
from sweep.schedules.catalogue import (
    CatalogueAnswer,
    Named,
    RatesAnswer,
    Shown,
    list_catalogue,
    read_momentum,
    read_timeline,
    schedule_from_texts,
)
from sweep.schedules.foreign import explain_schedule
from sweep.server.errors import MISSING, ProblemDetails, Refused, content, refusal
from sweep.server.pages import FOREVER, PageRoute, page
from sweep.server.state import REGISTRY_SECONDS, State

MOST_STEPS = 20_000
LONGEST_TEXT = 2_000
CATALOGUE_SECONDS = 3600.0
OPTIONS = {"epochs", "steps_per_epoch", "momentum"}
# This package brings Swagger UI's two files; its own page has inline scripts, so the page is ours.
SWAGGER = "fastapi-offline"
SWAGGER_FILES = r"^swagger-ui(-bundle\.js|\.css)$"

catalogue = APIRouter(prefix="/v1", tags=["catalogue"])
health = APIRouter(tags=["health"])
docs = APIRouter(include_in_schema=False, route_class=PageRoute)


class TemplatesAnswer(BaseModel):
    """Study files to begin from; each can be ordered as it is, under a name of its own."""

    templates: tuple[Plan, ...]


class Health(BaseModel):
    """That the service answers."""

    status: str = "ok"


@catalogue.get("/schedules", response_model=CatalogueAnswer)
def list_schedules(state: State) -> Response:
    """List the schedules: formula, parameters with their defaults, where each comes from."""
    return state.json(("catalogue",), list_catalogue, CATALOGUE_SECONDS)


@catalogue.get("/schedules/{schedule}", response_model=RatesAnswer, responses=MISSING)
def show_rates(
    request: Request,
    schedule: Annotated[str, fastapi.Path(pattern=r"^[a-z_]{1,40}$", description="A schedule of the catalogue.")],
    epochs: Annotated[int, Query(ge=1, le=MOST_STEPS)] = 50,
    steps_per_epoch: Annotated[int, Query(ge=1, le=MOST_STEPS)] = 9,
    momentum: Annotated[float, Query(ge=0, lt=1, description="Highest, for schedules that move it.")] = 0.9,
) -> RatesAnswer:
    """Show the rates of a schedule; its parameters are further values of the query, such as `drop=0.5`."""
    if schedule not in CATALOGUE:
        told = explain_schedule(schedule) or f"there is no schedule `{schedule}`{nearest(schedule, CATALOGUE)}"
        raise NotFound("schedule", told)
    own: dict[str, str] = {}
    for key, text in request.query_params.multi_items():
        if key in own:
            raise BadInput(key[:64], "must be given once.")
        if len(text) > LONGEST_TEXT and key not in OPTIONS:
            raise BadInput(key[:64], f"must have at most {LONGEST_TEXT} characters, got {len(text)}.")
        own |= {} if key in OPTIONS else {key: text}
    named = Named(schedule, schedule_from_texts(schedule, own))
    require_ours(named.schedule, "schedule")
    return Shown([named], read_timeline(epochs, steps_per_epoch, MOST_STEPS), read_momentum(momentum)).answer


@catalogue.get("/datasets", response_model=DatasetsAnswer)
def list_datasets(state: State) -> Response:
    """List the registered data sets, with the SHA-256 of their files."""
    return state.json(("datasets",), lambda: DatasetsAnswer(datasets=state.service.datasets()), REGISTRY_SECONDS)


@catalogue.get("/models", response_model=ModelsAnswer)
def list_models(state: State) -> Response:
    """List the registered models."""
    return state.json(("models",), lambda: ModelsAnswer(models=state.service.models()), REGISTRY_SECONDS)


@catalogue.get("/templates", response_model=TemplatesAnswer)
def list_templates(state: State) -> Response:
    """List study files to begin from."""
    return state.json(
        ("templates",), lambda: TemplatesAnswer(templates=tuple(state.template_plans())), REGISTRY_SECONDS
    )


@health.get("/healthz")
async def healthz() -> Health:
    """Say that the process answers."""
    return Health()


@health.get("/readyz", responses=refusal(503, "The database cannot be used"))
def readyz(state: State) -> Health:
    """Say that the database can be read, and orders be taken."""
    if state.supervisor.draining:
        raise Refused(503, "the service is ending.")
    state.service.queue.count()
    return Health()


@health.get("/metrics", response_class=Response, responses=content("text/plain"))
def metrics(state: State) -> Response:
    """Count requests, orders and processes, for Prometheus."""
    for job_state, number in state.service.queue.count().items():
        state.metrics.orders.labels(str(job_state)).set(number)
    state.metrics.rate.clear()
    for study, progress in dict(state.supervisor.progress).items():
        state.metrics.rate.labels(study).set(progress.trainings_per_second or 0.0)
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with the study file and the problem among its schemas."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        parts = schema["components"]["schemas"]
        for model in (Plan, ProblemDetails):
            own = model.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.update(own.pop("$defs", {}))
            parts[model.__name__] = own
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


@docs.get("/openapi.json")
def describe(request: Request) -> JSONResponse:
    """Describe the API."""
    return JSONResponse(request.app.openapi())


@docs.get("/docs")
def show_docs(request: Request) -> Response:
    """Show the description, each route ready to be tried out."""
    return page(request, "docs.html", swagger=version(SWAGGER))


@docs.get("/assets/swagger/{name}")
def load_swagger(name: Annotated[str, fastapi.Path(pattern=SWAGGER_FILES)]) -> FileResponse:
    """Return one of Swagger UI's files; their addresses hold their version."""
    return FileResponse(swagger_folder() / name, headers={"Cache-Control": FOREVER})


@cache
def swagger_folder() -> Path:
    """Return the folder of Swagger UI's files; the code of their package is not imported."""
    found = find_spec(SWAGGER.replace("-", "_"))
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static"
