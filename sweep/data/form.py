"""Find how a text of rows is written: its encoding, comments, delimiter, decimal mark and header."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from reprlib import repr as shortened
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from sweep.errors import BadInput
from sweep.model import StrictModel

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": " "}
OTHER_WORDS = {"space": " ", "\\t": "\t", "\\s+": " ", "whitespace": " "}
MISSING = (
    *("", "?", "-", ".", "--", "---", "..", "...", "NA", "N/A", "n/a", "N/a", "na", "N.A.", "n.a.", "#N/A", "#NA"),
    *("NaN", "nan", "NAN", "-nan", "-NaN", "null", "NULL", "Null", "(null)", "<null>", "<NULL>", "<NA>", "\\N"),
    *("None", "none", "NONE", "nil", "Nil", "NIL", "#VALUE!", "#DIV/0!", "#REF!", "#NULL!", "#NUM!", "#NAME?"),
)
WORDS_TOO = frozenset(("-", ".", "--", "---", "..", "...", "None", "none", "NONE", "nil", "Nil", "NIL"))
SAMPLE_BYTES = 256 * 1024
SAMPLE_LINES = 400
MOST_TITLES = 20  # lines above a table
PLAIN_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+")
DRESSED = re.compile(
    r"[-+(]?[$€£¥]?\s?[-+]?\d[\d., ]*([eE][-+]?\d+)?\s?[%€$£¥)]?"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ][\d:.]+Z?)?|true|false",
    re.IGNORECASE,
)
SIGNS = re.compile(r"[$€£¥%\s]")
UNIT_BEHIND = re.compile(r"(?<=\d)[A-Za-z]{1,4}\.?$")
NUMBERS_APART = re.compile(r"[-+]?[\d.]+(?: +[-+]?[\d.]+)+")
COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?|[-+]?\d{1,3}(\.\d{3})+(,\d+)?")


class Form(StrictModel):
    """How a table is written; `None` is found in the file.

    Args:
        format: `csv` stands for every text of rows, whatever divides its cells.
        delimiter: one character, or a blank for any number of blanks and tabs.
        decimal: what stands between a number's whole part and its fraction.
        encoding: as Python names it.
        comment: the character that begins a comment.
        quote: what surrounds a cell that holds the delimiter.
        header: whether the first row holds the names of the columns.
        na_values: cells that stand for a missing value.
        kind: `array` keeps the rows of an .npz archive or a function in their shape; rows of one dimension are a
            table's columns unless it is stated.
    """

    format: Literal["csv", "arff", "parquet", "npz"] | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    comment: str | None = None
    quote: str | None = None
    header: bool | None = None
    na_values: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    kind: Literal["table", "array"] | None = None

    @field_validator("delimiter", mode="before")
    @classmethod
    def _delimiter_may_be_a_word(cls, value: Any) -> Any:
        found = (DELIMITERS | OTHER_WORDS).get(value, value) if isinstance(value, str) else value
        if isinstance(found, str) and (len(found) != 1 or found in '\r\n\0"'):
            rule = f"must be one character, or one of {', '.join(DELIMITERS)}"
            raise BadInput("data.delimiter", f"{rule}, got {value!r}.")
        return found

    @field_validator("comment", "quote")
    @classmethod
    def _is_one_character(cls, value: str | None, info: ValidationInfo) -> str | None:
        refused = '\r\n\0"' if info.field_name == "comment" else "\r\n\0"
        if value is not None and (len(value) != 1 or value in refused):
            raise BadInput(f"data.{info.field_name}", f"must be one character, got {value!r}.")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError as error:
            raise BadInput("data.encoding", f"must be an encoding that Python knows, got {value!r}.") from error
        return value


@dataclass(frozen=True)
class Text:
    """A text of rows, as its beginning shows it.

    Attributes:
        form: with nothing left open.
        rows: the cells of the first rows, the header among them.
        begin: lines above the first row of data.
        notes: what was found rather than stated.
    """

    form: Form
    rows: list[list[str]]
    begin: int
    notes: list[str]

    @classmethod
    def find(cls, head: bytes, stated: Form, above: int = 0) -> Text:
        """Find what is not stated; `above` lines are not part of the table."""
        notes: list[str] = []
        encoding = stated.encoding or find_encoding(head)
        text = decode(head, encoding, whole=len(head) < SAMPLE_BYTES)
        if "\0" in text:
            raise BadInput("data.file", "must be UTF-8 text, got byte 0x00.")
        lines = text.splitlines(keepends=True)
        lines = lines[: above + SAMPLE_LINES] if len(head) < SAMPLE_BYTES else lines[:-1][: above + SAMPLE_LINES]
        comment = stated.comment or _find_comment(lines[above:])
        places = [at for at, line in enumerate(lines) if at >= above and not is_empty(line, comment)]
        kept = [lines[at] for at in places]
        quote = stated.quote or ("'" if _is_quoted_singly(kept) else '"')
        delimiter = stated.delimiter or _find_delimiter(kept, quote)
        rows = _parse(kept, delimiter, quote)
        titles = 0 if stated.header is False else _count_titles(kept, rows, delimiter, quote)
        places, rows = places[titles:], _parse(kept[titles:], delimiter, quote)
        decimal = stated.decimal or _find_decimal(rows)
        below = _count_below(rows) if stated.header is not False else 0
        header = stated.header if stated.header is not None else _has_header([*rows[:1], *rows[1 + below :]])
        below = below if header else 0
        begin = places[0] + header if places else len(lines)
        rows_below = rows[1 : 1 + below]
        if below and len(places) > below + 1:
            begin, rows = places[below + 1], [rows[0], *rows[below + 1 :]]
        form = stated.model_copy(
            update={
                "encoding": encoding,
                "comment": comment,
                "delimiter": delimiter,
                "decimal": decimal,
                "quote": quote,
                "header": header,
                "na_values": MISSING if stated.na_values is None else ("", *stated.na_values),
            }
        )
        if stated.encoding is None and not encoding.startswith("utf-8"):
            notes.append(f"the text is read as {encoding}")
        if stated.comment is None and comment is not None:
            notes.append(f"lines that begin with {comment!r} are comments")
        if stated.delimiter is None and delimiter != ",":
            word = next(word for word, character in DELIMITERS.items() if character == delimiter)
            notes.append(f"cells are divided by {word}s")
        if stated.decimal is None and decimal == ",":
            notes.append("numbers have a decimal comma")
        if stated.header is None:
            first = places[0] + 1 if places else 1
            notes.append(
                f"line {first} holds the names of the columns" if header else f"line {first} is data, no names"
            )
        if titles:
            notes.append(f"{titles} line{'s' * (titles > 1)} above the table left out: {shortened(kept[0].strip())}")
        if below:
            extra = ", ".join(filter(None, rows_below[0]))
            notes.append(f"{below} more line{'s' * (below > 1)} of names or units left out: {shortened(extra)}")
        return cls(form, rows, begin, notes)


def find_encoding(head: bytes) -> str:
    """Return the encoding that a mark, zero bytes or the bytes themselves show."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return name
    if len(head) > 3 and head[1::2].count(0) > len(head) / 4:
        return "utf-16-le"
    if len(head) > 3 and head[::2].count(0) > len(head) / 4:
        return "utf-16-be"
    try:
        decode(head, "utf-8", whole=len(head) < SAMPLE_BYTES)
    except BadInput:
        return one_byte_encoding(head)
    return "utf-8"


def one_byte_encoding(content: bytes) -> str:
    """Return what text that is not UTF-8 is read as."""
    return "latin-1" if any(byte in content for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)) else "cp1252"


def decode(content: bytes, encoding: str, *, whole: bool) -> str:
    """Decode a content, or the beginning of one, which may end within a character."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    except UnicodeDecodeError as error:
        raise not_of(encoding, content[error.start]) from error


def not_of(encoding: str, byte: int) -> BadInput:
    """Return the error for a byte that an encoding does not have."""
    return BadInput("data.encoding", f"must be the encoding of the file, got {encoding!r}, which lacks {byte:#04x}.")


def _find_comment(lines: Sequence[str]) -> str | None:
    """Return the character that begins the first lines, or later ones of other widths than the rows'."""
    first = next((line.strip() for line in lines if line.strip()), "")
    if first[:1] in ("#", "%") and not _cells_after_mark(first, lines):
        return first[0]
    later = [line.lstrip() for line in lines if line.lstrip().startswith("#")]
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not later or first.startswith("#") or not rows or any("#" in line for line in rows):
        return None
    usual = Counter(map(_marks, rows)).most_common(1)[0][0]
    return "#" if all(_marks(line) != usual for line in later) else None


def _marks(line: str) -> tuple[int, ...]:
    return tuple(line.count(mark) for mark in ",;\t|")


def _cells_after_mark(first: str, lines: Sequence[str]) -> bool:
    """Say whether a line such as `#a,b,c` is the header: it has as many commas as the line below it."""
    below = next((line for line in lines if line.strip() and not line.lstrip().startswith(first[0])), "")
    counts = [(first.count(mark), below.count(mark)) for mark in ",;\t|"]
    return any(above and above == under for above, under in counts)


def is_empty(line: str, comment: str | None) -> bool:
    """Say whether a line holds nothing but blanks or a comment."""
    stripped = line.strip(" \t\r\n")
    return not stripped or (comment is not None and stripped.startswith(comment))


def _is_quoted_singly(lines: Sequence[str]) -> bool:
    """Say whether cells are quoted by apostrophes."""
    text = "".join(lines[:50])
    return '"' not in text and len(re.findall(r"(?:^|[,;\t|])\s*'[^'\n]*'\s*(?=[,;\t|\r\n]|$)", text, re.M)) >= 2


def _parse(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    """Return the cells of some lines, without the blanks around them."""
    text = "".join(line.replace("\t", " ") if delimiter == " " else line for line in lines)
    stream = StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, quotechar=quote, skipinitialspace=True)
    try:
        rows = [[cell.strip() for cell in row] for row in reader if row]
    except csv.Error as error:
        raise BadInput("data.file", f"must be well-formed, got in line {reader.line_num}: {error}.") from error
    return [row[:-1] if delimiter == " " and row[-1] == "" else row for row in rows]


def _count_titles(lines: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str, quote: str) -> int:
    """Return how many of the first lines are a title: all but one of their cells are empty or not there."""
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    if width < 3 or delimiter == " ":
        return 0
    for count, line in enumerate(lines[:MOST_TITLES]):
        cells = next(iter(_parse([line], delimiter, quote)), [])
        filled = [cell for cell in cells if cell]
        if len(cells) >= width - 1 and (len(filled) > 1 or not filled or DRESSED.fullmatch(filled[0])):
            return count
        if len(cells) < width - 1 and len(filled) > width // 2:
            return count
    return 0


def _count_below(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows below the names are units or types: words, or nothing, over columns of numbers."""
    data = [row for row in rows[3:] if len(row) == len(rows[0])]
    if len(data) < 3:
        return 0
    measured = [place for place in range(len(rows[0])) if looks_measured([row[place] for row in data], share=1.0)]
    count = 0
    for row in rows[1:3]:
        cells = [row[place] for place in measured] if len(row) == len(rows[0]) else []
        if len(cells) < 2 or any(map(DRESSED.fullmatch, cells)) or any(cell and cell in MISSING for cell in cells):
            break
        if not any(cells) and not count:
            break
        count += 1
    return count


def looks_measured(cells: Iterable[str], share: float = 0.5) -> bool:
    """Say whether cells that are not missing are mostly numbers or dates, however written."""
    present = [cell for cell in cells if cell not in MISSING]
    return bool(present) and sum(map(bool, map(DRESSED.fullmatch, present))) >= share * len(present)


def _find_delimiter(lines: Sequence[str], quote: str) -> str:
    """Return the character that divides most lines into equally many cells, none of which another one would divide."""

    def fitness(delimiter: str) -> tuple[float, ...]:
        rows = _parse(lines, delimiter, quote)
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
        if width < 2:
            return (0.0,)
        cells = [cell for row in (rows[1:] or rows) for cell in row]
        others = [other for other in ",;\t|" if other != delimiter]
        apart = [cell for cell in cells if NUMBERS_APART.fullmatch(cell)] if delimiter == "\t" else []
        clean = sum(not any(map(cell.count, others)) or bool(COMMA_NUMBER.fullmatch(_bare(cell))) for cell in cells)
        clean -= len(apart)
        return round(count / len(rows), 2), round(clean / max(1, len(cells)), 2), delimiter != " ", width

    fits = {delimiter: fitness(delimiter) for delimiter in ("\t", ";", "|", ",", " ")}
    tabs = _parse(lines, "\t", quote)
    apart = any(NUMBERS_APART.fullmatch(cell) for row in tabs for cell in row)
    if len(set(map(len, tabs))) == 1 and len(tabs[0]) > 1 and not apart:  # a blank is then part of a cell
        fits[" "] = (0.0,)
    found = max(fits, key=lambda delimiter: fits[delimiter])
    return found if fits[found][0] > 0 else ","


def _bare(cell: str) -> str:
    """Return a number without its currency, percent or unit."""
    return UNIT_BEHIND.sub("", SIGNS.sub("", cell))


def _find_decimal(rows: Sequence[Sequence[str]]) -> Literal[".", ","]:
    """Return a comma if numbers are written with it and never with a point."""
    cells = [_bare(cell) for row in rows[1:] for cell in row]
    commas = sum(bool(COMMA_NUMBER.fullmatch(cell)) and not THOUSANDS.fullmatch(cell) for cell in cells)
    points = sum(bool(PLAIN_NUMBER.fullmatch(cell)) and "." in cell for cell in cells)
    return "," if commas and not points else "."


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the first row names the columns: words over numbers, or words that no other row has."""
    first, rest = rows[0] if rows else [], rows[1:]
    if rest and all(len(row) == len(first) + 1 for row in rest):  # R names the columns, and not that of the rows' names
        return True
    rest = [row for row in rest if len(row) == len(first)]
    if not rest:
        return not any(map(DRESSED.fullmatch, first))
    votes = 0.0
    for place, name in enumerate(first):
        below = [row[place] for row in rest if row[place] not in MISSING]
        if not below or name in MISSING:
            continue
        if all(map(DRESSED.fullmatch, below)):
            votes += _vote(name, below)
        elif DRESSED.fullmatch(name) or name in below:
            votes -= 1.0
        elif len(set(below)) < len(below):
            votes += 0.5
    return votes > 0


def _vote(name: str, below: Sequence[str]) -> float:
    """Return 1 for a word over numbers, -1 for a number like those below it, 0 for one outside, such as a year."""
    if not DRESSED.fullmatch(name):
        return 1.0
    try:
        return -1.0 if min(map(float, below)) <= float(name) <= max(map(float, below)) else 0.0
    except ValueError:  # dates and the like
        return -1.0
