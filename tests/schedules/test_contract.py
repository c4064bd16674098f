"""The contract of a schedule: what holds for each of the catalogue, and what it takes to add one."""

from __future__ import annotations

import json
import math
import pickle
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sweep.candidate import Candidate, from_params
from sweep.config.plan import resolve_spaces
from sweep.config.study_file import read_plan
from sweep.errors import BadInput
from sweep.schedules import (
    CATALOGUE,
    MODIFIERS,
    ClosedLoop,
    Numbers,
    OpenLoop,
    Schedule,
    Timeline,
    read_schedule,
    schedule,
)
from sweep.schedules.catalogue import Named, Shown, list_catalogue, make_schedule
from sweep.schedules.open_loop import constant
from sweep.search.space import SearchSpace
from sweep.space import Range, Space, Value
from tests.fakes import make_plan
from tests.schedules.examples import (
    REQUIRED,
    an_example,
    drawn,
    each_closed_loop,
    each_schedule,
    momenta,
    quickly,
    timelines,
)

# A formula that begins with `rate = ` is an expression; others say in words what no single expression can.
EXPRESSIONS = [kind for kind in CATALOGUE.values() if kind.formula.startswith("rate = ")]
IN_EPOCHS = {"time", "time_compounding", "time_by_batch", "step", "step_from_zero"}  # as the tutorial counts
RELATIVE = [kind for name, kind in CATALOGUE.items() if issubclass(kind, OpenLoop) and name not in IN_EPOCHS]
# Values outside each parameter's range, besides those that are no number.
OUTSIDE: dict[str, dict[str, list[Any]]] = {
    "time": {"decay": [-0.001, 1.1e6]},
    "time_compounding": {"decay": [-0.001, 1.1e6]},
    "time_by_batch": {"decay": [-0.001, 1.1e6]},
    "step": {"drop": [0.0, -0.5, 1.1], "epochs_drop": [0, -1, 2.0]},
    "step_from_zero": {"drop": [0.0, -0.5, 1.1], "epochs_drop": [0, -1, 2.0]},
    "exponential": {"final_ratio": [0.0, -0.1, 1.1, None]},
    "exponential_by_batch": {"final_ratio": [0.0, -0.1, 1.1, None]},
    "exponential_staircase": {"final_ratio": [0.0, -0.1, 1.1, None], "stairs": [0, -1, 2.0]},
    "milestones": {
        "at": ["", "0.75 0.5", "0.5 0.5", "1.5", "half", 0.5, [True], None],
        "drop": [0.0, -0.1, 1.1],
    },
    "piecewise_constant": {
        "values": ["", "1 -1 1", "1 x 1", 0.5, [True, 1, 1], None],
        "boundaries": ["", "0 0.5", "0.5 0.5", "0.75 0.5", "-1 2", "half", 0.5, [True], None],
        "unit": ["steps", "", 1, None],
    },
    "piecewise_linear": {
        "points": ["", "0:1", "0:1 0.5:1", "0.1:1 1:0", "0:1 0.6:1 0.5:1 1:0", "0:1 1:-1", "0 1", 1],
    },
    "linear": {"final_ratio": [-0.1, 1.1]},
    "polynomial": {"final_ratio": [-0.1, 1.1], "power": [0.0, -1.0, 101.0]},
    "cosine": {"final_ratio": [-0.1, 1.1]},
    "cosine_restarts": {
        "final_ratio": [-0.1, 1.1],
        "first_cycle": [0.0, -0.1, 1.1],
        "t_mul": [0.9, 0.0, 11.0],
        "m_mul": [0.0, -0.1, 1.1],
    },
    "one_cycle": {
        "peak_at": [0.0, 1.0, -0.1],
        "start_ratio": [-0.1, 1.1],
        "final_ratio": [-0.1, 1.1],
        "momentum_dip": [-0.1, 1.1],
    },
    "triangular": {"cycles": [0, -1, 1.5, 2.0], "low_ratio": [-0.1, 1.1], "peak_decay": [0.0, -0.1, 1.1]},
    "inverse_sqrt": {"timescale": [0.0, -0.1]},
    "warmup_stable_decay": {"decay_from": [-0.1, 1.0], "final_ratio": [-0.1, 1.1], "warmup": [-0.1, 1.0]},
    "join": {"at": [0.0, 1.0, -0.1]},
    "plateau": {
        "factor": [0.0, 1.0, -0.1],
        "patience": [-1, 1.5],
        "cooldown": [-1, 1.5],
        "min_delta": [-0.1],
        "monitor": ["", 1, None],
        "mode": ["", "Max", "lower", 1],
    },
    "accuracy_drop": {
        "monitor": ["", 1, None],
        "mode": ["", "Max", "lower", 1],
        "factor": [0.0, 1.0, -0.1],
        "min_delta": [-0.1],
    },
    "cost_driven": {
        "monitor": ["", 1, None],
        "mode": ["", "Max", "lower", 1],
        "highest": [0.9, 0.0, -1.0],
    },
}
OUTSIDE["plateau_rebound"] = {**OUTSIDE["plateau"], "reductions": [0, -1, 1.5], "rebound": [0.0, -1.0]}
NO_NUMBERS = (math.nan, math.inf, -1.0, "1", True)


def complaint(kind: type[Schedule], values: dict[str, Any]) -> str:
    """Return what pydantic says of bad values, or nothing."""
    try:
        kind.model_validate(values)
    except ValidationError as error:
        return str(error)
    return ""


class TestEverySchedule:
    @each_schedule
    @quickly(50)
    @given(data=st.data(), timeline=timelines, momentum=momenta)
    def test_rates_are_finite_rise_through_the_warm_up_and_stay_above_the_floor(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline, momentum: float
    ) -> None:
        schedule = data.draw(drawn(kind))
        rates, moved = schedule.rates(timeline), schedule.momenta(timeline, momentum)
        assert rates.shape == moved.shape == (timeline.epochs, timeline.steps_per_epoch)
        assert rates.dtype == np.float64
        assert (np.isfinite(rates) & (rates >= 0)).all()
        assert ((moved >= 0) & (moved <= momentum)).all()
        batches = schedule.warmup_batches(timeline)
        lowest = schedule.floor * schedule.learning_rate * (1 - 1e-12)
        assert (rates.ravel()[batches:] >= lowest).all()
        if issubclass(kind, OpenLoop):
            assert (rates <= schedule.learning_rate * (1 + 1e-12)).all()
        bare = schedule.model_copy(update={"warmup": 0.0}).base_rates(schedule.own_time(timeline)).ravel()
        first = schedule.warmup_from or 0.0
        ramp = first + (1 - first) * np.arange(len(bare)) / max(batches, 1e-9)
        ramp[batches:] = 1.0
        np.testing.assert_allclose(schedule.base_rates(timeline).ravel(), bare * ramp, rtol=1e-12)

    @each_schedule
    def test_rates_depend_on_the_parameters_and_the_time_alone(self, kind: type[Schedule]) -> None:
        timeline = Timeline(epochs=7, steps_per_epoch=3)
        rates = an_example(kind).rates(timeline)
        assert (an_example(kind).rates(timeline) == rates).all()
        assert an_example(kind).by_epoch(7, 3) == [float(f"{rate:.10g}") for rate in rates[:, 0]]
        (told,) = Shown([Named(kind.name, an_example(kind))], timeline, 0.9).answer.schedules
        assert (told.rates, told.rates_at_start) == (rates.tolist(), rates[:, 0].tolist())
        assert read_schedule(told.schedule) == an_example(kind)

    @pytest.mark.parametrize("kind", EXPRESSIONS, ids=lambda kind: kind.name)
    @quickly(30)
    @given(data=st.data(), timeline=timelines)
    def test_the_printed_formula_is_what_is_computed(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline
    ) -> None:
        schedule = data.draw(drawn(kind, warmup=st.just(0.0), floor=st.just(0.0)))
        functions = {name: getattr(np, name) for name in ("floor", "cos", "sqrt", "exp", "pi", "minimum", "maximum")}
        time = {name: getattr(timeline, name) for name in ("epoch", "epochs", "batch", "batches", "fraction")}
        printed = eval(kind.formula.removeprefix("rate = "), {**functions, **time, **schedule.settings})
        np.testing.assert_allclose(schedule.rates(timeline), np.broadcast_to(printed, timeline.batch.shape), rtol=1e-9)

    @each_schedule
    @quickly(25)
    @given(data=st.data())
    def test_documents_params_and_pickles_make_it_again(self, kind: type[Schedule], data: st.DataObject) -> None:
        schedule = data.draw(drawn(kind))
        parameters = {"name": kind.name, "learning_rate": schedule.learning_rate, **schedule.parameters}
        assert read_schedule(parameters) == Schedule.from_json(schedule.to_json()) == schedule
        assert pickle.loads(pickle.dumps(schedule)) == schedule
        assert hash(schedule) == hash(read_schedule(parameters))
        candidate = Candidate(schedule=schedule, momentum=0.9)
        assert all(isinstance(value, float | int | bool | str) for value in candidate.params.values())
        assert from_params(candidate.params) == candidate

    @each_schedule
    def test_it_says_what_it_is(self, kind: type[Schedule]) -> None:
        assert CATALOGUE[kind.name] is kind
        assert kind.source
        assert f"`{kind.formula}`" in (kind.__doc__ or "")
        assert kind.formula.startswith(("rate = ", "rate: ", "rate[n] = "))
        assert all(field.description for field in kind.model_fields.values())
        assert kind.model_json_schema()["properties"].keys() == kind.model_fields.keys()
        (entry,) = [entry for entry in list_catalogue().schedules if entry.name == kind.name]
        assert {*entry.parameters, "learning_rate", *MODIFIERS} == {*kind.model_fields}

    @each_schedule
    def test_a_search_needs_no_word_about_its_own_parameters(self, kind: type[Schedule]) -> None:
        own = dict(REQUIRED.get(kind.name, {}))
        required = {key for key in kind.own_parameters() if kind.model_fields[key].is_required()}
        assert required - own.keys() <= kind.default_space.keys()
        assert kind.default_space.keys() <= set(kind.own_parameters()) - set(MODIFIERS)
        resolve_spaces(kind.name, dict(own))
        space = SearchSpace(make_plan(recipes=(), schedules={kind.name: own}).search)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        drawn = space.suggest(study.ask())
        assert drawn.schedule.name == kind.name
        assert space.candidate(space.params(drawn)) == drawn == space.candidate(study.trials[0].params)

    @each_schedule
    def test_a_bad_missing_or_unknown_parameter_is_named(self, kind: type[Schedule]) -> None:
        example = an_example(kind)
        values = {"learning_rate": 0.1, **example.parameters}
        numbers = [name for name, value in values.items() if isinstance(value, float | int)]
        bad = [(name, value) for name in numbers for value in NO_NUMBERS]
        bad += [(name, value) for name, outside in OUTSIDE.get(kind.name, {}).items() for value in outside]
        assert [one for one in bad if f"\n{one[0]}\n" not in complaint(kind, {**values, one[0]: one[1]})] == []
        required = [name for name, field in kind.model_fields.items() if field.is_required()]
        for name in required:
            rest = {key: value for key, value in values.items() if key != name}
            assert f"\n{name}\n  Field required" in complaint(kind, rest)
        assert "\nwarmth\n  Extra inputs are not permitted" in complaint(kind, {**values, "warmth": 1.0})
        with pytest.raises(ValidationError, match="frozen"):
            example.learning_rate = 0.2

    @each_schedule
    def test_every_parameter_that_has_a_range_is_tried_outside_it(self, kind: type[Schedule]) -> None:
        tried = OUTSIDE.get(kind.name, {}).keys() | {"learning_rate", *MODIFIERS, "function", "first", "second"}
        assert kind.model_fields.keys() <= tried

    @each_schedule
    def test_it_inherits_the_ranges_that_all_schedules_share(self, kind: type[Schedule]) -> None:
        for field in ("learning_rate", *MODIFIERS):
            assert kind.model_fields[field].metadata == Schedule.model_fields[field].metadata

    @pytest.mark.parametrize("kind", RELATIVE, ids=lambda kind: kind.name)
    def test_it_keeps_its_shape_when_the_budget_grows_tenfold(self, kind: type[Schedule]) -> None:
        short, long = Timeline(epochs=20, steps_per_epoch=100), Timeline(epochs=200, steps_per_epoch=100)
        for end, warmup in ((0, 0.0), (0, 0.1), (-1, 0.0), (-1, 0.1)):
            one = an_example(kind, end, warmup=warmup)
            np.testing.assert_allclose(one.rates(short)[:, 0], one.rates(long)[::10, 0], rtol=1e-9)
            np.testing.assert_allclose(one.momenta(short, 0.9)[:, 0], one.momenta(long, 0.9)[::10, 0], rtol=1e-9)


@pytest.mark.parametrize("field", ["learning_rate", *MODIFIERS])
def test_a_bad_shared_parameter_is_named(field: str) -> None:
    outside = {"learning_rate": 0.0, "warmup": 1.0, "warmup_from": 1.1, "floor": 1.1}[field]
    for value in (-0.1, math.nan, math.inf, "0.1", True, outside, *([] if field == "warmup_from" else [None])):
        assert f"\n{field}\n" in complaint(constant, {"learning_rate": 0.1, field: value}), value


EPOCHS, MEMBERS = 40, 200
RANGES: dict[str, tuple[float, float]] = {
    "factor": (0.1, 0.9),
    "patience": (1, 4),
    "cooldown": (0, 3),
    "min_delta": (0.0, 0.1),
    "reductions": (1, 3),
    "rebound": (0.1, 2.0),
    "highest": (1.0, 20.0),
    "floor": (0.0, 0.1),
}


def draw(draws: np.random.Generator, low: float, high: float) -> Value:
    """Return a number that single precision holds too: whole if its bounds are."""
    if isinstance(low, int) and isinstance(high, int):
        return int(draws.integers(low, high, endpoint=True))
    return float(np.float32(draws.uniform(low, high)))


class Watched:
    """Many members of one closed-loop schedule, each with its own parameters and costs, some of them diverged."""

    def __init__(self, kind: type[ClosedLoop]) -> None:
        draws = np.random.default_rng(20)
        own = [{name: draw(draws, *RANGES[name]) for name in kind.numbers()} for _ in range(MEMBERS)]
        self.schedules = [kind.model_validate({"learning_rate": 0.1, **values}) for values in own]
        costs = np.cumsum(draws.normal(-0.01, 0.1, (EPOCHS, MEMBERS)), axis=0) + 1
        costs = costs.astype(np.float32).astype(np.float64)  # as a population sees them
        costs[draws.random(costs.shape) < 0.03] = math.nan
        costs[draws.random(costs.shape) < 0.03] = math.inf
        self.costs = costs

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
        never = an_example(kind).gains([math.nan] * 50)  # type: ignore[attr-defined]  # closed-loop
        assert (np.diff(never) <= 0).all()
        assert (never > 0).all()

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
    def test_it_may_watch_anything_but_in_a_study_what_that_records(self, kind: type[ClosedLoop]) -> None:
        schedule = read_schedule({"name": kind.name, "learning_rate": 0.1, "monitor": "val_auc", "mode": "max"})
        assert (schedule.parameters["monitor"], schedule.parameters["mode"]) == ("val_auc", "max")
        told = r"monitor: must be .* or 'val_\w+', which a study records \(in Keras code .*\), got 'val_auc'\.$"
        with pytest.raises(BadInput, match=rf"^{told}"):
            Candidate(schedule=schedule)
        with pytest.raises(BadInput, match=rf"^{told}"):
            make_schedule(kind.name, {"learning_rate": 0.1, "monitor": "val_auc"})
        with pytest.raises(BadInput, match=rf"^search\.schedules\.{kind.name}\.{told}"):
            resolve_spaces(kind.name, {"monitor": (kind.recorded[0], "val_auc")})


@schedule(source="these tests", space={"half_life": Range(low=1.0, high=50.0, log=True)})
def halving(
    time: Timeline,
    learning_rate: float,
    half_life: Annotated[float, Field(gt=0, description="epochs until the rate has halved")],
) -> Numbers:
    """Return the rate that has halved after `half_life` epochs.

    `rate = learning_rate / (1 + epoch / half_life)`.
    """
    return learning_rate / (1 + time.epoch / half_life)


CATALOGUE.pop("halving")  # it entered by its definition; no other test is to see it


class TestAFurtherSchedule:
    """One decorated function in a module of the catalogue is enough: nothing else names a schedule."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(CATALOGUE, halving.name, halving)

    def test_its_class_has_what_its_function_states(self) -> None:
        assert (halving.name, halving.__name__, halving.source) == ("halving", "Halving", "these tests")
        assert halving.formula == "rate = learning_rate / (1 + epoch / half_life)"
        assert halving.own_parameters() == ("half_life", *MODIFIERS)

    def test_params_make_a_candidate_of_it(self) -> None:
        candidate = from_params({"schedule": "halving", "learning_rate": 0.1, "halving.half_life": 5.0})
        assert candidate.schedule == halving(learning_rate=0.1, half_life=5.0)
        assert candidate.schedule.by_epoch(6)[-1] == 0.05

    def test_it_comes_back_from_json_and_from_a_worker(self) -> None:
        one = halving(learning_rate=0.1, half_life=5.0, warmup=0.1)
        assert Schedule.from_json(one.to_json()) == one == pickle.loads(pickle.dumps(one))

    def test_it_can_be_joined_by_name(self) -> None:
        whole = {"name": "join", "learning_rate": 0.1, "second": {"name": "halving", "half_life": 5.0}}
        assert read_schedule(whole).by_epoch(20)[15] == 0.05

    def test_a_bad_parameter_of_it_is_named(self) -> None:
        with pytest.raises(BadInput, match=r"^half_life: .*greater than 0, got 0\.0"):
            from_params({"schedule": "halving", "learning_rate": 0.1, "halving.half_life": 0.0})

    @pytest.mark.parametrize(
        ("spaces", "space"),
        [({}, halving.default_space["half_life"]), ({"half_life": [5.0, 10.0]}, (5.0, 10.0))],
        ids=["its own", "the study file's"],
    )
    def test_a_study_file_may_search_it(self, spaces: dict[str, Any], space: Space) -> None:
        recipe = {"schedule": "halving", "learning_rate": 0.1, "half_life": 5.0}
        tables = {"name": "s", "data": {"file": "rows.csv"}, "search": {"schedules": {"halving": spaces}}}
        plan = read_plan({**tables, "recipes": [recipe]})
        assert plan.search.schedules["halving"] == {"half_life": space}
        assert plan.candidates[0].schedule == halving(learning_rate=0.1, half_life=5.0)


def test_the_catalogue_is_whole() -> None:
    assert len(CATALOGUE) == 27
    assert json.loads(list_catalogue().model_dump_json())["shared"].keys() == {"learning_rate"}
