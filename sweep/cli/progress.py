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
    """Where progress is shown, in a `with`."""

    def __enter__(self) -> object:
        """Prepare the place."""

    def __exit__(self, *error: object) -> None:
        """Leave it as it should stay."""

    def draw(self, progress: Progress) -> None:
        """Show where the sweep is."""


def progress_view(console: Console) -> ProgressView:
    """Return the view that fits the console: a bar if it is a terminal."""
    return Bar(console) if console.is_terminal else Lines(console)


class Bar:
    """A bar that fills, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._part: tuple[str, int] | None = None
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

    def draw(self, progress: Progress) -> None:
        """Move the bar, or begin a new one: for another part, and until trainings have a rate.

        The estimate of the time left then does not count what an earlier run did.
        """
        part, rate, best = (progress.part, progress.wanted), _rate(progress), progress.best
        if part != self._part or progress.trainings_per_second is None:
            self._part = part
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(progress.part, total=progress.wanted, completed=progress.done, rate=rate, best=best)
        else:
            self._bar.update(self._bar.task_ids[0], completed=progress.done, rate=rate, best=best)


class Lines(nullcontext[None]):
    """A line every five seconds, for a file or a pipe, once some of a part is done."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._printed = -LINE_SECONDS

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
        self._news: object = None

    def draw(self, progress: Progress) -> None:
        """Print every part and every better candidate, and else no more than five documents a second."""
        now, news = time.perf_counter(), (progress.part, progress.wanted, progress.best)
        if news == self._news and now - self._printed <= JSON_SECONDS:
            return
        self._printed, self._news = now, news
        print(progress.model_dump_json(), flush=True)


def _rate(progress: Progress) -> str:
    return "-" if progress.trainings_per_second is None else f"{progress.trainings_per_second:,.0f}"
