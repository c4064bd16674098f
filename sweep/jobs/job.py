"""One order: a study that somebody asked for, and how far the service is with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sweep.config.study_file import Plan


class JobState(StrEnum):
    """Where an order is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"


class RequestedAction(StrEnum):
    """What is to become of a running order: it is told to its process, and kept until that has ended."""

    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True)
class Job:
    """What the order book keeps of one study.

    Attributes:
        name: the study's name.
        plan: its study file, with the newest budget.
        state: where it is.
        wish: what is to become of it, if it is running.
        place: in the queue, lowest first.
        crashes: of its process since it was ordered or resumed.
        reason: why it failed, or what its last crash was.
        created: when it was ordered.
    """

    name: str
    plan: Plan
    state: JobState
    wish: RequestedAction | None
    place: int
    crashes: int
    reason: str | None
    created: datetime


@dataclass(frozen=True)
class ExitStatus:
    """How a process ended.

    Attributes:
        code: its exit code, negative for the signal that killed it.
        told: its last line on standard error, which is the reason if it ended by an error.
        called_off: whether the service itself ended it, to end as well.
    """

    code: int
    told: str = ""
    called_off: bool = False
