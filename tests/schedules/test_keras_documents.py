"""Keras' serialised schedules have their own rates here, over every training that they may meet."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sweep.errors import BadInput
from sweep.schedules import Schedule, Timeline
from sweep.schedules.keras_documents import CLASSES, straight_lines
from tests.schedules.keras_rates import keras_rates

TIMELINE = Timeline(epochs=6, steps_per_epoch=10)
RATE = {"initial_learning_rate": 0.1}

# Class, configuration, and the schedule of ours that it becomes.
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("ExponentialDecay", {"decay_steps": 60, "decay_rate": 0.01}, "exponential_by_batch"),
    ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.9}, "exponential_by_batch"),
    ("ExponentialDecay", {"decay_steps": 1000, "decay_rate": 0.5}, "exponential_by_batch"),
    ("ExponentialDecay", {"decay_steps": 40, "decay_rate": 1.5}, "piecewise_linear"),
    ("ExponentialDecay", {"decay_steps": 10, "decay_rate": 0.5, "staircase": True}, "exponential_staircase"),
    ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.5, "staircase": True}, "milestones"),
    ("ExponentialDecay", {"decay_steps": 100, "decay_rate": 0.5, "staircase": True}, "constant"),
    ("InverseTimeDecay", {"decay_steps": 1, "decay_rate": 0.05}, "time_by_batch"),
    ("InverseTimeDecay", {"decay_steps": 10, "decay_rate": 0.5, "staircase": True}, "time"),
    ("InverseTimeDecay", {"decay_steps": 7, "decay_rate": 0.5, "staircase": True}, "piecewise_linear"),
    ("PolynomialDecay", {"decay_steps": 60, "end_learning_rate": 0.0001}, "linear"),
    ("PolynomialDecay", {"decay_steps": 200, "end_learning_rate": 0.01}, "linear"),
    ("PolynomialDecay", {"decay_steps": 40, "end_learning_rate": 0.01}, "join"),
    ("PolynomialDecay", {"decay_steps": 60, "end_learning_rate": 0.0, "power": 2.0}, "polynomial"),
    ("PolynomialDecay", {"decay_steps": 35, "end_learning_rate": 0.0, "power": 2.0}, "join"),
    ("PolynomialDecay", {"decay_steps": 90, "end_learning_rate": 0.01, "power": 2.0}, "piecewise_linear"),
    ("PolynomialDecay", {"decay_steps": 20, "end_learning_rate": 0.01, "cycle": True}, "piecewise_linear"),
    ("PolynomialDecay", {"decay_steps": 60, "end_learning_rate": 0.2}, "piecewise_linear"),
    ("CosineDecay", {"decay_steps": 60, "alpha": 0.1}, "cosine"),
    ("CosineDecay", {"decay_steps": 45, "alpha": 0.1}, "join"),
    ("CosineDecay", {"decay_steps": 45}, "join"),
    ("CosineDecay", {"decay_steps": 90}, "piecewise_linear"),
    ("CosineDecay", RATE | {"decay_steps": 50, "warmup_target": 0.4, "warmup_steps": 10}, "cosine"),
    ("CosineDecay", RATE | {"decay_steps": 40, "warmup_target": 0.4, "warmup_steps": 10}, "join"),
    ("CosineDecay", RATE | {"decay_steps": 50, "warmup_target": 0.04, "warmup_steps": 10}, "piecewise_linear"),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.0, "decay_steps": 48, "warmup_target": 0.4, "warmup_steps": 12, "alpha": 0.05},
        "cosine",
    ),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.0, "decay_steps": 30, "warmup_target": 0.4, "warmup_steps": 12},
        "join",
    ),
    ("CosineDecayRestarts", {"first_decay_steps": 20}, "cosine_restarts"),
    ("CosineDecayRestarts", {"first_decay_steps": 12, "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1}, "cosine_restarts"),
    ("CosineDecayRestarts", {"first_decay_steps": 16, "t_mul": 1.5, "m_mul": 0.9}, "cosine_restarts"),
    ("CosineDecayRestarts", {"first_decay_steps": 100}, "piecewise_linear"),
    ("CosineDecayRestarts", {"first_decay_steps": 10, "m_mul": 1.5}, "piecewise_linear"),
    ("PiecewiseConstantDecay", {"boundaries": [20, 40], "values": [0.1, 0.01, 0.001]}, "milestones"),
    ("PiecewiseConstantDecay", {"boundaries": [20, 40], "values": [0.1, 0.5, 0.02]}, "piecewise_constant"),
    ("PiecewiseConstantDecay", {"boundaries": [-1, 20, 99], "values": [9.0, 0.1, 0.5, 0.02]}, "piecewise_constant"),
    ("PiecewiseConstantDecay", {"boundaries": [100], "values": [0.1, 0.01]}, "constant"),
]


def configured(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return config if kind == "PiecewiseConstantDecay" else RATE | config


@pytest.mark.parametrize(("kind", "config", "ours"), CASES, ids=str)
def test_the_rates_are_keras_own(kind: str, config: dict[str, Any], ours: str) -> None:
    """In double precision, to one part in a billion; in single precision Keras itself is off by one in ten million."""
    config = configured(kind, config)
    read = Schedule.from_json(json.dumps({"class_name": kind, "config": config}), TIMELINE)
    assert read.name == ours
    theirs = keras_rates(kind, TIMELINE, **config)
    np.testing.assert_allclose(read.rates(TIMELINE), theirs, rtol=1e-9, atol=1e-13)


def test_every_class_of_keras_is_read() -> None:
    import keras

    schedules = keras.optimizers.schedules
    theirs = {name for name in dir(schedules) if isinstance(getattr(schedules, name), type)}
    assert theirs - {"LearningRateSchedule"} == CLASSES.keys() == {kind for kind, _, _ in CASES}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_keras_writes_is_read_whatever_is_around_it(kind: str) -> None:
    import keras

    config = configured(kind, next(config for name, config, _ in CASES if name == kind))
    made = getattr(keras.optimizers.schedules, kind)(**config)
    serialized = keras.optimizers.schedules.serialize(made)
    wanted = Schedule.from_json(json.dumps(serialized), TIMELINE)
    optimizer = keras.optimizers.SGD(made)
    for document in (
        {"schedule": serialized},
        made.get_config(),
        optimizer.get_config(),
        keras.optimizers.serialize(optimizer),
    ):
        assert Schedule.from_json(json.dumps(document), TIMELINE) == wanted


def test_one_of_ours_in_keras_clothes_is_ours() -> None:
    import keras

    ours = Schedule.from_json('{"name": "one_cycle", "learning_rate": 0.1, "warmup": 0.1}')
    serialized = keras.optimizers.schedules.serialize(ours.to_keras(steps_per_epoch=10, epochs=6))
    assert Schedule.from_json(json.dumps(serialized)) == ours


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (
            {"class_name": "CosineDecay", "config": {**RATE, "decay_steps": 60}},
            "schedule: Keras' CosineDecay counts steps, so it is read only where epochs and steps per epoch are known.",
        ),
        ({"class_name": "Mine", "config": {}}, "schedule: `Mine` is no schedule of Keras' own; there are Exponential"),
        (
            {"class_name": "ReduceLROnPlateau", "config": {}},
            "schedule: `ReduceLROnPlateau` is Keras' and",
        ),
        (
            {**RATE, "name": "cosine"},
            "initial_learning_rate: unknown key; `initial_learning_rate` is Keras'; `",
        ),
        ({**RATE, "decay_steps": 60, "decay_rate": 0.5, "name": "x"}, "schedule: it does not tell its class"),
        ({"class_name": "CosineDecay", "config": RATE}, "decay_steps: is missing."),
        ({"class_name": "CosineDecay", "config": {**RATE, "decay_steps": 0}}, "decay_steps: must be greater than 0"),
        (
            {"class_name": "PiecewiseConstantDecay", "config": {"boundaries": [3, 1], "values": [1, 2, 3]}},
            "value: `boundaries` must ascend",
        ),
    ],
)
def test_what_cannot_be_read_is_told(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput) as raised:
        Schedule.from_json(json.dumps(document))
    assert str(raised.value).startswith(complaint)


def test_a_schedule_without_a_form_here_is_refused_over_a_long_training() -> None:
    document = {"class_name": "CosineDecay", "config": {**RATE, "decay_steps": 90_000}}
    with pytest.raises(BadInput, match="has no form here unless it takes the whole training, 60000 steps"):
        Schedule.from_json(json.dumps(document), Timeline(epochs=60, steps_per_epoch=1000))


def test_rates_that_never_rise_above_0_are_refused() -> None:
    document = {"class_name": "PiecewiseConstantDecay", "config": {"boundaries": [3], "values": [0, 0]}}
    with pytest.raises(BadInput, match="must give finite rates of at least 0, and one above 0"):
        Schedule.from_json(json.dumps(document), TIMELINE)


def test_straight_lines_go_through_every_step() -> None:
    shares = np.array([1.0, 1.0, 1.0, 0.5, 0.4, 0.3, 0.9])
    fractions, found = zip(*straight_lines(shares), strict=True)
    assert len(found) < len(shares)
    np.testing.assert_allclose(np.interp(np.arange(7) / 7, fractions, found), shares)
