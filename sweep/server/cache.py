"""Answers that are at most a moment old: however many ask the same at once, it is computed once.

It stands alone because this is what keeps a hundred open pages from slowing the sweep that they show.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sized
from dataclasses import dataclass, field
from typing import Any, TypeVar

Answer = TypeVar("Answer")
MOST_KEPT = 512
MOST_BYTES = 64 * 1024 * 1024
TIDY_SECONDS = 0.5


@dataclass
class Kept:
    """A place for one answer; whoever makes it holds the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Any = None
    until: float = -1.0

    @property
    def size(self) -> int:
        """The length of an answer that has one, such as a page; others are small."""
        return len(self.answer) if isinstance(self.answer, Sized) else 0


class AnswerCache:
    """Keeps answers by question for some seconds; the least recently asked go first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._tidy_at = 0.0
        self.generation = 0

    def get(self, question: Hashable, make: Callable[[], Answer], seconds: float = 1.0) -> Answer:
        """Return the answer that is kept, or make it; what `make` raises is not kept."""
        kept = self._place(question)
        with kept.lock:
            if self._clock() >= kept.until:
                kept.answer = make()
                kept.until = self._clock() + seconds
                self._tidy()
            answer: Answer = kept.answer
            return answer

    def put(self, question: Hashable, answer: Any, generation: int, seconds: float = 1.0) -> None:
        """Keep an answer that was made with others, unless something was forgotten since that `generation`."""
        with self._lock:
            if generation == self.generation:
                self._kept[question] = Kept(answer=answer, until=self._clock() + seconds)

    def forget(self, is_stale: Callable[[Hashable], bool] = lambda _question: True) -> None:
        """Keep no answer to these questions: something was changed by whoever asks next."""
        with self._lock:
            self.generation += 1
            for question in filter(is_stale, list(self._kept)):
                del self._kept[question]

    def _place(self, question: Hashable) -> Kept:
        with self._lock:
            kept = self._kept.setdefault(question, Kept())
            self._kept.move_to_end(question)
            return kept

    def _tidy(self) -> None:
        """Now and then, forget what is too old, and what was asked least recently of what is too much."""
        now = self._clock()
        with self._lock:
            if now < self._tidy_at:
                return
            self._tidy_at = now + TIDY_SECONDS
            for question in [question for question, kept in self._kept.items() if 0 <= kept.until <= now]:
                del self._kept[question]
            size = sum(kept.size for kept in self._kept.values())
            while len(self._kept) > MOST_KEPT or size > MOST_BYTES:
                size -= self._kept.popitem(last=False)[1].size
