"""The members of a job as arrays: rates and momenta of every step, run seeds, and what closed-loop schedules watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sweep.engines.spec import Float32, Int32, Job
from sweep.schedules import ClosedLoop, closed_loop_class
from sweep.schedules.rules import Monitor

# What a closed-loop schedule may watch, in the order in which the compiled program computes it.
MONITORS: tuple[str, ...] = get_args(Monitor)


@dataclass(frozen=True)
class ClosedLoopSettings:
    """Which candidates of a batch follow one closed-loop schedule, and with which settings; all `[candidates]`.

    Attributes:
        chosen: whether a candidate follows it.
        monitor: what it watches, as a place in `MONITORS`.
        sign: 1 if that is better the lower it is, and -1 otherwise.
        first_epoch: the first epoch after which it decides, counted from 0.
        settings: the schedule's own numbers by name.
    """

    chosen: NDArray[np.bool_]
    monitor: Int32
    sign: Float32
    first_epoch: Int32
    settings: Mapping[str, Float32]


@dataclass(frozen=True)
class MemberBatch:
    """Members that one call of the compiled program trains: every candidate with every run seed.

    Attributes:
        rates: learning rates, `[candidates, epochs, steps_per_epoch]`, before the gain of a closed-loop schedule.
        momenta: same shape.
        nesterov: one for each candidate, `[candidates]`.
        run_seeds: they fix initial weights and batch order.
        watchers: by name, each closed-loop schedule that the spec has room for.
    """

    rates: Float32
    momenta: Float32
    nesterov: NDArray[np.bool_]
    run_seeds: tuple[int, ...]
    watchers: Mapping[str, ClosedLoopSettings]


def make_batch(job: Job) -> MemberBatch:
    """Build the tables of a job, filled up to its shape: candidates with rates of 0, seeds with the last one."""
    timeline, shape = job.spec.timeline, job.shape
    rates, momenta = np.zeros((2, shape.candidates, timeline.epochs, timeline.steps_per_epoch), np.float32)
    nesterov = np.zeros(shape.candidates, np.bool_)
    for place, candidate in enumerate(job.candidates):
        schedule = candidate.schedule
        rates[place] = schedule.base_rates(timeline)
        momenta[place] = schedule.momenta(timeline, candidate.momentum)
        nesterov[place] = candidate.nesterov
    run_seeds = job.run_seeds + job.run_seeds[-1:] * (shape.seeds - len(job.run_seeds))
    return MemberBatch(rates, momenta, nesterov, run_seeds, {name: _watch(name, job) for name in job.spec.closed_loop})


def _watch(name: str, job: Job) -> ClosedLoopSettings:
    kind, zeros = closed_loop_class(name), np.zeros(job.shape.candidates, np.float32)
    settings = {setting: zeros.copy() for setting in kind.numbers()}
    watchers = ClosedLoopSettings(zeros > 0, zeros.astype(np.int32), zeros.copy(), zeros.astype(np.int32), settings)
    for place, candidate in enumerate(job.candidates):
        schedule = candidate.schedule
        if isinstance(schedule, ClosedLoop) and schedule.name == name:
            watchers.chosen[place] = True
            watchers.monitor[place] = MONITORS.index(schedule.monitor)
            watchers.sign[place] = schedule.sign
            watchers.first_epoch[place] = schedule.first_watched(job.spec.timeline)
            for setting, values in settings.items():
                values[place] = getattr(schedule, setting)
    return watchers
