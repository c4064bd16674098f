"""What a training that went wrong shows, and where to look; pure arithmetic on what was seen of it.

It stands alone because its rules are worth testing without a network. The limits were set on the default study's
rows: over its recipes nothing is said, and each fault, made on purpose, is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
    def guessing(self) -> float:
        """The loss of a network that knows nothing but the classes' shares; at most `ln(classes)`."""
        known = self.shares[self.shares > 0]
        return float(-(known * np.log(known)).sum())

    @property
    def chance(self) -> float:
        """The mean recall of a network that knows nothing."""
        return 1 / len(self.classes)


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
    for rule in (_no_number, _too_small):  # what follows would say nothing new
        found = rule(evidence)
        if found:
            return [found]
    rules: tuple[Callable[[Evidence], str], ...] = (_faded, _too_high, _dead_units, _one_class)
    lines = [line for rule in rules if (line := rule(evidence))]
    return lines or [line for line in (_labels(evidence),) if line]


def _no_number(evidence: Evidence) -> str:
    losses = np.stack([evidence.loss, evidence.curves["val_loss"]])
    broken = np.flatnonzero(~np.isfinite(losses).all(axis=0))
    if not len(broken):
        return ""
    rate = evidence.curves["learning_rate"][broken[0]]
    return (
        f"the loss is no number from epoch {broken[0] + 1} on: the learning rate ({rate:.3g} there) "
        "or the momentum is too high"
    )


def _too_small(evidence: Evidence) -> str:
    if evidence.moved >= MOVED or _worst(evidence)[1] > DEAD:
        return ""
    highest = evidence.curves["learning_rate"].max()
    return (
        f"the weights moved by only {evidence.moved:.2g} of their length: the learning rate (at most {highest:.3g}) "
        "is zero or too small; look at --learning-rate and at how fast the schedule lowers it"
    )


def _faded(evidence: Evidence) -> str:
    """Find a rate that fell to nothing long before the end."""
    rate, epochs = evidence.curves["learning_rate"], still_epochs(evidence.curves)
    if not epochs or rate[-epochs:].max() >= FADED * rate.max():
        return ""
    return (
        f"nothing has changed for {epochs} epochs, in which the learning rate was at most {rate[-epochs:].max():.3g}: "
        "look at how early and how far the schedule lowers it"
    )


def _too_high(evidence: Evidence) -> str:
    loss = evidence.loss
    if len(loss) < FEWEST_EPOCHS:
        return ""
    quarter, half = loss[-(len(loss) // 4) :], loss[len(loss) // 2 :]
    level, steps = float(half.mean()), np.diff(half)
    above = quarter.mean() > 1.05 * evidence.guessing and quarter.min() > 0.9 * loss.min()
    rising = level > evidence.guessing / 2 and quarter.mean() > 1.5 * loss.min()
    swinging = level > 0.4 * evidence.guessing and np.median(np.abs(steps)) > 0.06 * level and (steps > 0).mean() > 0.3
    how = "stays above that of guessing" if above else "rises again" if rising else "goes up and down"
    if not (above or rising or swinging) or _falls(evidence):
        return ""
    rate = evidence.curves["learning_rate"][-1]
    return (
        f"the loss {how} ({quarter.mean():.3g}; guessing has {evidence.guessing:.3g}): "
        f"the learning rate ({rate:.3g} at the end) or the momentum is too high"
    )


def _falls(evidence: Evidence) -> bool:
    """Say whether the loss still falls steadily, however high it is."""
    half = evidence.loss[len(evidence.loss) // 2 :]
    return bool((np.diff(half) < 0).mean() > 0.9)


def _worst(evidence: Evidence) -> tuple[str, float]:
    """Return the layer with the largest share of dead units, and the share."""
    return max(evidence.dead.items(), key=lambda item: item[1], default=("", 0.0))


def _dead_units(evidence: Evidence) -> str:
    layer, share = _worst(evidence)
    if share <= DEAD:
        return ""
    return (
        f"{share:.0%} of the relu units of layer `{layer}` are dead, 0 on every training row: "
        "look at a learning rate or momentum that is too high, and at the scale of the inputs"
    )


def _one_class(evidence: Evidence) -> str:
    place = int(evidence.predicted.argmax())
    if evidence.predicted[place] < 1 or len(evidence.loss) < FEWEST_EPOCHS:
        return ""
    return (
        f"every training row is taken for the class {evidence.classes[place]} "
        f"({evidence.shares[place]:.0%} of them are): look at the balance of the classes, the scale of the inputs "
        "and the learning rate"
    )


def _labels(evidence: Evidence) -> str:
    if len(evidence.loss) < FEWEST_EPOCHS:
        return ""
    learned, known = float(np.nanmean(evidence.recall)), float(np.nanmean(evidence.validation_recall))
    half = evidence.loss[len(evidence.loss) // 2 :]
    stuck = half.min() > 0.95 * evidence.guessing and np.ptp(half) < 0.05 * evidence.guessing
    if stuck and not _falls(evidence):
        return (
            f"the loss is stuck at {half.mean():.3g}, that of guessing (ln {len(evidence.classes)} = "
            f"{math.log(len(evidence.classes)):.3g}): look at whether labels and rows belong together"
        )
    if known <= evidence.chance + 0.12 and learned - known > 0.2:
        return (
            f"{learned:.0%} of each class is right in the training rows but {known:.0%}, no more than by chance, in "
            "the validation rows: look at whether labels and rows belong together"
        )
    return ""
