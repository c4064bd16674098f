"""A study that grows: wider ranges, further schedules, other numbers of run seeds, another round size or sampler seed.

What was trained is kept. A trial that the search space of now could not have drawn is set aside: it counts towards the
budget and does not rank. If the number of run seeds rises, the best trials are trained again with all of them, in
their places. The study keeps that as user attributes, and only once it has grown: `growth`, from which position and
round on which number of run seeds was trained, and the numbers of trials that are `set_aside` or were `trained_again`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sweep.candidate import from_params
from sweep.config.plan import Plan, SearchPlan
from sweep.errors import BadInput
from sweep.model import Answer
from sweep.schedules import read_schedule
from sweep.space import contains
from sweep.store.queries import SET_ASIDE, Best, StoredStudy, StudyReader

GROWTH, TRAINED_AGAIN = "growth", "trained_again"
SPACE = ("learning_rate", "momentum", "schedules")
# What decides which candidates come next; a change of any of it begins an era.
PROPOSING = (*SPACE, "replicates", "round_size", "sampler_seed")


class Era(Answer):
    """A part of a search under one plan: its first position, its first round, and the run seeds of each candidate."""

    position: int
    round: int
    replicates: int


def read_eras(study: StudyReader, plan: Plan) -> tuple[Era, ...]:
    """Return the eras of a study, the present one last; a study that never grew has one."""
    kept = study.attributes.get(GROWTH)
    try:
        return tuple(Era.model_validate(each) for each in kept or ()) or (_first(plan),)
    except (ValidationError, TypeError):  # somebody else's
        return (_first(plan),)


def _first(plan: Plan) -> Era:
    return Era(position=0, round=0, replicates=plan.search.replicates)


def _with_replicates(plan: Plan, replicates: int) -> Plan:
    return plan.model_copy(update={"search": plan.search.model_copy(update={"replicates": replicates})})


def differs(before: SearchPlan, now: SearchPlan, names: tuple[str, ...]) -> bool:
    """Say whether any of these settings of a search has changed."""
    return any(getattr(before, name) != getattr(now, name) for name in names)


def has_grown(stored: StoredStudy, plan: Plan) -> bool:
    """Say whether a plan has another search space than the study was last run with, or the best lack run seeds."""
    if not stored.count_finished():
        return False
    with stored.reading() as study:
        if study.plan is None:
            return False
        more = plan.search.replicates > study.plan.search.replicates
        return more or differs(study.plan.search, plan.search, SPACE) or bool(find_lacking(study, plan))


def first_era(replicates: int | None, plan: Plan) -> dict[str, Any]:
    """Return the user attributes of a study that begins with so many run seeds; without a number, with the plan's."""
    first = _first(plan).model_copy(update={"replicates": replicates})
    return {GROWTH: [] if replicates in (None, plan.search.replicates) else [first.model_dump()]}


def grow(study: StudyReader, before: Plan, now: Plan, replicates: int | None = None) -> dict[str, Any]:
    """Return the user attributes that a study with trials gets when its plan becomes `now`; none if it did not grow.

    `replicates` take the place of the plan's, as they did before where the last era has other ones.
    """
    changed: dict[str, Any] = {}
    before = _with_replicates(before, read_eras(study, before)[-1].replicates)
    now = _with_replicates(now, replicates or now.search.replicates)
    if differs(before.search, now.search, PROPOSING) or before.recipes != now.recipes:
        *past, last = read_eras(study, before)
        positions = study.standings(aside=True)["position"].dropna()
        begin = 0 if positions.empty else int(positions.max()) + 1
        if begin > last.position:
            rounds = -(-(begin - last.position) // before.search.round_size)
            past, last = [*past, last], Era(position=begin, round=last.round + rounds, replicates=0)
        eras = [*past, last.model_copy(update={"replicates": now.search.replicates})]
        changed[GROWTH] = [era.model_dump() for era in eras]
    if differs(before.search, now.search, SPACE):
        finished = study.details(study.standings(aside=True), brief=True)
        changed[SET_ASIDE] = sorted(trial.trial for trial in finished if not could_be_drawn(trial, now.search))
    return changed


def could_be_drawn(trial: Best, search: SearchPlan) -> bool:
    """Say whether a search space holds the candidate of a trial; one that others made without a candidate may stay."""
    params, spaces = trial.params, search.schedules.get(trial.schedule)
    if not trial.schedule or not {"learning_rate", "momentum"} <= params.keys():
        return True
    shared = ("learning_rate", "momentum")
    if spaces is None or not all(contains(getattr(search, name), params[name]) for name in shared):
        return False
    try:
        kept = trial.record.schedule
        schedule = from_params(params).schedule if kept is None else read_schedule(kept)
        own = schedule.parameters
        drawn = {name: own[name] for name in spaces if name in own}
        same = type(schedule).model_validate({"learning_rate": schedule.learning_rate, **drawn}).parameters == own
    except (BadInput, ValidationError):  # a schedule of another version
        return False
    return same and drawn.keys() == spaces.keys() and all(contains(spaces[name], drawn[name]) for name in drawn)


def find_lacking(study: StudyReader, plan: Plan) -> dict[int, Best]:
    """Return by its id each trial among the best, as many as race, that has fewer run seeds than the plan asks for."""
    if all(era.replicates >= plan.search.replicates for era in read_eras(study, plan)):
        return {}
    best = study.standings(plan.verdict.finalists)
    found = zip(best["trial_id"].tolist(), study.details(best, brief=True), strict=True)
    return {
        trial_id: trial
        for trial_id, trial in found
        if trial.schedule and 0 < len(trial.record.run_seeds) < plan.search.replicates
    }


def tell_growth(study: StudyReader, plan: Plan) -> list[str]:
    """Return a line for each thing that differs between a study's trials because it grew."""
    told, aside = [], len(study.set_aside)
    if aside:
        lie = f"{aside} trial{' lies' if aside == 1 else 's lie'}"
        told.append(f"{lie} outside the search space of now; kept, and counted in the budget, but not ranked.")
    if any(era.replicates < plan.search.replicates for era in read_eras(study, plan)):
        runs = [len(trial.record.run_seeds) for trial in study.details(study.standings(), brief=True)]
        fewer = sum(0 < number < plan.search.replicates for number in runs)
        if fewer:
            have = f"{fewer} trial{' has' if fewer == 1 else 's have'} fewer run seeds than {plan.search.replicates}"
            told.append(f"{have}; the best are trained again with all of them, the others rank by their own mean.")
    return told
