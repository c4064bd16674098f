"""Keras models as a study trains them: built from a run seed, checked, compiled; on whichever backend Keras has.

A model that comes compiled keeps its loss, metrics, optimizer and their settings; rate and momentum alone are the
schedule's. One that does not is compiled by the task, with the study file's optimizer.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from sweep.candidate import Candidate, Optimizer, RMSprop, Sgd, layer_factors
from sweep.engines.compiled import FIELD, ROOM, is_one_hot, known_loss, said, settled_optimizer
from sweep.engines.spec import (
    Architecture,
    Backend,
    Float32,
    ModelForm,
    Outputs,
    TrainingSpec,
    batch_order,
    initial_weights,
)
from sweep.errors import BadInput
from sweep.task import Task
from sweep.user_code import call, find_function

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
    """

    model: Any
    outputs: Outputs
    one_hot: bool
    optimizers: tuple[tuple[Any, float], ...]
    momentum: str | None
    width: int

    def targets(self, targets: NDArray[Any], classes: int) -> NDArray[Any]:
        """Return targets, class indices or numbers `[rows]`, as the model's loss takes them."""
        if self.one_hot:
            return np.asarray(np.eye(classes, dtype=np.float32)[targets])
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

    def log_score(self) -> None:
        """Let each step log what its batch adds to the score, beside the model's own metrics.

        It is the rows that are classified right, or the squared error.
        """
        own = self.model.compute_metrics

        def with_score(x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            return {**own(x, y, y_pred, sample_weight), SCORE: self._score(y, y_pred)}

        self.model.compute_metrics = with_score

    def _score(self, targets: Any, outputs: Any) -> Any:
        if self.outputs == "numbers":
            return keras.ops.sum(
                keras.ops.square(keras.ops.reshape(targets, (-1,)) - keras.ops.reshape(outputs, (-1,)))
            )
        if outputs.shape[-1] == 1:
            edge = 0.0 if self.outputs == "logits" else 0.5
            right = (outputs[..., 0] > edge) == (keras.ops.reshape(targets, (-1,)) > 0.5)
        else:
            wanted = keras.ops.argmax(targets, axis=-1) if self.one_hot else keras.ops.reshape(targets, (-1,))
            right = keras.ops.argmax(outputs, axis=-1) == keras.ops.cast(wanted, "int32")
        return keras.ops.sum(keras.ops.cast(right, "float32"))


def build_model(architecture: Architecture, run_seed: int, *, logits: bool = False) -> keras.Model:
    """Build the network, with the weights that a run seed starts from; `logits` leaves out a dense stack's activation.

    A function is called under Keras' own seed, so that its weights are what the model's initializers draw. It gets
    what its parameters ask for by name: `features`, `classes` (0 for numbers), `input_shape`, `outputs`, `task`. A
    dense stack of the study file starts from NumPy's draw.

    Raises:
        BadInput: if the function cannot be imported or called, or returns no fitting Keras model.
    """
    task, name = architecture.task, architecture.build
    if name is None:
        layers = [
            keras.layers.Dense(units, architecture.activation, name=layer)
            for units, layer in zip(architecture.hidden, architecture.layers, strict=False)
        ]
        last = None if logits else task.activation
        output = keras.layers.Dense(task.outputs, last, name=architecture.layers[-1])
        model = keras.Sequential([keras.Input((architecture.features,)), *layers, output])
        model.set_weights(initial_weights(architecture, run_seed))
        return model
    function = find_function(name, FIELD)
    arguments = _arguments(function, architecture)
    _set_seed(run_seed)
    try:
        model = call(lambda: function(**arguments) if isinstance(arguments, dict) else function(*arguments))
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(FIELD, f"`{name}` failed{_place(error, function)}: {said(error)}.") from error
    if not isinstance(model, keras.Model):
        hint = "; it has no `return`" if model is None else ""
        raise BadInput(FIELD, f"`{name}` must return a Keras model, got {type(model).__name__}{hint}.")
    if not model.built:
        try:
            model(np.zeros((1, *architecture.input_shape), np.float32))
        except Exception as error:
            shape = (None, *architecture.input_shape)
            raise BadInput(FIELD, f"the model must take inputs of shape {shape}: {said(error)}.") from error
    _check_shapes(model, architecture)
    if not model.trainable_weights:
        raise BadInput(FIELD, "the model has no weights to train.")
    wanted, here = written_for(model), keras.backend.backend()
    if wanted is not None and wanted != here:
        reason = f"the model's `train_step` is written for Keras' {wanted} backend; this training is done with {here}."
        raise BadInput(FIELD, reason)
    return model


def written_for(model: keras.Model) -> Backend | None:
    """Return the backend that a model's own training step is for, by its parameters; None if it has none."""
    kind = type(model)
    if kind.train_step is keras.Model.train_step:
        return None
    return "tensorflow" if len(inspect.signature(kind.train_step).parameters) == 2 else "jax"


def _set_seed(run_seed: int) -> None:
    """Set the seeds that Keras knows of, without loading TensorFlow, in three seconds, for a model that needs none."""
    spared = keras.backend.backend() != "tensorflow" and "tensorflow" not in sys.modules
    if spared:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # Python's own mark of what there is not
    try:
        keras.utils.set_random_seed(run_seed)
    finally:
        if spared:
            del sys.modules["tensorflow"]


def _arguments(function: Callable[..., Any], architecture: Architecture) -> dict[str, Any] | tuple[int, int]:
    """Return what a user's function asks for: by name, or, as older ones do, features and classes by place."""
    known = {
        "features": architecture.features,
        "classes": architecture.classes,
        "input_shape": architecture.input_shape,
        "outputs": architecture.task.outputs,
        "task": architecture.task.name,
    }
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return architecture.features, architecture.classes
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return known
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    unknown = [each.name for each in named if each.name not in known and each.default is each.empty]
    by_place = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if len(unknown) == len(by_place) == 2 or len(by_place) > len(named):
        return architecture.features, architecture.classes
    if unknown:
        asked = f"{architecture.build} asks for `{unknown[0]}`"
        raise BadInput(FIELD, f"must be a function of any of {', '.join(known)}; {asked}.")
    return {each.name: known[each.name] for each in named if each.name in known}


def _check_shapes(model: keras.Model, architecture: Architecture) -> None:
    taken = getattr(model, "input_shape", None)
    wanted = (None, *architecture.input_shape)
    if isinstance(taken, list | dict) and len(taken) > 1:
        raise BadInput(FIELD, f"the model must have one input of shape {wanted}, got {len(taken)} inputs.")
    if isinstance(taken, tuple) and not _fits(taken, wanted):
        raise BadInput(FIELD, f"the model's input shape must be {wanted}, got {taken}.")
    given = output_shape(model, architecture)
    widths = {architecture.task.outputs} | ({2} if architecture.classes == 2 else set())
    if not isinstance(given, tuple) or given[:-1] != (None,) or given[-1] not in widths:
        expected = " or ".join(str((None, width)) for width in sorted(widths))
        raise BadInput(FIELD, f"the model's output shape must be {expected}, got {given}.")


def output_shape(model: keras.Model, architecture: Architecture) -> Any:
    """Return the shape of a model's outputs, with None for the rows; a subclassed model is asked for one row."""
    try:
        return model.output_shape
    except (AttributeError, ValueError):
        outputs = model(np.zeros((1, *architecture.input_shape), np.float32), training=False)
        return (None, *outputs.shape[1:]) if hasattr(outputs, "shape") else type(outputs).__name__


def _fits(taken: Sequence[int | None], given: Sequence[int | None]) -> bool:
    return len(taken) == len(given) and all(
        None in pair or len({*pair}) == 1 for pair in zip(taken, given, strict=True)
    )


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
    width = output_shape(model, architecture)[-1]
    if architecture.build is not None and getattr(model, "compiled", False):
        loss = known_loss(model, task, width)
        model.optimizer = settled_optimizer(model.optimizer, spec)
        model.steps_per_execution = 1  # a rate belongs to a step
        if hasattr(model, "_compile_config"):  # what `save` writes of an optimizer beside its variables
            model._compile_config.config["optimizer"] = model.optimizer
        factors: tuple[tuple[Any, float], ...] = ((model.optimizer, 1.0),)
        outputs = _outputs_of(model, loss, spec)
    else:
        momentum, nesterov, metrics = ROOM, False, []
        if candidate is not None:
            momentum = float(candidate.schedule.momenta(spec.timeline, candidate.momentum).max())
            numbers = keras.metrics.RootMeanSquaredError(task.default.name)
            nesterov, metrics = candidate.nesterov, ["accuracy" if task.name == "classes" else numbers]
        optimizer, factors = make_optimizer(spec.optimizer, model, momentum, nesterov)
        outputs = _outputs_of(model, None, spec)
        loss = _loss_of(task, width, outputs)
        model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    model.optimizer.build(model.trainable_variables)
    name = next((name for name in MOMENTA if hasattr(factors[0][0], name)), None)
    one_hot = task.name == "classes" and is_one_hot(loss, width)
    study = StudyModel(model, outputs, one_hot, factors, name, width)
    study.log_score()
    return study


def check_training(spec: TrainingSpec) -> StudyModel:
    """Build and compile a model, and do one training and one validation step with it.

    Raises:
        BadInput: for a built model, with what was raised, and where in the user's own file.
    """
    name, study = spec.architecture.build, compile_model(spec, run_seed=0)
    inputs, targets, *_ = batch = next(batches(spec, study, 0))
    try:
        study.model.train_on_batch(*batch)
        study.model.test_on_batch(inputs, targets)
    except Exception as error:
        if name is None:
            raise
        place = _place(error, find_function(name, FIELD))
        raise BadInput(FIELD, f"the model cannot be trained{place}: {said(error)}.") from error
    return study


def form_of(spec: TrainingSpec) -> ModelForm:
    """Return what a script must know of a model that a function builds.

    Raises:
        BadInput: as `compile_model` does.
    """
    architecture = spec.architecture
    asked = _arguments(find_function(str(architecture.build), FIELD), architecture)
    study = compile_model(spec, run_seed=0)
    return ModelForm(
        arguments=tuple(asked) if isinstance(asked, dict) else None,
        compiled=build_model(architecture, 0).compiled,
        outputs=study.outputs,
        width=study.width,
        one_hot=study.one_hot,
        momentum=study.momentum,
        backend=written_for(study.model),
    )


def _loss_of(task: Task, width: int, outputs: Outputs) -> keras.losses.Loss:
    if task.name == "numbers":
        return keras.losses.MeanSquaredError()
    kind = keras.losses.BinaryCrossentropy if width == 1 else keras.losses.SparseCategoricalCrossentropy
    return kind(from_logits=outputs == "logits")


def _outputs_of(model: keras.Model, loss: Any, spec: TrainingSpec) -> Outputs:
    """Find what the outputs are: stated by the loss, shown by the last layer, or by what comes out for some rows."""
    if spec.architecture.task.name == "numbers":
        return "numbers"
    if getattr(loss, "from_logits", None) or getattr(loss, "_fn_kwargs", {}).get("from_logits"):
        return "logits"
    last = model.layers[-1] if isinstance(model, keras.Sequential) else _last_layer(model)
    shown = getattr(getattr(last, "activation", None), "__name__", type(last).__name__.lower() if last else None)
    if shown in ("softmax", "sigmoid"):
        return "probabilities"
    if shown == "linear":
        return "logits"
    found = np.asarray(model(spec.split.train_inputs[:PROBED_ROWS], training=False))
    inside = bool((found >= 0).all() and (found <= 1 + 1e-6).all())
    sums = found.shape[-1] == 1 or bool(np.allclose(found.sum(axis=-1), 1, atol=1e-3))
    return "probabilities" if inside and sums else "logits"


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


def training_rows(spec: TrainingSpec, study: StudyModel) -> tuple[NDArray[Any], NDArray[Any], Float32 | None]:
    """Return inputs and targets to train on, and the weight of each row, which is what `class_weight` stands for."""
    split, weights = spec.split, spec.class_weights
    targets = study.targets(split.train_targets, spec.architecture.classes)
    return split.train_inputs, targets, np.array(weights, np.float32)[split.train_targets] if weights else None


def batches(
    spec: TrainingSpec, study: StudyModel, run_seed: int, first_epoch: int = 0
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the minibatches of a run seed, epoch after epoch."""
    arrays, size = [array for array in training_rows(spec, study) if array is not None], spec.batch_size
    for order in batch_order(spec.split.train_rows, spec.epochs, run_seed)[first_epoch:]:
        for start in range(0, len(order), size):
            yield tuple(array[order[start : start + size]] for array in arrays)


def _place(error: BaseException, function: Callable[..., Any]) -> str:
    """Return the line of the user's own file at which an error was raised."""
    own, trace, line = inspect.getsourcefile(function), error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == own:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""


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
