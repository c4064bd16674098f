"""What a command asks about one study: the handle of a study here, `sweep.api.Study`, or `RemoteStudy` on a server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sweep.client.http import Client, printable
from sweep.config.registry import NAME_PATTERN, NAME_RULE
from sweep.errors import BadInput, NotFound
from sweep.verdict.result import Verdict
from sweep.verdict.results import BestAnswer, ScheduleAnswer, StatusAnswer

Found = TypeVar("Found", BestAnswer, StatusAnswer, Verdict, ScheduleAnswer)


class Page(Protocol):
    """A page of HTML that needs nothing else."""

    @property
    def page(self) -> str:
        """Its text."""


class Source(Protocol):
    """A study that answers questions, wherever it is kept."""

    @property
    def name(self) -> str:
        """The study's name."""

    def best(self, top: int) -> BestAnswer:
        """Return the study's `top` best candidates."""

    def status(self) -> StatusAnswer:
        """Return how far the study is."""

    def verdict(self) -> Verdict:
        """Return the study's verdict."""

    def report(self) -> Page:
        """Return the study's report."""

    def schedule(self, trial: int | None = None) -> ScheduleAnswer:
        """Return a trial's schedule as data: the winner's, or else the best one's, by default."""

    def script(self, trial: int | None = None) -> str:
        """Return a trial as a script."""


@dataclass(frozen=True)
class RemotePage:
    """A page that a server has written."""

    page: str


@dataclass(frozen=True)
class RemoteStudy:
    """A study of a server; its methods raise what those of `sweep.api.Study` do, and `StorageFailed`."""

    client: Client
    name: str

    def best(self, top: int) -> BestAnswer:
        """Ask for the `top` best candidates."""
        return self._ask(f"best?top={top}", BestAnswer)

    def status(self) -> StatusAnswer:
        """Ask how far the study is."""
        return self._ask("", StatusAnswer)

    def verdict(self) -> Verdict:
        """Ask for the verdict."""
        verdict = self._ask("verdict", Verdict)
        if self.name not in verdict.candidates:
            raise self.client.unexpected("its verdict says nothing of the study's own search")
        return verdict

    def report(self) -> RemotePage:
        """Ask for the report."""
        return RemotePage(self.client.read_text(path_of(self.name, "report"), "text/html"))

    def schedule(self, trial: int | None = None) -> ScheduleAnswer:
        """Ask for the schedule that the server exports; it lets nobody choose a trial."""
        self._refuse(trial)
        return self._ask("schedule", ScheduleAnswer)

    def script(self, trial: int | None = None) -> str:
        """Ask for it as a script, without characters that move a terminal's cursor."""
        self._refuse(trial)
        return printable(self.client.read_text(path_of(self.name, "schedule.py"), "text/x-python"))

    def _refuse(self, trial: int | None) -> None:
        if trial is not None:
            reason = "cannot be chosen with a server; it exports the winner, or else the best candidate."
            raise BadInput("trial", reason)

    def _ask(self, question: str, model: type[Found]) -> Found:
        answer = self.client.read(path_of(self.name, question), model)
        if answer.study != self.name:
            raise self.client.unexpected("its answer is about another study")
        return answer


def path_of(name: str, question: str = "") -> str:
    """Return the path at which a server answers a question about a study.

    Raises:
        NotFound: for what cannot be the name of a server's study.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise NotFound("study", f"there is no study `{name}`; a server's studies have names of {NAME_RULE}.")
    return f"/v1/studies/{name}/{question}".rstrip("/")
