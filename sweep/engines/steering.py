"""What steers the members of a job, as arrays for compiled programs: rates, momenta, and who follows what."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias, get_args

import numpy as np

from sweep.engines.spec import Job
from sweep.schedules import ClosedLoop, closed_loop_class
from sweep.schedules.rules import Monitor

# What a closed-loop schedule may watch, in the order in which a program computes it.
MONITORS: tuple[str, ...] = get_args(Monitor)
State: TypeAlias = dict[str, Any]  # what each member remembers between epochs, `[seeds, candidates]` by name


class Table(NamedTuple):
    """Rates without gain and momenta, `[epochs, steps, candidates]`, and who uses Nesterov's, `[candidates]`."""

    rates: Any
    momenta: Any
    nesterov: Any

    @classmethod
    def of(cls, job: Job) -> Table:
        """Build the table of a job, filled up to its shape with rates of 0."""
        timeline, candidates = job.spec.timeline, job.shape.candidates
        rates, momenta = np.zeros((2, timeline.epochs, timeline.steps_per_epoch, candidates), np.float32)
        nesterov = np.zeros(candidates, np.bool_)
        for place, candidate in enumerate(job.candidates):
            rates[:, :, place] = candidate.schedule.base_rates(timeline)
            momenta[:, :, place] = candidate.schedule.momenta(timeline, candidate.momentum)
            nesterov[place] = candidate.nesterov
        return cls(rates, momenta, nesterov)


class Watching(NamedTuple):
    """Which candidates of a job follow one closed-loop schedule, and with which settings; all `[candidates]`.

    `monitor` is what one watches, as a place in `MONITORS`; `sign` is 1 if that is better the lower it is, and -1
    otherwise; `first_epoch`, counted from 0, is the first after which one decides; `settings` are the schedule's own
    numbers by name.
    """

    chosen: Any
    monitor: Any
    sign: Any
    first_epoch: Any
    settings: dict[str, Any]

    @classmethod
    def of(cls, job: Job, name: str) -> Watching:
        """Build it for the schedule `name`."""
        kind, candidates = closed_loop_class(name), job.shape.candidates
        chosen, (monitor, first_epoch) = np.zeros(candidates, np.bool_), np.zeros((2, candidates), np.int32)
        sign = np.zeros(candidates, np.float32)
        settings = {setting: np.zeros(candidates, np.float32) for setting in kind.numbers()}
        for place, candidate in enumerate(job.candidates):
            schedule = candidate.schedule
            if isinstance(schedule, ClosedLoop) and schedule.name == name:
                chosen[place], sign[place] = True, schedule.sign
                monitor[place] = MONITORS.index(schedule.monitor)
                first_epoch[place] = schedule.first_watched(job.spec.timeline)
                for setting, values in settings.items():
                    values[place] = getattr(schedule, setting)
        return cls(chosen, monitor, sign, first_epoch, settings)

    def advance(self, xp: Any, kind: type[ClosedLoop], state: State, shown: Mapping[str, Any], epoch: Any) -> State:
        """Let the schedule decide for all members, to no effect for those that do not follow it.

        Args:
            xp: TensorFlow or JAX's NumPy.
            kind: the schedule.
            state: what it remembers.
            shown: what the epoch showed, `[seeds, candidates]` by monitor.
            epoch: counted from 0.
        """
        watched = shown[MONITORS[0]]
        for place, monitor in enumerate(MONITORS):
            watched = xp.where(self.monitor == place, shown[monitor], watched)
        after = kind.advance(xp, state, self.sign * watched, SimpleNamespace(**self.settings))
        return {name: xp.where(epoch >= self.first_epoch, after[name], before) for name, before in state.items()}
