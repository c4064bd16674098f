"""A cache of answers that are at most a moment old; an answer that many ask for at once is computed once."""

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
    """The place of one answer; `lock` is held while the answer is made."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Any = None
    until: float = -1.0

    @property
    def size(self) -> int:
        """The length of an answer that has one, such as a page; others are small."""
        return len(self.answer) if isinstance(self.answer, Sized) else 0


class AnswerCache:
    """Answers by question, each for some seconds; the least recently used are dropped first.

    Attributes:
        generation: how often something was forgotten; an answer read before that must not be put in afterwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._tidy_at = 0.0
        self.generation = 0

    def get(self, question: Hashable, make: Callable[[], Answer], seconds: float = 1.0) -> Answer:
        """Return the kept answer, or make it; an exception of `make` is not kept."""
        with self._lock:
            kept = self._kept.setdefault(question, Kept())
            self._kept.move_to_end(question)
        with kept.lock:
            if self._clock() >= kept.until:
                kept.answer = make()
                kept.until = self._clock() + seconds
                self._tidy()
            answer: Answer = kept.answer
            return answer

    def put(self, question: Hashable, answer: Any, generation: int, seconds: float = 1.0) -> None:
        """Keep an answer, unless something was forgotten since `generation`, when it was read."""
        with self._lock:
            if generation == self.generation:
                self._kept[question] = Kept(answer=answer, until=self._clock() + seconds)

    def forget(self, is_stale: Callable[[Any], bool] = lambda _question: True) -> None:
        """Drop the answers to these questions."""
        with self._lock:
            self.generation += 1
            for question in filter(is_stale, list(self._kept)):
                del self._kept[question]

    def _tidy(self) -> None:
        """Drop what is too old, then what was used least recently of what is too much; at most every half second."""
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
