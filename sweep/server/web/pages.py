"""The pages for people: the list of studies here, a study's own pages and the form that begins one beside it.

They say what the routes under `/v1` say, from the same studies. What changes is drawn here and fetched again by htmx.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from sweep.errors import NotFound
from sweep.server.state import AppState, State
from sweep.server.web import new_study, study
from sweep.server.web.listing import list_studies
from sweep.server.web.rendering import FOREVER, PUBLIC, Assets, PageRoute, allows, fragment, look_again, page

router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)
router.include_router(new_study.router)
router.include_router(study.router)


def assets() -> StaticFiles:
    """Return the files that pages load."""
    return Assets(directory=PUBLIC)


@router.get("/")
def show_studies(request: Request, state: State, after: Annotated[str, Query(max_length=512)] = "") -> Response:
    """Show the studies."""
    return page(request, "studies.html", part=studies_part(request, state, after))


@router.get("/parts/studies")
def refresh_studies(request: Request, state: State, after: Annotated[str, Query(max_length=512)] = "") -> Response:
    """Show the studies again."""
    return HTMLResponse(studies_part(request, state, after))


def studies_part(request: Request, state: AppState, after: str) -> str:
    """Return the list of studies, which is drawn once for all who ask at the same time."""
    may_run = allows(request, "run")

    def draw() -> str:
        listing = list_studies(state, after)
        seconds = look_again(any(row.moving for row in listing.rows))
        return fragment("studies-part.html", listing=listing, after=after, seconds=seconds, may_run=may_run)

    return state.recent.get(("studies part", after, may_run), draw)


@router.get("/assets/plotly-{version}.min.js")
def load_plotly(version: str) -> Response:
    """Return the script that draws a report's figures; its version is a part of its address."""
    from sweep.report.html import plotly_script, plotly_version  # noqa: PLC0415 - only reports need plotly

    if version != plotly_version():
        raise NotFound("version", f"there is no plotly {version} here.")
    return Response(plotly_script(), media_type="text/javascript", headers={"Cache-Control": FOREVER})
