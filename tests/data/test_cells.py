"""Laws of cells: numbers in every dress, dates in every form, and what is neither."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from sweep.data.cells import are_codes, read_compact_dates, read_dates, read_numbers, read_units, unlike_a_date


def text(*cells: str | None) -> pd.Series:
    return pd.Series(cells, dtype="str")


@pytest.mark.parametrize(
    ("cell", "decimal", "number"),
    [
        ("$1,071.50", ".", 1071.5),
        ("(817)", ".", -817.0),
        ("12.5 %", ".", 12.5),
        ("\N{MINUS SIGN}3", ".", -3.0),
        ("1'916.50", ".", 1916.5),
        ("1 234", ".", 1234.0),
        ("EUR 5", ".", 5.0),
        ("1.254,50 €", ",", 1254.5),
        ("1e-3", ".", 0.001),
        ("12 34", ".", math.nan),
        ("1,23", ".", math.nan),
        ("class 1", ".", math.nan),
        ("-", ".", math.nan),
    ],
)
def test_a_number_is_read_in_its_dress(cell: str, decimal: str, number: float) -> None:
    assert read_numbers(text(cell), decimal).tolist() == pytest.approx([number], nan_ok=True)


def test_one_unit_may_stand_behind_all_numbers_and_a_magnitude_counts() -> None:
    found = [read_units(text(*cells), ".") for cells in (("12 km", "3.5 km", None), ("€1.5M", "€200K", "€0"))]
    assert [None if read is None else read.values.dropna().tolist() for read in found] == [[12, 3.5], [1.5e6, 2e5, 0]]


@pytest.mark.parametrize("cells", [("12 kg", "3 lb"), ("a1", "b2"), ("5'10", "6"), ("class 1", "class 2")])
def test_other_words_beside_numbers_are_no_unit(cells: tuple[str, ...]) -> None:
    assert read_units(text(*cells), ".") is None


@pytest.mark.parametrize(
    ("cells", "form", "last"),
    [
        (("2020-01-05", "2020-02-06"), "%Y-%m-%d", 18298),
        (("13/1/2020", "1/2/2020"), "%d/%m/%Y", 18293),
        (("1/13/2020", "2/1/2020"), "%m/%d/%Y", 18293),
        (("1/2/2020", "1/3/2020"), "%m/%d/%Y (or %d/%m/%Y)", 18264),
        (("1/12/2020", "2/1/2020", "1/2/2021"), "%m/%d/%Y (or %d/%m/%Y)", 18629),
        (("3/1/2020", "4/1/2020", "1/2/2020"), "%d/%m/%Y (or %m/%d/%Y)", 18293),
        (("1.2.20", "3.2.20"), "%d.%m.%y", 18295),
        (("Jan-1-1995", "Feb-1-1995"), "%b-%d-%Y", 9162),
        (("3 January 2020", "15 March 2021"), "%d %B %Y", 18701),
        (("Jan 3, 2020",), "%b %d, %Y", 18264),
        (("2020-01-01 12:00", "2020-01-02 06:00"), "%Y-%m-%d %H:%M", 18263.25),
        (("2021-03-01T10:00:00+02:00",), "%Y-%m-%dT%H:%M:%S%z", 18687 + 8 / 24),
        (("2020-01-01T00:00:00Z",), "%Y-%m-%dT%H:%M:%SZ", 18262),
        (("3/13/2021 1:00 PM",), "%m/%d/%Y %I:%M %p", 18699 + 13 / 24),
        (("1949-01", "1949-02"), "%Y-%m", -7639),
        (("Jan 2000", "Feb 2000"), "%b %Y", 10988),
        (("2021-W01", "2021-W02"), "ISO weeks", 18638),
        (("2000Q1", "2000Q2"), "quarters", 11048),
    ],
)
def test_dates_become_days_since_1970(cells: tuple[str, ...], form: str, last: float) -> None:
    found = read_dates(text(*cells, None))
    assert found is not None
    assert found.are_days
    assert form in found.how
    assert found.values.iloc[-2:].tolist() == pytest.approx([last, math.nan], nan_ok=True)


def test_times_of_day_become_hours() -> None:
    found = read_dates(text("01:30", "23:45"))
    assert found is not None
    assert not found.are_days
    assert found.values.tolist() == [1.5, 23.75]


@pytest.mark.parametrize("cells", [("25:30", "01:00"), ("2020-13-01",), ("2020-02-30",), ("one", "two"), ("a-1-b",)])
def test_what_is_no_date_is_none(cells: tuple[str, ...]) -> None:
    assert read_dates(text(*cells)) is None


def test_dates_in_two_forms_are_none_and_the_odd_one_is_named() -> None:
    cells = text("2021-03-05", "2021-03-06", "07.03.2021")
    assert read_dates(cells) is None
    assert unlike_a_date(cells) == "07.03.2021"
    assert unlike_a_date(text("red", "blue")) is None


def test_whole_numbers_are_dates_if_every_one_is() -> None:
    found = read_compact_dates(pd.Series([20200131, None, 19700102]))
    assert found is not None
    assert found.values.tolist() == pytest.approx([18292, math.nan, 1], nan_ok=True)
    for numbers in ([20200131, 20200231], [18991231], [21010101], [20200131.5], [20200131, -1]):
        assert read_compact_dates(pd.Series(numbers)) is None


@pytest.mark.parametrize(
    ("cells", "is_code"),
    [
        (("01234", "90210", None), True),
        (("00", "01"), True),
        (("0", "1"), False),
        (("01234", "9021"), False),
        (("1234", "9021"), False),
        (("01.23", "90.21"), False),
        (("01a", "902"), False),
    ],
)
def test_codes_have_equally_many_digits_and_a_leading_zero(cells: tuple[str | None, ...], is_code: bool) -> None:
    assert are_codes(text(*cells)) is is_code
