"""Words of others, made fit for a terminal: a server's answer may hold what moves a cursor or hides a line.

They stand alone because an error, a table and an exported script all need the same.
"""

from __future__ import annotations

import re
from typing import TypeVar

LONGEST = 500  # characters
# Control characters but for a line break and a tab, and what turns text round.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Found = TypeVar("Found")


def printable(text: str) -> str:
    r"""Return a text without characters that do something to a terminal.

    >>> printable("rex \x1b[2J\n")
    'rex �[2J\n'
    """
    return CONTROLS.sub("\ufffd", text)


def printable_document(found: Found) -> Found:
    """Return a JSON document with all its texts made printable."""
    made: object = found
    if isinstance(found, str):
        made = printable(found)
    elif isinstance(found, list):
        made = [printable_document(each) for each in found]
    elif isinstance(found, dict):
        made = {printable_document(key): printable_document(value) for key, value in found.items()}
    return made  # type: ignore[return-value]  # of the same kind


def shortened(text: str) -> str:
    """Return words on one line of bearable length."""
    line = " ".join(printable(text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
