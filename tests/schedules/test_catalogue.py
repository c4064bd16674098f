"""Laws that hold for every schedule of the catalogue, and what it takes to add one."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sweep.candidate import from_params
from sweep.errors import BadInput
from sweep.plan import check_schedule_space, read_plan
from sweep.ranges import Range, Space, Value, ends
from sweep.schedules import CATALOGUE, Clock, Numbers, Schedule

each_schedule = pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE.keys())

clocks = st.builds(Clock, epochs=st.integers(1, 200), steps_per_epoch=st.integers(1, 20))


def from_space(space: Space) -> st.SearchStrategy[Value]:
    if not isinstance(space, Range):
        return st.sampled_from(ends(space))
    if isinstance(space.low, int) and isinstance(space.high, int):
        return st.integers(space.low, space.high)
    return st.floats(space.low, space.high)


def drawn(kind: type[Schedule]) -> st.SearchStrategy[Schedule]:
    """Return a strategy for schedules as a search draws them when the study file says nothing."""
    own = {key: from_space(space) for key, space in kind.default_space.items()}
    return st.fixed_dictionaries({"learning_rate": st.floats(1e-6, 10), **own}).map(kind.model_validate)


def an_example(kind: type[Schedule]) -> Schedule:
    own = {key: ends(space)[0] for key, space in kind.default_space.items()}
    return kind.model_validate({"learning_rate": 0.1, **own})


class TestEverySchedule:
    @each_schedule
    @settings(deadline=None)
    @given(data=st.data(), clock=clocks)
    def test_rates_are_finite_and_positive_for_every_step(
        self, kind: type[Schedule], data: st.DataObject, clock: Clock
    ) -> None:
        rates = data.draw(drawn(kind)).rates(clock)
        assert rates.shape == (clock.epochs, clock.steps_per_epoch)
        assert rates.dtype == np.float64
        assert np.isfinite(rates).all()
        assert (rates > 0).all()

    @each_schedule
    @settings(deadline=None)
    @given(data=st.data(), clock=clocks)
    def test_the_first_step_has_the_initial_rate(self, kind: type[Schedule], data: st.DataObject, clock: Clock) -> None:
        schedule = data.draw(drawn(kind))
        assert schedule.rates(clock)[0, 0] == schedule.learning_rate

    @each_schedule
    def test_rates_depend_on_the_parameters_and_the_time_alone(self, kind: type[Schedule]) -> None:
        clock = Clock(epochs=7, steps_per_epoch=3)
        assert (an_example(kind).rates(clock) == an_example(kind).rates(clock)).all()

    @pytest.mark.parametrize(
        "kind", [kind for kind in CATALOGUE.values() if kind.formula.startswith("rate = ")], ids=lambda kind: kind.name
    )
    def test_the_printed_formula_is_what_is_computed(self, kind: type[Schedule]) -> None:
        schedule, clock = an_example(kind), Clock(epochs=50, steps_per_epoch=9)
        words = {"floor": np.floor, "epoch": clock.epoch, "batch": clock.batch, **schedule.model_dump()}
        printed = eval(kind.formula.removeprefix("rate = "), words)
        np.testing.assert_allclose(schedule.rates(clock), np.broadcast_to(printed, clock.batch.shape))

    @each_schedule
    def test_it_says_its_name_its_formula_and_its_source(self, kind: type[Schedule]) -> None:
        assert CATALOGUE[kind.name] is kind
        assert kind.source
        assert f"`{kind.formula}`" in (kind.__doc__ or "")

    @each_schedule
    def test_a_search_needs_no_word_about_its_own_parameters(self, kind: type[Schedule]) -> None:
        required = {key for key in kind.own_parameters() if kind.model_fields[key].is_required()}
        assert required <= kind.default_space.keys() <= set(kind.own_parameters())
        check_schedule_space(kind.name, {})

    @each_schedule
    def test_every_parameter_is_described(self, kind: type[Schedule]) -> None:
        assert all(field.description for field in kind.model_fields.values())

    @each_schedule
    def test_its_parameters_make_it_again(self, kind: type[Schedule]) -> None:
        schedule = an_example(kind)
        assert kind.model_validate({"learning_rate": 0.1, **schedule.parameters}) == schedule

    @each_schedule
    @pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf, "0.1", True, None])
    def test_a_bad_learning_rate_is_named(self, kind: type[Schedule], value: Any) -> None:
        with pytest.raises(ValidationError, match=r"\nlearning_rate\n"):
            kind.model_validate({**an_example(kind).parameters, "learning_rate": value})

    @each_schedule
    def test_a_missing_learning_rate_is_named(self, kind: type[Schedule]) -> None:
        with pytest.raises(ValidationError, match=r"\nlearning_rate\n.*required"):
            kind.model_validate(an_example(kind).parameters)

    @each_schedule
    def test_a_parameter_it_does_not_have_is_named(self, kind: type[Schedule]) -> None:
        with pytest.raises(ValidationError, match=r"\nwarmth\n.*not permitted"):
            kind.model_validate({**an_example(kind).model_dump(), "warmth": 1.0})

    @each_schedule
    def test_it_never_changes(self, kind: type[Schedule]) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            an_example(kind).learning_rate = 0.2


class Halving(Schedule):
    """`rate = learning_rate / (1 + epoch / half_life)`."""

    name = "halving"
    formula = "rate = learning_rate / (1 + epoch / half_life)"
    source = "these tests"
    default_space: ClassVar[dict[str, Space]] = {"half_life": Range(low=1.0, high=50.0, log=True)}

    half_life: float = Field(gt=0, description="epochs until the rate has halved")

    def rates(self, clock: Clock) -> Numbers:
        return self.learning_rate / (1 + clock.epoch / self.half_life)


class TestAFurtherSchedule:
    """One class and its place in the catalogue are enough: nothing else names a schedule."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(CATALOGUE, Halving.name, Halving)

    def test_params_make_a_candidate_of_it(self) -> None:
        candidate = from_params({"schedule": "halving", "learning_rate": 0.1, "halving.half_life": 5.0})
        assert candidate.schedule == Halving(learning_rate=0.1, half_life=5.0)
        assert candidate.schedule.rates(Clock(epochs=6, steps_per_epoch=1))[-1, 0] == 0.05

    def test_a_bad_parameter_of_it_is_named(self) -> None:
        with pytest.raises(BadInput, match=r"^half_life: .*greater than 0, got 0\.0"):
            from_params({"schedule": "halving", "learning_rate": 0.1, "halving.half_life": 0.0})

    @pytest.mark.parametrize(
        ("spaces", "space"),
        [({}, Halving.default_space["half_life"]), ({"half_life": [5.0, 10.0]}, (5.0, 10.0))],
        ids=["its own", "the study file's"],
    )
    def test_a_study_file_may_search_it(self, spaces: dict[str, Any], space: Space) -> None:
        recipe = {"schedule": "halving", "learning_rate": 0.1, "half_life": 5.0}
        tables = {"name": "s", "data": {"file": "rows.csv"}, "search": {"schedules": {"halving": spaces}}}
        plan = read_plan({**tables, "recipes": [recipe]})
        assert plan.search.spaces("halving") == {"half_life": space}
        assert plan.candidates[0].schedule == Halving(learning_rate=0.1, half_life=5.0)
