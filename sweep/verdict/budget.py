"""A time budget: how much of a study fits into it, by one rule, and how a run keeps to it.

The rule. Every part of a run, each search, the race, the confirmation and the re-splits, gets the same share of the
trainings that the study file asks of it: the largest share that fits into the time that is left. So the parts stay in
proportion. Where a part is one number times another, trials by run seeds, finalists by race seeds, re-splits by run
seeds, both shrink alike, to the square root of the share; and where one has come to the least below which a verdict
means nothing (`LEAST`), the other shrinks in its place. A number that the study file itself states lower stays. A job
is trained whole, so that run seeds and candidates fill the jobs that they are paid for. Of re-splits, those of the
first look count; where all of them fit, more looks have what time is left.

During the run, a search ends at its share of the time. What it took, over what it should have taken, corrects the pace,
and the parts that are left are fitted anew to the time that is left; the numbers of a part are fixed once it begins.
No job begins after the budget, so that a run is over by a job at most. Where not even the least fits, nothing is begun.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sweep.config.plan import Plan, SearchPlan
from sweep.errors import BadInput
from sweep.verdict.baselines import SEARCH
from sweep.verdict.extent import Decision, Extent, told_exactly, told_seconds
from sweep.verdict.timing import CONFIRMATION, FORGIVENESS, NEW_ROWS, RACE, Pace, Part, time_plan, total

# Six runs are the fewest that a test at 5 % can tell anything by, 2 the fewest that have a spread.
LEAST = Extent(
    trials=8,
    replicates=2,
    finalists=2,
    selection_seeds=6,
    confirmation_seeds=6,
    splits=6,
    split_seeds=2,
    most_splits=6,
)
PAIRS = (("trials", "replicates"), ("finalists", "selection_seeds"), ("splits", "split_seeds"))
SEARCHES = "searches"
NUMBERS = {  # that are fixed once a part begins; the searches are one
    SEARCHES: ("trials", "replicates"),
    RACE: ("finalists", "selection_seeds"),
    CONFIRMATION: ("confirmation_seeds",),
    NEW_ROWS: ("splits", "split_seeds", "most_splits"),
}
KEPT_BACK = 0.05  # of the time that is left, since no pace is known exactly
END_SECONDS = 2.0  # for the command's start, and for storing and showing the verdict
FACTORS = (0.2, 10.0)  # by which a pace may be wrong


def share_of(whole: Extent, share: float, pace: Pace, round_size: int) -> Extent:
    """Return the extent in which each part has a share of its trainings, between 0 and 1, by the rule."""
    numbers, least = dict[str, float](), least_of(whole, pace)
    for first, second in PAIRS:
        most, fewest = ({name: float(getattr(each, name)) for name in (first, second)} for each in (whole, least))
        wanted = share * most[first] * most[second]
        one = _between(fewest[second], most[second] * math.sqrt(share), most[second])
        other = _between(fewest[first], wanted / one, most[first])
        numbers |= {first: other, second: _between(fewest[second], wanted / other, most[second])}
    wanted = share * whole.confirmation_seeds
    numbers["confirmation_seeds"] = _between(least.confirmation_seeds, wanted, whole.confirmation_seeds)
    jobs = {"replicates": pace.choice.shape.seeds, "selection_seeds": 1, "finalists": 1, "splits": 1}
    jobs |= {"confirmation_seeds": pace.narrow.seeds, "split_seeds": 1}
    found = {name: min(getattr(whole, name), _filled(numbers[name], size)) for name, size in jobs.items()}
    full, last = divmod(math.floor(numbers["trials"] + 1e-9), round_size)
    filled = min(round_size, _filled(last, pace.shape(last).candidates)) if last else 0
    whole_look = all(found[name] == getattr(whole, name) for name in ("splits", "split_seeds"))
    found["most_splits"] = whole.most_splits if whole_look else found["splits"]
    return Extent(**found, trials=min(whole.trials, full * round_size + filled))


def least_of(whole: Extent, pace: Pace) -> Extent:
    """Return the least extent that means anything; fewer run seeds than a job has would save nothing."""
    seeds = {"replicates": _filled(LEAST.replicates, pace.choice.shape.seeds)}
    least = LEAST.model_dump() | seeds
    return Extent(**{name: min(least[name], getattr(whole, name)) for name in least})


def _between(low: float, number: float, high: float) -> float:
    return max(low, min(number, high))


def _filled(number: float, size: int) -> int:
    """Return a number rounded down, and up to whole jobs."""
    return -(-max(1, math.floor(number + 1e-9)) // size) * size


def largest_share(share_takes: Callable[[float], float], available: float) -> float | None:
    """Return the largest share whose seconds are available; None if that of 0 takes longer. More takes never less."""
    if share_takes(1.0) <= available:
        return 1.0
    if share_takes(0.0) > available:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if share_takes(middle) <= available else (low, middle)
    return low


@dataclass
class Gate:
    """Says whether a job may begin: before a moment of `time.monotonic`, or while some are free, until a later one."""

    closes: float = math.inf
    ends: float = math.inf
    free: int = 0

    def has_time(self) -> bool:
        """Say whether a job may begin now."""
        now = time.monotonic()
        return now < self.closes or (self.free > 0 and now < self.ends)

    def is_open(self) -> bool:
        """Say whether a job may begin now, and count it if so."""
        found = self.has_time()
        self.free -= found
        return found


@dataclass
class TimeBudget:
    """Fits a study's parts to a time, and lets them keep to it while they go on.

    Attributes:
        plan: the whole study, with its budget.
        pace: of the trainings; it is corrected by what they take.
        ends: when the budget is over, by `time.monotonic`.
        done: candidates that each search has, by its name.
        decision: what was decided last.
        search_only: whether nothing follows the main search.
        replicates: the run seeds that the study's candidates have had so far, if it has any; they stay.
        gate: closes when no job of the present part may begin.
    """

    plan: Plan
    pace: Pace
    ends: float
    done: dict[str, int]
    decision: Decision
    search_only: bool = False
    replicates: int | None = None
    gate: Gate = field(default_factory=Gate)
    _began: float = field(default=0.0, init=False)
    _before: int = field(default=0, init=False)
    _took: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)  # and should have, by search

    @classmethod
    def fitted(
        cls,
        plan: Plan,
        pace: Pace,
        began: float,
        done: Mapping[str, int],
        *,
        kept: Decision | None = None,
        search_only: bool = False,
        replicates: int | None = None,
    ) -> TimeBudget:
        """Return a budget with what is decided at a run's start; what an earlier run `kept` within it stands.

        Raises:
            BadInput: if not even the least of the study fits.
        """
        whole, seconds = Extent.of(plan), float(plan.search.budget or 0)
        decision = kept or Decision(seconds=seconds, whole_seconds=0, extent=whole, whole=whole)
        budget = cls(plan, pace, began + seconds, dict(done), decision, search_only, replicates)
        if kept is not None:
            return budget
        spent = time.monotonic() - began
        decision = decision.model_copy(update={"whole_seconds": spent + budget.takes(whole)})
        if (found := budget.fit()) is None:
            least = budget.share(0.0)
            needed = spent + END_SECONDS + budget.takes(least) / (1 - KEPT_BACK)
            smallest = decision.model_copy(update={"extent": least}).parts
            rule = f"must be at least about {told_seconds(1.1 * needed)}, got {told_exactly(seconds)}"
            raise BadInput("search.budget", f"{rule}; the least that means anything is {smallest}.")
        budget.decision = decision.model_copy(update={"extent": found})
        return budget

    @property
    def left(self) -> float:
        """The seconds that may be planned for."""
        return (self.ends - END_SECONDS - time.monotonic()) * (1 - KEPT_BACK)

    @property
    def effective(self) -> Plan:
        """The plan with the numbers that were decided."""
        return self.decision.extent.applied(self.plan)

    def parts(self, extent: Extent) -> list[Part]:
        """Return the parts that are left of an extent, with their times."""
        done = self.done | dict.fromkeys(self.decision.searched, self.plan.search.trials)
        every = time_plan(extent.applied(self.plan), done, self.pace, search_only=self.search_only)
        return [part for part in every if part.name not in self.decision.begun]

    def takes(self, extent: Extent) -> float:
        """Return the seconds of what is left of an extent."""
        return total(self.parts(extent))

    def fit(self) -> Extent | None:
        """Return the largest extent by the rule that the time that is left holds; None if not even the least does."""
        share = largest_share(lambda share: self.takes(self.share(share)), self.left)
        return None if share is None else self.share(share)

    def share(self, share: float) -> Extent:
        """Return the extent of a share; what has begun stays as it is."""
        now, whole = self.decision.extent, self.decision.whole
        found = share_of(whole, share, self.pace, self.plan.search.round_size)
        trials = max(found.trials, min(whole.trials, self.done.get(SEARCH, 0)))
        kept: dict[str, int] = {"trials": trials}
        if self.replicates is not None and share < 1:
            kept["replicates"] = self.replicates
        kept |= {name: getattr(now, name) for part in self.decision.begun for name in NUMBERS[part]}
        return found.model_copy(update=kept)

    def begin_search(self, name: str) -> None:
        """Begin a search, which ends at its share of the time that is left, but not without a candidate."""
        self._decide(SEARCHES)
        parts, now = self.parts(self.decision.extent), time.monotonic()
        own, every = sum(part.seconds for part in parts if part.name == name), total(parts)
        self._began, self._before = now, self.done.get(name, 0)
        self.gate.closes, self.gate.ends = now + (self.left * own / every if every else 0.0), self.ends - END_SECONDS
        self.gate.free = 0 if self._before else -(-self.decision.extent.replicates // self.pace.choice.shape.seeds)

    def searched(self, name: str, search: SearchPlan, finished: int) -> None:
        """Note how many candidates a search has after a round: correct the pace, and keep the time for the verdict."""
        if (count := finished - self._before) > 0:
            should = replace(self.pace, factor=1.0).search_seconds(search, count)
            self._took[name] = time.monotonic() - self._began, should  # all searches count, as a small one tells little
            took, every = (sum(each) for each in zip(*self._took.values(), strict=True))
            factor = took / every
            self.pace = replace(self.pace, factor=_between(FACTORS[0], factor, FACTORS[1]))
        least = total([part for part in self.parts(self.share(0.0)) if part.name in (RACE, CONFIRMATION, NEW_ROWS)])
        if (latest := self.ends - END_SECONDS - least) > time.monotonic():  # or there is no time to be kept
            self.gate.closes = min(self.gate.closes, latest)

    def end_search(self, name: str, finished: int, wanted: int) -> None:
        """End a search; one that its time has cut short stays so, and the searches after it are as large as it is."""
        self.done[name], extent = finished, self.decision.extent
        if finished < wanted:
            over = self.decision.searched | {name: finished}
            trials = max(1, min(extent.trials, finished)) if name == SEARCH else extent.trials
            extent = extent.model_copy(update={"trials": trials})
            self.decision = self.decision.model_copy(update={"searched": over, "extent": extent})

    def begin_part(self, name: str) -> None:
        """Begin a part after the searches: fit what is left anew to the time that is left, and fix the part's numbers.

        Re-splits, also those at other rates, end with the last one that the time holds; of another part, the last job
        may begin just in time.
        """
        if name not in self.decision.begun:
            found = self.fit() or self.share(0.0)
            self.decision = self.decision.model_copy(update={"extent": found})
            self._decide(name)
        job = self._job if name in (NEW_ROWS, FORGIVENESS) else 0.0
        self.gate.closes, self.gate.free = self.ends - END_SECONDS - job, 0

    def spares(self, seconds: float) -> bool:
        """Let no job begin that would take from the last so many seconds, and say whether one may begin now."""
        self.gate.closes = self.ends - END_SECONDS - self._job - seconds / (1 - KEPT_BACK)
        return self.gate.has_time()

    @property
    def _job(self) -> float:
        return self.pace.seconds(self.pace.narrow, 1, 1)

    def end_re_splits(self, number: int) -> None:
        """Note how many re-splits there are, in all looks that the time has held."""
        now = self.decision.extent
        extent = now.model_copy(update={"splits": min(now.splits, number), "most_splits": number})
        self.decision = self.decision.model_copy(update={"extent": extent})

    def _decide(self, part: str) -> None:
        begun = tuple(dict.fromkeys((*self.decision.begun, part)))
        self.decision = self.decision.model_copy(update={"begun": begun})
