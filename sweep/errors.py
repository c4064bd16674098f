"""The errors a user can cause or meet, and the exit code of each; every layer can raise them, so they import none."""

from __future__ import annotations

import re
import reprlib
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError


class SweepError(Exception):
    """Any error that ends a command with one line instead of a traceback."""


class BadInput(SweepError):
    """A value that came from outside and breaks a rule: its dotted name, and the rule, then the value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)  # as arguments, so that it can be sent from a trainer process
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class NotFound(BadInput):
    """Something that was asked for by its name or number is not there."""


class Conflict(BadInput):
    """What was asked for is right in itself, and what is there does not allow it."""


class TrainingFailed(SweepError):
    """A trainer could not train what it was given."""


class StorageFailed(SweepError):
    """The database cannot be opened, or holds something unexpected."""


class Locked(StorageFailed):
    """Another process writes the study, or serves the database; it can be tried again later."""


class NotYet(StorageFailed):
    """The study has not come so far that the question has an answer."""


# A class stands before its parents: the first that fits decides.
NOTHING_TO_COMPARE = 5  # of `sweep run` and `sweep compare` if no candidate learned, or every one is perfect
EXIT_CODES: dict[type[SweepError], int] = {BadInput: 2, Locked: 4, StorageFailed: 3, TrainingFailed: 1}


def exit_code(error: SweepError) -> int:
    """Return the command line's exit code for `error`: 1 unless its class says otherwise."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `, did you mean ...?` for the word closest to `word`, or nothing."""
    known = {candidate.lower(): candidate for candidate in words}
    matches = get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f", did you mean `{known[matches[0]]}`?" if matches else ""


# What pydantic adds to a field's name to say which member of a union it tried stands in angle brackets.
UNION_TAG = re.compile(r"<\w*>")
UNION_TYPES = ("bool", "int", "float", "str")

# Pydantic's words for these name Python's types or the validator, not what a study file may hold.
RULES = {
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "too_short": "must hold at least one value",
    "finite_number": "must be a finite number",
}


def first_problem(error: ValidationError, prefix: str = "") -> BadInput:
    """Turn pydantic's first complaint into a `BadInput`: the dotted field, the rule, and the value unless a table."""
    complaint = error.errors(include_url=False)[0]
    given, rule = complaint["input"], RULES.get(complaint["type"])
    if complaint["type"] == "missing":
        reason = "is missing."
    elif complaint["type"] == "value_error":  # one of our own validators, whose message holds the value
        message = complaint["msg"].removeprefix("Value error, ")
        reason = message[0].lower() + message[1:]
    else:
        rule = rule or complaint["msg"].replace("Input should", "must", 1)
        reason = f"{rule}." if isinstance(given, dict) else f"{rule}, got {reprlib.repr(given)}."
    return BadInput(field_name((prefix, *complaint["loc"])) or "value", reason)


def field_name(location: Iterable[str | int]) -> str:
    """Join the parts of a field's name by dots, without what pydantic adds for a member of a union."""
    parts = [str(part) for part in location if part != "" and not UNION_TAG.fullmatch(str(part))]
    while parts and parts[-1] in UNION_TYPES:
        parts.pop()
    return ".".join(parts)


SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}:/"
# In quotation marks a path may hold spaces; outside, it begins where no word and no path goes before.
QUOTED_PATH = re.compile(rf"""([`'"])((?:{SCHEME})?/(?:(?!\1).)*)\1""", re.DOTALL)
BARE_PATH = re.compile(rf"""(?:{SCHEME}|(?<![\w.~/]))/[^\s`'"]+""")
URL = re.compile(rf"({SCHEME})/[^/]*(.*)", re.DOTALL)


def without_paths(text: str) -> str:
    """Replace every absolute path and every URL in a text that leaves this machine by its last component.

    >>> without_paths("`sqlite:////srv/sweep/studies.db` cannot be read: /tmp is full.")
    '`studies.db` cannot be read: tmp is full.'
    """

    def last(path: str) -> str:
        url = URL.fullmatch(path)
        if url is None:
            return path.rstrip("/").rpartition("/")[2] or "/"
        # A URL that ends with its host, which may hold a password, becomes its scheme.
        return re.split(r"[?#]", url[2])[0].rstrip("/").rpartition("/")[2] or url[1].rstrip(":/")

    inside = QUOTED_PATH.sub(lambda found: f"{found[1]}{last(found[2])}{found[1]}", text)
    return BARE_PATH.sub(lambda found: last(found[0]), inside)
