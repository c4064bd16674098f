from __future__ import annotations

import numpy as np

from sweep.engines.spec import Architecture, batch_order, initial_weights


def test_every_epoch_visits_every_row_once() -> None:
    order = batch_order(rows=235, epochs=50, run_seed=7)
    assert order.shape == (50, 235)
    assert (np.sort(order, axis=1) == np.arange(235)).all()


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    order = batch_order(rows=50, epochs=3, run_seed=0)
    assert not np.array_equal(order[0], order[1])
    assert not np.array_equal(order, batch_order(rows=50, epochs=3, run_seed=1))


def test_a_seed_draws_the_same_numbers_again() -> None:
    architecture = Architecture(34, 2)
    for first, second in zip(initial_weights(architecture, 5), initial_weights(architecture, 5), strict=True):
        assert np.array_equal(first, second)


def test_a_longer_training_begins_with_the_same_orders() -> None:
    assert np.array_equal(batch_order(20, 5, run_seed=1), batch_order(20, 9, run_seed=1)[:5])


def test_kernels_are_glorot_uniform_and_biases_zero() -> None:
    kernel, bias, *_ = initial_weights(Architecture(100, 2, (200,)), 0)
    limit = np.sqrt(6 / 300)
    assert np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.01 * limit
    assert not bias.any()
