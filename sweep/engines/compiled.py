"""What a compiled model brings: its loss, which must fit, and its optimizer, with room for a schedule."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Sequence
from typing import Any

import keras
from numpy.typing import NDArray

from sweep.candidate import Sgd
from sweep.engines.spec import TrainingSpec
from sweep.errors import BadInput, in_one_line
from sweep.task import Task

FIELD = "model.build"
CALLED = re.compile(r"calling (?:layer )?[`'\"]?(\w+)\.call\(\)|calling layer \"(\w+)\"")
COLOUR = re.compile(r"\x1b\[\d*m")
ROOM = 0.5
REFUSED = {
    "LossScaleOptimizer": "wraps the optimizer that has the learning rate; give that one `loss_scale_factor`",
    "MultiOptimizer": "has several learning rates",
    "ScheduleFreeAdamW": "has a schedule of its own",
}
# What Keras' own losses of several outputs take the index of a row's class by; the others want a number for each.
INDEX_LOSSES = ("sparse_categorical", "categorical_generalized", "circle", "ctc")
NEEDS_CLASSES = ("sparse_categorical_", "categorical_", "kl_divergence")  # losses of an output for each class
OF_CLASSES = ("binary_", "hinge", "squared_hinge", "categorical_hinge", "dice", "tversky", *NEEDS_CLASSES)
OF_BATCHES = ("dice", "tversky", "circle")  # Keras' own whose loss of a batch is no mean over its rows
SHARES = ("binary_crossentropy", "binary_focal", "categorical_crossentropy", "categorical_focal")  # want 0 to 1
OF_ONE_CLASS = (*NEEDS_CLASSES, "categorical_hinge")
SLOTTED = ("SGD", "RMSprop")  # make room for a momentum only if they are made with one


def known_loss(model: keras.Model, task: Task, width: int) -> Any:
    """Return a compiled model's loss, which must fit its outputs and the task.

    Raises:
        BadInput: if it does not.
    """
    loss = model.loss
    if isinstance(loss, dict | list | tuple):
        if len(loss) != 1:
            raise BadInput(FIELD, f"the model is compiled with {len(loss)} losses, and has one output.")
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    loss = _resolved(loss)
    if loss is None and not has_own_steps(model) and not model.losses:
        raise BadInput(FIELD, "the model is compiled without a loss; give one, or do not compile it.")
    if isinstance(loss, dict | list | tuple):
        raise BadInput(FIELD, f"the model is compiled with {len(loss)} losses; one output has one loss.")
    name = loss_name(loss)
    if task.name == "numbers" and name.startswith(OF_CLASSES):
        raise BadInput(FIELD, f"the model is compiled with {name}, a loss for classes; the label is a number.")
    if task.name == "labels" and name.startswith(OF_ONE_CLASS):
        reason = f"the model is compiled with {name}, a loss for one class a row; labels want binary_crossentropy."
        raise BadInput(FIELD, reason)
    if task.name == "classes" and width == 1 and name.startswith(NEEDS_CLASSES):
        cure = "use binary_crossentropy"
        raise BadInput(FIELD, f"the model is compiled with {name}, which needs an output for each class; {cure}.")
    if task.name == "classes" and width > 1 and name.startswith("binary_"):
        cure = "use sparse_categorical_crossentropy"
        raise BadInput(FIELD, f"the model is compiled with {name}, which needs a single output, got {width}; {cure}.")
    return loss


def has_own_steps(model: keras.Model) -> bool:
    """Say whether a model computes its loss itself."""
    names = ("train_step", "test_step", "compute_loss")
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in names)


def _resolved(loss: Any) -> Any:
    if not isinstance(loss, str):
        return loss
    try:
        return keras.losses.get(loss)
    except ValueError as error:
        raise BadInput(FIELD, f"the model is compiled with the loss {loss!r}, which Keras does not know.") from error


def head_losses(model: keras.Model, names: Sequence[str], *, by_name: bool) -> dict[str, Any]:
    """Return the loss of each of a model's outputs, which Keras takes one for all, by name, or in order.

    Raises:
        BadInput: for an output that has none, or a loss that has no output.
    """
    loss = model.loss
    if loss is None and (has_own_steps(model) or model.losses):
        return {}
    if loss is None:
        raise BadInput(FIELD, "the model is compiled without a loss; several outputs need one for each.")
    if isinstance(loss, dict):
        unknown = [name for name in loss if name not in names]
        if unknown:
            raise BadInput(FIELD, f"the model is compiled with a loss for `{unknown[0]}`, which is no output of it.")
        found = {name: _resolved(loss[name]) for name in names if name in loss}
    elif isinstance(loss, list | tuple):
        if len(loss) != len(names):
            raise BadInput(FIELD, f"the model is compiled with {len(loss)} losses, and has {len(names)} outputs.")
        in_order = sorted(names) if by_name else names  # as Keras takes a dict
        found = dict(zip(in_order, map(_resolved, loss), strict=True))
    else:
        found = dict.fromkeys(names, _resolved(loss))
    without = [name for name in names if name not in found]
    if without:
        raise BadInput(FIELD, f"the model is compiled without a loss for its output `{without[0]}`.")
    return found


def check_head(name: str, loss: Any, output: Sequence[int | None], targets: NDArray[Any]) -> None:
    """Refuse targets of an output, `[rows, ...]`, that its loss, one of Keras' own, would take for others.

    Raises:
        BadInput: for a shape that it would stretch, an index of no class, or shares beyond 0 and 1.
    """
    kind, given, taken = loss_name(loss), targets.shape[1:], tuple(output)
    if not _is_keras_own(loss) or kind == "ctc" or loss is None:
        return
    said = f"the model's output `{name}` of shape {(None, *taken)} is compiled with {kind}"
    if kind.startswith(INDEX_LOSSES):
        if not (fits(taken[:-1], given) or fits((*taken[:-1], 1), given)):
            rule = "which takes the index of a class"
            raise BadInput(FIELD, f"{said}, {rule}; its targets are {(None, *given)}.")
        low, high = targets.min(), targets.max()
        if taken[-1] is not None and (low < 0 or high >= taken[-1] or (targets % 1).any()):
            rule = f"which takes whole numbers from 0 to {taken[-1] - 1}"
            raise BadInput(FIELD, f"{said}, {rule}; its targets are from {low:g} to {high:g}.")
        return
    if not (fits(taken, given) or fits(taken, (*given, 1)) or fits((*taken, 1), given)):
        index = fits((*taken[:-1], 1), given) and kind.startswith(NEEDS_CLASSES)
        cure = f", and sparse_{kind} takes an index" if index and kind == "categorical_crossentropy" else ""
        raise BadInput(FIELD, f"{said}; its targets must have that shape, got {(None, *given)}{cure}.")
    if kind.startswith(SHARES) and (targets.min() < 0 or targets.max() > 1):
        got = f"from {targets.min():g} to {targets.max():g}"
        raise BadInput(FIELD, f"{said}, which takes targets from 0 to 1; got {got}.")


def goes_by_batch(model: keras.Model, losses: Collection[Any]) -> bool:
    """Say whether a model's loss may depend on which rows are in a batch: one of Keras' own is a mean over rows."""
    by_batch = (not _is_keras_own(loss) or loss_name(loss) in OF_BATCHES for loss in losses if loss is not None)
    return has_own_steps(model) or any(by_batch)


def settled_optimizer(optimizer: Any, spec: TrainingSpec) -> Any:
    """Return a compiled model's optimizer with room for the study's rates and momenta.

    Raises:
        BadInput: if the study file states another one, or it cannot follow a schedule.
    """
    kind = type(optimizer)
    if kind.__name__ in REFUSED:
        reason = f"{kind.__name__} {REFUSED[kind.__name__]}"
        raise BadInput(FIELD, f"the model's optimizer must have one learning rate to set; {reason}.")
    stated, default = spec.optimizer, type(spec.optimizer)()
    if stated != Sgd() and (stated != default or kind.__name__.lower() != stated.name):
        changed = next((name for name, value in default if getattr(stated, name) != value), "name")
        got = f"the model is compiled with {kind.__name__}"
        raise BadInput(f"optimizer.{changed}", f"{got}, whose settings count; leave `[optimizer]` out.")
    config = optimizer.get_config()
    if "learning_rate" not in config:
        raise BadInput(FIELD, f"the model's optimizer must have a learning rate to set, got {kind.__name__}.")
    config["learning_rate"] = 0.0
    if kind.__name__ in SLOTTED:
        config["momentum"] = ROOM
    try:
        return kind.from_config(config)
    except Exception as error:
        how = "must be made again from its `get_config`"
        raise BadInput(FIELD, f"the model's optimizer {kind.__name__} {how}: {said(error)}.") from error


def loss_name(loss: Any) -> str:
    """Return a loss's name as Keras writes its function, e.g. `mean_squared_error`; empty for several losses."""
    name = loss.__name__ if inspect.isfunction(loss) else type(loss).__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace("KLD", "KlD")).lower()


def is_one_hot(loss: Any, width: int) -> bool:
    """Say whether a loss wants targets `[rows, classes]`: Keras' own do but for the sparse one, and a user's do not."""
    name = loss_name(loss)
    if _is_keras_own(loss):
        return width > 1 and not name.startswith(INDEX_LOSSES)
    return name.startswith(("categorical_", "kl_divergence", "kullback"))


def fits(taken: Sequence[int | None], given: Sequence[int | None]) -> bool:
    """Say whether two shapes are equal, where None may be any size."""
    return len(taken) == len(given) and all(
        None in pair or len({*pair}) == 1 for pair in zip(taken, given, strict=True)
    )


def _is_keras_own(loss: Any) -> bool:
    kind = loss if inspect.isfunction(loss) else type(loss)
    return str(kind.__module__).startswith("keras.")


def said(error: BaseException) -> str:
    """Return what an error says, in one line, with the layer that raised it if Keras names one."""
    text = COLOUR.sub("", str(error))
    found = CALLED.search(text)
    what = in_one_line(error, text[found.end() :] if found else text)
    return f"`{found.group(1) or found.group(2)}` raised {what}" if found else what
