"""`sweep run --server`: submit a study to a server, follow it to its end, and show its progress and its verdict."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from sweep.cli.run import Interruption, ProgressView, make_console, progress_view, show_answer
from sweep.client.http import Client, RemoteStudy, Unavailable, path_of
from sweep.client.submit import Draft, is_finished
from sweep.errors import BadInput, StorageFailed, SweepError
from sweep.jobs.queue import JobState
from sweep.jobs.studies import MOVING, StudyAnswer
from sweep.space import Value

PATIENCE_SECONDS = 60.0  # for a lost connection
REASONS = {  # why a server has no use for an option
    "workers": "a server has its own number of workers",
    "timeout": "a server goes on to the end of the budget",
    "search_only": "a server always goes on to the verdict",
    "no_cache": "a server has its own cache",
    "dry_run": "a server times nothing beforehand",
    "supervised": "a server supervises its sweeps itself",
}
MOMENTS, MOMENT_SECONDS = 5, 0.5  # until a study counts as queued behind others
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 8.0


def run_on_server(client: Client, path: Path, overrides: Mapping[str, Value], **local: object) -> None:
    """Submit a study file's study, with `overrides`, follow it to its end, and show its verdict.

    Raises:
        BadInput: if `local`, the options that only a sweep on this machine can follow, has one that is set; for a
            study file that the server cannot run, or one unlike that of the study that is there.
        SweepError: if the study fails or is stopped there.
    """
    if refused := [option for option, value in local.items() if value]:
        raise BadInput(refused[0].replace("_", "-"), f"is for a sweep that runs here; {REASONS[refused[0]]}.")
    console = make_console()
    draft = Draft.read(client, path, overrides)
    name, study = draft.plan.name, draft.submit(client, console)
    if is_finished(study):
        console.print(
            f"study {name}: the budget of {study.wanted} candidates is met and the verdict is made, nothing to train; "
            "a larger --trials continues it."
        )
    else:
        replicates = draft.plan.search.replicates
        console.print(f"study {name}: {study.wanted} candidates x {replicates} run seeds on {client.address}")
        study = Watcher(client, name, console).watch()
        if study.state == JobState.FAILED:
            raise SweepError(f"the study `{name}` has failed on the server: {study.reason or 'nobody knows why'}")
        if study.state != JobState.DONE:
            raise SweepError(f"the study `{name}` is {study.state} on the server; run again to continue it.")
    show_answer(RemoteStudy(client, name).verdict())


@dataclass(frozen=True)
class Watcher:
    """Follows one study of a server, and shows its progress on a console."""

    client: Client
    name: str
    console: Console

    def watch(self) -> StudyAnswer:
        """Show the study's progress until it is at rest, and return it then; a signal ends the watching alone."""
        view = progress_view(self.console)
        try:
            with Interruption() as interruption:
                self._say_if_queued()
                with view, closing(self.follow()) as studies:
                    return self._draw(studies, view, interruption)
        except KeyboardInterrupt as interrupt:
            address = self.client.address
            page, stop = f"{address}/studies/{self.name}", f"{address}{path_of(self.name, 'stop')}"
            self.console.print(
                f"detached; the study {self.name} goes on on the server. To stop it there: {page}, or POST {stop}"
            )
            raise typer.Exit(1) from interrupt

    def follow(self) -> Generator[StudyAnswer]:
        """Yield the study again whenever it has changed, until it is at rest; connect again if the connection is lost.

        Raises:
            StorageFailed: if that fails for a minute.
        """
        lost_since, pause, crashes = None, SHORTEST_PAUSE_SECONDS, 0
        while True:
            reason = "the stream has ended."
            try:
                for study in self.client.events(path_of(self.name, "events"), "study", StudyAnswer):
                    lost_since, pause = None, SHORTEST_PAUSE_SECONDS
                    if study.crashes > crashes and study.state in MOVING:
                        self.console.print(f"study {self.name}: begun again, as {study.reason}")
                    crashes = study.crashes
                    yield study
                    if study.state not in MOVING:
                        return
            except Unavailable as error:
                reason = str(error)
            now = time.monotonic()
            if lost_since is None:
                lost_since = now
                self.console.print(f"the connection is lost, trying again for {PATIENCE_SECONDS:.0f} s")
            elif now - lost_since > PATIENCE_SECONDS:
                raise StorageFailed(f"{reason.rstrip('.')}; the study goes on there, run again to follow it.")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _say_if_queued(self) -> None:
        """Say so if the study waits for others; one that was just submitted begins within a moment."""
        with suppress(Unavailable):  # `follow` tries again
            for _ in range(MOMENTS):
                if self.client.read(path_of(self.name), StudyAnswer).state != JobState.QUEUED:
                    return
                time.sleep(MOMENT_SECONDS)
            self.console.print(f"study {self.name}: queued behind others; it begins when its turn comes")

    def _draw(self, studies: Iterable[StudyAnswer], view: ProgressView, interruption: Interruption) -> StudyAnswer:
        part = None
        for study in studies:
            interruption.check()
            progress, before = study.progress, part
            part = None if progress is None else (progress.part, progress.wanted)
            if progress is not None:
                if part != before:
                    view.begin(progress)
                view.draw(progress)
        return study
