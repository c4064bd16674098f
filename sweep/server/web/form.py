"""The form that begins a study: what stands in its fields, and the tables of a study file that they make.

It stands alone because it knows no HTTP beyond a form's pairs: a template's study file goes in, another comes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from sweep.config.study_file import Plan, SearchPlan, check_recipe, read_plan
from sweep.errors import BadInput
from sweep.schedules.catalogue import read_value
from sweep.server.errors import Refused
from sweep.space import Range, Space, Value, extremes

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200
# The fields of one number, and what each is in a study file.
NUMBERS = {
    "trials": ("search", "trials"),
    "replicates": ("search", "replicates"),
    "epochs": ("training", "epochs"),
    "batch_size": ("training", "batch_size"),
}
RANGES = ("learning_rate", "momentum")  # each of two fields, `_low` and `_high`
TEXTS = ("name", "note", *NUMBERS, *(f"{name}_{end}" for name in RANGES for end in ("low", "high")), "split", "hidden")
LABELS = {
    "name": "Name",
    "note": "Note",
    "trials": "Candidates",
    "replicates": "Trainings of each",
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "learning_rate_low": "Learning rate, from",
    "learning_rate_high": "Learning rate, to",
    "momentum_low": "Momentum, from",
    "momentum_high": "Momentum, to",
    "hidden": "Hidden units",
    "split": "Validation rows",
    "schedules": "Schedules",
}
# What a study file's error is about, by the field that holds it; the longest that fits counts.
BLAMED = {
    "name": "name",
    "note": "note",
    "search.learning_rate": "learning_rate_low",
    "search.learning_rate.high": "learning_rate_high",
    "search.momentum": "momentum_low",
    "search.momentum.high": "momentum_high",
    "search.schedules": "schedules",
    "split": "split",
    "model.hidden": "hidden",
    **{".".join(place): field for field, place in NUMBERS.items()},
}
# What a preview of the schedules depends on; the other fields may hold anything meanwhile.
DRAWN = ("epochs", "batch_size", "learning_rate_low", "learning_rate_high", "split")


@dataclass(frozen=True)
class Filled:
    """A form as it is filled in: the texts of its fields, and the schedules that are ticked."""

    texts: Mapping[str, str]
    schedules: tuple[str, ...]

    def text(self, field: str) -> str:
        """What stands in a field."""
        return self.texts.get(field, "")


async def read_form(request: Request) -> list[tuple[str, str]]:
    """Return the pairs of a form that was sent.

    Raises:
        Refused: for a body that is no such form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise Refused(415, f"must be {FORM}.", "Content-Type")
    try:
        text = (await request.body()).decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:  # no UTF-8, or too many fields
        raise Refused(400, "the form cannot be read.") from error


def from_pairs(pairs: Iterable[tuple[str, str]]) -> Filled:
    """Return a form as it was sent; what it has no field for is left out."""
    given = list(pairs)
    texts = {field: text.replace("\r\n", "\n") for field, text in given if field in TEXTS}
    return Filled(texts, tuple(dict.fromkeys(text for field, text in given if field == "schedules")))


def from_plan(plan: Plan, taken: Collection[str]) -> Filled:
    """Return a form filled in as a template says, under a name that is not taken."""
    texts = {"name": free_name(plan.name, taken), "note": plan.note, "split": plan.split.kind}
    texts |= {field: str(getattr(getattr(plan, table), key)) for field, (table, key) in NUMBERS.items()}
    for name in RANGES:
        texts |= dict(zip((f"{name}_low", f"{name}_high"), outer(getattr(plan.search, name)), strict=True))
    texts["hidden"] = ", ".join(map(str, plan.model.hidden))
    return Filled(texts, tuple(plan.search.schedules))


def outer(space: Space) -> tuple[str, str]:
    """Return a range's extremes as a form has them; a list of choices has none, so its fields stay empty.

    >>> outer(Range(low=0.001, high=1.0)), outer(0.9), outer((0.1, 0.3))
    (('0.001', '1.0'), ('0.9', '0.9'), ('', ''))
    """
    if isinstance(space, tuple):
        return "", ""
    found = extremes(space)
    return str(found[0]), str(found[-1])


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name for a study that is like another one.

    >>> free_name("smoke", []), free_name("smoke", ["smoke", "smoke-2"])
    ('smoke', 'smoke-3')
    """
    names = (name if number == 1 else f"{name[:56]}-{number}" for number in range(1, len(taken) + 2))
    return next(each for each in names if each not in taken)


def to_tables(template: Plan, filled: Filled) -> dict[str, Any]:
    """Return the tables of the study file that a form describes; what it has no field for is the template's.

    Of the template's recipes, those are kept that the new search could draw itself.

    Raises:
        BadInput: naming the first value that cannot be.
    """
    tables = template.model_dump(mode="json") | {"recipes": []}
    tables |= {"name": filled.text("name").strip(), "note": filled.text("note").strip()}
    for field, (table, key) in NUMBERS.items():
        tables[table][key] = required(f"{table}.{key}", filled.text(field))
    for name in RANGES:
        tables["search"][name] = to_space(name, filled, getattr(template.search, name))
    own = template.search.model_dump(mode="json")["schedules"]
    tables["search"]["schedules"] = {name: own.get(name, {}) for name in filled.schedules}
    tables["split"]["kind"] = filled.text("split")
    if template.model.name is None:
        words = filled.text("hidden").replace(",", " ").split()
        tables["model"]["hidden"] = [read_value(word) for word in words]
    search = read_plan(tables).search
    return tables | {"recipes": [recipe for recipe in tables_of_recipes(template) if fits(recipe, search)]}


def required(key: str, text: str) -> Value:
    """Return the number that was typed, or raise `BadInput` if there is nothing."""
    if not text.strip():
        raise BadInput(key, "is missing.")
    return read_value(text.strip())


def to_space(name: str, filled: Filled, before: Space) -> Any:
    """Return what to draw a shared parameter from: a range, one value if both extremes are the same, or as before."""
    low, high = (filled.text(f"{name}_{end}").strip() for end in ("low", "high"))
    if not low and not high:
        return before.model_dump() if isinstance(before, Range) else before
    values = {end: required(f"search.{name}.{end}", text) for end, text in (("low", low), ("high", high))}
    if values["low"] == values["high"]:
        return values["low"]
    return values | {"log": before.log if isinstance(before, Range) else name == "learning_rate"}


def tables_of_recipes(plan: Plan) -> list[dict[str, Value]]:
    """Return a plan's recipes as tables."""
    return [dict(recipe) for recipe in plan.recipes]


def fits(recipe: Mapping[str, Value], search: SearchPlan) -> bool:
    """Say whether the search could draw a recipe itself."""
    try:
        check_recipe("recipes", recipe, search)
    except BadInput:
        return False
    return True


def to_preview(template: Plan, filled: Filled) -> Plan:
    """Return the plan whose schedules are drawn before the whole form is filled in.

    Raises:
        BadInput: if one of the fields that they depend on is wrong.
    """
    rest = from_plan(template, [])
    texts = dict(rest.texts) | {field: filled.text(field) for field in DRAWN}
    return read_plan(to_tables(template, replace(rest, texts=texts, schedules=filled.schedules)))


def blamed(field: str) -> str | None:
    """Return the field of the form that holds a study file's wrong value; None if none does.

    >>> blamed("search.learning_rate.high"), blamed("model.hidden.0"), blamed("data.name")
    ('learning_rate_high', 'hidden', None)
    """
    keys = [key for key in BLAMED if field == key or field.startswith(f"{key}.")]
    return BLAMED[max(keys, key=len)] if keys else None
