"""Keras' own `fit`, one training at a time: for what no population can train, and what populations are tested against.

Members share with a population what both are given: initial weights, batch order, and the rate and momentum of each
step. It runs on whichever backend its process has.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from sweep.candidate import Candidate
from sweep.engines.keras_models import SCORE, StudyModel, batches, compile_model
from sweep.engines.scoring import class_shares, curves_of
from sweep.engines.spec import Curves, Float32, Job, Tell, TrainingSpec, in_silence
from sweep.schedules import ClosedLoop
from sweep.schedules.keras import ClosedLoopRates, MomentumTable, RatesByStep

PREDICTED_ROWS = 1024  # at once


class Trained(NamedTuple):
    """One member: its curves by epoch, what it predicts on the validation rows, `[rows, outputs]`, and its model.

    Of a model of several outputs nothing is predicted.
    """

    curves: dict[str, list[float]]
    outputs: Float32
    model: keras.Model


class KerasFit:
    """Trains each candidate from each run seed by `Model.fit`."""

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self._kept: dict[tuple[float, bool], StudyModel] = {}  # the last model, by what its compiled step holds

    def accepts(self, spec: TrainingSpec) -> bool:
        """Say whether `spec` differs in its rows alone."""
        return spec.is_resplit_of(self.spec)

    def train(self, job: Job, tell: Tell = in_silence) -> Curves:
        """Train a job, member after member."""
        self.spec, spec, began = job.spec, job.spec, time.perf_counter()
        shape = (len(job.candidates), len(job.run_seeds))
        shown = {
            name: np.zeros((*shape, job.spec.epochs), np.float32)
            for name in ("loss", "val_loss", "score", "val_score", "gain")
        }
        outputs: dict[tuple[int, int], Float32] = {}
        for place, candidate in enumerate(job.candidates):
            for seed, run_seed in enumerate(job.run_seeds):
                trained = train_member(spec, candidate, run_seed, self._begun(candidate, run_seed))
                outputs[place, seed] = trained.outputs
                tell(len(outputs) / (shape[0] * shape[1]))
                for name, curve in trained.curves.items():
                    shown[name][place, seed] = curve

        def predicted(seed: int) -> Float32:
            return np.stack([outputs[place, seed] for place in range(shape[0])])

        return curves_of(job, shown, predicted, spec.split.validation_targets, began)

    def _begun(self, candidate: Candidate, run_seed: int) -> StudyModel:
        """Return a model as a run seed begins: the last one, if its compiled step has the candidate's momentum."""
        key = candidate.highest_momentum(self.spec.timeline), candidate.nesterov
        kept = self._kept.get(key)
        study = compile_model(self.spec, run_seed) if kept is None else kept.begun_again(self.spec, run_seed)
        self._kept = {key: study}
        return study


def train_member(spec: TrainingSpec, candidate: Candidate, run_seed: int, study: StudyModel | None = None) -> Trained:
    """Train one member; with `study`, on that model, which is as the run seed begins."""
    study, split, schedule = study or compile_model(spec, run_seed), spec.split, candidate.schedule
    model, classes = study.model, spec.architecture.classes
    momentum = candidate.highest_momentum(spec.timeline)
    study.set_momentum(momentum, nesterov=candidate.nesterov if spec.nesterov else None)
    rates, follow = followers(spec, candidate, study)
    scores, stopping = EpochScores(spec, study), early_stopping(spec)
    held = (split.validation_inputs, study.targets(split.validation_targets, classes))
    history = model.fit(
        batches(spec, study, run_seed),
        steps_per_epoch=spec.timeline.steps_per_epoch,
        epochs=spec.epochs,
        shuffle=False,
        validation_data=held,
        validation_batch_size=spec.batch_size,
        callbacks=[scores, *stopping, *follow],
        verbose=0,
    ).history
    found = {"loss": history["loss"], "val_loss": history["val_loss"], **scores.curves}
    kept = stopping[0].best_epoch if stopping and stopping[0].best_weights is not None else -1
    base = schedule.base_rates(spec.timeline)[:, 0]
    first = np.array([epoch[0] for epoch in rates.rates])
    base = base[: len(first)]
    found["gain"] = list(np.divide(first, base, out=np.ones_like(first), where=base > 0))
    found = {name: [*curve, *curve[-1:] * (spec.epochs - len(curve))] for name, curve in found.items()}
    found["val_loss"][-1] = history["val_loss"][kept]  # of the weights that it ends with
    if getattr(model.optimizer, "use_ema", False):  # it ends with averaged weights
        tested = model.evaluate(*held, batch_size=spec.batch_size, verbose=0, return_dict=True)
        found["val_loss"][-1] = tested["loss"]
    if spec.architecture.heads:  # which no other metric scores
        return Trained(found, np.zeros((split.validation_rows, 0), np.float32), model)
    outputs = model.predict(held[0], batch_size=PREDICTED_ROWS, verbose=0)
    return Trained(found, class_shares(np.asarray(outputs), study.outputs), model)


def early_stopping(spec: TrainingSpec) -> list[keras.callbacks.EarlyStopping]:
    """Return Keras' callback that ends a training, if the study has one."""
    return [] if spec.early_stopping is None else [keras.callbacks.EarlyStopping(**spec.early_stopping.arguments)]


def followers(
    spec: TrainingSpec, candidate: Candidate, study: StudyModel
) -> tuple[RatesByStep, list[keras.callbacks.Callback]]:
    """Return the callback that sets the rate of each step, and all that follow the candidate's schedule."""
    schedule = candidate.schedule
    if isinstance(schedule, ClosedLoop):
        rates: RatesByStep = ClosedLoopRates(schedule, spec.timeline, study.set_rate)
    else:
        rates = RatesByStep(schedule.rates(spec.timeline), study.set_rate)
    momenta = schedule.momenta(spec.timeline, candidate.momentum)
    # A momentum that never changes stays as the optimizer was made with it.
    return rates, [rates, *([MomentumTable(momenta)] if np.ptp(momenta) > 0 else [])]


class EpochScores(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Report each epoch's accuracy, or root mean squared error, to train on and to validate on, as Keras' metrics do.

    `curves` holds what they are made of: right rows, or squared errors. Where a step of the model's own logs none, they
    are those of the weights after the epoch.
    """

    def __init__(self, spec: TrainingSpec, study: StudyModel) -> None:
        super().__init__()
        self.curves: dict[str, list[float]] = {"score": [], "val_score": []}
        self._spec, self._study = spec, study
        self._logged: set[str] = set()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Begin to sum up anew."""
        del epoch, logs
        for curve in self.curves.values():
            curve.append(0.0)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add a batch to train on."""
        del batch
        self._add("score", logs)

    def on_test_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add a batch to validate on."""
        del batch
        self._add("val_score", logs)

    def _add(self, curve: str, logs: Mapping[str, float] | None) -> None:
        if logs and SCORE in logs:
            self.curves[curve][-1] += float(logs[SCORE])
            self._logged.add(curve)

    def _scored(self, curve: str) -> float:
        """Return the score of the weights as they are."""
        if self._spec.architecture.heads:
            return 0.0
        split = self._spec.split
        held = split.validation_inputs, split.validation_targets
        inputs, targets = (split.train_inputs, split.train_targets) if curve == "score" else held
        outputs = self.model.predict(inputs, batch_size=PREDICTED_ROWS, verbose=0)
        return float(self._study.score(self._study.targets(targets, self._spec.architecture.classes), outputs))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the scores to what `fit` reports."""
        del epoch
        split, task = self._spec.split, self._spec.architecture.task
        for prefix, rows in (("", split.train_rows), ("val_", split.validation_rows)):
            curve = f"{prefix}score"
            if curve not in self._logged:
                self.curves[curve][-1] = self._scored(curve)
            mean = self.curves[curve][-1] / rows
            if logs is not None and not self._spec.architecture.heads:
                logs[f"{prefix}{task.shown}"] = mean if task.counts_rows else math.sqrt(mean)
            if logs is not None:
                logs.pop(f"{prefix}{SCORE}", None)
