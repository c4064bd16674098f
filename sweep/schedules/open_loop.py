"""The schedules that depend on time alone, each a formula with its parameters, its source and its search space.

A further schedule is one more function here: the catalogue, the command line, the search and the export find it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field

from sweep.errors import BadInput
from sweep.schedules.base import HIGHEST, schedule, span
from sweep.schedules.timeline import Boundaries, Fractions, Numbers, Points, Timeline, Values


def within(description: str, **bounds: float) -> Any:
    """Return the description and range of a parameter, from 0 to 1 if `bounds` do not say otherwise."""
    return Field(description=description, **bounds or {"ge": 0, "le": 1})  # type: ignore[call-overload]  # by name


Drop: TypeAlias = Annotated[float, within("factor of the rate at each drop", gt=0, le=1)]
EpochsDrop: TypeAlias = Annotated[int, within("number of epochs between drops", ge=1, le=1_000_000)]
FinalRatio: TypeAlias = Annotated[float, within("share of learning_rate reached at the end")]
PositiveRatio: TypeAlias = Annotated[float, within("share of learning_rate reached at the end", gt=0, le=1)]
EpochDecay: TypeAlias = Annotated[float | None, within("decay per epoch; default learning_rate / epochs", ge=0, le=1e6)]
BatchDecay: TypeAlias = Annotated[float | None, within("decay per batch; default learning_rate / epochs", ge=0, le=1e6)]


@schedule(source="plain stochastic gradient descent")
def constant(time: Timeline, learning_rate: float) -> Numbers:
    """Return the same rate for every step.

    `rate = learning_rate`.

    >>> constant(learning_rate=0.1).by_epoch(3)
    [0.1, 0.1, 0.1]
    """
    return np.full_like(time.batch, learning_rate)


@schedule(name="time", source="the tutorial's equation", space={"decay": span(1e-3, 1.0, log=True)})
def time_by_epoch(time: Timeline, learning_rate: float, decay: EpochDecay = None) -> Numbers:
    """Return the rate divided by one more `decay` each epoch.

    `rate = learning_rate / (1 + decay * epoch)`, with epochs counted from 0.

    >>> time_by_epoch(learning_rate=0.1, decay=0.001).by_epoch(3)
    [0.1, 0.0999000999, 0.0998003992]
    """
    decay = learning_rate / time.budget if decay is None else decay
    return learning_rate / (1 + decay * time.epoch)


@schedule(source="the tutorial's table of rates", space={"decay": span(1e-4, 0.1, log=True)})
def time_compounding(time: Timeline, learning_rate: float, decay: EpochDecay = None) -> Numbers:
    """Return the rate that each epoch divides anew.

    `rate[n] = rate[n-1] / (1 + decay * n)`: each epoch decays the rate of the epoch before.

    >>> time_compounding(learning_rate=0.1, decay=0.001).by_epoch(5)
    [0.1, 0.0999000999, 0.0997006985, 0.09940249103, 0.09900646517]
    """
    decay = learning_rate / time.budget if decay is None else decay
    shares = np.cumprod(1 / (1 + decay * np.arange(time.epoch.max() + 1)))
    rates: Numbers = learning_rate * shares[time.epoch.astype(int)]
    return rates


@schedule(source="the `decay` argument of Keras' SGD before version 2.11", space={"decay": span(1e-4, 0.1, log=True)})
def time_by_batch(time: Timeline, learning_rate: float, decay: BatchDecay = None) -> Numbers:
    """Return the rate divided by one more `decay` each batch.

    `rate = learning_rate / (1 + decay * batch)`, with batches counted from 0 through all epochs.

    >>> time_by_batch(learning_rate=0.1, decay=0.002).by_epoch(50, steps_per_epoch=9)[-1]
    0.05313496281
    """
    decay = learning_rate / time.budget if decay is None else decay
    return learning_rate / (1 + decay * time.batch)


STEP_SPACE = {"drop": span(0.1, 0.9), "epochs_drop": span(2, 40)}


@schedule(source="the tutorial's code", space=STEP_SPACE)
def step(time: Timeline, learning_rate: float, drop: Drop, epochs_drop: EpochsDrop) -> Numbers:
    """Return the rate after a drop every `epochs_drop` epochs, the first one epoch early.

    `rate = learning_rate * drop ** floor((1 + epoch) / epochs_drop)`, with epochs counted from 0.

    The first drop comes one epoch early, at epoch `epochs_drop - 1`, as the tutorial's code has it.

    >>> step(learning_rate=0.1, drop=0.5, epochs_drop=3).by_epoch(6)
    [0.1, 0.1, 0.05, 0.05, 0.05, 0.025]
    """
    return learning_rate * drop ** np.floor((1 + time.epoch) / epochs_drop)


@schedule(source="the tutorial's equation", space=STEP_SPACE)
def step_from_zero(time: Timeline, learning_rate: float, drop: Drop, epochs_drop: EpochsDrop) -> Numbers:
    """Return the rate after a drop every `epochs_drop` epochs.

    `rate = learning_rate * drop ** floor(epoch / epochs_drop)`, with epochs counted from 0.

    >>> step_from_zero(learning_rate=0.1, drop=0.5, epochs_drop=3).by_epoch(6)
    [0.1, 0.1, 0.1, 0.05, 0.05, 0.05]
    """
    return learning_rate * drop ** np.floor(time.epoch / epochs_drop)


EXPONENTIAL_SPACE = {"final_ratio": span(1e-4, 0.5, log=True)}


@schedule(source="Keras' ExponentialDecay, by epoch", space=EXPONENTIAL_SPACE)
def exponential(time: Timeline, learning_rate: float, final_ratio: PositiveRatio = 0.01) -> Numbers:
    """Return the rate that each epoch lowers by the same factor.

    `rate = learning_rate * final_ratio ** (epoch / epochs)`, where `epochs` is the budget.

    >>> exponential(learning_rate=1, final_ratio=0.0001).by_epoch(4)
    [1.0, 0.1, 0.01, 0.001]
    """
    return learning_rate * final_ratio ** (time.epoch / time.budget)


@schedule(source="Keras' ExponentialDecay", space=EXPONENTIAL_SPACE)
def exponential_by_batch(time: Timeline, learning_rate: float, final_ratio: PositiveRatio = 0.01) -> Numbers:
    """Return the rate that each batch lowers by the same factor.

    `rate = learning_rate * final_ratio ** fraction`.

    >>> exponential_by_batch(learning_rate=1, final_ratio=0.0001).rates(Timeline(epochs=2, steps_per_epoch=2)).round(4)
    array([[1.   , 0.1  ],
           [0.01 , 0.001]])
    """
    return learning_rate * final_ratio**time.fraction


@schedule(source="Keras' ExponentialDecay with staircase", space={**EXPONENTIAL_SPACE, "stairs": span(2, 10)})
def exponential_staircase(
    time: Timeline,
    learning_rate: float,
    final_ratio: PositiveRatio = 0.01,
    stairs: Annotated[int, within("number of equal stairs in the training", ge=1, le=1_000_000)] = 5,
) -> Numbers:
    """Return the rate that falls by the same factor at the end of each of `stairs` equal parts of the time.

    `rate = learning_rate * final_ratio ** (floor(stairs * batch / batches) / stairs)`.

    >>> exponential_staircase(learning_rate=1, final_ratio=0.01, stairs=2).by_epoch(4)
    [1.0, 1.0, 0.1, 0.1]
    """
    return learning_rate * final_ratio ** (np.floor(stairs * time.batch / time.batches) / stairs)


@schedule(
    source="He et al. 2016, Deep Residual Learning; Keras' PiecewiseConstantDecay",
    space={"at": ("0.5 0.75", "0.6 0.85", "0.3 0.6 0.9"), "drop": span(0.05, 0.5, log=True)},
)
def milestones(
    time: Timeline,
    learning_rate: float,
    at: Annotated[
        Fractions,
        Field(
            default="0.5 0.75", validate_default=True, description="fractions of the training at which the rate drops"
        ),
    ],
    drop: Drop = 0.1,
) -> Numbers:
    """Return the rate after one drop at each fraction that has passed.

    `rate = learning_rate * drop ** sum(fraction >= mark for mark in at)`.

    >>> milestones(learning_rate=1).by_epoch(8)
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    passed = np.sum([time.fraction >= mark for mark in at], axis=0)
    rates: Numbers = learning_rate * drop**passed
    return rates


def has_a_value_for_each_piece(pieces: Any) -> Any:
    """Raise `BadInput` unless boundaries part the values, and lie within the time if they are fractions of it."""
    values, boundaries = len(pieces.values), len(pieces.boundaries)
    if values != boundaries + 1:
        raise BadInput("values", f"must be one more than boundaries, got {values} values and {boundaries} boundaries.")
    if pieces.unit == "fraction" and pieces.boundaries[-1] >= 1:
        reason = f"must lie below 1 where unit is fraction, got {pieces.boundaries[-1]:g}"
        raise BadInput("boundaries", f"{reason}; unit may be epochs or batches.")
    return pieces


@schedule(
    source="Keras' PiecewiseConstantDecay",
    space={"values": ("1 0.1 0.01", "1 0.3 0.1"), "boundaries": ("0.5 0.75", "0.2 0.7"), "unit": "fraction"},
    check=has_a_value_for_each_piece,
)
def piecewise_constant(
    time: Timeline,
    learning_rate: Annotated[
        float, Field(default=1.0, gt=0, le=HIGHEST, description="the rate of which the values are multiples")
    ],
    values: Annotated[Values, Field(description="value of each piece; multiples of learning_rate, here 1 by default")],
    boundaries: Annotated[Boundaries, Field(description="times at which the next piece begins, one fewer than values")],
    unit: Annotated[
        Literal["epochs", "batches", "fraction"], Field(description="what boundaries count, or their share of the time")
    ] = "epochs",
) -> Numbers:
    """Return the rate of the piece that each step lies in.

    `rate: learning_rate times the value of the piece, of which each after the first begins at its boundary`.

    Without a `learning_rate`, which is 1 then, the values are the rates. A boundary of 30 epochs ends the first 30.

    >>> piecewise_constant(values=[0.1, 0.01, 0.001], boundaries=[2, 3]).by_epoch(5)
    [0.1, 0.1, 0.01, 0.001, 0.001]
    """
    batches = {"epochs": time.batches / time.budget, "batches": 1.0, "fraction": time.batches}[unit]
    begins = np.ceil(np.array(boundaries) * batches - 1e-6)
    rates: Numbers = learning_rate * np.array(values)[np.searchsorted(begins, time.batch, side="right")]
    return rates


@schedule(
    source="linear interpolation",
    space={"points": ("0:1 0.5:0.1 1:0.01", "0:1 0.7:1 1:0.01", "0:0.1 0.3:1 1:0.01", "0:0.1 0.3:1 0.7:0.1 1:0.01")},
)
def piecewise_linear(
    time: Timeline,
    learning_rate: float,
    points: Annotated[
        Points,
        Field(
            default="0:1 0.5:0.1 1:0.01",
            validate_default=True,
            description="points fraction:share, from fraction 0 to 1 of the training, in shares of learning_rate",
        ),
    ],
) -> Numbers:
    """Return the rate on the straight lines between points `(fraction, share of learning_rate)`.

    `rate: learning_rate times the share on the straight lines between the points fraction:share`.

    >>> piecewise_linear(learning_rate=1, points="0:1 0.5:0.1 1:0").by_epoch(4)
    [1.0, 0.55, 0.1, 0.05]
    """
    fractions, shares = zip(*points, strict=True)
    rates: Numbers = learning_rate * np.interp(time.fraction, fractions, shares)
    return rates


@schedule(source="Keras' PolynomialDecay with power 1", space={"final_ratio": span(0.0, 0.3)})
def linear(time: Timeline, learning_rate: float, final_ratio: FinalRatio = 0.0) -> Numbers:
    """Return the rate on a straight line.

    `rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 - fraction))`.

    >>> linear(learning_rate=1).by_epoch(4)
    [1.0, 0.75, 0.5, 0.25]
    """
    return learning_rate * (final_ratio + (1 - final_ratio) * (1 - time.fraction))


@schedule(source="Keras' PolynomialDecay", space={"final_ratio": span(0.0, 0.3), "power": span(0.5, 4.0, log=True)})
def polynomial(
    time: Timeline,
    learning_rate: float,
    final_ratio: FinalRatio = 0.0,
    power: Annotated[float, within("power of the share of the training that is left", gt=0, le=100)] = 2.0,
) -> Numbers:
    """Return the rate that follows a power of the share of the time that is left.

    `rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 - fraction) ** power)`.

    >>> polynomial(learning_rate=1, power=2).by_epoch(4)
    [1.0, 0.5625, 0.25, 0.0625]
    """
    return learning_rate * (final_ratio + (1 - final_ratio) * (1 - time.fraction) ** power)


@schedule(source="Loshchilov and Hutter 2017, SGDR; Keras' CosineDecay", space={"final_ratio": span(0.0, 0.3)})
def cosine(time: Timeline, learning_rate: float, final_ratio: FinalRatio = 0.0) -> Numbers:
    """Return the rate on half a cosine.

    `rate = learning_rate * (final_ratio + (1 - final_ratio) * (1 + cos(pi * fraction)) / 2)`.

    >>> cosine(learning_rate=1).by_epoch(4)
    [1.0, 0.8535533906, 0.5, 0.1464466094]
    """
    return learning_rate * (final_ratio + (1 - final_ratio) * (1 + np.cos(np.pi * time.fraction)) / 2)


@schedule(
    source="Loshchilov and Hutter 2017, SGDR; Keras' CosineDecayRestarts",
    space={"first_cycle": span(0.1, 0.5), "t_mul": span(1.0, 2.0), "m_mul": span(0.5, 1.0)},
)
def cosine_restarts(
    time: Timeline,
    learning_rate: float,
    final_ratio: Annotated[float, within("share of learning_rate at the end of each cycle")] = 0.0,
    first_cycle: Annotated[float, within("share of the training that the first cycle takes", ge=0.005, le=1)] = 0.25,
    t_mul: Annotated[float, within("factor of each cycle's length to that of the one before", ge=1, le=10)] = 2.0,
    m_mul: Annotated[float, within("factor of each cycle's peak to that of the one before", gt=0, le=1)] = 1.0,
) -> Numbers:
    """Return the rate that falls along half a cosine in each cycle and starts again.

    `rate: cosine in cycles of first_cycle * t_mul ** cycle, each from learning_rate * m_mul ** cycle`.

    Cycles count from 0. Only what lies above `final_ratio * learning_rate` is multiplied by `m_mul`.

    >>> cosine_restarts(learning_rate=1, first_cycle=0.25, m_mul=0.5).by_epoch(8)
    [1.0, 0.5, 0.5, 0.4267766953, 0.25, 0.0732233047, 0.25, 0.2404849416]
    """
    lengths = first_cycle * t_mul ** np.arange(np.ceil(1 / first_cycle) + 1)
    ends = np.cumsum(lengths)
    cycle = np.searchsorted(ends, time.fraction + 1e-9, side="right")  # a restart is not missed by rounding
    share = 1 - (ends[cycle] - time.fraction) / lengths[cycle]
    height = m_mul**cycle * (1 + np.cos(np.pi * share)) / 2
    rates: Numbers = learning_rate * (final_ratio + (1 - final_ratio) * height)
    return rates


def one_cycle_momentum(
    time: Timeline,
    momentum: float,
    peak_at: float,
    momentum_dip: Annotated[float, within("share of the momentum given up at the peak")] = 0.1,
) -> Numbers:
    """Return the momentum that is lowest at the rate's peak."""
    rising = (1 - np.cos(np.pi * time.fraction / peak_at)) / 2
    falling = (1 + np.cos(np.pi * (time.fraction - peak_at) / (1 - peak_at))) / 2
    return momentum * (1 - momentum_dip * np.where(time.fraction < peak_at, rising, falling))


@schedule(
    source="Smith and Topin 2018, Super-Convergence; PyTorch's OneCycleLR",
    space={"peak_at": span(0.1, 0.5), "start_ratio": span(0.01, 0.3, log=True), "momentum_dip": span(0.0, 0.3)},
    momentum=one_cycle_momentum,
)
def one_cycle(
    time: Timeline,
    learning_rate: float,
    peak_at: Annotated[float, within("fraction of the training at which the rate is highest", gt=0, lt=1)] = 0.3,
    start_ratio: Annotated[float, within("share of learning_rate at the start")] = 0.04,
    final_ratio: FinalRatio = 0.0,
) -> Numbers:
    """Return the rate that rises to its peak and falls again, each along half a cosine.

    `rate: half cosines from start_ratio * learning_rate to learning_rate at peak_at, then to final_ratio`.

    The momentum goes the other way: down by its share `momentum_dip` at the peak, and back. PyTorch's reaches its peak
    one batch earlier and its last rate with the last batch, where here the fraction would be 1.

    >>> one_cycle(learning_rate=1, peak_at=0.5).by_epoch(4)
    [0.04, 0.52, 1.0, 0.5]
    >>> one_cycle(learning_rate=1, peak_at=0.5).momenta(Timeline(epochs=4, steps_per_epoch=1), 0.95)[:, 0].tolist()
    [0.95, 0.9025, 0.855, 0.9025]
    """
    rising = start_ratio + (1 - start_ratio) * (1 - np.cos(np.pi * time.fraction / peak_at)) / 2
    falling = final_ratio + (1 - final_ratio) * (1 + np.cos(np.pi * (time.fraction - peak_at) / (1 - peak_at))) / 2
    return learning_rate * np.where(time.fraction < peak_at, rising, falling)


@schedule(
    source="Smith 2017, Cyclical Learning Rates",
    space={"cycles": span(1, 8), "low_ratio": span(0.01, 0.5, log=True), "peak_decay": span(0.5, 1.0)},
)
def triangular(
    time: Timeline,
    learning_rate: float,
    cycles: Annotated[int, within("number of cycles in the training", ge=1, le=1_000_000)] = 4,
    low_ratio: Annotated[float, within("share of learning_rate at the ends of each cycle")] = 0.1,
    peak_decay: Annotated[
        float,
        within("factor of each cycle's height above the low rate to that of the one before", gt=0, le=1),
    ] = 1.0,
) -> Numbers:
    """Return the rate that goes from low to high and back in each of `cycles` equal cycles.

    `rate: from low_ratio * learning_rate up to learning_rate and back in straight lines, in each of cycles`.

    From cycle to cycle the height above the low rate is multiplied by `peak_decay`: 1 is what Smith calls
    triangular, 0.5 what he calls triangular2.

    >>> triangular(learning_rate=1, cycles=2, low_ratio=0, peak_decay=0.5).by_epoch(8)
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """
    passed = cycles * time.batch / time.batches
    cycle = np.floor(passed)
    height = peak_decay**cycle * (1 - np.abs(2 * (passed - cycle) - 1))
    rates: Numbers = learning_rate * (low_ratio + (1 - low_ratio) * height)
    return rates


@schedule(source="Zhai et al. 2022, Scaling Vision Transformers", space={"timescale": span(0.01, 1.0, log=True)})
def inverse_sqrt(
    time: Timeline,
    learning_rate: float,
    timescale: Annotated[
        float, within("fraction of the training in which the rate falls to 1 / sqrt(2)", ge=1e-9, le=1e6)
    ] = 0.1,
) -> Numbers:
    """Return the rate divided by the root of the time in timescales, counted from 1.

    `rate = learning_rate / sqrt(1 + fraction / timescale)`.

    >>> inverse_sqrt(learning_rate=1, timescale=0.25).by_epoch(4)
    [1.0, 0.7071067812, 0.5773502692, 0.5]
    """
    return learning_rate / np.sqrt(1 + time.fraction / timescale)


@schedule(source="Chen et al. 2021, REX: Revisiting Budgeted Training")
def rex(time: Timeline, learning_rate: float) -> Numbers:
    """Return the rate that falls ever faster, to 0 at the end.

    `rate = learning_rate * (1 - fraction) / (1 - fraction / 2)`.

    >>> rex(learning_rate=1).by_epoch(4)
    [1.0, 0.8571428571, 0.6666666667, 0.4]
    """
    return learning_rate * (1 - time.fraction) / (1 - time.fraction / 2)


@schedule(
    source="Hu et al. 2024, MiniCPM",
    space={"decay_from": span(0.4, 0.95), "final_ratio": span(0.0, 0.3)},
    warmup=0.05,
)
def warmup_stable_decay(
    time: Timeline,
    learning_rate: float,
    decay_from: Annotated[float, within("fraction of the training at which the fall begins", ge=0, lt=1)] = 0.8,
    final_ratio: FinalRatio = 0.0,
) -> Numbers:
    """Return the rate that stays until the fraction `decay_from` and then falls in a straight line.

    `rate = learning_rate * (1 - (1 - final_ratio) * maximum(0, fraction - decay_from) / (1 - decay_from))`.

    As everywhere, the fraction is that of the time after the warm-up, which this schedule has by default.

    >>> warmup_stable_decay(learning_rate=1, warmup=0.2, decay_from=0.5).by_epoch(10)
    [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    fallen = np.maximum(0, time.fraction - decay_from) / (1 - decay_from)
    return learning_rate * (1 - (1 - final_ratio) * fallen)
