"""Laws of answers that are kept for a moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweep.server import state
from sweep.server.state import AnswerCache


class Timeline:
    """Time that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_made_again_once_it_is_too_old() -> None:
    clock, made = Timeline(), list[float]()
    kept = AnswerCache(clock)

    def make() -> float:
        made.append(clock.now)
        return clock.now

    assert [kept.get("q", make, seconds=1.0) for clock.now in (0.0, 0.9, 1.0, 1.5)] == [0.0, 0.0, 1.0, 1.0]
    assert made == [0.0, 1.0]


def test_many_who_ask_at_once_wait_for_one_answer() -> None:
    kept, gate, made = AnswerCache(), threading.Barrier(8), list[int]()

    def make() -> int:
        made.append(1)
        return len(made)

    def ask(_: int) -> int:
        gate.wait()
        return kept.get("q", make, seconds=60.0)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [1] * 8


def test_an_error_is_not_kept() -> None:
    kept = AnswerCache()

    def fail() -> int:
        raise ValueError("not now")

    with pytest.raises(ValueError, match="not now"):
        kept.get("q", fail)
    assert kept.get("q", lambda: 1) == 1


def test_what_is_forgotten_is_made_again() -> None:
    kept = AnswerCache()
    assert kept.get("q", lambda: 1, seconds=60.0) == 1
    kept.forget()
    assert kept.get("q", lambda: 2, seconds=60.0) == 2


def test_it_keeps_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MOST_KEPT", 2)
    monkeypatch.setattr(state, "TIDY_SECONDS", 0.0)
    kept = AnswerCache()
    for number in range(3):
        kept.get(number, lambda: "first", seconds=60.0)
    assert kept.get(2, lambda: "again", seconds=60.0) == "first"
    assert kept.get(0, lambda: "again", seconds=60.0) == "again"


def test_it_keeps_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MOST_BYTES", 10)
    monkeypatch.setattr(state, "TIDY_SECONDS", 0.0)
    kept = AnswerCache()
    for number in range(3):
        kept.get(number, lambda: b"12345", seconds=60.0)
    assert kept.get(2, lambda: b"again", seconds=60.0) == b"12345"
    assert kept.get(0, lambda: b"again", seconds=60.0) == b"again"


def test_what_is_too_old_makes_room() -> None:
    clock = Timeline()
    kept = AnswerCache(clock)
    kept.get("old", lambda: b"12345", seconds=1.0)
    clock.now = 2.0
    kept.get("new", lambda: b"12345", seconds=1.0)
    assert list(kept._kept) == ["new"]
