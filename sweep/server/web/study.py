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
from sweep.jobs.queue import Job
from sweep.schedules.catalogue import read_value
from sweep.server.api.studies import StudyName
from sweep.server.state import AppState, State
from sweep.server.web.form import read_form
from sweep.server.web.presenters import row_of
from sweep.server.web.rendering import PageRoute, address, allows, fragment, look_again, page, reason_of
from sweep.store.queries import StoredStudy
from sweep.verdict.results import RankedTrial

TOP = 10

router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class FormError:
    """Why a form was refused: the form, the status and the reason of the answer, and what was typed."""

    form: str
    status: int
    reason: str
    typed: str = ""


@router.get("/studies/{name}")
def show_study(request: Request, name: StudyName, state: State) -> Response:
    """Show a study's report, or how far it is if it has none yet."""
    if state.study(name).verdict == "none":
        return run_page(request, name, state)
    return report_page(request, name, state)


@router.get("/studies/{name}/run")
def show_run(request: Request, name: StudyName, state: State) -> Response:
    """Show how far a study is, and what can be done with it."""
    return run_page(request, name, state)


@router.get("/parts/studies/{name}")
def refresh_study(request: Request, name: StudyName, state: State) -> Response:
    """Show again how far a study is."""
    return HTMLResponse(run_part(request, name, state))


@router.post("/studies/{name}/stop")
async def stop(request: Request, name: StudyName, state: State) -> Response:
    """Stop a study."""
    return await attempt(request, name, state, lambda: state.act(lambda: state.service.stop(name)), "stop")


@router.post("/studies/{name}/resume")
async def resume(request: Request, name: StudyName, state: State) -> Response:
    """Let a study go on."""
    return await attempt(request, name, state, lambda: state.act(lambda: state.service.resume(name)), "resume")


@router.post("/studies/{name}/budget")
async def raise_budget(request: Request, name: StudyName, state: State) -> Response:
    """Raise a study's number of candidates."""
    typed = dict(await read_form(request)).get("trials", "")

    def raised() -> Job:
        return state.service.raise_budget(name, whole_number(typed))

    return await attempt(request, name, state, lambda: state.act(raised), "budget", typed)


@router.post("/studies/{name}/delete")
async def delete(request: Request, name: StudyName, state: State) -> Response:
    """Delete a study whose name was typed once more."""
    typed = dict(await read_form(request)).get("confirm", "").strip()

    async def deleted() -> None:
        if typed != name:
            raise BadInput("confirm", f"type the study's name, {name}, to delete it.")
        await state.delete(name)

    return await attempt(request, name, state, deleted, "delete", typed, after="/")


async def attempt(
    request: Request,
    name: str,
    state: AppState,
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
        problem = FormError(form, status, reason, typed)
        return await asyncio.to_thread(run_page, request, name, state, problem)
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


def run_page(request: Request, name: str, state: AppState, problem: FormError | None = None) -> HTMLResponse:
    """Return the page of a study on its way, and why a form of it was refused."""
    study, part = state.study(name), run_part(request, name, state)
    status = 200 if problem is None else problem.status
    return page(request, "study.html", status, study=study, part=part, problem=problem)


def run_part(request: Request, name: str, state: AppState) -> str:
    """Return what changes on the page of a study on its way, drawn once for all who ask at the same time."""
    may_run = allows(request, "run")

    def draw() -> str:
        row, best, number = row_of(state, name), best_of(state, name), dashboard_number(state, name)
        shown = {"row": row, "best": best, "dashboard": number, "seconds": look_again(row.moving)}
        return fragment("study-part.html", may_run=may_run, **shown)

    return state.recent.get(("study part", name, may_run), draw)


def best_of(state: AppState, name: str) -> tuple[RankedTrial, ...]:
    """Return the best candidates so far."""
    try:
        return state.result(name, "best of its page", lambda study: study.best(TOP)).best
    except (NotFound, NotYet):
        return ()


def dashboard_number(state: AppState, name: str) -> int | None:
    """Return the number under which optuna-dashboard shows a study; None if it has not begun."""
    try:
        with StoredStudy(state.database, name).reading() as study:
            return study.study_id
    except NotFound:
        return None


def report_page(request: Request, name: str, state: AppState) -> Response:
    """Return a study's report, with a bar that leads to all the rest."""
    from sweep.report.html import Frame, plotly_version  # noqa: PLC0415 - plotly and SciPy take a second

    may_run, moving = allows(request, "run"), row_of(state, name).moving
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
