"""Laws of the time axis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweep.schedules import Clock

clocks = st.builds(Clock, epochs=st.integers(1, 100), steps_per_epoch=st.integers(1, 20))


@settings(deadline=None)
@given(clock=clocks)
def test_both_counts_have_an_entry_for_every_step(clock: Clock) -> None:
    assert clock.epoch.shape == clock.batch.shape == (clock.epochs, clock.steps_per_epoch)


@settings(deadline=None)
@given(clock=clocks)
def test_batches_count_from_zero_through_all_epochs(clock: Clock) -> None:
    assert clock.batch.ravel().tolist() == list(range(clock.epochs * clock.steps_per_epoch))


@settings(deadline=None)
@given(clock=clocks)
def test_an_epoch_is_finished_when_all_its_batches_are(clock: Clock) -> None:
    assert (clock.epoch == clock.batch // clock.steps_per_epoch).all()


@pytest.mark.parametrize("field", ["epochs", "steps_per_epoch"])
@pytest.mark.parametrize("count", [0, -1, 1.0, True, "1"])
def test_a_training_without_a_whole_number_of_steps_is_refused(field: str, count: Any) -> None:
    with pytest.raises(ValidationError, match=rf"\n{field}\n"):
        Clock.model_validate({"epochs": 1, "steps_per_epoch": 1, field: count})


@st.composite
def parts(draw: st.DrawFn) -> tuple[Clock, int, int]:
    clock = draw(clocks)
    begin = draw(st.integers(0, clock.batches - 1))
    return clock, begin, draw(st.integers(begin + 1, clock.batches))


class TestParts:
    @settings(deadline=None)
    @given(drawn=parts())
    def test_a_part_counts_its_own_batches_and_stands_still_outside(self, drawn: tuple[Clock, int, int]) -> None:
        clock, begin, end = drawn
        part = clock.part(begin, end)
        assert part.batches == end - begin
        assert part.batch.shape == clock.batch.shape
        after = clock.batches - end
        assert part.batch.ravel().tolist() == [0] * begin + list(range(end - begin)) + [end - begin - 1] * after

    @settings(deadline=None)
    @given(drawn=parts())
    def test_the_time_of_a_part_is_that_of_a_training_as_long(self, drawn: tuple[Clock, int, int]) -> None:
        clock, begin, end = drawn
        part, alone = clock.part(begin, end), Clock(epochs=end - begin, steps_per_epoch=1)
        assert (part.fraction.ravel()[begin:end] == alone.fraction.ravel()).all()
        assert (part.epoch.ravel()[begin:end] == alone.batch.ravel() // clock.steps_per_epoch).all()
        assert part.budget == (end - begin) / clock.steps_per_epoch

    @settings(deadline=None)
    @given(clock=clocks)
    def test_the_whole_is_a_part_of_itself(self, clock: Clock) -> None:
        assert (clock.part(0, clock.batches).fraction == clock.fraction).all()
        assert clock.budget == clock.epochs

    def test_a_part_of_a_part_counts_within_it(self) -> None:
        part = Clock(epochs=4, steps_per_epoch=5).part(5, 15).part(2, 6)
        assert (part.begin, part.last) == (7, 11)

    @pytest.mark.parametrize(("begin", "end"), [(0, 0), (3, 2), (0, 11), (-1, 3)])
    def test_a_part_without_a_batch_or_beyond_the_training_is_refused(self, begin: int, end: int) -> None:
        with pytest.raises(ValidationError, match=r"at least one batch|greater than or equal to 0"):
            Clock(epochs=2, steps_per_epoch=5).part(begin, end)


@settings(deadline=None)
@given(clock=clocks)
def test_the_fraction_runs_from_zero_to_just_below_one(clock: Clock) -> None:
    assert clock.fraction[0, 0] == 0
    assert clock.fraction[-1, -1] == (clock.batches - 1) / clock.batches < 1
