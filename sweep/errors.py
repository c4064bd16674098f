"""The errors a user can cause or meet, and the exit code of each; every layer can raise them, so they import none."""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Self

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


class OtherBackend(BadInput):
    """A model cannot be trained on one of Keras' backends, and perhaps on another."""


class WrittenForAnother(OtherBackend):
    """A model is written for another of Keras' backends than the one that was to train it."""


class NotFound(BadInput):
    """Something that was asked for by its name or number is not there."""


class Conflict(BadInput):
    """What was asked for is right in itself, and what is there does not allow it."""


class TrainingFailed(SweepError):
    """A trainer could not train what it was given."""


class OutOfMemory(TrainingFailed):
    """A trainer ran out of memory, or was killed as the system kills where memory runs out."""

    @classmethod
    def told_by(cls, error: BaseException) -> Self | None:
        """Return what an error says if it is about memory: Python's own, or one of TensorFlow or XLA."""
        kind, text = type(error).__name__, str(error)
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in text and kind != "ResourceExhaustedError":
            return None
        return cls(f"a trainer ran out of memory: {text.splitlines()[0].rstrip('.') if text else kind}")


class StorageFailed(SweepError):
    """The database cannot be opened, or holds something unexpected."""


class Locked(StorageFailed):
    """Another process writes the study, or serves the database; it can be tried again later."""


class NotYet(StorageFailed):
    """The study has not come so far that the question has an answer."""


# A class stands before its parents: the first that fits decides.
NOTHING_TO_COMPARE = 5  # of `sweep run` and `sweep compare` if nothing was learned, or what there is cannot tell
EXIT_CODES: dict[type[SweepError], int] = {BadInput: 2, Locked: 4, StorageFailed: 3, TrainingFailed: 1}


def exit_code(error: SweepError) -> int:
    """Return the command line's exit code for `error`: 1 unless its class says otherwise."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `, did you mean ...?` for the word that `word` misspells, or nothing if it is spelled like none of them.

    Case, underscores and dashes do not count. One letter in four may be wrong, missing, added or swapped, at most 3; of
    a path or a dotted name, one in four of its last part.

    >>> nearest("Epochs-Dorp", ["drop", "epochs_drop"]), nearest("min_lr", ["min_delta"])
    (', did you mean `epochs_drop`?', '')
    """
    wanted, last = _plain(word), re.split(r"[/.]", re.sub(r"\.(toml|json|csv)$", "", word))[-1]
    allowed = min(3, (len(_plain(last)) + 1) // 4)
    near = ((misspellings(wanted, _plain(known), allowed), known) for known in words)
    found = min(((wrong, known) for wrong, known in near if wrong <= allowed), default=None, key=lambda each: each[0])
    return "" if found is None else f", did you mean `{found[1]}`?"


def _plain(word: str) -> str:
    return re.sub(r"[-_\s]", "", word.lower()) or word


def misspellings(word: str, other: str, most: int) -> int:
    """Return how many letters are wrong, left out, added or swapped with their neighbour; above `most` any such number.

    >>> misspellings("trails", "trials", 3), misspellings("cosin", "cosine", 3)
    (1, 1)
    """
    if abs(len(word) - len(other)) > most:
        return most + 1
    before, last = list[int](), list(range(len(other) + 1))
    for place, letter in enumerate(word, start=1):
        row = [place]
        for there, theirs in enumerate(other, start=1):
            best = min(last[there] + 1, row[-1] + 1, last[there - 1] + (letter != theirs))
            if place > 1 < there and letter == other[there - 2] and theirs == word[place - 2]:
                best = min(best, before[there - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


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


def in_one_line(error: BaseException, text: str | None = None) -> str:
    """Return the type of an error and the first line of what it says, or of `text`, a part of that."""
    lines = (str(error) if text is None else text).splitlines()
    first = next((line.strip().rstrip(".") for line in lines if line.strip(" .'")), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
