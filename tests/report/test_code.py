"""Laws of the code to copy: it runs, and has the rates of the schedule that it stands for."""

from __future__ import annotations

import ast
from typing import Any

import keras
import numpy as np
import pytest

from sweep.candidate import AdamW
from sweep.config.plan import Plan, recipe_candidate
from sweep.report.code import Snippet, write_snippet
from sweep.schedules import Timeline
from sweep.space import Value
from sweep.verdict.record import Contender
from tests.verdict.records import FINALISTS, make_plan, make_record

PLAN = make_plan()
SPLIT = make_record(PLAN).split
BY_SCHEDULE = {str(recipe["schedule"]): recipe for recipe in FINALISTS}
CLOCK = Timeline(epochs=50, steps_per_epoch=9)


def snippet(recipe: dict[str, Value], plan: Plan = PLAN) -> Snippet:
    return write_snippet(plan, SPLIT, Contender.of(recipe_candidate(recipe)))


class Model:
    """Takes what a model is compiled and fitted with."""

    def compile(self, **given: Any) -> None:
        self.compiled = given

    def fit(self, *rows: Any, **given: Any) -> None:
        self.rows, self.fitted = rows, given


@pytest.mark.parametrize(
    "recipe",
    [
        {"schedule": "constant", "learning_rate": 0.21, "momentum": 0.62},
        {"schedule": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10, "momentum": 0.9},
        {"schedule": "rex", "learning_rate": 0.632, "momentum": 0.111},
        {"schedule": "cosine", "learning_rate": 0.4, "momentum": 0.5},
        {"schedule": "triangular", "learning_rate": 0.4, "momentum": 0.5, "nesterov": True},
    ],
    ids=lambda recipe: recipe["schedule"],
)
def test_it_trains_at_the_rates_of_the_schedule(recipe: dict[str, Value]) -> None:
    model = Model()
    exec(snippet(recipe).text, {"model": model, "x": "x", "y": "y"})
    optimizer = model.compiled["optimizer"]
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.nesterov) == (recipe["momentum"], recipe.get("nesterov", False))
    assert model.compiled["loss"] == "binary_crossentropy"
    assert (model.rows, model.fitted) == (("x", "y"), {"epochs": 50, "batch_size": 28})
    found = []
    for step in (0, 1, 100, 449):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    wanted = recipe_candidate(recipe).schedule.rates(CLOCK).ravel()[[0, 1, 100, 449]]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("recipe", BY_SCHEDULE.values(), ids=BY_SCHEDULE)
def test_every_schedule_has_lines_that_python_reads_or_a_reason(recipe: dict[str, Value]) -> None:
    found = snippet(recipe)
    ast.parse(found.text)
    assert bool(found.text) != ("takes a callback" in found.note)


def test_an_optimizer_keeps_what_is_not_its_default() -> None:
    plan = PLAN.model_copy(update={"optimizer": AdamW(beta_2=0.99)})
    text = snippet({"schedule": "constant", "learning_rate": 0.001, "momentum": 0.9}, plan).text
    assert "keras.optimizers.AdamW(learning_rate=0.001, beta_1=0.9, beta_2=0.99)" in text


def test_what_it_cannot_know_is_left_open() -> None:
    model = PLAN.model.model_copy(update={"build": "mine:network"})
    training = PLAN.training.model_copy(update={"class_weight": "balanced"})
    found = snippet(dict(FINALISTS[9]), PLAN.model_copy(update={"model": model, "training": training}))
    assert "loss=..." in found.text
    assert "class_weight=..." in found.text
    assert "keeps its own optimizer" in found.note
