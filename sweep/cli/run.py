"""`sweep run`: its options, its progress on a console, and how it is interrupted."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

import typer
from rich.console import Console

from sweep.api import Preparation, Study
from sweep.cli import tables
from sweep.cli.progress import JsonLines, ProgressView, progress_view
from sweep.cli.supervised import end_with_supervisor
from sweep.config.study_file import Plan
from sweep.jobs.progress import Progress
from sweep.search.loop import SearchProgress, Seconds
from sweep.store.queries import Finished


def run_study(study: Study, limits: Limits) -> None:
    """Run or continue a study to its verdict, and show what it found."""
    began, console = time.perf_counter(), Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if limits.supervised:
        end_with_supervisor()
    with Interruption() as interruption:
        progress = RunProgress(
            console, interruption, JsonLines() if limits.supervised else progress_view(console), limits
        )
        try:
            ended = study.run(
                workers=limits.workers,
                timeout_seconds=limits.timeout,
                search_only=limits.search_only,
                keep_programs=not limits.no_cache,
                listener=progress,
            )
        except KeyboardInterrupt as interrupt:
            if not progress.part:
                raise
            console.print(f"stopped {progress.where}; what is finished is stored, run again to continue.")
            raise typer.Exit(1) from interrupt
        if ended.trained:
            console.print(_spent(ended.seconds, progress, time.perf_counter() - began))
    if limits.supervised:
        return
    if ended.finished and not limits.search_only:
        from sweep.cli.verdict import show_verdict  # noqa: PLC0415

        show_verdict(study.verdict())
    else:
        tables.show_end(study.best(), study.families())


def _spent(spent: Seconds, progress: RunProgress, wall: float) -> str:
    rest = wall - spent.training - spent.sampling - spent.storage - spent.evidence
    return (
        f"{progress.runs:,} trainings in {wall:.1f} s: searches {spent.training:.1f} s with the trainers' start, "
        f"sampling {spent.sampling:.1f} s, storage {spent.storage:.1f} s, race, confirmation and re-splits "
        f"{spent.evidence:.1f} s, the rest {rest:.1f} s"
    )


@dataclass(frozen=True)
class Limits:
    """How much of a study one run does, on how many processes and for whom; None for no limit and for one a core."""

    workers: int | None = None
    timeout: float | None = None
    search_only: bool = False
    supervised: bool = False
    no_cache: bool = False


class Interruption:
    """Ctrl-C and SIGTERM while a study runs: both raise `KeyboardInterrupt`, and are remembered.

    An exception that a signal raises is lost where it happens to strike a finaliser or a callback, which ignore it;
    so `check` raises it again, from a place that is safe.
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
    """The progress of a run on a console: what it is about to do, then the trainings of the part at hand."""

    console: Console
    interruption: Interruption
    view: ProgressView
    limits: Limits = field(default_factory=Limits)
    runs: int = field(default=0, init=False)
    part: str = field(default="", init=False)
    _plan: Plan | None = field(default=None, init=False)
    _wanted: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _best: str = field(default="", init=False)
    _first_runs: int = field(default=0, init=False)
    _first_time: float = field(default=0.0, init=False)

    @property
    def where(self) -> str:
        """The part at hand, and how much of it is done."""
        return f"in {self.part} after {self._done:,} of {self._wanted:,} trainings"

    @property
    def now(self) -> Progress:
        """Where the sweep is."""
        return Progress(
            part=self.part, done=self._done, wanted=self._wanted, trainings_per_second=self._rate(), best=self._best
        )

    def prepared(self, preparation: Preparation) -> ProgressView:
        """Say what the run is about to do, and return the view that draws it."""
        self._plan = plan = preparation.plan
        search, workers = plan.search, preparation.workers
        if preparation.work_left:
            self.console.print(
                f"study {plan.name}: {search.trials} candidates x {search.replicates} run seeds, "
                f"{preparation.train_rows} training and {preparation.validation_rows} validation rows, "
                f"{workers} worker{'s'[: workers != 1]}"
            )
        else:
            made = "" if self.limits.search_only else " and the verdict is made"
            self.console.print(
                f"study {plan.name}: the budget of {search.trials} candidates is met{made}, nothing to train; "
                "a larger --trials continues it."
            )
        return self.view

    def begin(self, part: str, trainings: int) -> None:
        """Begin a part of so many trainings."""
        self.interruption.check()
        self.part, self._wanted, self._done, self._best = part, trainings, 0, ""
        self.view.draw(self.now)

    def trained(self, trainings: int) -> None:
        """Count trainings as their tiles come back."""
        self.interruption.check()
        self.runs += trainings
        self._done += trainings
        if not self._first_runs:
            self._first_runs, self._first_time = trainings, time.perf_counter()
        self.view.draw(self.now)

    def searched(self, progress: SearchProgress) -> None:
        """Show where a search stands after a round."""
        assert self._plan is not None
        self.interruption.check()
        self._done = progress.finished * self._plan.search.replicates
        self._best = "" if progress.best is None else _best_in_words(self._plan, progress.best)
        self.view.draw(self.now)

    def _rate(self) -> float | None:
        """Return trainings a second since the first tile came back, which is after the compilation."""
        counted = self.runs - self._first_runs
        return counted / (time.perf_counter() - self._first_time) if counted else None


def _best_in_words(plan: Plan, best: Finished) -> str:
    if plan.search.metric == "log_loss":
        return f"best log-loss {best.log_loss:.4f}"
    return f"best {best.value:.2%}" + (f" (quoted {plan.baseline.accuracy:.2%})" if plan.baseline else "")
