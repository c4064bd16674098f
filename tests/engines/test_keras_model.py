from __future__ import annotations

import numpy as np
import pytest

from sweep.engines.keras_model import MappedNetwork, build_model
from sweep.engines.spec import Architecture
from sweep.errors import BadInput


def named(name: str) -> Architecture:
    return Architecture(34, 2, build=name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests.training.nowhere:model", "cannot be imported"),
        ("tests.engines.models:missing", "has no `missing`"),
        ("tests.engines.models:no_model", "must return a Keras model, got NoneType"),
        ("tests.engines.models:two_outputs", r"output shape must be \(None, 1\), got \(None, 2\)"),
    ],
)
def test_a_builder_that_does_not_fit_is_refused(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        build_model(named(name), run_seed=0)


def test_a_model_without_a_sigmoid_is_refused() -> None:
    with pytest.raises(BadInput, match="must end in a sigmoid"):
        MappedNetwork(named("tests.engines.models:linear_output"))


def test_a_run_seed_decides_the_initial_weights_of_a_built_model() -> None:
    first, again, other = (
        build_model(named("tests.engines.models:normalised"), seed).get_weights()[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
