"""`sweep compare` of several studies, and `sweep benchmark`, which runs them first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from sweep.api import STUDIES, RunListener, Study, study_path
from sweep.cli.run import Interruption, make_console
from sweep.cli.tables import TABLE_STYLE, WIDTH
from sweep.config.study_file import read_study_file
from sweep.errors import BadInput, NotYet, SweepError, exit_code
from sweep.space import Value
from sweep.stats.estimate import Chances, Effect
from sweep.stats.verdict import listed
from sweep.store.database import DEFAULT_STORAGE, Database
from sweep.store.queries import StoredStudy
from sweep.verdict.several import AcrossSets, SeveralAnswer, read_several

COLLECTION = STUDIES / "collection"
MOST_COLUMNS = 9  # families beside each other
METHOD = (
    "won/tied/lost counts data sets, where a lead that is not worth having is a tie; off by 3 is the mean lead where "
    "the learning rates of both are three times too high, or too low.",
    "A lead is that of a schedule's best candidate over the tuned constant rate, which had a search of its own with "
    "the same budget; both are trained on re-splits that chose nothing.",
    "The interval of a mean lead is Student's over data sets. P(better) is the Bayesian signed-rank test's, with what "
    "is worth having as the region of practical equivalence (Benavoli and others 2017). The critical difference of "
    "ranks is Nemenyi's, and the test that all are alike Friedman's (Demsar 2006).",
    "A schedule is used by default if its interval, widened for all schedules of the table (Bonferroni), lies above 0, "
    "and not wholly below what is worth having. Else it is the tuned constant rate.",
)


def compare_several(words: Sequence[str], storage: str | None) -> SeveralAnswer:
    """Compare the studies of a database that study files or names mean; raises as `read_several` does."""
    database = Database(storage or DEFAULT_STORAGE)
    return read_several([StoredStudy(database, Study.open(word, storage=storage).name) for word in words])


def show_several(found: SeveralAnswer, *, why: bool = False) -> None:
    """Show what to use by default and the tables that it rests on; of several budgets the tables with `why` alone."""
    console = Console(highlight=False, markup=False, width=WIDTH)
    several = len(found.tables) > 1
    for table in found.tables:
        budget = f", {table.epochs} epochs" if table.epochs is not None else ""
        sets = f"{table.sets} data set{'s'[: table.sets != 1]}"
        console.print(f"{sets}{budget}: which schedule to use by default?", style="bold")
        console.print(f"Use by default: {table.sentence}")
        if not several or why:
            console.print()
            for part in (_families(table), _sets(table), *_matrix(table)):
                console.print(part)
                console.print()
            if table.critical_difference is not None:
                alike = "" if table.p_value is None else f"; that all are alike has p = {table.p_value:.2g} (Friedman)"
                console.print(
                    f"ranks differ from a difference of {table.critical_difference:.2f} on (Nemenyi, 5 %){alike}."
                )
        for note in table.notes:
            console.print(f"note: {note}.")
        console.print()
    if several:
        console.print(_by_budget(found.tables))
    for study, reason in found.left_out.items():
        console.print(f"left out: {study}: {reason}.")
    if why:
        for line in METHOD:
            console.print(line)
    else:
        more = "the tables of each budget, and " if several else ""
        console.print(f"`--why` shows {more}what the columns are.", style="dim")


def _families(table: AcrossSets) -> Table:
    """Return what each schedule has over the tuned constant rate."""
    shown = Table(**TABLE_STYLE)
    shown.add_column("schedule", no_wrap=True)
    headings = (f"mean lead, {table.unit} (95 %)", "won/tied/lost", "P(better/same/worse)", "worst", "rank", "off by 3")
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    for each in table.families:
        shown.add_row(
            each.schedule,
            _told(each.effect),
            f"{each.ahead}/{each.level}/{each.behind}",
            _shares(each.chances),
            f"{each.worst:+.2f} {_short(each.worst_study)}",
            "-" if each.rank is None else f"{each.rank:.1f}",
            "-" if each.off is None else f"{each.off.mean:+.2f}",
        )
    rank = "-" if table.constant_rank is None else f"{table.constant_rank:.1f}"
    shown.add_row("constant, tuned", "0", "", "", "", rank, "0")
    return shown


def _sets(table: AcrossSets) -> Table:
    """Return the verdict of each study: its winner over its tuned constant rate."""
    shown = Table(**TABLE_STYLE)
    for heading in ("study", "its winner, and rate"):
        shown.add_column(heading)
    for heading in ("rows", "lead over tuned constant (95 %)"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("on new rows")
    for each in table.studies:
        where = "" if each.on_new_rows else " (own rows)"
        shown.add_row(
            _short(each.study),
            each.winner.partition(",")[0],
            f"{each.rows:,}",
            f"{_told(each.lead)} {each.unit}",
            f"{each.word}{where}",
        )
    return shown


def _matrix(table: AcrossSets) -> Iterator[Table]:
    """Yield the leads of schedules by data sets, so many schedules a table as fit."""
    names = [each.schedule for each in table.families]
    for first in range(0, len(names), MOST_COLUMNS):
        shown, some = Table(**TABLE_STYLE), names[first : first + MOST_COLUMNS]
        shown.add_column("lead by study")
        for name in some:
            shown.add_column(name.replace("_", "\n"), justify="right")
        for each in table.studies:
            leads = (each.families.get(name) for name in some)
            told = ("-" if lead is None else f"{lead:+.2f}" for lead in leads)
            shown.add_row(f"{_short(each.study)}, {each.unit}", *told)
        yield shown


def _by_budget(tables: Sequence[AcrossSets]) -> Table:
    """Return the mean lead of each schedule by the epochs of a training."""
    shown, means = Table(**TABLE_STYLE), list[dict[str, str]]()
    shown.add_column("mean lead")
    for table in tables:
        shown.add_column(f"{table.epochs} epochs, {table.unit}", justify="right", no_wrap=True)
        means.append({each.schedule: _told(each.effect) for each in table.families})
    for name in dict.fromkeys(each.schedule for table in tables for each in table.families):
        shown.add_row(name, *(mean.get(name, "-") for mean in means))
    return shown


def _told(effect: Effect) -> str:
    return f"{effect.mean:+.2f}" + (f" ({effect.interval.signed})" if effect.samples > 1 else "")


def _shares(chances: Chances) -> str:
    return f"{100 * chances.better:.0f}/{100 * chances.tied:.0f}/{100 * chances.worse:.0f} %"


def _short(study: str) -> str:
    """Return a study's name without the collection that it belongs to."""
    return study.removeprefix("collection.")


@dataclass(frozen=True)
class Benchmark:
    """Runs studies one after another, and compares them.

    Attributes:
        paths: their study files.
        epochs: of each training, in place of the study files', one study for each; none for the study file's own.
        share: of each study's candidates.
        budget: of each study's time, as `Study.run` has it.
        workers: trainer processes.
        storage: the database.
    """

    paths: Sequence[Path]
    epochs: Sequence[int] = ()
    share: float = 1.0
    budget: str | None = None
    workers: int | None = None
    storage: str | None = None

    def studies(self) -> Iterator[tuple[str, Callable[[], Study]]]:
        """Yield what each study is called, and what opens it; that raises for a bad study file."""
        numbers: Sequence[int | None] = self.epochs or (None,)
        for number in numbers:
            for path in self.paths:
                yield f"{path.stem}{'' if number is None else f', {number} epochs'}", self._opener(path, number)

    def _opener(self, path: Path, epochs: int | None) -> Callable[[], Study]:
        def opened() -> Study:
            plan = read_study_file(path).plan
            changed: dict[str, Value] = {}
            if epochs is not None:
                changed |= {"name": f"{plan.name}.{epochs}epochs", "training.epochs": epochs}
            if self.share != 1.0:
                changed["search.trials"] = max(1, round(self.share * plan.search.trials))
            return Study.open(path, storage=self.storage, overrides=changed)

        return opened

    def run(self) -> tuple[list[StoredStudy], dict[str, SweepError]]:
        """Run every study, a line for each; return those that ran, and what went wrong with the others."""
        console, ran, failed = make_console(), list[StoredStudy](), dict[str, SweepError]()
        every = list(self.studies())
        with Interruption() as interruption:
            listener = _Interrupted(interruption)
            for place, (name, opened) in enumerate(every, start=1):
                began = time.monotonic()
                console.print(f"{place}/{len(every)} {name}: ", end="")
                try:
                    study = opened()
                    ended = study.run(workers=self.workers, budget=self.budget, listener=listener)
                    told = _answer(study) if ended.finished else "the budget was over before its verdict"
                    ran.append(study.stored)
                except KeyboardInterrupt as interrupt:
                    console.print("stopped; what is finished is stored, run again to continue.")
                    raise typer.Exit(1) from interrupt
                except SweepError as error:
                    failed[name] = error
                    told = f"failed: {' '.join(str(error).split())}"
                console.print(f"{told}, {time.monotonic() - began:.0f} s")
        return ran, failed


class _Interrupted(RunListener):
    """Shows nothing, and lets a signal stop the run."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def under_way(self, _trainings: float) -> None:
        """Stop the run if a signal has come."""
        self._interruption.check()


def _answer(study: Study) -> str:
    """Return a verdict in a few words."""
    found = study.verdict()
    if found.finding is not None and found.finding.word is not None:
        return str(found.finding.word)
    return f"{found.on_new_rows.word} on new rows"


def collected(words: Sequence[str]) -> list[Path]:
    """Return the study files that are named, or those of the collection.

    Raises:
        BadInput: if there are none, or one is named twice.
    """
    paths = [study_path(word) for word in words] or sorted(COLLECTION.glob("*.toml"))
    if not paths:
        raise BadInput("study", f"there are no study files in {COLLECTION}; name those that are to run.")
    if twice := [path for place, path in enumerate(paths) if path in paths[:place]]:
        raise BadInput("study", f"`{twice[0]}` is named twice.")
    return paths


def run_benchmark(benchmark: Benchmark, emit: Callable[[SeveralAnswer], None]) -> None:
    """Run a benchmark and show its table; end with the exit code of the first study that failed, if one did."""
    ran, failed = benchmark.run()
    if ran:
        try:
            emit(read_several(ran))
        except NotYet as error:
            failed.setdefault("the comparison", error)
    _end(failed)


def _end(failed: Mapping[str, SweepError]) -> None:
    if not failed:
        return
    make_console().print(f"failed: {listed(failed)}; run again once that is mended, what is finished is stored.")
    raise typer.Exit(exit_code(next(iter(failed.values()))))
