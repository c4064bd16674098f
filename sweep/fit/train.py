"""One network trained by Keras' `fit` for `sweep train`: each epoch is printed, kept and can be continued."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.candidate import Candidate
from sweep.engines.spec import Float32, Int32, TrainingSpec
from sweep.errors import BadInput
from sweep.files import replace_file
from sweep.fit.checkpoint import Checkpoint, Setting, Snapshot
from sweep.fit.diagnosis import Evidence, diagnose, still_epochs
from sweep.fit.reference import Training
from sweep.schedules import Numbers

SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
PREDICTED_ROWS = 1024  # predicted at once

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """One training, as it is asked for.

    Attributes:
        spec: data, network and budget.
        candidate: schedule and momentum.
        run_seed: it fixes initial weights and batch order.
        classes: the classes' names.
        setting: what a checkpoint of it must have been made with.
        end_epoch: the number of epochs to have been trained in the end, at most the budget.
        save: the `.keras` file for the best epoch's network.
        tensorboard: the folder for an event file.
        checkpoint: the folder to continue from another time.
        resumed: what to continue.
    """

    spec: TrainingSpec
    candidate: Candidate
    run_seed: int
    classes: Sequence[str]
    setting: Setting
    end_epoch: int
    save: Path | None = None
    tensorboard: Path | None = None
    checkpoint: Path | None = None
    resumed: Checkpoint | None = None


def train(request: Request, say: Say) -> None:
    """Train and print every epoch, then the final and the best epoch, and what looks wrong."""
    training = Training(request.spec, request.candidate, request.run_seed)
    observer = Observer(request, training, say)
    if request.resumed is not None:
        try:
            observer.resume(request.resumed)
        except (KeyError, IndexError, ValueError) as error:  # names or shapes that this network does not have
            raise BadInput("checkpoint", f"is damaged: {error}.") from error
    if observer.trained < request.end_epoch:
        logs = [StepLog(request.tensorboard, training, observer.trained)] if request.tensorboard is not None else []
        training.run(observer.trained, request.end_epoch, [observer, *logs])
    for line in summary(observer.curves):
        say(line)
    observer.say_diagnosis()


class Observer(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Print each epoch, and keep the best network and a checkpoint.

    `curves` holds what each epoch showed, also of the run that this one continues.
    """

    def __init__(self, request: Request, training: Training, say: Say) -> None:
        super().__init__()
        self.curves: dict[str, list[float]] = {name: [] for name in SHOWN}
        self._request = request
        self._training = training
        self._say = say
        self._first_weights = _weights(training.model)
        self._best: Snapshot | None = None
        self._warned = False

    @property
    def trained(self) -> int:
        """The number of epochs trained."""
        return len(self.curves["loss"])

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up a training where its checkpoint left it."""
        self.curves = {name: list(checkpoint.curves[name]) for name in SHOWN}
        self._best = checkpoint.best
        self._training.rates.state = checkpoint.state
        if self._request.save is not None:
            restore(self._training.model, checkpoint.best)
            replace_file(self._request.save, self._training.model.save, "save")
        restore(self._training.model, checkpoint.last)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Print what the epoch showed, and keep what was asked for."""
        for name in SHOWN:
            self.curves[name].append(float((logs or {})[name]))
        self._say(f"Epoch {epoch + 1}/{self._request.spec.epochs} - {describe(self.curves, epoch)}")
        request, model = self._request, self._training.model
        is_best = best_epoch(self.curves) == epoch
        if is_best and request.save is not None:
            replace_file(request.save, model.save, "save")
        if request.checkpoint is not None:
            now = snapshot(model)
            self._best = now if is_best or self._best is None else self._best
            state, budget = self._training.rates.state, request.spec.epochs
            Checkpoint(request.setting, budget, self.curves, state, now, self._best).write(request.checkpoint)
        still = still_epochs(self._arrays())
        if still and not self._warned:
            self._warned = True
            self._say(f"note: loss and accuracy have not changed for {still} epochs.")
            self.say_diagnosis()

    def say_diagnosis(self) -> None:
        """Say what looks wrong, if anything does."""
        for line in diagnose(self._evidence()):
            self._say(f"note: {line}.")

    def _arrays(self) -> dict[str, Numbers]:
        return {name: np.array(values) for name, values in self.curves.items()}

    def _evidence(self) -> Evidence:
        model, split, classes = self._training.model, self._request.spec.split, len(self._request.classes)
        taken, dead = look_at(model, split.train_inputs)
        held, _ = look_at(model, split.validation_inputs)
        moved = float(np.linalg.norm(_weights(model) - self._first_weights) / np.linalg.norm(self._first_weights))
        return Evidence(
            curves=self._arrays(),
            moved=moved if math.isfinite(moved) else math.inf,
            dead=dead,
            recall=_recall(taken, split.train_targets, classes),
            validation_recall=_recall(held, split.validation_targets, classes),
            shares=np.bincount(split.train_targets, minlength=classes) / split.train_rows,
            predicted=np.bincount(taken, minlength=classes) / split.train_rows,
            classes=self._request.classes,
        )


class StepLog(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Log the learning rate by batch and the rest by epoch, both counted from 1, where TensorBoard finds it.

    The events are written as records, because TensorFlow's own writer wants the package `tensorboard`.
    """

    def __init__(self, folder: Path, training: Training, trained: int) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._rates = training.rates
        self._step = trained * training.spec.timeline.steps_per_epoch
        self._file = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}.sweep"))
        self._write(file_version="brain.Event:2")

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Log the rate that the step was done with."""
        del batch, logs
        self._step += 1
        self._scalars(self._step, {"learning_rate": self._rates.rates[-1][-1]})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Log what the epoch showed."""
        shown = {f"epoch_{name}": value for name, value in (logs or {}).items() if name != "learning_rate"}
        self._scalars(epoch + 1, shown)
        self._file.flush()

    def on_train_end(self, logs: object = None) -> None:
        """Close the file."""
        del logs
        self._file.close()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        kind = tf.compat.v1.Summary
        summary = kind(value=[kind.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(step=step, summary=summary)

    def _write(self, **event: Any) -> None:
        self._file.write(tf.compat.v1.Event(wall_time=time.time(), **event).SerializeToString())


def describe(curves: Mapping[str, Sequence[float]], epoch: int) -> str:
    """Return what an epoch, counted from 0, showed, as Keras prints it."""
    return " - ".join(f"{name}: {_digits(values[epoch])}" for name, values in curves.items())


def summary(curves: Mapping[str, Sequence[float]]) -> list[str]:
    """Return a line for the final and one for the best epoch."""
    final, best = len(curves["loss"]) - 1, best_epoch(curves)
    return [
        f"{name}: epoch {epoch + 1} - {describe(curves, epoch)}" for name, epoch in (("final", final), ("best", best))
    ]


def best_epoch(curves: Mapping[str, Sequence[float]]) -> int:
    """Return the epoch of the highest `val_accuracy`, of these the lowest `val_loss`, of these the first; from 0."""
    accuracy, loss = curves["val_accuracy"], curves["val_loss"]
    return min(range(len(loss)), key=lambda epoch: (-accuracy[epoch], not loss[epoch] < math.inf, loss[epoch]))


def snapshot(model: keras.Model) -> Snapshot:
    """Return every variable of a network, random states among them, and of its optimizer."""
    groups = (model.variables, model.optimizer.variables)
    return Snapshot(*([np.asarray(variable).copy() for variable in group] for group in groups))


def restore(model: keras.Model, kept: Snapshot) -> None:
    """Set every variable as `snapshot` found it."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    for group, arrays in zip((model.variables, model.optimizer.variables), (kept.model, kept.optimizer), strict=True):
        for variable, array in zip(group, arrays, strict=True):
            variable.assign(array)


def look_at(model: keras.Model, inputs: Float32) -> tuple[Int32, dict[str, float]]:
    """Return the class that each row is taken for, `[rows]`, and each relu layer's share of dead units."""
    relu, layers = keras.activations.relu, []
    if isinstance(model, keras.Sequential) or getattr(model, "inputs", None):  # otherwise it is no graph of layers
        layers = [
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) is relu
        ]
    probe = keras.Model(model.inputs, [model.outputs[0], *[layer.output for layer in layers]]) if layers else model
    found = probe.predict(inputs, batch_size=PREDICTED_ROWS, verbose=0)
    outputs, *fired = found if layers else [found]
    taken = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0.5
    return taken.astype(np.int32), {
        layer.name: float((values.reshape(-1, values.shape[-1]).max(axis=0) == 0).mean())
        for layer, values in zip(layers, fired, strict=True)
    }


def _weights(model: keras.Model) -> Numbers:
    """Return all trainable weights in one row."""
    return np.concatenate([np.asarray(weight).ravel() for weight in model.trainable_variables])


def _recall(taken: Int32, targets: Int32, classes: int) -> Numbers:
    """Return the share of each class that is classified right, `[classes]`; NaN for a class without rows."""
    counts = np.bincount(targets, minlength=classes)
    right = np.bincount(targets[taken == targets], minlength=classes)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)


def _digits(value: float) -> str:
    """Return a number as Keras' progress bar prints it."""
    return f"{value:.4f}" if value == 0 or not abs(value) <= 1e-3 else f"{value:.4e}"
