"""Searching on beyond the end of a range: where the best learning rate lies at its end, the range is widened.

A study that asks for it (`search.widen`) keeps its wider range as a document beside its plan. So the study file stays
as it is, a run that was stopped goes on in the wider range, and the study grows as if its file had been changed.
"""

from __future__ import annotations

import math

from sweep.config.plan import Plan
from sweep.model import Record
from sweep.space import Range, near_bound
from sweep.store.database import Database
from sweep.store.queries import StoredStudy
from sweep.store.study import read_documents, write_documents
from sweep.verdict.baselines import SUFFIXES, Role, searched_names

WIDENED = "sweep:widened"
MOST_TIMES = 2
END = 0.1  # the outer share of a range, in the logarithm, that counts as its end
FACTOR = 10.0  # by which an end moves, or by the root of the range's own ratio, if that is less
SHARE = 4  # the part of a study's trials that is searched besides in each wider range, as in a quarter


class Widened(Record):
    """How the range of a study's learning rates has been widened.

    Attributes:
        of: the range that the study file has; of another one this says nothing.
        to: the range in its place.
        times: how often it was widened.
        more: the trials that are searched besides those of the study file.
    """

    of: Range
    to: Range
    times: int = 0
    more: int = 0

    def applied(self, plan: Plan) -> Plan:
        """Return a study file's plan with the wider range and the trials for it; a time budget has its own number."""
        more = 0 if plan.search.budget is not None else self.more
        search = {"learning_rate": self.to, "trials": plan.search.trials + more}
        return plan.model_copy(update={"search": plan.search.model_copy(update=search)})


def read_widened(database: Database, plan: Plan) -> Widened | None:
    """Return how a study has been widened, by the plan of its file; None if that asks for nothing of the kind."""
    space, stored = plan.search.learning_rate, StoredStudy(database, plan.name)
    if not plan.search.widen or not isinstance(space, Range) or not space.log:
        return None
    if stored.count_finished():
        with stored.reading() as study:
            kept = read_documents(study.connection, study.study_id, WIDENED).get(WIDENED)
        found = None if kept is None else Widened.model_validate_json(kept)
        if found is not None and space == found.to:  # as it is now
            return found.model_copy(update={"more": 0})
        if found is not None and space == found.of:
            return found
    return Widened(of=space, to=space)


def widened(database: Database, plan: Plan) -> Plan:
    """Return the plan of a study's file with the wider range that the study has come to."""
    kept = read_widened(database, plan)
    return plan if kept is None else kept.applied(plan)


def find_wider(database: Database, plan: Plan) -> Widened | None:
    """Return the next wider range of a study whose searches have ended, if its best rate lies at an end of the range.

    `plan` is that of the study's file. The best rate is that of the main search, or of the one over constant rates.
    Within a time budget there is none, nor after it was widened twice.
    """
    kept = read_widened(database, plan)
    if kept is None or kept.times >= MOST_TIMES or plan.search.budget is not None:
        return None
    names, space = searched_names(plan) - {f"{plan.name}.{SUFFIXES[Role.RATE]}"}, kept.to
    best = [_best_rate(database, name) for name in names]
    rates = [rate for rate in best if rate is not None and near_bound(space, rate, END)]
    if not rates:
        return None
    middle = math.sqrt(space.low * space.high)
    factor = min(FACTOR, math.sqrt(space.high / space.low))
    low = float(f"{space.low / factor:.3g}") if min(rates) < middle else space.low
    high = float(f"{space.high * factor:.3g}") if max(rates) > middle else space.high
    more = kept.more + max(1, plan.search.trials // SHARE)
    to = Range(low=low, high=high, log=True)
    return kept.model_copy(update={"to": to, "times": kept.times + 1, "more": more})


def widen(database: Database, plan: Plan) -> str | None:
    """Let a study go on in the next wider range, if there is one; return a line that says so."""
    wider, now = find_wider(database, plan), widened(database, plan).search
    if wider is None or not isinstance(now.learning_rate, Range):
        return None
    with StoredStudy(database, plan.name).reading() as study:
        study_id = study.study_id
    write_documents(database, study_id, {WIDENED: wider.model_dump_json()})
    before, after, more = now.learning_rate, wider.to, plan.search.trials + wider.more - now.trials
    ways = [f"down to {after.low:g}"] * (after.low < before.low) + [f"up to {after.high:g}"] * (
        after.high > before.high
    )
    where = f"the best learning rate lies at the end of {before.low:g} to {before.high:g}"
    return f"{where}: searching on {' and '.join(ways)}, with {more:,} more candidates"


def _best_rate(database: Database, name: str) -> float | None:
    """Return the learning rate of a search's best trial."""
    stored = StoredStudy(database, name)
    if not stored.count_finished():
        return None
    with stored.reading() as study:
        best = study.best_trials(1, brief=True)
    rate = best[0].params.get("learning_rate") if best else None
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None
