"""Read a table from a file as people have it; what is not stated about its form is found, and noted."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from reprlib import repr as shortened
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from sweep.data.arff import arff_columns
from sweep.data.arrays import NOTHING_BESIDE, ONE_HOT, Arrays, Beside, is_one_hot, read_archive
from sweep.data.blocks import join_blocks, read_blocks
from sweep.data.cells import are_codes, by_value, find_codes, some
from sweep.data.foreign import refuse_foreign, refuse_zipped
from sweep.data.form import (
    MISSING,
    SAMPLE_BYTES,
    SAMPLE_LINES,
    WORDS_TOO,
    Form,
    Text,
    decode,
    find_encoding,
    is_empty,
    looks_measured,
    not_of,
    one_byte_encoding,
)
from sweep.data.rows import Inputs, row_count, told_shapes
from sweep.errors import BadInput, nearest

ARFF_START = re.compile(rb"(\s*%[^\n]*\n|\s)*@relation\s", re.IGNORECASE)
SINGLY_QUOTED = re.compile(r"(^|,)[ \t]*'((?:[^'\\\n]|\\.)*)'(?=[ \t]*(?:,|\r?$))", re.MULTILINE)
ARFF_BYTES = 4 * 1024 * 1024  # for the attributes above the rows
CHUNK_CELLS = 2_000_000  # that are read at once
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
        kinds: what the file itself says of a column, by position.
        label: the position of the label if the file itself tells it.
        begin: lines of text above the first row of data.
        arrays: the names of the arrays with the inputs and the label, of `.npz`.
        inputs: rows that keep their shape, `[rows, ...]`, one input or several; the label, or each of several labels,
            is then the only column.
        heads: the targets of several outputs of a model, by name or in order, for which a column of zeros stands.
        train_rows: so many first rows are given to train on and the others to validate on.
        weight: the position of the weights, where arrays tell it.
        by: that of what a split goes by.
    """

    columns: pd.DataFrame
    names: tuple[str, ...]
    form: Form
    sha256: str
    missing: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kinds: Mapping[int, Literal["number", "words"]] = field(default_factory=dict)
    label: int | None = None
    begin: int = 0
    arrays: tuple[str, ...] = ()
    inputs: Inputs | None = None
    heads: Inputs | None = None
    train_rows: int | None = None
    weight: int | None = None
    by: int | None = None

    def shown(self, position: int) -> str:
        """Return a column's number, counted from 1, and its name, as messages have it."""
        return f"column {position + 1}" + (f" ({shortened(self.names[position])})" if self.names else "")

    def find(self, which: str | int, field: str) -> int:
        """Return the position, from 0, of a column that is stated by its name or its position."""
        width, names = self.columns.shape[1], self.names
        if isinstance(which, int) or (which not in names and re.fullmatch(r"-?\d+", which)):
            if not -width <= int(which) < width:
                raise BadInput(field, f"must be a position from {-width} to {width - 1}, got {which}.")
            return int(which) % width
        if not names:
            raise BadInput(field, f"must be a position in a file without a header, got {which!r}.")
        if names.count(which) > 1:
            raise BadInput(field, f"must name one column, got {which!r}, which {names.count(which)} columns have.")
        if which not in names:
            raise BadInput(field, f"must be a column of the file, got {which!r}{nearest(which, names)}")
        return names.index(which)


def read_table(where: Path | Arrays, form: Form = NOTHING_STATED, beside: Beside = NOTHING_BESIDE) -> Table:
    """Read rows: a file of text with any delimiter, ARFF, Parquet or NumPy's `.npz`, compressed or not; or arrays.

    Args:
        where: the file, or arrays.
        form: what is stated about it.
        beside: which arrays tell something of the rows besides inputs and label.

    Raises:
        BadInput: on the key of `[data]` that is wrong, or on `data.file` if it cannot be read as a table.
    """
    if isinstance(where, Arrays):
        return _table_of(where, form, beside)
    source = _Source.of(where)
    try:
        kind = form.format or source.kind
        if form.kind == "array" and kind != "npz":
            raise BadInput("data.kind", f"must be table, since {where.name!r} is no .npz archive.")
        form = form.model_copy(update={"format": kind})
        if kind == "parquet":
            return _read_parquet(source, form)
        if kind == "npz":
            return _table_of(replace(read_archive(source.path, beside), sha256=source.sha256), form, beside)
        return _read_arff(source, form) if kind == "arff" else _read_rows(source, form)
    except (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise BadInput("data.file", f"must be readable, got {error}.") from error


@dataclass(frozen=True)
class _Source:
    """A regular file: its digest and its first bytes."""

    path: Path
    digest: Future[str]
    start: bytes
    rewritten: bytes | None = None

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
            beside = ThreadPoolExecutor(1)
            digest = beside.submit(_digest, path)
            beside.shutdown(wait=False)
            return cls(path, digest, start)
        except OSError as error:
            raise BadInput("data.file", f"must be readable, got {error}.") from error

    @property
    def sha256(self) -> str:
        return self.digest.result()

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
        """Open the content, uncompressed, or what it was rewritten as."""
        if self.rewritten is not None:
            yield BytesIO(self.rewritten)
            return
        if self.start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(self.path) as archive:
                names = [each.filename for each in archive.infolist() if not each.is_dir()]
                names = [name for name in names if not name.startswith("__MACOSX/")]
                refuse_zipped(names)
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


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_rows(source: _Source, stated: Form) -> Table:
    head = source.head()
    refuse_foreign(head)
    text = Text.find(head, stated)
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
        "keep_default_na": False,
        "decimal": form.decimal,
        "comment": form.comment,
        "encoding": form.encoding,
        "quotechar": form.quote,
        "skipinitialspace": True,
        "low_memory": False,
    }
    na_values = list(form.na_values or ())

    def chunks(**more: Any) -> Iterator[pd.DataFrame]:
        with source.open() as stream:
            rows = max(1_000, CHUNK_CELLS // len(text.rows[0]))
            yield from read_blocks(stream, options | more, begin=text.begin, rows=rows)

    def as_text(which: list[int]) -> Iterator[pd.DataFrame]:
        return chunks(usecols=which, dtype="object", na_values=[])

    try:
        columns, mixed = join_blocks(chunks(na_values=na_values))
        if mixed:
            words = chunks(usecols=mixed, dtype="object", na_values=na_values)
            columns[mixed] = pd.concat(words, ignore_index=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        _refuse_ragged(source, text, len(text.rows[0]))
        raise BadInput("data.file", f"must be well-formed, got {str(error).strip()}.") from error
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

    table = Table(columns, tuple(names), form, source.sha256, notes=tuple(notes), begin=text.begin)
    return _with_missing(table, as_text, text.rows[bool(form.header) :])


def _refuse_ragged(source: _Source, text: Text, width: int) -> None:
    """Raise `BadInput` for the first row of another width; pandas fills short rows in silence."""
    form, delimiter = text.form, text.form.delimiter or ","

    def lines(decoded: TextIOWrapper) -> Iterator[str]:
        return (line for line in islice(decoded, text.begin, None) if not is_empty(line, form.comment))

    quick = delimiter != " " and not form.comment  # most files have no quotation marks, and counting is much faster
    with source.open() as stream, TextIOWrapper(stream, form.encoding, newline="") as decoded:
        if quick and all(str(form.quote) not in line and line.count(delimiter) == width - 1 for line in lines(decoded)):
            return
    with source.open() as stream, TextIOWrapper(stream, form.encoding, newline="") as decoded:
        below = lines(decoded)
        rows = below if delimiter == " " else csv.reader(below, delimiter=delimiter, quotechar=form.quote)
        for number, row in enumerate(rows, start=1):
            cells = row.split() if isinstance(row, str) else row
            if len(cells) != width and (number > 1 or form.header or len(text.rows[0]) != len(cells)):
                like = "the header" if form.header else "row 1"
                rule = f"row {number} must have {width} fields like {like}, got {len(cells)}"
                shown = f": {shortened(cells[0])}" if sum(map(bool, cells)) == 1 else ""
                raise BadInput("data.file", f"{rule}{shown}.")


def _with_missing(
    table: Table, as_text: Callable[[list[int]], Iterable[pd.DataFrame]], rows: Sequence[Sequence[str]] = ()
) -> Table:
    """Strip cells of text, and count the missing cells of each column by what stands in them.

    The first `rows` of a text show where whole numbers may be codes, which are read as text.
    In a column of words, `-`, `.` and `none` are words, unless they are stated to stand for a missing value.
    """
    columns, tokens, begin = table.columns.copy(deep=False), list(table.form.na_values or ()), 0
    weak = WORDS_TOO if table.form.na_values == MISSING else frozenset()
    wordy = set()
    for position in columns.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in columns.dtypes]]:
        if pd.api.types.is_datetime64_any_dtype(columns[position]):
            continue
        if pd.api.types.infer_dtype(columns[position], skipna=True) == "boolean":
            columns[position] = columns[position].astype("boolean")
            continue
        cells = columns[position].astype("str").where(columns[position].notna())
        cells = by_value(cells, lambda text: (bare := text.str.strip()).mask(bare.isin(tokens)))
        columns[position] = cells
        if pd.to_numeric(some(cells.dropna()), errors="coerce").notna().any() and not are_codes(cells):
            numbers = by_value(cells, lambda text: pd.to_numeric(text, errors="coerce"))
            columns[position] = numbers if numbers.notna().sum() == cells.notna().sum() else cells
        are_numbers = pd.api.types.is_numeric_dtype(columns[position])
        if not are_numbers and not looks_measured(cells.dropna().iloc[:SAMPLE_LINES]):
            wordy.add(int(position))
    for place, codes in find_codes(columns, rows, as_text).items():
        columns[place] = codes
    absent = [int(position) for position in columns.columns if columns[position].hasnans]
    missing: dict[int, Counter[str]] = {place: Counter() for place in absent}
    words: dict[int, list[pd.Series]] = {}
    for chunk in as_text(absent) if absent else ():
        for place in absent:
            holes = columns[place].iloc[begin : begin + len(chunk)].isna().to_numpy()
            found = chunk[place].set_axis(range(begin, begin + len(chunk)))[holes].fillna("")
            found = by_value(found.astype("str"), lambda text: text.str.strip())
            if place in wordy and weak:
                words.setdefault(place, []).append(found[found.isin(weak)])
                found = found[~found.isin(weak)]
            missing[place].update({str(token): int(count) for token, count in found.value_counts().items()})
        begin += len(chunk)
    for place, parts in words.items():
        cells = columns[place].copy()
        for part in parts:
            cells.loc[part.index] = part
        columns[place] = cells
    return replace(table, columns=columns, missing={place: dict(counts) for place, counts in missing.items() if counts})


def _read_arff(source: _Source, stated: Form) -> Table:
    head = source.head(ARFF_BYTES)
    lines = decode(head, stated.encoding or find_encoding(head), whole=len(head) < ARFF_BYTES).splitlines()
    begin = next((at for at, line in enumerate(lines) if line.strip().lower() == "@data"), None)
    if begin is None:
        raise BadInput("data.file", "must be ARFF, got no line `@data`.")
    rows = "".join(lines[begin + 1 :])
    if "'" in rows and '"' in rows:  # pandas knows one quotation mark at a time
        encoding = stated.encoding or find_encoding(head)
        with source.open() as stream:
            whole = decode(stream.read(), encoding, whole=True)
        source = replace(source, rewritten=SINGLY_QUOTED.sub(r'\1"\2"', whole).encode(encoding))
        head = source.head(ARFF_BYTES)
    names, kinds, label = arff_columns(lines[:begin])
    if lines[begin + 1 : begin + 2] and lines[begin + 1].lstrip().startswith("{"):
        cure = "read it by `scipy.io.arff` or Weka, and write it as CSV"
        raise BadInput("data.file", f"must be ARFF with whole rows, got sparse ones; {cure}.")
    na_values = ("?", "<null>") if stated.na_values is None else stated.na_values
    arff = {"header": False, "delimiter": ",", "decimal": ".", "comment": "%", "na_values": na_values}
    text = Text.find(head, stated.model_copy(update=arff), begin + 1)
    if not text.rows:
        raise BadInput("data.file", "must hold rows of data, got none below `@data`.")
    table = _read_text(source, text)
    if len(names) != table.columns.shape[1]:
        raise BadInput(
            "data.file", f"must have {len(names)} cells in a row, like its attributes, got {table.columns.shape[1]}."
        )
    form = table.form.model_copy(update={"header": True})
    return replace(table, names=names, form=form, kinds=kinds, label=label, notes=())


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
    for place, name in enumerate(names):
        cells = columns[place]
        first = cells.dropna().iloc[:1]
        if len(first) and isinstance(first.iloc[0], list | dict | tuple | np.ndarray):
            raise BadInput("data.file", f"must hold cells, got column {place + 1} ({shortened(name)}) of lists.")
        if pd.api.types.is_timedelta64_dtype(cells):
            columns[place] = cells.dt.total_seconds() / 86_400
        elif len(first) and isinstance(first.iloc[0], bytes):
            columns[place] = cells.map(lambda cell: cell.decode(errors="replace"), na_action="ignore")
    original = columns.copy(deep=False)
    return _with_missing(
        Table(columns, names, form, source.sha256),
        lambda which: [original[which].astype("str").where(original[which].notna())],
    )


def _table_of(arrays: Arrays, form: Form, told: Beside) -> Table:
    """Return arrays as a table, of columns or, with rows of more than one dimension, of labels beside the inputs.

    Several inputs, and several labels a row that are no places of classes, are never columns. What the rows have
    beside them becomes columns: before the label of a table, and behind the labels of others.
    """
    beside, weight, by = arrays.chosen(told)
    x, y, notes = arrays.inputs, arrays.labels, list(arrays.notes)
    heads = None if isinstance(y, np.ndarray) else y
    what = "inputs" if not isinstance(x, np.ndarray) else "outputs" if heads is not None else ""
    what = what or ("labels a row" if y.ndim > 1 and not is_one_hot(y) else "")
    why = what and f"there are several {what}"
    if why and form.kind == "table":
        raise BadInput("data.kind", f"must be array, since {why}.")
    stated, form = form.kind, form.model_copy(update={"format": "npz", "header": True, "na_values": ()})
    facts: dict[str, Any] = {"sha256": arrays.sha256, "arrays": arrays.names, "train_rows": arrays.train_rows}
    if not isinstance(x, np.ndarray) or why or stated == "array" or (stated is None and x.ndim > 2):
        inputs = arrays.as_given()
        columns = pd.DataFrame(y.reshape(len(y), -1) if heads is None else np.zeros(row_count(heads)))
        shape = " x ".join(map(str, x.shape[1:])) if isinstance(x, np.ndarray) else ""
        if stated is None:
            kept = f"rows of {shape} numbers keep their shape" + (f", since {why}" if why else "")
            notes.append(kept if shape else f"the inputs are {told_shapes(inputs)}")
        form = form.model_copy(update={"kind": "array"})
        width = columns.shape[1]
        names = (*(("y",) if width == 1 else (f"y{place}" for place in range(width))), *beside)
        columns = pd.concat([columns, pd.DataFrame(dict(enumerate(beside.values(), start=width)))], axis="columns")
        table = Table(columns, names, form, notes=tuple(notes), inputs=inputs, heads=heads, label=0, **facts)
    else:
        labels, shape = y.argmax(axis=1) if y.ndim > 1 else y, x.shape[1:]
        notes += [ONE_HOT] if y.ndim > 1 else []
        features = pd.DataFrame(x.reshape(len(x), -1))
        more = pd.DataFrame(dict(enumerate([*beside.values(), labels], start=features.shape[1])))
        columns = pd.concat([features, more], axis="columns")
        names = (*(f"x{place}" for place in range(features.shape[1])), *beside, "y")
        notes += [f"rows of {shape} numbers are read as {features.shape[1]} columns"] if len(shape) > 1 else []
        if stated is None and x.dtype.kind in "iu" and len(shape) == 1 and shape[0] > 1:
            notes.append('whole numbers are read as columns of a table; kind = "array" keeps them as sequences')
        table = Table(columns, names, form, notes=tuple(notes), **facts)
    places = {name: place for place, name in enumerate(names) if name in beside}
    table = replace(table, weight=places.get(weight or ""), by=places.get(by or ""))
    return _with_missing(table, lambda which: [table.columns[which].astype("str")])
