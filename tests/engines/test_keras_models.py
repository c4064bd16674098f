"""Models of users: built by name, checked, compiled as they come; what is wrong with one is one clear line."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from sweep.candidate import Adam
from sweep.data.table import Split
from sweep.engines.keras_models import build_model, compile_model
from sweep.engines.spec import Architecture, TrainingSpec
from sweep.errors import BadInput


def named(name: str, classes: int = 2) -> Architecture:
    return Architecture(34 if classes == 2 else 4, classes, build=f"tests.engines.models:{name}")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "has no `missing`"),
        ("no_model", r"must return a Keras model, got NoneType; it has no `return`"),
        ("a_list", "must return a Keras model, got list"),
        ("three_outputs", r"output shape must be \(None, 1\) or \(None, 2\), got \(None, 3\)"),
        ("failing", r"failed in line \d+: ZeroDivisionError: division by zero"),
        ("leaving", "failed: RuntimeError: it tried to end the program with 3"),
        ("asking", "must be a function of any of features, classes, input_shape, outputs, task; .* asks for `depth`"),
        ("too_wide", r"input shape must be \(None, 34\), got \(None, 9\)"),
    ],
)
def test_a_builder_that_does_not_fit_is_refused(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        build_model(named(name), run_seed=0)
    assert caught.value.field == "model.build"
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be imported"):
        build_model(Architecture(34, 2, build="tests.training.nowhere:model"), run_seed=0)


@pytest.mark.parametrize("name", ["by_name", "by_place", "by_shape", "without_parameters", "with_any", "with_defaults"])
def test_a_builder_gets_what_it_asks_for(name: str) -> None:
    assert build_model(named(name), run_seed=0).output_shape == (None, 1)


def test_a_run_seed_decides_the_initial_weights_of_a_built_model() -> None:
    first, again, other = (build_model(named("normalised"), seed).get_weights()[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("name", "classes", "outputs", "loss"),
    [
        ("normalised", 2, "probabilities", keras.losses.BinaryCrossentropy),
        ("linear_output", 2, "logits", keras.losses.BinaryCrossentropy),
        ("two_outputs", 2, "probabilities", keras.losses.SparseCategoricalCrossentropy),
        ("branched", 3, "probabilities", keras.losses.SparseCategoricalCrossentropy),
        ("subclassed", 3, "probabilities", keras.losses.SparseCategoricalCrossentropy),
        ("regression", 0, "numbers", keras.losses.MeanSquaredError),
    ],
)
def test_a_model_is_compiled_by_its_task_and_its_outputs(
    name: str, classes: int, outputs: str, loss: type, ionosphere: Split, three_classes: Split, numbers: Split
) -> None:
    split = {2: ionosphere, 3: three_classes, 0: numbers}[classes]
    found = compile_model(TrainingSpec(split, named(name, classes), 2, 16), run_seed=0)
    assert found.outputs == outputs
    assert isinstance(found.model.loss, loss)
    assert getattr(found.model.loss, "from_logits", False) == (outputs == "logits")
    assert found.momentum == "momentum"


class TestCompiled:
    """A compiled model's loss, metrics and optimizer are the study's."""

    def test_they_are_kept(self, three_classes: Split) -> None:
        found = compile_model(TrainingSpec(three_classes, named("compiled", 3), 2, 16), run_seed=0)
        optimizer = found.model.optimizer
        assert isinstance(optimizer, keras.optimizers.AdamW)
        assert (optimizer.weight_decay, optimizer.clipnorm, optimizer.beta_2) == (0.02, 1.0, 0.98)
        assert found.momentum == "beta_1"
        assert found.one_hot
        assert found.targets(np.array([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]
        found.set_rate(0.25)
        assert float(optimizer.learning_rate) == 0.25

    def test_another_optimizer_in_the_study_file_is_refused(self, three_classes: Split) -> None:
        spec = TrainingSpec(three_classes, named("compiled", 3), 2, 16, optimizer=Adam())
        with pytest.raises(BadInput, match="compiled with AdamW, whose settings count") as caught:
            compile_model(spec, run_seed=0)
        assert caught.value.field == "optimizer.name"

    def test_a_rate_that_follows_a_schedule_of_its_own_is_set_by_ours(self, three_classes: Split) -> None:
        found = compile_model(TrainingSpec(three_classes, named("scheduled", 3), 2, 16), run_seed=0)
        found.set_rate(0.125)
        assert float(found.model.optimizer.learning_rate) == 0.125
