"""Laws of each closed-loop schedule by hand, and of plateau's equality with Keras' ReduceLROnPlateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sweep.schedules import Timeline
from sweep.schedules.rules import AccuracyDrop, CostDriven, Plateau, PlateauRebound


def keras_rates(schedule: Plateau, shown: Sequence[float]) -> list[float]:
    """Return the rates that Keras' ReduceLROnPlateau sets for epochs that show these values."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule.learning_rate), "mse")
    callback = keras.callbacks.ReduceLROnPlateau(
        schedule.monitor,
        factor=schedule.factor,
        patience=schedule.patience,
        cooldown=schedule.cooldown,
        min_delta=schedule.min_delta,
        min_lr=schedule.floor * schedule.learning_rate,
        mode="max" if schedule.sign < 0 else "min",
    )
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(shown):
        rates.append(float(model.optimizer.learning_rate.numpy()))
        callback.on_epoch_end(epoch, {schedule.monitor: value})
    return rates


class TestPlateau:
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras reads as for NumPy 1
    @pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
    def test_its_rates_are_those_of_keras_reduce_lr_on_plateau(self, monitor: str) -> None:
        for seed in range(20):
            self.compare(monitor, np.random.default_rng(seed))

    def compare(self, monitor: str, draws: np.random.Generator) -> None:
        values = {
            "factor": draws.uniform(0.3, 0.9),
            "patience": int(draws.integers(0, 5)),
            "cooldown": int(draws.integers(0, 4)),
            "min_delta": draws.uniform(0, 0.05),
            "floor": draws.choice([0.0, 0.05, 0.3]).item(),
        }
        schedule = Plateau.model_validate({"learning_rate": draws.uniform(0.01, 1), "monitor": monitor, **values})
        shown = (np.cumsum(draws.normal(0, 0.1, 60)) + 2).astype(np.float32).tolist()
        ours = schedule.rates(Timeline(epochs=60, steps_per_epoch=1), shown)[:, 0]
        assert len(np.unique(ours)) > 2
        assert ours.tolist() == pytest.approx(keras_rates(schedule, shown), rel=1e-6)

    def test_a_quantity_that_keeps_improving_keeps_the_rate(self) -> None:
        assert (Plateau(learning_rate=0.1, patience=1).gains(np.arange(50, 0, -1).tolist()) == 1).all()

    def test_a_quantity_that_is_never_a_number_lowers_the_rate_as_no_improvement(self) -> None:
        gains = Plateau(learning_rate=0.1, factor=0.5, patience=2).gains([float("nan")] * 5)
        assert gains.tolist() == [1.0, 1.0, 0.5, 0.5, 0.25]


class TestPlateauRebound:
    def rebounding(self, **values: Any) -> PlateauRebound:
        defaults = {"learning_rate": 0.1, "factor": 0.5, "patience": 1, "reductions": 2}
        return PlateauRebound.model_validate(defaults | values)

    def test_a_stagnation_after_the_last_reduction_raises_the_rate_and_counting_starts_anew(self) -> None:
        gains = self.rebounding().gains([0.5] * 9)
        assert gains.tolist() == [1.0, 1.0, 0.5, 0.25, 1.0, 1.0, 0.5, 0.25, 1.0]

    def test_it_is_plateau_until_the_first_rebound(self) -> None:
        shown = np.cumsum(np.random.default_rng(3).normal(0, 0.1, 40)).tolist()
        values = {"patience": 2, "cooldown": 1}
        plain = Plateau.model_validate({"learning_rate": 0.1, "factor": 0.5, **values})
        never = self.rebounding(reductions=1_000, **values)
        assert len(np.unique(plain.gains(shown))) > 3
        assert (never.gains(shown) == plain.gains(shown)).all()

    def test_the_rate_rises_to_the_rebound(self) -> None:
        assert self.rebounding(rebound=0.6).gains([0.5] * 5).tolist() == [1.0, 1.0, 0.5, 0.25, 0.6]

    def test_a_rebound_never_lowers_the_rate(self) -> None:
        assert self.rebounding(rebound=0.1).gains([0.5] * 5).tolist() == [1.0, 1.0, 0.5, 0.25, 0.25]

    def test_at_the_floor_the_next_stagnation_raises_the_rate(self) -> None:
        gains = self.rebounding(reductions=5, floor=0.5).gains([0.5] * 5)
        assert gains.tolist() == [1.0, 1.0, 0.5, 1.0, 1.0]

    def test_after_a_rebound_improvement_is_measured_from_the_next_epoch(self) -> None:
        gains = self.rebounding(reductions=1).gains([0.1, 0.1, 0.1, 0.9, 0.8, 0.7, 0.7])
        assert gains.tolist() == [1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0]

    def test_it_rests_after_a_rebound(self) -> None:
        gains = self.rebounding(reductions=1, cooldown=2).gains([0.5] * 9)
        assert gains.tolist() == [1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5, 1.0]


class TestAccuracyDrop:
    def test_every_fall_of_the_accuracy_lowers_the_rate_of_the_next_epoch(self) -> None:
        gains = AccuracyDrop(learning_rate=0.1, factor=0.5).gains([0.5, 0.6, 0.55, 0.54, 0.54, 0.9, 0.8, 0.8])
        assert gains.tolist() == [1.0, 1.0, 1.0, 0.5, 0.25, 0.25, 0.25, 0.125]

    def test_a_fall_within_the_least_change_is_none(self) -> None:
        gains = AccuracyDrop(learning_rate=0.1, factor=0.5, min_delta=0.1).gains([0.5, 0.45, 0.3, 0.3])
        assert gains.tolist() == [1.0, 1.0, 1.0, 0.5]

    def test_the_rate_never_falls_below_the_floor(self) -> None:
        gains = AccuracyDrop(learning_rate=0.1, factor=0.5, floor=0.3).gains([0.9, 0.8, 0.7, 0.6, 0.5])
        assert gains.tolist() == [1.0, 1.0, 0.5, 0.3, 0.3]

    def test_an_accuracy_that_is_no_number_is_passed_over(self) -> None:
        gains = AccuracyDrop(learning_rate=0.1, factor=0.5).gains([0.9, float("nan"), 0.8, 0.8])
        assert gains.tolist() == [1.0, 1.0, 1.0, 0.5]


class TestCostDriven:
    def test_the_rate_is_the_exponential_of_the_last_cost(self) -> None:
        rates = CostDriven(learning_rate=0.1).rates(Timeline(epochs=4, steps_per_epoch=1), [2.0, 1.0, 0.5, 0.0])
        assert rates[:, 0].tolist() == pytest.approx([0.1, 0.1 * math.e**2, 0.1 * math.e, 0.1 * math.e**0.5])

    def test_the_rate_stays_between_floor_and_highest(self) -> None:
        gains = CostDriven(learning_rate=0.1, floor=0.5, highest=3).gains([100.0, 1e6, -5.0, -1e6, 0.0])
        assert gains.tolist() == [1.0, 3.0, 3.0, 0.5, 0.5]

    @pytest.mark.parametrize("cost", [math.nan, math.inf])
    def test_a_cost_that_is_not_finite_leaves_the_rate(self, cost: float) -> None:
        gains = CostDriven(learning_rate=0.1).gains([0.5, cost, cost, 0.1, 0.0])
        assert gains.tolist() == pytest.approx([1.0, *[math.exp(0.5)] * 3, math.exp(0.1)])

    def test_it_watches_the_loss_unless_told_otherwise(self) -> None:
        assert CostDriven(learning_rate=0.1).monitor == "loss"

    def test_a_falling_cost_lowers_the_rate(self) -> None:
        gains = CostDriven(learning_rate=0.1).gains(np.linspace(2, 0, 20).tolist())
        assert (np.diff(gains[1:]) < 0).all()
