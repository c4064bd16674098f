"""What becomes of an order when its process has ended: the one rule for every way in which that can happen."""

from __future__ import annotations

import signal
from typing import Any

from sweep.errors import without_paths
from sweep.jobs.job import ExitStatus, Job, JobState, RequestedAction

MOST_CRASHES = 1  # that are tried again
BAD_INPUT = 2
TAKEN = "error: another `sweep run` is writing"  # somebody was quicker, by hand
MEMORY = "as the system does when memory runs out"


def next_state(order: Job, ending: ExitStatus) -> dict[str, Any]:
    """Return what changes in the book.

    A process that ended because it was told to gives its order back; one that ended by itself in any other way than
    well has crashed, and is tried once more, but for bad input, which stays bad.
    """
    rests = {"wish": None}
    if ending.code == 0 and order.wish is not RequestedAction.RESTART:
        return rests | {"state": JobState.DONE, "reason": None}
    if order.wish is RequestedAction.STOP:
        return rests | {"state": JobState.STOPPED}
    if ending.called_off or order.wish is RequestedAction.RESTART or ending.told.startswith(TAKEN):
        return rests | {"state": JobState.QUEUED}
    crashes = order.crashes + 1
    again = crashes <= MOST_CRASHES and ending.code != BAD_INPUT
    state = JobState.QUEUED if again else JobState.FAILED
    return rests | {"state": state, "crashes": crashes, "reason": reason(ending)}


def reason(ending: ExitStatus) -> str:
    """Return why a process ended, in words that tell nothing of the machine.

    >>> reason(ExitStatus(-9))
    'its process was killed by SIGKILL, as the system does when memory runs out'
    >>> reason(ExitStatus(2, "error: data.file: it has changed."))
    'data.file: it has changed.'
    """
    if ending.code < 0:
        name = _signal_name(-ending.code)
        return f"its process was killed by {name}" + (f", {MEMORY}" if name == "SIGKILL" else "")
    if ending.told.startswith("error: "):
        return without_paths(ending.told.removeprefix("error: "))
    return f"its process ended with exit code {ending.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
