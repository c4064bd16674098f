"""The catalogue for others to see: schedules as a list, made from text, and their rates before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel

from sweep.errors import BadInput
from sweep.model import Answer
from sweep.schedules import CATALOGUE, MODIFIERS, ClosedLoop, Numbers, Schedule, Timeline, build, schedule_class
from sweep.schedules.base import explain_parameter
from sweep.space import Value

Kind: TypeAlias = Literal["open-loop", "closed-loop"]

LEARNING_RATE = 0.1
MOST_STEPS = 10_000_000
# Python reads more as numbers, e.g. `1_000` and other alphabets' digits, than a person means by one.
INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
SWITCH = {"true": True, "false": False}


class CatalogueEntry(Answer):
    """A schedule: how its rate is decided, its formula, where it comes from, each own parameter's JSON Schema."""

    name: str
    kind: Kind
    formula: str
    source: str
    parameters: dict[str, dict[str, Any]]


class CatalogueAnswer(Answer):
    """Every schedule, what all of them share, and the modifiers that all of them take; as JSON Schemas."""

    schedules: tuple[CatalogueEntry, ...]
    shared: dict[str, dict[str, Any]]
    modifiers: dict[str, dict[str, Any]]


class ScheduleRates(Answer):
    """A schedule's rates over one training, and its momenta if it moves them, `[epochs, steps_per_epoch]`.

    Attributes:
        schedule: with its defaults.
        rates_at_start: the rate of the first batch of each epoch.
    """

    schedule: dict[str, Any]
    rates_at_start: list[float]
    rates: list[list[float]]
    momenta: list[list[float]] | None


class RatesAnswer(Answer):
    """The rates of schedules over one training; `momentum` is the highest, for those that move it."""

    epochs: int
    steps_per_epoch: int
    momentum: float
    schedules: tuple[ScheduleRates, ...]


def kind_of(schedule: type[Schedule]) -> Kind:
    """Return how a schedule's rate is decided: by time alone, or by what the training shows."""
    return "closed-loop" if issubclass(schedule, ClosedLoop) else "open-loop"


def own_parameters(schedule: type[Schedule]) -> list[str]:
    """Return the parameters that other schedules need not have."""
    return [name for name in schedule.own_parameters() if name not in MODIFIERS]


def list_catalogue() -> CatalogueAnswer:
    """Return every schedule."""

    def schemas(schedule: type[BaseModel], names: Iterable[str]) -> dict[str, Any]:
        schema = schedule.model_json_schema()
        return {
            name: {key: value for key, value in schema["properties"][name].items() if key != "title"}
            | {"required": name in schema["required"]}
            for name in names
        }

    entries = [
        CatalogueEntry(
            name=name,
            kind=kind_of(schedule),
            formula=schedule.formula,
            source=schedule.source,
            parameters=schemas(schedule, own_parameters(schedule)),
        )
        for name, schedule in CATALOGUE.items()
    ]
    shared, modifiers = schemas(Schedule, ["learning_rate"]), schemas(Schedule, MODIFIERS)
    return CatalogueAnswer(schedules=tuple(entries), shared=shared, modifiers=modifiers)


@dataclass(frozen=True)
class Named:
    """A schedule under the word that named it."""

    name: str
    schedule: Schedule

    @property
    def label(self) -> str:
        """The name and every parameter that was given, in one line."""
        values = {"learning_rate": self.schedule.learning_rate} | self.schedule.used_parameters
        kind = "" if self.name == self.schedule.name else f" ({self.schedule.name})"
        return f"{self.name}{kind}: " + ", ".join(f"{key} {typed(value)}" for key, value in values.items())


@dataclass(frozen=True)
class Shown:
    """Schedules to show over one training, and the highest momentum for those that move it."""

    named: Sequence[Named]
    timeline: Timeline
    momentum: float

    def momenta(self, schedule: Schedule) -> Numbers | None:
        """Return a schedule's momentum at each step, `[epochs, steps_per_epoch]`; None if it does not move it."""
        momenta = schedule.momenta(self.timeline, self.momentum)
        return None if np.all(momenta == self.momentum) else momenta

    @property
    def answer(self) -> RatesAnswer:
        """The schedules with the rates of every batch."""
        shown = []
        for schedule in (one.schedule for one in self.named):
            rates, momenta = schedule.rates(self.timeline), self.momenta(schedule)
            shown.append(
                ScheduleRates(
                    schedule=schedule.document,
                    rates_at_start=rates[:, 0].tolist(),
                    rates=rates.tolist(),
                    momenta=None if momenta is None else momenta.tolist(),
                )
            )
        time = {"epochs": self.timeline.epochs, "steps_per_epoch": self.timeline.steps_per_epoch}
        return RatesAnswer(**time, momentum=self.momentum, schedules=tuple(shown))


def read_timeline(epochs: int, steps_per_epoch: int, most_steps: int = MOST_STEPS) -> Timeline:
    """Return the time of a training that can be shown; `BadInput` without batches, or for more than `most_steps`."""
    timeline = Timeline(epochs=epochs, steps_per_epoch=steps_per_epoch)
    if timeline.batches > most_steps:
        raise BadInput("epochs", f"must be at most {most_steps} batches in all, got {timeline.batches}.")
    return timeline


def read_momentum(momentum: float) -> float:
    """Return a highest momentum, or raise `BadInput`."""
    if not 0 <= momentum < 1:
        raise BadInput("momentum", f"must be at least 0 and below 1, got {momentum:g}.")
    return momentum


def schedule_from_texts(name: str, texts: Mapping[str, str]) -> Schedule:
    """Make the schedule called `name` from its parameters as texts, as a query string has them."""
    values = {key: read_value(text) for key, text in texts.items()}
    return make_schedule(name, usual_rate(schedule_class(name, "schedule")) | values)


def usual_rate(kind: type[Schedule]) -> dict[str, Value]:
    """Return the learning rate of a schedule that is shown without one, unless it has a default of its own."""
    return {"learning_rate": LEARNING_RATE} if kind.model_fields["learning_rate"].is_required() else {}


def make_schedule(name: str, values: Mapping[str, Value], written: Callable[[str], str] = str) -> Schedule:
    """Make the schedule called `name`; `written` is what an error calls a parameter.

    Raises:
        BadInput: for an unknown schedule, an unknown or missing parameter, or a value outside its range.
    """
    kind = schedule_class(name, "schedule")
    for key in values:
        require_known(key, [kind], written=written)
    for key, field in kind.model_fields.items():
        if field.is_required() and key not in values:
            raise BadInput(key, f"is missing; give {written(key)} ({field.description}).")
    schemas = kind.model_json_schema()["properties"]
    # The 0.5 of `at=0.5` may be a list of one, which is text.
    texts = {key: str(value) for key, value in values.items() if schemas[key].get("type") == "string"}
    made = build(kind, {**values, **texts})
    if isinstance(made, ClosedLoop):
        made.require_recorded()
    return made


def require_known(
    key: str, kinds: Sequence[type[Schedule]], others: Iterable[str] = (), written: Callable[[str], str] = str
) -> None:
    """Raise `BadInput` unless one of the schedules has the parameter `key`; a typo may mean one of `others`."""
    known = dict.fromkeys(parameter for kind in kinds for parameter in kind.model_fields)
    if key not in known:
        names = ", ".join(kind.name for kind in kinds) or "a schedule in a file, which has its own"
        told = explain_parameter(key, kinds, written, others) if kinds else "."
        raise BadInput(key, f"{written(key)} is no parameter of {names}{told}")


def read_value(word: str) -> Value:
    """Return the number or truth value that `word` is, or the word itself.

    >>> [read_value(word) for word in ("10", "-1e-3", "true", "val_loss")]
    [10, -0.001, True, 'val_loss']
    """
    if INTEGER.fullmatch(word):
        return int(word)
    if NUMBER.fullmatch(word):
        return float(word)
    return SWITCH.get(word.lower(), word)


def typed(value: Value) -> str:
    """Return a value as a person types it: `true`, `0.1`, `"0:1 1:0.1"`."""
    if isinstance(value, str):
        return f'"{value}"' if " " in value else value
    return str(value).lower() if isinstance(value, bool) else f"{value:.10g}"
