"""One network trained by Keras' own `fit`, with Keras' own optimizers: what the engines are tested against.

It shares with the population only what both are given: initial weights, batch order, and the rate and momentum of
each step. `sweep train` trains by it too: each epoch is printed, kept and can be continued.
"""

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
from sweep.curves import guessing_loss
from sweep.data.rows import Inputs, joined
from sweep.data.table import Split
from sweep.engines.keras_fit import EpochScores, early_stopping, followers
from sweep.engines.keras_models import batches, check_training, compile_model
from sweep.engines.spec import Int32, Outputs, TrainingSpec
from sweep.errors import BadInput
from sweep.files import replace_file
from sweep.fit.checkpoint import Checkpoint, Setting, Snapshot
from sweep.fit.diagnosis import Evidence, still_epochs
from sweep.fit.raw_rows import for_raw_rows, taken_inputs
from sweep.schedules import Numbers
from sweep.task import Task

PREDICTED_ROWS = 1024  # predicted at once

Say = Callable[[str], None]


def shown_after_epochs(task: Task) -> tuple[str, ...]:
    """Return the names of what is shown after each epoch: accuracies, or root mean squared errors in the target's unit.

    >>> shown_after_epochs(Task.of(2))
    ('loss', 'accuracy', 'val_loss', 'val_accuracy', 'learning_rate')
    """
    score = task.shown
    return tuple(dict.fromkeys(("loss", score, "val_loss", f"val_{score}", "learning_rate")))


class Training:
    """One network, ready for `Model.fit`, whose rate and momentum follow the candidate's schedule.

    `study` says how its outputs are read; `rates` is the callback that sets the rate of each step and keeps a
    closed-loop schedule's state.
    """

    def __init__(self, spec: TrainingSpec, candidate: Candidate, run_seed: int) -> None:
        self.spec = spec
        self.study = study = compile_model(spec, run_seed, candidate)
        self.model, self._run_seed = study.model, run_seed
        momentum = candidate.highest_momentum(spec.timeline)
        study.set_momentum(momentum, nesterov=candidate.nesterov or (False if spec.nesterov else None))
        self.rates, self._follow = followers(spec, candidate, study)

    def run(
        self, first_epoch: int, end_epoch: int, observers: Sequence[keras.callbacks.Callback] = ()
    ) -> dict[str, list[float]]:
        """Train from `first_epoch`, counted from 0, to before `end_epoch`; return what each epoch showed."""
        spec = self.spec
        history: dict[str, list[float]] = self.model.fit(
            batches(spec, self.study, self._run_seed, first_epoch),
            steps_per_epoch=spec.timeline.steps_per_epoch,
            initial_epoch=first_epoch,
            epochs=end_epoch,
            shuffle=False,
            validation_data=self._held,
            callbacks=[EpochScores(spec, self.study), *early_stopping(spec), *self._follow, *observers],
            verbose=0,
        ).history
        return history

    @property
    def _held(self) -> tuple[Inputs, Any]:
        split, classes = self.spec.split, self.spec.architecture.classes
        return split.validation_inputs, self.study.targets(split.validation_targets, classes)

    def loss(self) -> float:
        """Return the loss on the validation rows, as Keras' `evaluate` does."""
        size = self.spec.batch_size
        return float(self.model.evaluate(*self._held, batch_size=size, verbose=0, return_dict=True)["loss"])

    def shown(self, logs: Mapping[str, float] | None) -> dict[str, float]:
        """Return what is shown of an epoch, by name, of what Keras says of it."""
        task, unit = self.spec.architecture.task, self.spec.split.target_unit[1]
        given = {name: float((logs or {})[name]) for name in shown_after_epochs(task)}
        return {name: value * unit if name.endswith("rmse") else value for name, value in given.items()}


@dataclass(frozen=True)
class Request:
    """One training, as it is asked for.

    `end_epoch` is the number of epochs to have been trained in the end, at most the spec's budget. `save` is the
    `.keras` file for the best epoch's network, which takes rows as the data file has them, `tensorboard` the folder for
    an event file, and `checkpoint` the folder to continue from another time, under the same `setting`.
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
    """Train and print every epoch, then the final and the best epoch, and what looks wrong.

    Raises:
        BadInput: for a model that cannot be trained, or a checkpoint of another one.
    """
    if request.spec.architecture.build is not None:
        check_training(request.spec)
    training = Training(request.spec, request.candidate, request.run_seed)
    observer = Observer(request, training, say)
    if request.resumed is not None:
        try:
            observer.resume(request.resumed)
        except (KeyError, IndexError, ValueError) as error:  # names or shapes that this network does not have
            raise BadInput("checkpoint", f"is damaged: {error}.") from error
    trained = len(observer.curves["loss"])
    if trained < request.end_epoch:
        logs = [StepLog(request.tensorboard, training, trained)] if request.tensorboard is not None else []
        training.run(trained, request.end_epoch, [observer, *logs])
    for line in summary(observer.curves):
        say(line)
    observer.say_diagnosis()


class Observer(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Print each epoch, and keep the best network and a checkpoint.

    `curves` holds what each epoch showed, also of the run that this one continues.
    """

    def __init__(self, request: Request, training: Training, say: Say) -> None:
        super().__init__()
        self.curves: dict[str, list[float]] = {name: [] for name in shown_after_epochs(request.spec.architecture.task)}
        self._request, self._training, self._say = request, training, say
        self._first_weights = _weights(training.model)
        self._best: Snapshot | None = None
        self._warned = False

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up a training where its checkpoint left it."""
        self.curves = {name: list(checkpoint.curves[name]) for name in self.curves}
        self._best = checkpoint.best
        self._training.rates.state = checkpoint.state
        model = self._training.model
        if self._request.save is not None:
            checkpoint.best.restore(model)
            self._save(self._request.save)
        checkpoint.last.restore(model)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Print what the epoch showed, and keep what was asked for."""
        request, model = self._request, self._training.model
        for name, value in self._training.shown(logs).items():
            self.curves[name].append(value)
        self._say(f"Epoch {epoch + 1}/{request.spec.epochs} - {describe(self.curves, epoch)}")
        is_best = best_epoch(self.curves) == epoch
        if is_best and request.save is not None:
            self._save(request.save)
        if request.checkpoint is not None:
            now = Snapshot.of(model)
            self._best = now if is_best or self._best is None else self._best
            state, budget = self._training.rates.state, request.spec.epochs
            Checkpoint(request.setting, budget, self.curves, state, now, self._best).write(request.checkpoint)
        still = still_epochs(self.curves)
        if still and not self._warned:
            self._warned = True
            shown = request.spec.architecture.task.counts_rows
            what = "loss and accuracy have" if shown else "the loss has"
            self._say(f"note: {what} not changed for {still} epochs.")
            self.say_diagnosis()

    def _save(self, place: Path) -> None:
        training = self._training
        replace_file(place, for_raw_rows(training.model, training.spec.split, training.study.outputs).save, "save")

    def say_diagnosis(self) -> None:
        """Say what looks wrong, if anything does."""
        for line in self._evidence().diagnosis():
            self._say(f"note: {line}.")

    def _evidence(self) -> Evidence:
        model, split, classes = self._training.model, self._request.spec.split, self._request.classes
        taken, dead = look_at(model, split, self._training.study.outputs)
        targets, validation_targets = split.train_targets, split.validation_targets
        shares = targets.mean(axis=0) if split.dataset.task.name == "labels" else np.zeros(0)
        if not classes:  # no row is taken for a class
            taken, targets, validation_targets = np.split(np.zeros(0, np.int32), 3)
        guesses = [guessing_loss(np.array([1 - share, share])) for share in shares]
        known = math.inf if self._request.spec.architecture.heads else float(np.mean(guesses or [1.0]))
        moved = float(np.linalg.norm(_weights(model) - self._first_weights) / np.linalg.norm(self._first_weights))
        return Evidence(
            curves={name: np.array(values) for name, values in self.curves.items()},
            moved=moved if math.isfinite(moved) else math.inf,
            dead=dead,
            recall=_recall(taken[: split.train_rows], targets, len(classes)),
            validation_recall=_recall(taken[split.train_rows :], validation_targets, len(classes)),
            shares=np.bincount(targets, minlength=len(classes)) / split.train_rows,
            predicted=np.bincount(taken[: split.train_rows], minlength=len(classes)) / split.train_rows,
            classes=classes,
            guessing=known,
            labels=bool(len(shares)),
        )


class StepLog(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Log the learning rate by batch and the rest by epoch, both counted from 1, where TensorBoard finds it.

    The events are written as records, because TensorFlow's own writer wants the package `tensorboard`.
    """

    def __init__(self, folder: Path, training: Training, trained: int) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._training, self._rates = training, training.rates
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
        shown = self._training.shown(logs)
        self._scalars(epoch + 1, {f"epoch_{name}": value for name, value in shown.items() if name != "learning_rate"})
        self._file.flush()

    def on_train_end(self, logs: object = None) -> None:
        """Close the file."""
        del logs
        self._file.close()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        kind = tf.compat.v1.Summary
        made = kind(value=[kind.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(step=step, summary=made)

    def _write(self, **event: Any) -> None:
        self._file.write(tf.compat.v1.Event(wall_time=time.time(), **event).SerializeToString())


def describe(curves: Mapping[str, Sequence[float]], epoch: int) -> str:
    """Return what an epoch, counted from 0, showed, as Keras prints it."""
    shown = ((name, values[epoch]) for name, values in curves.items())
    return " - ".join(f"{name}: {value:{'.4e' if 0 < abs(value) <= 1e-3 else '.4f'}}" for name, value in shown)


def summary(curves: Mapping[str, Sequence[float]]) -> list[str]:
    """Return a line for the final and one for the best epoch."""
    final, best = len(curves["loss"]) - 1, best_epoch(curves)
    return [
        f"{name}: epoch {place + 1} - {describe(curves, place)}" for name, place in (("final", final), ("best", best))
    ]


def best_epoch(curves: Mapping[str, Sequence[float]]) -> int:
    """Return the epoch of the highest `val_accuracy`, of these the lowest `val_loss`, of these the first; from 0.

    Of numbers it is the lowest `val_loss`.
    """
    loss = curves["val_loss"]
    accuracy = curves.get("val_accuracy", [0.0] * len(loss))
    return min(range(len(loss)), key=lambda epoch: (-accuracy[epoch], not loss[epoch] < math.inf, loss[epoch]))


def look_at(model: keras.Model, split: Split, kind: Outputs) -> tuple[Int32, dict[str, float]]:
    """Return the class of two or more that each row is taken for, and the share of each relu layer's dead units.

    Rows to train on come first; a dead unit is 0 on all of them. `kind` is what the model's outputs are; of several
    outputs no row is taken for anything.
    """
    is_graph = isinstance(model, keras.Sequential) or getattr(model, "inputs", None)
    layers = [
        layer
        for layer in (model.layers if is_graph else [])
        if isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) is keras.activations.relu
    ]
    if kind == "heads" and not layers:
        return np.zeros(0, np.int32), {}
    probe = (
        keras.Model(taken_inputs(model), [model.outputs[0], *[layer.output for layer in layers]]) if layers else model
    )
    inputs = joined(split.train_inputs, split.validation_inputs)
    found = probe.predict(inputs, batch_size=PREDICTED_ROWS, verbose=0)
    outputs, *fired = found if layers else [found]
    outputs = np.zeros((0, 1)) if kind == "heads" else outputs
    taken = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > (0.0 if kind == "logits" else 0.5)
    return taken.astype(np.int32), {
        layer.name: float((values[: split.train_rows].reshape(-1, values.shape[-1]).max(axis=0) == 0).mean())
        for layer, values in zip(layers, fired, strict=True)
    }


def _weights(model: keras.Model) -> Numbers:
    """Return all trainable weights in one row."""
    return np.concatenate([np.asarray(weight).ravel() for weight in model.trainable_variables])


def _recall(taken: Int32, targets: Int32, classes: int) -> Numbers:
    """Return the share of each class that is classified right, `[classes]`; NaN for a class without rows."""
    right, counts = (np.bincount(each, minlength=classes) for each in (targets[taken == targets], targets))
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)
