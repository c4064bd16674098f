"""The page that begins a study: its form, the drawings of its schedules beside it, and the order that it makes.

A template, which is a study file of the operator's, fills in the form; the form's texts make another study file.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from sweep.config.plan import Plan, check_recipe
from sweep.config.study_file import read_plan
from sweep.data.arrays import GO_BY
from sweep.errors import BadInput, NotFound, nearest
from sweep.jobs.admission import DatasetAnswer
from sweep.jobs.queue import KEY_HEADER, Job
from sweep.schedules import CATALOGUE, Numbers, Schedule, Timeline, build
from sweep.schedules.catalogue import list_catalogue, read_value, typed
from sweep.search.finite import is_whole
from sweep.server.pages import MOST_FIELDS, FormError, PageRoute, fragment, page, read_form, reason_of
from sweep.server.state import AppState, State
from sweep.space import Range, Space, Value, extremes

# The label of each field, and the value of a study file that it holds.
FIELDS = {
    "name": ("Name", "name"),
    "note": ("Note", "note"),
    "trials": ("Candidates", "search.trials"),
    "replicates": ("Trainings of each", "search.replicates"),
    "epochs": ("Epochs", "training.epochs"),
    "batch_size": ("Batch size", "training.batch_size"),
    "learning_rate_low": ("Learning rate, from", "search.learning_rate"),
    "learning_rate_high": ("Learning rate, to", "search.learning_rate.high"),
    "momentum_low": ("Momentum, from", "search.momentum"),
    "momentum_high": ("Momentum, to", "search.momentum.high"),
    "hidden": ("Hidden units", "model.hidden"),
    "by": ("The column of groups or times", "split.by"),
    "split": ("Validation rows", "split"),
    "schedules": ("Schedules", "search.schedules"),
}
LABELS = {field: label for field, (label, _) in FIELDS.items()}
TEXTS = tuple(field for field in FIELDS if field != "schedules")
NUMBERS = {field: FIELDS[field][1].split(".") for field in ("trials", "replicates", "epochs", "batch_size")}
RANGES = ("learning_rate", "momentum")  # each of two fields, `_low` and `_high`
# What a preview of the schedules depends on; the other fields may hold anything meanwhile.
DRAWN = ("epochs", "batch_size", "learning_rate_low", "learning_rate_high", "split", "by")

KEY = re.compile(r"[!-~]{1,200}")
FOREIGN = "function"  # calls its user's own code, which a server does not run
SOME_ROWS = 235
SENT_BEFORE = "this form was sent before with other values. Send it once more if you want this study as well."
WIDTH, HEIGHT = 240, 96  # of a plot, in the units of its drawing
MOST_CURVES = 4
MOST_POINTS = 120
MOST_BATCHES = 20_000  # a fifth of a second for all schedules


@dataclass(frozen=True)
class Filled:
    """A form as it is filled in: the texts of its fields, and the schedules that are ticked."""

    texts: Mapping[str, str]
    schedules: tuple[str, ...]

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> Filled:
        """Return a form as it was sent; what it has no field for is left out."""
        given = list(pairs)
        texts = {field: text.replace("\r\n", "\n") for field, text in given if field in TEXTS}
        return cls(texts, tuple(dict.fromkeys(text for field, text in given if field == "schedules")))

    @classmethod
    def from_plan(cls, plan: Plan, taken: Collection[str]) -> Filled:
        """Return a form filled in as a template says, under a name that is not taken."""
        names = (plan.name if number == 1 else f"{plan.name[:56]}-{number}" for number in range(1, len(taken) + 2))
        texts = {"name": next(name for name in names if name not in taken), "note": plan.note, "split": plan.split.kind}
        texts["by"] = "" if plan.split.by is None else str(plan.split.by)
        texts |= {field: str(getattr(getattr(plan, table), key)) for field, (table, key) in NUMBERS.items()}
        for name in RANGES:
            space: Space = getattr(plan.search, name)
            # A list of choices has no extremes, so its fields stay empty.
            ends = ("", "") if isinstance(space, tuple) else extremes(space)
            texts |= {f"{name}_low": str(ends[0]), f"{name}_high": str(ends[-1])}
        texts["hidden"] = ", ".join(map(str, plan.model.hidden))
        return cls(texts, tuple(plan.search.schedules))

    def text(self, field: str) -> str:
        """Return the text of a field."""
        return self.texts.get(field, "")

    def tables(self, template: Plan) -> dict[str, Any]:
        """Return the tables of the study file that the form describes; what it has no field for is the template's.

        Of the template's recipes, those are kept that the new search could draw itself. `BadInput` names a wrong value.
        """
        tables = template.model_dump(mode="json") | {"recipes": []}
        tables |= {"name": self.text("name").strip(), "note": self.text("note").strip()}
        for field, (table, key) in NUMBERS.items():
            tables[table][key] = _number(f"{table}.{key}", self.text(field))
        for name in RANGES:
            tables["search"][name] = self._space(name, getattr(template.search, name))
        own = template.search.model_dump(mode="json")["schedules"]
        tables["search"]["schedules"] = {name: own.get(name, {}) for name in self.schedules}
        kind, by = self.text("split"), self.text("by").strip()
        same = by == str(template.split.by)
        tables["split"] |= {"kind": kind, "by": template.split.by if same else by or None}
        if kind not in GO_BY:
            tables["split"]["by"] = None
        if kind != "resample":
            tables["split"]["splits"] = None
        if template.model.name is None:
            tables["model"]["hidden"] = [read_value(word) for word in self.text("hidden").replace(",", " ").split()]
        search, recipes = read_plan(tables).search, []
        for recipe in template.recipes:
            try:
                check_recipe("recipes", recipe, search)
            except BadInput:
                continue
            recipes.append(dict(recipe))
        return tables | {"recipes": recipes}

    def _space(self, name: str, before: Space) -> Any:
        """Return the space of a shared parameter: a range, one value if both ends are the same, or as before."""
        low, high = (self.text(f"{name}_{end}") for end in ("low", "high"))
        if not low.strip() and not high.strip():
            return before.model_dump() if isinstance(before, Range) else before
        ends = {"low": _number(f"search.{name}.low", low), "high": _number(f"search.{name}.high", high)}
        if ends["low"] == ends["high"]:
            return ends["low"]
        return ends | {"log": before.log if isinstance(before, Range) else name == "learning_rate"}

    def drawn_plan(self, template: Plan) -> Plan:
        """Return the plan whose schedules are drawn before the whole form is filled in."""
        rest = Filled.from_plan(template, [])
        texts = dict(rest.texts) | {field: self.text(field) for field in DRAWN}
        return read_plan(replace(self, texts=texts).tables(template))


def _number(key: str, text: str) -> Value:
    if not text.strip():
        raise BadInput(key, "is missing.")
    return read_value(text.strip())


def blamed(key: str) -> str | None:
    """Return the field of the form that holds a study file's wrong value; None if none does.

    >>> blamed("search.learning_rate.high"), blamed("model.hidden.0"), blamed("data.name")
    ('learning_rate_high', 'hidden', None)
    """
    fits = [(held, field) for field, (_, held) in FIELDS.items() if key == held or key.startswith(f"{held}.")]
    return max(fits, key=lambda fit: len(fit[0]))[1] if fits else None


@dataclass(frozen=True)
class Drawing:
    """A schedule as it is drawn: its curves over so many epochs, from 0 to the rate `highest`.

    It is SVG without inline styles, which the pages' security policy forbids.

    Attributes:
        curves: of each the path, and the parameters that give it.
    """

    name: str
    formula: str
    epochs: int
    highest: str
    curves: tuple[tuple[str, str], ...]


def draw_all(plan: Plan, train_rows: int) -> list[Drawing]:
    """Draw every schedule that a plan searches; raise `BadInput` if a training over that many rows is too long."""
    timeline = plan.training.timeline(train_rows)
    if timeline.last > MOST_BATCHES:
        raise BadInput("epochs", f"trainings of more than {MOST_BATCHES:,} batches are not drawn.")
    rates = [float(rate) for rate in spread(plan.search.learning_rate, whole=False)]
    rate = math.sqrt(rates[0] * rates[-1])
    return [draw(CATALOGUE[name], spaces, rate, timeline) for name, spaces in plan.search.schedules.items()]


def draw(kind: type[Schedule], spaces: Mapping[str, Space], rate: float, timeline: Timeline) -> Drawing:
    """Draw a schedule at the extremes and in the middle of its own parameters, equal curves once."""
    varied = [key for key, space in spaces.items() if isinstance(space, Range | tuple)]
    found: dict[bytes, tuple[Numbers, str]] = {}
    for setting in settings(kind, spaces):
        rates = build(kind, {"learning_rate": rate, **setting}).rates(timeline)
        values = [(key, setting[key]) for key in varied]
        texts = [f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {typed(value)}" for key, value in values]
        found.setdefault(rates.tobytes(), (rates, ", ".join(texts)))
    highest = max(float(rates.max()) for rates, _ in found.values())
    curves = tuple((path(rates, highest), label) for rates, label in found.values())
    return Drawing(kind.name, kind.formula, timeline.epochs, f"{highest:.3g}", curves)


def settings(kind: type[Schedule], spaces: Mapping[str, Space]) -> list[dict[str, Value]]:
    """Return own parameters from one end of all their spaces to the other."""
    values = {key: spread(space, whole=is_whole(kind, key)) for key, space in spaces.items()}
    number = min(MOST_CURVES, max(map(len, values.values()), default=1))
    shares = [place / max(1, number - 1) for place in range(number)]
    return [{key: own[round(share * (len(own) - 1))] for key, own in values.items()} for share in shares]


def spread(space: Space, *, whole: bool) -> tuple[Value, ...]:
    """Return what stands for a space: a range's extremes and middle, or every choice.

    >>> spread(Range(low=0.01, high=1.0, log=True), whole=False), spread(Range(low=2, high=7), whole=True)
    ((0.01, 0.1, 1.0), (2, 4, 7))
    """
    if not isinstance(space, Range):
        return space if isinstance(space, tuple) else (space,)
    middle = math.sqrt(space.low * space.high) if space.log else (space.low + space.high) / 2
    return (space.low, round(middle) if whole else middle, space.high)


def path(rates: Numbers, highest: float) -> str:
    """Return the line through `rates`, `[epochs, steps_per_epoch]`, in the units of the drawing.

    As long as batches can be told apart, each keeps its rate to its end.
    """
    flat = rates.ravel()
    up = (HEIGHT * (1 - flat / highest)).tolist()
    if flat.size <= MOST_POINTS:
        extremes = np.linspace(0, WIDTH, flat.size + 1)[1:].tolist()
        return "M0 " + "V".join(f"{y:.1f}H{x:.1f}" for x, y in zip(extremes, up, strict=True))
    places = np.linspace(0, flat.size - 1, MOST_POINTS).round().astype(int).tolist()
    across = np.linspace(0, WIDTH, MOST_POINTS).tolist()
    return "M" + "L".join(f"{x:.1f} {up[place]:.1f}" for x, place in zip(across, places, strict=True))


router = APIRouter(include_in_schema=False, route_class=PageRoute, default_response_class=HTMLResponse)


@router.get("/new")
def show_form(request: Request, state: State, template: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Show the form, filled in as a template says."""
    plans = state.template_plans()
    if not plans:
        return page(request, "no-template.html")
    plan = find(state, template) if template else plans[0]
    return form_page(request, state, plan, Filled.from_plan(plan, state.service.names()), secrets.token_urlsafe(18))


@router.get("/parts/preview")
def preview(request: Request, state: State) -> Response:
    """Draw the schedules that are ticked in the form."""
    pairs = request.query_params.multi_items()[:MOST_FIELDS]
    return HTMLResponse(preview_part(state, find(state, dict(pairs).get("template", "")), Filled.from_pairs(pairs)))


@router.post("/new")
async def order(request: Request, state: State) -> Response:
    """Order the study that the form describes, or show the form again with what is wrong."""
    pairs = await read_form(request)
    plan = await asyncio.to_thread(find, state, dict(pairs).get("template", ""))
    key, filled = dict(pairs).get("key", ""), Filled.from_pairs(pairs)

    def submit() -> Job:
        """Order the study; the same form sent again under its key is the same order."""
        return state.service.submit(filled.tables(plan), key if KEY.fullmatch(key) else None).job

    try:
        job = await asyncio.to_thread(submit)
    except BadInput as error:
        status, reason = reason_of(error)
        again, reason = (secrets.token_urlsafe(18), SENT_BEFORE) if error.field == KEY_HEADER else (key, reason)
        problem = FormError(blamed(error.field), status, reason)
        return await asyncio.to_thread(form_page, request, state, plan, filled, again, problem)
    await state.act(lambda: job)
    return RedirectResponse(f"/studies/{job.name}", 303)


def find(state: AppState, name: str) -> Plan:
    """Return the template called `name`; raise `NotFound` if there is none."""
    plans = {plan.name: plan for plan in state.template_plans()}
    if name not in plans:
        raise NotFound("template", f"there is no template `{name}`{nearest(name, plans) or '.'}")
    return plans[name]


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
        data=registered(state, plan),
        templates=list(dict.fromkeys(each.name for each in state.template_plans())),
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
        chosen = filled.drawn_plan(plan)
        drawings, reason = draw_all(chosen, train_rows(state, chosen)), ""
    except BadInput as error:
        field, reason = blamed(error.field), reason_of(error)[1]
        reason = f"{LABELS[field]}: {reason}" if field else reason
    return fragment("preview-part.html", drawings=drawings, reason=reason, width=WIDTH, height=HEIGHT)


def registered(state: AppState, plan: Plan) -> DatasetAnswer | None:
    """Return the plan's data set as the registry has it; None if it cannot be read."""
    return {known.name: known for known in state.service.datasets()}.get(plan.data.name or "")


def train_rows(state: AppState, plan: Plan) -> int:
    """Return how many rows a training has, or what it has for most data if these cannot be read."""
    data = registered(state, plan)
    return SOME_ROWS if data is None else max(1, int(data.rows * (1 - plan.split.fraction)))
