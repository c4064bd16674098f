"""How often who may ask for what: token buckets, in memory that does not grow.

It stands alone because it knows neither requests nor routes, only names and time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from sweep.server.security.policy import Limit

MOST_BUCKETS = 4096


class Buckets:
    """How much of each limit is left to whom; of too many, those who asked least recently begin anew."""

    def __init__(self, limits: Mapping[str, Limit], clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, who: str, name: str) -> float:
        """Take one; return 0, or, if none is left, the seconds until one is."""
        limit, now = self._limits[name], self._clock()
        left, before = self._kept.pop((who, name), (float(limit.burst), now))
        left = min(float(limit.burst), left + (now - before) * limit.per_second)
        wait = max(0.0, (1 - left) / limit.per_second)
        self._kept[who, name] = (left if wait else left - 1, now)
        if len(self._kept) > MOST_BUCKETS:
            self._kept.popitem(last=False)
        return wait
