"""Laws of the time axis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Timeline

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


@pytest.mark.parametrize("field", ["epochs", "steps_per_epoch"])
@pytest.mark.parametrize("count", [0, -1, 1.0, True, "1"])
def test_a_training_without_a_whole_number_of_steps_is_refused(field: str, count: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{field}\n"):
        Timeline.model_validate({"epochs": 1, "steps_per_epoch": 1, field: count})


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
