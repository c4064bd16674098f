"""The catalogue of learning-rate schedules: one class each, listed here and nowhere else."""

from __future__ import annotations

from sweep.schedules.clock import Clock, Numbers
from sweep.schedules.constant import Constant
from sweep.schedules.schedule import Schedule
from sweep.schedules.step import Step, StepFromZero
from sweep.schedules.time import Time, TimeByBatch, TimeCompounding

CATALOGUE: dict[str, type[Schedule]] = {
    schedule.name: schedule for schedule in (Constant, Time, TimeCompounding, TimeByBatch, Step, StepFromZero)
}

__all__ = ["CATALOGUE", "Clock", "Numbers", "Schedule"]
