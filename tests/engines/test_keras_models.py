"""Models of users: built by name, checked, compiled as they come; what is wrong with one is one clear line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from sweep.candidate import Adam, Sgd, from_params
from sweep.data.rows import RowShape
from sweep.data.table import Split
from sweep.engines.building import build_model
from sweep.engines.keras_fit import train_member
from sweep.engines.keras_models import check_training, compile_model
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
        ("leaving", r"failed in line \d+: Ended: it tried to end the program with 3"),
        ("asking", "must be a function of any of features, classes, input_shape, outputs, task; .* asks for `depth`"),
        (
            "of_two_outputs",
            "must have one output, as the data have; got 2; give the targets of each, by name or in order",
        ),
        ("too_wide", r"input shape must be \(None, 34\), got \(None, 9\)"),
        ("untrained", "the model has no weights to train"),
        ("of_two_inputs", r"must have one input of shape \(None, 34\), got 2 inputs"),
        ("misshapen", "`Reshape` raised ValueError: The total size of the tensor must be unchanged"),
        ("own_step", "`train_step` is written for Keras' jax backend; this training is done with tensorflow"),
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sparse_of_one", "sparse_categorical_crossentropy, which needs an output for each class; use binary_cross"),
        ("binary_of_two", "binary_crossentropy, which needs a single output, got 2; use sparse_categorical_crossent"),
        ("unknown_loss", "the loss 'crossentropie', which Keras does not know"),
        ("without_loss", "compiled without a loss; give one, or do not compile it"),
        ("schedule_free", "must have one learning rate to set; ScheduleFreeAdamW"),
        ("scaled", "must have one learning rate to set; LossScaleOptimizer"),
        ("broken_metric", r"cannot be trained in line \d+: ArithmeticError: it is broken"),
        ("unknown_metric", "cannot be trained: ValueError: Could not interpret metric identifier: acuracy"),
        ("step_without_loss", "the model's `train_step` must return `loss` among its numbers, got `lost`"),
        ("broken_loss", r"cannot be trained in line \d+: ArithmeticError: it is broken"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused(name: str, reason: str, ionosphere: Split) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        check_training(TrainingSpec(ionosphere, named(name), 2, 16))
    assert caught.value.field == "model.build"
    assert "\n" not in str(caught.value)


def test_an_embedding_gets_whole_numbers_that_it_has(three_classes: Split) -> None:
    spec = TrainingSpec(three_classes, Architecture(4, 3, build="tests.engines.models:embedded"), 2, 16)
    with pytest.raises(
        BadInput, match=r'whole numbers from 0 to 9, got -?\d\.\d+; data\.kind = "array" keeps sequences'
    ):
        compile_model(spec, run_seed=0)


def test_a_loss_for_classes_is_none_for_numbers(numbers: Split) -> None:
    with pytest.raises(BadInput, match="binary_crossentropy, a loss for classes; the label is a number"):
        compile_model(TrainingSpec(numbers, named("broken_metric", 0), 2, 16), run_seed=0)


@pytest.mark.parametrize(
    ("name", "outputs", "reason"),
    [
        ("of_labels", 4, r"output shape must be \(None, 4\), got \(None, 3\)"),
        (
            "of_labels_by_class",
            3,
            "with categorical_crossentropy, a loss for one class a row; labels want bin",
        ),
        ("of_labels_by_softmax", 3, "ends in softmax, which gives a row one class; labels want sigmoid"),
    ],
)
def test_a_model_of_one_class_is_none_for_labels(name: str, outputs: int, reason: str, labels: Split) -> None:
    build = "tests.engines.models:three_outputs" if outputs == 4 else f"tests.engines.models:{name}"
    architecture = Architecture(4, 0, build=build, outputs=outputs, labels=True)
    with pytest.raises(BadInput, match=reason):
        check_training(TrainingSpec(labels, architecture, 2, 16))


class TestSeveralInputs:
    """A model's inputs are matched as `fit` matches them: by name, or in order."""

    def build(self, name: str, shape: RowShape, classes: int = 2) -> keras.Model:
        return build_model(Architecture(9, classes, build=f"tests.engines.models:{name}", shape=shape), run_seed=0)

    def test_by_name_or_in_order(self) -> None:
        parts: RowShape = {"image": (2, 2), "age": (1,), "words": (5,)}
        assert self.build("of_parts", parts, classes=3).output_shape == (None, 3)
        assert self.build("of_named_list", {"image": (4,), "age": (1,)}).output_shape == (None, 1)
        assert self.build("of_named_list", ((1,), (4,))).output_shape == (None, 1)
        assert len(self.build("in_order", ((4,), (1,)), classes=3).weights) == 2

    @pytest.mark.parametrize(
        ("name", "shape", "reason"),
        [
            ("of_named_list", {"image": (4,), "years": (1,)}, "inputs must be called `image`, `years`, as the data's"),
            ("of_named_list", {"image": (4,)}, "inputs must be called `image`, as the data's are; got `age`, `image`"),
            (
                "of_named_list",
                {"image": (5,), "age": (1,)},
                r"input `image` must have the shape \(None, 5\), got \(None, 4",
            ),
            ("of_named_list", ((4,), (1,)), r"input 1 must have the shape \(None, 4\), got \(None, 1\)"),
            ("of_named_list", ((1,), (4,), (4,)), "must have 3 inputs, in the order of the data's, .* got 2 inputs"),
            (
                "in_order",
                {"image": (4,), "age": (1, 2)},
                r"must take inputs of shape image \(None, 4\), age \(None, 1, 2\)",
            ),
            ("by_shape_of_one", ((4,), (1,)), "must have 2 inputs, in the order of the data's, .* got one"),
        ],
    )
    def test_others_are_refused(self, name: str, shape: RowShape, reason: str) -> None:
        with pytest.raises(BadInput, match=reason) as caught:
            self.build(name, shape)
        assert caught.value.field == "model.build"
        assert "\n" not in str(caught.value)

    def test_inputs_in_order_are_trained(self, of_parts: Split) -> None:
        values = of_parts.dataset.values
        assert isinstance(values, dict)
        dataset = replace(of_parts.dataset, values=(values["image"].reshape(-1, 4), values["age"]))
        split = Split.of(dataset, of_parts.train_index, of_parts.validation_index)
        architecture = Architecture(5, 3, build="tests.engines.models:in_order", shape=dataset.row_shape)
        spec = TrainingSpec(split, architecture, 2, 20)
        assert check_training(spec).outputs == "probabilities"
        trained = train_member(spec, from_params({"schedule": "constant", "learning_rate": 0.1}), 3)
        assert trained.outputs.shape == (split.validation_rows, 3)
        assert trained.curves["val_loss"][1] < trained.curves["val_loss"][0]


def test_steps_that_take_a_pair_apart_are_trained(three_classes: Split) -> None:
    spec = TrainingSpec(three_classes, named("pair_steps_of_tensorflow", 3), 1, 64)
    assert check_training(spec).outputs == "probabilities"


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

    def test_a_loss_of_numbers_has_a_column_for_each_class(self, ionosphere: Split) -> None:
        found = check_training(TrainingSpec(ionosphere, named("squared"), 2, 16))
        assert found.targets(np.array([0, 1]), 2).tolist() == [[1, 0], [0, 1]]

    def test_the_settings_of_an_optimizer_in_the_study_file_are_refused(self, ionosphere: Split) -> None:
        spec = TrainingSpec(ionosphere, named("squared"), 2, 16, optimizer=Sgd(layer_decay=0.5))
        with pytest.raises(BadInput, match="compiled with SGD, whose settings count") as caught:
            compile_model(spec, run_seed=0)
        assert caught.value.field == "optimizer.layer_decay"

    def test_another_optimizer_in_the_study_file_is_refused(self, three_classes: Split) -> None:
        spec = TrainingSpec(three_classes, named("compiled", 3), 2, 16, optimizer=Adam())
        with pytest.raises(BadInput, match="compiled with AdamW, whose settings count") as caught:
            compile_model(spec, run_seed=0)
        assert caught.value.field == "optimizer.name"

    def test_a_rate_that_follows_a_schedule_of_its_own_is_set_by_ours(self, three_classes: Split) -> None:
        found = compile_model(TrainingSpec(three_classes, named("scheduled", 3), 2, 16), run_seed=0)
        found.set_rate(0.125)
        assert float(found.model.optimizer.learning_rate) == 0.125


def of_heads(name: str, split: Split, **changed: Any) -> TrainingSpec:
    dataset = replace(split.dataset, **changed)
    architecture = Architecture(4, 0, build=f"tests.engines.models:{name}", heads=dataset.heads)
    return TrainingSpec(replace(split, dataset=dataset), architecture, 1, 16)


class TestSeveralOutputs:
    """Heads have losses of their own, which the model comes with; their targets are given as they are."""

    @pytest.mark.parametrize("name", ["heads", "heads_in_order", "subclassed_heads"])
    def test_each_gets_its_targets(self, name: str, heads: Split) -> None:
        study = check_training(of_heads(name, heads))
        assert (study.outputs, study.own, study.by_batch) == ("heads", True, name == "heads_in_order")
        held = heads.validation_targets
        found = study.targets(held, 0)
        assert type(found) is (tuple if name == "heads_in_order" else dict)
        for given, wanted in zip(found if isinstance(found, tuple) else found.values(), held.values(), strict=True):
            assert given is wanted
        in_order = tuple(heads.dataset.targets.values())
        if name == "heads_in_order":
            check_training(of_heads(name, heads, targets=in_order))
            return
        with pytest.raises(BadInput, match=r"gives outputs by name, .*; give the targets by name, too"):
            build_model(of_heads(name, heads, targets=in_order).architecture, run_seed=0)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("uncompiled_heads", "must come compiled, with losses, since several outputs have none by default"),
            ("heads_without_a_loss", "is compiled without a loss for its output `size`"),
            ("heads_with_another_loss", "is compiled with a loss for `age`, which is no output of it"),
            (
                "heads_of_shares",
                r"targets must have that shape, got \(None, 1\), and sparse_categorical_crossentropy takes",
            ),
            (
                "heads_of_one_loss",
                r"`kind` of shape \(None, 3\) .* mean_squared_error; its targets must have that shape",
            ),
            ("heads_of_classes", r"takes the index of a class; its targets are \(None, 2\)"),
            ("heads_of_probabilities", "binary_crossentropy, which takes targets from 0 to 1; got from -"),
            ("heads", "takes whole numbers from 0 to 2; its targets are from 1 to 3"),
        ],
    )
    def test_losses_that_do_not_fit_are_refused(self, name: str, reason: str, heads: Split) -> None:
        kind, size = heads.dataset.targets.values()
        targets = {"kind": kind + 1 if name == "heads" else kind, "size": size}
        with pytest.raises(BadInput, match=reason) as caught:
            compile_model(of_heads(name, heads, targets=targets), run_seed=0)
        assert caught.value.field == "model.build"
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "outputs", "reason"),
        [
            (
                "heads",
                {"kind": (1,), "age": (2,)},
                "must be called `age`, `kind`, as the data's are; got `kind`, `size`",
            ),
            (
                "huber",
                {"kind": (1,), "size": (2,)},
                "as the data's are; got one output",
            ),
            ("heads_in_order", ((1,), (2,), (1,)), "must have 3 outputs, as the data have, got 2"),
        ],
    )
    def test_other_outputs_than_the_data_have_are_refused(self, name: str, outputs: Any, reason: str) -> None:
        with pytest.raises(BadInput, match=reason):
            build_model(Architecture(4, 0, build=f"tests.engines.models:{name}", heads=outputs), run_seed=0)
