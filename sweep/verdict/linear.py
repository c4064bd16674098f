"""A linear model beside a study's networks: its scores on the study's own split, and on the first re-splits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from sweep.data.table import Split
from sweep.engines.linear import fit_size, linear_scores, rows_to_fit
from sweep.model import Record
from sweep.task import METRICS, MetricName

# Rows x columns x outputs of all fits to re-splits: some seconds on one core. That many fits are made at least.
ALL_FITS, FEWEST_FITS = 20_000_000, 3


class LinearScores(Record):
    """What a linear model scores by each metric, where it has a score.

    Attributes:
        train_rows: the rows that it was fitted to, a draw if they are fewer than those to train on.
        own: on the study's own split; a mean where it has several.
        new_rows: on re-splits, in the order of `NewRows.split_seeds`; maybe not on all.
    """

    train_rows: int
    own: dict[MetricName, float]
    new_rows: tuple[dict[MetricName, float], ...] = ()

    @classmethod
    def of(cls, split: Split, class_weights: Sequence[float]) -> Self | None:
        """Fit a linear model on a study's own split, or on its first ones of several; None where there is none."""
        splits = split.each[: _most_fits(split)]
        found = [_finite(linear_scores(each, class_weights)) for each in splits]
        known = [name for name in found[0] if all(name in each for each in found)]
        own = {name: METRICS[name].mean([each[name] for each in found]) for name in known}
        return cls(train_rows=rows_to_fit(split), own=own) if own else None

    def tested(self, splits: Iterable[Split], class_weights: Sequence[float], goes_on: Callable[[], bool]) -> Self:
        """Return it with its scores on more re-splits, as many as cost little; no fit begins once `goes_on` says no."""
        found = list(self.new_rows)
        for split in splits:
            if len(found) >= _most_fits(split) or not goes_on():
                break
            found.append(_finite(linear_scores(split, class_weights)))
        return self.model_copy(update={"new_rows": tuple(found)})

    def new_mean(self, metric: MetricName) -> tuple[float, int] | None:
        """Return the mean score over re-splits and the number of these, or None; all of them must have a score."""
        scores = [each[metric] for each in self.new_rows if metric in each]
        if not scores or len(scores) < len(self.new_rows):
            return None
        return METRICS[metric].mean(scores), len(scores)


def _most_fits(split: Split) -> int:
    return max(FEWEST_FITS, ALL_FITS // fit_size(split))


def _finite(scores: dict[MetricName, float]) -> dict[MetricName, float]:
    return {name: score for name, score in scores.items() if math.isfinite(score)}
