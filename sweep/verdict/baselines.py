"""What a winner is held against: the settings that were quoted, and constant rates tuned as hard as it was.

A tuned baseline is a study of its own, with the search's data, budget, seeds and sampler, so that it may be looked at,
stopped and continued like any other.
"""

from __future__ import annotations

from sweep.candidate import Candidate
from sweep.config.study_file import Plan, read_plan, recipe_candidate
from sweep.space import Value, extremes
from sweep.verdict.record import Role


def tuning_plans(plan: Plan) -> dict[Role, Plan]:
    """Return the plan of each search that a verdict needs besides the study's own.

    The tuned constant rate has the whole search space but for the schedule, and the search's budget. The tuned rate has
    the momentum of the quoted recipe as well, and a quarter of the budget, since it is one number to find; there is
    none if the search does not vary the momentum.

    Raises:
        BadInput: if the study's name leaves no room for theirs.
    """
    plans = {Role.CONSTANT: _tuning(plan, "constant", {})}
    if len(set(extremes(plan.search.momentum))) > 1:
        few = max(1, plan.search.trials // 4)
        plans[Role.RATE] = _tuning(plan, "rate", {"momentum": reruns(plan)[0].momentum, "trials": few})
    return plans


def reruns(plan: Plan) -> tuple[Candidate, ...]:
    """Return the settings to run again: those of the quoted result, or the optimizer's defaults in Keras."""
    usual: dict[str, Value] = {
        "schedule": "constant",
        "learning_rate": plan.optimizer.usual_rate,
        "momentum": plan.optimizer.usual_momentum,
    }
    return plan.quoted or (recipe_candidate(usual),)


def _tuning(plan: Plan, suffix: str, fixed: dict[str, Value]) -> Plan:
    """Return the plan of a search over constant rates, with some of what it would vary `fixed`."""
    tables = plan.model_dump(mode="json", exclude={"baseline", "recipes"})
    search = tables["search"] | fixed | {"schedules": {"constant": {}}}
    name = f"{plan.name}.{suffix}"
    return read_plan(tables | {"name": name, "search": search})
