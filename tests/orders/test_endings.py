"""Laws of what becomes of an order whose process has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sweep.orders.endings import judge, reason
from sweep.orders.order import Ending, Order, State, Wish
from tests.fakes import make_plan


def order(wish: Wish | None = None, crashes: int = 0) -> Order:
    return Order("tiny", make_plan(), State.RUNNING, wish, 1, crashes, None, datetime.now(UTC))


@pytest.mark.parametrize(
    ("wish", "crashes", "ending", "state"),
    [
        (None, 0, Ending(0), State.DONE),
        (Wish.STOP, 0, Ending(0), State.DONE),
        (Wish.RESTART, 0, Ending(0), State.QUEUED),
        (Wish.STOP, 0, Ending(1), State.STOPPED),
        (Wish.STOP, 0, Ending(-9), State.STOPPED),
        (Wish.STOP, 0, Ending(1, called_off=True), State.STOPPED),
        (Wish.RESTART, 0, Ending(1), State.QUEUED),
        (None, 0, Ending(1, called_off=True), State.QUEUED),
        (None, 0, Ending(-9, called_off=True), State.QUEUED),
        (None, 0, Ending(-9), State.QUEUED),
        (None, 1, Ending(-9), State.FAILED),
        (None, 0, Ending(-11), State.QUEUED),
        (None, 0, Ending(1), State.QUEUED),
        (None, 0, Ending(3), State.QUEUED),
        (None, 1, Ending(3), State.FAILED),
        (None, 0, Ending(2), State.FAILED),
        (None, 0, Ending(3, "error: another `sweep run` is writing the study `tiny`."), State.QUEUED),
        (None, 1, Ending(3, "error: another `sweep run` is writing the study `tiny`."), State.QUEUED),
    ],
)
def test_an_order_goes_on_unless_it_was_stopped_or_failed(
    wish: Wish | None, crashes: int, ending: Ending, state: State
) -> None:
    changed = judge(order(wish, crashes), ending)
    assert changed["state"] is state
    assert changed["wish"] is None


@pytest.mark.parametrize("ending", [Ending(-9), Ending(1), Ending(3)])
def test_only_a_crash_is_counted(ending: Ending) -> None:
    assert judge(order(), ending)["crashes"] == 1
    assert "crashes" not in judge(order(Wish.STOP), ending)
    assert "crashes" not in judge(order(), Ending(ending.code, called_off=True))


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (Ending(-9), "its process was killed by SIGKILL, as the system does when memory runs out"),
        (Ending(-11), "its process was killed by SIGSEGV"),
        (Ending(-40), "its process was killed by signal 40"),
        (Ending(1, "Traceback (most recent call last):"), "its process ended with exit code 1"),
        (Ending(2, "error: data.file: it has changed."), "data.file: it has changed."),
        (Ending(3, "error: `sqlite:////srv/s.db` cannot be read: no."), "`s.db` cannot be read: no."),
    ],
)
def test_the_reason_is_the_signal_or_the_errors_own_line(ending: Ending, said: str) -> None:
    assert reason(ending) == said


def test_a_good_end_forgets_an_earlier_crash() -> None:
    changed: dict[str, Any] = judge(order(crashes=1), Ending(0))
    assert changed["reason"] is None
