"""The pages of one study: its report, or how far it is, and the forms that stop, resume, enlarge and delete it.

A form that is refused comes back with the reason; one that is heeded leads on, so that reloading does nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from sweep.errors import BadInput, NotFound, NotYet
from sweep.orders.order import Order
from sweep.review.answers import BestAnswer, RankedTrial, read_best
from sweep.review.catalogue import read_value
from sweep.search import queries
from sweep.search.database import Database
from sweep.service.forms import read_form
from sweep.service.house import Here, House
from sweep.service.rendering import PageRoute, address, allows, fragment, look_again, page, reason_of
from sweep.service.studies import StudyName
from sweep.service.words import row_of

TOP = 10

router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class Problem:
    """Why a form was refused: the form, the status and the reason of the answer, and what was typed."""

    form: str
    status: int
    reason: str
    typed: str = ""


@router.get("/studies/{name}")
def show_study(request: Request, name: StudyName, house: Here) -> Response:
    """Show a study's report, or how far it is if it has none yet."""
    if house.study(name).verdict == "none":
        return run_page(request, name, house)
    return report_page(request, name, house)


@router.get("/studies/{name}/run")
def show_run(request: Request, name: StudyName, house: Here) -> Response:
    """Show how far a study is, and what can be done with it."""
    return run_page(request, name, house)


@router.get("/parts/studies/{name}")
def refresh_study(request: Request, name: StudyName, house: Here) -> Response:
    """Show again how far a study is."""
    return HTMLResponse(run_part(request, name, house))


@router.post("/studies/{name}/stop")
async def stop(request: Request, name: StudyName, house: Here) -> Response:
    """Stop a study."""
    return await attempt(request, name, house, lambda: house.act(lambda: house.desk.stop(name)), "stop")


@router.post("/studies/{name}/resume")
async def resume(request: Request, name: StudyName, house: Here) -> Response:
    """Let a study go on."""
    return await attempt(request, name, house, lambda: house.act(lambda: house.desk.resume(name)), "resume")


@router.post("/studies/{name}/budget")
async def raise_budget(request: Request, name: StudyName, house: Here) -> Response:
    """Raise a study's number of candidates."""
    typed = dict(await read_form(request)).get("trials", "")

    def raised() -> Order:
        return house.desk.raise_budget(name, whole_number(typed))

    return await attempt(request, name, house, lambda: house.act(raised), "budget", typed)


@router.post("/studies/{name}/delete")
async def delete(request: Request, name: StudyName, house: Here) -> Response:
    """Delete a study whose name was typed once more."""
    typed = dict(await read_form(request)).get("confirm", "").strip()

    async def deleted() -> None:
        if typed != name:
            raise BadInput("confirm", f"type the study's name, {name}, to delete it.")
        await house.delete(name)

    return await attempt(request, name, house, deleted, "delete", typed, after="/")


async def attempt(
    request: Request,
    name: str,
    house: House,
    act: Callable[[], Awaitable[object]],
    form: str,
    typed: str = "",
    after: str = "",
) -> Response:
    """Act and lead on, by default to the study's page; or show that page with the reason why not."""
    try:
        await act()
    except BadInput as error:
        status, reason = reason_of(error)
        problem = Problem(form, status, reason, typed)
        return await asyncio.to_thread(run_page, request, name, house, problem)
    return RedirectResponse(after or f"/studies/{name}/run", 303)


def whole_number(text: str) -> int:
    """Return the number that was typed.

    Raises:
        BadInput: for anything else.
    """
    value = read_value(text.strip())
    if type(value) is not int:
        raise BadInput("trials", f"must be a whole number, got `{text[:40]}`.")
    return value


def run_page(request: Request, name: str, house: House, problem: Problem | None = None) -> HTMLResponse:
    """Return the page of a study on its way, and why a form of it was refused."""
    study, part = house.study(name), run_part(request, name, house)
    status = 200 if problem is None else problem.status
    return page(request, "study.html", status, study=study, part=part, problem=problem)


def run_part(request: Request, name: str, house: House) -> str:
    """Return what changes on the page of a study on its way, drawn once for all who ask at the same time."""
    may_run = allows(request, "run")

    def draw() -> str:
        row, best, number = row_of(house, name), best_of(house, name), dashboard_number(house, name)
        shown = {"row": row, "best": best, "dashboard": number, "seconds": look_again(row.moving)}
        return fragment("study-part.html", may_run=may_run, **shown)

    return house.recent.get(("study part", name, may_run), draw)


def best_of(house: House, name: str) -> tuple[RankedTrial, ...]:
    """Return the best candidates so far."""
    try:
        return house.result(name, "best of its page", read_top).best
    except (NotFound, NotYet):
        return ()


def read_top(database: Database, name: str) -> BestAnswer:
    """Return the best candidates that the page shows."""
    return read_best(database, name, TOP)


def dashboard_number(house: House, name: str) -> int | None:
    """Return the number under which optuna-dashboard shows a study; None if it has not begun."""
    try:
        with house.database.reading() as connection:
            return queries.find_study(connection, name).study_id
    except NotFound:
        return None


def report_page(request: Request, name: str, house: House) -> Response:
    """Return a study's report, with a bar that leads to all the rest."""
    from sweep.review.page import Frame, plotly_version  # noqa: PLC0415 - plotly and SciPy take a second
    from sweep.review.report import read_report  # noqa: PLC0415 - as above

    may_run, moving = allows(request, "run"), row_of(house, name).moving
    around = {"name": name, "dashboard": dashboard_number(house, name), "may_run": may_run, "moving": moving}
    frame = Frame(
        bar=fragment("bar.html", **around),
        renew=fragment("renew.html", **around),
        plotly=f"/assets/plotly-{plotly_version()}.min.js",
        stylesheet=address("bar.css"),
        icon=address("icon.svg"),
    )
    question = ("report in its frame", may_run, moving)
    report = house.result(name, question, lambda database, study: read_report(database, study, frame))
    return HTMLResponse(report.page, headers={"Content-Security-Policy": report.policy})
