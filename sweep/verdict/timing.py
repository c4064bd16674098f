"""How many trainings a run takes at most, part by part, and how long they take at the pace that a trainer measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.config.plan import Plan
from sweep.engines.spec import Choice
from sweep.schedules import Timeline
from sweep.verdict.baselines import reruns, searches


@dataclass(frozen=True)
class Part:
    """A part of a run: its name, its trainings, and the seconds that they take."""

    name: str
    trainings: int
    seconds: float


def time_plan(
    plan: Plan, trials: int, timeline: Timeline, choice: Choice, workers: int, *, search_only: bool
) -> list[Part]:
    """Return the parts of a run from nothing, in their order.

    The race is counted as if nobody left it early. A tile of the choice's shape takes its whole time, however few of
    its members are asked for, and is the least that a worker does.

    Args:
        plan: the study's plan.
        trials: candidates of the main search.
        timeline: of one training.
        choice: the engine, with its pace.
        workers: trainers.
        search_only: whether nothing follows the main search.
    """
    shape = choice.shape
    tile = choice.step_seconds * timeline.epochs * timeline.steps_per_epoch * shape.candidates * shape.seeds

    def part(name: str, candidates: int, seeds: int, splits: int = 1) -> Part:
        tiles = -(-candidates // shape.candidates) * -(-seeds // shape.seeds) * splits
        return Part(name, candidates * seeds * splits, -(-tiles // workers) * tile)

    every, verdict = searches(plan, search_only=search_only), plan.verdict
    budgets = {name: trials if place == 0 else each.search.trials for place, (name, each) in enumerate(every.items())}
    parts = [part(name, budgets[name], each.search.replicates) for name, each in every.items()]
    if search_only:
        return parts
    finalists, entries = verdict.finalists * len(every), len(every) + len(reruns(plan))
    return [
        *parts,
        part("race", finalists, verdict.selection_seeds),
        part("confirmation", entries, verdict.confirmation_seeds),
        part("new rows", entries, verdict.split_seeds, verdict.splits),
    ]


def told_engine(choice: Choice, parts: Sequence[Part], workers: int) -> str:
    """Return the engine, why, and the time of a whole run, in one line."""
    shape, took = choice.shape, told_seconds(sum(part.seconds for part in parts) + choice.start_seconds)
    on = f"about {took} on {workers} core{'s'[: workers != 1]}"
    if choice.engine == "fit":
        return f"fit ({choice.backend}), one training at a time, since {choice.reason}: {on}"
    return f"{choice.engine} ({choice.backend}), {shape.candidates} candidates x {shape.seeds} run seeds a tile: {on}"


def told_parts(parts: Sequence[Part]) -> str:
    """Return the parts with their trainings and times, in one line."""
    return ", ".join(f"{part.name} {part.trainings:,} in {told_seconds(part.seconds)}" for part in parts)


def told_seconds(seconds: float) -> str:
    """Return a duration to two digits.

    >>> [told_seconds(each) for each in (4.2, 95, 1000, 7800)]
    ['4 s', '95 s', '17 min', '2 h 10 min']
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{minutes // 60:,} h"
