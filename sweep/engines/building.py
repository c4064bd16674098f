"""The Keras model of a study: a dense stack, or what a user's function builds; checked against its rows."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from sweep.data.rows import RowShape, mapped, told_shape, zero_rows
from sweep.data.table import Split
from sweep.engines.compiled import FIELD, fits, said
from sweep.engines.spec import Architecture, Backend, initial_weights
from sweep.errors import BadInput, OtherBackend, WrittenForAnother
from sweep.user_code import Ended, call, find_function, limited

SHOWN_ROWS = 1024


def build_model(architecture: Architecture, run_seed: int, *, logits: bool = False) -> keras.Model:
    """Build the network, with the weights that a run seed starts from; `logits` leaves out a dense stack's activation.

    A function is called under Keras' own seed, so that its weights are what the model's initializers draw. It gets
    what its parameters ask for by name: `features`, `classes` (0 for numbers), `input_shape`, `outputs`, `task`. Of
    several outputs, `outputs` has the shape of a row of each one's targets. A dense stack of the study file starts from
    NumPy's draw.

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
    arguments = asked_arguments(function, architecture)
    _set_seed(run_seed)
    try:
        with limited():
            model = call(lambda: function(**arguments) if isinstance(arguments, dict) else function(*arguments))
    except BadInput:
        raise
    except Exception as error:
        ended = isinstance(error.__cause__, SystemExit)
        where = line_of(error.__cause__ if error.__cause__ and ended else error, function)
        kind = BadInput if isinstance(error, Ended) else OtherBackend
        raise kind(FIELD, f"`{name}` failed{where}: {said(error)}.") from error
    if not isinstance(model, keras.Model):
        hint = "; it has no `return`" if model is None else ""
        raise BadInput(FIELD, f"`{name}` must return a Keras model, got {type(model).__name__}{hint}.")
    if not model.built:
        try:
            model(zero_rows(architecture.input_shape))
        except Exception as error:
            shape = told_shape(architecture.input_shape)
            raise OtherBackend(FIELD, f"the model must take inputs of shape {shape}: {said(error)}.") from error
    _check_shapes(model, architecture)
    if not model.trainable_weights:
        raise BadInput(FIELD, "the model has no weights to train.")
    wanted, here = written_for(model), keras.backend.backend()
    if wanted is not None and wanted != here:
        reason = f"the model's `train_step` is written for Keras' {wanted} backend; this training is done with {here}."
        raise WrittenForAnother(FIELD, reason)
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


def asked_arguments(function: Callable[..., Any], architecture: Architecture) -> dict[str, Any] | tuple[int, int]:
    """Return what a user's function asks for: by name, or, as older ones do, features and classes by place."""
    known = {
        "features": architecture.features,
        "classes": architecture.classes,
        "input_shape": architecture.input_shape,
        "outputs": architecture.heads or architecture.task.outputs,
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
    _check_inputs(model, architecture.input_shape)
    if architecture.heads:
        find_heads(model, architecture)
        return
    given = output_shape(model, architecture)
    several = model.outputs if getattr(model, "outputs", None) else ()
    if len(several) > 1:
        cure = "give the targets of each, by name or in order"
        raise BadInput(FIELD, f"the model must have one output, as the data have; got {len(several)}; {cure}.")
    widths = {architecture.task.outputs} | ({2} if architecture.classes == 2 else set())
    if not isinstance(given, tuple) or given[:-1] != (None,) or given[-1] not in widths:
        expected = " or ".join(str((None, width)) for width in sorted(widths))
        raise BadInput(FIELD, f"the model's output shape must be {expected}, got {given}.")


def _check_inputs(model: keras.Model, shape: RowShape) -> None:
    """Refuse a model whose inputs are other than the data's: by name for a dict, else in order, as `fit` takes them."""
    taken = getattr(model, "inputs", None)
    if not taken:  # it was built by rows of this shape
        return
    names, wanted = getattr(model, "_inputs_struct", None), mapped(lambda row: (None, *row.shape[1:]), zero_rows(shape))
    by_name = names if isinstance(names, dict) else {each.name: each for each in taken}
    if isinstance(wanted, dict):
        if {*by_name} != {*wanted}:
            has, of_data = (", ".join(f"`{name}`" for name in sorted(each)) for each in (by_name, wanted))
            raise BadInput(FIELD, f"the model's inputs must be called {of_data}, as the data's are; got {has}.")
        pairs = [(f"input `{name}`", by_name[name].shape, each) for name, each in wanted.items()]
    else:
        several = wanted[0] is not None  # or it is the shape of one
        in_order = wanted if several else (wanted,)
        if len(taken) != len(in_order):
            rule = f"{len(in_order)} inputs, in the order of the data's," if several else "one input"
            got = f"{len(taken)} inputs" if len(taken) > 1 else "one"
            raise BadInput(FIELD, f"the model must have {rule} of shape {told_shape(shape)}, got {got}.")
        if several and isinstance(names, dict):
            raise BadInput(FIELD, f"the model takes inputs by name, {', '.join(names)}; give the data by name, too.")
        pairs = [
            (f"input {place}" if several else "input", each.shape, row)
            for place, (each, row) in enumerate(zip(taken, in_order, strict=True), start=1)
        ]
    for name, has, row in pairs:
        if not fits(has, row) and not (row[-1] == 1 and fits(has, row[:-1])):
            shown = f"the model's {name}" + (" must have the shape" if name != "input" else " shape must be")
            raise BadInput(FIELD, f"{shown} {row}, got {has}.")


def check_indices(model: keras.Model, split: Split) -> None:
    """Refuse inputs that an Embedding would read as other indices: cut to whole numbers, or clipped."""
    for layer in getattr(model, "layers", ()):
        if not isinstance(layer, keras.layers.Embedding) or len(getattr(layer, "_inbound_nodes", ())) != 1:
            continue
        if any(layer.input is each for each in getattr(model, "inputs", None) or ()):
            some = split.inputs(split.train_index[:SHOWN_ROWS])
            if not isinstance(some, np.ndarray):
                return
            wrong = some[(some % 1 != 0) | (some < 0) | (some >= layer.input_dim)]
            if wrong.size:
                rule = f"the model's Embedding takes whole numbers from 0 to {layer.input_dim - 1}"
                cure = 'data.kind = "array" keeps sequences of whole numbers as they are, data.scale = "none" columns'
                raise BadInput(FIELD, f"{rule}, got {wrong[0]:.6g}; {cure}.")


def output_shape(model: keras.Model, architecture: Architecture) -> Any:
    """Return the shape of a model's outputs, with None for the rows; a subclassed model is asked for one row."""
    try:
        return model.output_shape
    except (AttributeError, ValueError):
        outputs = model(zero_rows(architecture.input_shape), training=False)
        return (None, *outputs.shape[1:]) if hasattr(outputs, "shape") else type(outputs).__name__


@dataclass(frozen=True)
class Heads:
    """Several outputs of a model.

    Attributes:
        shapes: of a row of each, with None for what may vary, by name, or by `1`, `2` and so on if there are no names.
        by_name: whether the model gives them by name.
        order: their names, where the data have names and the model gives them in order.
    """

    shapes: dict[str, tuple[int | None, ...]]
    by_name: bool
    order: tuple[str, ...] = ()


def find_heads(model: keras.Model, architecture: Architecture) -> Heads:
    """Return a model's outputs, which must be those that the data have targets of; one that is subclassed is asked.

    Raises:
        BadInput: if they are others.
    """
    found, wanted = getattr(model, "_outputs_struct", None), architecture.heads
    found = model(zero_rows(architecture.input_shape), training=False) if found is None else found
    by_name = isinstance(found, dict)
    flat = list(found.values()) if by_name else list(found) if isinstance(found, list | tuple) else [found]
    if not all(hasattr(each, "shape") for each in flat):
        raise BadInput(FIELD, "the model must give its outputs as a dict or a list of arrays, got others within.")
    names = list(found) if by_name else list(getattr(model, "output_names", None) or ())
    if isinstance(wanted, dict) and {*names} != {*wanted}:
        has, of_data = (", ".join(f"`{name}`" for name in sorted(each)) for each in (names, wanted))
        got = has if names else "one output" if len(flat) == 1 else f"{len(flat)} without names"
        raise BadInput(FIELD, f"the model's outputs must be called {of_data}, as the data's are; got {got}.")
    if by_name and not isinstance(wanted, dict):
        raise BadInput(FIELD, f"the model gives outputs by name, {', '.join(found)}; give the targets by name, too.")
    if len(flat) != len(wanted):
        raise BadInput(FIELD, f"the model must have {len(wanted)} outputs, as the data have, got {len(flat)}.")
    if len({*names}) != len(flat):
        names = [str(place) for place in range(1, len(flat) + 1)]
    shapes = {name: tuple(each.shape[1:]) for name, each in zip(names, flat, strict=True)}
    return Heads(shapes, by_name, tuple(names) if isinstance(wanted, dict) and not by_name else ())


def line_of(error: BaseException, function: Callable[..., Any]) -> str:
    """Return the line of the user's own file at which an error was raised."""
    own, trace, line = inspect.getsourcefile(function), error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == own:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" in line {line}" if line else ""
