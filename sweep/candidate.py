"""One setting to try: a schedule with its parameters, and the optimizer's momentum."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SerializeAsAny, ValidationError

from sweep.errors import BadInput, first_problem, nearest
from sweep.model import StrictModel
from sweep.schedules import Schedule, build, schedule_class
from sweep.schedules.base import MODIFIERS
from sweep.space import Value


class Candidate(StrictModel):
    """A schedule and a momentum, checked once, when made."""

    schedule: SerializeAsAny[Schedule]
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False

    @property
    def params(self) -> dict[str, Value]:
        """The flat names and values that an Optuna trial of this candidate holds."""
        name = self.schedule.name
        own = {f"{name}.{key}": value for key, value in self.schedule.parameters.items()}
        return {
            "schedule": name,
            "learning_rate": self.schedule.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            **own,
        }


def from_params(params: Mapping[str, Value]) -> Candidate:
    """Build the candidate that flat `params` describe.

    Raises:
        BadInput: for an unknown schedule, a missing or unknown parameter, or a value outside its range.

    >>> from_params({"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "step.epochs_drop": 10}).momentum
    0.0
    """
    rest = dict(params)
    kind = schedule_class(str(rest.pop("schedule", "")), "schedule")
    chosen = {key: rest.pop(key) for key in ("momentum", "nesterov") if key in rest}
    prefix = f"{kind.name}."
    known = {"learning_rate": "learning_rate"} | {f"{prefix}{key}": key for key in kind.own_parameters()}
    unknown = next((key for key in rest if key not in known), None)
    if unknown is not None:
        raise BadInput(unknown.removeprefix(prefix), f"unknown key{nearest(unknown, known)}")
    own = {known[key]: value for key, value in rest.items()}
    schedule = build(kind, own)
    try:
        return Candidate.model_validate({"schedule": schedule, **chosen})
    except ValidationError as error:
        raise first_problem(error) from error


def describe(params: Mapping[str, Value], *, momentum: bool = True) -> str:
    """Return what flat `params` tell in one line, to three digits: schedule, initial rate, own parameters, momentum.

    Modifiers that change nothing are left out.

    >>> describe({"schedule": "step", "learning_rate": 0.1, "step.drop": 0.5, "momentum": 0.9})
    'step 0.1, drop 0.5, momentum 0.9'
    """
    name, rate = params.get("schedule", ""), params.get("learning_rate")
    prefix = f"{name}."
    own = {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}
    own = {key: value for key, value in own.items() if value or key not in MODIFIERS}
    shared = {"momentum": params["momentum"]} if momentum and "momentum" in params else {}
    first = str(name) if rate is None else f"{name} {rate:.3g}"
    values = (own | shared).items()
    words = [f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values]
    return ", ".join([first, *words])
