"""Laws of fractions and points as text."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.schedules.points import read_fractions, read_points, write_fractions, write_points

inner = st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), unique=True, max_size=6).map(sorted)
shares = st.floats(0, 1e6)
points = inner.flatmap(lambda found: st.tuples(*(st.tuples(st.just(at), shares) for at in (0.0, *found, 1.0))))


@settings(deadline=None)
@given(fractions=inner.filter(bool))
def test_fractions_that_were_written_are_read_as_they_were(fractions: list[float]) -> None:
    assert read_fractions(write_fractions(fractions)) == tuple(fractions)


@settings(deadline=None)
@given(given_points=points)
def test_points_that_were_written_are_read_as_they_were(given_points: tuple[tuple[float, float], ...]) -> None:
    assert read_points(write_points(given_points)) == given_points


@pytest.mark.parametrize("text", ["0.5 0.75", "0 1", "1e-05 0.3"])
def test_plain_text_of_fractions_stays_as_it_is(text: str) -> None:
    assert write_fractions(read_fractions(text)) == text


def test_plain_text_of_points_stays_as_it_is() -> None:
    assert write_points(read_points("0:1 0.5:0.1 1:0.01")) == "0:1 0.5:0.1 1:0.01"


@pytest.mark.parametrize(
    ("given_fractions", "reason"),
    [
        ("", "must hold fractions"),
        ([], "must hold fractions"),
        (0.5, "must hold fractions .*got 0.5"),
        (None, "must hold fractions"),
        ("0.5, 0.75", "finite numbers, got '0.5,'"),
        ("nan", "finite numbers, got 'nan'"),
        ("inf", "finite numbers, got 'inf'"),
        ([math.nan], "finite numbers, got nan"),
        ([True], "finite numbers, got True"),
        ("0_1", "finite numbers, got '0_1'"),
        ([10**400], "finite numbers, got 1000"),
        ("-0.1", "between 0 and 1, got -0.1"),
        ("1.1", "between 0 and 1, got 1.1"),
        ("0.75 0.5", "must ascend, got 0.5 after 0.75"),
        ("0.5 0.5", "must ascend, got 0.5 after 0.5"),
    ],
    ids=repr,
)
def test_bad_fractions_are_told(given_fractions: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_fractions(given_fractions)


@pytest.mark.parametrize(
    ("given_points", "reason"),
    [
        ("", "must hold points"),
        ({0: 1}, "must hold points"),
        ("0:1 1", "must be `fraction:share`, got '1'"),
        ("0:1:2 1:0", "must be `fraction:share`, got '0:1:2'"),
        ([0.5], "must be `fraction:share`, got 0.5"),
        ("0:1 x:1 1:0", "finite numbers, got 'x'"),
        ("0:1 1:nan", "finite numbers, got 'nan'"),
        ("0:1 1:inf", "finite numbers, got 'inf'"),
        ("0:1 0.7:1 0.6:1 1:0", "must ascend, got 0.6 after 0.7"),
        ("0:1 2:0", "between 0 and 1, got 2"),
        ("0.1:1 1:0", "must begin at fraction 0 and end at 1, got '0.1:1 1:0'"),
        ("0:1 0.9:0", "must begin at fraction 0 and end at 1, got '0:1 0.9:0'"),
        ("0:1 1:-0.1", "share must lie between 0 and 1e6, got -0.1"),
    ],
    ids=repr,
)
def test_bad_points_are_told(given_points: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_points(given_points)
