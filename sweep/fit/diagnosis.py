"""Rules that find what went wrong in a training, by arithmetic on its curves and predictions.

The limits were set on the default study's rows: over its recipes nothing is found, and each fault, made on purpose, is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.schedules import Numbers

STILL_EPOCHS = 10  # epochs without change before a training counts as standing still
FEWEST_EPOCHS = 8  # with fewer, a loss that has not fallen yet proves nothing
MOVED = 1e-2  # change of the weights, a share of their length, below which nothing was learned
FADED = 1e-3  # share of its highest value below which a learning rate moves nothing
DEAD = 0.5  # share of dead units that is more than a sparse network has


@dataclass(frozen=True)
class Evidence:
    """What is known of a training.

    Attributes:
        curves: what `fit` showed after each epoch, by name, `[epochs]`; `learning_rate` among them.
        moved: length of the weights' change since the start, a share of the length of the weights.
        dead: by layer, the share of its relu units that are 0 on every training row.
        recall: share of each class' training rows that is classified right, `[classes]`.
        validation_recall: the same of the validation rows; NaN for a class without any.
        shares: share of each class among the training rows, `[classes]`.
        predicted: share of the training rows that are taken for each class, `[classes]`.
        classes: the classes' names.
    """

    curves: Mapping[str, Numbers]
    moved: float
    dead: Mapping[str, float]
    recall: Numbers
    validation_recall: Numbers
    shares: Numbers
    predicted: Numbers
    classes: Sequence[str]

    @property
    def loss(self) -> Numbers:
        """The training loss after each epoch."""
        return self.curves["loss"]

    @property
    def worst_layer(self) -> tuple[str, float]:
        """The layer with the largest share of dead units, and the share."""
        return max(self.dead.items(), key=lambda item: item[1], default=("", 0.0))

    @property
    def falls(self) -> bool:
        """Whether the loss still falls steadily, however high it is."""
        half = self.loss[len(self.loss) // 2 :]
        return bool((np.diff(half) < 0).mean() > 0.9)

    @property
    def guessing(self) -> float:
        """The loss of a network that knows nothing but the classes' shares; at most `ln(classes)`."""
        known = self.shares[self.shares > 0]
        return float(-(known * np.log(known)).sum())

    def no_number(self) -> str:
        """Find a loss that is not finite."""
        losses = np.stack([self.loss, self.curves["val_loss"]])
        broken = np.flatnonzero(~np.isfinite(losses).all(axis=0))
        if not len(broken):
            return ""
        rate = self.curves["learning_rate"][broken[0]]
        return (
            f"the loss is no number from epoch {broken[0] + 1} on: the learning rate ({rate:.3g} there) "
            "or the momentum is too high"
        )

    def too_small(self) -> str:
        """Find weights that hardly moved."""
        if self.moved >= MOVED or self.worst_layer[1] > DEAD:
            return ""
        highest = self.curves["learning_rate"].max()
        return (
            f"the weights moved by only {self.moved:.2g} of their length: the learning rate (at most {highest:.3g}) "
            "is zero or too small; look at --learning-rate and at how fast the schedule lowers it"
        )

    def faded(self) -> str:
        """Find a rate that fell to nothing long before the end."""
        rate, epochs = self.curves["learning_rate"], still_epochs(self.curves)
        if not epochs or rate[-epochs:].max() >= FADED * rate.max():
            return ""
        return (
            f"nothing has changed for {epochs} epochs, in which the learning rate was at most "
            f"{rate[-epochs:].max():.3g}: look at how early and how far the schedule lowers it"
        )

    def too_high(self) -> str:
        """Find a loss that stays high, rises or swings."""
        loss = self.loss
        if len(loss) < FEWEST_EPOCHS:
            return ""
        quarter, half = loss[-(len(loss) // 4) :], loss[len(loss) // 2 :]
        level, steps = float(half.mean()), np.diff(half)
        above = quarter.mean() > 1.05 * self.guessing and quarter.min() > 0.9 * loss.min()
        rising = level > self.guessing / 2 and quarter.mean() > 1.5 * loss.min()
        swinging = level > 0.4 * self.guessing and np.median(np.abs(steps)) > 0.06 * level and (steps > 0).mean() > 0.3
        how = "stays above that of guessing" if above else "rises again" if rising else "goes up and down"
        if not (above or rising or swinging) or self.falls:
            return ""
        rate = self.curves["learning_rate"][-1]
        return (
            f"the loss {how} ({quarter.mean():.3g}; guessing has {self.guessing:.3g}): "
            f"the learning rate ({rate:.3g} at the end) or the momentum is too high"
        )

    def dead_units(self) -> str:
        """Find relu units that are always 0."""
        layer, share = self.worst_layer
        if share <= DEAD:
            return ""
        return (
            f"{share:.0%} of the relu units of layer `{layer}` are dead, 0 on every training row: "
            "look at a learning rate or momentum that is too high, and at the scale of the inputs"
        )

    def one_class(self) -> str:
        """Find a network that gives one answer."""
        place = int(self.predicted.argmax())
        if self.predicted[place] < 1 or len(self.loss) < FEWEST_EPOCHS:
            return ""
        return (
            f"every training row is taken for the class {self.classes[place]} "
            f"({self.shares[place]:.0%} of them are): look at the balance of the classes, the scale of the inputs "
            "and the learning rate"
        )

    def labels(self) -> str:
        """Find labels that do not belong to their rows."""
        if len(self.loss) < FEWEST_EPOCHS:
            return ""
        learned, known = float(np.nanmean(self.recall)), float(np.nanmean(self.validation_recall))
        half = self.loss[len(self.loss) // 2 :]
        stuck = half.min() > 0.95 * self.guessing and np.ptp(half) < 0.05 * self.guessing
        if stuck and not self.falls:
            return (
                f"the loss is stuck at {half.mean():.3g}, that of guessing (ln {len(self.classes)} = "
                f"{math.log(len(self.classes)):.3g}): look at whether labels and rows belong together"
            )
        if known <= 1 / len(self.classes) + 0.12 and learned - known > 0.2:
            return (
                f"{learned:.0%} of each class is right in the training rows but {known:.0%}, no more than by chance, "
                "in the validation rows: look at whether labels and rows belong together"
            )
        return ""


def still_epochs(curves: Mapping[str, Numbers]) -> int:
    """Return the number of last epochs in which loss and accuracy did not change; 0 if that is not many.

    It is a fifth of the training, since many schedules mean to end in quiet, and 0 if nothing is left to learn.
    """
    epochs = max(STILL_EPOCHS, len(curves["loss"]) // 5)
    loss, accuracy = (curves[name][-epochs:] for name in ("loss", "accuracy"))
    if len(loss) < epochs or accuracy[-1] > 0.99:
        return 0
    still = not np.isfinite(loss[-1]) or (np.ptp(loss) <= 1e-3 * abs(loss[-1]) and np.ptp(accuracy) == 0)
    return epochs if still else 0


def diagnose(evidence: Evidence) -> list[str]:
    """Return a line for each fault that shows, saying what to look at; none if nothing is wrong."""
    for line in (evidence.no_number(), evidence.too_small()):  # what follows would say nothing new
        if line:
            return [line]
    lines = [evidence.faded(), evidence.too_high(), evidence.dead_units(), evidence.one_class()]
    return [line for line in lines if line] or [line for line in (evidence.labels(),) if line]
