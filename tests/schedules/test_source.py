"""Laws of a schedule's source text: it runs alone, it gives the same numbers, and it holds no more than it needs."""

from __future__ import annotations

import builtins
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.schedules import ClosedLoop, Numbers, Schedule, Timeline, read_schedule
from sweep.schedules.source import Code, function_text, write_code
from tests.schedules.examples import an_example, drawn, each_closed_loop, each_schedule, momenta, quickly, timelines

CLOCK = Timeline(epochs=12, steps_per_epoch=5)


def import_foreign(name: str, *rest: Any) -> Any:
    assert name.partition(".")[0] != "sweep"
    return builtins.__import__(name, *rest)


def run(code: Code, timeline: Timeline) -> dict[str, Any]:
    """Run the text where there is nothing but builtins and NumPy, and no way to us."""
    namespace: dict[str, Any] = {
        "__builtins__": vars(builtins) | {"__import__": import_foreign},
        "np": np,
        "EPOCHS": timeline.epochs,
        "STEPS_PER_EPOCH": timeline.steps_per_epoch,
    }
    exec("\n".join([*code.imports, *(f"import {module}" for module in code.modules), code.text]), namespace)
    return namespace


def rates_alone(schedule: Schedule, timeline: Timeline = CLOCK) -> Any:
    return run(write_code(schedule, timeline), timeline)["RATES"]


def gains_alone(schedule: ClosedLoop, shown: list[float]) -> list[float]:
    """Follow the text's own state through the values of what is watched."""
    code = write_code(schedule, CLOCK)
    namespace = run(code, CLOCK)
    follower, gains = SimpleNamespace(state=namespace["STATE"]), []
    for value in shown:
        gains.append(float(follower.state["gain"]))
        follower.state = eval(str(code.next_state), namespace, {"self": follower, "logs": {schedule.monitor: value}})
    return gains


class TestEverySchedule:
    @each_schedule
    @quickly(30)
    @given(data=st.data(), timeline=timelines, momentum=momenta)
    def test_its_text_gives_the_same_rates_and_momenta(
        self, kind: type[Schedule], data: st.DataObject, timeline: Timeline, momentum: float
    ) -> None:
        schedule = data.draw(drawn(kind))
        code = write_code(schedule, timeline, momentum)
        namespace, moved = run(code, timeline), schedule.momenta(timeline, momentum)
        np.testing.assert_allclose(namespace["RATES"], schedule.base_rates(timeline), rtol=1e-12, atol=1e-15)
        assert code.momentum_moves == (np.ptp(moved) > 0) == ("MOMENTA" in namespace)
        found = namespace.get("MOMENTA", np.full_like(moved, momentum))
        np.testing.assert_allclose(found, moved, rtol=1e-12, atol=1e-15)

    @each_closed_loop
    @quickly(20)
    @given(data=st.data(), shown=st.lists(st.floats(0, 2, width=32) | st.sampled_from([np.nan, np.inf]), max_size=60))
    def test_its_text_answers_with_the_same_gains(
        self, kind: type[Schedule], data: st.DataObject, shown: list[float]
    ) -> None:
        schedule = data.draw(drawn(kind))
        assert isinstance(schedule, ClosedLoop)
        np.testing.assert_allclose(gains_alone(schedule, shown), schedule.gains(shown), rtol=1e-12)

    @each_closed_loop
    def test_its_text_watches_what_it_watches(self, kind: type[ClosedLoop]) -> None:
        shown = np.random.default_rng(3).uniform(0.2, 1.2, 80).tolist()
        for monitor in get_args(kind.model_fields["monitor"].annotation):
            schedule = kind.model_validate({"learning_rate": 0.1, "monitor": monitor})
            assert len(set(schedule.gains(shown))) > 1
            np.testing.assert_allclose(gains_alone(schedule, shown), schedule.gains(shown), rtol=1e-12)

    @each_schedule
    def test_its_text_is_for_people_and_has_no_more_than_it_needs(self, kind: type[Schedule]) -> None:
        text = write_code(an_example(kind, warmup=0.1, floor=0.1), CLOCK, 0.9).text
        for word in ("type: ignore", "noqa", "Numbers", "Timeline", "sweep", "->", "Any", "**_"):
            assert word not in text
        bare = write_code(an_example(kind, warmup=0.0), CLOCK).text
        assert ("def part(" in bare) == ("time.part(" in bare)
        assert "warm_up" not in bare


JOINS: list[dict[str, Any]] = [
    {"first": "one_cycle", "second": "cosine"},
    {"first": {"name": "one_cycle", "warmup": 0.2}, "second": {"name": "step", "drop": 0.5, "epochs_drop": 2}},
    {"first": {"name": "linear", "floor": 0.3, "learning_rate": 0.05}, "second": "one_cycle", "warmup": 0.2},
    {"first": {"name": "join", "first": "rex", "second": "one_cycle"}, "second": {"name": "join", "warmup": 0.3}},
    {"first": {"name": "function", "function": "tests.schedules.callables:shrinking"}, "floor": 0.5},
    {"first": {"name": "function", "function": "tests.schedules.callables:step_decay"}, "second": "one_cycle"},
    {"first": "constant", "second": "constant", "at": 0.001},
    {"first": "one_cycle", "second": "constant", "at": 0.999},
]


class TestSchedulesWithinSchedules:
    @pytest.mark.parametrize("parts", JOINS)
    def test_the_text_of_all_of_them_gives_the_same_rates_and_momenta(self, parts: dict[str, Any]) -> None:
        schedule = read_schedule({"name": "join", "learning_rate": 0.1, "at": 0.4, **parts})
        code = write_code(schedule, CLOCK, 0.9)
        namespace, momenta = run(code, CLOCK), schedule.momenta(CLOCK, 0.9)
        np.testing.assert_allclose(namespace["RATES"], schedule.rates(CLOCK), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(namespace.get("MOMENTA", np.full_like(momenta, 0.9)), momenta, rtol=1e-12)


class TestAUsersFunction:
    @pytest.mark.parametrize("function", ["step_decay", "shrinking"])
    @pytest.mark.parametrize("warmup", [0.0, 0.3])
    def test_it_is_imported_and_called_as_it_asks(self, function: str, warmup: float) -> None:
        name = f"tests.schedules.callables:{function}"
        schedule = read_schedule({"name": "function", "learning_rate": 0.1, "function": name, "warmup": warmup})
        assert write_code(schedule, CLOCK).modules == ("tests.schedules.callables",)
        np.testing.assert_allclose(rates_alone(schedule), schedule.rates(CLOCK), rtol=1e-12)


def with_everything(time: Timeline, learning_rate: float, share: float = 0.5) -> Numbers:
    """Return what needs no name."""
    rates: int = learning_rate * share * time.fraction  # type: ignore[assignment]  # what the text leaves out
    return rates  # type: ignore[return-value]


class TestFunctionText:
    def test_it_keeps_names_and_docstring_and_nothing_for_checkers(self) -> None:
        assert function_text(with_everything) == (
            "def with_everything(time, learning_rate, share):\n"
            '    """Return what needs no name."""\n'
            "    rates = learning_rate * share * time.fraction\n"
            "    return rates"
        )


def test_a_schedule_without_modifiers_is_its_function_and_one_call() -> None:
    code = write_code(read_schedule({"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}), CLOCK, 0.9)
    assert code.text.count("def ") == 1
    assert code.text.endswith("\n\n\nRATES = step(time, learning_rate=0.1, drop=0.5, epochs_drop=10)")
    assert not code.momentum_moves
    assert code.next_state is None
