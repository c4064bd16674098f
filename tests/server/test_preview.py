"""Laws of the drawings of schedules: what they are drawn from, and that they stay inside their frame."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sweep.config.plan import Plan
from sweep.errors import BadInput
from sweep.palette import DARK
from sweep.report.theme import SERIES
from sweep.schedules import CATALOGUE, Timeline
from sweep.server.new_study import (
    HEIGHT,
    MOST_BATCHES,
    MOST_CURVES,
    MOST_POINTS,
    WIDTH,
    draw,
    draw_all,
    settings,
    spread,
)
from sweep.server.pages import PUBLIC
from tests.fakes import make_plan

EVERY: dict[str, Any] = {name: {} for name in CATALOGUE if name != "function"}
NUMBER = re.compile(r"[\d.]+")


def plan_of(schedules: dict[str, Any] = EVERY, epochs: int = 50, **search: Any) -> Plan:
    plan = make_plan(recipes=(), schedules=schedules, **search)
    return plan.model_copy(update={"training": plan.training.model_copy(update={"epochs": epochs})})


def points(path: str) -> list[tuple[float, float]]:
    if "H" not in path:
        numbers = [float(number) for number in NUMBER.findall(path)]
        return list(zip(numbers[::2], numbers[1::2], strict=True))
    levels = [float(part.partition("H")[0]) for part in path.removeprefix("M0 ").split("V")]
    ends = [float(part.partition("H")[2]) for part in path.removeprefix("M0 ").split("V")]
    return list(zip(ends, levels, strict=True))


class TestDrawings:
    @pytest.mark.parametrize(("epochs", "schedules"), [(1, EVERY), (50, EVERY), (2000, {"step": {}, "cosine": {}})])
    def test_every_schedule_is_drawn_within_its_frame(self, epochs: int, schedules: dict[str, Any]) -> None:
        drawings = draw_all(plan_of(schedules, epochs), 235)
        assert [drawing.name for drawing in drawings] == list(schedules)
        for drawing in drawings:
            assert 1 <= len(drawing.curves) <= MOST_CURVES
            for path, _ in drawing.curves:
                reached = points(path)
                assert len(reached) <= MOST_POINTS
                assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in reached)
                assert reached[-1][0] == WIDTH

    def test_the_highest_rate_of_all_curves_touches_the_top(self) -> None:
        for drawing in draw_all(plan_of(), 235):
            assert min(y for path, _ in drawing.curves for _, y in points(path)) < 0.05 * HEIGHT

    def test_they_are_drawn_at_the_geometric_middle_of_the_learning_rate(self) -> None:
        (constant,) = draw_all(plan_of({"constant": {}}, learning_rate={"low": 0.01, "high": 1.0}), 235)
        assert constant.highest == "0.1"
        assert {y for path, _ in constant.curves for _, y in points(path)} == {0.0}

    def test_a_few_batches_keep_their_rates_to_their_ends(self) -> None:
        step = draw(CATALOGUE["step"], {"drop": 0.5, "epochs_drop": 2}, 0.1, Timeline(epochs=4, steps_per_epoch=1))
        assert step.curves[0][0] == "M0 0.0H60.0V48.0H120.0V48.0H180.0V72.0H240.0"

    def test_each_curve_tells_what_makes_it_differ(self) -> None:
        spaces = {"drop": {"low": 0.2, "high": 0.8}, "epochs_drop": {"low": 2, "high": 7}}
        (step,) = draw_all(plan_of({"step": spaces}), 235)
        told = ["drop 0.2, epochs_drop 2", "drop 0.5, epochs_drop 4", "drop 0.8, epochs_drop 7"]
        assert [label for _, label in step.curves] == told

    def test_what_cannot_be_told_apart_is_drawn_once(self) -> None:
        (drawing,) = draw_all(
            plan_of({"one_cycle": {"peak_at": 0.3, "start_ratio": 0.1, "momentum_dip": [0.0, 0.2]}}), 235
        )
        assert len(drawing.curves) == 1

    def test_a_training_that_is_too_long_is_refused(self) -> None:
        with pytest.raises(BadInput, match=f"more than {MOST_BATCHES:,} batches are not drawn"):
            draw_all(plan_of(epochs=100_000), 235)


class TestSettings:
    def test_a_schedule_without_parameters_has_one(self) -> None:
        assert settings(CATALOGUE["constant"], {}) == [{}]

    def test_every_choice_comes_up_as_far_as_there_is_room(self) -> None:
        chosen = settings(CATALOGUE["milestones"], {"at": ("0.5", "0.6", "0.7", "0.8", "0.9"), "drop": 0.5})
        assert [setting["at"] for setting in chosen] == ["0.5", "0.6", "0.8", "0.9"]
        assert {setting["drop"] for setting in chosen} == {0.5}

    @pytest.mark.parametrize("space", [0.5, (0.5,)])
    def test_one_value_stands_for_itself(self, space: Any) -> None:
        assert spread(space, whole=False) == (0.5,)

    @pytest.mark.parametrize(("space", "rate"), [(0.3, 0.3), ((0.1, 0.4), 0.2), ((0.1,), 0.1)])
    def test_the_middle_rate_lies_between_the_ends(self, space: Any, rate: float) -> None:
        (constant,) = draw_all(plan_of({"constant": {}}, learning_rate=space), 235)
        assert constant.highest == str(rate)


def test_their_colours_are_those_of_the_report() -> None:
    css = (PUBLIC / "app.css").read_text(encoding="utf-8")
    for place, series in enumerate(SERIES[:MOST_CURVES], 1):
        assert f"--curve-{place}: {series.colour};" in css
        assert f"--curve-{place}: {DARK[series.colour]};" in css
