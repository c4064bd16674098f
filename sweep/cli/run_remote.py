"""`sweep run --server`: a study ordered from a server, followed to its end, and drawn as one that runs here."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.console import Console

from sweep.cli.progress import ProgressView, progress_view
from sweep.cli.run import Interruption
from sweep.cli.verdict import show_verdict
from sweep.client.http import Client, Unavailable
from sweep.client.source import Served, path_of
from sweep.client.submit import is_finished, place, read_draft
from sweep.errors import BadInput, StorageFailed, SweepError
from sweep.jobs.progress import Progress
from sweep.jobs.queue import JobState
from sweep.jobs.studies import MOVING, StudyAnswer
from sweep.space import Value

PATIENCE_SECONDS = 60.0  # that a lost connection is tried again
THERE = {  # what holds on a server instead
    "workers": "a server has its own number of workers",
    "timeout": "a server goes on to the end of the budget",
    "search_only": "a server always goes on to the verdict",
    "no_cache": "a server has its own cache",
    "supervised": "a server supervises its sweeps itself",
}
MOMENTS, MOMENT_SECONDS = 5, 0.5  # until a study counts as queued behind others
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 8.0


def run_on_server(client: Client, path: Path, overrides: Mapping[str, Value]) -> None:
    """Order a study file's study from a server, follow it to its end, and show its verdict.

    Raises:
        BadInput: for a study file that the server cannot run, or one unlike that of the study that is there.
        SweepError: if the study fails or is stopped there.
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    draft = read_draft(client, path, overrides)
    name, study = draft.plan.name, place(client, draft, console)
    if is_finished(study):
        console.print(
            f"study {name}: the budget of {study.wanted} candidates is met and the verdict is made, nothing to train; "
            "a larger --trials continues it."
        )
    else:
        replicates = draft.plan.search.replicates
        console.print(f"study {name}: {study.wanted} candidates x {replicates} run seeds on {client.address}")
        check_end(watch(client, name, console))
    show_verdict(Served(client).verdict(name))


def refuse_local(**told: object) -> None:
    """Raise `BadInput` for an option of `sweep run` that only a sweep on this machine can follow."""
    for name, value in told.items():
        if value:
            raise BadInput(name.replace("_", "-"), f"is for a sweep that runs here; {THERE[name]}.")


def check_end(study: StudyAnswer) -> None:
    """Raise `SweepError` for a study that has come to rest without being done."""
    if study.state == JobState.FAILED:
        raise SweepError(f"the study `{study.study}` has failed on the server: {study.reason or 'nobody knows why'}")
    if study.state != JobState.DONE:
        raise SweepError(f"the study `{study.study}` is {study.state} on the server; run again to continue it.")


def watch(client: Client, name: str, console: Console) -> StudyAnswer:
    """Draw a study until it rests, and return how; a signal ends the watching alone."""
    try:
        with Interruption() as interruption:
            say_if_queued(client, name, console)
            return _draw_to_the_end(client, name, console, interruption.check)
    except KeyboardInterrupt as interrupt:
        page, stop = f"{client.address}/studies/{name}", f"{client.address}{path_of(name, 'stop')}"
        console.print(f"detached; the study {name} goes on on the server. To stop it there: {page}, or POST {stop}")
        raise typer.Exit(1) from interrupt


def _draw_to_the_end(client: Client, name: str, console: Console, check: Callable[[], None]) -> StudyAnswer:
    drawn = RemoteProgress(console, progress_view(console))
    with drawn.progress_view, closing(follow(client, name, console)) as studies:
        for study in studies:
            check()
            drawn.show(study)
    return study


def say_if_queued(client: Client, name: str, console: Console) -> None:
    """Say so if a study has to wait for others; one that has only just been ordered begins within a moment."""
    with suppress(Unavailable):  # which whoever follows it takes up
        for _ in range(MOMENTS):
            if client.read(path_of(name), StudyAnswer).state != JobState.QUEUED:
                return
            time.sleep(MOMENT_SECONDS)
        console.print(f"study {name}: queued behind others; it begins when its turn comes")


def follow(client: Client, name: str, console: Console) -> Generator[StudyAnswer]:
    """Yield where a study is, again whenever that has changed, until it rests; a lost connection is taken up again.

    Raises:
        StorageFailed: if it cannot be taken up for a minute.
    """
    lost = Lost(console)
    while True:
        try:
            for study in look(client, name):
                lost.is_back()
                yield study
                if study.state not in MOVING:
                    return
            lost.wait("the stream has ended.")
        except Unavailable as error:
            lost.wait(str(error))


def look(client: Client, name: str) -> Iterator[StudyAnswer]:
    """Yield where a study is for as long as one connection lasts."""
    with client.events(path_of(name, "events")) as events:
        yield from (client.parse(event.data, StudyAnswer) for event in events if event.name == "study")


@dataclass
class Lost:
    """A lost connection: since when it is tried again, and how long to wait before the next time."""

    console: Console
    _since: float | None = field(default=None, init=False)
    _pause: float = field(default=SHORTEST_PAUSE_SECONDS, init=False)

    def is_back(self) -> None:
        """Forget what was lost."""
        self._since, self._pause = None, SHORTEST_PAUSE_SECONDS

    def wait(self, reason: str) -> None:
        """Wait before the next try, longer each time.

        Raises:
            StorageFailed: if there have been enough.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self.console.print(f"the connection is lost, trying again for {PATIENCE_SECONDS:.0f} s")
        elif now - self._since > PATIENCE_SECONDS:
            raise StorageFailed(f"{reason.rstrip('.')}; the study goes on there, run again to follow it.")
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)


@dataclass
class RemoteProgress:
    """A study drawn as its answers come."""

    console: Console
    progress_view: ProgressView
    _part: tuple[str, int] | None = field(default=None, init=False)
    _crashes: int = field(default=0, init=False)

    def show(self, study: StudyAnswer) -> None:
        """Show where the study is."""
        if study.crashes > self._crashes and study.state in MOVING:
            self.console.print(f"study {study.study}: begun again, as {study.reason}")
        self._crashes = study.crashes
        if study.progress is None:
            self._part = None
        else:
            self._draw(study.progress)

    def _draw(self, pace: Progress) -> None:
        if self._part != (pace.part, pace.wanted):
            self._part = pace.part, pace.wanted
            self.progress_view.begin(pace)
        self.progress_view.draw(pace)
