"""Who races: the best candidates of a search, and the best of every schedule that the search cannot tell from them.

A search that others filled may hold trials that cannot take part.
"""

from __future__ import annotations

import numpy as np

from sweep.config.study_file import Plan
from sweep.errors import StorageFailed
from sweep.search.objective import read_candidate
from sweep.stats.selection import indistinguishable
from sweep.store.database import Database
from sweep.store.queries import Best, StoredStudy
from sweep.verdict.record import Contender, Runs


def finalists(database: Database, plan: Plan) -> list[Contender]:
    """Return who races for the plan's study, best first by the search's ranking.

    They are the `verdict.finalists` best trials, and of the schedules whose best trial is within noise of the very best
    one, as many trials more at most; the simplest of them races in any case.

    Raises:
        StorageFailed: if no trial has runs that could be compared.
    """
    with StoredStudy(database, plan.name).reading() as study:
        best = [trial for trial in study.best_trials(plan.verdict.finalists) if _can_race(trial)]
        families = [tried.best for tried in study.best_of_each_schedule()]
    if not best:
        raise StorageFailed(f"the study `{plan.name}` has no trial whose runs can be compared.")
    seen = {trial.trial for trial in best}
    near = [trial for trial in within_noise([each for each in families if _can_race(each)]) if trial.trial not in seen]
    racing, others = ([contender(plan, trial) for trial in group] for group in (best, near))
    simplest = min(others, key=lambda each: each.complexity, default=None)
    others = others[: plan.verdict.finalists]
    return racing + others + ([simplest] if simplest is not None and simplest not in others else [])


def within_noise(ranked: list[Best]) -> list[Best]:
    """Return the trials that cannot be told from the first by the run seeds that all of them share."""
    if not ranked:
        return []
    leader = ranked[0]
    peers = [trial for trial in ranked if trial.correct.keys() == leader.correct.keys()]
    if len(leader.correct) < 2:
        return peers
    scores = np.array([[trial.correct[seed] for seed in leader.correct] for trial in peers], np.float64)
    return [peers[place] for place in indistinguishable(scores)]


def contender(plan: Plan, trial: Best) -> Contender:
    """Return a trial as a contender."""
    record = trial.record
    runs = Runs(
        run_seeds=tuple(run.run_seed for run in record.runs),
        correct=tuple(run.correct for run in record.runs),
        log_losses=tuple(run.log_loss for run in record.runs),
        diverged=record.diverged or 0,
        class_correct=record.class_correct,
    )
    candidate = read_candidate(plan, trial)
    return Contender.of(candidate, study=plan.name, trial=trial.trial, params=trial.params, search=runs)


def _can_race(trial: Best) -> bool:
    """Say whether a trial has a schedule to train again, and tells what each of its runs got right."""
    return bool(trial.schedule and trial.correct)
