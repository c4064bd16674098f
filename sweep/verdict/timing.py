"""How many trainings a run takes at most, part by part, and how long they take at the pace that trainers measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.config.plan import Plan, SearchPlan
from sweep.config.verdict_plan import OUTER_SPLITS
from sweep.engines.spec import FEWEST_SEEDS, Choice, Shape
from sweep.schedules import Timeline
from sweep.search.finite import FiniteSpace
from sweep.seeds import SEEDS_A_TURN
from sweep.verdict.baselines import reruns, searches
from sweep.verdict.extent import told_seconds

RACE, CONFIRMATION, NEW_ROWS, NESTED = "race", "confirmation", "new rows", "nested searches"
FORGIVENESS = "forgiveness"
WORTH_TELLING = 3.0  # seconds that a run has taken before it can say how long it takes
SEARCH_SEEDS, JUDGED_SEEDS = 4, 4  # of a nested search's candidate at most, and of its winner
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)  # of a schedule's best rate, at which it is trained again
FORGIVENESS_SHARE = 0.12  # of a run's trainings, that those at other rates may take
RATE_SEEDS = 4  # on each re-split, at most
FEWEST_RATE_SPLITS, ENOUGH_RATE_SPLITS, MOST_RATE_SPLITS = 2, 6, 10
PROPOSED_SECONDS = 0.003  # what the sampler takes for a candidate, while trainers wait


@dataclass(frozen=True)
class Part:
    """A part of a run: its name, its trainings and the seconds that they take; and what later looks may add to both."""

    name: str
    trainings: int
    seconds: float
    more_trainings: int = 0
    more_seconds: float = 0.0


@dataclass(frozen=True)
class Pace:
    """What a study's trainings take, in jobs of a shape that are trained whole, however few members are asked for.

    Attributes:
        choice: the engine, with what all trainers together measured of it.
        timeline: of one training.
        workers: trainers.
        narrow: the shape of jobs after the search, and of a search's rounds that it holds.
        others: whether re-splits have other numbers of rows than the study's own split, and so another program.
        factor: what trainings took so far, over what they should have.
        turns: splits that the run seeds of a job take turns at, on the study's own rows.
    """

    choice: Choice
    timeline: Timeline
    workers: int
    narrow: Shape
    others: bool = False
    factor: float = 1.0
    turns: int = 1

    @property
    def compiling(self) -> float:
        """The seconds in which every trainer compiles one more program; Keras' own `fit` counts it in each training."""
        again = self.choice.start_seconds - (3 * self._job(self.choice.shape) if self._is_hidden_layer else 0.0)
        return 0.0 if self.choice.engine == "fit" else max(0.0, again)

    @property
    def _is_hidden_layer(self) -> bool:
        return self.choice.engine == "hidden layer"

    def _job(self, shape: Shape) -> float:
        return self.choice.job_takes(self.timeline, shape)

    def shape(self, candidates: int) -> Shape:
        """Return the shape of the jobs in which a search trains so many candidates."""
        return self.narrow if candidates <= self.narrow.candidates else self.choice.shape

    def seconds(self, shape: Shape, candidates: int, seeds: int, splits: int = 1) -> float:
        """Return what trainings take that may all go on side by side; `splits` counts others than the study's own."""
        turns = 1 if splits > 1 else max(1, min(self.turns, seeds // SEEDS_A_TURN))  # a job has one of them
        jobs = -(-candidates // shape.candidates) * -(-seeds // (turns * shape.seeds)) * turns * splits
        return -(-jobs // self.workers) * self._job(shape) * self.factor

    def search_seconds(self, search: SearchPlan, trials: int) -> float:
        """Return what a search takes, round after round."""
        rounds, last = divmod(trials, search.round_size)
        whole = self.seconds(self.shape(search.round_size), search.round_size, search.replicates)
        return rounds * whole + (self.seconds(self.shape(last), last, search.replicates) if last else 0.0)


def time_plan(plan: Plan, done: Mapping[str, int], pace: Pace, *, search_only: bool, nested: int = 0) -> list[Part]:
    """Return the parts of a run in their order, of its searches those that are left.

    The race is counted as if everybody was in it who may be, and nobody left it early. The re-splits are those of the
    first look; all that later looks may add is told beside them.

    Args:
        plan: the study's plan.
        done: candidates that each search has already, by its name.
        pace: of the trainings.
        search_only: whether nothing follows the main search.
        nested: the outer splits on which the search is repeated.
    """
    every, verdict, narrow = searches(plan, search_only=search_only), plan.verdict, pace.narrow
    parts, rates = [], rates_tried(plan)
    for name, each in every.items():
        size = FiniteSpace(each.search).size
        count = max(0, min(each.search.trials, size or each.search.trials) - done.get(name, 0))
        parts.append(Part(name, count * each.search.replicates, pace.search_seconds(each.search, count)))
    if search_only:
        return parts
    from sweep.stats.comparison import Race  # noqa: PLC0415 - it takes SciPy, which a run loads while trainers start

    racing, entries = contenders(plan), len(every) + len(reruns(plan))
    looks = [len(look) for look in Race().looks(range(verdict.selection_seeds))]
    later = 0 if plan.split.kind == "time" else verdict.looks[-1] - verdict.splits  # windows in time are all at once
    return [
        *parts,
        Part(
            RACE,
            racing * verdict.selection_seeds,
            sum(pace.seconds(narrow, racing, look) for look in looks),
        ),
        Part(
            CONFIRMATION,
            entries * verdict.confirmation_seeds,
            pace.seconds(narrow, entries, verdict.confirmation_seeds),
        ),
        Part(
            NEW_ROWS,
            entries * verdict.split_seeds * verdict.splits,
            pace.seconds(narrow, entries, verdict.split_seeds, verdict.splits)
            + (pace.compiling if pace.others else 0.0),
            entries * verdict.split_seeds * later,
            pace.seconds(narrow, entries, verdict.split_seeds, later),
        ),
        Part(FORGIVENESS, rates.trainings, rates.seconds(pace)),
        *([Part(NESTED, nested_trainings(plan, nested), nested_seconds(plan, pace, nested))] if nested else []),
    ]


@dataclass(frozen=True)
class RatesTried:
    """How much is trained at other rates: so many schedules, at each of `FACTORS`, on re-splits and run seeds."""

    families: int
    splits: int
    seeds: int

    @property
    def trainings(self) -> int:
        """All of them."""
        return self.families * len(FACTORS) * self.splits * self.seeds

    def seconds(self, pace: Pace) -> float:
        """Return what they take."""
        return pace.seconds(pace.narrow, self.families * len(FACTORS), self.seeds, self.splits)

    def within(self, available: float, pace: Pace) -> RatesTried:
        """Return as many of the re-splits as take no longer than that."""
        able = (count for count in range(self.splits, 0, -1) if replace(self, splits=count).seconds(pace) <= available)
        return replace(self, splits=next(able, 0))


def rates_tried(plan: Plan) -> RatesTried:
    """Return how much is trained at other rates: a share of a run's trainings, on enough re-splits of each schedule.

    Where these are too few for all schedules, the best ones have them, and two in any case, unless `verdict.families`
    states how many.
    """
    verdict, every = plan.verdict, searches(plan, search_only=False).values()
    seeds = min(RATE_SEEDS, verdict.split_seeds)
    run = sum(each.search.trials * each.search.replicates for each in every)
    run += contenders(plan) * verdict.selection_seeds
    run += (len(every) + len(reruns(plan))) * (verdict.confirmation_seeds + verdict.splits * verdict.split_seeds)
    on_splits = int(FORGIVENESS_SHARE * run) // (len(FACTORS) * seeds)  # of one schedule
    tried = len({"constant", *plan.search.schedules})
    if verdict.families is not None:
        return RatesTried(min(tried, verdict.families), min(verdict.splits, ENOUGH_RATE_SPLITS), seeds)
    families = min(tried, max(2, on_splits // ENOUGH_RATE_SPLITS))
    splits = min(verdict.splits, MOST_RATE_SPLITS, max(FEWEST_RATE_SPLITS, on_splits // families))
    return RatesTried(families, splits, seeds)


def nested_trials(plan: Plan) -> int:
    """Return the candidates of each nested search: those of the study in whole rounds, but for less than a round."""
    trials, size = plan.search.trials, plan.search.round_size
    return max(trials // size * size, min(trials, size))


def nested_seeds(plan: Plan) -> int:
    """Return the run seeds of each candidate of a nested search."""
    return min(SEARCH_SEEDS, plan.search.replicates)


def nested_shape(plan: Plan, shape: Shape) -> Shape:
    """Return the shape of the jobs of nested searches, where those of the study's have another."""
    return Shape(shape.candidates, min(shape.seeds, max(FEWEST_SEEDS, nested_seeds(plan))))


def nested_trainings(plan: Plan, splits: int) -> int:
    """Return the trainings of nested searches on so many outer splits."""
    return 2 * splits * (nested_trials(plan) * nested_seeds(plan) + JUDGED_SEEDS)


def side_by_side(plan: Plan, shape: Shape, workers: int) -> int:
    """Return how many outer splits are searched on at the same time, so that a round has a job for each trainer."""
    jobs = -(-2 * min(plan.search.round_size, plan.search.trials) // shape.candidates)
    return max(1, math.ceil(workers / (jobs * -(-nested_seeds(plan) // shape.seeds))))


def nested_seconds(plan: Plan, pace: Pace, splits: int) -> float:
    """Return what nested searches on so many outer splits take, with one more program to be compiled."""
    size, trials = min(plan.search.round_size, plan.search.trials), nested_trials(plan)
    shape, seeds = nested_shape(plan, pace.choice.shape), nested_seeds(plan)
    steps = math.ceil(pace.timeline.steps_per_epoch * (1 - plan.split.fraction))  # of the inner training rows
    inner = replace(pace, timeline=Timeline(epochs=pace.timeline.epochs, steps_per_epoch=max(1, steps)))
    at_once = min(splits, side_by_side(plan, shape, pace.workers))
    rounds = -(-splits // at_once) * -(-trials // size)
    searching = rounds * inner.seconds(shape, 2 * size, seeds, at_once) + 2 * trials * splits * PROPOSED_SECONDS
    return searching + inner.compiling + pace.seconds(pace.narrow, 2, JUDGED_SEEDS, splits)


def outer_splits(plan: Plan, pace: Pace) -> int:
    """Return on how many outer splits the search is repeated: as the plan says, or where that costs less than it.

    A pace that was not measured tells the cost by the steps.
    """
    if plan.verdict.nested is not None:
        return plan.verdict.nested
    if not pace.choice.is_timed:
        pace = replace(pace, choice=replace(pace.choice, step_seconds=1.0))
    own = [pace.search_seconds(each.search, each.search.trials) for each in searches(plan, search_only=False).values()]
    pays = not set(plan.search.schedules) <= {"constant"} and nested_seconds(plan, pace, OUTER_SPLITS) < sum(own)
    return OUTER_SPLITS if pays else 0


def contenders(plan: Plan) -> int:
    """Return how many candidates may race: each search's finalists, schedules within noise, and settings run again."""
    more = min(plan.verdict.finalists, len(plan.search.schedules) - 1)
    return plan.verdict.finalists * len(searches(plan, search_only=False)) + more + len(reruns(plan))


def total(parts: Sequence[Part]) -> float:
    """Return the seconds of all parts."""
    return math.fsum(part.seconds for part in parts)


def told_engine(choice: Choice, parts: Sequence[Part], workers: int, begun_seconds: float = 0.0) -> str:
    """Return the engine, why, and the time of a whole run, `begun_seconds` of which are over, in one line."""
    shape, took = choice.shape, told_seconds(total(parts) + begun_seconds)
    if more := math.fsum(part.more_seconds for part in parts):
        took = f"{took} to {told_seconds(total(parts) + more + begun_seconds)}"
    on = f"about {took} on {workers} {'GPU' if choice.device == 'gpu' else 'core'}{'s'[: workers != 1]}"
    on += f", {told_seconds(begun_seconds)} of them over" if begun_seconds >= WORTH_TELLING else ""
    if choice.engine == "fit":
        return f"fit ({choice.backend}), one training at a time, since {choice.reason}: {on}"
    return f"{choice.engine} ({choice.backend}), {shape.candidates} candidates x {shape.seeds} run seeds a tile: {on}"


def told_parts(parts: Sequence[Part]) -> str:
    """Return the parts with their trainings and times, in one line, and how many there are with every later look."""
    told = []
    for part in parts:
        most = f"{part.trainings + part.more_trainings:,} in {told_seconds(part.seconds + part.more_seconds)}"
        later = f" (up to {most} where fewer do not tell)" if part.more_trainings else ""
        told.append(f"{part.name} {part.trainings:,} in {told_seconds(part.seconds)}{later}")
    return ", ".join(told)
