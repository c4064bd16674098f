from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweep.engines.spec import ORDER, Architecture, TrainingSpec, batch_orders, initial_weights, next_orders


def test_every_epoch_visits_every_row_once() -> None:
    order = next_orders([batch_orders(rows=235, run_seed=7)], 50)[:, 0]
    assert order.shape == (50, 235)
    assert (np.sort(order, axis=1) == np.arange(235)).all()


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = next_orders([batch_orders(rows=50, run_seed=0), batch_orders(rows=50, run_seed=1)], 3)
    assert orders.shape == (3, 2, 50)
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[:, 0], orders[:, 1])


def test_a_seed_draws_the_same_numbers_again() -> None:
    architecture = Architecture(34, 2)
    for first, second in zip(initial_weights(architecture, 5), initial_weights(architecture, 5), strict=True):
        assert np.array_equal(first, second)


def test_a_longer_training_begins_with_the_same_orders() -> None:
    drawn = batch_orders(20, run_seed=1)
    parts = [next_orders([drawn], 5), next_orders([drawn], 4)]
    assert np.array_equal(np.concatenate(parts), next_orders([batch_orders(20, run_seed=1)], 9))


def test_orders_are_those_of_all_epochs_drawn_at_once() -> None:
    for rows in (1, 235, 70_001):
        at_once = np.random.default_rng((7, ORDER)).permuted(np.tile(np.arange(rows, dtype=np.int32), (3, 1)), axis=1)
        assert np.array_equal(next_orders([batch_orders(rows, run_seed=7)], 3)[:, 0], at_once)


def test_kernels_are_glorot_uniform_and_biases_zero() -> None:
    kernel, bias, *_ = initial_weights(Architecture(100, 2, (200,)), 0)
    limit = np.sqrt(6 / 300)
    assert np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.01 * limit
    assert not bias.any()


def test_a_table_that_one_hidden_layers_program_would_hold_too_often_is_for_another(small: TrainingSpec) -> None:
    assert small.engine_name == "hidden layer"
    rows = np.zeros(700_000, np.int32)
    many = replace(small, split=replace(small.split, train_index=rows, validation_index=rows[:300_000]))
    assert many.engine_name == "population"
