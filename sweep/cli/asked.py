"""Who answers a command, a database of this machine or a server, and what is wrong with a command line."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sweep.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sweep.client.http import Source


@contextlib.contextmanager
def opened(
    context: typer.Context, study: str, storage: str | None, server: str | None, token_file: Path | None
) -> Iterator[Source]:
    """Yield the study that a command asks, in a database or on a server."""
    from sweep import api  # noqa: PLC0415 - each command imports what it needs

    address = asked_server(context, server, token_file)
    if address is None:
        yield api.Study.open(study, storage=storage)
        return
    from sweep.client.http import Client, RemoteStudy, read_token  # noqa: PLC0415

    with Client(address, read_token(token_file)) as client:
        yield RemoteStudy(client, api.Study.open(study).name)


def asked_server(context: typer.Context, server: str | None, token_file: Path | None) -> str | None:
    """Return the address of the server that a command asks, or None for a database.

    An option goes before the environment; in the environment, a server goes before a database.

    Raises:
        BadInput: if the command line names both, or a token file without a server.
    """
    if is_given(context, "server") and is_given(context, "storage"):
        raise BadInput("server", "--server and --storage exclude each other.")
    if server and not is_given(context, "storage"):
        return server
    if token_file is not None:
        raise BadInput("token-file", "is for a server; name it by --server or SWEEP_SERVER.")
    return None


def is_given(context: typer.Context, name: str) -> bool:
    """Say whether the command line itself has an option."""
    found = context.get_parameter_source(name)
    return found is not None and found.name == "COMMANDLINE"


def complaint(error: Any) -> str:
    """Return what typer finds wrong with a command line; of an unknown option, what it is called here."""
    told = str(getattr(error, "message", error))
    if not hasattr(error, "possibilities") or getattr(error, "ctx", None) is None:
        return told
    from sweep.config.study_file import explain_key  # noqa: PLC0415 - each command imports what it needs

    known = [name for one in error.ctx.command.params for name in one.opts if name.startswith("--")]
    return told + explain_key(error.option_name, known)
