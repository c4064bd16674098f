"""Laws of the user's own function as a schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sweep.errors import BadInput
from sweep.schedules import Schedule, Timeline, read_schedule

CLOCK = Timeline(epochs=12, steps_per_epoch=3)


def function(name: str, **values: Any) -> Schedule:
    where = name if ":" in name else f"tests.schedules.callables:{name}"
    return read_schedule({"name": "function", "learning_rate": 0.2, "function": where, **values})


def test_a_function_of_the_epoch_gives_the_rate_of_all_its_batches() -> None:
    assert function("step_decay").rates(CLOCK).tolist() == [[0.1] * 3] * 10 + [[0.05] * 3] * 2


def test_a_function_of_epoch_and_rate_is_given_the_last_rate() -> None:
    rates = function("shrinking").rates(CLOCK)[:, 0]
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
    for epoch, rate in enumerate(function(name).rates(CLOCK)[:, 0]):
        scheduler.on_epoch_begin(epoch)
        assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(rate, rel=1e-6)


def test_it_counts_epochs_after_the_warm_up() -> None:
    rates = function("step_decay", warmup=0.25).rates(Timeline(epochs=16, steps_per_epoch=1))[:, 0]
    assert rates.tolist() == pytest.approx([0.0, 0.025, 0.05, 0.075, *[0.1] * 10, 0.05, 0.05])


def test_the_floor_holds() -> None:
    assert function("step_decay", floor=0.4).rates(CLOCK)[-1, 0] == pytest.approx(0.08)


MODULE = "tests.schedules.callables"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing_at_three", "must return a finite float for epoch 3, got None."),
        ("infinite", "must return a finite float for epoch 0, got inf."),
        ("huge", "must return a finite float for epoch 0, got 100000000000000000...0000000000000000000."),
        ("ending", "must not fail, but for epoch 0 raised RuntimeError: it tried to end the program with 0."),
        ("truth", "must return a finite float for epoch 0, got True."),
        ("negative", "must return a rate of at least 0 for epoch 0, got -0.1."),
        ("failing", "must not fail, but for epoch 2 raised ZeroDivisionError: division by zero."),
    ],
)
def test_a_value_that_is_no_rate_is_told_with_its_epoch(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=r"^function: ") as caught:
        function(name).rates(CLOCK)
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
        schedule.rates(CLOCK)
    assert caught.value.field == "function"


def test_a_name_of_another_form_is_told_when_the_schedule_is_made() -> None:
    with pytest.raises(BadInput, match=r"^function: must be `module:function`, got ':step_decay'"):
        function(":step_decay")


def test_a_missing_function_is_named() -> None:
    with pytest.raises(BadInput, match=r"^function: is missing\.$"):
        read_schedule({"name": "function", "learning_rate": 0.1})


def test_what_it_prints_does_not_reach_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    function("chatty").rates(CLOCK)
    assert capsys.readouterr().out == ""
