"""What a report shows of a study's search, read by SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweep.store.queries import Best, StoredStudy

MOST_TABLE_ROWS = 2000


@dataclass(frozen=True)
class Searched:
    """What the page shows of the search itself.

    Attributes:
        trials: the standings of all finished trials, as `queries.every_trial` returns them.
        best: the first of them with their params and attributes, for the table.
        attributes: what the study keeps of its origin.
    """

    trials: pd.DataFrame
    best: Sequence[Best]
    attributes: Mapping[str, Any]


def read_searched(stored: StoredStudy) -> Searched:
    """Return what the page shows of a study's search.

    Raises:
        NotFound: if there is no such study.
    """
    with stored.reading() as study:
        trials = study.every_trial()
        best = study.details(trials.head(MOST_TABLE_ROWS), brief=True)
    return Searched(trials, best, study.attributes)
