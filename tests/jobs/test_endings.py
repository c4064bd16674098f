"""Laws of what becomes of an order whose process has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sweep.jobs.endings import next_state, reason
from sweep.jobs.job import ExitStatus, Job, JobState, RequestedAction
from tests.fakes import make_plan


def order(wish: RequestedAction | None = None, crashes: int = 0) -> Job:
    return Job("tiny", make_plan(), JobState.RUNNING, wish, 1, crashes, None, datetime.now(UTC))


@pytest.mark.parametrize(
    ("wish", "crashes", "ending", "state"),
    [
        (None, 0, ExitStatus(0), JobState.DONE),
        (RequestedAction.STOP, 0, ExitStatus(0), JobState.DONE),
        (RequestedAction.RESTART, 0, ExitStatus(0), JobState.QUEUED),
        (RequestedAction.STOP, 0, ExitStatus(1), JobState.STOPPED),
        (RequestedAction.STOP, 0, ExitStatus(-9), JobState.STOPPED),
        (RequestedAction.STOP, 0, ExitStatus(1, called_off=True), JobState.STOPPED),
        (RequestedAction.RESTART, 0, ExitStatus(1), JobState.QUEUED),
        (None, 0, ExitStatus(1, called_off=True), JobState.QUEUED),
        (None, 0, ExitStatus(-9, called_off=True), JobState.QUEUED),
        (None, 0, ExitStatus(-9), JobState.QUEUED),
        (None, 1, ExitStatus(-9), JobState.FAILED),
        (None, 0, ExitStatus(-11), JobState.QUEUED),
        (None, 0, ExitStatus(1), JobState.QUEUED),
        (None, 0, ExitStatus(3), JobState.QUEUED),
        (None, 1, ExitStatus(3), JobState.FAILED),
        (None, 0, ExitStatus(2), JobState.FAILED),
        (None, 0, ExitStatus(3, "error: another `sweep run` is writing the study `tiny`."), JobState.QUEUED),
        (None, 1, ExitStatus(3, "error: another `sweep run` is writing the study `tiny`."), JobState.QUEUED),
    ],
)
def test_an_order_goes_on_unless_it_was_stopped_or_failed(
    wish: RequestedAction | None, crashes: int, ending: ExitStatus, state: JobState
) -> None:
    changed = next_state(order(wish, crashes), ending)
    assert changed["state"] is state
    assert changed["wish"] is None


@pytest.mark.parametrize("ending", [ExitStatus(-9), ExitStatus(1), ExitStatus(3)])
def test_only_a_crash_is_counted(ending: ExitStatus) -> None:
    assert next_state(order(), ending)["crashes"] == 1
    assert "crashes" not in next_state(order(RequestedAction.STOP), ending)
    assert "crashes" not in next_state(order(), ExitStatus(ending.code, called_off=True))


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (ExitStatus(-9), "its process was killed by SIGKILL, as the system does when memory runs out"),
        (ExitStatus(-11), "its process was killed by SIGSEGV"),
        (ExitStatus(-40), "its process was killed by signal 40"),
        (ExitStatus(1, "Traceback (most recent call last):"), "its process ended with exit code 1"),
        (ExitStatus(2, "error: data.file: it has changed."), "data.file: it has changed."),
        (ExitStatus(3, "error: `sqlite:////srv/s.db` cannot be read: no."), "`s.db` cannot be read: no."),
    ],
)
def test_the_reason_is_the_signal_or_the_errors_own_line(ending: ExitStatus, said: str) -> None:
    assert reason(ending) == said


def test_a_good_end_forgets_an_earlier_crash() -> None:
    changed: dict[str, Any] = next_state(order(crashes=1), ExitStatus(0))
    assert changed["reason"] is None
