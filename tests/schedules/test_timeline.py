"""Laws of the time axis, and of fractions and points on it as text."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.errors import BadInput
from sweep.schedules import Timeline
from sweep.schedules.catalogue import read_timeline
from sweep.schedules.open_loop import constant
from sweep.schedules.timeline import read_fractions, read_points, write_fractions, write_points

clocks = st.builds(Timeline, epochs=st.integers(1, 100), steps_per_epoch=st.integers(1, 20))


@settings(deadline=None)
@given(timeline=clocks)
def test_both_counts_have_an_entry_for_every_step(timeline: Timeline) -> None:
    assert timeline.epoch.shape == timeline.batch.shape == (timeline.epochs, timeline.steps_per_epoch)


@settings(deadline=None)
@given(timeline=clocks)
def test_batches_count_from_zero_through_all_epochs(timeline: Timeline) -> None:
    assert timeline.batch.ravel().tolist() == list(range(timeline.epochs * timeline.steps_per_epoch))


@settings(deadline=None)
@given(timeline=clocks)
def test_an_epoch_is_finished_when_all_its_batches_are(timeline: Timeline) -> None:
    assert (timeline.epoch == timeline.batch // timeline.steps_per_epoch).all()


NO_COUNTS = [0, -1, 9.0, 9.5, math.nan, True, "9", None, [9], np.float64(9.5), np.int64(0), np.array([9]), np.True_]
COUNTS = [9, np.int64(9), np.uint8(9), np.int32(9), np.array(9)]


@pytest.mark.parametrize("field", ["epochs", "steps_per_epoch"])
@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_a_training_without_a_whole_number_of_steps_is_refused(field: str, count: Any) -> None:
    told = rf"^{field}: must be (an integer of )?at least 1, got {re.escape(repr(count))}"
    counts = {"epochs": 1, "steps_per_epoch": 1, field: count}
    for take in (Timeline, constant(learning_rate=0.1).by_epoch, read_timeline):
        with pytest.raises(BadInput, match=told):
            take(**counts)


@pytest.mark.parametrize("count", COUNTS, ids=repr)
def test_integers_of_numpy_are_taken_everywhere(count: Any) -> None:
    wanted = Timeline(epochs=9, steps_per_epoch=9)
    assert wanted == Timeline(epochs=count, steps_per_epoch=count) == read_timeline(count, count)
    assert (type(wanted.epochs), type(Timeline(epochs=count, steps_per_epoch=count).epochs)) == (int, int)
    assert len(constant(learning_rate=0.1).by_epoch(count, count)) == 9


def test_who_divides_rows_by_batches_is_told_how() -> None:
    with pytest.raises(BadInput, match=r"got 9\.5; `math\.ceil\(rows / batch_size\)` is one\.$"):
        Timeline(epochs=1, steps_per_epoch=9.5)  # type: ignore[arg-type]  # what this is about


@st.composite
def parts(draw: st.DrawFn) -> tuple[Timeline, int, int]:
    timeline = draw(clocks)
    begin = draw(st.integers(0, timeline.batches - 1))
    return timeline, begin, draw(st.integers(begin + 1, timeline.batches))


class TestParts:
    @settings(deadline=None)
    @given(drawn=parts())
    def test_a_part_counts_its_own_batches_and_stands_still_outside(self, drawn: tuple[Timeline, int, int]) -> None:
        timeline, begin, end = drawn
        part = timeline.part(begin, end)
        assert part.batches == end - begin
        assert part.batch.shape == timeline.batch.shape
        after = timeline.batches - end
        assert part.batch.ravel().tolist() == [0] * begin + list(range(end - begin)) + [end - begin - 1] * after

    @settings(deadline=None)
    @given(drawn=parts())
    def test_the_time_of_a_part_is_that_of_a_training_as_long(self, drawn: tuple[Timeline, int, int]) -> None:
        timeline, begin, end = drawn
        part, alone = timeline.part(begin, end), Timeline(epochs=end - begin, steps_per_epoch=1)
        assert (part.fraction.ravel()[begin:end] == alone.fraction.ravel()).all()
        assert (part.epoch.ravel()[begin:end] == alone.batch.ravel() // timeline.steps_per_epoch).all()
        assert part.budget == (end - begin) / timeline.steps_per_epoch

    @settings(deadline=None)
    @given(timeline=clocks)
    def test_the_whole_is_a_part_of_itself(self, timeline: Timeline) -> None:
        assert (timeline.part(0, timeline.batches).fraction == timeline.fraction).all()
        assert timeline.budget == timeline.epochs

    def test_a_part_of_a_part_counts_within_it(self) -> None:
        part = Timeline(epochs=4, steps_per_epoch=5).part(5, 15).part(2, 6)
        assert (part.begin, part.last) == (7, 11)

    @pytest.mark.parametrize(("begin", "end"), [(0, 0), (3, 2), (0, 11), (-1, 3)])
    def test_a_part_without_a_batch_or_beyond_the_training_is_refused(self, begin: int, end: int) -> None:
        with pytest.raises(ValidationError, match=r"at least one batch|greater than or equal to 0"):
            Timeline(epochs=2, steps_per_epoch=5).part(begin, end)


@settings(deadline=None)
@given(timeline=clocks)
def test_the_fraction_runs_from_zero_to_just_below_one(timeline: Timeline) -> None:
    assert timeline.fraction[0, 0] == 0
    assert timeline.fraction[-1, -1] == (timeline.batches - 1) / timeline.batches < 1


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


def test_plain_text_of_fractions_stays_as_it_is() -> None:
    for text in ("0.5 0.75", "0 1", "1e-05 0.3"):
        assert write_fractions(read_fractions(text)) == text


def test_plain_text_of_points_stays_as_it_is() -> None:
    assert write_points(read_points("0:1 0.5:0.1 1:0.01")) == "0:1 0.5:0.1 1:0.01"


BAD_FRACTIONS: list[tuple[Any, str]] = [
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
]


def test_bad_fractions_are_told() -> None:
    for text, reason in BAD_FRACTIONS:
        with pytest.raises(ValueError, match=reason):
            read_fractions(text)


BAD_POINTS: list[tuple[Any, str]] = [
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
]


def test_bad_points_are_told() -> None:
    for text, reason in BAD_POINTS:
        with pytest.raises(ValueError, match=reason):
            read_points(text)
