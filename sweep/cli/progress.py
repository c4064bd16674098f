"""How a person or a program sees the progress of a sweep, here or on a server: a bar, lines, or JSON lines."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar

from sweep.jobs.progress import Progress

LINE_SECONDS = 5.0
JSON_SECONDS = 0.2


class ProgressView(Protocol):
    """Where progress is shown, in a `with`: `begin` where a part starts from, and `draw` whenever it has moved."""

    def __enter__(self) -> object:
        """Prepare the place."""

    def __exit__(self, *error: object) -> None:
        """Leave it as it should stay."""

    def begin(self, progress: Progress) -> None:
        """Begin a part, or begin it again from what an earlier run did of it."""

    def draw(self, progress: Progress) -> None:
        """Show where the part is."""


def progress_view(console: Console) -> ProgressView:
    """Return the view that fits the console: a bar if it is a terminal."""
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

    def begin(self, progress: Progress) -> None:
        """Begin a new bar in place of the last, so that the time left does not count what an earlier run did."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        rate, best = _rate(progress), progress.best
        self._bar.add_task(progress.part, total=progress.wanted, completed=progress.done, rate=rate, best=best)

    def draw(self, progress: Progress) -> None:
        """Move the bar."""
        rate, best = _rate(progress), progress.best
        self._bar.update(self._bar.task_ids[0], completed=progress.done, rate=rate, best=best)


class Lines(nullcontext[None]):
    """A line every five seconds, for a file or a pipe, once some of a part is done."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._printed = -LINE_SECONDS

    def begin(self, progress: Progress) -> None:
        """Print nothing: nothing has been trained."""

    def draw(self, progress: Progress) -> None:
        """Print a line if it is time."""
        now = time.perf_counter()
        if not progress.done or now - self._printed <= LINE_SECONDS:
            return
        self._printed = now
        best = f", {progress.best}" if progress.best else ""
        done, wanted = f"{progress.done:,}", f"{progress.wanted:,}"
        self._console.print(f"{progress.part}: {done}/{wanted} trainings, {_rate(progress)} a second{best}")


class JsonLines(nullcontext[None]):
    """JSON documents on standard output, one a line, for a supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self._printed = -JSON_SECONDS
        self._best = ""

    def begin(self, progress: Progress) -> None:
        """Print the first document of a part."""
        self._printed, self._best = time.perf_counter(), progress.best
        print(progress.model_dump_json(), flush=True)

    def draw(self, progress: Progress) -> None:
        """Print every better candidate, and else no more than five documents a second."""
        if progress.best != self._best or time.perf_counter() - self._printed > JSON_SECONDS:
            self.begin(progress)


def _rate(progress: Progress) -> str:
    return "-" if progress.trainings_per_second is None else f"{progress.trainings_per_second:,.0f}"
