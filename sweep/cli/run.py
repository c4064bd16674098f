"""`sweep run`: what it shows, a bar, lines or JSON lines, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar

from sweep.api import Preparation, RunListener, Study
from sweep.cli.tables import end_if_void, show_end, show_verdict
from sweep.config.plan import Plan
from sweep.jobs.queue import Progress
from sweep.search.loop import SearchProgress
from sweep.stats.verdict import Unit
from sweep.task import METRICS
from sweep.verdict.extent import Decision
from sweep.verdict.result import Verdict
from sweep.verdict.timing import told_engine, told_parts

PATIENCE_SECONDS = 20.0  # to store what is finished and to end the trainers
LINE_SECONDS = 5.0
JSON_SECONDS = 0.2


def make_console() -> Console:
    """Return the console on which progress is shown."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def run_study(
    study: Study, budget_began: float, *, supervised: bool, search_only: bool, dry_run: bool, **limits: Any
) -> None:
    """Run or continue a study to its verdict, and show what it found; `limits` are those of `Study.run`.

    Its time budget, if it has one, began at `budget_began`, by `time.monotonic`.
    """
    began, console = time.perf_counter(), make_console()
    view = JsonLines() if supervised else progress_view(console)
    if supervised:
        threading.Thread(target=end_with_supervisor, name="supervisor", daemon=True).start()
    with Interruption() as interruption:
        progress = RunProgress(console, interruption, view, search_only=search_only, began=budget_began)
        try:
            ended = study.run(search_only=search_only, dry_run=dry_run, listener=progress, **limits)
        except KeyboardInterrupt as interrupt:
            now = progress.now
            if not now.part:
                raise
            where = f"in {now.part} after {now.done:,} of {now.wanted:,} trainings"
            console.print(f"stopped {where}; what is finished is stored, run again to continue.")
            raise typer.Exit(1) from interrupt
        if dry_run:
            return
        if ended.trained:
            wall, spent = time.perf_counter() - began, ended.seconds
            rest = wall - spent.training - spent.sampling - spent.storage - spent.evidence
            console.print(
                f"{progress.trainings:,} trainings in {wall:.1f} s: "
                f"searches {spent.training:.1f} s with the trainers' start, sampling {spent.sampling:.1f} s, "
                f"storage {spent.storage:.1f} s, race, confirmation and re-splits {spent.evidence:.1f} s, "
                f"the rest {rest:.1f} s"
            )
    if supervised:
        return
    if ended.finished and not search_only:
        show_answer(study.verdict())
    else:
        if progress.within is not None and not ended.finished and not search_only:
            console.print("the budget was over before the verdict; run again to continue.")
        show_end(study.best(), study.families())


def show_answer(found: Verdict) -> None:
    """Show a verdict, and end as `end_if_void` does."""
    show_verdict(found)
    end_if_void(found)


def end_with_supervisor() -> None:
    """Wait until standard input ends, as it does when the supervisor is killed; stop this process as SIGTERM would.

    If that does not help in twenty seconds, kill it with its trainers.
    """
    while os.read(0, 1024):  # not `sys.stdin`, whose lock a daemon thread must not hold at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Interruption:
    """Turns Ctrl-C and SIGTERM into `KeyboardInterrupt` while a study runs, and remembers them.

    Python ignores an exception that a signal raises in a finaliser or a callback, so `check` raises it again where
    nothing swallows it.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal has come."""
        if self._asked:
            raise KeyboardInterrupt

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        raise KeyboardInterrupt


class ProgressView(nullcontext[None]):
    """Where progress is shown, in a `with`; this one shows nothing."""

    def begin(self, progress: Progress) -> None:
        """Begin a part, or begin it again from what an earlier run did of it."""

    def draw(self, progress: Progress) -> None:
        """Show where the part is."""


def progress_view(console: Console) -> ProgressView:
    """Return the view that fits the console: a bar if it is a terminal."""
    return Bar(console) if console.is_terminal else Lines(console)


class Bar(ProgressView):
    """A bar that fills, for a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
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
        self._bar.add_task(progress.part, total=progress.wanted, rate="-", best="")
        self.draw(progress)

    def draw(self, progress: Progress) -> None:
        """Move the bar."""
        rate, best = _rate(progress), progress.best
        self._bar.update(self._bar.task_ids[0], completed=progress.done, rate=rate, best=best)


class Lines(ProgressView):
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
        rate = "" if progress.trainings_per_second is None else f", {_rate(progress)} a second"
        self._console.print(f"{progress.part}: {progress.done:,}/{progress.wanted:,} trainings{rate}{best}")


class JsonLines(ProgressView):
    """JSON documents on standard output, one a line, for a supervisor: every better candidate, else five a second."""

    def __init__(self) -> None:
        super().__init__()
        self._printed = -JSON_SECONDS
        self._best = ""

    def begin(self, progress: Progress) -> None:
        """Print a document."""
        self._printed, self._best = time.perf_counter(), progress.best
        print(progress.model_dump_json(), flush=True)

    def draw(self, progress: Progress) -> None:
        """Print a document if it is time."""
        if progress.best != self._best or time.perf_counter() - self._printed > JSON_SECONDS:
            self.begin(progress)


def _rate(progress: Progress) -> str:
    return "-" if progress.trainings_per_second is None else f"{progress.trainings_per_second:,.0f}"


@dataclass
class RunProgress(RunListener):
    """Shows a run on a console: what it is about to do, then the trainings of each part.

    Attributes:
        trainings: of all parts so far.
        now: where the run is; of no part before its first.
        within: what was decided for a time budget, if there is one.
    """

    console: Console
    interruption: Interruption
    view: ProgressView
    search_only: bool = False
    began: float | None = None
    trainings: int = field(default=0, init=False)
    now: Progress = field(default=Progress(part="", done=0, wanted=0), init=False)
    within: Decision | None = field(default=None, init=False)
    _plan: Plan | None = field(default=None, init=False)
    _first: tuple[int, float] | None = field(default=None, init=False)  # trainings of the first tile, and its time

    def prepared(self, preparation: Preparation) -> ProgressView:
        """Print what the run is about to do, and return the view of its progress."""
        self._plan = plan = preparation.plan
        self.within = preparation.within
        search, trials, workers = plan.search, preparation.trials, preparation.workers
        if preparation.work_left:
            every = " (all that the search space holds)" if trials < search.trials else ""
            self.console.print(
                f"study {plan.name}: {trials} candidates x {search.replicates} run seeds{every}, "
                f"{preparation.train_rows} training and {preparation.validation_rows} validation rows, "
                f"{workers} worker{'s'[: workers != 1]}"
            )
            for note in preparation.data:
                self.console.print(f"data: {note}.")
            if preparation.choice is not None and preparation.parts:
                told = told_engine(preparation.choice, preparation.parts, workers, preparation.seconds)
                self.console.print(f"engine: {told}")
                self.console.print(f"trainings: {told_parts(preparation.parts)}")
            if preparation.within is not None:
                self.console.print(preparation.within.told)
        else:
            made = "" if self.search_only else " and the verdict is made"
            met, more = f"the budget of {trials} candidates is met", "a larger --trials continues it."
            if trials < search.trials:
                met = f"all {trials} candidates that the search space holds are trained"
                more = "a wider search space continues it."
            self.console.print(f"study {plan.name}: {met}{made}, nothing to train; {more}")
        for note in preparation.notes:
            self.console.print(f"note: {note}")
        return self.view

    def begin(self, part: str, trainings: int) -> None:
        """Begin a part of so many trainings."""
        self._update(Progress(part=part, done=0, wanted=trainings))
        self.view.begin(self.now)

    def trained(self, trainings: int) -> None:
        """Count trainings as their tiles come back."""
        self.trainings += trainings
        if self._first is None:
            self._first = trainings, time.perf_counter()
        self._update(self.now, done=self.now.done + trainings)
        self.view.draw(self.now)

    def under_way(self, trainings: float) -> None:
        """Show what tiles have done that are not back yet."""
        self.interruption.check()
        self.view.draw(self.now.model_copy(update={"done": self.now.done + int(trainings)}))

    def noted(self, notice: str) -> None:
        """Print it."""
        self.console.print(f"note: {notice}.")

    def searched(self, progress: SearchProgress) -> None:
        """Show how far a search is after a round."""
        assert self._plan is not None
        best, quoted = "", self._plan.baseline
        if progress.best is not None and self._plan.metric == "accuracy":
            best = f"best {progress.best:.2%}" + (f" (quoted {quoted.accuracy:.2%})" if quoted else "")
        elif progress.best is not None:
            unit = Unit(METRICS[self._plan.metric], 0)
            best = f"best {unit.metric.title} {unit.plain(progress.best)}"
        self._update(self.now, done=(progress.finished - progress.lacking) * self._plan.search.replicates, best=best)
        if self.trainings:
            self.view.draw(self.now)
        else:
            self.view.begin(self.now)  # where an earlier run has stopped

    def _update(self, last: Progress, **changed: Any) -> None:
        self.interruption.check()
        counted = self.trainings - self._first[0] if self._first else 0  # since the first tile: after the compilation
        rate = counted / (time.perf_counter() - self._first[1]) if self._first and counted else None
        self.now = last.model_copy(update=changed | {"trainings_per_second": rate})
