"""What candidates did on each row of the data set over all re-splits: summed up while they are trained, kept packed."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sweep.data.table import Split
from sweep.stats.estimate import Numbers
from sweep.task import MetricName

if TYPE_CHECKING:
    from sweep.execution.batches import Outcome

COUNT, LOSS = "<i4", "<f4"  # the kinds of the numbers that are packed


def pack(values: NDArray[Any], kind: str) -> str:
    """Return numbers, of which there may be many, as text."""
    return base64.b64encode(zlib.compress(np.asarray(values, kind).tobytes())).decode()


def unpack(text: str, kind: str) -> NDArray[Any]:
    """Return the numbers that `pack` was given."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


class OnRows(BaseModel):
    """What one candidate did on each row of the data set, `[rows]`, added up over the runs that tested it; packed.

    Attributes:
        right: how many runs had the row right; 0 of numbers.
        loss: the sum of their losses there: cross-entropies, or squared errors in the target's unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    right: str
    loss: str

    def leads_over(self, other: OnRows, tested: str, metric: MetricName) -> Numbers | None:
        """Return the mean lead over another candidate on each row that was tested, `[tested rows]`, higher is better.

        It lies between -1 and 1 by accuracy, and is a difference of losses by log-loss. What a row adds to the root
        mean squared error is taken to first order, so that the mean lead is the difference of the roots. None by any
        other metric. `tested`, packed, is how many runs of each candidate have tested each row.
        """
        runs = unpack(tested, COUNT)
        seen = runs > 0
        if metric == "accuracy":
            ours, theirs = (unpack(each.right, COUNT)[seen] / runs[seen] for each in (self, other))
            return np.asarray(ours - theirs)
        if metric not in ("log_loss", "rmse"):
            return None
        ours, theirs = (unpack(each.loss, LOSS)[seen].astype(np.float64) / runs[seen] for each in (self, other))
        if metric == "rmse":
            ours, theirs = map(_shares_of_root, (ours, theirs))
        return np.asarray(theirs - ours)


def _shares_of_root(squares: Numbers) -> Numbers:
    """Return what each square adds to the root of their mean: its first-order share, the mean of which is the root."""
    root = math.sqrt(float(squares.mean()))
    return squares / (2 * root) + root / 2 if root else squares


class Tally:
    """Adds up what candidates do on re-splits, split by split, so that no run's outcomes need be kept."""

    def __init__(self, rows: int, candidates: int) -> None:
        self._tested = np.zeros(rows, np.int64)
        self._right = np.zeros((candidates, rows), np.int64)
        self._loss = np.zeros((candidates, rows), np.float64)
        self._known = True

    def add(self, split: Split, outcomes: Sequence[Outcome]) -> None:
        """Add the runs of each candidate on a split, which are as many of each."""
        index, unit = split.validation_index, split.target_unit[1]
        self._tested[index] += len(outcomes[0].run_seeds)
        for place, outcome in enumerate(outcomes):
            if outcome.rows is None:
                self._known = False
                continue
            self._right[place, index] += outcome.rows.right.sum(axis=0)
            self._loss[place, index] += outcome.rows.loss.sum(axis=0, dtype=np.float64) * unit**2

    def join(self, tested: str, on_rows: Sequence[OnRows]) -> None:
        """Add the sums of an earlier tally of the same candidates."""
        self._tested += unpack(tested, COUNT)
        self._known &= len(on_rows) == len(self._right)
        for place, each in enumerate(on_rows):
            self._right[place] += unpack(each.right, COUNT)
            self._loss[place] += unpack(each.loss, LOSS)

    @property
    def tested(self) -> str:
        """How many runs of each candidate have tested each row, `[rows]`, packed."""
        return pack(self._tested, COUNT)

    @property
    def on_rows(self) -> tuple[OnRows, ...]:
        """The sums of each candidate; empty where rows have no outcomes."""
        losses = np.minimum(self._loss, np.finfo(LOSS).max)
        pairs = zip(self._right, losses, strict=True) if self._known else ()
        return tuple(OnRows(right=pack(right, COUNT), loss=pack(loss, LOSS)) for right, loss in pairs)
