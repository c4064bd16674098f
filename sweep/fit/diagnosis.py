"""Rules that find what went wrong in a training, by arithmetic on its curves and predictions.

The limits were set on the default study's rows: over its recipes nothing is found, and each fault, made on purpose, is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.curves import FEWEST_EPOCHS, LossCurve, guessing_loss
from sweep.schedules import Numbers

STILL_EPOCHS = 10  # epochs without change before a training counts as standing still
MOVED = 1e-2  # change of the weights, a share of their length, below which nothing was learned
FADED = 1e-3  # share of its highest value below which a learning rate moves nothing
DEAD = 0.5  # share of dead units that is more than a sparse network has


@dataclass(frozen=True)
class Evidence:
    """What is known of a training.

    `curves` are what `fit` showed after each epoch, by name, `[epochs]`; `moved` is the length of the weights' change
    since the start, a share of their length; `dead` the share of a layer's relu units that are 0 on every training row.
    The rest is by class, and empty for numbers: the share of its training rows that is classified right, the same of
    the validation rows (NaN without any), its share among the training rows, the share of these that are taken for it,
    and its name.
    """

    curves: Mapping[str, Numbers]
    moved: float
    dead: Mapping[str, float]
    recall: Numbers
    validation_recall: Numbers
    shares: Numbers
    predicted: Numbers
    classes: Sequence[str]
    # The loss without an input, where there are no classes: of standardised numbers, or labels; infinite if unknown.
    guessing: float = 1.0
    labels: bool = False

    def diagnosis(self) -> list[str]:
        """Return a line for each fault that shows, saying what to look at; none if nothing is wrong."""
        for line in (self._no_number(), self._too_small()):  # what follows would say nothing new
            if line:
                return [line]
        lines = [self._faded(), self._too_high(), self._dead_units(), self._one_class()]
        return [line for line in lines if line] or [line for line in (self._labels(),) if line]

    @property
    def _loss(self) -> LossCurve:
        guessing = guessing_loss(self.shares) if self.classes else self.guessing
        return LossCurve(self.curves["loss"], guessing)

    def _no_number(self) -> str:
        broken = np.flatnonzero(~np.isfinite([self.curves["loss"], self.curves["val_loss"]]).all(axis=0))
        if not len(broken):
            return ""
        rate = self.curves["learning_rate"][broken[0]]
        return (
            f"the loss is no number from epoch {broken[0] + 1} on: the learning rate ({rate:.3g} there) "
            "or the momentum is too high"
        )

    def _too_small(self) -> str:
        if self.moved >= MOVED or max(self.dead.values(), default=0.0) > DEAD:
            return ""
        highest = self.curves["learning_rate"].max()
        return (
            f"the weights moved by only {self.moved:.2g} of their length: the learning rate (at most {highest:.3g}) "
            "is zero or too small; look at --learning-rate and at how fast the schedule lowers it"
        )

    def _faded(self) -> str:
        rate, epochs = self.curves["learning_rate"], still_epochs(self.curves)
        if not epochs or rate[-epochs:].max() >= FADED * rate.max():
            return ""
        return (
            f"nothing has changed for {epochs} epochs, in which the learning rate was at most "
            f"{rate[-epochs:].max():.3g}: look at how early and how far the schedule lowers it"
        )

    def _too_high(self) -> str:
        loss, how = self._loss, self._loss.unsteady()
        if not how:
            return ""
        return (
            f"the loss {how} ({loss.level:.3g}; guessing has {loss.guessing:.3g}): "
            f"the learning rate ({self.curves['learning_rate'][-1]:.3g} at the end) or the momentum is too high"
        )

    def _dead_units(self) -> str:
        layer, share = max(self.dead.items(), key=lambda item: item[1], default=("", 0.0))
        if share <= DEAD:
            return ""
        return (
            f"{share:.0%} of the relu units of layer `{layer}` are dead, 0 on every training row: "
            "look at a learning rate or momentum that is too high, and at the scale of the inputs"
        )

    def _one_class(self) -> str:
        if not self.classes:
            return ""
        place = int(self.predicted.argmax())
        if self.predicted[place] < 1 or len(self.curves["loss"]) < FEWEST_EPOCHS:
            return ""
        return (
            f"every training row is taken for the class {self.classes[place]} "
            f"({self.shares[place]:.0%} of them are): look at the balance of the classes, the scale of the inputs "
            "and the learning rate"
        )

    def _labels(self) -> str:
        if len(self.curves["loss"]) < FEWEST_EPOCHS:
            return ""
        loss, classes = self._loss, len(self.classes)
        if not classes:
            return self._numbers(loss)
        learned, known = float(np.nanmean(self.recall)), float(np.nanmean(self.validation_recall))
        if loss.stuck():
            level, guessing = loss.second_half.mean(), f"ln {classes} = {math.log(classes):.3g}"
            return (
                f"the loss is stuck at {level:.3g}, that of guessing ({guessing}): "
                "look at whether labels and rows belong together"
            )
        if known <= 1 / classes + 0.12 and learned - known > 0.2:
            return (
                f"{learned:.0%} of each class is right in the training rows but {known:.0%}, no more than by chance, "
                "in the validation rows: look at whether labels and rows belong together"
            )
        return ""

    def _numbers(self, loss: LossCurve) -> str:
        held = float(self.curves["val_loss"][-1])
        known, mean = f"{self.guessing:.3g}", "the labels' shares" if self.labels else "the mean"
        if loss.stuck():
            whose = mean if self.labels else "the target's mean"
            return (
                f"the loss is stuck at {loss.second_half.mean():.3g}, that of {whose} ({known}): "
                "look at whether targets and rows belong together"
            )
        if held > self.guessing and loss.level < 0.8 * self.guessing:
            return (
                f"the loss is {loss.level:.3g} in the training rows but {held:.3g}, "
                f"no better than by {mean} ({known}), "
                "in the validation rows: look at whether targets and rows belong together"
            )
        return ""


def still_epochs(curves: Mapping[str, Numbers | Sequence[float]]) -> int:
    """Return the number of last epochs in which loss and accuracy, if there is one, did not change; 0 if not many.

    It is a fifth of the training, since many schedules mean to end in quiet, and 0 if nothing is left to learn.
    """
    epochs = max(STILL_EPOCHS, len(curves["loss"]) // 5)
    loss = curves["loss"][-epochs:]
    accuracy = curves["accuracy"][-epochs:] if "accuracy" in curves else [float(loss[-1] < 1e-4)] * len(loss)
    if len(loss) < epochs or accuracy[-1] > 0.99:
        return 0
    still = not np.isfinite(loss[-1]) or (np.ptp(loss) <= 1e-3 * abs(loss[-1]) and np.ptp(accuracy) == 0)
    return epochs if still else 0
