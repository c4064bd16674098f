"""Read a table from a file as people have it; what is not stated about its form is found, and noted."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from reprlib import repr as shortened
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from sweep.data.form import (
    MISSING,
    SAMPLE_BYTES,
    Form,
    Text,
    decode,
    find_encoding,
    is_empty,
    not_of,
    one_byte_encoding,
)
from sweep.errors import BadInput

ARFF_START = re.compile(rb"(\s*%[^\n]*\n|\s)*@relation\s", re.IGNORECASE)
ATTRIBUTE = re.compile(r"""\s*@attribute\s+(?:(['"])(.+?)\1|([^\s{]+))""", re.IGNORECASE)
ARFF_BYTES = 4 * 1024 * 1024  # for the attributes above the rows
COMPRESSED: Mapping[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


NOTHING_STATED = Form()


@dataclass(frozen=True)
class Table:
    """The columns of a file, as it has them.

    Attributes:
        columns: labelled by position from 0; numbers where every cell is one or missing, else text.
        names: of the columns, empty without a header.
        form: how the file is written, with nothing left open.
        missing: the number of cells by column and by what stands in them.
        notes: what was found rather than stated, one sentence each.
        sha256: hexadecimal digest of the file's bytes.
    """

    columns: pd.DataFrame
    names: tuple[str, ...]
    form: Form
    sha256: str
    missing: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def shown(self, position: int) -> str:
        """Return a column's number, counted from 1, and its name, as messages have it."""
        return f"column {position + 1}" + (f" ({shortened(self.names[position])})" if self.names else "")


def read_table(path: Path, form: Form = NOTHING_STATED) -> Table:
    """Read a file of rows: text with any delimiter, ARFF, Parquet or NumPy's `.npz`, compressed or not.

    Args:
        path: the file.
        form: what is stated about it.

    Raises:
        BadInput: on the key of `[data]` that is wrong, or on `data.file` if it cannot be read as a table.
    """
    source = _Source.of(path)
    kind = form.format or source.kind
    form = form.model_copy(update={"format": kind})
    try:
        if kind == "parquet":
            return _read_parquet(source, form)
        if kind == "npz":
            return _read_npz(source, form)
        return _read_arff(source, form) if kind == "arff" else _read_rows(source, form)
    except (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise BadInput("data.file", f"must be readable, got {error}.") from error


@dataclass(frozen=True)
class _Source:
    """A regular file: its digest and its first bytes."""

    path: Path
    sha256: str
    start: bytes

    @classmethod
    def of(cls, path: Path) -> _Source:
        try:
            if not path.exists():
                raise BadInput("data.file", f"must exist, got {str(path)!r}.")
            if not path.is_file():  # a device or a pipe might never end
                found = "a directory" if path.is_dir() else "a device or pipe"
                raise BadInput("data.file", f"must be a regular file, got {found}: {str(path)!r}.")
            with path.open("rb") as stream:
                start = stream.read(8)
                stream.seek(0)
                return cls(path, hashlib.file_digest(stream, "sha256").hexdigest(), start)
        except OSError as error:
            raise BadInput("data.file", f"must be readable, got {error}.") from error

    @property
    def kind(self) -> Literal["csv", "arff", "parquet", "npz"]:
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        if self.start.startswith(b"PAR1"):
            return "parquet"
        if self.start.startswith(b"PK") and ".npz" in suffixes:
            return "npz"
        return "arff" if ".arff" in suffixes or ARFF_START.match(self.head()) else "csv"

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the content, uncompressed."""
        if self.start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(self.path) as archive:
                names = [each.filename for each in archive.infolist() if not each.is_dir()]
                names = [name for name in names if not name.startswith("__MACOSX/")]
                if len(names) != 1:
                    listed = ", ".join(names[:5])
                    raise BadInput("data.file", f"must be an archive of 1 file, got {len(names)}: {listed}.")
                with archive.open(names[0]) as stream:
                    yield stream
            return
        opened = next((opened for magic, opened in COMPRESSED.items() if self.start.startswith(magic)), None)
        with self.path.open("rb") if opened is None else opened(self.path) as stream:
            yield stream

    def head(self, size: int = SAMPLE_BYTES) -> bytes:
        with self.open() as stream:
            return stream.read(size)


def _read_rows(source: _Source, stated: Form) -> Table:
    text = Text.find(source.head(), stated)
    if not text.rows:
        raise BadInput("data.file", "must hold rows of data, got an empty file.")
    try:
        return _read_text(source, text)
    except UnicodeDecodeError as error:
        if stated.encoding is not None:
            raise not_of(stated.encoding, error.object[error.start]) from error
        encoding = one_byte_encoding(error.object)
        return _read_text(source, Text.find(source.head(), stated.model_copy(update={"encoding": encoding})))


def _read_text(source: _Source, text: Text) -> Table:
    form, notes, names = text.form, list(text.notes), text.rows[0] if text.form.header else []
    if len(text.rows) < 1 + bool(form.header):
        raise BadInput("data.file", "must hold rows of data, got only a header.")
    options: dict[str, Any] = {
        "header": None,
        "sep": r"\s+" if form.delimiter == " " else form.delimiter,
        "skiprows": text.skipped + bool(form.header),
        "keep_default_na": False,
        "decimal": form.decimal,
        "comment": form.comment,
        "encoding": form.encoding,
        "quotechar": text.quote,
        "skipinitialspace": True,
        "low_memory": False,
    }
    try:
        with source.open() as stream:
            columns = pd.read_csv(stream, na_values=list(form.na_values or ()), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        _refuse_ragged(source, text, len(text.rows[0]))
        raise BadInput("data.file", f"must be well-formed, got {error}.") from error
    width = columns.shape[1]
    if columns[width - 1].isna().any():
        _refuse_ragged(source, text, width)
    if columns[width - 1].isna().all() and not (len(names) == width and names[-1]):
        columns, names, width = columns.drop(columns=width - 1), names[: width - 1], width - 1
        notes.append("every row ends with a delimiter, which divides nothing")
    if len(names) == width - 1 > 0:  # as R writes the names of rows
        names = ["row names", *names]
        notes.append("the header has one name less than the rows have cells, so column 1 holds the names of the rows")
    if names and len(names) != width:
        raise BadInput("data.file", f"row 1 must have {len(names)} fields like the header, got {width}.")
    if width < 2:
        raise BadInput("data.file", "must hold a label and at least 1 feature, got 1 column.")

    def as_text(which: list[int]) -> pd.DataFrame:
        with source.open() as stream:
            found: pd.DataFrame = pd.read_csv(stream, usecols=which, dtype=str, **options)
        return found

    return _with_missing(Table(columns, tuple(names), form, source.sha256, notes=tuple(notes)), as_text)


def _refuse_ragged(source: _Source, text: Text, width: int) -> None:
    """Raise `BadInput` for the first row of another width; pandas fills short rows in silence."""
    form = text.form
    with source.open() as stream, TextIOWrapper(stream, form.encoding, newline="") as decoded:
        below = islice(decoded, text.skipped, None)
        lines = (line for line in below if not is_empty(line, form.comment))
        rows = (
            lines if form.delimiter == " " else csv.reader(lines, delimiter=form.delimiter or ",", quotechar=text.quote)
        )
        for number, row in enumerate(rows, start=0 if form.header else 1):
            got = len(row.split()) if isinstance(row, str) else len(row)
            if got != width and number > 0:
                like = "the header" if form.header else "row 1"
                raise BadInput("data.file", f"row {number} must have {width} fields like {like}, got {got}.")


def _with_missing(table: Table, as_text: Callable[[list[int]], pd.DataFrame]) -> Table:
    """Strip cells of text, and count the missing cells of each column by what stands in them."""
    columns, tokens = table.columns.copy(deep=False), list(table.form.na_values or ())
    for position in columns.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in columns.dtypes]]:
        cells = columns[position].astype("str").where(columns[position].notna()).str.strip()
        cells = cells.mask(cells.isin(tokens))
        numbers = pd.to_numeric(cells, errors="coerce")
        columns[position] = numbers if numbers.notna().sum() == cells.notna().sum() > 0 else cells
    absent = [int(position) for position in columns.columns if columns[position].isna().any()]
    missing: dict[int, dict[str, int]] = {}
    if absent:
        text = as_text(absent)
        for place in absent:
            found = text[place][columns[place].isna()].fillna("").str.strip().value_counts()
            missing[place] = {str(token): int(count) for token, count in found.items()}
    return replace(table, columns=columns, missing=missing)


def _read_arff(source: _Source, stated: Form) -> Table:
    head = source.head(ARFF_BYTES)
    lines = decode(head, stated.encoding or find_encoding(head), whole=len(head) < ARFF_BYTES).splitlines()
    begin = next((at for at, line in enumerate(lines) if line.strip().lower() == "@data"), None)
    if begin is None:
        raise BadInput("data.file", "must be ARFF, got no line `@data`.")
    names = tuple(found[2] or found[3] for line in lines[:begin] if (found := ATTRIBUTE.match(line)))
    if lines[begin + 1 : begin + 2] and lines[begin + 1].lstrip().startswith("{"):
        raise BadInput("data.file", "must be ARFF with whole rows, got sparse ones.")
    arff = {"header": False, "delimiter": ",", "decimal": ".", "comment": "%", "na_values": stated.na_values or ("?",)}
    text = Text.find(head, stated.model_copy(update=arff), begin + 1)
    table = _read_text(source, text)
    if len(names) != table.columns.shape[1]:
        raise BadInput(
            "data.file", f"must have {len(names)} cells in a row, like its attributes, got {table.columns.shape[1]}."
        )
    return replace(table, names=names, form=table.form.model_copy(update={"header": True}))


def _read_parquet(source: _Source, form: Form) -> Table:
    try:
        columns = pd.read_parquet(source.path)
    except ImportError as error:
        raise BadInput("data.file", "is Parquet, which needs pyarrow: `pip install pyarrow`.") from error
    except Exception as error:  # pyarrow's own, which are many
        raise BadInput("data.file", f"must be a Parquet file, got: {error}.") from error
    names = tuple(map(str, columns.columns))
    form = form.model_copy(update={"header": True, "na_values": MISSING if form.na_values is None else form.na_values})
    columns = columns.reset_index(drop=True).set_axis(range(len(names)), axis="columns")
    original = columns.copy(deep=False)
    return _with_missing(
        Table(columns, names, form, source.sha256),
        lambda which: original[which].astype("str").where(original[which].notna()),
    )


def _read_npz(source: _Source, form: Form) -> Table:
    try:
        with np.load(source.path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except ValueError as error:
        raise BadInput("data.file", f"must be an .npz archive of plain arrays, got: {error}.") from error
    x, y = (next((arrays[name] for name in pair if name in arrays), None) for pair in (("x", "X"), ("y", "Y")))
    if x is None or y is None or len(x) != len(y):
        got = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise BadInput("data.file", f"must hold `x` [rows, features] and `y` [rows], got {got or 'nothing'}.")
    features = pd.DataFrame(x.reshape(len(x), -1))
    columns = features.assign(**{"y": y.reshape(len(y))}).set_axis(range(features.shape[1] + 1), axis="columns")
    names = (*(f"x{place}" for place in range(features.shape[1])), "y")
    form = form.model_copy(update={"header": True, "na_values": ()})
    return _with_missing(Table(columns, names, form, source.sha256), lambda which: columns[which].astype("str"))
