"""Keras models as a study trains them: built from a run seed, checked, compiled; on whichever backend Keras has.

A model that comes compiled keeps its loss, metrics, optimizer and their settings; rate and momentum alone are the
schedule's. One that does not is compiled by the task, with the study file's optimizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from sweep.candidate import Candidate, Optimizer, RMSprop, Sgd, layer_factors
from sweep.data.rows import Inputs, named, row_count, rows_at
from sweep.data.table import Targets
from sweep.engines.building import (
    asked_arguments,
    build_model,
    check_indices,
    find_heads,
    line_of,
    output_shape,
    written_for,
)
from sweep.engines.compiled import (
    FIELD,
    ROOM,
    check_head,
    goes_by_batch,
    head_losses,
    is_one_hot,
    known_loss,
    said,
    settled_optimizer,
)
from sweep.engines.spec import Float32, ModelForm, Outputs, TrainingSpec, batch_orders
from sweep.errors import BadInput, OtherBackend
from sweep.task import Task
from sweep.user_code import find_function

SCORE = "sweep_score"  # among what a step logs
PROBED_ROWS = 32
# What Keras' optimizers call the momentum; the others have none.
MOMENTA = ("momentum", "beta_1")


@dataclass(frozen=True)
class StudyModel:
    """A compiled model and how a study reads it.

    Attributes:
        model: as `fit` takes it.
        outputs: what its outputs are.
        one_hot: whether its loss wants targets `[rows, classes]`.
        optimizers: those that hold a rate, with the factor of theirs: one, unless layers have rates of their own.
        momentum: what the optimizer calls the momentum, None if it has none.
        width: how many outputs there are.
        own: whether its loss and optimizer are its own.
        by_batch: whether its loss may depend on which rows are in a batch, so that validation has batches as in `fit`.
        order: the names of several outputs that the model gives in order and the data by name.
    """

    model: Any
    outputs: Outputs
    one_hot: bool
    optimizers: tuple[tuple[Any, float], ...]
    momentum: str | None
    width: int
    own: bool = False
    by_batch: bool = False
    order: tuple[str, ...] = ()

    def targets(self, targets: Targets, classes: int) -> Any:
        """Return targets, `[rows]` or several a row or of several outputs, as the model's loss takes them."""
        if self.outputs == "heads":
            return tuple(targets[name] for name in self.order) or targets
        if self.one_hot:
            return np.asarray(np.eye(classes, dtype=np.float32)[targets])
        if targets.ndim > 1:
            return targets.astype(np.float32)
        return targets[:, None].astype(np.float32) if self.width == 1 else targets

    @property
    def without_momentum(self) -> str:
        """The name of the optimizer, if it has no momentum."""
        return "" if self.momentum else type(self.optimizers[0][0]).__name__

    def set_rate(self, rate: float) -> None:
        """Set the learning rate; layers with rates of their own take their share of it."""
        for optimizer, factor in self.optimizers:
            optimizer.learning_rate = rate * factor

    def set_momentum(self, momentum: float, *, nesterov: bool | None = None) -> None:
        """Set the momentum, where the optimizer has one, and whether SGD looks ahead; None leaves that as it is."""
        for optimizer, _ in self.optimizers if self.momentum else ():
            setattr(optimizer, str(self.momentum), momentum)
            if nesterov is not None and hasattr(optimizer, "nesterov"):
                optimizer.nesterov = nesterov

    def begun_again(self, spec: TrainingSpec, run_seed: int) -> StudyModel:
        """Return a model as another run seed begins: this one, so that its step is compiled once.

        A model that is not compiled may keep more than its variables, and is built anew.
        """
        fresh = compile_model(spec, run_seed)
        if self.model.run_eagerly:
            return fresh
        model = self.model
        groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
        for variables, values in zip(groups, initial_state(fresh), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return self

    def log_score(self) -> None:
        """Let each step log what its batch adds to the score, beside the model's own metrics.

        A step of the model's own may never ask for the metrics.
        """
        own = self.model.compute_metrics

        def with_score(x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            return {**own(x, y, y_pred, sample_weight), SCORE: self.score(y, y_pred)}

        self.model.compute_metrics = with_score

    def score(self, targets: Any, outputs: Any) -> Any:
        """Return how many rows are classified right, or their squared errors; nothing of several outputs."""
        if self.outputs == "heads":
            return keras.ops.zeros(())
        if self.outputs == "numbers":
            errors = keras.ops.square(keras.ops.reshape(targets, (-1,)) - keras.ops.reshape(outputs, (-1,)))
            return keras.ops.sum(errors) / self.width
        edge = 0.0 if self.outputs.endswith("logits") else 0.5
        if self.outputs.startswith("label"):
            right = keras.ops.all((outputs > edge) == (targets > 0.5), axis=-1)
        elif outputs.shape[-1] == 1:
            right = (outputs[..., 0] > edge) == (keras.ops.reshape(targets, (-1,)) > 0.5)
        else:
            wanted = keras.ops.argmax(targets, axis=-1) if self.one_hot else keras.ops.reshape(targets, (-1,))
            right = keras.ops.argmax(outputs, axis=-1) == keras.ops.cast(wanted, "int32")
        return keras.ops.sum(keras.ops.cast(right, "float32"))


def compile_model(spec: TrainingSpec, run_seed: int, candidate: Candidate | None = None) -> StudyModel:
    """Build a model and compile it, at a rate of 0 that a schedule is to set.

    For one candidate it is what a user would compile: the optimizer has the candidate's momentum, a dense stack ends in
    its activation, and the task's score is among what `fit` reports. Otherwise it serves every member of a population:
    there is room for a momentum, and the loss takes care of a dense stack's last activation.

    Raises:
        BadInput: for a model, a loss or an optimizer that cannot be trained.
    """
    architecture, task = spec.architecture, spec.architecture.task
    model = build_model(architecture, run_seed, logits=candidate is None)
    if architecture.build is not None:
        check_indices(model, spec.split)
    width = 1 if architecture.heads else output_shape(model, architecture)[-1]
    own = architecture.build is not None and bool(getattr(model, "compiled", False))
    loss: Any
    by_batch = False
    order: tuple[str, ...] = ()
    if own and architecture.heads:
        loss, order = _losses_of_heads(model, spec)
    elif own:
        loss = known_loss(model, task, width)
    if own:
        by_batch = goes_by_batch(model, loss.values() if architecture.heads else [loss])
        model.optimizer = settled_optimizer(model.optimizer, spec)
        model.steps_per_execution = 1  # a rate belongs to a step
        if hasattr(model, "_compile_config"):  # what `save` writes of an optimizer beside its variables
            model._compile_config.config["optimizer"] = model.optimizer
        factors: tuple[tuple[Any, float], ...] = ((model.optimizer, 1.0),)
        outputs = "heads" if architecture.heads else _outputs_of(model, loss, spec)
    elif architecture.heads:
        raise BadInput(FIELD, "the model must come compiled, with losses, since several outputs have none by default.")
    else:
        momentum, nesterov, metrics = ROOM, False, []
        if candidate is not None:
            momentum = candidate.highest_momentum(spec.timeline)
            known = {"classes": "accuracy", "numbers": keras.metrics.RootMeanSquaredError(task.shown)}
            nesterov, metrics = candidate.nesterov, [known[task.name]] if task.name in known else []
        optimizer, factors = make_optimizer(spec.optimizer, model, momentum, nesterov)
        outputs = _outputs_of(model, None, spec)
        loss = _loss_of(task, width, outputs)
        model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)
    name = next((name for name in MOMENTA if hasattr(factors[0][0], name)), None)
    one_hot = task.name == "classes" and is_one_hot(loss, width)
    study = StudyModel(model, outputs, one_hot, factors, name, width, own, by_batch, order)
    study.log_score()
    return study


def _losses_of_heads(model: keras.Model, spec: TrainingSpec) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the loss of each of several outputs, which must fit its targets, and `StudyModel.order`."""
    heads, targets = find_heads(model, spec.architecture), spec.split.dataset.targets
    losses = head_losses(model, tuple(heads.shapes), by_name=heads.by_name)
    in_order = iter(named(targets).values())
    for name, shape in heads.shapes.items():
        of_head = targets[name] if isinstance(targets, dict) else next(in_order)
        if name in losses:
            check_head(name, losses[name], shape, of_head)
    return losses, heads.order


def check_training(spec: TrainingSpec) -> StudyModel:
    """Build and compile a model, and do one training and one validation step with it.

    Raises:
        BadInput: for a built model, with what was raised, and where in the user's own file.
    """
    name, study = spec.architecture.build, compile_model(spec, run_seed=0)
    inputs, targets, *weights = next(batches(spec.begun(1), study, 0))
    size = row_count(targets)
    try:  # by `fit`: `train_on_batch` gives a step of the user's own three values for the pair that it takes apart
        weighed = weights[0] if weights else None
        fitted = study.model.fit(inputs, targets, size, sample_weight=weighed, shuffle=False, verbose=0).history
        tested = study.model.evaluate(inputs, targets, size, verbose=0, return_dict=True)
    except Exception as error:
        if name is None:
            raise
        place = line_of(error, find_function(name, FIELD))
        raise OtherBackend(FIELD, f"the model cannot be trained{place}: {said(error)}.") from error
    for step, logs in (("train_step", fitted), ("test_step", tested)):
        if "loss" not in logs:
            got = ", ".join(f"`{each}`" for each in logs if each != SCORE) or "none"
            raise BadInput(FIELD, f"the model's `{step}` must return `loss` among its numbers, got {got}.")
    return study


def form_of(spec: TrainingSpec) -> ModelForm:
    """Return what a script must know of a model that a function builds.

    Raises:
        BadInput: as `compile_model` does.
    """
    architecture = spec.architecture
    asked = asked_arguments(find_function(str(architecture.build), FIELD), architecture)
    study = compile_model(spec, run_seed=0)
    return ModelForm(
        arguments=tuple(asked) if isinstance(asked, dict) else None,
        compiled=study.own,
        outputs=study.outputs,
        width=study.width,
        one_hot=study.one_hot,
        momentum=study.momentum,
        backend=written_for(study.model),
    )


def _loss_of(task: Task, width: int, outputs: Outputs) -> keras.losses.Loss:
    if task.name == "numbers":
        return keras.losses.MeanSquaredError()
    binary = width == 1 or task.name == "labels"
    kind = keras.losses.BinaryCrossentropy if binary else keras.losses.SparseCategoricalCrossentropy
    return kind(from_logits=outputs.endswith("logits"))


def _outputs_of(model: keras.Model, loss: Any, spec: TrainingSpec) -> Outputs:
    """Find what the outputs are: stated by the loss, shown by the last layer, or by what comes out for some rows."""
    task = spec.architecture.task.name
    if task == "numbers":
        return "numbers"
    logits: Outputs = "label logits" if task == "labels" else "logits"
    probabilities: Outputs = "label probabilities" if task == "labels" else "probabilities"
    if getattr(loss, "from_logits", None) or getattr(loss, "_fn_kwargs", {}).get("from_logits"):
        return logits
    last = model.layers[-1] if isinstance(model, keras.Sequential) else _last_layer(model)
    shown = getattr(getattr(last, "activation", None), "__name__", type(last).__name__.lower() if last else None)
    if shown == "softmax" and task == "labels":
        raise BadInput(FIELD, "the model ends in softmax, which gives a row one class; labels want sigmoid.")
    if shown in ("softmax", "sigmoid"):
        return probabilities
    if shown == "linear":
        return logits
    found = np.asarray(model(spec.split.inputs(spec.split.train_index[:PROBED_ROWS]), training=False))
    inside = bool((found >= 0).all() and (found <= 1 + 1e-6).all())
    sums = found.shape[-1] == 1 or task == "labels" or bool(np.allclose(found.sum(axis=-1), 1, atol=1e-3))
    return probabilities if inside and sums else logits


def _last_layer(model: keras.Model) -> Any:
    history = (
        getattr(getattr(model, "output", None), "_keras_history", None) if getattr(model, "inputs", None) else None
    )
    return getattr(history, "operation", None)


def keras_optimizer(
    optimizer: Optimizer, learning_rate: float, momentum: float, nesterov: bool = False
) -> keras.optimizers.Optimizer:
    """Return the same optimizer by Keras; `nesterov` is SGD's alone."""
    by_name = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "rmsprop": keras.optimizers.RMSprop}
    if isinstance(optimizer, Sgd):
        return keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=nesterov)
    rest = optimizer.model_dump(exclude={"name", "layer_rates", "layer_decay"})
    rest["momentum" if isinstance(optimizer, RMSprop) else "beta_1"] = momentum
    return by_name[optimizer.name](learning_rate, **rest)


def make_optimizer(
    optimizer: Optimizer, model: keras.Model, momentum: float = ROOM, nesterov: bool = False
) -> tuple[Any, tuple[tuple[Any, float], ...]]:
    """Return the same optimizer for a built model, at a rate of 0; and what holds the rates, with their factors.

    Raises:
        BadInput: if `layer_rates` names a layer that is not there.
        ValueError: for a variable that is not named after its layer.
    """
    if not optimizer.layered:
        made = keras_optimizer(optimizer, 0.0, momentum, nesterov)
        return made, ((made, 1.0),)
    layers = [layer for layer in model.layers if layer.trainable_variables]
    factors = layer_factors(optimizer, [layer.name for layer in layers])
    by_layer = {name: keras_optimizer(optimizer, 0.0, momentum, nesterov) for name in factors}
    # By name and not by path, because a Sequential's paths lose the model's name when it is loaded.
    by_name = {rf"(.*/)?{re.escape(name)}/.*": inner for name, inner in by_layer.items()}
    chosen = keras.optimizers.OptimizerMap(next(iter(by_layer.values())), by_name)
    for layer in layers:
        for variable in layer.trainable_variables:  # which Keras would give to another layer's optimizer in silence
            if chosen(variable) is not by_layer[layer.name]:
                raise ValueError(f"`{variable.path}` is not named after its layer `{layer.name}`.")
    held = tuple((inner, factors[name]) for name, inner in by_layer.items())
    return keras.optimizers.MultiOptimizer(chosen), held


def initial_state(study: StudyModel) -> tuple[list[Float32], list[NDArray[Any]], list[NDArray[Any]]]:
    """Return the values of a fresh model's trained variables, its others, and its optimizer's."""
    model = study.model
    groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
    trained, others, kept = ([np.asarray(variable) for variable in group] for group in groups)
    return trained, others, kept


def training_rows(spec: TrainingSpec, study: StudyModel) -> tuple[Inputs, Any, Float32 | None]:
    """Return inputs and targets to train on, and the weight of each row, None if all are 1."""
    targets = study.targets(spec.split.train_targets, spec.architecture.classes)
    return spec.split.train_inputs, targets, spec.row_weights


def batches(spec: TrainingSpec, study: StudyModel, run_seed: int, first_epoch: int = 0) -> Iterator[tuple[Inputs, ...]]:
    """Yield the minibatches of a run seed, epoch after epoch."""
    arrays, size = [array for array in training_rows(spec, study) if array is not None], spec.batch_size
    for order in islice(batch_orders(spec.split.train_rows, run_seed), first_epoch, spec.epochs):
        for start in range(0, len(order), size):
            yield tuple(rows_at(array, order[start : start + size]) for array in arrays)


class Followed:
    """A member's momentum, as an optimizer reads it: an array, and above 0, so that its slots are used."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __jax_array__(self) -> Any:
        return self._value

    def __ne__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    def __sub__(self, other: Any) -> Any:
        return self._value - other

    def __rsub__(self, other: Any) -> Any:
        return other - self._value
