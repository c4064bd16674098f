"""The handle of one study: run it, and ask what it found; command line, server and Python all call this.

Methods import what they need when they are called, because `sweep best` must load neither TensorFlow nor SciPy.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sweep.config.plan import Plan, check_rates
from sweep.config.study_file import StudyFile, read_as_written, read_study_file
from sweep.errors import BadInput
from sweep.search.finite import count_wanted
from sweep.space import Value
from sweep.store.database import DEFAULT_STORAGE, Database
from sweep.store.growth import tell_growth
from sweep.store.queries import StoredStudy
from sweep.verdict import results
from sweep.verdict.baselines import searches
from sweep.verdict.progress import count_searched, read_decision, work_left

if TYPE_CHECKING:
    from sweep.engines.spec import Choice, Shape, TrainingSpec
    from sweep.execution.batches import BatchTrainer
    from sweep.execution.local import Pool
    from sweep.export.script import Chosen
    from sweep.report import Frame, Report
    from sweep.search.loop import SearchProgress, Seconds
    from sweep.verdict.budget import TimeBudget
    from sweep.verdict.extent import Decision
    from sweep.verdict.result import Verdict
    from sweep.verdict.timing import Pace, Part

DEFAULT_STUDY = "studies/ionosphere.toml"
STUDIES = Path("studies")


@dataclass(frozen=True)
class Preparation:
    """What a run is about to do: its study file, its rows, its worker processes, and whether work is left.

    `trials` is the budget of its search, or fewer if the search space holds no more candidates; `notes` say what the
    study has besides comparable trials, `data` what was found in its data; `choice` is the engine, if work is left,
    and `parts` how long each part takes that is left, where that was measured; `seconds` have passed since the
    start, and `within` is what was decided for a time budget, whose numbers the plan has.
    """

    plan: Plan
    trials: int
    train_rows: int
    validation_rows: int
    workers: int
    work_left: bool
    notes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    choice: Choice | None = None
    parts: tuple[Part, ...] = ()
    seconds: float = 0.0
    within: Decision | None = None


class RunListener:
    """What a run reports while it goes on; an exception raised here, such as `KeyboardInterrupt`, stops the run.

    This one shows nothing. `began` is when the budget of the run has begun, by `time.monotonic`, if before the run.
    """

    began: float | None = None

    def prepared(self, _preparation: Preparation) -> contextlib.AbstractContextManager[object]:
        """Return the context in which all training happens."""
        return contextlib.nullcontext()

    def begin(self, part: str, trainings: int) -> None:
        """Begin a part of so many trainings."""

    def trained(self, trainings: int) -> None:
        """Count trainings that have just finished."""

    def under_way(self, trainings: float) -> None:
        """Note how many trainings' worth of unfinished ones is done."""

    def noted(self, notice: str) -> None:
        """Note what a user should know of the trainers: that one was killed, or that tiles are smaller."""

    def searched(self, progress: SearchProgress) -> None:
        """Note where a search stands after a round."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended: whether all that was asked for is done, whether anything was to be trained, and its times."""

    finished: bool
    trained: bool
    seconds: Seconds


@dataclass(frozen=True)
class Study:
    """One study: its database and its name there, and the study file that it is made from, if it is not only read.

    >>> study = Study.open("studies/smoke.toml", storage="sqlite:///studies/example.db")
    >>> study.name, study.exists()
    ('smoke', False)
    """

    stored: StoredStudy
    path: Path | None = None
    overrides: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        study: str | Path = DEFAULT_STUDY,
        *,
        storage: str | None = None,
        overrides: Mapping[str, Value] | None = None,
    ) -> Study:
        """Return the handle of a study; nothing is made or read in the database yet.

        Args:
            study: a study file, or a study's name; a name also finds the study file `studies/NAME.toml`.
            storage: SQLAlchemy URL of the database, `sqlite:///studies/sweeps.db` by default.
            overrides: values in place of the study file's, by dotted name, e.g. `{"search.trials": 400}`.

        Raises:
            BadInput: for a study file that cannot be read, or a storage that is no database URL.
        """
        path = study_path(study)
        is_file = path.suffix == ".toml" or path.is_file()
        name = read_as_written(path, overrides).name if is_file else str(study)
        database = Database(storage or DEFAULT_STORAGE)
        return cls(StoredStudy(database, name), path, overrides or {})

    @property
    def name(self) -> str:
        """The study's name in the database."""
        return self.stored.name

    @property
    def database(self) -> Database:
        """The database that keeps the study."""
        return self.stored.database

    def exists(self) -> bool:
        """Say whether the database holds a finished trial of the study."""
        return self.stored.count_finished() > 0

    def study_file(self) -> StudyFile:
        """Read and check the study file, with the overrides in it.

        Raises:
            BadInput: if there is none, or it breaks a rule.
        """
        if self.path is None:
            raise BadInput("study", f"`{self.name}` was opened without a study file.")
        if self.path.suffix != ".toml" and not self.path.exists() and self.exists():
            where = f"its study file is needed too, and is not {STUDIES / self.name}.toml"
            raise BadInput("study", f"`{self.name}` is in the database; {where}: give that file in place of the name.")
        return read_study_file(self.path, self.overrides)

    def run(
        self,
        *,
        workers: int | None = None,
        timeout_seconds: float | None = None,
        search_only: bool = False,
        keep_programs: bool = True,
        dry_run: bool = False,
        budget: float | str | None = None,
        listener: RunListener | None = None,
    ) -> RunResult:
        """Run or continue the study to its budget and its verdict; what is finished is stored, whatever happens.

        Args:
            workers: trainer processes; one for each processor core by default.
            timeout_seconds: no round of a search and no stage of the verdict begins after it.
            search_only: whether to stop before the verdict.
            keep_programs: whether to use the compile cache, which `SWEEP_CACHE` names.
            dry_run: whether to end once the listener knows the engine and the time of each part.
            budget: the time of the whole run to its verdict, in seconds or as `10m`, in place of the study file's; how
                much of the study it holds is decided by the rule of `sweep.verdict.budget`.
            listener: receives the progress; may stop the run by an exception.

        Raises:
            BadInput: for a study file or data that are wrong, or unlike those of the stored study.
            StorageFailed: if the database cannot be used, or another process writes the study.
            TrainingFailed: if a trainer cannot train what it was given.
        """
        listener = listener or RunListener()
        began = listener.began or time.monotonic()
        within_budget = {} if budget is None else {"search.budget": budget}
        study_file = replace(self, overrides={**self.overrides, **within_budget}).study_file()
        plan = study_file.plan
        check_rates(plan)
        searches(plan, search_only=search_only)  # names that leave no room for those of the baselines
        with self.database.sole_writer(plan.name), contextlib.ExitStack() as stack:
            left = work_left(self.database, plan, search_only=search_only)
            from sweep.search.session import make_pool  # noqa: PLC0415

            heard = {"on_shares": listener.under_way, "on_notice": listener.noted}
            pool = make_pool(plan, workers, keep_programs=keep_programs, **heard)
            if left:
                stack.enter_context(pool)  # trainers load TensorFlow while this process loads and reads the rest
            timed = dry_run or plan.search.budget is not None
            ready = _Ready.of(study_file, pool, left=left, timed=timed)
            trainer, narrow = ready.trainers(listener, search_only=search_only)
            parts, within = ready.fitted(self.stored, narrow.shape, began, search_only=search_only)
            if within is not None:
                trainer, narrow = (replace(each, goes_on=within.gate.is_open) for each in (trainer, narrow))
            from sweep.verdict.nested import NestedSearches  # noqa: PLC0415
            from sweep.verdict.protocol import Protocol  # noqa: PLC0415

            plan, split = ready.study_file.plan, ready.spec.split
            told = listener.begin, listener.searched, listener.noted
            wanted = 0 if search_only else ready.outer_splits(narrow.shape)
            nested = NestedSearches.of(plan, wanted, pool.workers, trainer, narrow)
            protocol = Protocol(self.database, plan, split, trainer, narrow, *told, budget=within, nested=nested)
            plan = protocol.plan if within is None else within.effective
            with self.stored.reading() as study:
                notes = tuple(tell_growth(study, plan))
            preparation = Preparation(
                plan,
                count_wanted(self.stored, plan),
                split.train_rows,
                split.validation_rows,
                pool.workers,
                left,
                notes,
                ready.notes,
                ready.choice,
                tuple(parts),
                time.monotonic() - began,
                None if within is None else within.decision,
            )
            with listener.prepared(preparation):
                finished = not dry_run and protocol.run(timeout_seconds, search_only=search_only)
            if finished and left and not search_only:
                from sweep.dashboard.notes import write_notes  # noqa: PLC0415
                from sweep.verdict.analysis import read_result  # noqa: PLC0415

                write_notes(self.database, read_result(self.stored))
        return RunResult(finished, left, protocol.seconds)

    def status(self) -> results.StatusAnswer:
        """Return how far the study is: counts by state, pace, time left, whether its verdict is made.

        Raises:
            NotFound: if there is no such study.
        """
        return results.read_status(self.stored)

    def best(self, top: int = 5) -> results.BestAnswer:
        """Return the `top` best candidates of the search, best first.

        Raises:
            NotFound: if there is no such study.
            NotYet: if none of its trials has finished.
        """
        return results.read_best(self.stored, top)

    def families(self) -> results.FamiliesAnswer:
        """Return every schedule that was tried with its best candidate; raises as `best` does."""
        return results.read_families(self.stored)

    def trials(self, after: int | None = None, limit: int = 100) -> results.TrialsAnswer:
        """Return up to `limit` trials in any state, those with the lowest numbers above `after`.

        Raises:
            NotFound: if there is no such study.
        """
        return results.read_trials(self.stored, after, limit)

    def trial(self, number: int) -> results.TrialAnswer:
        """Return one trial with its runs and its curves by epoch.

        Raises:
            NotFound: if there is no such study, or no such trial.
        """
        return results.read_trial(self.stored, number)

    def verdict(self) -> Verdict:
        """Return the verdict: is the best schedule really better than a constant rate, and how sure is that?

        Its `sentences` are the whole answer. The first is its `finding`, if there is one: that no candidate learned,
        that every one is perfect, or that a class is never recognised, each with why and what to change.

        Raises:
            NotFound: if there is no such study.
            NotYet: if it has no verdict yet.
        """
        from sweep.verdict.analysis import read_result  # noqa: PLC0415 - SciPy takes a second

        return read_result(self.stored).verdict

    def report(self, frame: Frame | None = None) -> Report:
        """Return the verdict with all its figures as one HTML page; raises as `verdict` does."""
        from sweep.report import read_report  # noqa: PLC0415 - SciPy and Plotly take a second

        return read_report(self.stored, frame)

    def exported(self, trial: results.Wanted = None) -> Chosen:
        """Return a setting with all that a training of it needs: what the verdict recommends, or else the best trial.

        `trial` is the number of another one, or `winner`: the winner of the race, recommended or not.

        Raises:
            NotFound: if the study or the trial is not there, or the trial has not finished.
            NotYet: if no trial has finished.
            BadInput: if the trial has no schedule, or the data are not those of the study.
        """
        from sweep.export.script import choose, read_stored  # noqa: PLC0415

        return choose(self.study_file(), read_stored(self.stored, trial))[0]

    def schedule(self, trial: results.Wanted = None) -> results.ScheduleAnswer:
        """Return a trial's schedule as data that `Schedule.from_json` reads; raises as `exported` does."""
        from sweep.export.script import schedule_answer  # noqa: PLC0415

        return schedule_answer(self.exported(trial))

    def script(self, trial: results.Wanted = None) -> str:
        """Return a trial as a script that needs Keras and pandas alone; raises as `exported` does."""
        from sweep.export.script import find_form, write_script  # noqa: PLC0415

        chosen = self.exported(trial)
        return write_script(chosen, find_form(chosen))

    def export(self, form: Literal["keras", "json"] = "keras", trial: results.Wanted = None) -> str:
        """Return a trial as a script (`keras`) or as data (`json`); raises as `exported` does."""
        return self.script(trial) if form == "keras" else schedule_json(self.schedule(trial))


@dataclass(frozen=True)
class _Ready:
    """What trains a study: its rows and network, and the engine if anything is to be trained."""

    study_file: StudyFile
    pool: Pool
    spec: TrainingSpec
    shape: Shape
    choice: Choice | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, study_file: StudyFile, pool: Pool, *, left: bool, timed: bool) -> _Ready:
        """Read the data, and choose the engine if work is left; `timed` as `choose_engine` has it."""
        from sweep.execution.batches import tile_shape  # noqa: PLC0415
        from sweep.execution.choosing import choose_engine, with_engine  # noqa: PLC0415
        from sweep.search import session  # noqa: PLC0415

        study_file, dataset = session.read_data(study_file)
        dataset = pool.keep(dataset) if left else dataset
        plan, spec = study_file.plan, session.make_spec(study_file, dataset)
        notes = (*dataset.notes, *spec.split.notes)
        size, replicates = plan.search.round_size, plan.search.replicates
        if not left:
            return cls(study_file, pool, spec, tile_shape(spec, size, replicates), None, notes)
        seeds = plan.narrow_seeds if timed else 0
        choice = choose_engine(pool, spec, size, replicates, plan.training.wanted, timed=seeds)
        session.check_momentum(plan, choice)
        spec, shape = with_engine(spec, choice)
        return cls(study_file, pool, spec, shape, choice, notes)

    def trainers(self, listener: RunListener, *, search_only: bool) -> tuple[BatchTrainer, BatchTrainer]:
        """Return what trains rounds of a search, and what trains the few candidates after it."""
        from sweep.execution.batches import BatchTrainer  # noqa: PLC0415

        trainer = BatchTrainer(self.pool, self.spec, self.shape, on_runs=listener.trained)
        narrow = trainer.narrow(self.study_file.plan.narrow_seeds)
        # A search alone does not repay another program.
        return (trainer, trainer) if search_only else (trainer.with_few(narrow), narrow)

    def fitted(
        self, stored: StoredStudy, narrow: Shape, began: float, *, search_only: bool
    ) -> tuple[list[Part], TimeBudget | None]:
        """Return the parts that are left with their times, if these were measured, and what fits them to a budget."""
        from sweep.store.growth import read_eras  # noqa: PLC0415
        from sweep.verdict.budget import TimeBudget  # noqa: PLC0415
        from sweep.verdict.timing import time_plan  # noqa: PLC0415

        pace = self._pace(narrow)
        if pace is None or not pace.choice.is_timed:
            return [], None
        plan, database = self.study_file.plan, stored.database
        done, replicates = count_searched(database, plan, search_only=search_only), None
        if plan.search.budget is None:
            nested = 0 if search_only else self.outer_splits(narrow)
            return time_plan(plan, done, pace, search_only=search_only, nested=nested), None
        if stored.count_finished():
            with stored.reading() as study:
                replicates = read_eras(study, study.plan or plan)[-1].replicates
        kept = read_decision(database, plan)
        within = TimeBudget.fitted(plan, pace, began, done, kept=kept, search_only=search_only, replicates=replicates)
        return within.parts(within.decision.extent), within

    def outer_splits(self, narrow: Shape) -> int:
        """Return on how many outer splits the search is repeated, in jobs of these shapes."""
        from sweep.verdict.timing import outer_splits  # noqa: PLC0415

        return outer_splits(self.study_file.plan, pace) if (pace := self._pace(narrow)) else 0

    def _pace(self, narrow: Shape) -> Pace | None:
        from sweep.verdict.timing import Pace  # noqa: PLC0415

        if self.choice is None:
            return None
        own, split = self.study_file.plan.split, self.spec.split
        others = own.beside.splits or math.ceil(split.dataset.rows * own.fraction) != split.validation_rows
        return Pace(self.choice, self.spec.timeline, self.pool.workers, narrow, others=others, turns=len(split.each))


def schedule_json(answer: results.ScheduleAnswer) -> str:
    """Return a schedule as the text of a JSON file."""
    return answer.model_dump_json(indent=2, ensure_ascii=True) + "\n"


def study_path(study: str | Path) -> Path:
    """Return the study file that a word means: a path, or a name in `studies/`."""
    path = Path(study)
    named = STUDIES / f"{study}.toml"
    return named if path.suffix != ".toml" and not path.is_file() and named.is_file() else path


def run(study: str | Path = DEFAULT_STUDY, *, storage: str | None = None, workers: int | None = None) -> Study:
    """Run or continue a study to its verdict, and return its handle.

    Raises:
        SweepError: as `Study.run` does.
    """
    opened = Study.open(study, storage=storage)
    opened.run(workers=workers)
    return opened


def compare(study: str | Path = DEFAULT_STUDY, *, storage: str | None = None) -> Verdict:
    """Return a study's verdict: is the best schedule really better than a constant rate?

    Raises:
        NotFound: if there is no such study.
        NotYet: if it has no verdict yet.
    """
    return Study.open(study, storage=storage).verdict()
