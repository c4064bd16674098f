"""Laws of what a training that went wrong is said to show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweep.fit.diagnosis import Evidence, still_epochs

HALF = np.array([0.5, 0.5])


def curves(loss: Any, **others: Any) -> dict[str, Any]:
    losses = np.asarray(loss, np.float64)
    named = {"accuracy": 0.9, "val_loss": 0.3, "val_accuracy": 0.9, "learning_rate": 0.1} | others
    return {"loss": losses} | {name: np.broadcast_to(values, losses.shape) for name, values in named.items()}


SOUND = Evidence(
    curves=curves(np.linspace(0.7, 0.1, 20)),
    moved=0.5,
    dead={"hidden_1": 0.1},
    recall=np.array([0.95, 0.9]),
    validation_recall=np.array([0.9, 0.85]),
    shares=HALF,
    predicted=np.array([0.48, 0.52]),
    classes=("b", "g"),
)


def test_nothing_is_said_of_a_sound_training() -> None:
    assert SOUND.diagnosis() == []


def test_nothing_is_said_of_a_rest_of_noise_at_a_low_loss() -> None:
    noise = 0.02 + 0.01 * (-1.0) ** np.arange(20)
    assert replace(SOUND, curves=curves(noise)).diagnosis() == []


def test_nothing_is_said_of_a_slow_training_that_still_learns() -> None:
    slow = replace(SOUND, curves=curves(np.linspace(0.9, 0.75, 20)), recall=HALF, validation_recall=HALF)
    assert slow.diagnosis() == []


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no number": ({"curves": curves([1.0, np.nan, np.nan])}, "the loss is no number from epoch 2 on"),
    "no number in validation": (
        {"curves": curves([1.0, 2.0], val_loss=[1.0, np.inf])},
        "the loss is no number from epoch 2 on",
    ),
    "rate too small": (
        {"moved": 1e-5, "curves": curves([0.7] * 20, learning_rate=1e-9)},
        "the weights moved by only 1e-05 of their length: the learning rate (at most 1e-09) is zero or too small",
    ),
    "rate faded": (
        {"curves": curves([0.7, 0.5] + [0.4] * 18, learning_rate=[0.1] * 8 + [1e-9] * 12)},
        "nothing has changed for 10 epochs, in which the learning rate was at most 1e-09",
    ),
    "above guessing": (
        {"curves": curves([1.5, 1.4] * 10)},
        "the loss stays above that of guessing (1.44; guessing has 0.693)",
    ),
    "swinging": ({"curves": curves([0.7, 0.4] * 10)}, "the loss goes up and down"),
    "rising": ({"curves": curves([*np.linspace(0.7, 0.2, 10), *np.linspace(0.2, 0.6, 10)])}, "the loss rises again"),
    "dead units": ({"dead": {"first": 0.1, "second": 0.8}}, "80% of the relu units of layer `second` are dead"),
    "one class": (
        {"predicted": np.array([0.0, 1.0]), "shares": np.array([0.3, 0.7])},
        "every training row is taken for the class g (70% of them are)",
    ),
    "labels by heart": (
        {"validation_recall": np.array([0.4, 0.6])},
        "92% of each class is right in the training rows but 50%, no more than by chance, in the validation rows",
    ),
    "labels unknown": (
        {"curves": curves([0.69, 0.694] * 10), "recall": np.array([0.4, 0.6])},
        "the loss is stuck at 0.692, that of guessing (ln 2 = 0.693)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_in_one_line(fault: str) -> None:
    shown, beginning = FAULTS[fault]
    (line,) = replace(SOUND, **shown).diagnosis()
    assert line.startswith(beginning)


def test_dead_units_explain_weights_that_do_not_move() -> None:
    (line,) = replace(SOUND, moved=0.0, dead={"hidden_1": 1.0}).diagnosis()
    assert "dead" in line


def test_nothing_is_said_of_a_rate_that_ends_at_zero() -> None:
    falling = {"learning_rate": np.linspace(0.1, 0, 50), "accuracy": 0.9}
    assert replace(SOUND, curves=curves(0.1 + 0.6 / np.arange(1, 51), **falling)).diagnosis() == []


def test_a_class_without_validation_rows_does_not_count() -> None:
    assert replace(SOUND, validation_recall=np.array([np.nan, 0.9])).diagnosis() == []


def test_a_few_epochs_prove_nothing() -> None:
    assert replace(SOUND, curves=curves([1.5, 1.6]), predicted=np.array([0.0, 1.0])).diagnosis() == []


@pytest.mark.parametrize(
    ("loss", "accuracy", "still"),
    [
        ([0.7] * 10, 0.5, 10),
        ([np.nan] * 10, 0.5, 10),
        ([0.7] * 100, 0.5, 20),
        ([0.7] * 9, 0.5, 0),
        ([0.7] * 85 + [0.6] * 15, 0.5, 0),
        ([0.7] * 9 + [0.69], 0.5, 0),
        ([0.7] * 10, [0.5] * 9 + [0.6], 0),
        ([0.01] * 10, 1.0, 0),
    ],
)
def test_a_training_still_epochs_when_loss_and_accuracy_do(loss: Any, accuracy: Any, still: int) -> None:
    assert still_epochs(curves(loss, accuracy=accuracy)) == still


NOTHING = np.zeros(0)
NUMBERS = replace(
    SOUND, recall=NOTHING, validation_recall=NOTHING, shares=NOTHING, predicted=NOTHING, classes=(), curves={}
)


@pytest.mark.parametrize(
    ("loss", "held", "said"),
    [
        (np.linspace(1.1, 0.1, 20), 0.2, None),
        ([1.3] + [1.0] * 19, 1.0, "the loss is stuck at 1, that of the target's mean (1)"),
        (
            np.linspace(1.0, 0.1, 20),
            1.4,
            "the training rows but 1.4, no better than by the mean (1), in the validation",
        ),
        ([1.0, 0.6] * 10, 0.9, "the loss goes up and down"),
    ],
)
def test_numbers_are_measured_by_the_targets_mean(loss: Any, held: float, said: str | None) -> None:
    shown = {name: values for name, values in curves(loss, val_loss=held).items() if "accuracy" not in name}
    found = replace(NUMBERS, curves=shown).diagnosis()
    assert found == [] if said is None else said in found[0]


def test_a_loss_of_numbers_that_rests_near_0_has_nothing_left_to_learn() -> None:
    assert still_epochs({"loss": [1e-6] * 20}) == 0
    assert still_epochs({"loss": [0.3] * 20}) == 10
