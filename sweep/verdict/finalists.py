"""Who races for a search, and in which order: of all candidates the best, and who cannot be told from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweep.config.plan import Plan
from sweep.errors import StorageFailed
from sweep.search.space import SearchSpace
from sweep.stats.comparison import indistinguishable
from sweep.store.database import Database
from sweep.store.queries import Best, StoredStudy, StudyReader
from sweep.task import METRICS, MetricName
from sweep.verdict.record import Contender, Runs, scores


def finalists(database: Database, plan: Plan) -> list[Contender]:
    """Return who races for the plan's study, best first by the search's ranking.

    They are the `verdict.finalists` best candidates, each once, and of the schedules whose best trial is within noise
    of the very best one, as many more at most; the simplest of them races in any case, and so does the best trial that
    is no constant rate. A search that others filled may
    hold trials without a schedule to train again, or without the score of each run: these take no part.

    Raises:
        StorageFailed: if no trial has runs that could be compared.
    """
    with StoredStudy(database, plan.name).reading() as study:
        found = best_candidates(study, plan.verdict.finalists), [each.best for each in study.best_of_each_schedule()]
    metric = plan.metric
    best, families = ([trial for trial in group if trial.schedule and trial.record.by_seed(metric)] for group in found)
    if not best:
        raise StorageFailed(f"the study `{plan.name}` has no trial whose runs can be compared.")
    racing = [contender_of(plan, trial) for trial in best]
    seen = [trial.params for trial in best]
    others = [contender_of(plan, trial) for trial in within_noise(families, metric) if trial.params not in seen]
    few, rest = others[: plan.verdict.finalists], others[plan.verdict.finalists :]
    simplest = min(others, key=lambda each: each.complexity, default=None)
    racing += few + [each for each in rest if each is simplest]
    if all(contender.name == "constant" for contender in racing):
        racing += [contender_of(plan, trial) for trial in families if trial.schedule != "constant"][:1]
    return racing


def best_schedule(raced: Sequence[Contender]) -> Contender:
    """Return the first that is no constant rate, since that is what is asked; the first of all if there is none."""
    return next((contender for contender in raced if contender.name != "constant"), raced[0])


def best_candidates(study: StudyReader, number: int) -> list[Best]:
    """Return the best trials of `number` different candidates, best first; of equal ones the one with the most runs."""
    top = number
    while True:
        found, groups = study.best_trials(top), list[list[Best]]()
        for trial in found:
            same = next((group for group in groups if group[0].params == trial.params), None)
            if same is None:
                groups.append([trial])
            else:
                same.append(trial)
        if len(groups) >= number or len(found) < top:
            return [max(group, key=lambda trial: len(trial.record.runs)) for group in groups[:number]]
        top *= 2


def within_noise(ranked: list[Best], metric: MetricName) -> list[Best]:
    """Return the trials that cannot be told from the first by the run seeds that all of them share.

    Trials of a study that has grown may have different numbers of runs; one that shares fewer than two seeds with the
    first cannot be compared, unless both have one run.
    """
    by_trial = [(trial, trial.record.by_seed(metric)) for trial in ranked]
    first = by_trial[0][1].keys() if by_trial else set[int]()
    peers = [each for each in by_trial if len(first & each[1].keys()) >= min(2, len(first))]
    shared = sorted(set(first).intersection(*(by_seed for _, by_seed in peers)))
    if len(shared) < 2:
        return [trial for trial, _ in (peers if len(first) < 2 else peers[:1])]
    table = np.array([[by_seed[seed] for seed in shared] for _, by_seed in peers], np.float64)
    return [peers[place][0] for place in indistinguishable(METRICS[metric].gains(table))]


def contender_of(plan: Plan, trial: Best) -> Contender:
    """Return a search's trial as a contender, with the runs that found it."""
    runs = Runs(
        run_seeds=tuple(run.run_seed for run in trial.record.runs),
        correct=trial.record.correct,
        log_losses=tuple(run.log_loss for run in trial.record.runs if trial.record.correct),
        diverged=trial.record.diverged or 0,
        class_correct=trial.record.class_correct,
        scores=trial.record.scores,
    )
    found = {"study": plan.name, "trial": trial.trial, "params": trial.params}
    return Contender.of(SearchSpace(plan.search).read_candidate(trial), **found, search=runs)


def placed(contenders: Sequence[Contender], metric: MetricName) -> list[Contender]:
    """Return who stayed in the race to its end, the winner first.

    Right rows saturate, and a setting that fails once in a hundred runs may not have failed yet. So those that cannot
    be told from the one with the most are placed by log-loss, which shows both.
    """
    level = set(indistinguishable(scores(contenders, metric))) if metric == "accuracy" else set()
    equals = [contender for place, contender in enumerate(contenders) if place in level]
    others = [contender for place, contender in enumerate(contenders) if place not in level]
    return ranked(equals, "log_loss") + ranked(others, metric)


def ranked(contenders: Sequence[Contender], metric: MetricName) -> list[Contender]:
    """Return contenders that raced, best first; of equal scores the one with the lower training loss at its end.

    One that ran longer comes before one that left earlier, and where there is no worst score, one without diverged runs
    before one with any.
    """
    known, tie_breaker = METRICS[metric], METRICS[METRICS[metric].tie_breaker]

    def standing(contender: Contender) -> tuple[float, ...]:
        runs = contender.selection
        assert runs is not None  # everybody was in the first look
        loss = tie_breaker.mean(runs.by_metric(tie_breaker.name, 1))
        if metric == "accuracy":
            return -len(runs.run_seeds), -runs.correct_mean, loss
        mean, behind = known.mean(runs.by_metric(metric, 1)), known.worst is None and runs.diverged > 0
        return -len(runs.run_seeds), behind, -mean if known.rises else mean, loss, -runs.correct_mean

    return sorted(contenders, key=standing)
