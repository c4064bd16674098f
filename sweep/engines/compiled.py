"""What a compiled model brings: its loss, which must fit, and its optimizer, with room for a schedule."""

from __future__ import annotations

import inspect
import re
from typing import Any

import keras

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
OF_ONE_CLASS = (*NEEDS_CLASSES, "categorical_hinge")
SLOTTED = ("SGD", "RMSprop")  # make room for a momentum only if they are made with one


def known_loss(model: keras.Model, task: Task, width: int) -> Any:
    """Return a compiled model's loss, which must fit its outputs and the task.

    Raises:
        BadInput: if it does not.
    """
    loss = model.loss
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError as error:
            reason = f"the model is compiled with the loss {loss!r}, which Keras does not know."
            raise BadInput(FIELD, reason) from error
    own = any(getattr(type(model), name) is not getattr(keras.Model, name) for name in ("train_step", "compute_loss"))
    if loss is None and not own and not model.losses:
        raise BadInput(FIELD, "the model is compiled without a loss; give one, or do not compile it.")
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
    kind = loss if inspect.isfunction(loss) else type(loss)
    name = loss_name(loss)
    if kind.__module__.startswith("keras."):
        return width > 1 and not name.startswith(INDEX_LOSSES)
    return name.startswith(("categorical_", "kl_divergence", "kullback"))


def said(error: BaseException) -> str:
    """Return what an error says, in one line, with the layer that raised it if Keras names one."""
    text = COLOUR.sub("", str(error))
    found = CALLED.search(text)
    what = in_one_line(error, text[found.end() :] if found else text)
    return f"`{found.group(1) or found.group(2)}` raised {what}" if found else what
