"""What is trained, and what comes back: plain arrays that travel between processes.

It stands alone because the coordinator builds and reads these without loading TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sweep.data.table import Split
from sweep.optimizer import Optimizer, Sgd
from sweep.schedules import Timeline
from sweep.schedules.base import Monitor

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

# What a closed-loop schedule may watch, in the order in which the compiled program computes it.
MONITORS: tuple[str, ...] = get_args(Monitor)


@dataclass(frozen=True)
class Architecture:
    """A dense network by its hidden layers, or the `module:function` that builds a Keras model."""

    features: int
    classes: int
    hidden: tuple[int, ...] = (34,)
    activation: str = "relu"
    build: str | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of a dense stack's layers, from input to output, which rates by layer refer to."""
        return (*(f"hidden_{number}" for number in range(1, len(self.hidden) + 1)), "output")

    @property
    def is_hidden_layer(self) -> bool:
        """Whether it is one hidden layer, which has a program of its own: a member's bits do not depend on its tile."""
        return self.build is None and len(self.hidden) == 1

    @property
    def outputs(self) -> int:
        """One sigmoid unit for two classes, otherwise one softmax unit per class."""
        return 1 if self.classes == 2 else self.classes


@dataclass(frozen=True)
class TrainingSpec:
    """Rows, network and length of every training of a study; all that its members share.

    `nesterov` says whether a member may use Nesterov momentum, and `closed_loop` which closed-loop schedules: the
    program then has room for them. It is the study's choice and not the tile's, since two programs may round
    differently.
    """

    split: Split
    architecture: Architecture
    epochs: int
    batch_size: int
    optimizer: Optimizer = field(default_factory=Sgd)
    nesterov: bool = False
    closed_loop: tuple[str, ...] = ()

    @property
    def timeline(self) -> Timeline:
        """The time axis of each training; the last batch of an epoch may be smaller than the others."""
        rows = len(self.split.train_targets)
        return Timeline(epochs=self.epochs, steps_per_epoch=-(-rows // self.batch_size))

    def is_resplit_of(self, other: TrainingSpec) -> bool:
        """Say whether the two differ in their rows alone, so that one `Population` serves both."""
        return replace(self, split=other.split) == other


@dataclass(frozen=True)
class ClosedLoopSettings:
    """Which candidates of a tile follow one closed-loop schedule, and with which settings; all `[candidates]`.

    Attributes:
        chosen: whether a candidate follows it.
        monitor: what it watches, as a place in `MONITORS`.
        sign: 1 if that is better the lower it is, and -1 otherwise.
        first_epoch: the first epoch after which it decides, counted from 0.
        settings: the schedule's own numbers by name.
    """

    chosen: NDArray[np.bool_]
    monitor: Int32
    sign: Float32
    first_epoch: Int32
    settings: Mapping[str, Float32]


@dataclass(frozen=True)
class MemberBatch:
    """Members that one compiled program trains together: every candidate with every run seed.

    Attributes:
        rates: learning rates, `[candidates, epochs, steps_per_epoch]`, before the gain of a closed-loop schedule.
        momenta: same shape.
        nesterov: one for each candidate, `[candidates]`.
        run_seeds: they fix initial weights and batch order.
        watchers: by name, each closed-loop schedule that the problem has room for.
    """

    rates: Float32
    momenta: Float32
    nesterov: NDArray[np.bool_]
    run_seeds: tuple[int, ...]
    watchers: Mapping[str, ClosedLoopSettings] = field(default_factory=dict)


@dataclass(frozen=True)
class Curves:
    """What each run of a tile showed after each epoch, as Keras' `fit` reports it, and how it ended.

    Attributes:
        loss: mean cross-entropy over the epoch's training batches, `[candidates, seeds, epochs]`.
        correct: training rows classified right during the epoch, same shape.
        validation_loss: mean cross-entropy over the validation rows, same shape.
        validation_correct: validation rows classified right, same shape.
        gain: what the tile's rates were multiplied by in the epoch, same shape; 1 for an open-loop schedule.
        class_correct: validation rows of each class classified right after the last epoch,
            `[candidates, seeds, classes]`; their sum is the last of `validation_correct`.
        seconds: time spent on the tile.
    """

    loss: Float32
    correct: Int32
    validation_loss: Float32
    validation_correct: Int32
    gain: Float32
    class_correct: Int32
    seconds: float

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Whether a run ended in NaN or infinity, `[candidates, seeds]`."""
        return np.asarray(~(np.isfinite(self.loss) & np.isfinite(self.validation_loss)).all(axis=-1))
