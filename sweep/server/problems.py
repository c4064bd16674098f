"""A refusal as `application/problem+json` (RFC 9457), which tells the asker what is wrong and nothing of this machine.

It stands alone because the guard refuses without the framework, and the framework's handlers refuse in the same words.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from sweep.errors import BadInput, Conflict, NotFound, NotYet, StorageFailed, SweepError
from sweep.redaction import without_paths

MEDIA_TYPE = "application/problem+json"
LONGEST_DETAIL = 2000
# The first class that fits counts, so the special ones stand before those they derive from.
STATUSES: dict[type[SweepError], int] = {
    NotFound: 404,
    NotYet: 404,
    Conflict: 409,
    BadInput: 422,
    StorageFailed: 503,
    SweepError: 500,
}

Problem = tuple[int, list[tuple[str, str]], bytes]


def problem(status: int, detail: str, field: str | None = None) -> Problem:
    """Return a problem's status, headers and body."""
    told = without_paths(detail[:LONGEST_DETAIL])
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": told}
    body = json.dumps(content | {"field": field}).encode()
    return status, [("content-type", MEDIA_TYPE), ("content-length", str(len(body)))], body


def of_error(error: SweepError) -> tuple[int, str, str | None]:
    """Return the status, detail and field of one of our errors."""
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    if isinstance(error, BadInput):
        return status, error.reason, error.field
    return status, str(error), None
