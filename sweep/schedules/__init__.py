"""Learning-rate schedules: open-loop formulas, closed-loop rules, and the catalogue that lists them by name."""

import sweep.schedules.open_loop  # noqa: F401 - its formulas come first in the catalogue, which each schedule enters
from sweep.schedules.base import (
    CATALOGUE,
    MODIFIERS,
    OpenLoop,
    Schedule,
    build,
    read_schedule,
    schedule,
    schedule_class,
)
from sweep.schedules.rules import ClosedLoop, closed_loop_class
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
