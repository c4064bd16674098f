"""`sweep run`: everything it needs brought together, and its progress drawn."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

import optuna
import typer
from rich.console import Console

from sweep.cli import tables
from sweep.cli.progress import JsonLines, ProgressView, progress_view
from sweep.cli.supervised import end_with_supervisor
from sweep.config.study_file import Plan, check_rates, read_study_file
from sweep.engines.spec import TrainingSpec
from sweep.execution.local import Pool
from sweep.jobs.progress import Progress
from sweep.search.loop import SearchProgress, Seconds
from sweep.search.session import default_workers, make_problem, make_trainer, read_data
from sweep.space import Value
from sweep.store.database import Database
from sweep.store.queries import Finished
from sweep.verdict import results
from sweep.verdict.status import searches, work_left


def run_study(
    path: Path,
    overrides: Mapping[str, Value],
    database: Database,
    limits: Limits,
) -> None:
    """Run or continue a study file's study to its verdict, and show what it found."""
    began, console = time.perf_counter(), Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if limits.supervised:
        end_with_supervisor()
    study_file = read_study_file(path, overrides)
    plan = study_file.plan
    check_rates(plan)
    searches(plan, search_only=limits.search_only)  # names that leave no room for those of the baselines
    with Interruption() as interruption, database.sole_writer(plan.name), contextlib.ExitStack() as stack:
        pool = Pool(limits.workers or default_workers())
        left = work_left(database, plan, search_only=limits.search_only)
        if left:
            stack.enter_context(pool)  # trainers load TensorFlow while this process loads and reads the rest
        from sweep.cli.verdict import show_verdict  # noqa: PLC0415
        from sweep.verdict.analysis import read_findings  # noqa: PLC0415
        from sweep.verdict.protocol import Protocol  # noqa: PLC0415
        from sweep.verdict.summary import summarize  # noqa: PLC0415

        dataset = read_data(study_file)
        drawn = RunProgress(console, plan, interruption, JsonLines() if limits.supervised else progress_view(console))
        problem = make_problem(study_file, dataset)
        trainer = make_trainer(pool, problem, plan, on_runs=drawn.add_runs)
        narrow = trainer.narrow(plan.verdict.confirmation_seeds)
        if not limits.search_only:  # a search alone does not repay another program
            trainer = trainer.with_few(narrow)
        protocol = Protocol(database, plan, dataset, problem.split, trainer, narrow, drawn.announce, drawn.show)
        if left:
            console.print(_announcement(plan, problem, pool.workers))
        else:
            console.print(_nothing_left(plan, search_only=limits.search_only))
        done = _run(partial(protocol.run, limits.timeout, search_only=limits.search_only), drawn)
        found = read_findings(database, plan.name) if done and not limits.search_only else None
        if found is not None and left:
            from sweep.dashboard.notes import write_notes  # noqa: PLC0415

            write_notes(database, found)
        if left:
            console.print(_spent(protocol.seconds, drawn, time.perf_counter() - began))
    if limits.supervised:
        return
    if found is not None:
        show_verdict(summarize(found))
    else:
        tables.show_end(results.read_best(database, plan.name, top=5), results.read_families(database, plan.name))


def _run(work: Callable[[], bool], drawn: RunProgress) -> bool:
    try:
        with drawn:
            return work()
    except KeyboardInterrupt as interrupt:
        drawn.console.print(f"stopped {drawn.where}; what is finished is stored, run again to continue.")
        raise typer.Exit(1) from interrupt


def _announcement(plan: Plan, problem: TrainingSpec, workers: int) -> str:
    split = problem.split
    return (
        f"study {plan.name}: {plan.search.trials} candidates x {plan.search.replicates} run seeds, "
        f"{split.train_rows} training and {split.validation_rows} validation rows, "
        f"{workers} worker{'s'[: workers != 1]}"
    )


def _nothing_left(plan: Plan, *, search_only: bool) -> str:
    made = "" if search_only else " and the verdict is made"
    return (
        f"study {plan.name}: the budget of {plan.search.trials} candidates is met{made}, nothing to train; "
        "a larger --trials continues it."
    )


def _spent(spent: Seconds, drawn: RunProgress, wall: float) -> str:
    rest = wall - spent.training - spent.sampling - spent.storage - spent.evidence
    return (
        f"{drawn.runs:,} trainings in {wall:.1f} s: searches {spent.training:.1f} s with the trainers' start, "
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
    """The progress of a study, drawn on a progress_view: trainings of the part at hand."""

    console: Console
    plan: Plan
    interruption: Interruption
    progress_view: ProgressView
    runs: int = field(default=0, init=False)
    _part: str = field(default="", init=False)
    _wanted: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _best: str = field(default="", init=False)
    _first_runs: int = field(default=0, init=False)
    _first_time: float = field(default=0.0, init=False)

    def __enter__(self) -> None:
        self.progress_view.__enter__()

    def __exit__(self, *error: object) -> None:
        self.progress_view.__exit__(*error)

    @property
    def where(self) -> str:
        """The part at hand, and how much of it is done."""
        return f"in {self._part} after {self._done:,} of {self._wanted:,} trainings"

    @property
    def pace(self) -> Progress:
        """Where the sweep is."""
        return Progress(
            part=self._part,
            done=self._done,
            wanted=self._wanted,
            trainings_per_second=self._rate(),
            best=self._best,
        )

    def announce(self, part: str, runs: int) -> None:
        """Begin a part of so many trainings."""
        self.interruption.check()
        self._part, self._wanted, self._done, self._best = part, runs, 0, ""
        self.progress_view.begin(self.pace)

    def add_runs(self, runs: int) -> None:
        """Count trainings as their tiles come back."""
        self.interruption.check()
        self.runs += runs
        self._done += runs
        if not self._first_runs:
            self._first_runs, self._first_time = runs, time.perf_counter()
        self.progress_view.draw(self.pace)

    def show(self, progress: SearchProgress) -> None:
        """Show where a search stands after a round."""
        self.interruption.check()
        self._done = progress.finished * self.plan.search.replicates
        self._best = "" if progress.best is None else self._said(progress.best)
        if self.runs:
            self.progress_view.draw(self.pace)
        else:
            self.progress_view.begin(self.pace)  # where an earlier run has stopped

    def _said(self, best: Finished) -> str:
        if self.plan.search.metric == "log_loss":
            return f"best log-loss {best.log_loss:.4f}"
        quoted = self.plan.baseline
        return f"best {best.value:.2%}" + (f" (quoted {quoted.accuracy:.2%})" if quoted else "")

    def _rate(self) -> float | None:
        """Return trainings a second since the first tile came back, which is after the compilation."""
        counted = self.runs - self._first_runs
        return counted / (time.perf_counter() - self._first_time) if counted else None
