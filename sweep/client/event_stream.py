"""Server-sent events, read from the bytes of an answer as the HTML standard says.

They stand alone because their format knows nothing of studies, nor of HTTP.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST_EVENT = 1_048_576  # characters


class TooLong(Exception):
    """An event is longer than any of ours."""


@dataclass(frozen=True)
class Event:
    """One event: its name, `message` by default, and its data."""

    name: str
    data: str


def read_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    r"""Yield the events of a stream; comments, and an event that the stream breaks off, are left out.

    Raises:
        TooLong: for an event above a million characters.

    >>> list(read_events([b"event: study\ndata: 1\n", b"\n: ping\n\ndata: 2\ndata: 3\n\n", b"data: 4\n"]))
    [Event(name='study', data='1'), Event(name='message', data='2\n3')]
    """
    name, data, length = "", list[str](), 0
    for line in read_lines(chunks):
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        length += len(value)
        if length > LONGEST_EVENT:
            raise TooLong
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        if line:
            continue
        if data:
            yield Event(name or "message", "\n".join(data))
        name, data, length = "", [], 0


def read_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    r"""Yield the lines of a stream, wherever its chunks break, but for a last one that does not end.

    Raises:
        TooLong: for a line above a million characters.

    >>> list(read_lines([b"a\r", b"\nb\rc\n", b"\xc3", b"\xa4\n", b"d"]))
    ['a', 'b', 'c', 'ä']
    """
    text = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
    rest = ""
    for chunk in chunks:
        added = text.decode(chunk)
        rest += added
        if "\n" in added:
            *lines, rest = rest.split("\n")
            yield from lines
        if len(rest) > LONGEST_EVENT:
            raise TooLong
