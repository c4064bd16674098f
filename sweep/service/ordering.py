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

from sweep.errors import BadInput, NotFound, nearest
from sweep.orders.book import KEY_HEADER
from sweep.orders.order import Order
from sweep.plan import Plan
from sweep.review.catalogue import list_catalogue
from sweep.service import forms, templates
from sweep.service.catalogue import REGISTRY_SECONDS
from sweep.service.forms import LABELS, Filled, blamed, from_pairs, from_plan, read_form, to_preview, to_tables
from sweep.service.house import Here, House
from sweep.service.preview import HEIGHT, WIDTH, Drawing, draw_all
from sweep.service.rendering import PageRoute, fragment, page, reason_of

KEY = re.compile(r"[!-~]{1,200}")
FOREIGN = "function"  # calls what its user wrote, which is nothing to be ordered from afar
SOME_ROWS = 235
SENT_BEFORE = "this form was sent before with other values. Send it once more if you want this study as well."


@dataclass(frozen=True)
class Problem:
    """Why a form was refused: the status and the reason of the answer, and the field that holds what is wrong."""

    status: int
    field: str | None
    reason: str


router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)


@router.get("/new")
def show_form(request: Request, house: Here, template: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Show the form, filled in as a template says."""
    plans = known(house)
    if not plans:
        return page(request, "no-template.html")
    plan = find(plans, template) if template else next(iter(plans.values()))
    return form_page(request, house, plan, from_plan(plan, house.desk.names()), secrets.token_urlsafe(18))


@router.get("/parts/preview")
def preview(request: Request, house: Here) -> Response:
    """Draw the schedules that are ticked in the form."""
    pairs = request.query_params.multi_items()[: forms.MOST_FIELDS]
    plan = find(known(house), dict(pairs).get("template", ""))
    return HTMLResponse(preview_part(house, plan, from_pairs(pairs)))


@router.post("/new")
async def order(request: Request, house: Here) -> Response:
    """Order the study that the form describes, or show the form again with what is wrong."""
    pairs = await read_form(request)
    plan = find(await asyncio.to_thread(known, house), dict(pairs).get("template", ""))
    key, filled = dict(pairs).get("key", ""), from_pairs(pairs)
    try:
        placed = await asyncio.to_thread(place, house, plan, filled, key)
    except BadInput as error:
        return await asyncio.to_thread(refused, request, house, plan, filled, key, error)
    await house.act(lambda: placed)
    return RedirectResponse(f"/studies/{placed.name}", 303)


def known(house: House) -> dict[str, Plan]:
    """Return the templates by name."""
    plans = house.recent.get("template plans", lambda: templates.read(house), REGISTRY_SECONDS)
    return {plan.name: plan for plan in plans}


def find(plans: Mapping[str, Plan], name: str) -> Plan:
    """Return the template called `name`.

    Raises:
        NotFound: if there is none.
    """
    if name not in plans:
        raise NotFound("template", f"there is no template `{name}`{nearest(name, plans) or '.'}")
    return plans[name]


def place(house: House, plan: Plan, filled: Filled, key: str) -> Order:
    """Order the study of a form; sent again under its key, it is the same order."""
    return house.desk.order(to_tables(plan, filled), key if KEY.fullmatch(key) else None).order


def refused(request: Request, house: House, plan: Plan, filled: Filled, key: str, error: BadInput) -> HTMLResponse:
    """Return the form as it was filled in, with the reason why it was refused."""
    status, reason = reason_of(error)
    if error.field == KEY_HEADER:
        key, reason = secrets.token_urlsafe(18), SENT_BEFORE
    return form_page(request, house, plan, filled, key, Problem(status, blamed(error.field), reason))


def form_page(
    request: Request, house: House, plan: Plan, filled: Filled, key: str, problem: Problem | None = None
) -> HTMLResponse:
    """Return the page with the form."""
    offered = [entry for entry in list_catalogue().schedules if entry.name != FOREIGN]
    return page(
        request,
        "new.html",
        status=200 if problem is None else problem.status,
        template=plan,
        templates=list(known(house)),
        filled=filled,
        key=key,
        problem=problem,
        labels=LABELS,
        groups=[[entry for entry in offered if entry.kind == kind] for kind in ("open-loop", "closed-loop")],
        part=preview_part(house, plan, filled),
    )


def preview_part(house: House, plan: Plan, filled: Filled) -> str:
    """Return drawings of the schedules that are ticked, or why there are none."""
    drawings: list[Drawing] = []
    try:
        chosen = to_preview(plan, filled)
        drawings, reason = draw_all(chosen, train_rows(house, chosen)), ""
    except BadInput as error:
        field, told = blamed(error.field), reason_of(error)[1]
        reason = f"{LABELS[field]}: {told}" if field else told
    return fragment("preview-part.html", drawings=drawings, reason=reason, width=WIDTH, height=HEIGHT)


def train_rows(house: House, plan: Plan) -> int:
    """Return how many rows a training has, or what it has for most data if these cannot be read."""
    found = house.desk.registered().get(plan.data.name or "")
    return max(1, int(len(found[1].targets) * (1 - plan.split.fraction))) if found else SOME_ROWS
