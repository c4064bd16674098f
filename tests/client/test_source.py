"""Laws of where answers come from: a name cannot lead astray, and HTTP loads for those who ask a server."""

from __future__ import annotations

import pytest

from sweep.client.source import path_of
from sweep.errors import NotFound
from tests.test_layers import loaded


def test_what_is_no_name_is_asked_of_no_server() -> None:
    for name in ("", ".", "..", "../x", "a/b", "a?b", "a#b", "a%2fb", "a b", "a\n", "ä", "x" * 65):
        with pytest.raises(NotFound, match=r"^study: there is no study `"):
            path_of(name, "best")


def test_a_name_has_its_place() -> None:
    assert path_of("a.b-c_1", "best?top=3") == "/v1/studies/a.b-c_1/best?top=3"
    assert path_of("a") == "/v1/studies/a"


def test_asking_a_database_loads_no_http() -> None:
    asked = "app(['best', 'smoke', '--storage', 'sqlite:///none.db'], standalone_mode=False)"
    code = f"""
import contextlib, sweep.cli.export, sweep.cli.run
from sweep.cli import app
from sweep.errors import StorageFailed
with contextlib.suppress(StorageFailed):
    {asked}
"""
    names = loaded("-c", code)
    assert {"sweep", "typer", "sqlalchemy"} <= names
    assert names & {"httpx", "httpx_sse", "fastapi", "uvicorn"} == set()
