"""Laws that hold for every schedule of the catalogue, and what it takes to add one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sweep.candidate import Candidate, from_params
from sweep.config.study_file import read_plan, resolve_spaces
from sweep.errors import BadInput
from sweep.schedules import CATALOGUE, ClosedLoop, Numbers, OpenLoop, Schedule, Timeline, read_schedule
from sweep.schedules.base import MODIFIERS
from sweep.space import Range, Space, Value, extremes

OPEN = {name: kind for name, kind in CATALOGUE.items() if issubclass(kind, OpenLoop)}
CLOSED = {name: kind for name, kind in CATALOGUE.items() if issubclass(kind, ClosedLoop)}
# A formula that begins with `rate = ` is an expression; others say in words what no single expression can.
EXPRESSIONS = {name: kind for name, kind in CATALOGUE.items() if kind.formula.startswith("rate = ")}
IN_EPOCHS = {"time", "time_compounding", "time_by_batch", "step", "step_from_zero"}  # as the tutorial counts
RELATIVE = {name: kind for name, kind in OPEN.items() if name not in IN_EPOCHS}
REQUIRED: dict[str, dict[str, Value]] = {"function": {"function": "tests.schedules.callables:step_decay"}}

each_schedule = pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE.keys())
each_open_loop = pytest.mark.parametrize("kind", OPEN.values(), ids=OPEN.keys())
each_closed_loop = pytest.mark.parametrize("kind", CLOSED.values(), ids=CLOSED.keys())
quickly = settings(deadline=None, max_examples=50)

clocks = st.builds(Timeline, epochs=st.integers(1, 200), steps_per_epoch=st.integers(1, 20))
modifiers = st.fixed_dictionaries({"warmup": st.floats(0, 0.9), "floor": st.floats(0, 1)})


def from_space(space: Space) -> st.SearchStrategy[Value]:
    if not isinstance(space, Range):
        return st.sampled_from(extremes(space))
    if isinstance(space.low, int) and isinstance(space.high, int):
        return st.integers(space.low, space.high)
    return st.floats(space.low, space.high)


def drawn(kind: type[Schedule], **fixed: Value) -> st.SearchStrategy[Schedule]:
    """Return a strategy for schedules as a search draws them when the study file says nothing."""
    own = {key: from_space(space) for key, space in kind.default_space.items()}
    given_values = REQUIRED.get(kind.name, {}) | fixed
    return st.fixed_dictionaries({"learning_rate": st.floats(1e-6, 10), **own}).map(
        lambda values: kind.model_validate({**values, **given_values})
    )


def drawn_with_modifiers(kind: type[Schedule]) -> st.SearchStrategy[Schedule]:
    return modifiers.flatmap(lambda values: drawn(kind, **values))


def an_example(kind: type[Schedule], end: int = 0, **fixed: Value) -> Schedule:
    own = {key: extremes(space)[end] for key, space in kind.default_space.items()}
    return kind.model_validate({"learning_rate": 0.1, **REQUIRED.get(kind.name, {}), **own, **fixed})


def alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that its text makes where there is nothing but NumPy."""
    namespace: dict[str, Any] = {"np": np}
    exec("from __future__ import annotations\n" + inspect.getsource(function), namespace)
    made: Callable[..., Any] = namespace[function.__name__]
    return made


class TestEverySchedule:
    @each_schedule
    @quickly
    @given(data=st.data(), timeline=clocks)
    def test_rates_are_finite_and_not_negative_for_every_step(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline
    ) -> None:
        rates = data.draw(drawn_with_modifiers(kind)).rates(timeline)
        assert rates.shape == (timeline.epochs, timeline.steps_per_epoch)
        assert rates.dtype == np.float64
        assert np.isfinite(rates).all()
        assert (rates >= 0).all()

    @each_schedule
    @quickly
    @given(data=st.data(), timeline=clocks)
    def test_a_warm_up_rises_from_zero_to_the_rate_that_follows_it(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline
    ) -> None:
        schedule = data.draw(drawn_with_modifiers(kind))
        batches = schedule.warmup_batches(timeline)
        bare = schedule.model_copy(update={"warmup": 0.0}).base_rates(schedule.own_time(timeline)).ravel()
        ramp = np.minimum(1.0, np.arange(len(bare)) / max(batches, 1e-9))
        ramp[batches:] = 1.0
        np.testing.assert_allclose(schedule.base_rates(timeline).ravel(), bare * ramp, rtol=1e-12)

    @each_schedule
    @quickly
    @given(data=st.data(), timeline=clocks)
    def test_no_rate_after_the_warm_up_is_below_the_floor(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline
    ) -> None:
        schedule = data.draw(drawn_with_modifiers(kind))
        after = schedule.rates(timeline).ravel()[schedule.warmup_batches(timeline) :]
        assert (after >= schedule.floor * schedule.learning_rate * (1 - 1e-12)).all()

    @each_schedule
    def test_rates_depend_on_the_parameters_and_the_time_alone(self, kind: type[Schedule]) -> None:
        timeline = Timeline(epochs=7, steps_per_epoch=3)
        assert (an_example(kind).rates(timeline) == an_example(kind).rates(timeline)).all()

    @pytest.mark.parametrize("kind", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
    @quickly
    @given(data=st.data(), timeline=clocks)
    def test_the_printed_formula_is_what_is_computed(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline
    ) -> None:
        schedule = data.draw(drawn(kind, warmup=0.0))
        functions = {name: getattr(np, name) for name in ("floor", "cos", "sqrt", "exp", "pi", "minimum", "maximum")}
        time = {name: getattr(timeline, name) for name in ("epoch", "epochs", "batch", "batches", "fraction")}
        own = {name: getattr(schedule, name) for name in kind.model_fields if name not in MODIFIERS}
        printed = eval(kind.formula.removeprefix("rate = "), {**functions, **time, **own})
        np.testing.assert_allclose(schedule.rates(timeline), np.broadcast_to(printed, timeline.batch.shape), rtol=1e-9)

    @each_schedule
    def test_it_says_its_name_its_formula_and_its_source(self, kind: type[Schedule]) -> None:
        assert CATALOGUE[kind.name] is kind
        assert kind.source
        assert f"`{kind.formula}`" in (kind.__doc__ or "")
        assert kind.formula.startswith(("rate = ", "rate: ", "rate[n] = "))

    @each_schedule
    def test_a_search_needs_no_word_about_its_own_parameters(self, kind: type[Schedule]) -> None:
        required = {key for key in kind.own_parameters() if kind.model_fields[key].is_required()}
        assert required - REQUIRED.get(kind.name, {}).keys() <= kind.default_space.keys()
        assert kind.default_space.keys() <= set(kind.own_parameters()) - set(MODIFIERS)
        resolve_spaces(kind.name, dict(REQUIRED.get(kind.name, {})))

    @each_schedule
    def test_every_parameter_is_described(self, kind: type[Schedule]) -> None:
        assert all(field.description for field in kind.model_fields.values())

    @each_schedule
    @quickly
    @given(data=st.data())
    def test_its_parameters_make_it_again(self, kind: type[Schedule], data: st.DataObject) -> None:
        schedule = data.draw(drawn_with_modifiers(kind))
        assert (
            read_schedule({"name": kind.name, "learning_rate": schedule.learning_rate, **schedule.parameters})
            == schedule
        )

    @each_schedule
    @quickly
    @given(data=st.data())
    def test_its_json_makes_it_again(self, kind: type[Schedule], data: st.DataObject) -> None:
        schedule = data.draw(drawn_with_modifiers(kind))
        assert Schedule.from_json(schedule.to_json()) == schedule

    @each_schedule
    @quickly
    @given(data=st.data())
    def test_the_params_of_a_candidate_make_it_again(self, kind: type[Schedule], data: st.DataObject) -> None:
        candidate = Candidate(schedule=data.draw(drawn_with_modifiers(kind)), momentum=0.9)
        assert all(isinstance(value, float | int | bool | str) for value in candidate.params.values())
        assert from_params(candidate.params) == candidate

    @each_schedule
    @pytest.mark.parametrize("field", ["learning_rate", *MODIFIERS])
    @pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "0.1", True, None])
    def test_a_bad_shared_parameter_is_named(self, kind: type[Schedule], field: str, value: Any) -> None:
        with pytest.raises(ValidationError, match=rf"\n{field}\n"):
            kind.model_validate({"learning_rate": 0.1, **an_example(kind).parameters, field: value})

    @each_schedule
    @pytest.mark.parametrize(("field", "value"), [("learning_rate", 0.0), ("warmup", 1.0), ("floor", 1.1)])
    def test_a_shared_parameter_out_of_range_is_named(self, kind: type[Schedule], field: str, value: float) -> None:
        with pytest.raises(ValidationError, match=rf"\n{field}\n"):
            kind.model_validate({"learning_rate": 0.1, **an_example(kind).parameters, field: value})

    @each_schedule
    def test_a_missing_learning_rate_is_named(self, kind: type[Schedule]) -> None:
        with pytest.raises(ValidationError, match=r"\nlearning_rate\n.*required"):
            kind.model_validate(an_example(kind).parameters)

    @each_schedule
    def test_a_parameter_it_does_not_have_is_named(self, kind: type[Schedule]) -> None:
        with pytest.raises(ValidationError, match=r"\nwarmth\n.*not permitted"):
            kind.model_validate({**an_example(kind).model_dump(), "warmth": 1.0})

    @each_schedule
    def test_every_number_of_its_own_must_be_a_number(self, kind: type[Schedule]) -> None:
        example = an_example(kind)
        values = {"learning_rate": 0.1, **example.parameters}
        own = [name for name, value in values.items() if isinstance(value, float | int)]
        for name in own:
            for value in (math.nan, math.inf, -1.0, "1", True):
                with pytest.raises(ValidationError, match=rf"\n{name}\n"):
                    kind.model_validate({**values, name: value})

    @each_schedule
    def test_it_never_changes(self, kind: type[Schedule]) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            an_example(kind).learning_rate = 0.2

    @each_schedule
    def test_it_can_be_a_member_of_a_set(self, kind: type[Schedule]) -> None:
        assert len({an_example(kind), an_example(kind)}) == 1

    @each_schedule
    def test_it_has_a_json_schema(self, kind: type[Schedule]) -> None:
        assert kind.model_json_schema()["properties"].keys() == kind.model_fields.keys()


class TestEveryOpenLoopSchedule:
    @each_open_loop
    @quickly
    @given(data=st.data(), timeline=clocks)
    def test_no_rate_is_above_the_learning_rate(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline
    ) -> None:
        schedule = data.draw(drawn_with_modifiers(kind))
        assert (schedule.rates(timeline) <= schedule.learning_rate * (1 + 1e-12)).all()

    @each_open_loop
    @quickly
    @given(data=st.data(), timeline=clocks, momentum=st.floats(0, 1, exclude_max=True))
    def test_momenta_lie_between_zero_and_the_momentum(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline, momentum: float
    ) -> None:
        momenta = data.draw(drawn_with_modifiers(kind)).momenta(timeline, momentum)
        assert momenta.shape == (timeline.epochs, timeline.steps_per_epoch)
        assert (momenta >= 0).all()
        assert (momenta <= momentum).all()

    @pytest.mark.parametrize("kind", RELATIVE.values(), ids=RELATIVE.keys())
    @pytest.mark.parametrize("end", [0, -1])
    @pytest.mark.parametrize("warmup", [0.0, 0.1])
    def test_it_keeps_its_shape_when_the_budget_grows_tenfold(
        self, kind: type[Schedule], end: int, warmup: float
    ) -> None:
        schedule = an_example(kind, end, warmup=warmup)
        short, long = Timeline(epochs=20, steps_per_epoch=100), Timeline(epochs=200, steps_per_epoch=100)
        np.testing.assert_allclose(schedule.rates(short)[:, 0], schedule.rates(long)[::10, 0], rtol=1e-9)
        np.testing.assert_allclose(schedule.momenta(short, 0.9)[:, 0], schedule.momenta(long, 0.9)[::10, 0], rtol=1e-9)

    @each_open_loop
    @pytest.mark.parametrize("end", [0, -1])
    def test_the_text_of_its_function_needs_nothing_but_numpy(self, kind: type[OpenLoop], end: int) -> None:
        schedule, time = an_example(kind, end), Timeline(epochs=9, steps_per_epoch=4).part(3, 30)
        assert isinstance(schedule, OpenLoop)
        rates = alone(kind.function)(time, **schedule.settings)
        assert (rates == kind.function(time, **schedule.settings)).all()

    @pytest.mark.parametrize(
        "kind", [kind for kind in OPEN.values() if kind.momentum_function], ids=lambda kind: kind.name
    )
    def test_the_text_of_its_momentum_function_needs_nothing_but_numpy(self, kind: type[OpenLoop]) -> None:
        schedule, timeline = an_example(kind, warmup=0.0), Timeline(epochs=9, steps_per_epoch=4)
        assert kind.momentum_function is not None
        own = {name: getattr(schedule, name) for name in kind.own_parameters() if name not in MODIFIERS}
        assert (alone(kind.momentum_function)(timeline, 0.9, **own) == schedule.momenta(timeline, 0.9)).all()


EPOCHS, MEMBERS = 40, 200


def draw(draws: np.random.Generator, low: float, high: float) -> Value:
    """Return a number that single precision holds too: whole if its bounds are."""
    if isinstance(low, int) and isinstance(high, int):
        return int(draws.integers(low, high, endpoint=True))
    return float(np.float32(draws.uniform(low, high)))


class Watched:
    """Many members of one closed-loop schedule, each with its own parameters and costs, some of them diverged."""

    def __init__(self, kind: type[ClosedLoop]) -> None:
        draws = np.random.default_rng(20)
        self.schedules = [kind.model_validate({"learning_rate": 0.1, **own}) for own in self._own(kind, draws)]
        costs = np.cumsum(draws.normal(-0.01, 0.1, (EPOCHS, MEMBERS)), axis=0) + 1
        costs = costs.astype(np.float32).astype(np.float64)  # as a population sees them
        costs[draws.random(costs.shape) < 0.03] = math.nan
        costs[draws.random(costs.shape) < 0.03] = math.inf
        self.costs = costs

    @staticmethod
    def _own(kind: type[ClosedLoop], draws: np.random.Generator) -> list[dict[str, Value]]:
        ranges = {
            "factor": (0.1, 0.9),
            "patience": (1, 4),
            "cooldown": (0, 3),
            "min_delta": (0.0, 0.1),
            "reductions": (1, 3),
            "rebound": (0.1, 2.0),
            "highest": (1.0, 20.0),
            "floor": (0.0, 0.1),
        }
        return [{name: draw(draws, *ranges[name]) for name in kind.numbers()} for _ in range(MEMBERS)]

    def gains(self) -> Numbers:
        """Return the gains member by member, in NumPy, `[epochs, members]`."""
        shown = zip(self.schedules, self.costs.T, strict=True)
        return np.stack([one.gains([one.sign * cost for cost in costs]) for one, costs in shown], axis=1)


class TestEveryClosedLoopSchedule:
    @each_closed_loop
    def test_a_compiled_population_has_the_gains_of_its_members_alone(self, kind: type[ClosedLoop]) -> None:
        import tensorflow as tf

        watched = Watched(kind)
        own = {name: [float(getattr(one, name)) for one in watched.schedules] for name in kind.numbers()}
        members = SimpleNamespace(**{name: tf.constant(values, tf.float32) for name, values in own.items()})
        state = {
            name: tf.fill((MEMBERS,), tf.constant(value, tf.float32)) for name, value in kind.initial_state.items()
        }
        advance = tf.function(
            lambda state, cost: kind.advance(tf, state, cost, members), jit_compile=True, autograph=False
        )
        gains = []
        for costs in watched.costs:
            gains.append(state["gain"].numpy())
            state = advance(state, tf.constant(costs, tf.float32))
            assert all(value.shape == (MEMBERS,) and value.dtype == tf.float32 for value in state.values())
        np.testing.assert_allclose(gains, watched.gains(), rtol=1e-6)
        assert len(np.unique(np.round(gains, 9))) > 20

    @each_closed_loop
    def test_a_cost_that_is_not_finite_never_raises_the_rate(self, kind: type[ClosedLoop]) -> None:
        watched = Watched(kind)
        gains = watched.gains()
        diverged = ~np.isfinite(watched.costs[:-1])
        assert np.isfinite(gains).all()
        assert (gains[1:] <= gains[:-1])[diverged].all()

    @each_closed_loop
    def test_its_gain_stays_finite_after_nothing_but_divergence(self, kind: type[ClosedLoop]) -> None:
        gains = an_example(kind).gains([math.nan] * 50)  # type: ignore[attr-defined]  # closed-loop
        assert (np.diff(gains) <= 0).all()
        assert (gains > 0).all()

    @each_closed_loop
    def test_the_text_of_its_rule_needs_nothing_but_the_arrays_it_is_given(self, kind: type[ClosedLoop]) -> None:
        watched = Watched(kind)
        advance, schedule = alone(kind.advance), watched.schedules[0]
        state, gains = schedule.begin(), []
        for cost in watched.costs[:, 0]:
            gains.append(state["gain"])
            state = advance(np, state, cost, schedule)
        assert (np.array(gains) == watched.gains()[:, 0]).all()

    @each_closed_loop
    def test_the_rates_are_the_base_rates_times_the_gains(self, kind: type[ClosedLoop]) -> None:
        schedule, timeline = an_example(kind, warmup=0.2), Timeline(epochs=6, steps_per_epoch=5)
        assert isinstance(schedule, ClosedLoop)
        shown = [0.5, 0.7, 0.6, 0.6, 0.9, 0.1]
        expected = schedule.base_rates(timeline) * schedule.gains(shown, first_watched=1)[:, None]
        assert (schedule.rates(timeline, shown) == expected).all()

    @each_closed_loop
    def test_it_does_not_watch_before_the_warm_up_ends(self, kind: type[ClosedLoop]) -> None:
        schedule, timeline = an_example(kind, warmup=0.5), Timeline(epochs=8, steps_per_epoch=3)
        assert isinstance(schedule, ClosedLoop)
        shown = [0.9, 0.1] * 4
        gains = schedule.gains(shown, schedule.first_watched(timeline))
        assert schedule.first_watched(timeline) == 4
        assert gains.tolist() == [1.0] * 4 + schedule.gains(shown[4:]).tolist()

    @each_closed_loop
    @pytest.mark.parametrize("monitor", ["auc", "", "Loss", 1, None])
    def test_an_unknown_monitor_is_named(self, kind: type[ClosedLoop], monitor: Any) -> None:
        with pytest.raises(BadInput, match=r"^monitor: must be "):
            read_schedule({"name": kind.name, "learning_rate": 0.1, "monitor": monitor})


def halving(time: Timeline, learning_rate: float, half_life: float) -> Numbers:
    return learning_rate / (1 + time.epoch / half_life)


class Halving(OpenLoop):
    """`rate = learning_rate / (1 + epoch / half_life)`."""

    name = "halving"
    formula = "rate = learning_rate / (1 + epoch / half_life)"
    source = "these tests"
    default_space: ClassVar[dict[str, Space]] = {"half_life": Range(low=1.0, high=50.0, log=True)}
    function = halving

    half_life: float = Field(gt=0, description="epochs until the rate has halved")


class TestAFurtherSchedule:
    """One class and its place in the catalogue are enough: nothing else names a schedule."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(CATALOGUE, Halving.name, Halving)

    def test_params_make_a_candidate_of_it(self) -> None:
        candidate = from_params({"schedule": "halving", "learning_rate": 0.1, "halving.half_life": 5.0})
        assert candidate.schedule == Halving(learning_rate=0.1, half_life=5.0)
        assert candidate.schedule.rates(Timeline(epochs=6, steps_per_epoch=1))[-1, 0] == 0.05

    def test_its_json_makes_it_again(self) -> None:
        schedule = Halving(learning_rate=0.1, half_life=5.0, warmup=0.1)
        assert Schedule.from_json(schedule.to_json()) == schedule

    def test_it_can_be_joined_by_name(self) -> None:
        whole = {"name": "join", "learning_rate": 0.1, "second": {"name": "halving", "half_life": 5.0}}
        assert read_schedule(whole).rates(Timeline(epochs=20, steps_per_epoch=1))[15, 0] == 0.05

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
        assert plan.search.schedules["halving"] == {"half_life": space}
        assert plan.candidates[0].schedule == Halving(learning_rate=0.1, half_life=5.0)
