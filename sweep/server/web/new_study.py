"""The page that begins a study: its form, the preview beside it, and the order that it makes."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from sweep.config.study_file import Plan
from sweep.errors import BadInput, NotFound, nearest
from sweep.jobs.queue import KEY_HEADER, Job
from sweep.schedules.catalogue import list_catalogue
from sweep.server import templates
from sweep.server.api.catalogue import REGISTRY_SECONDS
from sweep.server.state import AppState, State
from sweep.server.web import form
from sweep.server.web.form import LABELS, Filled, blamed, from_pairs, from_plan, read_form, to_preview, to_tables
from sweep.server.web.preview import HEIGHT, WIDTH, Drawing, draw_all
from sweep.server.web.rendering import PageRoute, fragment, page, reason_of

KEY = re.compile(r"[!-~]{1,200}")
FOREIGN = "function"  # calls what its user wrote, which is nothing to be ordered from afar
SOME_ROWS = 235
SENT_BEFORE = "this form was sent before with other values. Send it once more if you want this study as well."


@dataclass(frozen=True)
class FormError:
    """Why a form was refused: the status and the reason of the answer, and the field that holds what is wrong."""

    status: int
    field: str | None
    reason: str


router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)


@router.get("/new")
def show_form(request: Request, state: State, template: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Show the form, filled in as a template says."""
    plans = known(state)
    if not plans:
        return page(request, "no-template.html")
    plan = find(plans, template) if template else next(iter(plans.values()))
    return form_page(request, state, plan, from_plan(plan, state.service.names()), secrets.token_urlsafe(18))


@router.get("/parts/preview")
def preview(request: Request, state: State) -> Response:
    """Draw the schedules that are ticked in the form."""
    pairs = request.query_params.multi_items()[: form.MOST_FIELDS]
    plan = find(known(state), dict(pairs).get("template", ""))
    return HTMLResponse(preview_part(state, plan, from_pairs(pairs)))


@router.post("/new")
async def order(request: Request, state: State) -> Response:
    """Order the study that the form describes, or show the form again with what is wrong."""
    pairs = await read_form(request)
    plan = find(await asyncio.to_thread(known, state), dict(pairs).get("template", ""))
    key, filled = dict(pairs).get("key", ""), from_pairs(pairs)
    try:
        placed = await asyncio.to_thread(place, state, plan, filled, key)
    except BadInput as error:
        return await asyncio.to_thread(refused, request, state, plan, filled, key, error)
    await state.act(lambda: placed)
    return RedirectResponse(f"/studies/{placed.name}", 303)


def known(state: AppState) -> dict[str, Plan]:
    """Return the templates by name."""
    plans = state.recent.get("template plans", lambda: templates.read(state), REGISTRY_SECONDS)
    return {plan.name: plan for plan in plans}


def find(plans: Mapping[str, Plan], name: str) -> Plan:
    """Return the template called `name`.

    Raises:
        NotFound: if there is none.
    """
    if name not in plans:
        raise NotFound("template", f"there is no template `{name}`{nearest(name, plans) or '.'}")
    return plans[name]


def place(state: AppState, plan: Plan, filled: Filled, key: str) -> Job:
    """Order the study of a form; sent again under its key, it is the same order."""
    return state.service.submit(to_tables(plan, filled), key if KEY.fullmatch(key) else None).job


def refused(request: Request, state: AppState, plan: Plan, filled: Filled, key: str, error: BadInput) -> HTMLResponse:
    """Return the form as it was filled in, with the reason why it was refused."""
    status, reason = reason_of(error)
    if error.field == KEY_HEADER:
        key, reason = secrets.token_urlsafe(18), SENT_BEFORE
    return form_page(request, state, plan, filled, key, FormError(status, blamed(error.field), reason))


def form_page(
    request: Request, state: AppState, plan: Plan, filled: Filled, key: str, problem: FormError | None = None
) -> HTMLResponse:
    """Return the page with the form."""
    offered = [entry for entry in list_catalogue().schedules if entry.name != FOREIGN]
    return page(
        request,
        "new.html",
        status=200 if problem is None else problem.status,
        template=plan,
        templates=list(known(state)),
        filled=filled,
        key=key,
        problem=problem,
        labels=LABELS,
        groups=[[entry for entry in offered if entry.kind == kind] for kind in ("open-loop", "closed-loop")],
        part=preview_part(state, plan, filled),
    )


def preview_part(state: AppState, plan: Plan, filled: Filled) -> str:
    """Return drawings of the schedules that are ticked, or why there are none."""
    drawings: list[Drawing] = []
    try:
        chosen = to_preview(plan, filled)
        drawings, reason = draw_all(chosen, train_rows(state, chosen)), ""
    except BadInput as error:
        field, told = blamed(error.field), reason_of(error)[1]
        reason = f"{LABELS[field]}: {told}" if field else told
    return fragment("preview-part.html", drawings=drawings, reason=reason, width=WIDTH, height=HEIGHT)


def train_rows(state: AppState, plan: Plan) -> int:
    """Return how many rows a training has, or what it has for most data if these cannot be read."""
    rows = {known.name: known.rows for known in state.service.datasets()}.get(plan.data.name or "")
    return max(1, int(rows * (1 - plan.split.fraction))) if rows else SOME_ROWS
