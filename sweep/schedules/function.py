"""The user's own function of the epoch, as Keras' LearningRateScheduler calls it."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from sweep.errors import BadInput
from sweep.schedules.base import HIGHEST, Schedule
from sweep.schedules.timeline import Numbers, Timeline
from sweep.user_code import call, check_name, find_function


class Function(Schedule):
    """`rate: what the function returns for the epoch, or for the epoch and the last rate if it takes both`.

    Epochs count from 0, and the last rate of the first is `learning_rate`. It is no `OpenLoop`, because its text
    need not be one that runs anywhere else.

    >>> schedule = Function(learning_rate=2, function="math:pow")
    >>> schedule.rates(Timeline(epochs=3, steps_per_epoch=1)).tolist()
    [[0.0], [1.0], [2.0]]
    """

    name = "function"
    formula = "rate: what the function returns for the epoch, or for the epoch and the last rate if it takes both"
    source = "Keras' LearningRateScheduler"

    function: str = Field(description="the function, as module:function")

    @field_validator("function")
    @classmethod
    def _is_a_name(cls, function: str) -> str:
        """Check the name's form; the function itself is looked for when rates are asked for, as it is not our code."""
        check_name(function)
        return function

    @property
    def foreign_functions(self) -> tuple[str, ...]:
        """The function that its rates come from."""
        return (self.function,)

    def rates(self, timeline: Timeline) -> Numbers:
        """Return the learning rate of each step, `[epochs, steps_per_epoch]`.

        Raises:
            BadInput: if the function cannot be found, fails, or returns no finite number or one below 0.
        """
        time = self.own_time(timeline)
        epochs = time.epoch.astype(int)
        return self.modify(self._by_epoch(int(epochs.max()) + 1)[epochs], timeline)

    def _by_epoch(self, epochs: int) -> Numbers:
        function = find_function(self.function, "function")
        with_rate = takes_rate(function)
        rates = [self.learning_rate]
        for epoch in range(epochs):
            rates.append(self._call(function, epoch, (rates[-1],) if with_rate else ()))
        return np.array(rates[1:])

    def _call(self, function: Callable[..., Any], epoch: int, rate: tuple[float, ...]) -> float:
        try:
            returned = call(function, epoch, *rate)
        except Exception as error:
            reason = f"`{self.function}` must not fail, but for epoch {epoch} raised {type(error).__name__}: {error}."
            raise BadInput("function", reason) from error
        rule = _broken_rule(returned)
        if rule is not None:
            got = reprlib.repr(returned)
            raise BadInput("function", f"`{self.function}` must return {rule} for epoch {epoch}, got {got}.")
        return float(returned)


def takes_rate(function: Callable[..., Any]) -> bool:
    """Say whether a function can be called with epoch and rate; one that hides its parameters is given the epoch."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):
        return False
    return True


def _broken_rule(returned: Any) -> str | None:
    """Return what a function must return and did not."""
    if isinstance(returned, bool) or not isinstance(returned, Real):
        return "a finite float"
    try:
        rate = float(returned)
    except OverflowError:  # a whole number of hundreds of digits
        return "a finite float"
    if not abs(rate) <= HIGHEST:
        return "a finite float"
    return "a rate of at least 0" if rate < 0 else None
