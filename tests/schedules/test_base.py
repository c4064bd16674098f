"""Laws of what all schedules share: modifiers, momenta, documents, and the loop that is closed between epochs."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from sweep.errors import BadInput
from sweep.schedules import Schedule, Timeline, build, read_schedule
from sweep.schedules.open_loop import constant, linear, step
from sweep.schedules.rules import Plateau

CLOCK = Timeline(epochs=5, steps_per_epoch=4)


class TestModifiers:
    def test_a_warm_up_takes_its_share_of_the_batches(self) -> None:
        rates = constant(learning_rate=0.1, warmup=0.25).rates(CLOCK).ravel()
        assert rates[:6].tolist() == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
        assert (rates[5:] == 0.1).all()

    def test_the_schedules_own_time_begins_after_the_warm_up(self) -> None:
        rates = linear(learning_rate=1, warmup=0.5).rates(CLOCK).ravel()
        assert rates[10:].tolist() == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])

    def test_a_warm_up_leaves_at_least_one_batch(self) -> None:
        schedule = constant(learning_rate=0.1, warmup=0.99)
        assert schedule.rates(CLOCK).ravel()[-1] == 0.1
        assert schedule.rates(Timeline(epochs=1, steps_per_epoch=1)).tolist() == [[0.1]]

    def test_a_floor_is_a_share_of_the_learning_rate_and_lets_the_warm_up_pass(self) -> None:
        rates = linear(learning_rate=2, warmup=0.5, floor=0.35).rates(CLOCK).ravel()
        assert rates[1] == pytest.approx(0.2)
        assert rates[10:].tolist() == pytest.approx([2.0, 1.8, 1.6, 1.4, 1.2, 1.0, 0.8, 0.7, 0.7, 0.7])

    def test_modifiers_that_change_nothing_are_parameters_but_not_shown(self) -> None:
        assert constant(learning_rate=0.1).parameters == {"warmup": 0.0, "floor": 0.0}
        assert constant(learning_rate=0.1).used_parameters == {}
        assert constant(learning_rate=0.1, floor=0.2).used_parameters == {"floor": 0.2}


class TestMomenta:
    def test_a_schedule_that_does_not_move_the_momentum_leaves_it(self) -> None:
        for schedule in (constant(learning_rate=0.1, warmup=0.3), Plateau(learning_rate=0.1)):
            assert schedule.momenta(CLOCK, 0.9).tolist() == [[0.9] * 4] * 5


class TestJson:
    def test_a_document_holds_name_rate_and_own_parameters(self) -> None:
        schedule = step(learning_rate=0.1, drop=0.5, epochs_drop=10, warmup=0.1)
        own = {"drop": 0.5, "epochs_drop": 10, "warmup": 0.1, "floor": 0.0}
        assert json.loads(schedule.to_json()) == {"name": "step", "learning_rate": 0.1, **own}

    def test_a_schedule_may_lie_in_a_larger_document(self) -> None:
        text = json.dumps({"schedule": {"name": "constant", "learning_rate": 0.1}, "momentum": 0.9})
        assert Schedule.from_json(text) == constant(learning_rate=0.1)

    @pytest.mark.parametrize(
        ("text", "field", "reason"),
        [
            ("{", "schedule", "is not valid JSON"),
            ("[]", "schedule", "must be a JSON object"),
            ("{}", "name", "is missing; there are constant"),
            ('{"name": "stpe"}', "name", "did you mean `step`"),
            ('{"name": "constant"}', "learning_rate", "is missing"),
            ('{"name": "constant", "learning_rate": NaN}', "learning_rate", "finite number"),
            ('{"name": "constant", "learning_rate": 0.1, "flor": 0}', "flor", "unknown key, did you mean `floor`"),
            ('{"schedule": {"name": "constant", "learning_rate": 0}}', "learning_rate", "greater than 0, got 0"),
        ],
    )
    def test_a_bad_document_is_told(self, text: str, field: str, reason: str) -> None:
        with pytest.raises(BadInput, match=reason) as caught:
            Schedule.from_json(text)
        assert caught.value.field == field


class TestClosedLoop:
    def test_without_anything_shown_it_answers_to_a_quantity_that_stands_still(self) -> None:
        schedule = Plateau(learning_rate=0.1, patience=1, factor=0.5)
        assert schedule.rates(CLOCK)[:, 0].tolist() == [0.1, 0.1, 0.05, 0.025, 0.0125]

    def test_the_warm_up_passes_whatever_is_shown(self) -> None:
        rates = Plateau(learning_rate=0.1, warmup=0.4).rates(CLOCK, [0.5] * 5).ravel()
        assert rates[:9].tolist() == pytest.approx([0.0125 * batch for batch in range(9)])

    @pytest.mark.parametrize(
        ("monitor", "sign"), [("loss", 1), ("val_loss", 1), ("accuracy", -1), ("val_accuracy", -1)]
    )
    def test_a_loss_is_better_lower_and_an_accuracy_higher(self, monitor: Any, sign: int) -> None:
        assert Plateau(learning_rate=0.1, monitor=monitor).sign == sign

    def test_step_by_step_it_has_the_gains_of_the_whole(self) -> None:
        schedule, shown = Plateau(learning_rate=0.1, patience=1), [0.5, 0.6, 0.4, 0.4, 0.4]
        state: dict[str, Any] = dict(schedule.initial_state)
        gains = []
        for value in shown:
            gains.append(state["gain"])
            state = schedule.next(state, value)
        assert gains == schedule.gains(shown).tolist()

    def test_a_training_leaves_the_initial_state_as_it_was(self) -> None:
        before = dict(Plateau.initial_state)
        Plateau(learning_rate=0.1, patience=1).gains([0.5] * 9)
        assert before == Plateau.initial_state


class TestReading:
    BAD: ClassVar[dict[str, Any]] = {"learning_rate": 0.1, "drop": 1.5, "epochs_drop": 10}

    def test_the_first_bad_parameter_is_named_when_a_schedule_is_built(self) -> None:
        with pytest.raises(BadInput, match=r"^drop: must be less than or equal to 1, got 1\.5\.$"):
            build(step, self.BAD)

    def test_the_first_bad_parameter_is_named_when_a_schedule_is_read(self) -> None:
        with pytest.raises(BadInput, match=r"^drop: must be less than or equal to 1, got 1\.5\.$"):
            read_schedule({"name": "step", **self.BAD})
