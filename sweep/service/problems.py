"""A refusal as `application/problem+json` (RFC 9457), which tells the asker what is wrong and nothing of this machine.

It stands alone because the guard refuses without the framework, and the framework's handlers refuse in the same words.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus

from sweep.errors import BadInput, Conflict, NotFound, NotYet, StorageFailed, SweepError

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

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}:/"
# In quotation marks a path may hold spaces; outside, it begins where no word, and no path, goes before.
QUOTED_PLACE = re.compile(rf"""([`'"])((?:{SCHEME})?/(?:(?!\1).)*)\1""", re.DOTALL)
BARE_PLACE = re.compile(rf"""(?:{SCHEME}|(?<![\w.~/]))/[^\s`'"]+""")
URL = re.compile(rf"({SCHEME})/[^/]*(.*)", re.DOTALL)


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


def without_paths(text: str) -> str:
    """Turn every absolute path and every URL in a text into its last component.

    >>> without_paths("`sqlite:////srv/sweep/studies.db` cannot be read: /tmp is full.")
    '`studies.db` cannot be read: tmp is full.'
    """
    inside = QUOTED_PLACE.sub(lambda found: f"{found[1]}{_last(found[2])}{found[1]}", text)
    return BARE_PLACE.sub(lambda found: _last(found[0]), inside)


def _last(place: str) -> str:
    """Return the last component; of a URL that ends with its host, which may hold a password, the scheme."""
    url = URL.fullmatch(place)
    if url is None:
        return place.rstrip("/").rpartition("/")[2] or "/"
    scheme, path = url[1].rstrip(":/"), re.split(r"[?#]", url[2])[0]
    return path.rstrip("/").rpartition("/")[2] or scheme
