"""Search spaces that hold finitely many candidates: how many, which of them were trained, and which are left.

A schedule has finitely many candidates if each of its parameters is fixed, one of some choices, or a whole number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TypeAlias, get_args

from sweep.config.plan import Plan, SearchPlan
from sweep.schedules import CATALOGUE, Schedule
from sweep.space import Range, Space, Value
from sweep.store.queries import StoredStudy, StudyReader

Axis: TypeAlias = Sequence[Value]
Point: TypeAlias = tuple[Value, ...]  # the value of each param of a trial, the schedule's name first


def is_whole(kind: type[Schedule], parameter: str) -> bool:
    """Say whether a schedule's parameter takes whole numbers only."""
    annotation = kind.model_fields[parameter].annotation
    return annotation is int or int in get_args(annotation)


def axis(space: Space, *, whole: bool = False) -> Axis | None:
    """Return the values that a search may draw from a space, in order; None if there is no end of them.

    >>> axis(Range(low=1, high=3), whole=True), axis((0.1, 0.01, 0.1)), axis(Range(low=0.0, high=1.0))
    (range(1, 4), (0.1, 0.01), None)
    """
    if isinstance(space, Range):
        return range(int(space.low), int(space.high) + 1) if whole else None
    return tuple(dict.fromkeys(space)) if isinstance(space, tuple) else (space,)


@dataclass(frozen=True)
class FiniteSpace:
    """The part of a search space that holds finitely many candidates."""

    search: SearchPlan

    @cached_property
    def axes(self) -> dict[str, dict[str, Axis]]:
        """By schedule, for those with finitely many candidates: the values of each param, the schedule's name first."""
        varied = ["nesterov"] if isinstance(self.search.nesterov, tuple) else []
        shared = {name: axis(getattr(self.search, name)) for name in ("learning_rate", "momentum", *varied)}
        found = {}
        for name, spaces in self.search.schedules.items():
            own = {f"{name}.{key}": axis(each, whole=is_whole(CATALOGUE[name], key)) for key, each in spaces.items()}
            every = {"schedule": (name,), **shared, **own}
            finite = {key: values for key, values in every.items() if values is not None}
            if len(finite) == len(every):
                found[name] = finite
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """The number of candidates of each schedule with finitely many."""
        return {name: math.prod(map(len, axes.values())) for name, axes in self.axes.items()}

    @property
    def size(self) -> int | None:
        """The number of candidates of the whole search space; None if there is no end of them."""
        return sum(self.sizes.values()) if len(self.axes) == len(self.search.schedules) else None

    def point(self, params: Mapping[str, Value]) -> Point | None:
        """Return where a trial's params lie in this space; None if they do not."""
        axes = self.axes.get(str(params.get("schedule", "")), {})
        inside = all(key in params and params[key] in values for key, values in axes.items())
        return tuple(params[key] for key in axes) if axes and inside else None

    def points(self, trials: Iterable[Mapping[str, Value]]) -> set[Point]:
        """Return where trials lie that lie in this space."""
        return {point for point in map(self.point, trials) if point is not None}

    def read_tried(self, study: StudyReader) -> dict[int, Point]:
        """Return by its id where each trial that ranks lies in this space; none if it is empty."""
        names = {key for axes in self.axes.values() for key in axes}
        if not names:
            return {}
        ranked, found = study.standings()["trial_id"].tolist(), study.finished_params(names)
        points = {trial_id: self.point(found.get(trial_id, {})) for trial_id in ranked}
        return {trial_id: point for trial_id, point in points.items() if point is not None}


@dataclass
class Untried:
    """What is left of a search space while candidates are taken from it; what has no end is always left."""

    space: FiniteSpace
    taken: set[Point] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Count what is left of each schedule with finitely many candidates."""
        before = Counter(str(point[0]) for point in self.taken)
        self._left = {name: size - before[name] for name, size in self.space.sizes.items()}

    @property
    def schedules(self) -> list[str]:
        """The schedules that have a candidate left."""
        return [name for name in self.space.search.schedules if self._left.get(name, 1) > 0]

    @property
    def number(self) -> float:
        """How many candidates are left; infinity if there is no end of them."""
        return math.inf if self.space.size is None else sum(self._left.values())

    def take(self, point: Point | None) -> bool:
        """Take a candidate, and say whether it was there; None is one of those without end."""
        if point in self.taken:
            return False
        if point is not None:
            self.taken.add(point)
            self._left[str(point[0])] -= 1
        return True

    def give_back(self, point: Point) -> None:
        """Undo the taking of a candidate."""
        self.taken.remove(point)
        self._left[str(point[0])] += 1

    def first(self, schedule: str) -> dict[str, Value]:
        """Return the params of the first candidate left of a schedule with finitely many, in the order of its values.

        `StopIteration` says that there is none.
        """
        axes = self.space.axes[schedule]
        return dict(zip(axes, next(each for each in product(*axes.values()) if each not in self.taken), strict=True))


def count_wanted(stored: StoredStudy, plan: Plan) -> int:
    """Return how many trials a study is to have: its budget, or fewer if its space holds no more candidates."""
    space, budget = FiniteSpace(plan.search), plan.search.trials
    if space.size is None or space.size >= budget:
        return budget
    finished = stored.count_finished()
    if not finished:
        return space.size
    with stored.reading() as study:
        untried = Untried(space, set(space.read_tried(study).values()))
    return min(budget, finished + int(untried.number))
