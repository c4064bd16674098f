"""Laws of two schedules that follow each other, and of the user's own function as a schedule."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.candidate import from_params
from sweep.errors import BadInput
from sweep.schedules import Schedule, Timeline, read_schedule
from sweep.schedules.open_loop import cosine, linear, one_cycle, step
from sweep.schedules.rules import Join

CLOCK = Timeline(epochs=10, steps_per_epoch=4)


def joined(**values: Any) -> Schedule:
    return read_schedule({"name": "join", "learning_rate": 0.1, **values})


class TestRates:
    @settings(deadline=None)
    @given(at=st.floats(0.05, 0.95))
    def test_each_part_has_the_rates_of_a_training_of_its_own(self, at: float) -> None:
        split = round(at * 40)
        rates = joined(first="linear", second="cosine", at=at).rates(CLOCK).ravel()
        first = linear(learning_rate=0.1).rates(Timeline(epochs=split, steps_per_epoch=1)).ravel()
        second = cosine(learning_rate=0.1).rates(Timeline(epochs=40 - split, steps_per_epoch=1)).ravel()
        np.testing.assert_allclose(rates, [*first, *second], rtol=1e-12)

    def test_epochs_count_from_the_beginning_of_a_part(self) -> None:
        steps = {"name": "step_from_zero", "drop": 0.5, "epochs_drop": 2}
        rates = joined(first="constant", second=steps, at=0.5).rates(CLOCK)
        assert rates[:, 0].tolist() == [0.1] * 5 + [0.1, 0.1, 0.05, 0.05, 0.025]

    def test_parts_keep_their_own_warm_up_and_floor(self) -> None:
        second = {"name": "linear", "warmup": 0.5, "floor": 0.5}
        rates = joined(first="constant", second=second, at=0.5).rates(CLOCK).ravel()
        assert rates[20:32].tolist() == pytest.approx([*(0.01 * np.arange(11)), 0.09])
        assert rates[-1] == pytest.approx(0.05)

    def test_its_own_warm_up_comes_before_the_first_part(self) -> None:
        rates = joined(first="linear", second="constant", at=0.5, warmup=0.2).rates(CLOCK).ravel()
        assert rates[[0, 4, 8, 16]].tolist() == pytest.approx([0.0, 0.05, 0.1, 0.05])
        assert (rates[24:] == 0.1).all()

    def test_a_part_may_be_joined_itself(self) -> None:
        inner = {"name": "join", "first": "constant", "second": {"name": "constant", "learning_rate": 0.2}, "at": 0.5}
        rates = joined(first=inner, second="linear", at=0.4).rates(CLOCK)[:, 0]
        assert rates[:5].tolist() == [0.1, 0.1, 0.2, 0.2, 0.1]

    @pytest.mark.parametrize(("at", "rate"), [(0.01, 0.2), (0.99, 0.1)])
    def test_a_part_without_a_batch_is_left_out(self, at: float, rate: float) -> None:
        schedule = joined(first="constant", second={"name": "constant", "learning_rate": 0.2}, at=at)
        assert schedule.rates(Timeline(epochs=1, steps_per_epoch=2)).tolist() == [[rate, rate]]

    def test_momenta_join_too(self) -> None:
        schedule = joined(first="constant", second="one_cycle", at=0.5)
        momenta = schedule.momenta(CLOCK, 0.9).ravel()
        own = one_cycle(learning_rate=0.1).momenta(Timeline(epochs=20, steps_per_epoch=1), 0.9).ravel()
        np.testing.assert_allclose(momenta, [*[0.9] * 20, *own], rtol=1e-12)


class TestParts:
    def test_a_part_that_states_no_rate_has_that_of_the_whole(self) -> None:
        schedule = joined(first="constant", second={"name": "linear", "final_ratio": 0.1})
        assert isinstance(schedule, Join)
        assert schedule.second == linear(learning_rate=0.1, final_ratio=0.1)

    def test_a_part_that_states_a_rate_keeps_it(self) -> None:
        schedule = joined(second={"name": "linear", "learning_rate": 0.3})
        assert isinstance(schedule, Join)
        assert (schedule.first.learning_rate, schedule.second.learning_rate) == (0.1, 0.3)

    @pytest.mark.parametrize(
        "part",
        [
            {"name": "step", "drop": 0.5, "epochs_drop": 3},
            '{"name": "step", "drop": 0.5, "epochs_drop": 3}',
            step(learning_rate=0.1, drop=0.5, epochs_drop=3),
        ],
        ids=["dict", "text", "object"],
    )
    def test_a_part_may_be_a_dict_or_text_or_a_schedule(self, part: Any) -> None:
        text = '{"name": "step", "drop": 0.5, "epochs_drop": 3}'
        assert joined(second=part).parameters["second"] == text

    def test_a_part_with_nothing_but_defaults_is_written_as_its_name(self) -> None:
        second = {"name": "milestones", "at": "0.5 0.75", "learning_rate": 0.1, "warmup": 0.0}
        assert joined(second=second).parameters["second"] == "milestones"

    @pytest.mark.parametrize(
        "second",
        [
            "one_cycle",
            {"name": "cosine", "learning_rate": 0.3, "warmup": 0.1},
            {"name": "piecewise_linear", "points": [[0, 1], [1, 0.5]]},
            {"name": "piecewise_constant", "values": [1, 0.5], "boundaries": [3]},
            {"name": "warmup_stable_decay", "warmup": 0.0},
            {"name": "cosine", "warmup": 0.2, "warmup_from": 0.0},
            {"name": "join", "first": {"name": "linear", "floor": 0.1}, "at": 0.3},
            {"name": "function", "function": "tests.schedules.callables:step_decay"},
        ],
        ids=str,
    )
    def test_it_comes_back_from_json_and_from_flat_params(self, second: Any) -> None:
        schedule = joined(second=second, at=0.3)
        assert Schedule.from_json(schedule.to_json()) == schedule
        flat = {f"join.{name}": value for name, value in schedule.parameters.items()}
        assert from_params({"schedule": "join", "learning_rate": 0.1, **flat}).schedule == schedule
        json.dumps(schedule.model_dump())

    @pytest.mark.parametrize(
        ("part", "reason"),
        [
            ("", "is missing; there are constant"),
            ("linaer", "there is no schedule `linaer`, did you mean `linear`"),
            ("plateau", "depends on time alone, got `plateau`"),
            (3, "a schedule's name or a whole schedule, got 3"),
            (None, "a schedule's name or a whole schedule, got None"),
            ("{", "`{` is not valid JSON"),
            ({"name": "linear", "final_ratio": 2.0}, "`final_ratio` must be less than or equal to 1, got 2.0"),
            ({"name": "linear", "finl_ratio": 0.1}, "`finl_ratio` unknown key, did you mean `final_ratio`"),
            ("step", "`drop` is missing"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("field", ["first", "second"])
    def test_a_bad_part_is_named(self, field: str, part: Any, reason: str) -> None:
        with pytest.raises(BadInput, match=reason) as caught:
            joined(**{field: part})
        assert caught.value.field == field


def test_joins_lie_in_each_other_to_a_depth_only() -> None:
    nested: dict[str, Any] = {"name": "join", "learning_rate": 0.1}
    for _ in range(2):
        nested = {"name": "join", "learning_rate": 0.1, "first": nested}
    assert read_schedule(nested).rates(CLOCK).shape == (CLOCK.epochs, CLOCK.steps_per_epoch)
    for _ in range(300):
        nested = {"name": "join", "learning_rate": 0.1, "first": nested}
    with pytest.raises(BadInput, match=r"^first: joins may lie at most 3 deep in each other"):
        read_schedule(nested)


TWELVE = Timeline(epochs=12, steps_per_epoch=3)


def function(name: str, **values: Any) -> Schedule:
    where = name if ":" in name else f"tests.schedules.callables:{name}"
    return read_schedule({"name": "function", "learning_rate": 0.2, "function": where, **values})


def test_a_function_of_the_epoch_gives_the_rate_of_all_its_batches() -> None:
    assert function("step_decay").rates(TWELVE).tolist() == [[0.1] * 3] * 10 + [[0.05] * 3] * 2


def test_a_function_of_epoch_and_rate_is_given_the_last_rate() -> None:
    rates = function("shrinking").rates(TWELVE)[:, 0]
    assert rates.tolist() == pytest.approx([0.2, 0.2, *(0.2 * math.exp(-0.1 * past) for past in range(1, 11))])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras reads as for NumPy 1
@pytest.mark.parametrize("name", ["step_decay", "shrinking"])
def test_its_rates_are_those_of_keras_learning_rate_scheduler(name: str) -> None:
    import keras

    from tests.schedules import callables

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.2), "mse")
    scheduler = keras.callbacks.LearningRateScheduler(getattr(callables, name))
    scheduler.set_model(model)
    for epoch, rate in enumerate(function(name).rates(TWELVE)[:, 0]):
        scheduler.on_epoch_begin(epoch)
        assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(rate, rel=1e-6)


def test_it_counts_epochs_after_the_warm_up() -> None:
    rates = function("step_decay", warmup=0.25).rates(Timeline(epochs=16, steps_per_epoch=1))[:, 0]
    assert rates.tolist() == pytest.approx([0.0, 0.025, 0.05, 0.075, *[0.1] * 10, 0.05, 0.05])


def test_the_floor_holds() -> None:
    assert function("step_decay", floor=0.4).rates(TWELVE)[-1, 0] == pytest.approx(0.08)


MODULE = "tests.schedules.callables"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing_at_three", "must return a finite float for epoch 3, got None."),
        ("infinite", "must return a finite float for epoch 0, got inf."),
        ("huge", "must return a finite float for epoch 0, got 100000000000000000...0000000000000000000."),
        ("ending", "must not fail, but for epoch 0 raised Ended: it tried to end the program with 0."),
        ("truth", "must return a finite float for epoch 0, got True."),
        ("negative", "must return a rate of at least 0 for epoch 0, got -0.1."),
        ("failing", "must not fail, but for epoch 2 raised ZeroDivisionError: division by zero."),
    ],
)
def test_a_value_that_is_no_rate_is_told_with_its_epoch(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=r"^function: ") as caught:
        function(name).rates(TWELVE)
    assert caught.value.reason == f"`tests.schedules.callables:{name}` {reason}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests.schedules.callables:NOT_A_FUNCTION", "must be a function, got 0.1"),
        ("tests.schedules.callables:missing", "has no `missing`"),
        ("no_such_module:step_decay", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_function_that_cannot_be_found_is_told_when_rates_are_asked_for(name: str, reason: str) -> None:
    schedule = function(name)
    with pytest.raises(BadInput, match=reason) as caught:
        schedule.rates(TWELVE)
    assert caught.value.field == "function"


def test_a_name_of_another_form_is_told_when_the_schedule_is_made() -> None:
    with pytest.raises(BadInput, match=r"^function: must be `module:function`, got ':step_decay'"):
        function(":step_decay")


def test_a_missing_function_is_named() -> None:
    with pytest.raises(BadInput, match=r"^function: is missing\.$"):
        read_schedule({"name": "function", "learning_rate": 0.1})


def test_what_it_prints_does_not_reach_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    function("chatty").rates(TWELVE)
    assert capsys.readouterr().out == ""
