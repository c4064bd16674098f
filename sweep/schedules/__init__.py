"""The catalogue of learning-rate schedules: one class each, listed here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.errors import BadInput, nearest
from sweep.schedules.accuracy_drop import AccuracyDrop
from sweep.schedules.base import ClosedLoop, OpenLoop, Schedule, build
from sweep.schedules.closed_loop import Plateau, PlateauRebound
from sweep.schedules.composed import Join
from sweep.schedules.constant import Constant
from sweep.schedules.cost_driven import CostDriven
from sweep.schedules.exponential import Exponential, ExponentialByBatch, ExponentialStaircase
from sweep.schedules.function import Function
from sweep.schedules.inverse_sqrt import InverseSqrt
from sweep.schedules.milestones import Milestones
from sweep.schedules.one_cycle import OneCycle
from sweep.schedules.open_loop import Cosine, CosineRestarts
from sweep.schedules.piecewise_linear import PiecewiseLinear
from sweep.schedules.polynomial import Linear, Polynomial
from sweep.schedules.rex import Rex
from sweep.schedules.step import Step, StepFromZero
from sweep.schedules.time import Time, TimeByBatch, TimeCompounding
from sweep.schedules.timeline import Numbers, Timeline
from sweep.schedules.triangular import Triangular
from sweep.schedules.warmup_stable_decay import WarmupStableDecay

SCHEDULES: tuple[type[Schedule], ...] = (
    Constant,
    Time,
    TimeCompounding,
    TimeByBatch,
    Step,
    StepFromZero,
    Exponential,
    ExponentialByBatch,
    ExponentialStaircase,
    Milestones,
    PiecewiseLinear,
    Linear,
    Polynomial,
    Cosine,
    CosineRestarts,
    OneCycle,
    Triangular,
    InverseSqrt,
    Rex,
    WarmupStableDecay,
    Join,
    Function,
    Plateau,
    AccuracyDrop,
    PlateauRebound,
    CostDriven,
)
CATALOGUE: dict[str, type[Schedule]] = {schedule.name: schedule for schedule in SCHEDULES}


def schedule_class(name: str, field: str) -> type[Schedule]:
    """Return the schedule called `name`; `field` is what an error should blame."""
    if name not in CATALOGUE:
        known = nearest(name, CATALOGUE) or f"; there are {', '.join(CATALOGUE)}"
        raise BadInput(field, f"there is no schedule `{name}`{known}" if name else f"is missing{known}")
    return CATALOGUE[name]


def closed_loop_class(name: str) -> type[ClosedLoop]:
    """Return the closed-loop schedule called `name`, which there must be."""
    kind = CATALOGUE[name]
    assert issubclass(kind, ClosedLoop)
    return kind


def read_schedule(values: Mapping[str, Any]) -> Schedule:
    """Make the schedule that `values` describe: its `name`, `learning_rate` and own parameters.

    Raises:
        BadInput: for an unknown schedule, a missing or unknown parameter, or a value outside its range.

    >>> read_schedule({"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}).drop
    0.5
    """
    rest = dict(values)
    kind = schedule_class(str(rest.pop("name", "")), "name")
    unknown = next((key for key in rest if key not in kind.model_fields), None)
    if unknown is not None:
        raise BadInput(unknown, f"unknown key{nearest(unknown, kind.model_fields)}")
    return build(kind, rest)


__all__ = [
    "CATALOGUE",
    "ClosedLoop",
    "Numbers",
    "OpenLoop",
    "Schedule",
    "Timeline",
    "build",
    "closed_loop_class",
    "read_schedule",
    "schedule_class",
]
