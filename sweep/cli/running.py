"""`sweep run`: everything it needs brought together, and its progress drawn."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self

import optuna
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from sweep.cli import answers, tables
from sweep.plan import Plan, check_rates, read_study_file
from sweep.ranges import Value
from sweep.search.coordinator import Coordinator, Progress
from sweep.search.database import Database
from sweep.search.queries import count_finished
from sweep.search.record import open_study
from sweep.search.session import default_workers, make_problem, make_trainer, read_data
from sweep.training.pool import Pool
from sweep.training.problem import Problem


def run_study(
    path: Path, overrides: Mapping[str, Value], database: Database, workers: int | None, timeout: float | None
) -> None:
    """Run or continue a study file's study, and show what it found."""
    began, console = time.perf_counter(), Console(stderr=True, highlight=False, soft_wrap=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study_file = read_study_file(path, overrides)
    plan = study_file.plan
    check_rates(plan)
    with Interruption() as interruption, database.sole_writer(plan.name), contextlib.ExitStack() as stack:
        pool = Pool(workers or default_workers())
        work_left = count_finished(database, plan.name) < plan.search.trials
        if work_left:
            stack.enter_context(pool)  # trainers load TensorFlow while the data are read
        dataset = read_data(study_file)
        problem, drawn = make_problem(study_file, dataset), Drawn(console, plan, interruption)
        study = open_study(database, plan, dataset.sha256)
        trainer = make_trainer(pool, problem, plan, on_runs=drawn.add_runs)
        coordinator = Coordinator(database, study, plan, trainer, drawn.show)
        if work_left:
            console.print(_announcement(plan, problem, pool.workers))
            _train(coordinator, drawn, timeout)
            console.print(_spent(coordinator, drawn, time.perf_counter() - began))
        else:
            console.print(_budget_met(plan))
    tables.show_end(
        answers.read_best(database, plan.name, top=5), answers.read_best_of_each_schedule(database, plan.name)
    )


def _train(coordinator: Coordinator, drawn: Drawn, timeout: float | None) -> None:
    try:
        with drawn:
            coordinator.run(timeout)
    except KeyboardInterrupt as interrupt:
        reached = coordinator.progress()
        drawn.console.print(
            f"stopped with {reached.finished} of {reached.trials} candidates stored; run again to continue."
        )
        raise typer.Exit(1) from interrupt


def _announcement(plan: Plan, problem: Problem, workers: int) -> str:
    split = problem.split
    return (
        f"study {plan.name}: {plan.search.trials} candidates x {plan.search.replicates} run seeds, "
        f"{split.train_rows} training and {split.validation_rows} validation rows, "
        f"{workers} worker{'s'[: workers != 1]}"
    )


def _budget_met(plan: Plan) -> str:
    return (
        f"study {plan.name}: the budget of {plan.search.trials} candidates is met, nothing to train; "
        "a larger --trials continues it."
    )


def _spent(coordinator: Coordinator, drawn: Drawn, wall: float) -> str:
    spent = coordinator.seconds
    rest = wall - spent.training - spent.sampling - spent.storage
    return (
        f"{drawn.runs:,} trainings in {wall:.1f} s: training {spent.training:.1f} s with the trainers' start, "
        f"sampling {spent.sampling:.1f} s, storage {spent.storage:.1f} s, the rest {rest:.1f} s"
    )


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
class Drawn:
    """The progress of a sweep on a terminal, or line by line where there is none."""

    console: Console
    plan: Plan
    interruption: Interruption
    runs: int = field(default=0, init=False)
    _finished: int = field(default=0, init=False)
    _round_runs: int = field(default=0, init=False)
    _first_runs: int = field(default=0, init=False)
    _first_time: float = field(default=0.0, init=False)
    _bar: Bar | None = field(default=None, init=False)

    def __enter__(self) -> None:
        if self.console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} trainings/s"),
                TextColumn("{task.fields[best]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
            )
            self._bar.add_task("candidates", total=self.plan.search.trials, rate="-", best="")
            self._bar.start()

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add_runs(self, runs: int) -> None:
        """Count trainings as their tiles come back."""
        self.interruption.check()
        self.runs += runs
        self._round_runs += runs
        if not self._first_runs:
            self._first_runs, self._first_time = runs, time.perf_counter()
        if self._bar is not None:
            trained = self._round_runs / self.plan.search.replicates
            self._bar.update(self._bar.task_ids[0], completed=int(self._finished + trained), rate=self._rate())

    def show(self, progress: Progress) -> None:
        """Show where the sweep stands after a round."""
        self.interruption.check()
        self._finished, self._round_runs = progress.finished, 0
        quoted = self.plan.baseline
        best = "" if progress.best is None else f"best {progress.best:.2%}"
        if best and quoted is not None:
            best += f" (quoted {quoted.accuracy:.2%})"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.finished, best=best, rate=self._rate())
        elif self.runs:
            self.console.print(f"{progress.finished}/{progress.trials} candidates, {self._rate()} trainings/s, {best}")

    def _rate(self) -> str:
        """Return trainings a second since the first tile came back, which is after the compilation."""
        counted = self.runs - self._first_runs
        return f"{counted / (time.perf_counter() - self._first_time):,.0f}" if counted else "-"
