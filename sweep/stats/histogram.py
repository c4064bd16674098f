"""Counts of right answers drawn as text.

It stands alone because a terminal draws a verdict that it may have read from afar, without the statistics in SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from sweep.stats.estimate import checked


def histogram(correct: ArrayLike, *, width: int = 40, lines: int = 12) -> list[str]:
    r"""Draw how many runs had how many correct rows, highest count first; at most `lines` lines.

    >>> print("\n".join(histogram([115, 115, 114, 112])))
    115 |######################################## 2
    114 |#################### 1
    113 | 0
    112 |#################### 1
    """
    counts = checked("correct", correct).astype(np.int64)
    step = -(-(int(np.ptp(counts)) + 1) // lines)
    edges = np.arange(counts.min(), counts.max() + step + 1, step)
    found = np.histogram(counts, edges - 0.5)[0]
    labels = [str(low) if step == 1 else f"{low}-{high - 1}" for low, high in pairwise(edges.tolist())]
    return _bars(labels, found.tolist(), width)[::-1]


def _bars(labels: Sequence[str], found: Sequence[int], width: int) -> list[str]:
    """Return one line for each label, with a bar as long as its share of the longest."""
    margin = max(map(len, labels))
    lengths = [math.ceil(width * number / max(found)) for number in found]
    drawn = zip(labels, lengths, found, strict=True)
    return [f"{label:>{margin}} |{'#' * length} {number}" for label, length, number in drawn]
