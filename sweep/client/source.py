"""Where a command's answers come from: a database here, or a server that has one; either gives the same models.

It stands alone because the commands must not know which of both they ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from sweep.config.registry import NAME_PATTERN, NAME_RULE
from sweep.errors import BadInput, NotFound
from sweep.store.database import DEFAULT_STORAGE, Database
from sweep.store.queries import StoredStudy
from sweep.verdict import results
from sweep.verdict.result import Verdict
from sweep.verdict.results import BestAnswer, ScheduleAnswer, StatusAnswer

if TYPE_CHECKING:
    from sweep.client.http import Client

Told = TypeVar("Told", BestAnswer, StatusAnswer, Verdict, ScheduleAnswer)


class Source(Protocol):
    """What answers questions about studies, called by their names."""

    def best(self, name: str, top: int) -> BestAnswer:
        """Return a study's `top` best candidates."""

    def status(self, name: str) -> StatusAnswer:
        """Return how far a study is."""

    def verdict(self, name: str) -> Verdict:
        """Return a study's verdict."""

    def report(self, name: str) -> str:
        """Return a study's report as a page that needs nothing else."""


@dataclass(frozen=True)
class Stored:
    """The studies of a database."""

    database: Database

    def best(self, name: str, top: int) -> BestAnswer:
        """Read a study's best candidates."""
        return results.read_best(StoredStudy(self.database, name), top)

    def status(self, name: str) -> StatusAnswer:
        """Read how far a study is."""
        return results.read_status(StoredStudy(self.database, name))

    def verdict(self, name: str) -> Verdict:
        """Read a study's verdict."""
        from sweep.verdict.analysis import read_verdict  # noqa: PLC0415 - SciPy takes a second

        return read_verdict(StoredStudy(self.database, name))

    def report(self, name: str) -> str:
        """Write a study's report."""
        from sweep.report.html import read_report  # noqa: PLC0415 - SciPy and Plotly take a second

        return read_report(StoredStudy(self.database, name)).page


@dataclass(frozen=True)
class Served:
    """The studies of a server."""

    client: Client

    def best(self, name: str, top: int) -> BestAnswer:
        """Ask for a study's best candidates."""
        return self._ask(name, f"best?top={top}", BestAnswer)

    def status(self, name: str) -> StatusAnswer:
        """Ask how far a study is."""
        return self._ask(name, "", StatusAnswer)

    def verdict(self, name: str) -> Verdict:
        """Ask for a study's verdict."""
        told = self._ask(name, "verdict", Verdict)
        if name not in told.candidates:
            raise self.client.unexpected("its verdict says nothing of the study's own search")
        return told

    def schedule(self, name: str) -> ScheduleAnswer:
        """Ask for the schedule that is exported."""
        return self._ask(name, "schedule", ScheduleAnswer)

    def script(self, name: str) -> str:
        """Ask for it as a script, without characters that move a terminal's cursor."""
        from sweep.client.http import printable  # noqa: PLC0415 - as in `open_source`

        return printable(self.client.read_text(path_of(name, "schedule.py"), "text/x-python"))

    def report(self, name: str) -> str:
        """Ask for a study's report."""
        return self.client.read_text(path_of(name, "report"), "text/html")

    def _ask(self, name: str, question: str, model: type[Told]) -> Told:
        told = self.client.read(path_of(name, question), model)
        if told.study != name:
            raise self.client.unexpected("its answer is about another study")
        return told


def path_of(name: str, question: str = "") -> str:
    """Return where a server answers a question about a study.

    Raises:
        NotFound: for what cannot be a study's name there.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise NotFound("study", f"there is no study `{name}`; a server's studies have names of {NAME_RULE}.")
    return f"/v1/studies/{name}/{question}".rstrip("/")


@contextmanager
def open_source(
    context: typer.Context, storage: str | None, server: str | None, token_file: Path | None
) -> Iterator[Stored | Served]:
    """Yield what a command asks."""
    address = asked_server(context, server, token_file)
    if address is None:
        yield Stored(Database(storage or DEFAULT_STORAGE))
        return
    from sweep.client.http import connect  # noqa: PLC0415 - HTTP is for those who ask a server

    with connect(address, token_file) as client:
        yield Served(client)


def asked_server(context: typer.Context, server: str | None, token_file: Path | None) -> str | None:
    """Return the address of the server that a command asks, or None for a database.

    A word of the command line outweighs the environment; in the environment, a server outweighs a database.

    Raises:
        BadInput: if the command line names both.
    """
    if is_told(context, "server") and is_told(context, "storage"):
        raise BadInput("server", "--server and --storage exclude each other.")
    if server and not is_told(context, "storage"):
        return server
    if token_file is not None:
        raise BadInput("token-file", "is for a server; name it by --server or SWEEP_SERVER.")
    return None


def is_told(context: typer.Context, name: str) -> bool:
    """Say whether an option stands on the command line itself."""
    found = context.get_parameter_source(name)
    return found is not None and found.name == "COMMANDLINE"
