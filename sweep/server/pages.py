"""The HTML pages of studies, and how any page is made: its template, its files, what its reader may do, its errors.

They say what the routes under `/v1` say; htmx fetches again what changes. A form that is refused comes back with the
reason; one that is done redirects, so that reloading the page does nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sweep.errors import BadInput, NotFound, NotYet, SweepError, without_paths
from sweep.jobs.queue import Job
from sweep.schedules.catalogue import read_value
from sweep.server.errors import Refused, of_error
from sweep.server.presenters import FILTERS, Listing, Row
from sweep.server.state import AppState, State
from sweep.server.studies import StudyName
from sweep.server.tokens import AccessRole
from sweep.verdict.results import BestAnswer

ASSETS = Path(__file__).parent / "assets"
PUBLIC = ASSETS / "public"
MOVING_SECONDS, RESTING_SECONDS = 2, 10  # between two requests of an open page
FOREVER = "private, max-age=31536000, immutable"
HEADINGS = {
    403: "Your token does not allow this",
    404: "There is no such page",
    409: "This is not possible now",
    503: "The studies cannot be read now",
}
TOP = 10
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200


@cache
def environment() -> Environment:
    """Return Jinja's environment; whatever is not a template's own text is escaped."""
    folder = FileSystemLoader(ASSETS)
    made = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {**FILTERS, "without_paths": without_paths}
    made.globals["address"] = address
    return made


def fragment(file: str, **values: Any) -> Markup:
    """Return a part of a page."""
    return Markup(environment().get_template(file).render(**values))


def page(request: Request, file: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a whole page for the reader who sent `request`."""
    may = {f"may_{role}": allows(request, role) for role in AccessRole}
    here = {"path": request.url.path, "logged_in": any(name.startswith("sweep-") for name in request.cookies)}
    return HTMLResponse(fragment(file, **may, **here, **values), status)


def allows(request: Request, role: AccessRole) -> bool:
    """Say whether the reader's role, which the guard found, includes `role`; without a guard it is the lowest."""
    own = request.scope.get("sweep.role", AccessRole.READ)
    return own in tuple(AccessRole) and AccessRole(own).allows(role)


@cache
def address(name: str) -> str:
    """Return the address of a public file, which changes with what the file holds."""
    digest = hashlib.sha256((PUBLIC / name).read_bytes()).hexdigest()[:12]
    return f"/assets/{name}?v={digest}"


class Assets(StaticFiles):
    """The public files; the browser keeps one that is asked for by its version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = FOREVER if versioned else "no-cache"
        return response


def reason_of(error: RequestValidationError | Refused | SweepError) -> tuple[int, str]:
    """Return the status of the answer to an error, and what a page says of it, without paths of this machine."""
    if isinstance(error, RequestValidationError):
        in_path = error.errors()[0]["loc"][0] == "path"
        return (404, "No study has such a name.") if in_path else (422, "The address is wrong.")
    status, detail, _ = of_error(error)
    return status, without_paths(detail)


class PageRoute(APIRoute):
    """A route that answers with a page where it refuses as well."""

    def get_route_handler(self) -> Any:
        """Return the route's handler, with its errors as pages."""
        inner: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except (RequestValidationError, Refused, SweepError) as error:
                status, detail = reason_of(error)
                heading = HEADINGS.get(status, HTTPStatus(status).phrase)
                return page(request, "error.html", status, heading=heading, detail=detail)

        return handle


@dataclass(frozen=True)
class FormError:
    """Why a form was refused: the form or its field, the status and the reason of the answer, and what was typed."""

    place: str | None
    status: int
    reason: str
    typed: str = ""


async def read_form(request: Request) -> list[tuple[str, str]]:
    """Return the pairs of a form that was sent; raise `Refused` for a body that is no such form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(415, f"must be {FORM}.", "Content-Type")
    try:
        text = (await request.body()).decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:  # no UTF-8, or too many fields
        raise Refused(400, "the form cannot be read.") from error


router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)


def page_or_part(request: Request, file: str, part: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return what changes on a page alone where that was asked for, or else the whole page."""
    alone = request.url.path.startswith("/parts/")
    return HTMLResponse(part) if alone else page(request, file, status, part=part, **values)


@router.get("/")
@router.get("/parts/studies")
def show_studies(request: Request, state: State, after: Annotated[str, Query(max_length=512)] = "") -> Response:
    """Show the studies; the list is drawn once for all who ask at the same time."""
    may_run = allows(request, AccessRole.RUN)

    def draw() -> str:
        listing = Listing.read(state, after)
        seconds = MOVING_SECONDS if any(row.moving for row in listing.rows) else RESTING_SECONDS
        return fragment("studies-part.html", listing=listing, after=after, seconds=seconds, may_run=may_run)

    return page_or_part(request, "studies.html", state.cache.get(("studies part", after, may_run), draw))


@router.get("/assets/plotly-{version}.min.js")
def load_plotly(version: str) -> Response:
    """Return the script that draws a report's figures; its version is a part of its address."""
    from sweep.report import plotly_script, plotly_version  # noqa: PLC0415 - only reports need plotly

    if version != plotly_version():
        raise NotFound("version", f"there is no plotly {version} here.")
    return Response(plotly_script(), media_type="text/javascript", headers={"Cache-Control": FOREVER})


@router.get("/studies/{name}")
def show_study(request: Request, name: StudyName, state: State) -> Response:
    """Show a study's report in a bar that leads to all the rest, or how far it is if it has none yet."""
    if state.study(name).verdict == "none":
        return show_run(request, name, state)
    from sweep.report import Frame, plotly_version  # noqa: PLC0415 - plotly and SciPy take a second

    may_run, moving = allows(request, AccessRole.RUN), Row.read(state, name).moving
    around = {"name": name, "dashboard": dashboard_number(state, name), "may_run": may_run, "moving": moving}
    frame = Frame(
        bar=fragment("bar.html", **around),
        renew=fragment("renew.html", **around),
        plotly=f"/assets/plotly-{plotly_version()}.min.js",
        stylesheet=address("bar.css"),
        icon=address("icon.svg"),
    )
    question = ("report in its frame", may_run, moving)
    report = state.result(name, question, lambda study: study.report(frame))
    return HTMLResponse(report.page, headers={"Content-Security-Policy": report.policy})


@router.get("/studies/{name}/run")
@router.get("/parts/studies/{name}")
def show_run(request: Request, name: StudyName, state: State) -> Response:
    """Show how far a study is, and what can be done with it."""
    return run_page(request, name, state)


def run_page(request: Request, name: str, state: AppState, problem: FormError | None = None) -> HTMLResponse:
    """Return the page of how far a study is, and why a form of it was refused; its part is drawn once for all."""
    may_run = allows(request, AccessRole.RUN)

    def draw() -> str:
        best: BestAnswer | None = None
        row, number = Row.read(state, name), dashboard_number(state, name)
        with suppress(NotFound, NotYet):
            best = state.result(name, "best of its page", lambda study: study.best(TOP))
        seconds = MOVING_SECONDS if row.moving else RESTING_SECONDS
        shown = {"row": row, "best": best, "dashboard": number, "seconds": seconds}
        return fragment("study-part.html", may_run=may_run, **shown)

    part, status = state.cache.get(("study part", name, may_run), draw), 200 if problem is None else problem.status
    return page_or_part(request, "study.html", part, status, study=state.study(name), problem=problem)


def dashboard_number(state: AppState, name: str) -> int | None:
    """Return the number under which optuna-dashboard shows a study; None if it has not begun."""
    with suppress(NotFound), state.handle(name).stored.reading() as study:
        return study.study_id
    return None


@router.post("/studies/{name}/{form}")
async def change_study(
    request: Request, name: StudyName, form: Literal["stop", "resume", "budget", "delete"], state: State
) -> Response:
    """Stop, resume, prolong or delete a study and redirect; or show its page with the reason why not."""
    typed = ""
    if form in ("budget", "delete"):
        typed = dict(await read_form(request)).get("trials" if form == "budget" else "confirm", "")

    def changed() -> Job:
        if form != "budget":
            return state.service.stop(name) if form == "stop" else state.service.resume(name)
        trials = read_value(typed.strip())
        if type(trials) is not int:
            raise BadInput("trials", f"must be a whole number, got `{typed[:40]}`.")
        return state.service.raise_budget(name, trials)

    try:
        if form != "delete":
            await state.act(changed)
        elif typed.strip() == name:
            await state.delete(name)
        else:
            raise BadInput("confirm", f"type the study's name, {name}, to delete it.")
    except BadInput as error:
        problem = FormError(form, *reason_of(error), typed)
        return await asyncio.to_thread(run_page, request, name, state, problem)
    return RedirectResponse("/" if form == "delete" else f"/studies/{name}/run", 303)
