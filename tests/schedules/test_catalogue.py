"""Laws of the catalogue and of rates that are shown before anything is trained."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sweep.errors import BadInput
from sweep.schedules import CATALOGUE, Timeline, read_schedule, schedule_class
from sweep.schedules.catalogue import (
    CatalogueAnswer,
    Named,
    RatesAnswer,
    Shown,
    list_catalogue,
    make_schedule,
    read_momentum,
    read_timeline,
    read_value,
    require_known,
    schedule_from_texts,
    typed,
)
from sweep.space import Value

STEP = {"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}
CLOCK = Timeline(epochs=12, steps_per_epoch=4)


def shown(*documents: dict[str, Any], momentum: float = 0.9) -> Shown:
    return Shown([Named(document["name"], read_schedule(document)) for document in documents], CLOCK, momentum)


class TestCatalogue:
    def test_every_schedule_is_there_with_the_parameters_that_it_has_for_itself(self) -> None:
        found = list_catalogue()
        assert [entry.name for entry in found.schedules] == list(CATALOGUE)
        for entry in found.schedules:
            assert {*entry.parameters, *found.shared, *found.modifiers} == {*CATALOGUE[entry.name].model_fields}

    def test_it_comes_back_from_json_as_it_was(self) -> None:
        found = list_catalogue()
        assert CatalogueAnswer.model_validate_json(found.model_dump_json()) == found


class TestRates:
    def test_momenta_are_told_of_those_that_move_them(self) -> None:
        one_cycle, step = shown({"name": "one_cycle", "learning_rate": 0.1}, STEP, momentum=0.8).answer.schedules
        assert one_cycle.momenta is not None
        assert max(max(epoch) for epoch in one_cycle.momenta) == 0.8
        assert step.momenta is None

    def test_they_come_back_from_json_as_they_were(self) -> None:
        found = shown(STEP).answer
        assert RatesAnswer.model_validate_json(found.model_dump_json()) == found
        assert (found.epochs, found.steps_per_epoch, found.momentum) == (12, 4, 0.9)


class TestLabel:
    def test_it_tells_what_was_given(self) -> None:
        assert Named("step", read_schedule(STEP)).label == "step: learning_rate 0.1, drop 0.5, epochs_drop 10"

    def test_another_word_comes_with_the_schedules_own_name(self) -> None:
        assert Named("best.json", read_schedule(STEP)).label.startswith("best.json (step): ")

    @pytest.mark.parametrize("value", [10, 0.5, True, "0:1", "loss"])
    def test_a_value_is_read_back_from_what_is_typed(self, value: Value) -> None:
        assert read_value(typed(value)) == value


class TestClock:
    def test_no_more_steps_are_shown_than_asked_for(self) -> None:
        assert read_timeline(10, 10, most_steps=100) == Timeline(epochs=10, steps_per_epoch=10)
        with pytest.raises(BadInput, match="epochs: must be at most 99 batches in all, got 100"):
            read_timeline(10, 10, most_steps=99)

    @pytest.mark.parametrize(("epochs", "steps", "field"), [(0, 1, "epochs"), (1, 0, "steps_per_epoch")])
    def test_there_is_at_least_one_batch(self, epochs: int, steps: int, field: str) -> None:
        with pytest.raises(BadInput, match=f"{field}: must be at least 1, got 0"):
            read_timeline(epochs, steps)

    @pytest.mark.parametrize("momentum", [-0.1, 1.0, math.nan, math.inf])
    def test_a_momentum_lies_from_0_to_below_1(self, momentum: float) -> None:
        assert read_momentum(0.0) == 0.0
        with pytest.raises(BadInput, match="momentum: must be at least 0 and below 1"):
            read_momentum(momentum)


class TestFromTexts:
    def test_it_is_the_schedule_that_the_catalogue_makes(self) -> None:
        assert schedule_from_texts("step", {"drop": "0.5", "epochs_drop": "10"}) == read_schedule(STEP)

    @pytest.mark.parametrize(
        ("name", "texts", "complaint"),
        [
            ("stepp", {}, r"schedule: there is no schedule `stepp`, did you mean `step`\?"),
            ("step", {"drop": "0.5"}, r"epochs_drop: is missing; give epochs_drop \(.+\)\."),
            ("step", {"drp": "0.5"}, r"drp: drp is no parameter of step, did you mean `drop`\?"),
            ("constant", {"learning_rate": "nan"}, r"learning_rate: must be a finite number, got nan\."),
            ("constant", {"learning_rate": "9" * 5000}, r"learning_rate: must be a finite number, got inf\."),
        ],
    )
    def test_a_wrong_one_is_named_without_a_word_of_any_command_line(
        self, name: str, texts: dict[str, str], complaint: str
    ) -> None:
        with pytest.raises(BadInput, match=f"^{complaint}$"):
            schedule_from_texts(name, texts)

    def test_a_text_stays_one_where_text_is_wanted(self) -> None:
        assert make_schedule("milestones", {"learning_rate": 1, "at": 0.5}).parameters["at"] == "0.5"


def test_a_parameter_of_one_of_several_schedules_is_known_and_a_typo_is_written_as_it_was_given() -> None:
    kinds = [schedule_class(name, "schedule") for name in ("constant", "step")]
    require_known("drop", kinds)
    with pytest.raises(BadInput, match=r"--epohs is no parameter of constant, step, did you mean `--epochs`\?"):
        require_known("epohs", kinds, ["epochs"], lambda name: f"--{name}")


class TestReadValue:
    @pytest.mark.parametrize(
        ("word", "value"),
        [("10", 10), ("+1", 1), ("1.", 1.0), ("1e3", 1000.0), ("true", True), ("FALSE", False), ("inf", math.inf)],
    )
    def test_numbers_and_truth_values_are_recognised(self, word: str, value: Value) -> None:
        read = read_value(word)
        assert (read, type(read)) == (value, type(value))

    def test_not_a_number_is_a_float_so_that_the_parameter_refuses_it(self) -> None:
        assert math.isnan(float(read_value("nan")))

    @pytest.mark.parametrize("word", ["1_000", "\u0661\u0660", "0x10", "1e", ".", "e5", "1 0"])
    def test_what_only_looks_like_a_number_is_text(self, word: str) -> None:
        assert read_value(word) == word

    def test_a_number_of_thousands_of_digits_is_too_large_but_no_failure(self) -> None:
        assert read_value("9" * 5000) == math.inf
