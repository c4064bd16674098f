"""What of a study is done, and what is left: its searches, within a time budget or not, and its verdict."""

from __future__ import annotations

from sweep.config.plan import Plan
from sweep.search.finite import count_wanted
from sweep.store.database import Database
from sweep.store.growth import has_grown
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents
from sweep.verdict.baselines import searches
from sweep.verdict.extent import Decision, Extent
from sweep.verdict.record import BUDGET, read_record
from sweep.verdict.widening import find_wider, widened


def is_made(database: Database, plan: Plan) -> bool:
    """Say whether the study has a verdict that nothing has changed under, as large as the plan's budget allows.

    Nested searches that are asked for belong to it, unless the plan has a budget, which may have left them out.
    """
    found = read_record(StoredStudy(database, plan.name))
    if found is None or not found.stands(database, plan):
        return False
    wanted, nested = plan.verdict.nested or 0, found.nested
    if not wanted or plan.search.budget is not None:
        return True
    return nested is not None and nested.is_whole(wanted) and nested.still_holds(plan)


def read_decision(database: Database, plan: Plan) -> Decision | None:
    """Return what an earlier run has decided within the same budget as the plan's; None if there was none."""
    stored = StoredStudy(database, plan.name)
    if plan.search.budget is None or not stored.count_finished():
        return None
    with stored.reading() as study:
        kept = read_documents(study.connection, study.study_id, BUDGET).get(BUDGET)
    if kept is None:
        return None
    found = Decision.model_validate_json(kept)
    return found if (found.seconds, found.whole) == (plan.search.budget, Extent.of(plan)) else None


def searches_within(plan: Plan, decision: Decision | None, *, search_only: bool) -> dict[str, Plan]:
    """Return the plan of each search, as `searches` does, with the numbers that were decided within a budget."""
    if decision is None:
        return searches(plan, search_only=search_only)
    found = searches(decision.extent.applied(plan), search_only=search_only)
    return {
        name: each.model_copy(update={"search": each.search.model_copy(update={"trials": most})})
        if (most := min(each.search.trials, decision.searched.get(name, each.search.trials))) < each.search.trials
        else each
        for name, each in found.items()
    }


def work_left(database: Database, plan: Plan, *, search_only: bool) -> bool:
    """Say whether anything is left to train; `plan` is that of the study's file."""
    wider, plan = find_wider(database, plan), widened(database, plan)
    left = any(
        study.count_finished() < count_wanted(study, searched) or has_grown(study, searched)
        for study, searched in _stored(database, plan, search_only=search_only)
    )
    return left or not (search_only or (is_made(database, plan) and wider is None))


def count_searched(database: Database, plan: Plan, *, search_only: bool) -> dict[str, int]:
    """Return how many candidates each search has, by its name."""
    plans = searches(plan, search_only=search_only)
    return {name: StoredStudy(database, searched.name).count_finished() for name, searched in plans.items()}


def _stored(database: Database, plan: Plan, *, search_only: bool) -> list[tuple[StoredStudy, Plan]]:
    plans = searches_within(plan, read_decision(database, plan), search_only=search_only).values()
    return [(StoredStudy(database, searched.name), searched) for searched in plans]
