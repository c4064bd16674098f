"""Refusals as `application/problem+json` (RFC 9457): how one is made, described in OpenAPI, and caught in routes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from sweep.errors import BadInput, Conflict, NotFound, NotYet, StorageFailed, SweepError, without_paths

Headers: TypeAlias = list[tuple[str, str]]
Responses: TypeAlias = dict[int | str, dict[str, Any]]

MEDIA_TYPE = "application/problem+json"
LONGEST_DETAIL = 2000
SOMEWHERE = "something went wrong here; the log says where."
# The first class that fits counts, so subclasses come before their bases.
STATUSES: dict[type[SweepError], int] = {
    NotFound: 404,
    NotYet: 404,
    Conflict: 409,
    BadInput: 422,
    StorageFailed: 503,
    SweepError: 500,
}


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457).

    Attributes:
        field: the value that is wrong, by its dotted name; None if it is none in particular.
    """

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


class Refused(Exception):
    """A request that is refused for its form or its sender, not for what it asks.

    Attributes:
        page: replaces the problem's JSON for a browser.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        page: bytes | None = None,
    ) -> None:
        super().__init__(status, detail, field)
        self.status, self.detail, self.field, self.headers, self.page = status, detail, field, headers or {}, page


def problem(status: int, detail: str, field: str | None = None) -> tuple[int, Headers, bytes]:
    """Return a problem's status, headers and body; no path of this machine is in it."""
    phrase, detail = HTTPStatus(status).phrase, without_paths(detail[:LONGEST_DETAIL])
    content = {"type": "about:blank", "title": phrase, "status": status, "detail": detail, "field": field}
    body = json.dumps(content).encode()
    return status, [("content-type", MEDIA_TYPE), ("content-length", str(len(body)))], body


def of_error(error: Exception) -> tuple[int, str, str | None]:
    """Return the status, detail and field of an error of a route."""
    match error:
        case Refused():
            return error.status, error.detail, error.field
        case SweepError():
            status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
            return (status, error.reason, error.field) if isinstance(error, BadInput) else (status, str(error), None)
        case RequestValidationError():
            first = error.errors()[0]
            if first["type"] == "json_invalid":
                return 400, "the body is not valid JSON.", None
            where, *rest = (str(part) for part in first["loc"])
            return 422, f"{first['msg'].removeprefix('Value error, ')}.", ".".join(rest) or where
        case HTTPException():
            return error.status_code, f"{error.detail}.", None
    return 500, SOMEWHERE, None  # nobody foresaw it; the guard, which gets it next, logs it


async def answer_error(_request: Request, error: Exception) -> Response:
    """Return the problem that answers an error of a route."""
    status, headers, body = problem(*of_error(error))
    return Response(body, status, dict(headers) | dict(getattr(error, "headers", None) or {}))


ERROR_HANDLERS: dict[int | type[Exception], Any] = dict.fromkeys(
    (Refused, SweepError, RequestValidationError, HTTPException, Exception), answer_error
)


def content(media_type: str) -> Responses:
    """Return the entry for a route's `responses` of an answer that is not JSON."""
    return {200: {"content": {media_type: {}}}}


def refusal(status: int, description: str) -> Responses:
    """Return a refusal's entry for a route's `responses`."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {status: {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}}


MISSING = refusal(404, "There is no such thing, or not yet")
CONFLICT = refusal(409, "What is there does not allow it")
OTHER_KIND = refusal(415, "The body is of another kind")
# What any route may answer, because the guard is in front of all of them.
ALWAYS = {
    **refusal(400, "The request cannot be read, or not in one way alone"),
    **refusal(401, "No valid token"),
    **refusal(403, "The token's role does not allow it, or the Origin is foreign"),
    **refusal(413, "The body is above 1 MiB"),
    **refusal(421, "The Host is not one of this service"),
    **refusal(422, "A value breaks a rule"),
    **refusal(429, "Too many of these requests; see Retry-After"),
    **refusal(503, "The database cannot be used now, or the service is ending"),
}
