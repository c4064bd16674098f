"""What a person or a program sees of a running sweep: a bar on a terminal, lines in a file, JSON for a supervisor.

It stands alone because a sweep that runs here and one that runs on a server are drawn alike.
"""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar

from sweep.jobs.progress import Progress

LINE_SECONDS = 5.0
JSON_SECONDS = 0.2


class ProgressView(Protocol):
    """Where progress is drawn; `begin` is told each part once, `draw` each time something has moved."""

    def __enter__(self) -> object:
        """Prepare the place."""

    def __exit__(self, *error: object) -> None:
        """Leave it as it should stay."""

    def begin(self, pace: Progress) -> None:
        """Begin a part."""

    def draw(self, pace: Progress) -> None:
        """Show where the part is."""


def progress_view(console: Console) -> ProgressView:
    """Return what fits the console: a bar if it is a terminal."""
    return Bar(console) if console.is_terminal else Lines(console)


class Bar:
    """A bar that fills, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = RichBar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trainings, {task.fields[rate]} a second"),
            TextColumn("{task.fields[best]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
        )

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def begin(self, pace: Progress) -> None:
        """Begin a new bar in place of the last."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(pace.part, total=pace.wanted, completed=pace.done, rate=_rate(pace), best=pace.best)

    def draw(self, pace: Progress) -> None:
        """Move the bar."""
        self._bar.update(self._bar.task_ids[0], completed=pace.done, best=pace.best, rate=_rate(pace))


class Lines:
    """A line every so often, for a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = -LINE_SECONDS

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass

    def begin(self, pace: Progress) -> None:
        """Say nothing: a part is told of once it has got somewhere."""

    def draw(self, pace: Progress) -> None:
        """Print a line if enough time has gone by since the last."""
        now = time.perf_counter()
        if not pace.done or now - self._told <= LINE_SECONDS:
            return
        self._told = now
        best = f", {pace.best}" if pace.best else ""
        self._console.print(f"{pace.part}: {pace.done:,}/{pace.wanted:,} trainings, {_rate(pace)} a second{best}")


class JsonLines:
    """One JSON document a line on standard output, for a supervisor."""

    def __init__(self) -> None:
        self._told = -JSON_SECONDS
        self._best = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass

    def begin(self, pace: Progress) -> None:
        """Tell of every part."""
        self._tell(pace)

    def draw(self, pace: Progress) -> None:
        """Tell where it is, but no more often than anybody looks, unless something better was found."""
        if pace.best != self._best or time.perf_counter() - self._told > JSON_SECONDS:
            self._tell(pace)

    def _tell(self, pace: Progress) -> None:
        self._told, self._best = time.perf_counter(), pace.best
        print(pace.model_dump_json(), flush=True)


def _rate(pace: Progress) -> str:
    return "-" if pace.trainings_per_second is None else f"{pace.trainings_per_second:,.0f}"
