"""Laws of the spaces that a search draws from."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sweep.space import Range, Space, Value, contains, extremes

SPACE: TypeAdapter[Space] = TypeAdapter(Space)

finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**63), 2**63 - 1)
numbers = finite | whole
values: st.SearchStrategy[Value] = numbers | st.booleans() | st.text(max_size=10)
ranges = (
    st.tuples(numbers, numbers)
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: Range(low=min(pair), high=max(pair)))
)
spaces: st.SearchStrategy[Space] = ranges | st.lists(values, min_size=1, max_size=5).map(tuple) | values


class TestRange:
    @settings(deadline=None)
    @given(low=st.floats() | whole, high=st.floats() | whole, log=st.booleans())
    def test_it_exists_exactly_if_its_ends_are_finite_and_in_order(self, low: float, high: float, log: bool) -> None:
        sound = math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)
        try:
            made = Range(low=low, high=high, log=log)
        except ValidationError:
            assert not sound
        else:
            assert sound
            assert (made.low, made.high) == (low, high)

    @pytest.mark.parametrize(
        ("table", "problem"),
        [
            ({"low": 1.0, "high": 0.1}, r"`low` must be below `high`, got 1\.0 and 0\.1\."),
            ({"low": 0.1, "high": 0.1}, r"`low` must be below `high`, got 0\.1 and 0\.1\."),
            ({"low": 0.0, "high": 1.0, "log": True}, r"must lie above 0, got low = 0\."),
            ({"low": -1, "high": 1, "log": True}, r"must lie above 0, got low = -1\."),
            ({"low": math.nan, "high": 1.0}, r"low\.[\s\S]*finite number"),
            ({"low": 0.0, "high": math.inf}, r"high\.[\s\S]*finite number"),
            ({"low": "0.1", "high": 1.0}, r"low\.[\s\S]*valid number"),
            ({"low": False, "high": 1.0}, r"low\.[\s\S]*valid number"),
            ({"low": 0.1, "high": 1.0, "log": 1}, r"log\n.*valid boolean"),
            ({"low": 0.1, "high": 1.0, "step": 0.1}, r"step\n.*not permitted"),
            ({"low": 0.1}, r"high\n.*required"),
        ],
    )
    def test_a_bad_range_is_refused(self, table: dict[str, Any], problem: str) -> None:
        with pytest.raises(ValidationError, match=problem):
            Range.model_validate(table)

    @pytest.mark.parametrize("field", ["low", "high", "log"])
    def test_it_never_changes(self, field: str) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(Range(low=0.1, high=1.0), field, 0.5)


class TestSpace:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ({"low": 0.1, "high": 1.0}, Range(low=0.1, high=1.0)),
            ([0.0, 0.9], (0.0, 0.9)),
            ([True, False], (True, False)),
            ([0.9], (0.9,)),
            ("word", "word"),
            (True, True),
            (10, 10),
            (0.9, 0.9),
        ],
    )
    def test_a_table_is_a_range_a_list_is_choices_and_the_rest_is_fixed(self, written: Any, read: Space) -> None:
        found = SPACE.validate_python(written)
        assert found == read
        assert type(found) is type(read)

    @pytest.mark.parametrize("written", [[], None, [[0.1]], [{"low": 0.1, "high": 1.0}], {}])
    def test_anything_else_is_refused(self, written: Any) -> None:
        with pytest.raises(ValidationError, match="validation error"):
            SPACE.validate_python(written, strict=True)

    @settings(deadline=None)
    @given(space=spaces)
    def test_a_database_gives_back_the_space_it_was_given(self, space: Space) -> None:
        assert repr(SPACE.validate_json(SPACE.dump_json(space))) == repr(space)

    @settings(deadline=None)
    @given(space=spaces)
    def test_a_space_holds_its_ends(self, space: Space) -> None:
        assert all(contains(space, end) for end in extremes(space))

    @settings(deadline=None)
    @given(space=ranges, value=st.floats() | whole)
    def test_a_range_holds_exactly_the_numbers_between_its_ends(self, space: Range, value: float) -> None:
        assert contains(space, value) == (space.low <= value <= space.high)

    def test_no_range_holds_a_word(self) -> None:
        assert not contains(Range(low=0.0, high=1.0), "0.5")

    @settings(deadline=None)
    @given(choices=st.lists(values, min_size=1, max_size=5).map(tuple), value=values)
    def test_choices_hold_exactly_their_members(self, choices: tuple[Value, ...], value: Value) -> None:
        assert contains(choices, value) == (value in choices)

    @settings(deadline=None)
    @given(fixed=values, value=values)
    def test_a_fixed_value_holds_only_itself(self, fixed: Value, value: Value) -> None:
        assert contains(fixed, value) == (value == fixed)
