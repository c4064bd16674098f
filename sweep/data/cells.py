"""Read cells of text as numbers with signs and units, as dates, or as times of day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

EPOCH = pd.Timestamp(1970, 1, 1)
COMPACT = "%Y%m%d"  # a date as one whole number, from 1900 to 2100
SAMPLE = 200  # cells that decide what is worth trying
SIGNS = r"[$€£¥₹%\s\u00a0\u202f]|US\$|R\$|\b(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|INR|Rs\.?)(?![A-Za-z])"
THOUSANDS = {".": r"(?<=\d)[,'\u2019](?=\d{3}(?:\D|$))", ",": r"(?<=\d)[.'\u2019](?=\d{3}(?:\D|$))"}
APART = re.compile(r"\d[\s\u00a0\u202f](?!\d{3}(?:\D|$))\d")  # "12 34", which is no number
MAGNITUDES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6, "B": 1e9, "bn": 1e9, "Mio": 1e6, "Mrd": 1e9}
WITH_UNIT = re.compile(r"([-+]?[\d.,' ]*\d(?:[eE][-+]?\d+)?)\s*([A-Za-zµ°Å/²³²^]*[A-Za-zµ°²³](?:\.|\^?[23])?)")

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y %m %d", "%Y %b %d", "%Y-%b-%d", "%Y %B %d", "%d.%m.%Y", "%d.%m.%y"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%b %d %Y", "%b %d, %Y"),
    *("%B %d %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d %b %y", "%b-%d-%Y"),
    *("%d. %B %Y", "%a %b %d %Y", "%a, %d %b %Y", "%A, %B %d, %Y", "%d%b%Y"),
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y", "%b %y", "%Y %b", "%Y-%b", "%YM%m")
SWAPPED = {"%m/%d": "%d/%m", "%d/%m": "%m/%d", "%d-%m": "%m-%d", "%m-%d": "%d-%m"}
DIRECTIVES = {
    "Y": r"\d{4}", "b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "a": "[A-Za-z]{3}", "A": "[A-Za-z]{6,9}",
    "f": r"\d{1,9}", "p": "[AaPp][Mm]", "y": r"\d\d",
}  # fmt: skip
CLOCK = re.compile(r"(.*\d)(T| |, )(\d?\d:\d\d\S*(?: [AaPp][Mm])?)$")
ZONE = re.compile(r"(.*\d)( ?)(Z|UTC|GMT|[+-]\d\d:?\d\d)$")
WEEK = r"(\d{4})-?W(\d\d?)"
QUARTER = r"(\d{4})[- ]?Q([1-4])"
LIKE_A_DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}\b.*|.*\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d{4}.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Read:
    """Cells as numbers.

    Attributes:
        how: the form they are written in, as a reason for what a column is.
        values: numbers, hours of the day, or days since 1970; NaN where missing.
        written: a date's or a time's format, or `units`, `weeks` or `quarters`.
        are_days: whether they are days.
    """

    how: str
    values: pd.Series
    written: str
    are_days: bool = True


def some(cells: pd.Series, count: int = SAMPLE) -> pd.Series:
    """Return some cells, taken evenly over all."""
    return cells if len(cells) <= count else cells.iloc[:: -(-len(cells) // count)]


def written_by_type(cells: pd.Series) -> str:
    """Return how cells are written that are no text: `truth`, `date` or `plain` numbers; empty for text."""
    if pd.api.types.is_bool_dtype(cells):
        return "truth"
    if pd.api.types.is_datetime64_any_dtype(cells):
        return "date"
    return "plain" if pd.api.types.is_numeric_dtype(cells) else ""


def by_value(text: pd.Series, change: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Change every cell, each different one once."""
    codes, different = pd.factorize(text)
    if len(different) > len(text) / 2:
        return change(text)
    changed = change(pd.Series(different, dtype="str"))
    return changed.reindex(codes).set_axis(text.index)


def read_numbers(text: pd.Series, decimal: str) -> pd.Series:
    """Return numbers written with a currency, a percent sign, thousands, or in brackets for minus; else NaN."""
    return by_value(text, lambda cells: _bare_numbers(cells, decimal))


def _bare_numbers(text: pd.Series, decimal: str) -> pd.Series:
    bare = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True).str.replace("\u2212", "-")
    bare = bare.mask(bare.str.contains(APART, regex=True).fillna(False).astype("bool"))
    bare = bare.str.replace(SIGNS, "", regex=True).str.replace(THOUSANDS[decimal], "", regex=True)
    bare = bare.str.replace(",", ".") if decimal == "," else bare
    return pd.to_numeric(bare, errors="coerce").astype("float64")


def read_units(text: pd.Series, decimal: str) -> Read | None:
    """Return numbers that all have one unit behind them, such as `12 km`, or a magnitude, such as `1.5M` and `200k`."""
    present = text.dropna()
    parts = some(present).str.replace(SIGNS, "", regex=True).str.fullmatch(WITH_UNIT)
    if not parts.mean() > 0.5:
        return None
    bare = text.str.replace(SIGNS, "", regex=True)
    found = bare.str.extract(WITH_UNIT.pattern + "$").set_axis(["number", "unit"], axis="columns")
    plain = read_numbers(bare, decimal)
    units = set(found["unit"].dropna().unique())
    numbers = read_numbers(found["number"], decimal).where(plain.isna(), plain)
    if not (units <= MAGNITUDES.keys() or (len(units) == 1 and plain.isna().all())):
        return None
    if numbers.notna().sum() < len(present) or found["number"].str.contains(APART, regex=True).any():
        return None
    factors = found["unit"].map(MAGNITUDES).fillna(1.0) if units <= MAGNITUDES.keys() and len(units) > 1 else 1.0
    return Read(f"written like {present.iloc[0]!r}", numbers * factors, "units", are_days=False)


def read_dates(text: pd.Series) -> Read | None:
    """Return days since 1970, or hours of the day, if one format fits all cells."""
    present = text.dropna()
    first = str(present.iloc[0])
    if not re.search(r"\d", first):
        return None
    found = _moments(text, present) or _weeks_or_quarters(text, present)
    if found is not None:
        return found
    for clock in CLOCKS:
        if not _pattern(clock).fullmatch(first):
            continue
        hours = _parsed(text, present, clock)
        if hours is not None:
            midnight = hours.dt.normalize()
            told = f"written as {clock}, read as hours of the day"
            return Read(told, (hours - midnight) / pd.Timedelta(hours=1), clock, are_days=False)
    return None


def read_compact_dates(cells: pd.Series) -> Read | None:
    """Return days since 1970 if all numbers are dates such as 20200131."""
    present = cells.dropna()
    if present.empty or present.min() < 19_000_101 or present.max() > 21_001_231 or not is_whole(present):
        return None
    text = as_text(cells)
    dates = _parsed(text, text.dropna(), COMPACT)
    return None if dates is None else Read(f"written as {COMPACT}, read as days since 1970", days(dates), COMPACT)


def _formats(first: str) -> Iterator[str]:
    """Yield the formats of moments that a cell may have."""
    clock = zone = ""
    zoned = ZONE.fullmatch(first) if ":" in first else None
    if zoned is not None:
        first, gap, word = zoned.groups()
        zone = gap + (word if word.isalpha() else "%z")
    timed = CLOCK.fullmatch(first)
    if timed is not None:
        first, gap, told = timed.groups()
        fitting = [clock for clock in CLOCKS if _pattern(clock).fullmatch(told)]
        if not fitting:
            return
        clock = gap + fitting[0]
    yield from (day + clock + zone for day in (DAYS if clock else DAYS + MONTHS) if _pattern(day).fullmatch(first))


@lru_cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"%(\w)", form)
    whole = [re.escape(part) if place % 2 == 0 else DIRECTIVES.get(part, r"\d?\d") for place, part in enumerate(parts)]
    return re.compile("".join(whole))


def _moments(text: pd.Series, present: pd.Series) -> Read | None:
    """Return what the first format that fits all cells makes of them."""
    for form in _formats(str(present.iloc[0])):
        dates = _parsed(text, present, form)
        if dates is None:
            continue
        other = next((two + form.removeprefix(one) for one, two in SWAPPED.items() if form.startswith(one)), "")
        swapped = _parsed(text, present, other) if other else None
        if swapped is None:
            return Read(f"written as {form}, read as days since 1970", days(dates), form)
        if _is_ordered(swapped) and not _is_ordered(dates):
            return Read(f"written as {other} (or {form}), read as days since 1970", days(swapped), other)
        return Read(f"written as {form} (or {other}), read as days since 1970", days(dates), form)
    return None


def _weeks_or_quarters(text: pd.Series, present: pd.Series) -> Read | None:
    first = str(present.iloc[0])
    if re.fullmatch(WEEK, first) and present.str.fullmatch(WEEK).all():
        dates = pd.to_datetime(text.str.replace(WEEK, r"\1-\2-1", regex=True), format="%G-%V-%u", errors="coerce")
        told = "ISO weeks, read as days since 1970"
        return Read(told, days(dates), "weeks") if dates.notna().sum() == len(present) else None
    if re.fullmatch(QUARTER, first) and present.str.fullmatch(QUARTER).all():
        months = text.str.replace(QUARTER, lambda found: f"{found[1]}-{3 * int(found[2]) - 2}", regex=True)
        dates = pd.to_datetime(months, format="%Y-%m", errors="coerce")
        return Read("quarters, read as days since 1970", days(dates), "quarters")
    return None


def _parsed(text: pd.Series, present: pd.Series, form: str) -> pd.Series | None:
    """Return the cells as moments if all that are present have a format."""
    for cells in (some(present), text):
        with suppress(ValueError):  # mixed zones
            dates = pd.to_datetime(cells, format=form, errors="coerce", utc="%z" in form)
            if dates.notna().sum() < (len(present) if cells is text else len(cells)):
                return None
            if cells is text:
                return dates
    return None


def _is_ordered(dates: pd.Series) -> bool:
    present = dates.dropna()
    return bool(present.is_monotonic_increasing or present.is_monotonic_decreasing)


def days(dates: pd.Series) -> pd.Series:
    """Return days since 1970, in coordinated universal time where a zone is told."""
    zone_free = dates.dt.tz_convert("UTC").dt.tz_localize(None) if dates.dt.tz is not None else dates
    return (zone_free - EPOCH) / pd.Timedelta(days=1)


def unlike_a_date(text: pd.Series) -> str | None:
    """Return a cell that is written otherwise than the others, if most look like dates of one form or another."""
    present = text.dropna()
    like = some(present).str.fullmatch(LIKE_A_DATE)
    if not like.mean() > 0.9:
        return None
    shapes = present.str.replace(r"\d+", "9", regex=True).str.replace(r"[A-Za-z]+", "a", regex=True)
    commonest = shapes.mode().iloc[0]
    other = present[shapes != commonest]
    return str(other.iloc[0] if len(other) else present.iloc[-1])


def is_whole(numbers: pd.Series) -> bool:
    """Say whether numbers have no fraction."""
    return pd.api.types.is_integer_dtype(numbers) or bool((numbers == numbers.round()).all())


def code_length(text: pd.Series) -> int:
    """Return how many digits each cell has, if all have equally many and nothing else; 0 otherwise."""
    lengths = pd.Series(dtype="int64")
    for part in (some, pd.Series.dropna):
        cells = part(text).dropna()
        lengths = cells.str.len()
        if len(lengths) and (lengths.nunique() > 1 or not cells.str.fullmatch(r"[0-9]+").all()):
            return 0
    return int(lengths.iloc[0]) if len(lengths) else 0


def are_codes(text: pd.Series) -> bool:
    """Say whether cells are codes such as 01234: equally many digits in each, some with a leading zero."""
    return code_length(text) > 1 and bool(text.dropna().str.startswith("0").any())


def find_codes(
    columns: pd.DataFrame, rows: Sequence[Sequence[str]], as_text: Callable[[list[int]], Iterable[pd.DataFrame]]
) -> dict[int, pd.Series]:
    """Return the text of the columns of whole numbers that a file writes as codes such as 01234.

    Args:
        columns: numbers, where all cells of a column are such, or other cells.
        rows: the first ones, as text.
        as_text: reads columns again, some rows at a time.
    """
    found: dict[int, list[pd.Series]] = {}
    for place in (int(place) for place in columns.columns if columns[place].dtype.kind in "iuf"):
        numbers = columns[place].iloc[: len(rows)].notna()
        first = pd.Series([row[place] for row in rows if len(row) > place], dtype="str")
        length = code_length(first[numbers[: len(first)].to_numpy()]) if len(first) <= len(numbers) else 0
        if length > 1 and columns[place].min() < 10 ** (length - 1):
            found[place] = []
    begin = 0
    for chunk in as_text(list(found)) if found else ():
        for place in tuple(found):
            numbers = columns[place].iloc[begin : begin + len(chunk)]
            text = chunk[place].set_axis(numbers.index)[numbers.notna()].astype("str").str.strip()
            if len(text) and not code_length(text):
                del found[place]
            else:
                found[place].append(text)
        begin += len(chunk)
        if not found:
            break
    whole = {place: pd.concat(parts).reindex(columns.index) for place, parts in found.items()}
    return {place: text for place, text in whole.items() if are_codes(text)}


def as_text(cells: pd.Series) -> pd.Series:
    """Return cells as text; a whole number without its point."""
    codes, different = pd.factorize(cells)
    words = pd.Series([*(text_of(value) for value in different), ""], dtype="str")
    return pd.Series(words.to_numpy()[codes], index=cells.index, dtype="str").where(codes >= 0)


def text_of(value: object) -> str:
    """Return a cell as text; a whole number without its point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
