"""Convolutions and pooling of a population equal Keras' own; they run in a process whose Keras is on JAX."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engines.convolution_cases import (
    CASES,
    check_nan,
    check_second_derivatives,
    check_what_is_not_covered,
    every_case,
)
from tests.engines.on_jax import OnJax


@pytest.fixture(scope="module")
def comparisons(on_jax: OnJax) -> dict[str, Any]:
    answer: dict[str, Any] = on_jax(every_case)
    return answer


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_plain_keras_without_its_slow_operations(
    comparisons: dict[str, Any], case: str
) -> None:
    assert comparisons[case]["error"] < 1e-5
    assert comparisons[case]["here"] == []
    assert comparisons[case]["plain"]


def test_a_nan_stays_in_its_window(on_jax: OnJax) -> None:
    on_jax(check_nan)


def test_derivatives_of_every_mode_and_order_are_there(on_jax: OnJax) -> None:
    on_jax(check_second_derivatives)


def test_what_is_not_covered_goes_to_jax_and_everything_does_afterwards(on_jax: OnJax) -> None:
    on_jax(check_what_is_not_covered)
