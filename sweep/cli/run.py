"""`sweep run`: its options, its progress on a console, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import typer
from rich.console import Console

from sweep.api import Preparation, Study
from sweep.cli import tables
from sweep.cli.progress import JsonLines, ProgressView, progress_view
from sweep.config.study_file import Plan
from sweep.jobs.progress import Progress
from sweep.search.loop import SearchProgress

PATIENCE_SECONDS = 20.0  # to store what is finished and to end the trainers


@dataclass(frozen=True)
class Limits:
    """How much of a study one run does, on how many processes and for whom; None for no limit and for one a core."""

    workers: int | None = None
    timeout: float | None = None
    search_only: bool = False
    supervised: bool = False
    no_cache: bool = False


def run_study(study: Study, limits: Limits) -> None:
    """Run or continue a study to its verdict, and show what it found."""
    began, console = time.perf_counter(), Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    view = JsonLines() if limits.supervised else progress_view(console)
    if limits.supervised:
        threading.Thread(target=end_with_supervisor, name="supervisor", daemon=True).start()
    with Interruption() as interruption:
        progress = RunProgress(console, interruption, view, search_only=limits.search_only)
        try:
            ended = study.run(
                workers=limits.workers,
                timeout_seconds=limits.timeout,
                search_only=limits.search_only,
                keep_programs=not limits.no_cache,
                listener=progress,
            )
        except KeyboardInterrupt as interrupt:
            now = progress.now
            if now is None:
                raise
            where = f"in {now.part} after {now.done:,} of {now.wanted:,} trainings"
            console.print(f"stopped {where}; what is finished is stored, run again to continue.")
            raise typer.Exit(1) from interrupt
        if ended.trained:
            wall, spent = time.perf_counter() - began, ended.seconds
            rest = wall - spent.training - spent.sampling - spent.storage - spent.evidence
            console.print(
                f"{progress.trainings:,} trainings in {wall:.1f} s: "
                f"searches {spent.training:.1f} s with the trainers' start, sampling {spent.sampling:.1f} s, "
                f"storage {spent.storage:.1f} s, race, confirmation and re-splits {spent.evidence:.1f} s, "
                f"the rest {rest:.1f} s"
            )
    if limits.supervised:
        return
    if ended.finished and not limits.search_only:
        from sweep.cli.verdict import show_verdict  # noqa: PLC0415

        show_verdict(study.verdict())
    else:
        tables.show_end(study.best(), study.families())


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


@dataclass
class RunProgress:
    """Shows a run on a console: what it is about to do, then the trainings of each part.

    Attributes:
        trainings: of all parts so far.
        now: where the run is; None before its first part.
    """

    console: Console
    interruption: Interruption
    view: ProgressView
    search_only: bool = False
    trainings: int = field(default=0, init=False)
    now: Progress | None = field(default=None, init=False)
    _plan: Plan | None = field(default=None, init=False)
    _first: tuple[int, float] | None = field(default=None, init=False)  # trainings of the first tile, and its time

    def prepared(self, preparation: Preparation) -> ProgressView:
        """Print what the run is about to do, and return the view of its progress."""
        self._plan = plan = preparation.plan
        search, workers = plan.search, preparation.workers
        if preparation.work_left:
            self.console.print(
                f"study {plan.name}: {search.trials} candidates x {search.replicates} run seeds, "
                f"{preparation.train_rows} training and {preparation.validation_rows} validation rows, "
                f"{workers} worker{'s'[: workers != 1]}"
            )
        else:
            made = "" if self.search_only else " and the verdict is made"
            self.console.print(
                f"study {plan.name}: the budget of {search.trials} candidates is met{made}, nothing to train; "
                "a larger --trials continues it."
            )
        return self.view

    def begin(self, part: str, trainings: int) -> None:
        """Begin a part of so many trainings."""
        self._update(Progress(part=part, done=0, wanted=trainings))
        self.view.begin(self._now)

    def trained(self, trainings: int) -> None:
        """Count trainings as their tiles come back."""
        self.trainings += trainings
        if self._first is None:
            self._first = trainings, time.perf_counter()
        self._update(self._now, done=self._now.done + trainings)
        self.view.draw(self._now)

    def searched(self, progress: SearchProgress) -> None:
        """Show how far a search is after a round."""
        assert self._plan is not None
        best, quoted = "", self._plan.baseline
        if progress.best is not None and self._plan.search.metric == "log_loss":
            best = f"best log-loss {progress.best.log_loss:.4f}"
        elif progress.best is not None:
            best = f"best {progress.best.value:.2%}" + (f" (quoted {quoted.accuracy:.2%})" if quoted else "")
        self._update(self._now, done=progress.finished * self._plan.search.replicates, best=best)
        if self.trainings:
            self.view.draw(self._now)
        else:
            self.view.begin(self._now)  # where an earlier run has stopped

    @property
    def _now(self) -> Progress:
        assert self.now is not None
        return self.now

    def _update(self, last: Progress, **changed: Any) -> None:
        self.interruption.check()
        self.now = last.model_copy(update=changed | {"trainings_per_second": self._rate()})

    def _rate(self) -> float | None:
        """Return trainings a second since the first tile came back, which is after the compilation."""
        counted = self.trainings - self._first[0] if self._first else 0
        return counted / (time.perf_counter() - self._first[1]) if self._first and counted else None
