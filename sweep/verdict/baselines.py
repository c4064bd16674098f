"""What a winner is compared with: the quoted settings, and constant rates tuned as hard as it was.

A tuned baseline is a study of its own, with the search's data, budget, seeds and sampler, so that it may be looked at,
stopped and continued like any other. Its name is the study's name and a suffix.
"""

from __future__ import annotations

import re
from enum import StrEnum

from sweep.candidate import Candidate
from sweep.config.plan import Plan, recipe_candidate
from sweep.config.registry import NAME_PATTERN
from sweep.config.study_file import read_plan
from sweep.errors import BadInput
from sweep.space import Value, extremes

SEARCH = "schedules"


class Role(StrEnum):
    """What a candidate is in a verdict."""

    WINNER = "winner"
    CONSTANT = "tuned constant"
    RATE = "tuned rate"
    RERUN = "re-run"


SUFFIXES = {Role.CONSTANT: "constant", Role.RATE: "rate"}


def searches(plan: Plan, *, search_only: bool) -> dict[str, Plan]:
    """Return the plan of each search by what it is called while it runs, the study's own first."""
    tuning = {} if search_only else {str(role): tuned for role, tuned in tuning_plans(plan).items()}
    return {SEARCH: plan} | tuning


def tuning_plans(plan: Plan) -> dict[Role, Plan]:
    """Return the plan of each search over constant rates that a verdict needs besides the study's own.

    The tuned constant rate has the whole search space but for the schedule, and the search's budget. The tuned rate has
    the momentum of the quoted recipe as well, and a quarter of the budget, since it is one number to find; there is
    none if the search does not vary the momentum.

    Raises:
        BadInput: if the study's name leaves no room for theirs.
    """
    fixed: dict[Role, dict[str, Value]] = {Role.CONSTANT: {}}
    if len(set(extremes(plan.search.momentum))) > 1:
        fixed[Role.RATE] = {"momentum": reruns(plan)[0].momentum, "trials": max(1, plan.search.trials // 4)}
    tables = plan.model_dump(mode="json", exclude={"baseline", "recipes"})
    plans = {}
    for role, values in fixed.items():
        search = tables["search"] | values | {"schedules": {"constant": {}}, "budget": None}
        name = f"{plan.name}.{SUFFIXES[role]}"
        if not re.fullmatch(NAME_PATTERN, name):
            raise BadInput("name", f"must leave room for `.{SUFFIXES[role]}` in 64 characters, got {plan.name!r}.")
        plans[role] = read_plan(tables | {"name": name, "search": search})
    return plans


def searched_names(plan: Plan) -> set[str]:
    """Return the names of a plan's study and of its tuned baselines."""
    try:
        return {searched.name for searched in searches(plan, search_only=False).values()}
    except BadInput:  # its name leaves no room for theirs, so it was searched only
        return {plan.name}


def possible_names(name: str) -> set[str]:
    """Return the names that tuned baselines of a study may have: `ionosphere.constant`, `ionosphere.rate`."""
    return {f"{name}.{suffix}" for suffix in SUFFIXES.values()}


def tuned_owner(name: str) -> str | None:
    """Return the study whose tuned baseline has this name; None if it is no name of a tuned baseline.

    >>> tuned_owner("ionosphere.rate")
    'ionosphere'
    """
    stem, _, suffix = name.rpartition(".")
    return stem if suffix in SUFFIXES.values() else None


def reruns(plan: Plan) -> tuple[Candidate, ...]:
    """Return the settings to run again: those of the quoted result, or the optimizer's defaults in Keras."""
    usual: dict[str, Value] = {
        "schedule": "constant",
        "learning_rate": plan.optimizer.usual_rate,
        "momentum": plan.optimizer.usual_momentum,
    }
    return plan.quoted or (recipe_candidate(usual),)
