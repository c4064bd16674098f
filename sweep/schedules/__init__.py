"""Learning-rate schedules: open-loop formulas, closed-loop rules, and the catalogue that lists them by name."""

from sweep.schedules.base import MODIFIERS, ClosedLoop, OpenLoop, Schedule, build, schedule
from sweep.schedules.catalogue import CATALOGUE, closed_loop_class, read_schedule, schedule_class
from sweep.schedules.timeline import Numbers, Timeline

__all__ = [
    "CATALOGUE",
    "MODIFIERS",
    "ClosedLoop",
    "Numbers",
    "OpenLoop",
    "Schedule",
    "Timeline",
    "build",
    "closed_loop_class",
    "read_schedule",
    "schedule",
    "schedule_class",
]
