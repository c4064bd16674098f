"""Which studies a list shows, and in which order: those that move, and then a page of those at rest by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sweep.errors import NotFound
from sweep.server.state import AppState
from sweep.server.web.presenters import Row, row_of

LISTED = 50  # at rest on one page: each costs a few queries whenever somebody looks


@dataclass(frozen=True)
class Listing:
    """Studies to be shown.

    Attributes:
        rows: the studies, those that move first.
        moving: how many move, on whatever page.
        resting: how many rest, on whatever page.
        next_after: the name behind which the next page begins; None if this is the last.
    """

    rows: tuple[Row, ...]
    moving: int
    resting: int
    next_after: str | None

    @property
    def told(self) -> str:
        """How many there are, in one line."""
        if not self.moving and not self.resting:
            return "No study yet."
        if not self.moving:
            return f"{self.resting} at rest, nothing running or queued."
        return f"{self.moving} running or queued, {self.resting} at rest."


def list_studies(state: AppState, after: str) -> Listing:
    """Return the page of studies behind the name `after`; only the first shows those that move."""
    moving = dict.fromkeys((*state.supervisor.running, *state.queue()))
    resting = [name for name in state.service.names() if name not in moving]
    behind = [name for name in resting if name > after]
    shown = behind[:LISTED]
    first = () if after else tuple(moving)
    state.studies([*first, *shown])
    return Listing(
        rows=tuple(rows(state, (*first, *shown))),
        moving=len(moving),
        resting=len(resting),
        next_after=shown[-1] if len(behind) > LISTED else None,
    )


def rows(state: AppState, names: Iterable[str]) -> Iterator[Row]:
    """Yield what is shown of studies; one that is deleted meanwhile is left out."""
    for name in names:
        try:
            yield row_of(state, name)
        except NotFound:
            continue
