"""Routes of what a study file may name: schedules and their rates, data sets and models; and templates to copy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from sweep.config.study_file import Plan
from sweep.errors import BadInput, NotFound, nearest
from sweep.jobs.admission import DatasetAnswer, require_ours
from sweep.jobs.studies import ModelAnswer
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
from sweep.server.errors import MISSING
from sweep.server.state import REGISTRY_SECONDS, State

MOST_STEPS = 20_000
LONGEST_TEXT = 2_000
CATALOGUE_SECONDS = 3600.0
OPTIONS = {"epochs", "steps_per_epoch", "momentum"}

router = APIRouter(prefix="/v1", tags=["catalogue"])


class DatasetsAnswer(BaseModel):
    """The registered data sets."""

    datasets: tuple[DatasetAnswer, ...]


class ModelsAnswer(BaseModel):
    """The registered models."""

    models: tuple[ModelAnswer, ...]


class TemplatesAnswer(BaseModel):
    """Study files to begin from; each can be ordered as it is, under a name of its own."""

    templates: tuple[Plan, ...]


@router.get("/schedules", response_model=CatalogueAnswer)
def list_schedules(state: State) -> Response:
    """List the schedules: formula, parameters with their defaults, where each comes from."""
    return state.json(("catalogue",), list_catalogue, CATALOGUE_SECONDS)


@router.get("/schedules/{schedule}", response_model=RatesAnswer, responses=MISSING)
def show_rates(
    request: Request,
    schedule: Annotated[str, Path(pattern=r"^[a-z_]{1,40}$", description="A schedule of the catalogue.")],
    epochs: Annotated[int, Query(ge=1, le=MOST_STEPS)] = 50,
    steps_per_epoch: Annotated[int, Query(ge=1, le=MOST_STEPS)] = 9,
    momentum: Annotated[float, Query(ge=0, lt=1, description="Highest, for schedules that move it.")] = 0.9,
) -> RatesAnswer:
    """Show the rates of a schedule; its parameters are further values of the query, such as `drop=0.5`."""
    if schedule not in CATALOGUE:
        raise NotFound("schedule", f"there is no schedule `{schedule}`{nearest(schedule, CATALOGUE)}")
    texts = parameters(request)
    named = Named(schedule, schedule_from_texts(schedule, texts))
    require_ours(named.schedule, "schedule")
    return Shown([named], read_timeline(epochs, steps_per_epoch, MOST_STEPS), read_momentum(momentum)).answer


def parameters(request: Request) -> dict[str, str]:
    """Return the schedule's own parameters among the query's.

    Raises:
        BadInput: for one that is given twice, or too long.
    """
    own = [(key, text) for key, text in request.query_params.multi_items() if key not in OPTIONS]
    for key, text in own:
        if sum(key == other for other, _ in own) > 1:
            raise BadInput(key[:64], "must be given once.")
        if len(text) > LONGEST_TEXT:
            raise BadInput(key[:64], f"must have at most {LONGEST_TEXT} characters, got {len(text)}.")
    return dict(own)


@router.get("/datasets", response_model=DatasetsAnswer)
def list_datasets(state: State) -> Response:
    """List the registered data sets, with the SHA-256 of their files."""
    return state.json(("datasets",), lambda: DatasetsAnswer(datasets=tuple(state.service.datasets())), REGISTRY_SECONDS)


@router.get("/models", response_model=ModelsAnswer)
def list_models(state: State) -> Response:
    """List the registered models."""
    return state.json(("models",), lambda: ModelsAnswer(models=tuple(state.service.models())), REGISTRY_SECONDS)


@router.get("/templates", response_model=TemplatesAnswer)
def list_templates(state: State) -> Response:
    """List study files to begin from."""
    return state.json(
        ("templates",), lambda: TemplatesAnswer(templates=tuple(state.template_plans())), REGISTRY_SECONDS
    )
