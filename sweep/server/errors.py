"""Every error of a route as `application/problem+json`: ours by their class, FastAPI's and Starlette's by theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from sweep.errors import SweepError
from sweep.server.problems import of_error, problem

Handler = Callable[[Request, Any], Awaitable[Response]]


class Refused(Exception):
    """A request that cannot be followed for how it is made, not for what it asks."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        super().__init__(status, detail, field)
        self.status, self.detail, self.field = status, detail, field


def answer(status: int, detail: str, field: str | None = None) -> Response:
    """Return a problem as a response."""
    status, headers, body = problem(status, detail, field)
    return Response(body, status, {key: value for key, value in headers if key != "content-length"})


async def _refused(_request: Request, error: Refused) -> Response:
    return answer(error.status, error.detail, error.field)


async def _ours(_request: Request, error: SweepError) -> Response:
    return answer(*of_error(error))


async def _unprocessable(_request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where, *rest = (str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return answer(400, "the body is not valid JSON.")
    return answer(422, f"{first['msg'].removeprefix('Value error, ')}.", ".".join(rest) or where)


async def _http(_request: Request, error: HTTPException) -> Response:
    found = answer(error.status_code, f"{error.detail}.")
    found.headers.update(error.headers or {})
    return found


async def _unexpected(_request: Request, _error: Exception) -> Response:
    """Answer for an error that nobody foresaw; the guard, which it comes to next, writes it down."""
    return answer(500, "something went wrong here; the log says where.")


def handle_errors(app: FastAPI) -> None:
    """Let the app answer with problems alone."""
    handlers: dict[type[Exception], Handler] = {
        Refused: _refused,
        SweepError: _ours,
        RequestValidationError: _unprocessable,
        HTTPException: _http,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
