"""Keras' serialised schedules, read and written without Keras: each has the rates of a schedule of ours, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field, ValidationError, model_validator

from sweep.errors import BadInput, first_problem
from sweep.model import StrictModel
from sweep.schedules.base import CATALOGUE, Schedule, read_schedule
from sweep.schedules.foreign import explain_schedule
from sweep.schedules.timeline import Numbers, Timeline, write_fractions, write_points

Document: TypeAlias = dict[str, Any]
Rate = Annotated[float, Field(ge=0)]
Steps = Annotated[float, Field(gt=0)]
MOST_POINTS = 2000  # of the straight lines that stand for a schedule which has no form here
MOST_PIECES = 100  # of a piecewise constant schedule of Keras', which asks for each piece at every step; two steps long
SINGLE = 1e-6  # share of the highest rate up to which rates in single precision are equal
ZERO: Document = {"name": "piecewise_linear", "points": "0:0 1:0"}


class KerasSchedule(StrictModel, ABC):
    """A schedule of Keras' own, by its configuration."""

    name: str | None = None

    @property
    def arguments(self) -> Document:
        """What Keras' class is called with, as JSON has it; a whole number of steps is an integer."""
        given = self.model_dump(mode="json", exclude_none=True)
        for key in given.keys() & {"decay_steps", "warmup_steps", "first_decay_steps"}:
            given[key] = int(given[key]) if given[key].is_integer() else given[key]
        return given

    def gives(self, wanted: Numbers) -> bool:
        """Say whether it has these rates at every step, `[steps]`, also in single precision, as Keras computes."""
        steps, highest = np.arange(wanted.size, dtype=np.float64), float(wanted.max())
        if not np.allclose(self.rates(steps), wanted, rtol=1e-9, atol=1e-12 * highest):
            return False
        single: Any = steps.astype(np.float32)
        near = np.abs(self.rates(single) - wanted).max() <= SINGLE * highest
        return bool(near and self.counts_alike(single))

    def counts_alike(self, step: Any) -> bool:
        """Say whether what it rounds down, as the number of stairs, comes out the same in single precision."""
        del step
        return True

    @abstractmethod
    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step, counted from 0, as Keras computes it."""

    @abstractmethod
    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield documents of ours that may have the same rates over a training."""


class Decay(KerasSchedule):
    """What most of them have: a rate to begin with and a number of steps."""

    initial_learning_rate: Rate
    decay_steps: Steps

    def then(self, form: Document, rate: float, steps: float) -> Document:
        """Return a form that takes `decay_steps` of `steps` batches and is followed by a constant rate."""
        if self.decay_steps >= steps:
            return form
        rest = {"name": "constant", "learning_rate": rate} if rate > 0 else ZERO
        return _joined(form, rest, self.decay_steps / steps)


class Staircase(Decay):
    """What decays by a rate, step by step or in stairs of `decay_steps`."""

    decay_rate: Rate
    staircase: bool = False

    def counts_alike(self, step: Any) -> bool:
        """Say whether every stair begins at its step."""
        return not self.staircase or divides_alike(
            step, self.decay_steps, np.floor(step.astype(float) / self.decay_steps)
        )


class ExponentialDecay(Staircase):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`."""

    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step."""
        passed = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (np.floor(passed) if self.staircase else passed)

    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield the exponential ones, and milestones for stairs of which the training has no whole number."""
        periods = timeline.batches / self.decay_steps
        rate = {"learning_rate": self.initial_learning_rate}
        if self.decay_rate > 0 and periods * abs(math.log(self.decay_rate)) < 600:  # or the power overflows
            power = {**rate, "final_ratio": self.decay_rate**periods}
            if not self.staircase:
                yield {"name": "exponential_by_batch", **power}
            elif periods >= 1:
                yield {"name": "exponential_staircase", **power, "stairs": round(periods)}
        if self.staircase and 1 < periods <= MOST_POINTS:
            at = [number * self.decay_steps / timeline.batches for number in range(1, math.ceil(periods))]
            yield {"name": "milestones", **rate, "drop": self.decay_rate, "at": write_fractions(at)}


class InverseTimeDecay(Staircase):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`."""

    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step."""
        passed = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (np.floor(passed) if self.staircase else passed))

    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield time decay by batch, or by epoch."""
        rate = {"learning_rate": self.initial_learning_rate}
        yield {"name": "time_by_batch", **rate, "decay": self.decay_rate / self.decay_steps}
        yield {"name": "time", **rate, "decay": self.decay_rate * timeline.steps_per_epoch / self.decay_steps}


class PolynomialDecay(Decay):
    """`(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate`."""

    end_learning_rate: Rate = 0.0001
    power: float = 1.0
    cycle: bool = False

    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step."""
        steps: Any = self.decay_steps
        if self.cycle:
            steps = steps * np.maximum(1, np.ceil(step / steps))
        left = 1 - np.minimum(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        rates: Numbers = span * left**self.power + self.end_learning_rate
        return rates

    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield a line or a polynomial, which the end of the training may cut off or a constant rate follow."""
        if not self.initial_learning_rate:
            return
        end = self.end_learning_rate / self.initial_learning_rate
        rate = {"learning_rate": self.initial_learning_rate}
        form = {"name": "polynomial", **rate, "final_ratio": end, "power": self.power}
        if self.power == 1:
            reached = 1 - (1 - end) * min(1.0, timeline.batches / self.decay_steps)
            form = {"name": "linear", **rate, "final_ratio": reached}
        yield self.then(form, self.end_learning_rate, timeline.batches)


class CosineDecay(Decay):
    """Half a cosine from `initial_learning_rate` down to its share `alpha`; from `warmup_target` after a warm-up."""

    alpha: Rate = 0.0
    warmup_target: Rate | None = None
    warmup_steps: Annotated[float, Field(ge=0)] = 0

    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step."""
        first, peak, warmup = self._parts
        fraction = np.minimum(step - warmup, self.decay_steps) / self.decay_steps
        falling = peak * ((1 - self.alpha) * (1 + np.cos(np.pi * fraction)) / 2 + self.alpha)
        rising = first + (peak - first) * step / (warmup or 1)
        return np.where(step < warmup, rising, falling)

    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield a cosine, which a constant rate may follow, behind a warm-up from 0 or a line from another rate."""
        first, peak, warmup = self._parts
        cosine = {"name": "cosine", "learning_rate": peak, "final_ratio": self.alpha}
        if not (peak and warmup < timeline.batches):
            return
        form, share = self.then(cosine, peak * self.alpha, timeline.batches - warmup), warmup / timeline.batches
        if not warmup or form is cosine:
            yield {**form, "warmup": share, **({"warmup_from": first / peak} if warmup and first else {})}
        else:
            line = {"name": "piecewise_linear", "learning_rate": peak, "points": f"0:{first / peak!r} 1:1"}
            yield _joined(line, form, share)

    @property
    def _parts(self) -> tuple[float, float, float]:
        """The first rate, the highest and the steps between."""
        if self.warmup_target is None:
            return self.initial_learning_rate, self.initial_learning_rate, 0
        return self.initial_learning_rate, self.warmup_target, self.warmup_steps


class CosineDecayRestarts(KerasSchedule):
    """Half cosines in cycles, each `t_mul` times as long and `m_mul` times as high as the one before."""

    initial_learning_rate: Rate
    first_decay_steps: Steps
    t_mul: Annotated[float, Field(gt=0)] = 2.0
    m_mul: Rate = 1.0
    alpha: Rate = 0.0

    def counts_alike(self, step: Any) -> bool:
        """Say whether every restart comes at its step."""
        ends = np.array(self._ends(step))
        exact = np.searchsorted(ends, step.astype(float) + 1e-9, side="right")
        if self.t_mul == 1:
            return divides_alike(step, self.first_decay_steps, exact)
        on_a_step = np.abs(ends - np.round(ends)) < 0.01
        if self.t_mul != 2 and (on_a_step & (ends <= step[-1])).any():
            return False  # Keras divides logarithms, which each backend rounds in its own way; those of 2 come out even
        passed = step / np.float32(self.first_decay_steps)
        logarithms = np.log(np.float32(1) - passed * np.float32(1 - self.t_mul))
        return divides_alike(logarithms, float(np.log(np.float32(self.t_mul))), exact)

    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step."""
        ends = self._ends(step)
        cycle = np.searchsorted(ends, step.astype(float) + 1e-9, side="right")
        begins, lengths = np.array([0.0, *ends]) / self.first_decay_steps, self.t_mul ** np.arange(len(ends) + 1.0)
        in_cycles = step / self.first_decay_steps - begins[cycle].astype(step.dtype)
        share = in_cycles / lengths[cycle].astype(step.dtype)
        height = self.m_mul**cycle * (1 + np.cos(np.pi * share)) / 2
        rates: Numbers = self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)
        return rates

    def _ends(self, step: Numbers) -> list[float]:
        """Return the steps at which the cycles end, past the last of `step`."""
        ends = [self.first_decay_steps]
        while ends[-1] <= step[-1] and len(ends) <= len(step):
            ends.append(ends[-1] + self.first_decay_steps * self.t_mul ** len(ends))
        return ends

    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield the cosine with restarts."""
        yield {
            "name": "cosine_restarts",
            "learning_rate": self.initial_learning_rate,
            "final_ratio": self.alpha,
            "first_cycle": self.first_decay_steps / timeline.batches,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
        }


class PiecewiseConstantDecay(KerasSchedule):
    """The first of `values` up to and including the first of `boundaries`, then the second, and so on."""

    boundaries: Annotated[tuple[int | float, ...], Field(strict=False)]
    values: Annotated[tuple[Rate, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _has_one_value_more(self) -> PiecewiseConstantDecay:
        if len(self.values) != len(self.boundaries) + 1 or any(a > b for a, b in pairwise(self.boundaries)):
            raise ValueError(f"`boundaries` must ascend, one fewer than `values`, got {list(self.boundaries)}.")
        return self

    def rates(self, step: Numbers) -> Numbers:
        """Return the rate of each step."""
        return np.array(self.values)[np.searchsorted(self.boundaries, step, side="left")]

    def forms(self, timeline: Timeline) -> Iterator[Document]:
        """Yield milestones for values that all fall by the same factor, and the values themselves."""
        begins = [math.floor(boundary) + 1 for boundary in self.boundaries]
        kept = [place for place, begin in enumerate(begins) if 0 < begin < timeline.batches]
        at = write_fractions([begins[place] / timeline.batches for place in kept])
        if at and self.values[0]:
            rate = {"learning_rate": self.values[0]}
            yield {"name": "milestones", **rate, "drop": self.values[1] / self.values[0], "at": at}
        if kept:
            values = [self.values[place] for place in (*kept, kept[-1] + 1)]
            boundaries = [begins[place] for place in kept]
            yield {"name": "piecewise_constant", "values": values, "boundaries": boundaries, "unit": "batches"}


CLASSES: dict[str, type[KerasSchedule]] = {
    kind.__name__: kind
    for kind in (
        ExponentialDecay,
        InverseTimeDecay,
        PolynomialDecay,
        CosineDecay,
        CosineDecayRestarts,
        PiecewiseConstantDecay,
    )
}
# What a configuration alone calls itself, unless somebody named it.
NAMES = {**{name: name for name in CLASSES}, "SGDRDecay": "CosineDecayRestarts"}
NAMES["PiecewiseConstant"] = "PiecewiseConstantDecay"
# The key by which a configuration without a known name tells its class.
TELLING = {
    "boundaries": "PiecewiseConstantDecay",
    "first_decay_steps": "CosineDecayRestarts",
    "end_learning_rate": "PolynomialDecay",
    "alpha": "CosineDecay",
}


def find_serialised(document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return class and configuration of the schedule of Keras' that a document holds; None if it holds none.

    The document may be what `keras.optimizers.schedules.serialize` returns, a schedule's `get_config()`, or either of
    an optimizer with such a schedule.
    """
    config, kind, rate = document.get("config"), document.get("class_name"), document.get("learning_rate")
    if isinstance(kind, str) and isinstance(config, Mapping):
        inner = config.get("learning_rate")
        return find_serialised(inner) if isinstance(inner, Mapping) else (kind.rpartition(">")[2], config)
    if isinstance(rate, Mapping):
        return find_serialised(rate)
    is_theirs = "initial_learning_rate" in document or {"boundaries", "values"} <= document.keys()
    if not is_theirs or document.get("name") in CATALOGUE:
        return None
    named = NAMES.get(str(document.get("name")))
    return named or next((kind for key, kind in TELLING.items() if key in document), ""), document


def read_serialised(kind: str, config: Mapping[str, Any], timeline: Timeline | None) -> Schedule:
    """Return the schedule of ours that has the rates of Keras' schedule over a training.

    Raises:
        BadInput: for a class or configuration that is not Keras', without the length of a training, and for a schedule
            that has no form here.
    """
    if kind == "RateTable" and isinstance(config.get("schedule"), Mapping):  # one of ours, in Keras' clothes
        return read_schedule(config["schedule"])
    if kind not in CLASSES:
        if explained := explain_schedule(kind):
            raise BadInput("schedule", explained)
        which = f"`{kind}` is no schedule of Keras' own" if kind else "it does not tell its class, `class_name`"
        raise BadInput("schedule", f"{which}; there are {', '.join(CLASSES)}.")
    try:
        theirs = CLASSES[kind].model_validate(dict(config))
    except ValidationError as error:
        raise first_problem(error) from error
    if timeline is None:
        reason = f"Keras' {kind} counts steps, so it is read only where epochs and steps per epoch are known."
        raise BadInput("schedule", reason)
    wanted = theirs.rates(np.arange(timeline.batches, dtype=np.float64))
    highest = float(np.max(wanted, initial=0.0))
    if not (np.isfinite(wanted).all() and highest > 0 and wanted.min() >= 0):
        raise BadInput("schedule", f"Keras' {kind} must give finite rates of at least 0, and one above 0.")
    constant = [{"name": "constant", "learning_rate": highest}] if np.ptp(wanted) == 0 else []
    for form in (*constant, *theirs.forms(timeline)):
        try:
            ours = read_schedule(form)
        except BadInput:  # a parameter of theirs lies outside our range
            continue
        if np.allclose(ours.rates(timeline).ravel(), wanted, rtol=1e-9, atol=1e-12 * highest):
            return ours
    points = straight_lines(wanted / highest)
    if len(points) > MOST_POINTS:
        reason = f"Keras' {kind} has no form here unless it takes the whole training, {timeline.batches} steps."
        raise BadInput("schedule", reason)
    return read_schedule({"name": "piecewise_linear", "learning_rate": highest, "points": write_points(points)})


def find_keras_form(schedule: Schedule, timeline: Timeline, rates: Numbers) -> KerasSchedule | None:
    """Return Keras' schedule that has the `rates` of one of ours at every step of a training; None if there is none."""
    wanted = rates.ravel()
    for name, arguments in (
        *by_parameters(schedule, timeline.batches, timeline.steps_per_epoch),
        *by_rates(wanted),
    ):
        try:
            theirs = CLASSES[name].model_validate(arguments)
        except ValidationError:  # a parameter of ours lies outside their range
            continue
        if theirs.gives(wanted):
            return theirs
    return None


def by_parameters(schedule: Schedule, steps: int, steps_per_epoch: int) -> Iterator[tuple[str, Document]]:
    """Yield classes of Keras', with arguments, that may have the rates of a schedule over so many steps."""
    rate, values = schedule.learning_rate, schedule.settings
    first: Document = {"initial_learning_rate": rate}
    warmup = min(round(schedule.warmup * steps), steps - 1)
    stairs: Document = {**first, "decay_steps": steps_per_epoch, "staircase": True}
    match schedule.name:
        case "constant" if not warmup:
            yield "ExponentialDecay", {**first, "decay_steps": steps, "decay_rate": 1.0}
        case "constant" | "cosine":
            own = {"decay_steps": steps - warmup, "alpha": values.get("final_ratio", 1.0)}
            rise = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
            begin = rate * (schedule.warmup_from or 0.0) if warmup else rate
            yield "CosineDecay", {"initial_learning_rate": begin, **own, **rise}
        case "cosine_restarts":
            own = {"first_decay_steps": values["first_cycle"] * steps, "alpha": values["final_ratio"]}
            yield "CosineDecayRestarts", {**first, **own, "t_mul": values["t_mul"], "m_mul": values["m_mul"]}
        case "exponential_by_batch":
            yield "ExponentialDecay", {**first, "decay_steps": steps, "decay_rate": values["final_ratio"]}
        case "exponential":
            yield "ExponentialDecay", {**stairs, "decay_rate": values["final_ratio"] ** (steps_per_epoch / steps)}
        case "exponential_staircase":
            own = {"decay_rate": values["final_ratio"] ** (1 / values["stairs"])}
            yield "ExponentialDecay", {**stairs, **own, "decay_steps": steps / values["stairs"]}
        case "step_from_zero":
            own = {"decay_steps": steps_per_epoch * values["epochs_drop"], "decay_rate": values["drop"]}
            yield "ExponentialDecay", {**stairs, **own}
        case "time" | "time_by_batch":
            decay = rate * steps_per_epoch / steps if values["decay"] is None else values["decay"]
            own = {"decay_steps": 1, "staircase": False} if schedule.name == "time_by_batch" else {}
            yield "InverseTimeDecay", {**stairs, **own, "decay_rate": decay}
        case "linear" | "polynomial":
            own = {"end_learning_rate": rate * values["final_ratio"], "power": values.get("power", 1.0)}
            yield "PolynomialDecay", {**first, "decay_steps": steps, **own}
        case "join" if own_steps := round(values["at"] * steps):  # a curve that stays at its end
            first_part: Any = schedule.first  # type: ignore[attr-defined]  # as a join has it
            yield from by_parameters(first_part, own_steps, steps_per_epoch)


def by_rates(rates: Numbers) -> Iterator[tuple[str, Document]]:
    """Yield classes of Keras', with arguments, that may have the rates of each step, `[steps]`: a line, and pieces."""
    changes = np.flatnonzero(np.diff(rates))
    if not len(changes):
        return
    reached = int(changes[-1]) + 1
    for steps, end in ((reached, rates[reached]), (rates.size, rates[0] + rates.size * (rates[1] - rates[0]))):
        line = {"initial_learning_rate": float(rates[0]), "end_learning_rate": max(0.0, float(end))}
        yield "PolynomialDecay", {**line, "decay_steps": steps}
    if len(changes) < min(MOST_PIECES, rates.size // 2):
        values = rates[[0, *(changes + 1)]].tolist()
        yield "PiecewiseConstantDecay", {"boundaries": changes.tolist(), "values": values}


def divides_alike(dividend: Any, divisor: float, wanted: Numbers) -> bool:
    """Say whether quotients in single precision round down to what is wanted; XLA multiplies by 1 / divisor instead."""
    single = np.float32(divisor)
    return all((np.floor(each) == wanted).all() for each in (dividend / single, dividend * (np.float32(1) / single)))


def straight_lines(shares: Numbers) -> list[tuple[float, float]]:
    """Return the points `(fraction, share)` between which straight lines go through all shares, one a step."""
    steps = len(shares)
    ended = np.append(shares, shares[-1])
    bent = np.abs(ended[:-2] - 2 * ended[1:-1] + ended[2:]) > 1e-12
    kept = [0, *(np.flatnonzero(bent) + 1).tolist(), steps]
    return [(place / steps, float(ended[place])) for place in kept]


def _joined(first: Document, second: Document, at: float) -> Document:
    rate = first.get("learning_rate", second.get("learning_rate"))
    return {"name": "join", "learning_rate": rate, "first": first, "second": second, "at": at}
