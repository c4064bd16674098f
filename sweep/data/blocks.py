"""Parse a text of rows block by block, on several threads: a large table is held once, and read nearly twice as fast.

pandas' C parser works outside Python's lock. A block ends where a line ends; since a quoted cell may hold the end of a
line, one thread parses what is left from the first block with a quotation mark on.
"""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

import numpy as np
import pandas as pd

BLOCK_BYTES = 16 * 2**20
THREADS = min(4, os.cpu_count() or 1)
# Where the byte that ends a line stands for nothing else.
DIVISIBLE = frozenset(("utf-8", "utf-8-sig", "ascii", "latin-1", "iso-8859-1", "cp1252", "windows-1252"))


def read_blocks(stream: IO[bytes], options: Mapping[str, Any], *, begin: int, rows: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of a text in their order, some at a time.

    Args:
        stream: the text.
        options: of `pandas.read_csv`, without a header.
        begin: lines above the first row.
        rows: how many are parsed at once where one thread does it.

    Raises:
        pandas.errors.ParserError: for a row of more cells than those above it.
        UnicodeDecodeError: for bytes that the encoding does not have.
    """
    head = b""
    if str(options["encoding"]).lower() in DIVISIBLE:
        head = b"".join(stream.readline() for _ in range(begin))
        if b"\r" not in head.replace(b"\r\n", b""):  # then a line ends as the parser has it
            begin, head = 0, (yield from _parse_blocks(stream, options))
            if not head:
                return
    text = io.BufferedReader(_Pieces([head], stream))
    yield from pd.read_csv(text, skiprows=begin, chunksize=rows, **options)


def _parse_blocks(stream: IO[bytes], options: Mapping[str, Any]) -> Generator[pd.DataFrame, None, bytes]:
    """Yield the blocks up to the first with a quotation mark, which is returned; nothing if there is none."""
    quote, parsing = str(options["quotechar"]).encode(options["encoding"]), deque[Future[pd.DataFrame]]()
    with ThreadPoolExecutor(THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # `_parse` sees to it
        while block := stream.read(BLOCK_BYTES):
            line = stream.readline()
            if quote in block or quote in line:
                break
            parsing.append(pool.submit(_parse, [block, line], options))
            if len(parsing) > THREADS and len(frame := parsing.popleft().result()):
                yield frame
        yield from (frame for each in parsing if len(frame := each.result()))
    return block + line if block else b""


def _parse(block: list[bytes], options: Mapping[str, Any]) -> pd.DataFrame:
    sought = f"{options['sep']} ".encode(options["encoding"])
    # To look for blanks behind delimiters takes the parser a fifth of the time, whether there are any or not.
    blanks = options["skipinitialspace"] and (len(options["sep"]) > 1 or any(sought in piece for piece in block))

    def parsed(*, low_memory: bool) -> pd.DataFrame:
        text = io.BufferedReader(_Pieces(block), buffer_size=2**18)
        found: pd.DataFrame = pd.read_csv(text, **{**options, "skipinitialspace": blanks, "low_memory": low_memory})
        return found

    # The parser spares memory by deciding anew what a column holds every few thousand rows.
    try:
        frame = parsed(low_memory=True)
    except pd.errors.EmptyDataError:  # a block of comments
        return pd.DataFrame()
    return parsed(low_memory=False) if (frame.dtypes == "object").any() else frame


class _Pieces(io.RawIOBase):
    """Pieces of a text in memory, and then what is left of a stream."""

    def __init__(self, pieces: Iterable[bytes], stream: IO[bytes] | None = None) -> None:
        self._pieces, self._stream = deque(memoryview(piece) for piece in pieces if piece), stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._pieces:
            piece, rest = self._pieces[0][: len(buffer)], self._pieces.popleft()[len(buffer) :]
            if rest:
                self._pieces.appendleft(rest)
        else:
            piece = memoryview(self._stream.read(len(buffer)) if self._stream else b"")
        buffer[: len(piece)] = piece
        return len(piece)


def join_blocks(chunks: Iterable[pd.DataFrame]) -> tuple[pd.DataFrame, list[int]]:
    """Join chunks column by column, so that the table is held once; return it and the columns of mixed kinds."""
    pieces: list[list[pd.Series]] = []
    for chunk in chunks:
        pieces = pieces or [[] for _ in chunk]
        if chunk.shape[1] != len(pieces):
            raise pd.errors.ParserError(f"rows of {len(pieces)} and of {chunk.shape[1]} fields")
        for parts, (_, cells) in zip(pieces, chunk.items(), strict=True):
            parts.append(cells)
    mixed = []

    def column(position: int) -> pd.Series:
        parts, pieces[position] = pieces[position], []
        if all(part.dtype.kind in "iuf" for part in parts):
            return pd.Series(np.concatenate([part.to_numpy() for part in parts]), copy=False)
        if len({part.dtype for part in parts}) == 1:
            return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        mixed.append(position)
        return pd.Series(np.zeros(sum(map(len, parts)), np.int8))

    with ThreadPoolExecutor(THREADS) as pool:
        columns = dict(enumerate(pool.map(column, range(len(pieces)))))
    return pd.DataFrame(columns, copy=False), sorted(mixed)
